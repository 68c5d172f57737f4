"""Text in a file as bytes and lines: unpacked within bounds, in whichever encoding."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeVar

from pereggrn_data.core.errors import InvalidDataError, lines_of
from pereggrn_data.core.foreign_reading import FORMATS, reading
from pereggrn_data.loaders.files.any_file import refuse_other_kind

SMALL_UNPACKED, LARGEST_RATIO = 64 << 20, 300
"""A gzip file may unpack to the first, in bytes, or to so many times its own length."""

SAVE_AS_UTF8 = "save it as UTF-8 (spreadsheets call it 'CSV UTF-8')."

_Read = TypeVar("_Read")


def text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, however it is encoded, and unpacked where it is packed.

    Raises
    ------
    InvalidDataError
        If it is not text, or unpacks to far more than it is long.
    """
    with explained(path, partial(open_text, path)) as file:
        lines = iter(file)
        while (line := explained(path, partial(next, lines, None))) is not None:
            yield line.rstrip("\r\n")


def explained(path: Path, read: Callable[[], _Read]) -> _Read:
    """Run `read` and turn what readers of tables raise into our error."""

    def problem(error: Exception) -> InvalidDataError:
        cause = lines_of(error)[0]
        if "straddl" in cause:  # Arrow's word for a row that does not end
            cause = "a row does not end; is a quotation mark not closed?"
        return InvalidDataError(
            f"{path} cannot be read: {cause:.300}",
            expected=FORMATS["text"].expected,
            fix=SAVE_AS_UTF8 if isinstance(error, UnicodeError) else None,
        )

    with reading(path, FORMATS["text"], problem=problem):
        return read()


def open_text(path: Path) -> TextIO:
    """Open a text file, however it is encoded, without the mark of its byte order.

    Raises
    ------
    InvalidDataError
        If it is of another kind, or unpacks to far more than it is long.
    """
    encoding = encoding_of(path).replace("utf-8", "utf-8-sig")
    return io.TextIOWrapper(unpacked_bytes(path), encoding=encoding, newline="")


def unpacked_bytes(path: Path) -> io.BufferedReader:
    """Open a table as bytes, unpacked where it is packed.

    Raises
    ------
    InvalidDataError
        While it is read, if it unpacks to far more than it is long.
    """
    if not _is_gzip(path):
        return path.open("rb")
    return io.BufferedReader(_Unpacked(path), 1 << 20)


class _Unpacked(io.RawIOBase):
    """Bytes of a gzip file, as long as they are in proportion to it.

    A file of a megabyte can unpack to a gigabyte. No table of measurements does: one of
    single digits, nearly all of them 0, is 100 times as long as when packed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = gzip.open(path, "rb")  # noqa: SIM115 - closed with this
        self.left = max(SMALL_UNPACKED, LARGEST_RATIO * path.stat().st_size)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Unpack the next bytes."""
        data = self.file.read(len(buffer))
        self.left -= len(data)
        if self.left < 0:
            raise InvalidDataError(
                f"{self.path} unpacks to far more than it is long.",
                expected=f"a table, at most {LARGEST_RATIO} times as long as when packed",
                got=f"more than {self.path.stat().st_size:,} bytes by that",
                fix="if it is fine, unpack it yourself (gunzip) and read what comes of it.",
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self.file.close()
        super().close()


def encoding_of(path: Path) -> str:
    """Return the encoding of a text file, ``"utf-8"`` or ``"utf-16"``.

    Raises
    ------
    InvalidDataError
        If it is of another kind.
    """
    refuse_other_kind(
        path, ("table", "text", "gzip", "unknown"), "a table of text, complete and in UTF-8"
    )
    with unpacked_bytes(path) as file:
        start = file.read(4)
    return "utf-16" if start.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"
