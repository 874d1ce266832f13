"""The tables of the comparison, as Markdown."""

import json
import re
from pathlib import Path
from typing import Any


def write_tables(folder: Path) -> Path:
    """Write the tables of all browsers that were measured.

    Args:
        folder: has a file of results for each browser.

    Returns:
        The file.
    """
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    parts = [_networks(results), *(_files(one) for one in results)]
    path = folder / "tables.md"
    path.write_text("\n\n".join(parts) + "\n")
    return path


def _networks(results: list[dict[str, Any]]) -> str:
    columns = "photos | same bits | same logits | same answers | logits differ by | maps differ by | ms |"
    lines = [f"| network | browser | {columns}", "|---|---|---|---|---|---|---|---|---|"]
    for one in results:
        for name, row in one["networks"].items():
            counts = " | ".join(str(row[key]) for key in ("photos", "bits", "logit_bits", "answers"))
            apart = f"{_small(row['logits'])} | {_small(row['maps'])}"
            who = f"{name}, {row['size']} px | {browser_name(one['browser'])}"
            lines.append(f"| {who} | {counts} | {apart} | {row['ms']:.0f} |")
    return "\n".join(lines)


def _files(one: dict[str, Any]) -> str:
    columns = "files | read | same pixels | same logits | same answers | marked exact | ms |"
    lines = [f"| {browser_name(one['browser'])} | {columns}", "|---|---|---|---|---|---|---|---|"]
    for name, row in one["files"].items():
        wrong = f" ({row['wrong']} wrongly)" if row["wrong"] else ""
        shares = " | ".join(_share(row[key], row["read"]) for key in ("pixels", "logits", "answers", "claimed"))
        lines.append(f"| {name} | {row['files']} | {row['read']} | {shares}{wrong} | {row['ms']:.0f} |")
    return "\n".join(lines)


def browser_name(agent: str) -> str:
    """ "Chromium 156" or "Firefox 153", of what a browser says that it is."""
    found = re.search(r"(Firefox|Chrome)/(\d+)", agent)
    return f"{found[1].replace('Chrome', 'Chromium')} {found[2]}" if found else agent


def _share(count: int, of: int) -> str:
    return f"{count / of:.1%}".replace("100.0%", "100 %").replace("%", " %").replace("  ", " ") if of else "-"


def _small(value: float) -> str:
    return f"{value:.0e}" if value else "0"
