"""The command line. Commands are found by name and imported only when called or listed."""

import errno
import functools
import gc
import math
import os
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from edgeclf import __version__
from edgeclf.cli.console import printable
from edgeclf.cli.typer_types import convert_without_pydantic
from edgeclf.cli.usage_errors import ParserError, in_one_line, no_such_command, wants_help
from edgeclf.errors import EdgeclfError, RecordError, UsageError

EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_CLOSED_PIPE = 141  # 128 + SIGPIPE
_UNWRITABLE = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG, errno.EIO, errno.EROFS, errno.EBADF)

# The runtime's own commands; training and export add theirs through the entry-point group.
_OWN = {
    name: f"edgeclf.cli.{name}:{name}"
    for name in (
        "predict",
        "watch",
        "suggest",
        "serve",
        "web",
        "evaluate",
        "compare",
        "info",
        "doctor",
        "devices",
        "bench",
    )
}
_GROUP = "edgeclf.commands"

EPILOG = (
    "Exit codes: 0 all photos were classified, now or in an earlier record, 1 photos could not be read or explained, or"
    " `data check` found problems, 2 usage, 3 the model file cannot be used or fails its self-test, 4 the backend, "
    "the device or an extra is not available, or a process that loads photos was killed, "
    "5 training photos, weights or a run folder cannot be used, 6 an "
    "exported file did not pass its checks, 7 a record file, a review folder or standard output cannot be used or "
    "written, 130 interrupted, 141 the reader of the output ended."
)


def _plugins() -> dict[str, str]:
    """Commands of the other packages: name -> "module:function", or "module:dictionary" for a group of them."""
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in sorted(entry_points(group=_GROUP))}


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return [*_OWN, *(name for name in _plugins() if name not in _OWN)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        target = _OWN.get(cmd_name) or _plugins().get(cmd_name)
        if target is None:
            return None
        module, function = target.split(":")
        app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
        found = getattr(import_module(module), function)
        if isinstance(found, dict):  # a group: commands by name
            app.callback(help=import_module(module).__doc__, no_args_is_help=True)(lambda: None)
        for name, command in (found if isinstance(found, dict) else {cmd_name: found}).items():
            app.command(name, epilog=EPILOG)(_quiet(command))
        return convert_without_pydantic(typer.main.get_command(app))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in _OWN and args[0] not in _plugins():
            raise no_such_command(args[0], self.list_commands(ctx))
        if "--ray" in args:
            from edgeclf.cli.predict_cluster import with_address

            args = with_address(args)
        return super().resolve_command(ctx, args)


def _quiet(command: Callable[..., None]) -> Callable[..., None]:
    """Hide Pillow's warnings, refuse empty arguments, and end with one line if standard output cannot be written."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        warnings.filterwarnings("ignore", module="PIL")  # preprocessing has its own limits and messages
        for name, value in kwargs.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise UsageError(f"--{name.replace('_', '-')} is {value}", "give a finite number")
            # An empty name among photos is a photo that does not exist; the others are classified.
            empty = Path() in value if isinstance(value, list) else value in ("", Path())
            if empty and "" in sys.argv:  # else the user typed the current folder
                raise UsageError("an argument is empty", "name a file or a folder; the current one is .")
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            _give_up_stdout()
            raise typer.Exit(EXIT_CLOSED_PIPE) from None
        except OSError as error:
            if error.filename is not None or error.errno not in _UNWRITABLE:
                raise
            _give_up_stdout()  # commands handle the errors of files that they write
            what = f"standard output cannot be written ({error.strerror})"
            raise RecordError(what, "make room, or name another file") from error

    return wrapped


def _give_up_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit succeeds


_app = typer.Typer(
    cls=_Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    epilog=EPILOG,
    help="Fine-tune an image classifier on a folder of photos, export one .onnx file, run it anywhere.\n\n"
    "\b\n"
    "edgeclf predict photo.jpg                   classify a photo\n"
    "edgeclf predict photo.jpg --cam why.png     and show where the evidence lies\n"
    "edgeclf watch in/ --out answers.csv         classify new photos in a folder\n"
    "edgeclf suggest birds.onnx card/             the photos most worth a label\n"
    "edgeclf serve --host 0.0.0.0                a page for phones, an API for scripts\n"
    "edgeclf web birds.onnx -o site/             a site for phones that works offline\n"
    "edgeclf evaluate birds.onnx photos/         accuracy on photos of known classes\n"
    "edgeclf compare a.onnx b.onnx photos/       two models on the same photos\n"
    "edgeclf train photos/ --out runs/birds      fine-tune on class folders\n"
    "edgeclf export runs/birds -o birds.onnx     one file for the field\n"
    "edgeclf doctor birds.onnx                   check that it predicts here as it did there\n"
    "edgeclf bench birds.onnx                    measure its speed on this machine",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgeclf {__version__}")
        raise typer.Exit


@_app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the full trace of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del debug, version  # --version is handled already; run() looks for --debug itself


def run() -> NoReturn:
    """Run the command line; ends in SystemExit."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the process that started this one
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # file names and class names must not fail on any console encoding
            stream.reconfigure(errors="backslashreplace")
    if os.getpid() == 1:
        _end_on_signals()
    try:
        code = convert_without_pydantic(typer.main.get_command(_app))(prog_name="edgeclf", standalone_mode=False)
    except ParserError as error:
        if wants_help(error):
            error.show()
            sys.exit(UsageError.exit_code)
        _fail(in_one_line(error, _invoked()))
    except EdgeclfError as error:
        if "--debug" in sys.argv[1:]:
            raise
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except FileNotFoundError:
        if _in_a_folder():
            raise
        _fail(UsageError("the working folder was deleted", "cd to one that exists"))
    sys.exit(code if isinstance(code, int) else 0)


def main() -> NoReturn:
    """Run the command line and end the process, at once if nothing is left to clean up.

    Two things save a single photo about a tenth of its processor time (docs/design.md): no search for
    unused objects during imports, and the runtime's own commands end without freeing numpy, onnxruntime and the network
    object by object.
    """
    gc.set_threshold(50_000)
    try:
        run()
    except SystemExit as end:
        if _invoked() not in _OWN or not isinstance(end.code, int) or "--debug" in sys.argv[1:]:
            raise
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):  # Python handles closed streams when it ends
            raise end from None
        os._exit(end.code)


def _in_a_folder() -> bool:
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


def _end_on_signals() -> None:
    """End on SIGTERM and SIGHUP: they do not end the first process of a container by default."""
    import signal

    def end(number: int, frame: object) -> None:
        os._exit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)


def _invoked() -> str:
    """The name of the command, from arguments that are not parsed yet; options before it take no value."""
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def _fail(error: EdgeclfError) -> NoReturn:
    typer.echo(f"edgeclf: {printable(str(error))}", err=True)
    sys.exit(error.exit_code)
