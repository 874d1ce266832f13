"""The types of the engine for pages of others: those of the module itself, and enough for a page in TypeScript."""

import json
import shutil
import subprocess
from pathlib import Path

USER = """
import { open, EngineError, type Classifier, type PhotoRecord } from "./edgeclf.js";
const classifier: Classifier = await open("birds/");
export async function best(photo: File): Promise<string> {
  const record: PhotoRecord = await classifier.classify(photo, { topK: 1 });
  return record.predictions?.[0].display_name ?? record.error?.message ?? "";
}
export const kind = (error: unknown) => (error instanceof EngineError ? error.kind : "other");
"""
SAME = """
import * as module from "./drop-in.js";
import * as types from "./edgeclf.js";
export const open: typeof types.open = module.open;
export const error: typeof types.EngineError = module.EngineError;
export const names: Record<keyof typeof module, unknown> = types;
"""


def _errors(folder: Path, page: Path, npm_packages: Path, **files: str) -> str:
    for module in page.glob("*.js"):
        shutil.copy(module, folder)
    shutil.copy(page / "edgeclf.d.ts", folder)
    for name, text in files.items():
        (folder / f"{name}.ts").write_text(text)
    config = json.loads((Path(__file__).parent / "tsconfig.json").read_text())
    config["include"] = [f"{name}.ts" for name in files]
    (folder / "tsconfig.json").write_text(json.dumps(config))
    tsc = npm_packages / ".bin" / "tsc"
    return subprocess.run([tsc, "-p", folder], capture_output=True, text=True, timeout=120).stdout


def test_a_page_in_typescript(page: Path, npm_packages: Path, tmp_path: Path) -> None:
    assert _errors(tmp_path, page, npm_packages, user=USER) == ""
    wrong = USER.replace("{ topK: 1 }", "{ top: 1 }").replace("error.kind", "error.sort")
    found = _errors(tmp_path, page, npm_packages, user=wrong)
    assert found.count("error TS") == 2


def test_the_types_are_the_modules(page: Path, npm_packages: Path, tmp_path: Path) -> None:
    assert _errors(tmp_path, page, npm_packages, same=SAME) == ""
    types = tmp_path / "edgeclf.d.ts"
    types.write_text(types.read_text().replace("isExact(record: PhotoRecord): boolean", "isExact(): string"))
    tsc = npm_packages / ".bin" / "tsc"
    done = subprocess.run([tsc, "-p", tmp_path], capture_output=True, text=True, timeout=120)
    assert "same.ts(4" in done.stdout
