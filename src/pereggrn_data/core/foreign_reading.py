"""The guard at every door: what a library raises over a foreign file becomes our one error.

HDF5, Arrow, zip, gzip, JSON and TOML raise nearly every type over a damaged file, and other
types in the next version. So no list of types stands where a file is read. Whoever reads
something that came from outside puts the reading, and no more, into :func:`reading`::

    with reading(path, FORMATS["parquet"]):
        table = parquet.read_table(path)

What passes through as it is: our own errors; Ctrl-C, which is no error; a lack of memory,
which says nothing about the file, with a note that names it; a refusal of the system
(permissions, a disk that fails); and mistakes of our own code (a wrong name or attribute, a
false assertion), which are bugs to be reported and not to be blamed on a file.

Also here: whether files are trusted. Files that come from anywhere are looked through in a
process of their own before they are read, and refused where they are out of all proportion.
Whoever made them all, or has limits of another kind around the command, can say so:
``--trust``, or ``PEREGGRN_TRUST=1``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType

from pereggrn_data.core.errors import InvalidDataError, PereggrnError, lines_of

LONGEST_CAUSE = 300
"""Characters of a library's message that are shown: it may quote the whole file."""

_MISTAKES = (NameError, AttributeError, AssertionError, ImportError, NotImplementedError)
"""Raised by a line of ours, these are bugs; raised by a library, anything may be the file's."""

_DAMAGE = frozenset({None, 0, errno.EINVAL, errno.EILSEQ})
"""Codes of an OSError by which libraries mean the content, and no system call."""

_OURS = "pereggrn_data."


@dataclass(frozen=True)
class ForeignFormat:
    """A format of files that come from outside.

    Parameters
    ----------
    name
        What a message calls it: "cannot be read as ...".
    expected
        What a file of it should be.
    fix
        What to do about one that is not.
    """

    name: str
    expected: str
    fix: str


_AGAIN = "it may have been cut short or changed while it was copied: fetch or write it again."

FORMATS = {
    "hdf5": ForeignFormat("HDF5", "a complete HDF5 file", _AGAIN),
    "h5ad": ForeignFormat("AnnData", "a complete .h5ad file", _AGAIN),
    "zarr": ForeignFormat("AnnData", "a complete zarr store of AnnData", _AGAIN),
    "parquet": ForeignFormat("parquet", "a complete parquet file", _AGAIN),
    "text": ForeignFormat(
        "a table of text",
        "a complete table in UTF-8, with columns separated by one kind of mark",
        "open it in an editor, and save it as UTF-8.",
    ),
    "gzip": ForeignFormat("gzip", "a complete .gz file", _AGAIN),
    "npz": ForeignFormat("a saved model", "a file as written by --save-model", _AGAIN),
    "zip": ForeignFormat("a zip archive", "a complete zip archive", _AGAIN),
    "json": ForeignFormat("JSON", "JSON in UTF-8, as it was written", _AGAIN),
    "toml": ForeignFormat("TOML", "TOML in UTF-8", "correct it in an editor."),
}
"""By short name: every format that is read."""


@contextmanager
def reading(
    source: object,
    form: ForeignFormat,
    *,
    problem: Callable[[Exception], PereggrnError] | None = None,
) -> Iterator[None]:
    """Read something that came from outside; whatever its library raises becomes our error.

    Parameters
    ----------
    source
        What is read, for the message: a path, or an address.
    form
        An entry of :data:`FORMATS`.
    problem
        Makes the error of what was raised, where more is to be said than that the file
        cannot be read; by default :func:`unreadable`.

    Raises
    ------
    InvalidDataError
        Naming the source, what was expected and what the library says; or what `problem`
        makes of it.
    MemoryError, OSError
        If the machine has too little memory, or the system refuses.
    """
    try:
        yield
    except PereggrnError:
        raise
    except MemoryError as error:
        error.add_note(f"while {source} was read")
        raise
    except Exception as error:
        let_through(error)
        if is_mistake(error):
            raise
        if isinstance(error, OSError) and error.errno not in _DAMAGE:
            raise
        if problem is not None:
            raise problem(error) from error
        raise unreadable(source, form, error) from error


def let_through(error: BaseException) -> None:
    """Raise again what says nothing about a file: Ctrl-C, or a lack of memory.

    Whoever catches all that a library raises calls this first. Libraries of C catch what is
    raised inside of them, and raise an error of their own with the first as its cause.

    Raises
    ------
    KeyboardInterrupt, MemoryError
        If the error is one, or comes from one.
    """
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, (KeyboardInterrupt, MemoryError)):
            raise at
        seen.add(id(at))
        at = at.__cause__ or at.__context__


def unreadable(source: object, form: ForeignFormat, error: BaseException) -> InvalidDataError:
    """Return the error of a file that cannot be read as what it should be."""
    cause = f"{type(error).__name__}: {lines_of(error)[0]}"
    return InvalidDataError(
        f"{source} cannot be read as {form.name}.",
        expected=form.expected,
        got=cause if len(cause) <= LONGEST_CAUSE else f"{cause[:LONGEST_CAUSE]} ...",
        fix=form.fix,
    )


def is_mistake(error: BaseException) -> bool:
    """Say whether an error is a slip in a line of ours, rather than about what was read.

    The line that raised it decides: a missing attribute in a line of ours is our bug, the
    same in a line of a library may well come from a damaged file.
    """
    return isinstance(error, _MISTAKES) and _module_of(error.__traceback__).startswith(_OURS)


def _module_of(trace: TracebackType | None) -> str:
    """Return the module of the line that raised."""
    name = ""
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return name


# ---- trust

TRUST_VARIABLE = "PEREGGRN_TRUST"

_trusting: ContextVar[bool] = ContextVar("trusting", default=False)


def trusts_files() -> bool:
    """Say whether files are trusted, here and now."""
    said = os.environ.get(TRUST_VARIABLE, "").strip().lower()
    return _trusting.get() or said not in ("", "0", "false", "no")


def trust_files() -> None:
    """Trust all files from now on: what ``--trust`` does for one command."""
    _trusting.set(True)


@contextmanager
def trusting(yes: bool = True) -> Iterator[None]:
    """Trust the files that are read inside, or not."""
    token = _trusting.set(yes or _trusting.get())
    try:
        yield
    finally:
        _trusting.reset(token)
