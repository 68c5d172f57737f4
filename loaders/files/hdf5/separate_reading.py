"""Look through HDF5 files in a process of its own, before they are read in this one.

HDF5 is a library of C: of 3,600 files with damaged bytes, 13 made it run for ever and 1 made
it crash, and no error can be caught then. A second process opens every
element, follows every index and reads all text first, with limits of time and memory. What it
comes to an end with can be read here.

On Linux the process is forked from this one, which takes 20 ms where starting a new one takes
400; it does nothing but call HDF5, which is guarded against forks by h5py. A fork in a program
with threads can stand still all the same: so what does not come to a good end is asked of a
new process, whose word counts, unless it is plain: what eats up its time or memory is no
standing still. A copy also reads the little that is wanted of a large file before it has been
looked through (:func:`read_apart`). Parquet, packed text and JSON need none of
this: no damaged one that was tried hung or crashed its library (SECURITY.md has the numbers).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.foreign_reading import TRUST_VARIABLE, trusts_files

SECONDS = 10.0
"""Of the processor that a file may take, and one more for every :data:`BYTES_PER_SECOND`."""

PATIENCE = 6.0
"""How many times as long it may take on the clock: a disk or a machine may be busy."""

BYTES_PER_SECOND = 20 << 20

MEMORY = 1 << 30
"""Bytes that looking through may take."""

NUMBERS_READ = 16 << 20
"""Bytes of numbers that are unpacked, of all elements together: their filters are robust."""

TEXTS_READ = 32 << 20
"""Texts that are read of one element: more have not been damaged by chance."""

VALUES_AT_ONCE = 100_000

SECONDS_APART = 1.0
"""Of the processor that reading a little of a file may take."""

LENGTH = struct.Struct(">I")
"""What comes before the bytes that a copy of a process tells."""

MOST_TOLD = 64 << 20
"""Bytes that a copy of a process may tell."""


class Ending(IntEnum):
    """How looking through a file ended; the numbers are codes with which the process leaves."""

    FINE = 0
    MEMORY = 3
    HANGS = 4
    STANDS_STILL = 5
    CRASHES = 6


_SAID = {
    Ending.MEMORY: "takes more memory than it should",
    Ending.HANGS: "does not come to an end",
    Ending.STANDS_STILL: "stands still",
    Ending.CRASHES: "crashes",
}

_looked_through: dict[tuple[int, ...], Ending] = {}


def look_through(path: Path) -> None:
    """Check that a file can be read without harm to this process; once for each file.

    What else is wrong with it is not said here, but by whoever reads it.

    Parameters
    ----------
    path
        An existing file. Nothing is done if files are trusted (``--trust``).

    Raises
    ------
    InvalidDataError
        If HDF5 hangs, crashes or floods over it.
    """
    if trusts_files():
        return
    known = _version(path)
    seconds = SECONDS + path.stat().st_size / BYTES_PER_SECOND
    ending = _looked_through.get(known)
    if ending is None and sys.platform == "linux":
        ending = _forked(path, seconds)
    if ending in (None, Ending.STANDS_STILL, Ending.CRASHES):
        ending = _spawned(path, seconds)
    _looked_through[known] = ending
    if ending is not Ending.FINE:
        raise InvalidDataError(
            f"{path} cannot be read: HDF5 {_SAID[ending]} over it.",
            expected="a complete HDF5 file",
            got=f"{_SAID[ending]}, in a process with {MEMORY >> 20} MiB and {seconds:.0f} s",
            fix="it is damaged or made to do harm: fetch or write it again. If it is merely "
            f"large, say --trust (or set {TRUST_VARIABLE}=1).",
        )


def take_for_fine(path: Path) -> None:
    """Leave the look out for a file that has just been compared with a checksum of ours.

    It is so for this version of the file, and in this process, only.
    """
    _looked_through[_version(path)] = Ending.FINE


def _version(path: Path) -> tuple[int, ...]:
    stat = path.stat()
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def read_apart(path: Path, read: Callable[[], str]) -> str | None:
    """Read a little of a file in a copy of this process, while the whole is still looked through.

    Parameters
    ----------
    path
        The file.
    read
        Reads it, as far as the copy is concerned a file that is fine.

    Returns
    -------
    str or None
        The text that was read. None where no copy can be made, or it comes to no good end:
        whoever reads all of the file says what is wrong with it.
    """
    if sys.platform != "linux":
        return None

    def tell() -> bytes:
        _limit(SECONDS_APART)
        take_for_fine(path)
        return read().encode()

    found = _of_copy(tell, SECONDS_APART * PATIENCE)
    return None if found is None or found[0] is None else found[0].decode()


def _forked(path: Path, seconds: float) -> Ending | None:
    """Look through a file in a copy of this process; None if that cannot be made."""
    found = _of_copy(lambda: bytes([_looked(path, seconds)]), seconds * PATIENCE)
    if found is None:
        return None
    said, code = found
    if said:
        return Ending(said[0])
    return Ending.STANDS_STILL if code is None else _of_code(code)


def _of_copy(tell: Callable[[], bytes], seconds: float) -> tuple[bytes | None, int | None] | None:
    """Do something in a copy of this process.

    Parameters
    ----------
    tell
        What it does; in the copy, so that nothing but the bytes comes of it here.
    seconds
        On the clock, after which the copy is ended.

    Returns
    -------
    tuple or None
        What was told, None if the copy ended before; and the code with which it ended, None
        if it had to be ended. None instead of both if no copy can be made.
    """
    reader, writer = os.pipe()
    try:
        with warnings.catch_warnings():
            # Of threads, which the copy does not have and does not need.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        return None
    if not child:
        _tell_and_leave(tell, writer)
    os.close(writer)
    ended, said = False, None
    try:
        ended, said = _received(reader, time.monotonic() + seconds)
    finally:
        os.close(reader)
        if not ended:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    return said, os.waitstatus_to_exitcode(status) if ended else None


def _received(reader: int, until: float) -> tuple[bool, bytes | None]:
    """Return whether a copy told or ended in time, and what it told: its length comes first."""
    said, wanted = b"", LENGTH.size
    while len(said) < wanted:
        if not select.select([reader], [], [], max(until - time.monotonic(), 0))[0]:
            return False, None
        more = os.read(reader, 1 << 16)
        if not more:
            return True, None
        said += more
        if wanted == LENGTH.size <= len(said):
            wanted += LENGTH.unpack_from(said)[0]
            if wanted > MOST_TOLD:
                return False, None
    return True, said[LENGTH.size :]


def _tell_and_leave(tell: Callable[[], bytes], writer: int) -> None:
    """Do something in the copy of a process, and end it whatever happens."""
    try:
        import faulthandler

        faulthandler.disable()
        # Ctrl-C goes to all processes; the one that waits ends this one, which has no say.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # What libraries print when they crash is nobody's business.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        told = tell()
        left = LENGTH.pack(len(told)) + told
        while left:
            left = left[os.write(writer, left) :]
    finally:
        os._exit(Ending.CRASHES)  # what was told counts first


def _spawned(path: Path, seconds: float) -> Ending:
    """Look through a file in a new process."""
    command = [sys.executable, "-P", "-W", "ignore", "-m", __name__, str(path), str(seconds)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        try:
            code = child.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            return Ending.STANDS_STILL
        finally:
            child.kill()
    return _of_code(code)


def _of_code(code: int) -> Ending:
    """Return what a process that ended by itself, or by a limit, says with its code."""
    if code == -getattr(signal, "SIGXCPU", 0) < 0:
        return Ending.HANGS
    return Ending(code) if code in (Ending.FINE, Ending.MEMORY) else Ending.CRASHES


def _looked(path: Path, seconds: float) -> Ending:
    """Look through a file here, within limits."""
    try:
        _limit(seconds)
        _walk(path)
    except MemoryError:
        return Ending.MEMORY
    except BaseException:
        return Ending.FINE
    return Ending.FINE


def _limit(seconds: float) -> None:
    """Have the system end this process if nobody else does."""
    try:
        import resource
    except ImportError:  # Windows; the time is limited by whoever waits
        return

    def lower(kind: int, value: int) -> None:
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (value, hard))

    lower(resource.RLIMIT_CORE, 0)
    used = resource.getrusage(resource.RUSAGE_SELF)
    lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + 1)
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        lower(resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY)


def _walk(path: Path) -> None:
    """Open every element of a file, with its attributes and indices; read its text."""
    numbers_left = NUMBERS_READ
    with h5py.File(path, "r") as file:
        seen: set[int] = set()
        waiting: list[Any] = [file.id]
        while waiting:
            element = waiting.pop()
            address = h5o.get_info(element).addr
            if address in seen:
                continue
            seen.add(address)
            with contextlib.suppress(*_DAMAGE):
                _read_marks(element)
            with contextlib.suppress(*_DAMAGE):
                if isinstance(element, h5d.DatasetID):
                    numbers_left -= _read_values(h5py.Dataset(element), numbers_left)
                elif isinstance(element, h5g.GroupID):
                    waiting += _below(element)


_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, SystemError)
"""Nearly all that h5py raises, but no lack of memory."""


def _below(group: Any) -> list[Any]:
    found = []
    for name in group:
        with contextlib.suppress(*_DAMAGE):
            if group.links.get_info(name).type == h5l.TYPE_HARD:
                found.append(h5o.open(group, name))
    return found


def _read_marks(element: Any) -> None:
    for index in range(h5a.get_num_attrs(element)):
        with contextlib.suppress(*_DAMAGE):
            name = h5a.open(element, index=index).name
            h5py.AttributeManager(_Holder(element))[name]


class _Holder:
    """What h5py's table of attributes asks of an element."""

    def __init__(self, element: Any) -> None:
        self.id = element
        self._id = element


def _read_values(values: h5py.Dataset, numbers_left: int) -> int:
    """Follow the index of a dataset and read it, as far as that is needed; return bytes read."""
    how = values.id.get_create_plist()
    layout = how.get_layout()
    if layout == h5d.VIRTUAL or (layout == h5d.CONTIGUOUS and how.get_external_count()):
        return 0  # it is refused, and nothing of it read
    if layout == h5d.CHUNKED:
        for index in range(values.id.get_num_chunks()):
            values.id.get_chunk_info(index)
    if not values.shape:
        values[()]
        return 0
    texts = values.dtype.hasobject
    size = values.size
    if values.id.get_storage_size() == 0 or (not texts and values.nbytes > numbers_left):
        return 0
    rows = max(VALUES_AT_ONCE * len(values) // max(size, 1), 1)
    stop = len(values) if not texts else min(len(values), TEXTS_READ * len(values) // size + 1)
    for start in range(0, stop, rows):
        np.asarray(values[start : start + rows])
    return 0 if texts else int(values.nbytes)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(int(_looked(Path(sys.argv[1]), float(sys.argv[2]))))
