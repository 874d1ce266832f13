"""The child process of ``edgeclf doctor``: everything that could crash a process.

A wheel built for another CPU crashes with an illegal instruction when it is imported, and some networks crash during
inference. So the child writes a JSON object to stdout at the beginning and at the end of each stage. After a crash, the
parent process knows the stage from the last line.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from edgeclf.errors import EdgeclfError

MARK = "edgeclf-probe "  # marks the lines of the child: libraries may also write to stdout
_MAX_ERROR_CHARACTERS = 300


def main(model: str | None = None) -> None:
    """Test the packages, and then the model file if the packages work. Never raises.

    Args:
        model: the file to test; ``default_model()`` if None.
    """
    packages = [_stage("numpy", _numpy), _stage("pillow", _pillow), _stage("onnxruntime", _onnxruntime)]
    if all(packages) and _stage("model", lambda: _model(model)):
        _stage("selftest", lambda: _selftest(model))


def _stage(name: str, work: Callable[[], dict[str, Any]]) -> bool:
    """Run a stage and report its beginning and its result; False if it failed."""
    _report({"stage": name})
    try:
        _report({"stage": name, "result": work()})
    except EdgeclfError as error:
        _report({"stage": name, "error": error.message, "remedy": error.remedy, "exit_code": error.exit_code})
    except Exception as error:  # broken installations raise any exception
        text = " ".join(f"{type(error).__name__}: {error}".split())[:_MAX_ERROR_CHARACTERS]
        _report({"stage": name, "error": text, "remedy": "", "exit_code": 4})
    else:
        return True
    return False


def _report(value: dict[str, Any]) -> None:
    print(f"{MARK}{json.dumps(value, allow_nan=False)}", flush=True)


def _numpy() -> dict[str, Any]:
    import numpy

    return {"version": numpy.__version__}


def _pillow() -> dict[str, Any]:
    import PIL
    from PIL import Image, features

    Image.init()
    codecs = {name: features.version_codec(codec) for name, codec in (("jpeg", "jpg"), ("zlib", "zlib"))}
    codecs["libjpeg-turbo"] = features.version_feature("libjpeg_turbo")
    codecs["webp"] = features.version_module("webp") if "WEBP" in Image.OPEN else None
    # Before Pillow 11.3, the name of this module is unknown to ``features``.
    codecs["avif"] = features.version_module("avif") if "AVIF" in Image.OPEN and "avif" in features.modules else None
    return {"version": PIL.__version__, "codecs": codecs}


def _onnxruntime() -> dict[str, Any]:
    from edgeclf.model.session import import_onnxruntime

    module = import_onnxruntime()
    return {"version": module.__version__, "providers": module.get_available_providers()}


def _model(model: str | None) -> dict[str, Any]:
    from edgeclf.model.default_model import default_model
    from edgeclf.model.file import read_model_file

    file = read_model_file(model or default_model())
    manifest = file.manifest
    return {
        "path": file.path,
        "bytes": file.size,
        "sha256": file.sha256,
        "architecture": manifest.architecture,
        "precision": manifest.precision,
        "golden_photos": len(manifest.golden.photos) if manifest.golden else 0,
    }


def _selftest(model: str | None) -> dict[str, Any]:
    import numpy as np

    from edgeclf.errors import ModelError
    from edgeclf.model.default_model import default_model
    from edgeclf.model.file import read_model_file
    from edgeclf.model.selftest import network_logits, run_selftest
    from edgeclf.model.session import open_session

    file = read_model_file(model or default_model())
    session, provider = open_session(file, "cpu", None)  # only CPUs give bit-identical results
    grey = np.full((1, 1, 3), 127, np.uint8)
    if not np.isfinite(network_logits(session, grey, file.manifest.contract.size)).all():
        raise ModelError(f"{file.path}: its output for a grey photo is not finite", "export it again")
    result = run_selftest(session, file.manifest)
    failures = {stage: result.failures(stage) for stage in ("resize", "pixels", "network")}
    return {"provider": provider, "passed": result.passed, "failures": failures, **asdict(result)}
