"""Decodes names in zips from Windows, macOS and old tools, which do not say which code page they use."""

import re
import struct
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from zipfile import ZipInfo

_UTF8_FLAG = 0x800  # bit of an entry: its name is UTF-8
_UNICODE_PATH = 0x7075  # id of the extra field that holds the name as UTF-8
_MAX_JUDGED_PARTS = 2000  # parts of names that a code page is judged by
_MAX_SAMPLED_NAMES = 20_000  # names, from all over the zip, in which such parts are searched
_MIN_LIKELIHOOD = 0.5
# Of equally likely code pages the first one wins: the one that zips of this script mostly use.
_WIDE = ("cp932", "gbk", "big5", "cp949")
_LATIN = ("cp437", "cp850", "cp1252", "cp852", "cp1254", "cp1250")
_PAGES = (*_WIDE, *_LATIN, "cp866", "cp1251", "cp737", "cp1253")
_COMMON_HANGUL = set(
    "가각간갈감갑값강갖같개객거건걸검것게겨격견결경계고곡곤골곰공과관광괴교구국군굴궁권귀규균그극근글금급기긴길김깊까깨꺼꼬꽃꾸꿀"
    "끝끼나난날남납낮내냄냉너널넘네녀년념노녹논놀농높누눈뉴느는능늘니닐님다단달담답당대더덕던덩데도독돈돌동돼되된두둑둘드득든들등디따딸"
    "땅때떡떼또뜨라락란람랑래랜랭러럭런럼럽렀레려력련렬령로록론료룡루류륙률륨르른를름리린릭림립링마막만많말맛망매맥맨머먹멀메면명몇모목몬몰"
    "못몽무문물뮤미민믿밀바박반받발밝밤밥방밭배백버번벌범법벗베벤벨벼변별병보복본볼봄봉부북분불붉브블비빈빌빛빠빨빵뻐뽀뿌사산살삼상새색생"
    "서석선설섬성세센셀소속손솔송쇠수숙순술숨숭숲쉬스슬습승시식신실심십싱싸쌀쌍써쏘쓰씨아악안알암압앙앞애액야약양어억언얼엄업없에엔여역연"
    "열염영예오옥온올옷와완왕외요용우운울원월위유육율으은을음의이익인일임입잉잎자작잔잘잠잡장재쟁저적전절점접정제조족존종좋좌주죽준줄중즈"
    "즉증지직진질집짓짜째쪽찌차착찬참창채책처천철첫청체초촌총최추축출충취치칙친칠침카칸칼캐커컴케코콘콩크큰클키타탁탄탈탐탕태택터테토통퇴투트"
    "특틀티파판팔패퍼페편평폐포폭표푸품풍프플피필하학한할함합항해핵행향허험헤현혈형혜호혹혼홍화환활황회획횡효후훈휘휴흐흑흔희흰히힘펭귄멍뭉뱀꿩늑솥곶돛"
)


def entry_names(entries: Sequence[ZipInfo]) -> tuple[list[str], str]:
    """Decode the name of each entry.

    Args:
        entries: all entries of a zip.

    Returns:
        The names, with "/" between folders and in Unicode form NFC; and the code page that was guessed, "" if none was
        needed.

    Raises:
        ValueError: names are not Unicode, and no known code page decodes them to words.
    """
    marked = [_marked(info) for info in entries]
    legacy = [info.orig_filename.encode("cp437") for info, name in zip(entries, marked, strict=True) if name is None]
    page = "" if all(raw.isascii() for raw in legacy) else _page(legacy)
    decoded = (raw.decode(page or "ascii") for raw in legacy)
    names = [next(decoded) if name is None else name for name in marked]
    return [unicodedata.normalize("NFC", name).replace("\\", "/") for name in names], page.replace("utf-8", "")


