"""Text for terminals."""


def printable(text: str) -> str:
    """File names may hold anything, terminal escapes included: show what is not printable as Python would."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
