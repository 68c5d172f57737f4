"""Releases: which records exist, and what each is known to hold, file by file.

A lock says it with sizes and checksums. It is made from the service's own
answers, never by hand; what is not known is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.safe_names import is_safe_file_name

LOCK_FORMAT_VERSION = 1

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
"""Compression methods of zip members that we read; the first two, one at a time."""

METHODS = {STORED: "stored", DEFLATED: "deflate", 9: "deflate64", BZIP2: "bzip2", LZMA: "LZMA"}
UNPACKED_FROM_WHOLE = (BZIP2, LZMA)
"""Methods that we read, but only from an archive that is here."""


class Holds(StrEnum):
    """What a record is known to hold."""

    DATA = "data"
    RESULTS = "results"
    CODE = "code"
    UNKNOWN = "unknown"
    CONCEPT = "concept"
    """Not a version: it stands for the newest one, which changes."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """One record of the collection.

    Parameters
    ----------
    record
        Number of the record; also the name of the folder in the cache.
    doi
        Version DOI; None for concept records.
    aliases
        Words that ``--release`` takes as well.
    archives
        File names that the record is known to hold; empty where that is looked
        up on first contact.
    default
        Whether commands use it when none is named.
    """

    record: str
    title: str
    holds: Holds
    doi: str | None = None
    aliases: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    default: bool = False

    def check_holds_data(self) -> None:
        """Refuse a release that is known to hold only code.

        Raises
        ------
        UsageError
            If it holds no data.
        """
        if self.holds is Holds.CODE:
            raise UsageError(
                f"Release {self.record} holds code, no datasets or networks.",
                fix="leave --release out, or name another one.",
            )


@dataclass(frozen=True, kw_only=True)
class LockedMember:
    """One file inside an archive.

    Parameters
    ----------
    path
        As the archive spells it.
    size, compressed_size
        Bytes.
    crc32
        From the archive's index.
    start, stop
        Bytes of the archive that hold the member with its header; `stop` may
        lie a little behind its end.
    sha256
        Of the unpacked file, in hex; None until it has been fetched once.
    """

    path: str
    size: int
    compressed_size: int
    crc32: int
    method: int
    encrypted: bool
    start: int
    stop: int
    sha256: str | None = None

    @property
    def readable_alone(self) -> bool:
        """Whether the member can be unpacked without the rest of the archive."""
        return self.method in (STORED, DEFLATED) and not self.encrypted

    @property
    def readable(self) -> bool:
        """Whether we can unpack the member at all."""
        return self.readable_alone or (self.method in UNPACKED_FROM_WHOLE and not self.encrypted)

    @property
    def packed_by(self) -> str:
        """How the member is compressed, in words."""
        return METHODS.get(self.method, f"compression method {self.method}")


@dataclass(frozen=True, kw_only=True)
class LockedArchive:
    """One file of a record.

    Parameters
    ----------
    key
        Its file name in the record.
    size
        Bytes.
    md5
        Hex, from the record; None where the record has none.
    link
        Where the service's API says it can be downloaded.
    members
        Contents of a zip archive; None where they have not been looked up.
    ranges
        Whether the server answers requests for parts; None if not tried.
        Only True is ever written to a file.
    """

    key: str
    size: int
    md5: str | None
    link: str | None = None
    members: tuple[LockedMember, ...] | None = None
    ranges: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ReleaseLock:
    """Everything known about a record's files.

    Parameters
    ----------
    resolved
        Date and time (UTC, ISO 8601) at which the service was asked.
    licence
        Identifier from the record, for example ``cc-by-4.0``.
    published
        The record's own date of publication (ISO 8601), or None.
    """

    record: str
    doi: str | None
    title: str | None
    licence: str | None
    resolved: str
    archives: tuple[LockedArchive, ...]
    published: str | None = None

    def archive(self, key: str) -> LockedArchive | None:
        """Return the archive with this file name, if the record has it."""
        return next((a for a in self.archives if a.key == key), None)

    def with_archive(self, archive: LockedArchive) -> ReleaseLock:
        """Return a lock in which `archive` replaces the one of the same name."""
        changed = tuple(archive if a.key == archive.key else a for a in self.archives)
        return replace(self, archives=changed)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON.

        That a server sent no parts is not written down: the next one that
        asks may find it otherwise.
        """
        lasting = tuple(replace(a, ranges=a.ranges or None) for a in self.archives)
        return {"format_version": LOCK_FORMAT_VERSION, **asdict(replace(self, archives=lasting))}

    @classmethod
    def from_dict(cls, values: object, *, source: str) -> ReleaseLock:
        """Read a lock back; nothing about `values` is trusted.

        Raises
        ------
        InvalidDataError
            If a field is missing or of the wrong type.
        """
        top = _Fields(values, source)
        version = top.get("format_version", int)
        if version != LOCK_FORMAT_VERSION:
            raise _invalid(source, f"format_version {LOCK_FORMAT_VERSION}", str(version))
        archives = [_archive(_Fields(a, source)) for a in top.get("archives", list)]
        return cls(
            record=top.record("record"),
            doi=top.maybe("doi", str),
            title=top.maybe("title", str),
            licence=top.maybe("licence", str),
            resolved=top.get("resolved", str),
            archives=tuple(archives),
            published=top.maybe("published", str),
        )


