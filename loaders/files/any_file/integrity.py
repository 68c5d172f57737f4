"""Check that a file is what it was promised to be."""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import IntegrityError, InvalidDataError
from pereggrn_data.core.resources import beside
from pereggrn_data.loaders.files.any_file.signatures import SIGNATURES_BY_NAME, head_of, recognise

KINDS = {".h5ad": "hdf5", ".parquet": "parquet", ".gz": "gzip", ".zip": "zip"}
"""What files are by their endings, as `signatures` names it."""
CHUNK = 1 << 20

LARGE = 1 << 28
"""Bytes from which on the checksum of predictions is no sha256, which would take longer than
the scores."""


def check_magic(path: Path, name: str) -> None:
    """Check that a file begins as its kind does, and is no web page.

    Parameters
    ----------
    path
        The file, possibly under a temporary name.
    name
        The name that tells its kind.

    Raises
    ------
    IntegrityError
        If it begins in another way.
    """
    head = head_of(path)
    wanted = KINDS.get(Path(name).suffix)
    fits = SIGNATURES_BY_NAME[wanted].fits(head) if wanted else True
    if fits and not SIGNATURES_BY_NAME["web page"].fits(head):
        return
    raise IntegrityError(
        f"{name} is {recognise(path).short}.",
        expected=SIGNATURES_BY_NAME[wanted].what if wanted else "data",
        got=f"a file that begins with {head[:20]!r}",
    )


def promised_file(given: str | Path, sha256: str) -> Path | None:
    """Return the path of a file that another file names, if it is the promised one.

    Only a regular file counts, and no link: whoever sent the other file may name anything
    of ours. Nothing is told of what is there instead.

    Parameters
    ----------
    given
        As it was named.
    sha256
        Of its bytes, in hex.
    """
    try:
        path = Path(given).expanduser()
        # Without O_NONBLOCK, a pipe would let us wait for ever.
        no_link = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        handle = os.open(path, os.O_RDONLY | no_link)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError, RuntimeError):
        return None
    return path if found == sha256 else None


def sha256_of_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def blake3_of_file(path: Path) -> str:
    """Return the BLAKE3 hash of a file's bytes, in hex: in a fifth of the time of a sha256."""
    from blake3 import blake3

    made: Any = blake3  # it has all that is asked of it, and its types say less
    with path.open("rb") as file:
        return str(hashlib.file_digest(file, made).hexdigest())


def checksum_of_file(path: Path) -> str:
    """Return what a file is told by: ``sha256:...``, or ``blake3:...`` from :data:`LARGE` on."""
    if path.stat().st_size < LARGE:
        return f"sha256:{sha256_of_file(path)}"
    return f"blake3:{blake3_of_file(path)}"


class Hashing:
    """The checksum of a file or a store, found in a thread while other work goes on.

    Parameters
    ----------
    path
        The file, or a store.
    of
        Finds the checksum of it.
    """

    def __init__(self, path: Path, of: Callable[[Path], str] = checksum_of_file) -> None:
        self._path = path
        self._before = state_of(path)
        self._wait = beside(partial(of, path))

    def result(self) -> str:
        """Return the checksum; wait for it where it is not there yet.

        Raises
        ------
        OSError
            If the file cannot be read.
        InvalidDataError
            If another one is there now, or a part of a store is gone: what has been read of it
            meanwhile need not be what the checksum is of.
        """
        found = self._wait()
        is_gone = not self._path.exists() and "" in self._before  # a file, after it was read
        if not is_gone and state_of(self._path) != self._before:
            raise InvalidDataError(
                f"{self._path} was changed while it was read.",
                expected="a file that stays as it is",
                fix="try again when nothing is written to it any more.",
            )
        return found


def state_of(path: Path) -> dict[str, tuple[int, int, int]]:
    """Return what changes when a file is written; of each in a store, by name; "" is a file."""
    within = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    found = {}
    for file in within or [path]:
        with suppress(OSError):
            facts = file.stat()
            name = file.relative_to(path).as_posix() if within else ""
            found[name] = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
    return found


def crc32_of_file(path: Path) -> int:
    """Return the CRC-32 of a file's bytes."""
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc


def md5_of_file(path: Path) -> str:
    """Return the md5 of a file's bytes, in hex: what records publish for their archives."""
    with path.open("rb") as file:
        return hashlib.file_digest(
            file,
            lambda: hashlib.md5(usedforsecurity=False),
        ).hexdigest()


def settle(path: Path, mode: int) -> None:
    """Make sure that a file is on the disk, and give it permissions beside those it has.

    Those of a file that is another user's stay as they are.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    try:
        os.fsync(handle)
        found = os.fstat(handle)
        if mode and found.st_uid == os.geteuid():
            os.fchmod(handle, stat.S_IMODE(found.st_mode) | mode)
    finally:
        os.close(handle)


def settle_folder(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
