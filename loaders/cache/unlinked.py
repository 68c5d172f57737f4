"""Files of folders that others may write to: opened without following what they put there.

Who may write to a shared cache can put a link, or a pipe, where one of our files is to be.
Following it would let us read, write or wait for something elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from pereggrn_data.core.errors import UsageError

SMALL = 1 << 16
"""Most bytes of the notes that lie beside locks and parts."""


def open_without_links(path: Path, flags: int) -> int:
    """Open a regular file in a folder that others may write to, and return its handle.

    Raises
    ------
    UsageError
        If it is a link, or no regular file: whoever made it could let us change a file
        elsewhere, or wait for ever.
    OSError
        If it cannot be opened.
    """
    # Without O_NONBLOCK, a pipe would be waited for.
    careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags | careful | getattr(os, "O_CLOEXEC", 0), 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO) or path.is_symlink():
            raise link_instead(path) from None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise link_instead(path)
    return handle


def open_new(path: Path) -> BinaryIO:
    """Open a file for writing that nobody else has made; what is there is removed."""
    path.unlink(missing_ok=True)
    return os.fdopen(open_without_links(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb")


def open_old(path: Path) -> BinaryIO:
    """Open a file for reading; see :func:`open_without_links`."""
    return os.fdopen(open_without_links(path, os.O_RDONLY), "rb")


def read_small(path: Path) -> str:
    """Read a note of at most :data:`SMALL` bytes.

    Raises
    ------
    ValueError
        If it is longer, or no UTF-8.
    """
    with open_old(path) as file:
        content = file.read(SMALL + 1)
    if len(content) > SMALL:
        raise ValueError(f"more than {SMALL} bytes")
    return content.decode("utf-8")


def refuse_link(folder: Path) -> None:
    """Check that a folder of ours is no link to another one.

    Raises
    ------
    UsageError
        If it is.
    """
    if folder.is_symlink():
        raise link_instead(folder)


def link_instead(path: Path) -> UsageError:
    """Say that there is a link, or something stranger, where a file of the cache should be."""
    kind = "a link, which is not followed" if path.is_symlink() else "something else"
    return UsageError(
        f"{path} is a link, and not a file of the cache."
        if path.is_symlink()
        else f"{path} is no file.",
        expected="a file",
        got=kind,
        fix="find out who has put it there, and remove it.",
    )
