"""Which photo a file is: its path, size and time."""

import os
import random
import unicodedata
from pathlib import Path

import pytest
from edgeclf.field.photo_id import Digests, look_at
from edgeclf.field.record_file import RecordFile
from record_files import SHA, of, recorded, written


@pytest.fixture(params=[".jsonl", ".csv"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"answers{request.param}"


def test_digests_are_a_set() -> None:
    chance, digests, reference = random.Random(1), Digests(), set()
    for _ in range(6000):
        digest = chance.choice((chance.getrandbits(64), chance.randrange(3000), 2**64 - 1))
        digests.add(digest)
        reference.add(digest)
    assert len(digests) == len(reference)
    assert all(digest in digests for digest in reference)
    assert not [digest for digest in range(3000, 6000) if digest in digests]


def test_a_replaced_file_is_another_photo(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    seen = set()
    for content, moment in ((b"a", 10**18), (b"b", 10**18 + 1), (b"bb", 10**18 + 1), (b"b", -(10**15)), (b"b", 2**60)):
        path.write_bytes(content)
        os.utime(path, ns=(moment, moment))
        photo = look_at(str(path))
        assert photo is not None
        seen.add(photo.digest())
    assert len(seen) == 5
    here = os.path.relpath(path)
    assert photo._replace(path=here).digest() == photo.digest(), "one place, however it is spelt"
    assert look_at(str(tmp_path / "none")) is None


def test_a_photo_is_the_same_from_any_folder_through_any_link_in_any_spelling(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart, name = (unicodedata.normalize(form, "Käuze") for form in ("NFD", "NFC"))
    (tmp_path / name / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / name, target_is_directory=True)
    monkeypatch.chdir(tmp_path / name)
    written(out, ["deep/x.jpg", "=1.jpg"])
    monkeypatch.chdir(tmp_path)
    with RecordFile(out, SHA, 2, resume=True) as records:
        size = of("deep/x.jpg").size
        ways = [f"{name}/deep/x.jpg", f"{apart}/deep/x.jpg", "link/deep/x.jpg", str(tmp_path / "link/deep/x.jpg")]
        for there in ways:
            assert of("")._replace(path=there, size=size).digest() in records.known, there
        assert of("deep/x.jpg").digest() not in records.known
    (record, _) = recorded(out)
    assert (record["path"], record["folder"]) == ("deep/x.jpg", str(tmp_path / name)), "the path stays as it was given"
