"""Text files that people wrote with whatever editor they have."""

import codecs


def decoded(data: bytes, errors: str = "strict") -> str:
    """The text of a file: UTF-8, or what its byte order mark says (Windows' Notepad writes UTF-16 too).

    Args:
        data: the file's bytes.
        errors: what to do about bytes that are no text, as for ``bytes.decode``.

    Raises:
        UnicodeDecodeError: a ValueError; some are not, and ``errors`` is "strict".
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors)
    return data.decode("utf-8-sig", errors)
