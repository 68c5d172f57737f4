"""Open HDF5 files that came from anywhere: a file reads only itself.

HDF5 can keep values in other files: in raw external storage, behind external links, in
virtual datasets. A stranger's file could so show any file of its reader, no checksum
covers what is behind, and a link to a pipe waits for ever. Every file is looked through
before a value of it is read, and refused if it has one of them.

Also here: how a file of ours is written so that a full disk is an error and no crash.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5o

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.sizes import SMALL, require_memory
from pereggrn_data.loaders.files.hdf5.separate_reading import look_through
from pereggrn_data.validators import READ_FAILURES

MOST_ELEMENTS = 1_000_000
"""Elements of a file; AnnData has some hundreds."""


class ForeignPartError(InvalidDataError):
    """A file refers to values outside of itself."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, after a look at where its values are.

    Raises
    ------
    ForeignPartError
        If some are in another file, or in a virtual dataset.
    InvalidDataError
        If HDF5 hangs, crashes or floods over it, which another process finds out.
    Exception
        Whatever h5py raises if it cannot be opened, or is damaged.
    """
    look_through(path)
    file = h5py.File(path, "r")
    try:
        refuse_foreign_parts(file, path)
        yield file
    finally:
        with suppress(*READ_FAILURES):  # all was read that could be
            file.close()


def refuse_foreign_parts(file: h5py.File, path: Path) -> None:
    """Check that an open file has all its values in itself, and every group in one place.

    A group that is found in itself again, by a link, would be read for ever.

    Raises
    ------
    ForeignPartError
        If it has not.
    InvalidDataError
        If it has more than :data:`MOST_ELEMENTS` elements.
    """
    seen: set[int] = {h5o.get_info(file.id).addr}
    waiting: list[tuple[str, Any]] = [("", file.id)]
    soft: list[str] = []
    while waiting:
        where, group = waiting.pop()
        for name in group:
            called = f"{where}/{name.decode(errors='replace')}"
            kind = group.links.get_info(name).type
            if kind not in (h5l.TYPE_HARD, h5l.TYPE_SOFT):
                raise _foreign(path, called, "a link to another file")
            if kind == h5l.TYPE_SOFT:
                soft.append(called)
                continue
            element = h5o.open(group, name)
            address = h5o.get_info(element).addr
            if address in seen and isinstance(element, h5g.GroupID):
                raise _foreign(path, called, "a group under a second name")
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MOST_ELEMENTS:
                raise InvalidDataError(
                    f"{path} has too many elements.", expected=f"at most {MOST_ELEMENTS}"
                )
            if isinstance(element, h5d.DatasetID):
                refuse_foreign_values(element, path, called)
            elif isinstance(element, h5g.GroupID):
                waiting.append((called, element))
    # Only now are they followed: no link on their way leads out of the file.
    for called in soft:
        if isinstance(file.get(called), h5py.Group):
            raise _foreign(path, called, "a group under a second name")


def refuse_foreign_values(dataset: h5d.DatasetID, path: Path, name: str) -> None:
    """Check that the values of a dataset are in its own file.

    Raises
    ------
    ForeignPartError
        If they are not.
    """
    how = dataset.get_create_plist()
    if how.get_layout() == h5d.VIRTUAL:
        raise _foreign(path, name, "a virtual dataset, put together of others")
    if how.get_layout() == h5d.CONTIGUOUS and how.get_external_count():
        raise _foreign(path, name, "values that are stored in another file")


BYTES_PER_TEXT = 64
"""Of a text that is an object of Python, at least."""

LARGEST_RATIO = 5000
"""A column of text or labels takes so many times less room in a file at most; gzip does 1032."""


def all_of(dataset: h5py.Dataset, *, as_text: bool = False) -> Any:
    """Read a whole dataset that is no matrix, after a look at what it says of its size.

    Raises
    ------
    InvalidDataError
        If it is large, and was never written.
    UsageError
        If it does not fit into memory.
    """
    require_fits(dataset)
    read = dataset[()]
    if not as_text:
        return read
    if np.ndim(read) == 0:
        return dataset.asstr("utf-8")[()]
    # One text is decoded in less time than a million; HDF5 ends a text where a NUL is.
    texts = b"\0".join(read.ravel().tolist()).decode("utf-8").split("\0")
    if len(texts) != read.size:
        return dataset.asstr("utf-8")[()]
    found = np.empty(len(texts), dtype=object)
    found[:] = texts
    return found.reshape(read.shape)


def require_fits(element: h5py.Dataset | h5py.Group, *, may_be_unwritten: bool = False) -> None:
    """Check, before memory is taken, that what an element holds fits into it.

    HDF5 stores nothing for what was never written, so that a file of a kilobyte can
    declare a terabyte; and matrices that are to be filled in do just that.

    Parameters
    ----------
    element
        A dataset, or a group, of which all is to be read.
    may_be_unwritten
        Whether it is a matrix, which may hold nothing but its fill value.

    Raises
    ------
    InvalidDataError
        If it is large, and was never written, and has to be.
    UsageError
        If it does not fit.
    """
    parts: list[h5py.Dataset] = [element] if isinstance(element, h5py.Dataset) else []
    if isinstance(element, h5py.Group):
        element.visititems(lambda _, e: parts.append(e) if isinstance(e, h5py.Dataset) else None)
    total = 0
    for part in parts:
        each = BYTES_PER_TEXT if part.dtype.hasobject else part.dtype.itemsize
        declared = int(part.size or 0) * each
        total += declared
        stored = int(part.id.get_storage_size())
        if declared > SMALL and not may_be_unwritten and declared > stored * LARGEST_RATIO:
            raise InvalidDataError(
                f"{part.name} says that it is far longer than what is stored of it.",
                expected="values that were written",
                got=f"{part.size:,} values in {stored:,} bytes",
                fix="write the file again.",
            )
    require_memory(total, f"{element.name} of {element.file.filename}")


def _foreign(path: Path, name: str, got: str) -> ForeignPartError:
    return ForeignPartError(
        f"{path} refers to values outside of itself.",
        expected="a file with all its values in it",
        got=f"{got}: {name}",
        fix="nothing of it was read. If you trust it, copy all into one file with h5py or "
        "anndata; else ask whoever sent it.",
    )


@contextmanager
def writing_hdf5(path: Path, mode: str = "w") -> Iterator[h5py.File]:
    """Open a file of ours for writing.

    HDF5 keeps what it could not write, tries again when the interpreter ends, and crashes
    there. It is therefore not told when the disk is full, nor of Ctrl-C; whoever called is,
    at the end.

    Parameters
    ----------
    path
        The file.
    mode
        ``"w"`` for a new one, ``"a"`` to go on with one.

    Raises
    ------
    OSError
        If not everything could be written.
    """
    with path.open("rb+" if mode == "a" else "wb+", buffering=0) as raw:
        forgiving = _ForgivingFile(raw)
        try:
            # What is written whole goes into the file at once. Else it would wait until nobody
            # holds its handle, be it a profiler's thread, and its place would be a matter of
            # chance.
            at_once: dict[str, Any] = {} if mode == "a" else {"rdcc_nbytes": 0}
            with h5py.File(forgiving, mode, **at_once) as file:
                yield file
        except (*READ_FAILURES, MemoryError) as error:
            raise (forgiving.failure or error) from None
        if forgiving.failure is not None:
            raise forgiving.failure


class _ForgivingFile(io.RawIOBase):
    """Takes everything, and keeps the first failure for later."""

    def __init__(self, raw: io.FileIO) -> None:
        self.raw = raw
        self.failure: BaseException | None = None
        self.at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Note where to read or write next."""
        end = os.fstat(self.raw.fileno()).st_size if whence == os.SEEK_END else 0
        self.at = offset + end
        return self.at

    def tell(self) -> int:
        """Return where to read or write next."""
        return self.at

    def readinto(self, buffer: Any) -> int:
        """Read; what could not be written is zeros."""
        got = 0
        with self._noting_failure():
            self.raw.seek(self.at)
            got = self.raw.readinto(buffer) or 0
        self.at += len(buffer)
        memoryview(buffer)[got:] = bytes(len(buffer) - got)
        return len(buffer)

    def write(self, data: Any) -> int:
        """Write all of it, or keep why that cannot be."""
        view, done = memoryview(data).cast("B"), 0
        with self._noting_failure():
            self.raw.seek(self.at)
            while self.failure is None and done < len(view):
                done += self.raw.write(view[done:]) or 0
        self.at += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the length of the file."""
        length = self.at if size is None else size
        with self._noting_failure():
            self.raw.truncate(length)
        return length

    def flush(self) -> None:
        """Do nothing: nothing is kept back."""

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:  # Ctrl-C too: HDF5 knows no such thing
            self.failure = self.failure or error
