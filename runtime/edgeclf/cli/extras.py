"""Optional parts of edgeclf: is what a command needs installed?"""

from importlib.util import find_spec

from edgeclf.errors import BackendError


def require(extra: str, *modules: str) -> None:
    """Check that the packages of an extra are installed, without importing them.

    Raises:
        BackendError: one is missing.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise BackendError(f"this command needs {', '.join(missing)}", f'pip install "edgeclf[{extra}]"')
