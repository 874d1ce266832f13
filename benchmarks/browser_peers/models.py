"""What the pages load: a site of edgeclf, transformers.js with its models, TensorFlow.js."""

import json
import logging
import shutil
from pathlib import Path

import torch
from edgeclf.model.default_model import DEFAULT_MODEL
from edgeclf.model.file import read_model_file
from edgeclf.web.browser_runtime import read_browser_runtime
from edgeclf.web.folder import write_site
from edgeclf.web.site import make_site
from edgeclf_training.networks import Network, build_network

PROCESSOR = {
    "image_processor_type": "MobileNetV2ImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 256},
    "resample": 2,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [127 / 255] * 3,
    "image_std": [128 / 255] * 3,
}
_TRANSFORMERS = ("@huggingface/transformers/dist/transformers.min.js",)
_ORT = ("ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
_TENSORFLOW = (
    *("tfjs/dist/tf.es2017.min.js", "tfjs-backend-wasm/dist/tf-backend-wasm.es2017.min.js"),
    *(f"tfjs-backend-wasm/dist/tfjs-backend-wasm{kind}.wasm" for kind in ("", "-simd", "-threaded-simd")),
)


def write_models(folder: Path, packages: Path, peers: list[str]) -> None:
    """Write all that the peers' pages load.

    Args:
        folder: is created.
        packages: has `node_modules`.
        peers: names, as in `visits.PEERS`.
    """
    shutil.copytree(Path(__file__).with_name("pages"), folder)
    modules = packages / "node_modules"
    if "edgeclf" in peers:
        write_site(make_site(read_model_file(DEFAULT_MODEL), read_browser_runtime()), folder / "edgeclf")
    if any(peer.startswith("transformers") for peer in peers):
        (folder / "transformers").mkdir()
        for path in (*_TRANSFORMERS, *(f"onnxruntime-web/dist/{name}" for name in _ORT)):
            shutil.copy(modules / path, folder / "transformers")
        _write_lite0(folder / "models" / "lite0")
    if "tensorflow" in peers:
        (folder / "tensorflow").mkdir()
        for path in _TENSORFLOW:
            shutil.copy(modules / "@tensorflow" / path, folder / "tensorflow")


class _OfNormalised(torch.nn.Module):
    """A network that takes what a processor has normalised, [N, 3, 224, 224], as networks of transformers do."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network.head(self.network.pool(self.network.features(pixel_values)))
        return found


def _write_lite0(folder: Path) -> None:
    """EfficientNet-Lite0 with its published weights, in the layout that transformers.js loads."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    (folder / "onnx").mkdir(parents=True)
    network, _ = build_network("efficientnet_lite0", 1000, weights="imagenet", keep_classifier=True)
    file = folder / "onnx" / "model.onnx"
    options = {"input_names": ["pixel_values"], "output_names": ["logits"], "opset_version": 17, "dynamo": False}
    logging.getLogger().setLevel(logging.ERROR)
    torch.onnx.export(_OfNormalised(network).eval(), (torch.zeros(1, 3, 224, 224),), str(file), **options)
    prepared = folder / "onnx" / "prepared.onnx"
    quant_pre_process(str(file), str(prepared))
    quantize_dynamic(prepared, folder / "onnx" / "model_quantized.onnx", weight_type=QuantType.QUInt8)
    prepared.unlink()
    labels = {str(number): f"class {number}" for number in range(1000)}
    config = {"model_type": "efficientnet", "architectures": ["EfficientNetForImageClassification"], "id2label": labels}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
