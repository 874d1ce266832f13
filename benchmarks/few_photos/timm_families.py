"""Families of timm's networks: are their heat maps Grad-CAM, and what does INT8 cost them?

    python benchmarks/few_photos/timm_families.py ../shared/data/flowers --out /tmp/families
    python benchmarks/few_photos/timm_families.py ../shared/data/flowers --out /tmp/families --networks convnext_atto

No pretrained weights are needed: backbones have random weights, batch norms the statistics of the photos, and the head
is fitted to the pooled features by least squares. So accuracies say nothing about what a network could learn; what
counts is what a file loses against the network it was made from. The files are exported as ``export_network`` does it,
INT8 with the ranges of the training photos (minmax), without the search that ``edgeclf export`` adds. Results are kept
line by line in OUT/families.jsonl: an interrupted benchmark goes on.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgeclf import Classifier
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf_export import export_network
from edgeclf_export.pack.build import draft_manifest
from edgeclf_training.networks import Network, build_network, get_architecture
from edgeclf_training.report.gradcam import heat_maps

FAMILIES = {
    "ResNet": "resnet18",
    "DenseNet": "densenet121",
    "MobileNetV2": "mobilenetv2_050",
    "EfficientNet": "efficientnet_b0",
    "RegNet": "regnety_002",
    "RepVGG": "repvgg_a0",
    "TinyNet": "tinynet_e",
    "EfficientViT-M": "efficientvit_m0",
    "FastViT": "fastvit_t8",
    "StarNet": "starnet_s050",
    "RepViT": "repvit_m0_9",
    "ConvNeXt": "convnext_atto",
    "EdgeNeXt": "edgenext_xx_small",
    "MobileNetV3": "mobilenetv3_small_050",
    "MobileNetV4": "mobilenetv4_conv_small_035",
    "LCNet": "lcnet_050",
    "GhostNet": "ghostnet_050",
    "HGNetV2": "hgnetv2_b0",
    "InceptionNeXt": "inception_next_atto",
    "Swin": "swin_tiny_patch4_window7_224",
    "ViT": "vit_tiny_patch16_224",
    "DINOv2": "vit_small_patch14_dinov2",
}
TRAIN_PHOTOS, TEST_PHOTOS, RANGE_PHOTOS, MAP_PHOTOS = 24, 40, 48, 4  # the first two of each class
_RIDGE = 1e-2  # of the features' mean square


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder of class folders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", default=list(FAMILIES.values()), metavar="NAME")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    log = given.out / "families.jsonl"
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for name in given.networks:
        if name not in {one["network"] for one in known}:
            known.append(measure(name, given.photos))
            with log.open("a") as file:
                file.write(json.dumps(known[-1]) + "\n")
            print(known[-1], flush=True)
    print("\n".join(table(known)))


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Make, fit and export one network, and compare its files."""
    size = get_architecture(f"timm:{name}").image_size
    classes = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))
    train, labels = read(folder, classes, slice(0, TRAIN_PHOTOS), size)
    test, truth = read(folder, classes, slice(TRAIN_PHOTOS, TRAIN_PHOTOS + TEST_PHOTOS), size)
    torch.manual_seed(0)
    network, _ = build_network(f"timm:{name}", len(classes))
    fit(network, train, labels)
    manifest = draft_manifest(classes, ImageContract(size), f"timm:{name}")
    cam = network.has_heat_maps
    result: dict[str, Any] = {"network": name, "px": size, "maps": cam}
    fp32 = export_network(network, manifest, cam=cam)
    before = answers(fp32, test)
    result |= {"right": int((before.argmax(1) == truth).sum()), "photos": len(truth), "fp32_mb": len(fp32) / 1e6}
    with torch.inference_mode():
        exact = torch.cat([network(torch.from_numpy(test[i : i + 16])) for i in range(0, len(test), 16)]).numpy()
    result["difference"] = float(np.abs(exact - before).max() / np.abs(exact).max())
    if cam:
        result["cam_difference"] = cam_difference(network, fp32, test[:: len(test) // MAP_PHOTOS])
    try:
        int8 = export_network(network, manifest, train[:: len(train) // RANGE_PHOTOS], cam=cam)
    except Exception as error:  # a row of the table, not the end of the campaign
        return result | {"int8": f"{type(error).__name__}: {error}"}
    after = answers(int8, test)
    lost, gained = (int((one & ~other).sum()) for one, other in both(before, after, truth))
    error = float(np.sqrt(((after - before) ** 2).mean()) / before.std())
    return result | {
        "int8_right": int((after.argmax(1) == truth).sum()),
        "same": int((after.argmax(1) == before.argmax(1)).sum()),
        "lost": lost,
        "gained": gained,
        "error": error,
        "int8_mb": len(int8) / 1e6,
    }


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
    """The largest difference between the file's maps and autograd's, relative to each map's peak."""
    classifier, worst = Classifier(model, threads=1), 0.0
    for photo in photos:
        _, maps, explained = classifier.infer(photo)
        for ours, theirs in zip(maps, heat_maps(network, photo, [int(i) for i in explained]), strict=True):
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

    heads = ("family", "network", "px", "maps against autograd", "FP32 right", "INT8 lost/gained, points")
    lines = [f"| {' | '.join((*heads, 'same answer', 'error', 'MB'))} |", "|---|---|---|---|---|---|---|---|---|"]
    by_name = {one["network"]: one for one in known}
    for family, name in FAMILIES.items():
        if (one := by_name.get(name)) is None:
            continue
        maps = f"{one['cam_difference']:.0e}" if one["maps"] else "none: `--no-cam`"
        row = f"| {family} | {name} | {one['px']} | {maps} | {one['right']} of {one['photos']} | "
        if "int8" in one:
            lines.append(f"{row}{one['int8']} | | | {one['fp32_mb']:.1f} |")
            continue
        low, high = paired_interval(one["lost"], one["gained"], one["photos"])
        change = 100 * (one["gained"] - one["lost"]) / one["photos"]
        lines.append(
            f"{row}{one['lost']}/{one['gained']}, {change:+.1f} ({-100 * high:+.1f} to {-100 * low:+.1f}) | "
            f"{one['same'] / one['photos']:.1%} | {one['error']:.3f} | {one['fp32_mb']:.1f} / {one['int8_mb']:.1f} |"
        )
    return lines


if __name__ == "__main__":
    main()
