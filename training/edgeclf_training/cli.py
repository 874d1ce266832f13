"""``edgeclf train`` and ``edgeclf sample-data``. torch and its friends are imported only inside the commands."""

from pathlib import Path
from typing import Annotated

import typer
from edgeclf.cli.extras import require
from edgeclf.errors import UsageError


def train(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA...", help="Folders with one sub-folder per class, or a .zip.")
    ],
    arch: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="efficientnet_lite0 (default), resnet50, vgg16 or cnn4.", show_default=False),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="imagenet|FILE|none", help="First weights; default: imagenet where there are.")
    ] = None,
    head: Annotated[str | None, typer.Option(metavar="linear|mlp", help="Default: linear; mlp for cnn4.")] = None,
    augment: Annotated[str, typer.Option(metavar="default|none", help="Augmentation of training photos.")] = "default",
    epochs: Annotated[int, typer.Option(metavar="N", help="Epochs in all, the frozen ones included.")] = 8,
    freeze_epochs: Annotated[
        int | None,
        typer.Option(metavar="N", help="First epochs, base frozen; default: 1 of several, if pretrained."),
    ] = None,
    unfreeze: Annotated[str, typer.Option(metavar="STAGE|all", help="First stage trained after that.")] = "all",
    image_size: Annotated[
        int | None, typer.Option(metavar="N", help="Network input, pixels; default: 224; 128 for cnn4.")
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(
            metavar="crop|pad|squash",
            help="crop: centre square (default); pad: letterbox in black; squash: ignore the aspect ratio.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Photos per step.")] = 32,
    classes: Annotated[str, typer.Option(metavar="A,B,C", help="Use these class folders only.")] = "",
    max_per_class: Annotated[
        int | None, typer.Option(metavar="N", help="Use at most this many photos per class.")
    ] = None,
    quarantine: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Leave out what this list names; see `edgeclf data check`.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of every random decision.")] = 0,
    device: Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="What to train on.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Loader processes; default: as many as CPUs, up to 8.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--from", metavar="RUN", help="Go on from an earlier run, with these photos.")
    ] = None,
    logger: Annotated[str, typer.Option(metavar="csv|tensorboard", help="tensorboard writes event files too.")] = "csv",
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="Run folder; default: runs/DATA-ARCH.")] = None,
) -> None:
    """Fine-tune a classifier on folders of photos.

    \b
    edgeclf train photos/
    edgeclf train photos/ --arch resnet50 --epochs 12 --freeze-epochs 3 --unfreeze layer3
    edgeclf train photos/ --arch cnn4 --weights none --resize pad --epochs 50
    edgeclf train photos/ new-photos/ --from runs/photos-resnet50 --epochs 3

    DATA holds train/ and optionally val/ and test/, each with one folder per class, or class folders alone.
    Without val/, a seeded 20 % of the training photos validates. Duplicates never lie on both sides. Photos are only
    ever read. The weights kept are those of the epoch that did best on the validation photos.

    \b
    Then: edgeclf export RUN -o MODEL.onnx
    """
    for value, known, flag in (
        (resize, ("crop", "pad", "squash"), "--resize"),
        (device, ("auto", "cpu", "cuda"), "--device"),
        (logger, ("csv", "tensorboard"), "--logger"),
    ):
        if value is not None and value not in known:
            raise UsageError(f"{flag} {value}: give {', '.join(known)}")
    require("train", "torch", "torchvision", "pytorch_lightning", "torchmetrics", "albumentations", "matplotlib")
    from edgeclf_training.console import Console
    from edgeclf_training.data import find_photos
    from edgeclf_training.quarantine import read_quarantine
    from edgeclf_training.zips import data_name, open_data

    console = Console()
    chosen = tuple(name.strip() for name in classes.split(",") if name.strip())
    left_out = read_quarantine(quarantine) if quarantine else None
    with console.progress("unpacking") as progress:
        folders = open_data(data, progress)
    find_photos(folders, only=chosen)  # a wrong folder should not take torch's import to be found
    with console.waiting("loading torch"):
        from edgeclf_training.runs import TrainOptions, load_run
        from edgeclf_training.training import train as run_training

    earlier = load_run(start) if start else None
    if earlier is not None:
        kept = earlier.options
        for given, has, flag in (
            (arch, kept.architecture, "--arch"),
            (head, kept.head, "--head"),
            (image_size, kept.image_size, "--image-size"),
            (resize, kept.resize, "--resize"),
            (weights, None, "--weights"),
        ):
            if given is not None and given != has:
                raise UsageError(f"{flag} {given} contradicts --from {start}", f"leave {flag} out")
    options = TrainOptions(
        architecture=arch or "efficientnet_lite0",
        weights=weights,
        head=head,
        augment=augment,
        epochs=epochs,
        freeze_epochs=freeze_epochs,
        unfreeze=unfreeze,
        image_size=image_size,
        resize=resize or "crop",  # type: ignore[arg-type]
        batch_size=batch_size,
        classes=chosen,
        max_per_class=max_per_class,
        seed=seed,
        device=device,
        workers=workers,
    )
    name = earlier.options.architecture if earlier else options.architecture
    run = run_training(
        folders,
        out or _unused(Path("runs") / f"{data_name(data[0])}-{name}"),
        options,
        start=earlier,
        quarantine=left_out,
        logger=logger,
        console=console,
    )
    typer.echo(f"run: {run.folder}\nnext: edgeclf export {run.folder} -o {run.folder.name}.onnx --int8")


def sample_data(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    per_class: Annotated[int, typer.Option(metavar="N", help="Photos per species.")] = 100,
    size: Annotated[int, typer.Option(metavar="N", help="Longer side, pixels.")] = 224,
    seed: Annotated[int, typer.Option(metavar="N", help="Another seed draws other photos.")] = 0,
) -> None:
    """Draw photos of six penguin species.

    \b
    edgeclf sample-data penguins/
    edgeclf train penguins/ --epochs 4

    Something to try everything on, offline: each species has its real field marks, and marks.json holds, for each
    photo, the box of the mark that tells the species.
    """
    from edgeclf_training.console import Console
    from edgeclf_training.sample_data import write_sample_data

    try:
        with Console().progress("drawing") as progress:
            drawn = write_sample_data(folder, per_class=per_class, size=size, seed=seed, progress=progress)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error
    typer.echo(f"{drawn.photos} photos of {len(drawn.classes)} species: {drawn.folder}")


def _unused(folder: Path) -> Path:
    number, candidate = 1, folder
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate
