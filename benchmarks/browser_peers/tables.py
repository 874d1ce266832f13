"""The table of the peers, as Markdown."""

from statistics import median
from typing import Any


def peers_table(runs: list[dict[str, Any]], compared: dict[str, dict[str, Any]]) -> str:
    """A row for each peer: medians of its visits."""
    lines = [
        "| page | first visit, MB | opening, s | 500 px, ms | 12 megapixels, ms | progressive, ms | CPU s, ms | same "
        "answers as in Python | same pixels | same logits | logits differ by |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for peer in dict.fromkeys(run["peer"] for run in runs):
        mine = [run for run in runs if run["peer"] == peer]
        times = " | ".join(f"{median(run['medians'][name] for run in mine):.0f}" for name in mine[0]["medians"])
        opening = median(run["opening"] for run in mine) / 1000
        counts = compared.get(peer)
        spent = {name: median(run["cpu"][name] for run in mine) for name in mine[0]["cpu"]}
        cpu = " / ".join([f"{spent.pop('opening') / 1000:.1f}", *(f"{value:.0f}" for value in spent.values())])
        same = "- | - | - | -"
        if counts is not None:
            of = counts["photos"]
            pixels = "-" if counts["pixels"] is None else f"{counts['pixels']} of {of}"
            same = f"{counts['answers']} of {of} | {pixels} | {counts['logits']} of {of} | {counts['largest']:.2g}"
        lines.append(f"| {peer} | {mine[0]['bytes'] / 1e6:.1f} | {opening:.1f} | {times} | {cpu} | {same} |")
    return "\n".join(lines)
