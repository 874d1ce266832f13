"""Records of a block, in Parquet and in JSON lines, and a folder that is put right after a crash."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Done
from edgeclf.cluster.answer_folder import JSONL, PARQUET, AnswerFolder, block_file
from edgeclf.cluster.entries import Entry, packed
from edgeclf.cluster.job import begin, check_attempt, job_of
from edgeclf.cluster.listing import blocks
from edgeclf.cluster.predictor import Predictor
from edgeclf.cluster.record_table import from_table, schema, to_table
from edgeclf.cluster.resume import repair, write_block
from edgeclf.cluster.sources import entries
from edgeclf.errors import BackendError, ModelDamagedError, RecordError, UsageError
from edgeclf.field.photo_id import Digests
from edgeclf.field.record import Record
from edgeclf.model.file import read_model_file
from pyarrow import parquet

Run = Callable[..., Done]


def predictor(model: Path, top_k: int = 5) -> Predictor:
    job = job_of(read_model_file(model), str(model), top_k, None, facts=True)
    return Predictor(job, model.read_bytes, 1)


def block_of(source: Path, folder: Path | None = None) -> bytes:
    (block,) = blocks(entries([str(source)]), 1000, Digests())
    return packed(block)


def folder_at(path: Path) -> AnswerFolder:
    folder = AnswerFolder.at(path)
    folder.make()
    return folder


def paths_in(folder: AnswerFolder) -> list[str]:
    """Of all records, from the Parquet files; the JSON lines must be the same records."""
    found = []
    for name in folder.blocks(PARQUET):
        records = from_table(parquet.read_table(io.BytesIO(folder.read(block_file(PARQUET, name)) or b"")))
        lines = (folder.read(block_file(JSONL, name)) or b"").decode().splitlines()
        assert lines == [record.to_json() for record in records]
        found += [record.path for record in records]
    assert folder.blocks(JSONL) == folder.blocks(PARQUET)
    return found


def test_records_are_those_of_predict_bit_for_bit(
    many: Path, model: Path, tmp_path: Path, edgeclf: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the actor goes to the job's folder
    out = tmp_path / "predict.jsonl"
    assert edgeclf("predict", many, "-m", model, "--out", out).returncode == 1
    records, digests, heat_maps = predictor(model).records(block_of(many))
    assert [record.to_json() for record in records] == out.read_text().splitlines()
    assert heat_maps == 0
    table = to_table(records, digests)
    assert table.schema == schema()
    assert [record.to_json() for record in from_table(table)] == out.read_text().splitlines()
    row = next(row for row in table.to_pylist() if row["path"].endswith("p3.jpg"))
    line = json.loads(next(line for line in out.read_text().splitlines() if "p3.jpg" in line))
    assert row["labels"] == [one["label"] for one in line["predictions"]]
    assert row["probabilities"] == [one["probability"] for one in line["predictions"]]
    assert row["size"] == (many / "a" / "p3.jpg").stat().st_size


def test_names_that_are_not_text_survive(many: Path, model: Path) -> None:
    name = str(many / "a" / "no\udcfftext.jpg")
    (many / "a" / "p0.jpg").rename(name)
    records, digests, _ = predictor(model).records(packed([Entry(name), Entry(name + ".gone.jpg")]))
    assert from_table(to_table(records, digests)) == [replace(record, settings=record.settings) for record in records]
    assert [record.error is None for record in records] == [True, False]


def test_a_photo_in_a_tar_is_answered_as_the_file(
    many: Path, model: Path, tar_of: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    of_files, _, _ = predictor(model).records(block_of(many))
    of_tar, _, _ = predictor(model).records(block_of(tar_of(many)))

    def answers(records: list[Record]) -> dict[str, object]:
        return {Path(one.path).name: (one.predictions, one.unknown, one.error and one.error.kind) for one in records}

    assert answers(of_tar) == answers(of_files)
    assert len(of_files) == 11


def test_a_damaged_model_is_noticed_where_it_arrives(many: Path, model: Path) -> None:
    job = job_of(read_model_file(model), str(model), 5, None, facts=True)
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(ModelDamagedError):
        Predictor(job, lambda: bytes(data), 1).records(block_of(many))
    with pytest.raises(ModelDamagedError, match="another model"):
        Predictor(replace(job, model="0" * 64), model.read_bytes, 1).records(block_of(many))
    with pytest.raises(BackendError, match=r"numpy .*, not 0\.1"):
        Predictor(replace(job, versions={**job.versions, "numpy": "0.1"}), model.read_bytes, 1).records(b"[]")


@pytest.fixture
def answered(many: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AnswerFolder:
    """A folder with three blocks, of the eleven photos."""
    monkeypatch.chdir(tmp_path)
    folder, actor = folder_at(tmp_path / "answers"), predictor(model)
    for number, block in enumerate(blocks(entries([str(many)]), 4, Digests())):
        records, digests, _ = actor.records(packed(block))
        write_block(folder, f"block-1-{number}", records, digests)
    return folder


def test_a_whole_folder_stays(answered: AnswerFolder) -> None:
    before = {name: answered.read(block_file(PARQUET, name)) for name in answered.blocks(PARQUET)}
    found = repair(answered)
    assert (found.counts.photos, found.counts.errors, found.counts.blocks) == (11, 2, 3)
    assert len(found.digests) == 11
    assert before == {name: answered.read(block_file(PARQUET, name)) for name in answered.blocks(PARQUET)}


def test_a_block_that_was_interrupted_is_undone(answered: AnswerFolder) -> None:
    answered.delete(block_file(PARQUET, "block-1-1"))  # killed between its two files
    found = repair(answered)
    assert found.counts.photos == 7
    assert len(paths_in(answered)) == 7


def test_missing_lines_are_written_again(answered: AnswerFolder) -> None:
    lines = answered.read(block_file(JSONL, "block-1-1"))
    answered.delete(block_file(JSONL, "block-1-1"))
    assert repair(answered).counts.photos == 11
    assert answered.read(block_file(JSONL, "block-1-1")) == lines


def test_a_photo_that_is_there_twice_is_there_once(answered: AnswerFolder) -> None:
    """A run that was thought dead wrote a block late."""
    records = from_table(parquet.read_table(io.BytesIO(answered.read(block_file(PARQUET, "block-1-0")) or b"")))
    digests = [Entry(record.path, record.size, record.modified).digest for record in records]
    write_block(answered, "block-0-late", records[1:3], digests[1:3])
    assert repair(answered).counts.photos == 11
    assert len(paths_in(answered)) == len(set(paths_in(answered))) == 11


def test_temporary_errors_are_tried_again(answered: AnswerFolder, model: Path, tmp_path: Path) -> None:
    gone = Entry(str(tmp_path / "gone.jpg"))
    records, digests, _ = predictor(model).records(packed([gone]))
    write_block(answered, "block-1-gone", records, digests)
    found = repair(answered)
    assert gone.digest not in Digests.of(found.digests)
    assert found.counts.photos == 11  # the damaged ones stay answered
    assert "block-1-gone" not in answered.blocks(PARQUET)


def test_a_damaged_block_is_named(answered: AnswerFolder) -> None:
    answered.write(block_file(PARQUET, "block-1-1"), b"PAR1 and no more")
    with pytest.raises(RecordError, match="block-1-1"):
        repair(answered)


def test_another_model_or_rule_is_refused(model: Path, tmp_path: Path, make_model: Callable[..., Path]) -> None:
    folder = AnswerFolder.at(tmp_path / "answers")
    job = job_of(read_model_file(model), str(model), 2, None, facts=True)
    assert begin(folder, job, ["photos"], resume=False) == 1
    with pytest.raises(UsageError, match="--resume"):
        begin(folder, job, ["photos"], resume=False)
    assert begin(folder, job, ["photos"], resume=True) == 2
    other = read_model_file(make_model(head="mlp"))
    for changed, what in (
        (job_of(other, "other.onnx", 2, None, facts=True), "model"),
        (replace(job, threshold=0.5), "--threshold"),
        (replace(job, top_k=1), "--top-k"),
        (replace(job, facts=False), "--no-exif"),
        (replace(job, versions={**job.versions, "pillow": "1"}), "pillow"),
    ):
        with pytest.raises(RecordError, match=what):
            begin(folder, changed, ["photos"], resume=True)


def test_an_earlier_run_writes_no_more_blocks(model: Path, tmp_path: Path) -> None:
    folder = AnswerFolder.at(tmp_path / "answers")
    job = job_of(read_model_file(model), str(model), 2, None, facts=True)
    attempt = begin(folder, job, [], resume=False)
    check_attempt(folder, attempt)
    begin(folder, job, [], resume=True)
    with pytest.raises(RecordError, match="another run"):
        check_attempt(folder, attempt)


def test_a_folder_of_other_files_is_left_alone(many: Path, model: Path) -> None:
    job = job_of(read_model_file(model), str(model), 2, None, facts=True)
    for resume in (False, True):
        with pytest.raises((UsageError, RecordError)):
            begin(AnswerFolder.at(many), job, [], resume=resume)
    assert sorted(path.name for path in many.iterdir()) == ["a", "b"]
