"""Networks by name: edgeclf's own, those of installed packages, and those that a program registers."""

import re
from importlib.metadata import EntryPoint, entry_points

from edgeclf.errors import UsageError

from edgeclf_training.networks.architectures import ARCHITECTURES, Architecture

TIMM = "timm:"  # before the names of timm's networks; no other name has a colon
_GROUP = "edgeclf.architectures"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")

_registered: dict[str, Architecture] = {}


def register_architecture(name: str, architecture: Architecture) -> None:
    """Make a network available under a name, in this process: to ``train``, ``load_run`` and ``export_run``.

    A package makes it available to every process and to the command line by an entry point instead. Its value
    names an ``Architecture``::

        [project.entry-points."edgeclf.architectures"]
        tinynet = "tinynet:TINYNET"

    Args:
        name: 1 to 64 of a-z, 0-9, ``_``, ``.`` and ``-``; runs and model files keep it.
        architecture: how to build the network, and its defaults. If the name was registered before, as when a
            notebook cell runs again, this one replaces it.

    Raises:
        UsageError: edgeclf or a package has a network of that name, or the name has other characters.

    Example:
        >>> from dataclasses import replace
        >>> from edgeclf_training import get_architecture, register_architecture
        >>> small = replace(get_architecture("cnn4"), image_size=64)
        >>> register_architecture("cnn4_small", small)
        >>> get_architecture("cnn4_small").image_size
        64
    """
    _check_name(name)
    if name in ARCHITECTURES or name in _plugins():
        raise UsageError(f"there is a network {name!r} already", "choose another name")
    _registered[name] = architecture


def architecture_names() -> tuple[str, ...]:
    """Names of all networks: edgeclf's own first, then others in alphabetical order. Imports no package.

    Returns:
        Every value that ``TrainOptions.arch`` takes.

    Example:
        >>> from edgeclf_training import architecture_names
        >>> architecture_names()[:3]
        ('efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2')
    """
    return (*ARCHITECTURES, *sorted({*_registered, *_plugins()} - set(ARCHITECTURES)))


def get_architecture(name: str) -> Architecture:
    """The architecture of that name. A package that provides it is imported now; edgeclf's own names take precedence.

    ``timm:NAME`` is a network of timm (extra ``[timm]``), such as ``timm:convnext_atto`` or ``timm:resnet18.a1_in1k``.

    Returns:
        How to build the network, and its defaults.

    Raises:
        UsageError: there is none, two packages provide it, or the package cannot be imported.
        BackendError: it is a network of timm, and timm is not installed.
    """
    if known := ARCHITECTURES.get(name) or _registered.get(name):
        return known
    if name.startswith(TIMM):
        from edgeclf_training.networks.timm_architecture import timm_architecture  # timm is an optional package

        return timm_architecture(name.removeprefix(TIMM))
    found = _plugins().get(name, [])
    if not found:
        names = ", ".join(architecture_names())
        remedy = f"choose one of {names}, {TIMM}NAME, or install the package that provides it"
        raise UsageError(f"no architecture {name!r}", remedy)
    if len(found) > 1:
        packages = " and ".join(_package(entry) for entry in found)
        raise UsageError(f"several packages provide a network {name!r}: {packages}", "uninstall all but one of them")
    return _loaded(found[0])


def _plugins() -> dict[str, list[EntryPoint]]:
    """Entry points by the name of their network."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=_GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def _check_name(name: str) -> None:
    """Run folders, recipes and model files keep the name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a network", "use 1 to 64 of a-z, 0-9, _ . and -")


def _loaded(entry: EntryPoint) -> Architecture:
    _check_name(entry.name)
    try:
        found = entry.load()
    except (Exception, SystemExit) as error:  # third-party code may raise anything when it is imported
        what = f"the network {entry.name!r} of the package {_package(entry)} cannot be loaded ({in_one_line(error)})"
        raise UsageError(what, f"pip install --upgrade {_package(entry)}, or choose another network") from error
    if not isinstance(found, Architecture):
        what = f"{entry.value} of the package {_package(entry)} is not an edgeclf_training.Architecture"
        raise UsageError(what, "report it to the package's authors")
    return found


def in_one_line(error: BaseException) -> str:
    """The type and the first line of what third-party code raised."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value
