"""Unpack one member of a zip archive from its raw bytes, and check it."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pereggrn_data.catalog import STORED, LockedMember
from pereggrn_data.core.errors import IntegrityError

LOCAL_HEADER = struct.Struct("<4s5H3L2H")
SIGNATURE = b"PK\x03\x04"
UTF8_NAME = 0x800
CHUNK = 1 << 20


@dataclass(frozen=True)
class Unpacked:
    """What was written: bytes, and their sha256 in hex."""

    size: int
    sha256: str


def unpack(raw: BinaryIO, member: LockedMember, out: BinaryIO) -> Unpacked:
    """Unpack a member and compare its size and CRC-32 with the archive's index.

    Parameters
    ----------
    raw
        Positioned at the member's header.
    out
        Where the unpacked bytes go.

    Raises
    ------
    IntegrityError
        If anything differs from the index. No more than the promised size is
        ever written.
    """
    _skip_header(raw, member)
    crc, size, sha256 = 0, 0, hashlib.sha256()
    for chunk in _unpacked_chunks(raw, member):
        size += len(chunk)
        if size > member.size:
            raise _mismatch(member, f"{member.size} bytes", "more")
        crc = zlib.crc32(chunk, crc)
        sha256.update(chunk)
        out.write(chunk)
    if size != member.size:
        raise _mismatch(member, f"{member.size} bytes", f"{size} bytes")
    if crc != member.crc32:
        raise _mismatch(member, f"CRC-32 {member.crc32:08x}", f"CRC-32 {crc:08x}")
    return Unpacked(size, sha256.hexdigest())


def _skip_header(raw: BinaryIO, member: LockedMember) -> None:
    header = raw.read(LOCAL_HEADER.size)
    if len(header) < LOCAL_HEADER.size or not header.startswith(SIGNATURE):
        raise _mismatch(member, "the start of a zip member", repr(header[:4]))
    fields = LOCAL_HEADER.unpack(header)
    flags, name_length, extra_length = fields[2], fields[9], fields[10]
    name = raw.read(name_length).decode("utf-8" if flags & UTF8_NAME else "cp437", "replace")
    if name.split("\0")[0] != member.path:
        raise _mismatch(member, "a header with this name", repr(name)[:80])
    raw.read(extra_length)


def _unpacked_chunks(raw: BinaryIO, member: LockedMember) -> Iterator[bytes]:
    if member.method == STORED:
        yield from _raw_chunks(raw, member)
        return
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for chunk in _raw_chunks(raw, member):
            data = chunk
            while data and not inflate.eof:
                yield inflate.decompress(data, CHUNK)
                data = inflate.unconsumed_tail
        while not inflate.eof and (rest := inflate.decompress(inflate.unconsumed_tail, CHUNK)):
            yield rest
    except zlib.error as error:
        raise _mismatch(member, "deflated data", str(error)) from None


def _raw_chunks(raw: BinaryIO, member: LockedMember) -> Iterator[bytes]:
    left = member.compressed_size
    while left:
        chunk = raw.read(min(CHUNK, left))
        if not chunk:
            raise _mismatch(member, f"{left} bytes more", "the end")
        left -= len(chunk)
        yield chunk


def _mismatch(member: LockedMember, expected: str, got: str) -> IntegrityError:
    return IntegrityError(
        f"{member.path} did not arrive as the archive's index promises.",
        expected=expected,
        got=got,
    )
