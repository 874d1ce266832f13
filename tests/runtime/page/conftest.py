"""Runs the page's modules under node, and finds the tools that come from npm."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgeclf
import pytest

PAGE = Path(edgeclf.__file__).with_name("page")
NPM_PACKAGES = ("typescript@7.0.2", "axe-core@4.14.1")


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


@pytest.fixture(scope="session")
def npm_packages(once: Callable[..., Path]) -> Path:
    """The folder ``node_modules`` with TypeScript and axe-core; skips where npm cannot get them."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm")

    def install(folder: Path) -> None:
        folder.mkdir()
        options = ("--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0")
        command = [npm, "install", "--prefix", str(folder), *options, *NPM_PACKAGES]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
            problem = done.stderr.strip() if done.returncode else ""
        except subprocess.TimeoutExpired:
            problem = "no answer"
        (folder / "problem.txt").write_text(problem)

    folder = once("page-npm", install)
    if problem := (folder / "problem.txt").read_text():
        pytest.skip(f"npm cannot get {' and '.join(NPM_PACKAGES)}: {problem.splitlines()[-1]}")
    return folder / "node_modules"
