"""Runs the page's modules under node."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgeclf
import pytest

PAGE = Path(edgeclf.__file__).with_name("page")


@pytest.fixture(scope="session")
def page() -> Path:
    """The folder of the page's files."""
    return PAGE


@pytest.fixture(scope="session")
def jpeg_decoder() -> Path:
    """The JPEG decoder of the browser runtime; skips where it was not fetched."""
    file = PAGE / "vendor" / "jpeg-turbo.wasm"
    if not file.is_file():
        pytest.skip("needs the browser runtime: python tools/fetch_web_runtime.py")
    return file


@pytest.fixture(scope="session")
def in_node(once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Runs a script beside the page's modules: in_node(script, argument) gives what the script returns.

    The script is the body of an async function; ``argument`` and its result pass as JSON.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")

    def copy(folder: Path) -> None:
        folder.mkdir()
        for module in PAGE.glob("*.js"):
            shutil.copy(module, folder)
        (folder / "package.json").write_text('{"type": "module"}')

    modules = once("page-modules", copy)

    def run(script: str, argument: object = None) -> Any:
        code = f"""
            const load = (name) => import("{modules.as_uri()}/" + name);
            const chunks = [];
            for await (const chunk of process.stdin) chunks.push(chunk);
            const argument = JSON.parse(Buffer.concat(chunks).toString());
            const result = await (async () => {{ {script} }})();
            process.stdout.write(JSON.stringify(result ?? null));
        """
        done = subprocess.run(
            [node, "--input-type=module", "--eval", code],
            input=json.dumps(argument).encode(),
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    return run
