"""The packages of others, from npm and PyPI, in a folder that is not part of edgeclf."""

import subprocess
import sys
from pathlib import Path

NPM = ("@huggingface/transformers@4.3.2", "@tensorflow/tfjs@4.22.0", "@tensorflow/tfjs-backend-wasm@4.22.0")
PYPI = ("transformers==5.24.0", "tokenizers==0.23.3", "regex")


def fetch(folder: Path) -> None:
    """Install what is missing: `node_modules`, and `python` for the answers of transformers in Python."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules").is_dir():
        npm = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder)
        subprocess.run([*npm, *NPM], check=True, stdout=sys.stderr)
    if not (folder / "python").is_dir():
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder / "python")
        subprocess.run([*pip, *PYPI], check=True, stdout=sys.stderr)
