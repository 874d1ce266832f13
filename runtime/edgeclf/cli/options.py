"""Options that several commands share."""

from typing import Annotated

import typer

Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|openvino|PROVIDER", help="The device to run on.")]
Threads = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="CPU threads; default: all that this process may use.")
]
LowMemory = Annotated[
    bool, typer.Option("--low-memory", help="For small boards: one photo at a time, memory returned after each.")
]
NoExif = Annotated[bool, typer.Option("--no-exif", help="Leave time, place and camera of photos out of the records.")]
Ray = Annotated[
    str | None,
    typer.Option("--ray", metavar="[ADDRESS]", help="Use a Ray cluster; without ADDRESS one on this machine."),
]
