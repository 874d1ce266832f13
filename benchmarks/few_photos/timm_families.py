"""Families of timm's networks: do they train, are their heat maps Grad-CAM, and what does INT8 cost them?

    python benchmarks/few_photos/timm_families.py ../shared/data/flowers --out /tmp/families
    python benchmarks/few_photos/timm_families.py ../shared/data/flowers --out /tmp/families --networks convnext_atto

No pretrained weights are needed: networks begin with random weights and are trained for a few steps, batch norms get
the statistics of the photos, and the head is fitted to the pooled features by least squares. So accuracies say nothing
about what a network could learn; what counts is what a file loses against the network it was made from. The files are
made as ``export_network`` makes them, INT8 with the ranges of the training photos (minmax), and judged by the gate of
``edgeclf export``; the search that the command adds, other ranges and layers in float, is left out. Results are kept
line by line in OUT/families.jsonl: an interrupted benchmark goes on. Input: --size pixels; a network that does not take
them gets the least size above that it takes.
"""

import argparse
import json
import time
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgeclf import Classifier
from edgeclf.errors import UsageError
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf_export.graph.gradcam import cam_size
from edgeclf_export.graph.to_onnx import to_onnx
from edgeclf_export.int8.activation_ranges import minmax, observe
from edgeclf_export.int8.equalize import correct_bias, cross_layer_equalize
from edgeclf_export.int8.quantize import quantize
from edgeclf_export.pack.build import build_model, draft_manifest, seal_model
from edgeclf_export.verify.gate import Budget, HeldOut
from edgeclf_export.verify.gate import measure as judged
from edgeclf_export.verify.predictions import Predictions
from edgeclf_training.networks import Network, build_network, get_architecture, train_mode

FAMILIES = {
    "ResNet": "resnet18",
    "ConvNeXt": "convnext_atto",
    "MobileNetV4": "mobilenetv4_conv_small_035",
    "MobileNetV3": "mobilenetv3_small_050",
    "MobileNetV2": "mobilenetv2_050",
    "EfficientNet": "efficientnet_b0",
    "EfficientNetV2": "tf_efficientnetv2_b0",
    "RegNetY": "regnety_002",
    "RegNetX": "regnetx_002",
    "ResNeXt": "resnext26ts",
    "DenseNet": "densenet121",
    "GhostNet": "ghostnet_050",
    "RepVGG": "repvgg_a0",
    "LCNet": "lcnet_050",
    "MobileOne": "mobileone_s0",
    "HGNetV2": "hgnetv2_b0",
    "ViT": "vit_tiny_patch16_224",
    "Swin": "swin_tiny_patch4_window7_224",
    "FastViT": "fastvit_t8",
    "EfficientFormerV2": "efficientformerv2_s0",
    "TinyNet": "tinynet_e",
    "StarNet": "starnet_s050",
    "RepViT": "repvit_m0_9",
    "EdgeNeXt": "edgenext_xx_small",
    "EfficientViT-M": "efficientvit_m0",
    "InceptionNeXt": "inception_next_atto",
    "Inception": "inception_v3",
    "HRNet": "hrnet_w18_small",
    "EfficientFormer": "efficientformer_l1",
    "DeiT": "deit_tiny_distilled_patch16_224",
    "MaxViT": "maxvit_rmlp_pico_rw_256",
}
TRAIN_PHOTOS, TEST_PHOTOS, RANGE_PHOTOS, MAP_PHOTOS = 20, 24, 40, 3  # the first two of each class
STEPS, BATCH, RATE = 6, 16, 1e-3  # of training
_RIDGE = 1e-2  # of the features' mean square


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder of class folders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=128, help="pixels")
    parser.add_argument("--networks", nargs="+", default=list(FAMILIES.values()), metavar="NAME")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    log = given.out / "families.jsonl"
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for name in given.networks:
        if name not in {one["network"] for one in known}:
            known.append(measure(name, given.photos, given.size))
            with log.open("a") as file:
                file.write(json.dumps(known[-1]) + "\n")
            print(known[-1], flush=True)
    print("\n".join(table(known)))


