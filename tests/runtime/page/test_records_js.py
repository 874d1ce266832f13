"""The page's downloads are the files that edgeclf itself writes for the same records, byte for byte."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from edgeclf.field.csv_columns import csv_columns
from edgeclf.field.photo_columns import RecordedFacts
from edgeclf.field.record import Failure, PredictSettings, Record, RecordedClass
from edgeclf.field.record_lines import BOM, from_line, to_line

MODEL = "0f3a5b7c9d1e2f30"
FILES = """
    const { csvFile, jsonLinesFile } = await load("records.js");
    return [csvFile(argument, 3), jsonLinesFile(argument)].map((text) => Buffer.from(text).toString("latin1"));
"""
TEXTS = (
    *(
        "plain.jpg",
        "=cmd|' /C calc'!A0",
        "+1.jpg",
        "-1.jpg",
        "@x",
        "'quoted",
        "\uff1dwide",
        "a=b",
        "comma, here",
        'say "hi"',
    ),
    *("tab\there", "line\nbreak", "carriage\rreturn", "nul\0", "del\x7f", "back\\slash", "looks\\u00e9like", "\\", ""),
    *(
        "Adélie",
        "ملك البطريق",
        "ジェンツー",
        "🐧 penguin",
        "e\u0301",
        "\u2028",
        "\u00a0",
        "\udcff bytes",
        "\ud83d",
        "</script>",
    ),
)
PLACE = (-54.0, 36.75125)
SHARES = (1.0, 0.0, 0.5, 0.1, 1e-05, 1.2e-05, 1e-06, 9.9e-05, 0.0001, 0.123456, 0.999999, 0.3333)


def _record(rng: random.Random, number: int) -> Record:
    settings = PredictSettings(rng.choice(SHARES), rng.choice((None, "best-ranked", rng.choice(TEXTS))))
    failure = Failure(rng.choice(("damaged", "no-heat-map")), rng.choice(TEXTS)) if rng.random() < 0.3 else None
    ranking = tuple(
        RecordedClass(rng.choice(TEXTS), rng.choice(SHARES), rank, rng.choice((None, *TEXTS)))
        for rank in range(0 if failure and failure.kind == "damaged" else rng.randint(1, 3))
    )
    padding = rng.choice((None, *SHARES))
    return Record(
        *(TEXTS[number % len(TEXTS)], bool(rng.getrandbits(1)) if ranking else None, ranking, failure),
        *(rng.choice((None, *TEXTS)), rng.choice((None, *TEXTS)), padding, rng.choice((None, *TEXTS))),
        *("CPUExecutionProvider", rng.choice((None, 0, 48213, 2**40)), "2026-07-04T12:00:00.000000000Z", MODEL),
        folder=rng.choice((None, *TEXTS)),
        settings=settings,
        facts=rng.choice((RecordedFacts(), RecordedFacts(rng.choice(TEXTS[:10]), *PLACE, rng.choice(TEXTS[:10])))),
    )


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """300 records with texts and numbers that are hard to write."""
    rng = random.Random(5)
    return [_record(rng, number) for number in range(300)]


def test_the_same_bytes_as_edgeclf(in_node: Callable[..., Any], records: list[Record]) -> None:
    got_csv, got_json = (text.encode("latin1") for text in in_node(FILES, [record.to_dict() for record in records]))
    columns = csv_columns(3)
    expected = [BOM + f"{','.join(columns)}\n".encode(), *(to_line(record, columns) for record in records)]
    for number, (line, wanted) in enumerate(zip(got_csv.split(b"\n"), b"".join(expected).split(b"\n"), strict=True)):
        assert line == wanted, f"line {number}"
    assert got_json == b"".join(to_line(record, None) for record in records)


def test_numbers_as_python_writes_them(in_node: Callable[..., Any]) -> None:
    rng = random.Random(6)
    numbers = [*SHARES, -0.0, -1.5, 1e15, 1e16, 1.5e16, 5e-324, 1.7976931348623157e308]
    numbers += [round(rng.random() * 10 ** -rng.randint(0, 7), 6) for _ in range(2000)]
    numbers += [rng.random() * 10.0 ** rng.randint(-30, 30) for _ in range(2000)]
    # As text: JavaScript's own JSON loses the sign of -0.0.
    script = (
        'const { pythonFloat } = await load("records.js"); return argument.map((text) => pythonFloat(Number(text)));'
    )
    assert in_node(script, [repr(number) for number in numbers]) == [repr(number) for number in numbers]


def test_a_download_is_a_record_file(in_node: Callable[..., Any]) -> None:
    """What the service answers, with what the page knows of the file, is read back as a record of a record file."""
    ranking = (RecordedClass("king", 0.75, 2, "King"), RecordedClass("gentoo", 0.25, 1))
    answered = Record("IMG 1.jpg", False, ranking, device="CPUExecutionProvider")
    script = """
        const { inFile, csvFile, jsonLinesFile } = await load("records.js");
        const model = { model: "0f3a5b7c9d1e2f30", threshold: 0 };
        const records = [inFile(argument, { size: 1234, lastModified: Date.UTC(2026, 6, 4, 12, 0, 0, 123) }, model)];
        return [jsonLinesFile(records), csvFile(records, 2)];
    """
    json_line, csv_file = in_node(script, answered.to_dict())
    columns = csv_columns(2)
    from_csv = from_line(csv_file.splitlines()[1].encode(), columns)
    for record in (from_line(json_line.encode(), None), from_csv):
        assert record.photo is not None
        assert (record.size, record.modified) == (1234, "2026-07-04T12:00:00.123000000Z")
        assert (record.model, record.settings) == (MODEL, PredictSettings(0.0, None))
        assert [one.label for one in record.predictions] == ["king", "gentoo"]
    assert csv_file.startswith("\ufeff" + ",".join(columns) + "\n")
    assert to_line(from_line(json_line.encode(), None), None) == json_line.encode()
