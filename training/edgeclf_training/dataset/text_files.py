"""Text files that were written with any editor, also on Windows."""

import codecs


def decoded(data: bytes, errors: str = "strict") -> str:
    """Decode a text file: UTF-8, or UTF-16 if it begins with that byte order mark (Windows' Notepad can write it).

    Args:
        data: the file's bytes.
        errors: what to do with bytes that are not valid, as for ``bytes.decode``.

    Raises:
        UnicodeDecodeError: a byte is not valid, and ``errors`` is "strict".
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors)
    return data.decode("utf-8-sig", errors)
