"""What epochs with a frozen base cost, against one ordinary epoch in the same run.

    python benchmarks/frozen_base.py PHOTOS [--arch efficientnet_lite0] [--image-size 224]

Without augmentation the base's features are computed once: 30 frozen epochs should cost at most two ordinary ones.
"""

import argparse
import tempfile
import time
from pathlib import Path

from edgeclf.events import Event, Message
from edgeclf_training.config.options import TrainOptions
from edgeclf_training.fit.messages import EpochEnd
from edgeclf_training.fit.train import train

FROZEN = 30


class _Watch:
    """Notes when training began and when its epochs ended; validation and the features' pass are in between."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Message) and event.text.startswith("run folder"):
            self.began = time.perf_counter()
        if isinstance(event, EpochEnd):
            self.ended = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photos", type=Path, help="a folder of class folders")
    parser.add_argument("--arch", default="efficientnet_lite0")
    parser.add_argument("--image-size", type=int, default=224)
    given = parser.parse_args()
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, epochs, frozen in (
            ("warm-up", 1, 0),
            ("one ordinary epoch", 1, 0),
            ("frozen epochs", FROZEN, FROZEN),
        ):
            watch = _Watch()
            options = TrainOptions(
                arch=given.arch,
                image_size=given.image_size,
                epochs=epochs,
                freeze_epochs=frozen,
                augment="none",
                early_stopping=0,
            )
            train([given.photos], Path(folder) / name, options, report=False, on_event=watch)
            seconds[name] = watch.ended - watch.began
    ordinary, all_frozen = seconds["one ordinary epoch"], seconds["frozen epochs"]
    print(
        f"one ordinary epoch {ordinary:.1f} s; {FROZEN} frozen epochs {all_frozen:.1f} s: {all_frozen / ordinary:.2f}x"
    )


if __name__ == "__main__":
    main()
