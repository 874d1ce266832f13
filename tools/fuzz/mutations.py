"""Damage of every kind: to any bytes, to a JPEG's segments, to a PNG's chunks with checksums made to fit again."""

import struct
import zlib
from collections.abc import Sequence

import numpy as np

Rng = np.random.Generator
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63, 2**64 - 1)
_HEAD = 160  # most of what decides lies in the first bytes


def mutate(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """One to three changes to a file; ``others`` lend their bytes for splices."""
    for _ in range(rng.integers(1, 4)):
        whole = {b"\xff\xd8": _jpeg, b"\x89P": _png}.get(data[:2])
        if whole is not None and rng.random() < 0.5:
            data = whole(data, rng)
        else:
            change = (_flip, _overwrite, _extreme, _truncate, _cut, _repeat, _splice)[rng.integers(7)]
            data = change(data, others, rng) if data else b"\0"
    return data


def _at(data: bytes, rng: Rng) -> int:
    return int(rng.integers(min(len(data), _HEAD) if rng.random() < 0.6 else len(data)))


def _flip(data: bytes, _: object, rng: Rng) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[_at(data, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _overwrite(data: bytes, _: object, rng: Rng) -> bytes:
    at = _at(data, rng)
    new = rng.bytes(int(rng.integers(1, 9)))
    return data[:at] + new + data[at + len(new) :]


def _extreme(data: bytes, _: object, rng: Rng) -> bytes:
    at, width = _at(data, rng), int(rng.choice((1, 2, 4, 8)))
    value = _EXTREMES[rng.integers(len(_EXTREMES))] % (1 << 8 * width)
    return data[:at] + value.to_bytes(width, "big" if rng.random() < 0.5 else "little") + data[at + width :]


def _truncate(data: bytes, _: object, rng: Rng) -> bytes:
    return data[: _at(data, rng)]


def _cut(data: bytes, _: object, rng: Rng) -> bytes:
    at = _at(data, rng)
    return data[:at] + data[at + int(rng.integers(1, 64)) :]


def _repeat(data: bytes, _: object, rng: Rng) -> bytes:
    at = _at(data, rng)
    return data[:at] + data[at : at + int(rng.integers(1, 64))] * int(rng.integers(2, 40)) + data[at:]


def _splice(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    other = others[rng.integers(len(others))]
    start = int(rng.integers(len(other)))
    at = _at(data, rng)
    return data[:at] + other[start : start + int(rng.integers(1, 400))] + data[at + int(rng.choice((0, 0, 200))) :]


def _shuffled(parts: list[bytes], rng: Rng) -> list[bytes]:
    """One part lost, doubled, or moved."""
    if not parts:
        return parts
    at, to = int(rng.integers(len(parts))), int(rng.integers(len(parts)))
    change = rng.integers(3)
    if change == 0:
        return parts[:at] + parts[at + 1 :]
    if change == 1:
        return parts[:to] + [parts[at]] * int(rng.choice((1, 1, 30))) + parts[to:]
    moved = parts[:at] + parts[at + 1 :]
    return [*moved[:to], parts[at], *moved[to:]]


def _inside(content: bytes, rng: Rng) -> bytes:
    """A part's content changed."""
    return (_flip, _overwrite, _extreme, _cut, _repeat)[rng.integers(5)](content, None, rng) if content else b""


def _jpeg(data: bytes, rng: Rng) -> bytes:
    """Segments up to the first scan, with lengths that fit unless they are what is changed."""
    segments, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        segments.append(data[at : at + 2 + length])
        at += 2 + length
    if not segments:
        return data
    if rng.random() < 0.4:
        segments = _shuffled(segments, rng)
    else:
        number = int(rng.integers(len(segments)))
        content = _inside(segments[number][4:], rng)[:65533]
        marker = segments[number][:2] if rng.random() < 0.8 else bytes([0xFF, rng.integers(0xC0, 0xF0)])
        segments[number] = marker + struct.pack(">H", len(content) + 2) + content
    return data[:2] + b"".join(segments) + data[at:]


def _png(data: bytes, rng: Rng) -> bytes:
    """Chunks, each with a checksum that fits."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append(data[at + 4 : at + 8 + length])
        at += 12 + length
    if not chunks:
        return data
    if rng.random() < 0.3:
        chunks = _shuffled(chunks, rng)
    else:
        number = int(rng.integers(len(chunks)))
        kind, content = chunks[number][:4], chunks[number][4:]
        if kind in (b"IDAT", b"iCCP", b"zTXt") and rng.random() < 0.5:
            content = content[:2] + zlib.compress(_inside(bytes(rng.integers(1, 300)), rng))
        else:
            content = _inside(content, rng)
        if rng.random() < 0.1:
            kind = bytes(rng.choice((b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"eXIf", b"iTXt", b"IEND")))
        chunks[number] = kind + content
    return data[:8] + b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
