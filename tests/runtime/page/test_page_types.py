"""The page's modules are plain JavaScript whose types are checked: JSDoc and TypeScript's strict rules."""

import re
import subprocess
from pathlib import Path

OUTSIDE = re.compile(r"""(?:src|href|url|import|from|fetch)\W{1,3}(?:https?:)?//""")


def _check(folder: Path, npm_packages: Path) -> "subprocess.CompletedProcess[str]":
    tsc = npm_packages / ".bin" / "tsc"
    return subprocess.run([tsc, "-p", folder], capture_output=True, text=True, timeout=120)


def test_types(npm_packages: Path) -> None:
    done = _check(Path(__file__).parent, npm_packages)
    assert done.returncode == 0, done.stdout


def test_a_wrong_type_is_found(npm_packages: Path, tmp_path: Path) -> None:
    config = Path(__file__).with_name("tsconfig.json").read_text()
    (tmp_path / "tsconfig.json").write_text(re.sub('"include": .*', '"include": ["*.js"]', config))
    (tmp_path / "wrong.js").write_text("/** @param {number} n */\nexport const half = (n) => n.length / 2;\n")
    done = _check(tmp_path, npm_packages)
    assert done.returncode != 0
    assert "wrong.js(2,30)" in done.stdout


def test_files_are_short(page: Path) -> None:
    for file in page.glob("*.js"):
        assert len(file.read_text().splitlines()) <= 300, file.name


def test_nothing_comes_from_elsewhere(page: Path) -> None:
    files = [*page.glob("*.js"), *page.glob("*.css"), *page.glob("*.html")]
    assert len(files) > 2
    for file in files:
        assert not OUTSIDE.search(file.read_text()), file.name


def test_no_inline_script_nor_style(page: Path) -> None:
    for file in page.glob("*.html"):
        text = file.read_text()
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text), file.name
        assert all('src="' in tag for tag in re.findall("<script[^>]*>", text)), file.name


def test_icons_need_no_service(page: Path) -> None:
    """When the service is away, an icon that was not shown before could not be fetched."""
    for name in ("page.css", "main.css"):
        assert set(re.findall(r"url\(.{5}", (page / name).read_text())) <= {"url('data"}, name


def test_every_icon_has_a_shape(page: Path) -> None:
    styles = "".join(css.read_text() for css in page.glob("*.css"))
    used = {
        name
        for file in (*page.glob("*.js"), *page.glob("*.html"))
        for name in re.findall(r"icon (icon-\w+)", file.read_text())
    }
    assert len(used) > 4
    assert [name for name in used if f".{name} {{" not in styles] == []
