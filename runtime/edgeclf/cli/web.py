"""``edgeclf web``: a static site that runs a model in any browser, offline."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeclf.cli.console import Console, printable

if TYPE_CHECKING:
    from edgeclf.web.folder import Written


def web(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Default: $EDGECLF_MODEL, else the network in the package.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="DIR|FILE.html", help="New, or what this command wrote before. FILE.html: one page."
        ),
    ] = Path("site"),
    title: Annotated[
        str, typer.Option(metavar="TEXT", help="Name of the page, and of the app on a phone's home screen.")
    ] = "Classify photos",
    serve: Annotated[bool, typer.Option("--serve", help="Then show it on this machine, until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="For --serve; 0: any free port.")] = 8000,
) -> None:
    """Write a static site that classifies photos in the browser, with the answers of `edgeclf predict`.

    \b
    edgeclf web birds.onnx -o site/ --title "Birds of the island"
    edgeclf web birds.onnx -o site/ --serve              try it: http://127.0.0.1:8000
    edgeclf web birds.onnx -o birds.html                 one page, for an e-mail or a memory stick

    Copy the folder to any static web host, under any path, with https. After the first visit it works without a
    network, and phones can install it; photos never leave the device. Run the command again for a new model: visitors
    get all of the new files or none. Nothing that somebody else wrote into the folder is touched.
    """
    from edgeclf.errors import UsageError
    from edgeclf.model.default_model import default_model
    from edgeclf.model.file import read_model_file
    from edgeclf.web.browser_runtime import read_browser_runtime
    from edgeclf.web.folder import check_folder, write_site
    from edgeclf.web.one_file import SUFFIXES
    from edgeclf.web.site import make_site

    console = Console()
    if out.suffix.lower() in SUFFIXES and not out.is_dir():
        _one_page(model, out, title, serve, console)
        return
    check_folder(out)
    file, runtime = read_model_file(model or default_model()), read_browser_runtime()
    try:
        with console.waiting("compressing"):
            written = write_site(make_site(file, runtime, title), out)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{out}: cannot be written ({reason})", "name another folder") from error
    console.line(printable(_summary(out, written)))
    if serve:
        _serve(out, port, console)


def _one_page(model: str | None, out: Path, title: str, serve: bool, console: Console) -> None:
    from edgeclf.errors import UsageError
    from edgeclf.model.default_model import default_model
    from edgeclf.model.file import read_model_file
    from edgeclf.web.browser_runtime import read_browser_runtime
    from edgeclf.web.one_file import check_page, make_page, write_page
    from edgeclf.web.site import make_site

    if serve:
        raise UsageError("--serve is for a site in a folder", f"open {out} in a browser, or name a folder with -o")
    check_page(out)
    file, runtime = read_model_file(model or default_model()), read_browser_runtime()
    try:
        with console.waiting("compressing"):
            page = make_page(make_site(file, runtime, title))
            write_page(page, out)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror or error})", "name another file") from error
    console.line(printable(f"{out}: one page, {len(page) / 1e6:.1f} MB; it opens from the disk"))


def _summary(folder: Path, written: "Written") -> str:
    least = written.gzip if written.brotli is None else written.brotli
    did = f"{folder}: {written.files} files" if written.changed else f"{folder}: nothing has changed"
    return f"{did}, {written.plain / 1e6:.1f} MB; a first visit transfers {least / 1e6:.1f} MB"


def _serve(folder: Path, port: int, console: Console) -> None:
    from edgeclf.errors import UsageError
    from edgeclf.web.preview import listen

    try:
        server = listen(folder, port)
    except OSError as error:
        raise UsageError(f"port {port} cannot be used ({error.strerror})", "name another --port") from error
    console.line(f"serving at http://127.0.0.1:{server.server_address[1]}/")
    console.line("Ctrl-C ends it")
    with server:
        server.serve_forever()
