"""Text from files and users: decoded, and shown in errors."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from conv_cli.errors import ConvError

_LONGEST_SHOWN = 40
_NO_WORDS: Mapping[str, Sequence[str]] = MappingProxyType({})


def decode_text(contents: bytes) -> str:
    """Return bytes of UTF-8, with or without a byte-order mark, as text that is not empty.

    Raises ConvError, the reason alone, if they are no such text.
    """
    try:
        text = contents.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConvError(
            "not text in UTF-8; save it as plain text, or name it by its format"
        ) from None
    if not text.strip():
        raise ConvError("the file is empty")
    return text


def shown(text: str) -> str:
    """Return the text on one line and short enough for an error; "empty" for an empty one."""
    squeezed = " ".join(text.split())
    if len(squeezed) > _LONGEST_SHOWN:
        return squeezed[:_LONGEST_SHOWN] + "…"
    return squeezed or "empty"


def nearest(
    word: str, names: Iterable[str], others: Mapping[str, Sequence[str]] = _NO_WORDS
) -> str:
    """Return the name that was meant by another word for it or a slip, or "" if none is close.

    others : mapping of str to sequence of str. By a name, other words for it, in lower case.
    """
    import difflib

    word, known = word.lower()[:_LONGEST_SHOWN], list(names)
    for name in known:
        if word in others.get(name, ()):
            return name
    return next(iter(difflib.get_close_matches(word, known, n=1)), "")
