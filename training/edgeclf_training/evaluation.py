"""Counting a trained network's answers on held-out photos."""

import csv
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from edgeclf.files import write_atomically
from edgeclf.manifest import Figures
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassConfusionMatrix

from edgeclf_training.networks import Network

_NAMED, _NUMBERED = 100, 40  # classes beyond which names, and numbers, in the picture are noise


def evaluate(network: Network, photos: DataLoader[Any], classes: int, split: str, device: str = "cpu") -> Figures:
    """Count right and wrong answers.

    Args:
        network: put in eval mode.
        photos: batches of (uint8 ``[N, size, size, 3]``, int64 ``[N]``).
        classes: number of classes.
        split: "validation" or "test"; recorded.
        device: torch device to compute on.
    """
    network.eval().to(device)
    confusion = MulticlassConfusionMatrix(num_classes=classes, validate_args=False).to(device)
    with torch.inference_mode():
        for images, labels in photos:
            confusion.update(network(images.to(device)).argmax(1), labels.to(device))
    network.cpu()
    counts = confusion.compute().cpu()
    rows = tuple(tuple(int(n) for n in row) for row in counts)
    return Figures(split, int(counts.sum()), int(counts.trace()), rows)


def write_confusion(figures: Figures, classes: Sequence[str], folder: Path) -> None:
    """Write ``confusion.csv`` (rows: true class, columns: predicted) and its picture ``confusion.png``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["true \\ predicted", *classes])
    writer.writerows([name, *row] for name, row in zip(classes, figures.confusion, strict=True))
    write_atomically(folder / "confusion.csv", lambda f: f.write(text.getvalue().encode()))

    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    side = min(40.0, max(4.0, 0.5 * len(classes) + 2.5))  # inches; a thousand classes still make a picture
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    shares = torch.tensor(figures.confusion, dtype=torch.float)
    shares = shares / shares.sum(1, keepdim=True).clamp(min=1)
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= _NAMED:
        axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", parse_math=False)
        axes.set_yticks(range(len(classes)), classes, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{figures.split}: {figures.correct} of {figures.photos} right ({figures.accuracy:.1%})")
    if len(classes) <= _NUMBERED:
        for row, counts in enumerate(figures.confusion):
            for column, count in enumerate(counts):
                if count:
                    colour = "white" if shares[row, column] > 0.5 else "black"
                    axes.text(column, row, str(count), ha="center", va="center", color=colour)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names in scripts that the font lacks are drawn as boxes
        write_atomically(folder / "confusion.png", lambda f: figure.savefig(f, format="png", dpi=110))
