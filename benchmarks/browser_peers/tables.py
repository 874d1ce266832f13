"""The table of the peers, as Markdown."""

from statistics import median
from typing import Any


def peers_table(runs: list[dict[str, Any]], compared: dict[str, dict[str, Any]]) -> str:
    """A row for each peer: medians of its visits."""
    lines = [
        "| page | first visit, MB | opening, s | 500 px, ms | 12 megapixels, ms | progressive, ms | same answers as in "
        "Python | same logits | logits differ by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for peer in dict.fromkeys(run["peer"] for run in runs):
        mine = [run for run in runs if run["peer"] == peer]
        times = " | ".join(f"{median(run['medians'][name] for run in mine):.0f}" for name in mine[0]["medians"])
        opening = median(run["opening"] for run in mine) / 1000
        counts = compared.get(peer)
        same = "- | - | -"
        if counts is not None:
            of = counts["photos"]
            same = f"{counts['answers']} of {of} | {counts['logits']} of {of} | {counts['largest']:.2g}"
        lines.append(f"| {peer} | {mine[0]['bytes'] / 1e6:.1f} | {opening:.1f} | {times} | {same} |")
    return "\n".join(lines)
