"""``edgeclf sample-data``: draw photos to try all commands with."""

from pathlib import Path
from typing import Annotated

import typer
from edgeclf.errors import UsageError


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

    They serve to try all commands offline. Each species has its real field marks. marks.json holds, for each photo, the
    box of the mark that identifies the species.
    """
    from edgeclf.cli.console import Console

    from edgeclf_samples import write_sample_data

    try:
        with Console().progress("drawing") as progress:
            drawn = write_sample_data(folder, per_class=per_class, size=size, seed=seed, progress=progress)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error
    typer.echo(f"{drawn.photos} photos of {len(drawn.classes)} species: {drawn.folder}")
