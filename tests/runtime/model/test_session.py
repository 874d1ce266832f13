"""The one set of onnxruntime session options."""

from pathlib import Path

import numpy as np
import pytest
from edgeclf.model.session import open_cpu_session, session_options

ROOT = Path(__file__).parents[3]


def test_options_follow_the_arguments() -> None:
    options = session_options(3)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.log_severity_level == 3
    assert options.enable_cpu_mem_arena
    assert options.enable_mem_pattern
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    options = session_options(1, spin=True, low_memory=True)
    with pytest.raises(RuntimeError):  # not set: onnxruntime's own default
        options.get_session_config_entry("session.intra_op.allow_spinning")
    assert not options.enable_cpu_mem_arena
    assert not options.enable_mem_pattern


def test_no_other_module_makes_session_options() -> None:
    sources = [path for package in ("runtime", "training", "export") for path in (ROOT / package).rglob("*.py")]
    assert sources
    users = [path.name for path in sources if "SessionOptions(" in path.read_text("utf-8")]
    assert users == ["session.py"]
    openers = [path.name for path in sources if "InferenceSession(" in path.read_text("utf-8")]
    assert openers == ["session.py"]


@pytest.mark.parametrize("given", ["path", "bytes"])
def test_any_onnx_model_opens_on_the_cpu(given: str, model: Path) -> None:
    session = open_cpu_session(str(model) if given == "path" else model.read_bytes(), 1)
    assert session.get_providers() == ["CPUExecutionProvider"]
    (entry,) = session.get_inputs()
    image = np.zeros((1, *entry.shape[1:]), np.uint8)
    assert session.run(["logits"], {"image": image})[0].dtype == np.float32
