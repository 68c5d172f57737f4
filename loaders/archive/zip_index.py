"""Read the index of a remote zip archive with one or two requests.

remotezip does this too, but it neither resumes nor retries, and it keeps the
raw bytes of a member to itself, which are what resuming needs. So the standard
library's zipfile parses the index here, over bytes that we fetch, and a
member's bytes are fetched and unpacked by our own modules.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import IO

from pereggrn_data.catalog import LockedArchive, LockedMember
from pereggrn_data.core.errors import IntegrityError
from pereggrn_data.core.foreign_reading import FORMATS, reading, trusts_files
from pereggrn_data.loaders.files.any_file import LARGEST_INDEX, BoundedIndex
from pereggrn_data.loaders.remote import Part, RangeRefusedError, RemoteFile

TAIL = 1 << 19
"""Bytes asked for first: enough for the index of some thousand members."""

LARGEST_HEADER = 30 + 2 * 0xFFFF
LARGEST_TRAILER = 24
ENCRYPTED = 0x1


class ArchiveChangedError(IntegrityError):
    """The archive is not the one that the record or the lock describes."""


def read_remote_index(file: RemoteFile, archive: LockedArchive) -> LockedArchive:
    """Return the archive with its members.

    Raises
    ------
    RangesIgnoredError
        If the server cannot send parts.
    ArchiveChangedError
        If its size is not the promised one.
    IntegrityError
        If what it sends is not a zip archive.
    """

    def read() -> tuple[LockedMember, ...]:
        start, tail = _read_tail(file, archive)
        return _members(_RemoteReader(file, archive.size, start, tail), archive.key)

    return replace(archive, members=file.http.persist(read), ranges=True)


def read_local_index(path: Path, archive: LockedArchive) -> LockedArchive:
    """Return the archive with its members, read from a copy here."""
    with path.open("rb") as file:
        return replace(archive, members=_members(file, archive.key))


def _read_tail(file: RemoteFile, archive: LockedArchive) -> tuple[int, bytes]:
    try:
        with file.tail(TAIL) as part:
            return part.start, _collect(part, archive)
    except RangeRefusedError:
        # Some servers know ranges, but not those that count from the end.
        with file.part(max(0, archive.size - TAIL), archive.size) as part:
            return part.start, _collect(part, archive)


def _collect(part: Part, archive: LockedArchive) -> bytes:
    check_size(part, archive)
    return b"".join(part.chunks())


def check_size(part: Part, archive: LockedArchive) -> None:
    """Check that the remote file is as long as the record or the lock says.

    Raises
    ------
    ArchiveChangedError
        If it is not.
    """
    if part.validator.size != archive.size:
        raise ArchiveChangedError(
            f"{archive.key} is not the archive that was promised.",
            expected=f"{archive.size} bytes",
            got=f"{part.validator.size} bytes",
            fix="it has changed at the service, or a proxy is in between.",
        )


def _members(file: IO[bytes] | io.RawIOBase, key: str) -> tuple[LockedMember, ...]:
    with (
        reading(key, FORMATS["zip"], problem=lambda error: _unreadable(key, error)),
        zipfile.ZipFile(BoundedIndex(file, key, IntegrityError)) as archive,
    ):
        infos = [info for info in archive.infolist() if not info.is_dir()]
        starts = sorted({info.header_offset for info in archive.infolist()})
        end = archive.start_dir
    following = dict(zip(starts, [*starts[1:], end][: len(starts)], strict=True))
    return tuple(_member(info, following[info.header_offset], key) for info in infos)


def _unreadable(key: str, error: Exception) -> IntegrityError:
    return IntegrityError(
        f"{key} is not a zip archive that we can read.", got=str(error)[:200] or "a damaged index"
    )


def _member(info: zipfile.ZipInfo, following: int, key: str) -> LockedMember:
    if not 0 <= info.header_offset <= following:
        raise IntegrityError(
            f"The index of {key} is damaged.",
            expected=f"{info.filename} within the archive",
            got=f"byte {info.header_offset}",
        )
    furthest = info.header_offset + LARGEST_HEADER + info.compress_size + LARGEST_TRAILER
    return LockedMember(
        path=info.filename,
        size=info.file_size,
        compressed_size=info.compress_size,
        crc32=info.CRC,
        method=info.compress_type,
        encrypted=bool(info.flag_bits & ENCRYPTED),
        start=info.header_offset,
        stop=min(following, furthest),
    )


class _RemoteReader(io.RawIOBase):
    """A read-only file over the end of a remote one; what is missing is fetched once."""

    def __init__(self, file: RemoteFile, size: int, start: int, tail: bytes) -> None:
        self.file, self.size, self.start, self.tail = file, size, start, tail
        self.position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        if origin + offset < 0:
            raise OSError("negative seek")
        self.position = origin + offset
        return self.position

    def read(self, length: int | None = -1) -> bytes:
        left = max(0, self.size - self.position)
        length = left if length is None or length < 0 else min(length, left)
        if length == 0:
            return b""
        if self.position < self.start:
            self._fetch_from(self.position)
        begin = self.position - self.start
        data = self.tail[begin : begin + length]
        self.position += len(data)
        return data

    def _fetch_from(self, position: int) -> None:
        if self.start - position > LARGEST_INDEX and not trusts_files():
            raise IntegrityError(
                "The archive's index is impossibly long.",
                expected=f"at most {LARGEST_INDEX} bytes",
                got=f"{self.start - position} bytes",
                fix="if the archive really has so many members, say --trust.",
            )
        pieces: list[bytes] = []
        while position < self.start:
            with self.file.part(position, self.start) as part:
                pieces.extend(part.chunks())
                position = part.stop
        self.start -= sum(map(len, pieces))
        self.tail = b"".join([*pieces, self.tail])
