"""Unpack one member of a zip archive from its raw bytes, and check it.

Nothing is unpacked at once: a kilobyte of bzip2 can hold a gigabyte, and Python's zipfile
would unpack it whole.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from pereggrn_data.catalog import DEFLATED, LZMA, STORED, LockedMember
from pereggrn_data.core.errors import IntegrityError

LOCAL_HEADER = struct.Struct("<4s5H3L2H")
SIGNATURE = b"PK\x03\x04"
UTF8_NAME = 0x800
CHUNK = 1 << 20

LZMA_HEAD = struct.Struct("<HHBL")
LZMA_SETTINGS = 5
LARGEST_DICTIONARY = 1 << 28
"""Bytes that unpacking may remember; the highest level of packing asks for 64 MiB."""


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
    try:
        yield from _inflated(raw, member) if member.method == DEFLATED else _bounded(raw, member)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the data's
        packed = f"data packed by {member.packed_by}"
        raise _mismatch(member, packed, str(error) or "an early end") from None


def _inflated(raw: BinaryIO, member: LockedMember) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    for chunk in _raw_chunks(raw, member):
        data = chunk
        while data and not inflate.eof:
            yield inflate.decompress(data, CHUNK)
            data = inflate.unconsumed_tail
    while not inflate.eof and (rest := inflate.decompress(inflate.unconsumed_tail, CHUNK)):
        yield rest


def _bounded(raw: BinaryIO, member: LockedMember) -> Iterator[bytes]:
    """Unpack bzip2 and LZMA, of which Python's modules take the same arguments."""
    left = member.compressed_size
    unpacker: bz2.BZ2Decompressor | lzma.LZMADecompressor
    if member.method == LZMA:
        unpacker = _lzma(raw, left)
        left -= LZMA_HEAD.size
    else:
        unpacker = bz2.BZ2Decompressor()
    for chunk in _raw_chunks(raw, replace(member, compressed_size=left)):
        data = chunk
        while not unpacker.eof and (data or not unpacker.needs_input):
            yield unpacker.decompress(data, CHUNK)
            data = b""


def _lzma(raw: BinaryIO, left: int) -> lzma.LZMADecompressor:
    """Read what stands in front of LZMA in a zip file: a version, and five bytes of settings."""
    head = raw.read(min(left, LZMA_HEAD.size))
    if len(head) < LZMA_HEAD.size:
        raise EOFError
    _, length, packed, dictionary = LZMA_HEAD.unpack(head)
    if length != LZMA_SETTINGS or dictionary > LARGEST_DICTIONARY or packed >= 9 * 5 * 5:
        raise ValueError(f"settings that are not known, or a dictionary of {dictionary} bytes")
    settings = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": dictionary,
        "lc": packed % 9,
        "lp": packed // 9 % 5,
        "pb": packed // 45,
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[settings])


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
