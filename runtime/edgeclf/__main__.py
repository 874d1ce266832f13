"""The commands ``edgeclf`` and ``python -m edgeclf``. Ctrl-C ends them without a traceback, also during imports."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and end the process."""
    try:
        from edgeclf.cli.app import main as run

        run()
    except KeyboardInterrupt:  # while modules are imported; later the command line handles it
        sys.exit(130)


if __name__ == "__main__":
    main()
