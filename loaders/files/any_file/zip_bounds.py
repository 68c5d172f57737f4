"""How many members a zip archive may have, counted before anything is made of its index.

The standard library makes an object of some hundred bytes of every entry, and an entry
takes 46 bytes: an index of which nothing is of use can so fill the memory. The reader here
stands between the library and the file, and counts entries in what the library reads at
once, before the library sees it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO, Any, Protocol

from pereggrn_data.core.errors import InvalidDataError, PereggrnError
from pereggrn_data.core.foreign_reading import TRUST_VARIABLE, trusts_files

MOST_MEMBERS = 200_000
"""Members of an archive; more are taken only where files are trusted (--trust)."""

LARGEST_INDEX = 1 << 26
"""Bytes of an archive's index; more are read only where files are trusted (--trust)."""

ENTRY = b"PK\x01\x02"
"""What every entry of an index begins with."""

SMALLEST_ENTRY = 46
"""Bytes."""


class Seekable(Protocol):
    """A file, or what stands for one."""

    def read(self, length: int = ..., /) -> bytes | None:
        """Return bytes from here on."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """Go elsewhere."""

    def tell(self) -> int:
        """Say where this is."""


class BoundedIndex(io.RawIOBase):
    """A zip archive for :class:`zipfile.ZipFile`, whose index is refused if it is too long.

    Parameters
    ----------
    file
        The archive; it stays open.
    called
        What messages call it.
    problem
        The type of the error that is raised.

    Raises
    ------
    PereggrnError
        By reading, an error of the type `problem`, where the index is longer than
        :data:`LARGEST_INDEX` or has more than :data:`MOST_MEMBERS` entries, unless files
        are trusted.
    """

    def __init__(
        self,
        file: Seekable | IO[bytes],
        called: object,
        problem: Callable[..., PereggrnError] = InvalidDataError,
    ) -> None:
        self.file: Any = file
        self.called = called
        self.problem = problem

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that one can go elsewhere in it."""
        return True

    def tell(self) -> int:
        """Say where this is."""
        return int(self.file.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go elsewhere."""
        return int(self.file.seek(offset, whence))

    def read(self, length: int | None = -1) -> bytes:
        """Return bytes, after a look at how many entries of an index they hold."""
        trusted = trusts_files()
        most = LARGEST_INDEX + 1
        if not trusted and (length is None or length < 0 or length > most):
            length = most
        found = bytes(self.file.read(-1 if length is None else length))
        if not trusted:
            if len(found) > LARGEST_INDEX:
                raise self._refused(f"{LARGEST_INDEX:,} bytes", "more")
            if len(found) > MOST_MEMBERS * SMALLEST_ENTRY:
                n = found.count(ENTRY)
                if n > MOST_MEMBERS:
                    raise self._refused(f"{MOST_MEMBERS:,} members", f"{n:,}")
        return found

    def _refused(self, most: str, got: str) -> PereggrnError:
        return self.problem(
            f"The index of {self.called} is too long.",
            expected=f"at most {most}",
            got=got,
            fix=f"if it really has so many members, say --trust (or set {TRUST_VARIABLE}=1).",
        )
