"""Names in zips are read as they were meant, whoever wrote the zip; what leads out of it stays refused."""

import shutil
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from edgeclf.errors import DataError
from edgeclf_training.dataset.find_photos import find_photos
from edgeclf_training.dataset.zip_data import open_data


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGECLF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class _Named(zipfile.ZipInfo):
    """An entry whose name is written as the bytes given, not marked as Unicode."""

    raw = b""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.raw, self.flag_bits & ~0x800


def raw_zip(path: Path, names: Iterable[bytes], extra: Callable[[bytes], bytes] = lambda _: b"") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number, raw in enumerate(names):
            info = _Named(f"{number}")
            info.raw, info.extra, info.create_system = raw, extra(raw), 0
            archive.writestr(info, f"photo {number}")
    return path


def classes(path: Path, say: Callable[[str], None] = lambda _: None) -> tuple[str, ...]:
    return find_photos(open_data([path], say=say)).classes


WORDS = [
    *(("cp932", names) for names in ("猫 犬", "りんご みかん", "ピザ 寿司", "表 ソース", "桜 梅", "ｶﾒﾗ ねこ")),
    *(("gbk", names) for names in ("猫 狗", "苹果 香蕉", "企鹅 海豹", "披萨 面条")),
    *(("big5", names) for names in ("貓 狗", "蘋果 香蕉", "花 樹")),
    *(("cp949", names) for names in ("고양이 강아지", "개 새", "피자 김치", "펭귄 물개")),
    *(("cp437", names) for names in ("café thé", "Müller Größe", "ñandú pingüino", "été naïve", "à_la_carte Äpfel")),
    ("cp850", "coração maçã"),
    *(("cp1252", names) for names in ("café thé", "Müller Größe", "smørrebrød Äpfel")),
    *((page, names) for page in ("cp852", "cp1250") for names in ("żółw gęś", "łabędź sójka")),
    ("cp1254", "ağaç kuş"),
    *(("cp866", names) for names in ("кошка собака", "Пингвин Тюлень")),
    *(("cp1251", names) for names in ("кошка собака", "Пингвин Тюлень")),
    *((page, "γάτα Σκύλος") for page in ("cp737", "cp1253")),
    *(("utf-8", names) for names in ("café thé", "猫 犬", "кошка собака")),
]


@pytest.mark.parametrize("separator", ["/", "\\"])
@pytest.mark.parametrize(("page", "names"), WORDS)
def test_names_in_old_code_pages_are_words(page: str, names: str, separator: str, tmp_path: Path) -> None:
    words = names.split()
    raw = [f"data{separator}{word}{separator}IMG_{n}.jpg".encode(page) for word in words for n in range(2)]
    told: list[str] = []
    assert classes(raw_zip(tmp_path / "a.zip", raw), told.append) == tuple(sorted(words))
    assert told == (
        [] if page == "utf-8" else [f"{tmp_path / 'a.zip'}: file names are not marked as Unicode; decoded as {page}"]
    )


def test_names_that_macos_takes_apart_are_put_together(tmp_path: Path) -> None:
    names = [unicodedata.normalize("NFD", f"{word}/0.jpg") for word in ("café", "が")]
    litter = [b"__MACOSX/caf\xc3\xa9/._0.jpg"]
    assert classes(raw_zip(tmp_path / "a.zip", [*(n.encode() for n in names), *litter])) == ("café", "が")


def test_the_unicode_name_beside_the_old_one_counts(tmp_path: Path) -> None:
    def extra(raw: bytes) -> bytes:
        field = struct.pack("<BL", 1, zlib.crc32(raw)) + f"{'łabędź' if raw[0] > 127 else 'żuraw'}/0.jpg".encode()
        return struct.pack("<HH", 0x7075, len(field)) + field

    assert classes(raw_zip(tmp_path / "a.zip", [b"\x88ab/0.jpg", b"zuraw/0.jpg"], extra)) == ("łabędź", "żuraw")
    stale = raw_zip(tmp_path / "b.zip", [b"cat/0.jpg", b"dog/0.jpg"], lambda raw: extra(raw + b"renamed since"))
    assert classes(stale) == ("cat", "dog")


@pytest.mark.parametrize(
    "name",
    [
        b"king\\..\\..\\evil.jpg",
        b"..\\evil.jpg",
        b"\\evil.jpg",
        b"\\\\server\\share\\evil.jpg",
        b"C:\\evil.jpg",
        b"c:evil.jpg",
        "猫/../../evil.jpg".encode("cp932"),
        "猫\\..\\..\\evil.jpg".encode("cp932"),
        b"cat/x\0.jpg",
    ],
)
def test_names_that_lead_out_are_refused_however_they_are_written(name: bytes, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match="leads out of the archive"):
        open_data([raw_zip(tmp_path / "a.zip", [b"cat/0.jpg", b"dog/0.jpg", name])])
    assert not list(tmp_path.rglob("evil*"))
    assert not list(cache.rglob("*.jpg"))


@pytest.mark.parametrize(
    "names",
    [(b"cat\\0.jpg", b"cat/0.jpg"), ("é/0.jpg".encode(), unicodedata.normalize("NFD", "é/0.jpg").encode())],
    ids=["separators", "accents"],
)
def test_names_that_become_one_are_refused(names: tuple[bytes, bytes], tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match=r"contains .* twice"):
        open_data([raw_zip(tmp_path / "a.zip", [*names, b"dog/0.jpg"])])
    assert not list(cache.rglob("*.jpg"))


def test_names_that_are_no_words_anywhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the encoding of its names is not known; unpack it yourself"):
        open_data([raw_zip(tmp_path / "a.zip", [b"\xff\xb0\xfe/0.jpg", b"\xb1\xb2\xff/0.jpg"])])


def test_what_was_unpacked_under_other_names_is_not_used(tmp_path: Path, cache: Path) -> None:
    plain = raw_zip(tmp_path / "plain.zip", [b"cat/0.jpg", b"dog/0.jpg"])
    windows = raw_zip(tmp_path / "windows.zip", ["猫/0.jpg".encode("cp932"), b"dog/0.jpg"])
    [plain_home], [home] = open_data([plain]), open_data([windows])
    assert len(plain_home.parent.name) == 64, "as it always was: runs go on from there"
    digest = home.parent.name[:64]
    assert home.parent.name != digest
    shutil.move(home.parent, cache / "zips" / digest)  # where an edgeclf before this put it
    shutil.move(cache / "zips" / digest / "photos" / "猫", cache / "zips" / digest / "photos" / "öL")
    assert classes(windows) == ("dog", "猫")


def test_zips_called_like_splits_are_not_trained_on_together(tmp_path: Path) -> None:
    for name in ("train", "Test"):
        raw_zip(tmp_path / f"{name}.zip", [b"cat/0.jpg", b"dog/0.jpg"])
    with pytest.raises(
        DataError, match=r"Test.zip: would be used for training, although its name says test; unpack the zips"
    ):
        open_data([tmp_path / "train.zip", tmp_path / "Test.zip"])
    assert classes(tmp_path / "Test.zip") == ("cat", "dog"), "alone it is meant"
