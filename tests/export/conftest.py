"""Models for the tests of the export."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def make_model(export_model: Callable[..., Path]) -> Callable[..., Path]:
    """The small model, exported by the code of today."""
    return export_model
