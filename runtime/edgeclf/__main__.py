"""``python -m edgeclf``."""

from edgeclf.cli import main

if __name__ == "__main__":
    main()
