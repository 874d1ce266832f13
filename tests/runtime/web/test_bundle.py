"""Modules put together into one script, which node runs."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from edgeclf.web.browser_runtime import PAGE_FOLDER
from edgeclf.web.bundle import bundle

MODULES = {
    "main.js": 'import { double as twice } from "./math-rules.js";\n'
    'import {\n  NAME,\n  Box,\n} from "./names.js";\n'
    '/** @typedef {import("./names.js").Box} Typed */\n'
    'const late = async () => (await import("./late.js")).late;\n'
    "const found = await late();\n"
    "console.log(JSON.stringify([twice(4), NAME, new Box().side, found()]));\n",
    "math-rules.js": 'import { NAME } from "./names.js";\n'
    "const hidden = 2;\nexport function double(n) {\n  return NAME.length * 0 + n * hidden;\n}\n",
    "names.js": 'const hidden = "n";\nexport const NAME = hidden;\nexport class Box {\n  side = 3;\n}\n',
    "late.js": "export async function unused() {}\nexport function late() {\n  return 5;\n}\n",
    "never.js": "throw new Error();\n",
}


def test_one_script_does_what_the_modules_do(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    for name, text in MODULES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "one.mjs").write_text(bundle(MODULES, "main.js"))
    said = [
        subprocess.run([node, tmp_path / name], capture_output=True, text=True, timeout=60, check=True).stdout
        for name in ("main.js", "one.mjs")
    ]
    assert said[0] == said[1]
    assert json.loads(said[1]) == [8, "n", 3, 5]


def test_each_module_is_there_once_and_before_its_users() -> None:
    script = bundle(MODULES, "main.js")
    assert [script.count(f"const ${name} = ") for name in ("names", "math_rules", "late", "main", "never")] == [
        *(1, 1, 1, 0, 0)
    ]
    assert script.index("const $names") < script.index("const $math_rules") < script.index("const found")


def test_a_dynamic_import_of_what_is_not_there_stays() -> None:
    text = 'const http = async () => (await import("./engine-http.js")).httpEngine();\n'
    assert bundle({"main.js": text}, "main.js") == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("export let count = 0;\n", r"a\.js: cannot be put into one file: export let"),
        ("export default 3;\n", "export default"),
        ('export { b } from "./b.js";\n', "export { b }"),
        ('import * as b from "./b.js";\n', r"import \* as b"),
        ('import b from "./b.js";\n', "import b"),
        ('import "./b.js";\n', 'import "./b.js"'),
        ('import { b } from "elsewhere";\n', "import { b } from"),
        ('import { b } from "./b.js";\n', r"a\.js imports b\.js, which is missing"),
        ('import { main } from "./main.js";\n', r"main\.js > a\.js > main\.js"),
    ],
)
def test_what_is_not_understood_is_an_error(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        bundle({"main.js": 'import { a } from "./a.js";\n', "a.js": text}, "main.js")


def test_every_module_of_the_page_is_understood() -> None:
    modules = {path.name: path.read_text() for path in PAGE_FOLDER.glob("*.js")}
    for entry in ("main.js", "worker.js"):
        assert len(bundle(modules, entry)) > 20_000