def _archive(values: _Fields) -> LockedArchive:
    members = values.maybe("members", list)
    size = values.number("size")
    return LockedArchive(
        key=values.file_name("key"),
        size=size,
        md5=values.hex("md5", 32),
        link=values.maybe("link", str),
        members=None
        if members is None
        else tuple(_member(_Fields(m, values.source), size) for m in members),
        ranges=values.maybe("ranges", bool) or None,
    )


def _member(values: _Fields, archive_size: int) -> LockedMember:
    start, stop = values.number("start"), values.number("stop")
    if not start <= stop <= archive_size:
        raise _invalid(values.source, f"bytes within {archive_size}", f"{start} to {stop}")
    return LockedMember(
        path=values.get("path", str),
        size=values.number("size"),
        compressed_size=values.number("compressed_size"),
        crc32=values.number("crc32"),
        method=values.number("method"),
        encrypted=values.get("encrypted", bool),
        start=start,
        stop=stop,
        sha256=values.hex("sha256", 64),
    )


class _Fields:
    """Takes typed fields out of parsed JSON."""

    def __init__(self, values: object, source: str) -> None:
        if not isinstance(values, Mapping):
            raise _invalid(source, "a JSON object", type(values).__name__)
        self.values = values
        self.source = source

    def get(self, name: str, kind: type[Any]) -> Any:
        value = self.values.get(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise _invalid(self.source, f"{name!r} as {kind.__name__}", f"{value!r:.60}")
        return value

    def maybe(self, name: str, kind: type[Any]) -> Any:
        return None if self.values.get(name) is None else self.get(name, kind)

    def number(self, name: str) -> int:
        value: int = self.get(name, int)
        if value < 0:
            raise _invalid(self.source, f"{name!r} of 0 or more", str(value))
        return value

    def record(self, name: str) -> str:
        """Take a record number: it names a folder here."""
        value: str = self.get(name, str)
        if not (value.isascii() and value.isdigit()):
            raise _invalid(self.source, f"{name!r} as a record number", repr(value)[:60])
        return value

    def file_name(self, name: str) -> str:
        """Take a name that a file may have here."""
        value: str = self.get(name, str)
        if not is_safe_file_name(value):
            raise _invalid(self.source, f"{name!r} as a plain file name", repr(value)[:60])
        return value

    def hex(self, name: str, length: int) -> str | None:
        value: str | None = self.maybe(name, str)
        if value is None:
            return None
        if len(value) != length or set(value.lower()) - set("0123456789abcdef"):
            raise _invalid(self.source, f"{name!r} of {length} hex digits", repr(value)[:60])
        return value.lower()


def _invalid(source: str, expected: str, got: str) -> InvalidDataError:
    return InvalidDataError(
        f"{source} is not a valid lock file.",
        expected=expected,
        got=got,
        fix="write it again with `pereggrn-data lock`.",
    )
