"""Failures of the machine and its settings, told from bugs of ours; streams that take nothing."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from pereggrn_data.core.errors import ExitCode, UsageError

_OUTPUT_FAILURES = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EFBIG, errno.EROFS),
        *(errno.EINVAL, errno.ENXIO, errno.ESTALE, errno.EAGAIN),
    }
)
_SYSTEM_FAILURES = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG, errno.ESTALE),
        *(errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOLCK),
        *(errno.ETIMEDOUT, errno.EAGAIN, errno.ENOSYS, errno.ELOOP, errno.ENAMETOOLONG),
        *(errno.ENOTCONN, errno.EHOSTDOWN, errno.ENXIO, errno.EBADF),
    }
)
"""What the system refuses for reasons that no program can help."""


class UnwritableOutputError(UsageError):
    """Results cannot be written to stdout: it is closed, or its disk is full."""


class ClosedStream(io.TextIOBase):
    """Stands for a stdout that the shell closed (``>&-``): whoever writes to it is told."""

    def write(self, text: str, /) -> int:  # noqa: ARG002 - the signature of every stream
        """Raise OSError, as a closed descriptor does."""
        raise OSError(errno.EBADF, "it is closed")

    def writable(self) -> bool:
        """Say that it takes text, so that whoever tries is told."""
        return True


def open_closed_streams() -> None:
    """Give streams that are closed something in their place: libraries expect that they exist.

    Messages to a closed stderr are lost; results for a closed stdout are an error.
    """
    if sys.stdout is None:
        sys.stdout = cast(TextIO, ClosedStream())
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


@contextmanager
def stdout_checked() -> Iterator[None]:
    """Turn what a stdout raises that takes no more into our error, or a quiet end.

    Raises
    ------
    UnwritableOutputError
        If stdout is closed, or cannot take the result.
    SystemExit
        With 0, if whoever read it (head, less) has left.
    """
    try:
        yield
    except BrokenPipeError:
        let_go_of_stdout()
        raise SystemExit(ExitCode.OK) from None
    except OSError as error:
        if error.errno not in _OUTPUT_FAILURES:
            raise
        let_go_of_stdout()
        raise UnwritableOutputError(
            "Results cannot be written to stdout.",
            got=error.strerror or str(error),
            fix="free some space or name another place; files that were written are complete.",
        ) from None


def let_go_of_stdout() -> None:
    """See to it that what Python still holds back does not raise again when it exits."""
    _let_go_of(sys.stdout)


def settle_stderr() -> None:
    """Let go of messages that cannot be written: Python would exit with 120 for them."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        _let_go_of(sys.stderr)


def _let_go_of(stream: TextIO) -> None:
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def explained(error: BaseException) -> UsageError | None:
    """Return what to say of a failure that is the machine's, not ours; else None."""
    if isinstance(error, MemoryError):
        return UsageError(
            "There is not enough memory.",
            got=str(error) or "none to be had",
            fix="choose fewer genes or observations, or a machine with more memory.",
        )
    if isinstance(error, OSError) and error.errno in _SYSTEM_FAILURES:
        if error.filename is None:
            let_go_of_stdout()  # it may be the one that cannot be written
        where = "" if error.filename is None else f" {error.filename}"
        return UsageError(
            f"The system refuses to read or write{where}.",
            got=error.strerror or str(error),
            fix="look at space, permissions and limits there, and try again.",
        )
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return UsageError(
            "The home folder is not known.",
            got=str(error),
            fix="set HOME to a folder that you may write to.",
        )
    return None
