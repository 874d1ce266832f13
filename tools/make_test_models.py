"""Make the small model files that stand in for torch in the runtime's tests.

    python tools/make_test_models.py

Writes ``tests/runtime/models/small``; which files there are, ``tests/small_models.py`` says.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from small_models import write_committed

    write_committed()