def _marked(info: ZipInfo) -> str | None:
    """The name if the entry says that it is Unicode, by its flag or by an extra field; else None."""
    if info.flag_bits & _UTF8_FLAG:
        return info.orig_filename
    raw, extra = info.orig_filename.encode("cp437"), info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and field[:5] == struct.pack("<BL", 1, zlib.crc32(raw)):
            return field[5:].decode("utf-8")
    return None


def _page(names: Sequence[bytes]) -> str:
    """The encoding that all names share."""
    if _decodes(names, "utf-8"):
        return "utf-8"  # macOS and Linux do not always set the flag
    spread = names[:: 1 + len(names) // _MAX_SAMPLED_NAMES]
    best, score = "", 0.0
    for page in _PAGES:
        if _decodes(names, page):
            likely = _likelihood(spread, page)
            if likely > score + 1e-9:
                best, score = page, likely
    if score < _MIN_LIKELIHOOD:
        raise ValueError("the encoding of its names is not known")
    return best


def _decodes(names: Iterable[bytes], page: str) -> bool:
    try:
        return all(name.decode(page) is not None for name in names)
    except UnicodeDecodeError:
        return False


def _likelihood(names: Iterable[bytes], page: str) -> float:
    """How much names look like words in a code page, 0..1: the mean over all characters that are not ASCII."""
    parts = dict.fromkeys(part for name in names for part in re.split(r"[/\\]", name.decode(page)))
    score = _wide if page in _WIDE else _narrow
    scores = [
        value
        for part in islice((p for p in parts if not p.isascii()), _MAX_JUDGED_PARTS)
        for value in score(part, page)
    ]
    return sum(scores) / max(1, len(scores))


def _wide(part: str, page: str) -> Iterator[float]:
    """Score each East Asian character: common ones stand in known rows of their code page."""
    for c in part:
        code = c.encode(page)
        if c.isascii():
            continue
        if not c.isalpha() or len(code) == 1:  # half-width katakana: nearly any byte decodes to one
            yield 0.3 if c.isalpha() else 0.0
            continue
        lead, plain = code[0], code[1] >= 0xA1
        if page == "cp932":
            yield 1.0 if lead < 0x88 else 0.8 if lead < 0x99 else 0.3
        elif page == "cp949":
            yield 1.0 if c in _COMMON_HANGUL else 0.4 if plain and 0xB0 <= lead <= 0xC8 else 0.1
        elif page == "gbk":
            yield 0.9 if plain and 0xB0 <= lead <= 0xD7 else 0.3 if plain and lead > 0xD7 else 0.1
        else:
            yield 0.9 if 0xA4 <= lead <= 0xC6 else 0.3


def _narrow(part: str, page: str) -> Iterator[float]:
    """Score each letter of an alphabet: words have letters of one script, and capitals at usual places."""
    judge = _latin if page in _LATIN else _other_script
    yield from (0.0 for c in part if not c.isascii() and not c.isalpha())
    for word in re.findall(r"[^\W\d_]+", part):
        foreign = [c for c in word if not c.isascii()]
        yield from (judge(word, foreign) for _ in foreign)


def _latin(word: str, foreign: Sequence[str]) -> float:
    names = [unicodedata.name(c, "") for c in foreign]
    capital_inside = any(a.islower() and b.isupper() and not (a + b).isascii() for a, b in pairwise(word))
    if capital_inside or not all(
        "LATIN" in name and "HOOK" not in name for name in names
    ):  # LATIN SMALL LETTER F WITH HOOK, the sign of the guilder
        return 0.1
    if 3 * (len(word) - len(foreign)) < len(foreign):
        return 0.6 if len(word) == 1 else 0.2
    return 0.9 if {*foreign} & {*"ðþ"} else 1.0  # Turkish is more frequent than Icelandic


def _other_script(word: str, _: Sequence[str]) -> float:
    scripts = {unicodedata.name(c, "").split(" ")[0] for c in word}
    if len(scripts) > 1 or "LATIN" in scripts or not (word.islower() or word.isupper() or word.istitle()):
        return 0.1
    return 0.9 if len(word) > 2 else 0.5  # two letters may be anything
