"""``watch`` and photos that cannot be opened for a while."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from edgeclf import Classifier
from edgeclf.cli import watch as watch_command
from edgeclf.cli.console import Console
from edgeclf.field.record_file import RecordFile
from edgeclf.field.watcher import FolderWatch
from edgeclf.files import hanging_disk as reading
from helpers import OLD_MODELS, put

MODEL = OLD_MODELS / "schema2.onnx"
SHA = "0123456789abcdef" * 4


@pytest.mark.parametrize("once", [False, True])
def test_watch_records_a_photo_that_may_not_be_opened_once_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], once: bool
) -> None:
    put(tmp_path / "in" / "locked.jpg")
    (tmp_path / "in" / "broken.jpg").write_bytes(put(tmp_path / "whole.jpg").read_bytes()[:300])
    open_file = reading._open

    def refusing(name: str, flags: int) -> int:
        if name.endswith("locked.jpg"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        return open_file(name, flags)

    monkeypatch.setattr(reading, "_open", refusing)
    with RecordFile(tmp_path / "o.jsonl", SHA, 3, resume=True) as records:
        watch = FolderWatch(str(tmp_path / "in"), records.known, settle=0, retry_after=0)
        work = watch_command._Work(Classifier(MODEL), records, None, Console(), 3, False, once)
        stop: Any = False
        for _ in range(3):
            work.classify_new(watch, stop)
        assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 1, "the broken one"
        assert ("locked.jpg" in capsys.readouterr().err) is True
        assert watch.postponed == (0 if once else 1)
        monkeypatch.setattr(reading, "_open", open_file)
        if not once:
            for _ in range(2):
                work.classify_new(watch, stop)
    if once:  # the next run finds it
        with RecordFile(tmp_path / "o.jsonl", SHA, 3, resume=True) as records:
            watch = FolderWatch(str(tmp_path / "in"), records.known, settle=0, retry_after=0)
            work = watch_command._Work(Classifier(MODEL), records, None, Console(), 3, False, once)
            for _ in range(2):
                work.classify_new(watch, stop)
    text = (tmp_path / "o.jsonl").read_text().splitlines()
    assert len(text) == 2
    assert "predictions" in text[1]
    assert "locked.jpg" in text[1]