def measure(name: str, folder: Path, wanted: int) -> dict[str, Any]:
    """Make, train, fit and export one network, and compare its files."""
    began = time.process_time()
    classes = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))
    torch.manual_seed(0)
    network, size = build(name, len(classes), wanted)
    train, labels = read(folder, classes, slice(0, TRAIN_PHOTOS), size)
    test, truth = read(folder, classes, slice(TRAIN_PHOTOS, TRAIN_PHOTOS + TEST_PHOTOS), size)
    result: dict[str, Any] = {"network": name, "px": size, "maps": network.has_heat_maps}
    result["losses"] = learn(network, train, labels)
    fit(network, train, labels)
    exact = logits_of(network, test)
    reference = Predictions("torch fp32", exact, 0)
    manifest = draft_manifest(classes, ImageContract(size), f"timm:{name}")
    maps = cam_size(network, size, network.has_heat_maps)
    graph = to_onnx(network, size)
    fp32 = seal_model(build_model(graph, maps, manifest, "fp32"))
    before = answers(fp32, test)
    result |= {"right": int((before.argmax(1) == truth).sum()), "photos": len(truth), "fp32_mb": len(fp32) / 1e6}
    result["difference"] = float(np.abs(exact - before).max() / np.abs(exact).max())
    if network.has_heat_maps:
        result["cam_difference"] = cam_difference(network, fp32, test[:: len(test) // MAP_PHOTOS])
    try:
        equal, stats = cross_layer_equalize(graph, observe(graph, train[:: len(train) // RANGE_PHOTOS]))
        int8 = seal_model(build_model(quantize(correct_bias(equal, stats), minmax(stats)), maps, manifest, "int8"))
    except Exception as error:  # a row of the table, not the end of the campaign
        return result | {"int8": f"{type(error).__name__}: {error}", "seconds": time.process_time() - began}
    after = answers(int8, test)
    held_out = HeldOut("test", classes, truth.astype(np.int64), reference)
    gate = judged(held_out, Predictions("onnx int8", after, len(int8)), Budget(), "minmax")
    lost, gained = (int((one & ~other).sum()) for one, other in both(exact, after, truth))
    return result | {
        "int8_right": gate.correct_after,
        "same": gate.agreeing,
        "lost": lost,
        "gained": gained,
        "passed": gate.passed,
        "error": float(np.sqrt(((after - exact) ** 2).mean()) / exact.std()),
        "int8_mb": len(int8) / 1e6,
        "seconds": time.process_time() - began,
    }


def build(name: str, classes: int, size: int) -> tuple[Network, int]:
    """The network with random weights, and the least size from ``size`` on that it takes, in steps of 32."""
    own = get_architecture(f"timm:{name}").image_size
    for side in (*range(size, own, 32), own):
        try:
            return build_network(f"timm:{name}", classes, image_size=side)[0], side
        except UsageError:
            if side == own:
                raise
    raise AssertionError("own is tried last")


def learn(network: Network, photos: Any, labels: Any) -> list[float]:
    """The losses of the first and the last of a few steps in which all weights learn."""
    train_mode(network)
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    losses = []
    for step in range(STEPS):
        part = slice(step * BATCH % (len(photos) - BATCH), None)
        batch, truth = torch.from_numpy(photos[part][:BATCH]), torch.from_numpy(labels[part][:BATCH])
        loss = torch.nn.functional.cross_entropy(network(batch), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    still = [name for name, one in network.named_parameters() if one.grad is None]
    if still:
        print(f"no gradient reaches {len(still)} weights, the first is {still[0]}")
    return [losses[0], losses[-1]]


def logits_of(network: Network, photos: Any) -> Any:
    """float32 ``[N, classes]``."""
    with torch.inference_mode():
        return torch.cat([network(torch.from_numpy(photos[i : i + 16])) for i in range(0, len(photos), 16)]).numpy()


def read(folder: Path, classes: Sequence[str], part: slice, size: int) -> tuple[Any, Any]:
    """Network inputs uint8 ``[N, size, size, 3]`` and class indices ``[N]``, in an order that mixes the classes."""
    found = []
    for index, label in enumerate(classes):
        files = sorted((folder / label).iterdir())
        order = np.random.default_rng(0).permutation(len(files))
        found += [(rank, index, files[i]) for rank, i in enumerate(order[part])]
    found.sort()
    contract = ImageContract(size)
    return np.stack([network_input(path, contract) for *_, path in found]), np.array([index for _, index, _ in found])


def fit(network: Network, photos: Any, labels: Any) -> None:
    """Batch norms get the statistics of the photos, the head what least squares give; the network is in eval mode."""
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    network.eval()
    for norm in norms:
        norm.momentum = None  # a plain average over the batches
        norm.reset_running_stats()
        norm.train()
    batches = [torch.from_numpy(photos[start : start + 24]) for start in range(0, len(photos), 24)]
    with torch.no_grad():
        if norms:
            for batch in batches:
                network.pool(network.features(network.normalize(batch)))
        network.eval()
        features = torch.cat([network.pool(network.features(network.normalize(b))).mean((2, 3)) for b in batches])
        mean = features.mean(0)
        centred = features - mean
        targets = torch.nn.functional.one_hot(torch.from_numpy(labels)).float() - 1 / len(set(labels.tolist()))
        gram = centred @ centred.T
        dual = torch.linalg.solve(gram + _RIDGE * gram.diagonal().mean() * torch.eye(len(gram)), targets)
        linear = network.head.linears[0]
        weight = 10 * (centred.T @ dual).T  # logits of a usual size
        linear.weight.copy_(weight)  # type: ignore[operator]
        linear.bias.copy_(-weight @ mean)  # type: ignore[operator]


def answers(model: bytes, photos: Any) -> Any:
    """Logits float32 ``[N, classes]`` of a file."""
    classifier = Classifier(model, threads=1)
    return np.stack([classifier.infer(photo)[0] for photo in photos])


def cam_difference(network: Network, model: bytes, photos: Any) -> float:
    """The largest difference between the file's maps and autograd's in float64, relative to each map's peak.

    In float32 autograd itself is up to 3e-4 off, where a map's peak is a thousandth of its summands.
    """
    classifier, exact, worst = Classifier(model, threads=1), deepcopy(network).double(), 0.0
    for photo in photos:
        _, maps, explained = classifier.infer(photo)
        with torch.no_grad():
            activation = exact.features(network.normalize(torch.from_numpy(photo[None])).double())
        activation.requires_grad_()
        logits, _ = exact.head.trace(exact.pool(activation))
        for ours, index in zip(maps, explained.tolist(), strict=True):
            (gradient,) = torch.autograd.grad(logits[0, index], activation, retain_graph=True)
            theirs = torch.relu((gradient.sum((2, 3), keepdim=True) * activation).sum(1))[0].detach().numpy()
            if theirs.max() > 0:
                worst = max(worst, float(np.abs(ours - theirs).max() / theirs.max()))
    return worst


def both(before: Any, after: Any, truth: Any) -> list[tuple[Any, Any]]:
    """Right before and after, and the other way round."""
    first, second = before.argmax(1) == truth, after.argmax(1) == truth
    return [(first, second), (second, first)]


def table(known: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown, in the order of ``FAMILIES``."""
    from edgeclf.evaluation.metrics import paired_interval

    heads = ("family", "network", "px", "loss, first and last step", "logits FP32", "maps FP32", "right FP32")
    more = ("INT8 lost/gained, points", "gate", "same answer", "error INT8", "FP32 / INT8, MB")
    lines = [f"| {' | '.join((*heads, *more))} |", "|---" * len((*heads, *more)) + "|"]
    by_name = {one["network"]: one for one in known}
    for family, name in FAMILIES.items():
        if (one := by_name.get(name)) is None:
            continue
        maps = f"{one['cam_difference']:.0e}" if one["maps"] else "none: `--no-cam`"
        first, last = one["losses"]
        row = f"| {family} | {name} | {one['px']} | {first:.2f}, {last:.2f} | {one['difference']:.0e} | {maps} | "
        row += f"{one['right']} of {one['photos']} | "
        if "int8" in one:
            lines.append(f"{row}{one['int8']} | | | | {one['fp32_mb']:.1f} |")
            continue
        low, high = paired_interval(one["lost"], one["gained"], one["photos"])
        change = 100 * (one["gained"] - one["lost"]) / one["photos"]
        gate = "passes" if one["passed"] else "fails"
        lines.append(
            f"{row}{one['lost']}/{one['gained']}, {change:+.1f} ({-100 * high:+.1f} to {-100 * low:+.1f}) | {gate} | "
            f"{one['same'] / one['photos']:.1%} | {one['error']:.3f} | {one['fp32_mb']:.1f} / {one['int8_mb']:.1f} |"
        )
    return lines


if __name__ == "__main__":
    main()
