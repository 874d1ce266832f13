"""Files compressed in advance, for web servers that send them so: `.gz`, and `.br` where brotli is installed."""

import gzip
from collections.abc import Iterator

_ALREADY = (".png", ".gz", ".br")


def compressed(path: str, data: bytes, known: bytes | None = None) -> Iterator[tuple[str, bytes]]:
    """Compress a file.

    Args:
        path: of the file.
        data: its bytes.
        known: its bytes as gzip, if they are known.

    Returns:
        Paths and bytes, of those that are smaller than the file.
    """
    if path.endswith(_ALREADY):
        return
    packed = gzip.compress(data, 9, mtime=0) if known is None else known
    if len(packed) < len(data):
        yield f"{path}.gz", packed
    try:
        import brotli
    except ImportError:
        return
    if len(packed := brotli.compress(data)) < len(data):
        yield f"{path}.br", packed
