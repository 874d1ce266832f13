"""Check data folders.

\b
edgeclf data check photos/
"""

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from edgeclf.cli.console import Console, printable
from edgeclf.errors import UsageError

JSON_SCHEMA = 1
EXIT_PROBLEMS = 1
_EXAMPLES = 3


def check(
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DATA...", help="Data folders, as for train, or .zip or .tar files.", show_default=False
        ),
    ] = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to list photos that are better left out; default: DATA-quarantine.txt in the current folder.",
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="A table with the labels, as for train.", show_default=False)
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(metavar="RULE", help="Which photos belong together, as for train.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find problems in data folders. Photos are only read.

    \b
    edgeclf data check photos/
    edgeclf train photos/ --quarantine photos-quarantine.txt
    edgeclf data check photos/ --labels labels.csv

    It reports damaged photos, placeholders, duplicates and bursts within and across splits and classes, unusual
    formats, sizes and names, small and uneven classes, classes that will have no validation photos, and every mistake
    in a table of labels. Photos that are better left out are listed in a text file. Look through it and edit it by
    hand; another check only adds new photos to it. Results are stored in the user's cache folder (EDGECLF_CACHE moves
    it), so that unchanged photos are not decoded again.

    Exits with 0 if there is no problem, 1 if there are problems, 5 if the data cannot be used at all.
    """
    from edgeclf.files.atomic_write import check_writable

    from edgeclf_training.dataset.check import check_data
    from edgeclf_training.dataset.quarantine import FILE_KIND, is_list, write_quarantine
    from edgeclf_training.dataset.zip_data import data_name, open_data

    data = data or []
    if not data and labels is None:
        raise UsageError("no photos given", "name a folder with one sub-folder per class")
    console = Console()
    listed = quarantine or Path(f"{data_name([*data, labels or Path()][0])}-quarantine.txt")
    check_writable(listed, is_list, FILE_KIND)
    with console.progress("unpacking") as progress:
        folders = open_data(data, progress, lambda line: console.line(printable(line)))
    with console.progress("reading photos") as progress:
        report = check_data(folders, progress, labels=labels, group_by=group_by)
    wanted = quarantine is not None or report.quarantine
    written = write_quarantine(listed, report.quarantine) if wanted else None
    if as_json:
        print(json.dumps(_as_json(data, report, listed if wanted else None), allow_nan=False))
    else:
        _print(data, report, listed, {"--labels": labels, "--group-by": group_by})
    if written and written.kept:
        console.line(f"{listed} exists: {_photos(written.added)} added, your own changes are kept")
    if report.problems:
        raise typer.Exit(EXIT_PROBLEMS)


def _as_json(data: list[Path], report: Any, listed: Path | None) -> dict[str, Any]:
    return {
        "schema_version": JSON_SCHEMA,
        "data": [str(path) for path in data],
        "photos": report.photos,
        "readable": report.readable,
        "classes": report.classes,
        "findings": [
            {
                "kind": f.kind,
                "severity": f.severity,
                "what": f.what,
                "count": len(f.items),
                "items": [{"paths": [str(p) for p in item.paths], "detail": item.detail} for item in f.items],
            }
            for f in report.findings
        ],
        "quarantine": {
            "file": None if listed is None else str(listed),
            "entries": [{"path": str(p), "reason": reason} for p, reason in sorted(report.quarantine.items())],
        },
    }


def _print(data: list[Path], report: Any, listed: Path | None, options: dict[str, Any]) -> None:
    print(f"{report.photos} photos, {report.readable} readable, {len(report.classes)} classes")
    width = min(40, max(map(len, report.classes)))
    for label, parts in report.classes.items():
        print(f"  {label:<{width}}  " + ", ".join(f"{part} {count}" for part, count in parts.items() if count))
    for finding in report.findings:
        print(f"\n{finding.severity}: {finding.what}: {len(finding.items)}")
        for item in finding.items[:_EXAMPLES]:
            names = [printable(str(path)) for path in item.paths[:3]]
            more = f" and {len(item.paths) - 3} more" if len(item.paths) > 3 else ""
            detail = printable(item.detail)
            print("  " + "\n    = ".join(names) + more + (": " if names and detail else "") + detail)
        if len(finding.items) > _EXAMPLES:
            print(f"  ... {len(finding.items) - _EXAMPLES} more")
    given = [str(word) for name, value in options.items() if value for word in (name, value)]
    arguments = shlex.join([*map(str, data), *given])
    print()
    if report.quarantine:
        print(
            f"better left out: {_photos(len(report.quarantine))}, listed in {listed}; look through the list, then: "
            f"edgeclf train {arguments} --quarantine {shlex.quote(str(listed))}"
        )
    elif report.problems:
        print(f"no photo for the quarantine list; correct the problems above, then: edgeclf train {arguments}")
    else:
        print(f"no problems; next: edgeclf train {arguments}")


def _photos(count: int) -> str:
    return f"{count} photo{'s' * (count != 1)}"


data = {"check": check}
