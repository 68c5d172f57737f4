"""Text from outside on a terminal: what it holds is shown, never obeyed."""

from __future__ import annotations

import re
import unicodedata

_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: controls, invisible formats (also of direction), surrogates, separators."""

_KEPT = "\n\t"
_HIDDEN_IN_JSON = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


_PASSWORD = re.compile(r"(?<=://)[^/\s?#]*@")


def without_password(text: str) -> str:
    """Leave out who logs in, and by which password, from the addresses in a text.

    Examples
    --------
    >>> without_password("https://me:secret@example.org/x is not there")
    'https://example.org/x is not there'
    """
    return _PASSWORD.sub("", text)


def one_line(text: object) -> str:
    r"""Show control characters, line breaks and lone surrogates as escapes.

    Examples
    --------
    >>> print(one_line("GATA1\x1b[2K\nKLF1"))
    GATA1\x1b[2K\nKLF1
    """
    return "".join(map(_shown, str(text)))


def printable(text: object) -> str:
    r"""As :func:`one_line`, but keep line breaks and tabs.

    Examples
    --------
    >>> printable("two\nlines\x07")
    'two\nlines\\x07'
    """
    return "".join(c if c in _KEPT else _shown(c) for c in str(text))


def printable_json(text: str) -> str:
    r"""Write the characters of a JSON text that a terminal may obey as JSON's own escapes.

    Examples
    --------
    >>> printable_json('"a\x9b2Kb"')
    '"a\\u009b2Kb"'
    """
    return _HIDDEN_IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _shown(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) not in _OBEYED:
        return character
    return character.encode("unicode_escape").decode("ascii")
