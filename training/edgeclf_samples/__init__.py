"""Sample data without a network: drawn photos of six penguin species, and where each shows its field mark.

``write_sample_data`` writes a folder that trains like any folder of photos. A species is recognised by the mark that a
birdwatcher looks for, so that a heat map can be checked against the mark's place.

    >>> import tempfile
    >>> from edgeclf_samples import write_sample_data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     drawn = write_sample_data(folder, per_class=1, size=64)
    >>> drawn.photos, len(drawn.classes)
    (6, 6)

Names are imported when first used: the command line lists ``sample-data`` without numpy and Pillow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeclf_samples.species import SPECIES
    from edgeclf_samples.write_photos import SampleData, write_sample_data

_HOME = {"SPECIES": "species", "SampleData": "write_photos", "write_sample_data": "write_photos"}

__all__ = ["SPECIES", "SampleData", "write_sample_data"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'edgeclf_samples' has no attribute {name!r}")
    return getattr(import_module(f"edgeclf_samples.{_HOME[name]}"), name)
