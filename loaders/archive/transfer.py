"""Bring a span of a remote file here, and go on where an earlier attempt stopped."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import Protocol

from pereggrn_data.catalog import LockedArchive
from pereggrn_data.core.errors import NetworkError
from pereggrn_data.loaders.archive.zip_index import check_size
from pereggrn_data.loaders.cache import Cache, open_new, open_without_links, read_small
from pereggrn_data.loaders.remote import Part, PassingError, RemoteFile, Validator

WORTHWHILE = 1 << 16
"""Bytes that must arrive for an attempt not to count as failed."""

SIDECAR = ".json"
"""Added to the name of a ``.part``: the file that says what it is a part of."""


class TransferProgress(Protocol):
    """What shows how a transfer goes."""

    def start(self, label: str, total: int, done: int) -> None:
        """Begin one transfer of `total` bytes, of which `done` are here already."""

    def advance(self, n_bytes: int) -> None:
        """Count bytes that have arrived, or went lost if negative."""

    def finish(self) -> None:
        """End it, whether or not it is complete."""


class NoProgress:
    """Says nothing."""

    def start(self, label: str, total: int, done: int) -> None:
        """Do nothing."""

    def advance(self, n_bytes: int) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class ByteSpan:
    """What a ``.part`` file is a part of.

    Parameters
    ----------
    link
        First link of the file.
    start, stop
        Bytes of it.
    """

    link: str
    start: int
    stop: int

    @property
    def length(self) -> int:
        """Bytes in all."""
        return self.stop - self.start


@dataclass
class Transfer:
    """One span on its way to one ``.part`` file.

    Parameters
    ----------
    file
        The remote file.
    archive
        What it is promised to be.
    span
        Which bytes of it.
    part
        Where they collect. A sidecar beside it says what they are.
    say
        Called when something is started again.
    label
        Shown with the progress; by default the archive's name.
    cache
        The cache that the part belongs to.
    """

    file: RemoteFile
    archive: LockedArchive
    span: ByteSpan
    part: Path
    say: Callable[[str], None]
    progress: TransferProgress
    cache: Cache
    label: str = ""
    _restarts: int = field(default=0, init=False)

    @property
    def sidecar(self) -> Path:
        """The file that says what the part is a part of."""
        return self.part.with_name(self.part.name + SIDECAR)

    def run(self, *, whole: bool = False) -> None:
        """Bring everything that is missing.

        Parameters
        ----------
        whole
            Take answers that contain the whole file, too.

        Raises
        ------
        NetworkError
            If the connection fails again and again; what has arrived is kept.
        ArchiveChangedError
            If the file is not as long as promised.
        """
        failures = 0
        self._restarts = 0
        validator = self._kept()
        if self._done() == self.span.length and self.part.exists():
            return
        self.progress.start(self.label or self.archive.key, self.span.length, self._done())
        try:
            while (before := self._done()) < self.span.length:
                try:
                    validator = self._attempt(before, validator, whole)
                except PassingError as error:
                    validator = self._kept()
                    arrived = self._done() - before
                    failures = 1 if arrived >= WORTHWHILE else failures + 1
                    if failures >= self.file.http.settings.tries:
                        raise _gave_up(self.archive.key, error) from None
                    self.file.http.wait_before_try(failures, error.what)
        finally:
            self.progress.finish()

    def discard(self) -> None:
        """Delete the part and its sidecar."""
        self.part.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)

    def _attempt(self, done: int, kept: Validator | None, whole: bool) -> Validator:
        asked = (
            self.file.whole(done, self.archive.size)
            if whole
            else self.file.part(self.span.start + done, self.span.stop)
        )
        with asked as part:
            check_size(part, self.archive)
            if done and kept is not None and kept.differs_from(part.validator):
                self.say(f"{self.archive.key} has changed at the service: starting again.")
                self._forget(done)
                return part.validator
            if whole and done and part.start == 0:
                self.say(f"The server cannot go on with {self.archive.key}: starting again.")
                self._forget(done)
            self._remember(part.validator)
            self._append(part)
            return part.validator

    def _append(self, part: Part) -> None:
        appending = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        # Unbuffered: what has arrived is kept, whatever happens next.
        with os.fdopen(open_without_links(self.part, appending), "ab", buffering=0) as out:
            if (bits := self.cache.group_bits) and (
                found := os.fstat(out.fileno())
            ).st_uid == os.geteuid():
                os.fchmod(out.fileno(), stat.S_IMODE(found.st_mode) | bits)
            for chunk in part.chunks():
                _write_all(out, chunk)
                self.progress.advance(len(chunk))
            os.fsync(out.fileno())

    def _done(self) -> int:
        try:
            return self.part.lstat().st_size
        except FileNotFoundError:
            return 0

    def _forget(self, done: int) -> None:
        """Start again, but not for ever: a server could change its mind each time."""
        self.discard()
        self.progress.advance(-done)
        self._restarts += 1
        if self._restarts >= self.file.http.settings.tries:
            raise NetworkError(
                f"The transfer of {self.archive.key} had to start again {self._restarts} times.",
                got="a server that has another file, or goes on at another place, each time",
                fix="try again later, or from another network.",
            )

    def _kept(self) -> Validator | None:
        """Return what an earlier attempt noted; discard what belongs to something else."""
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            values = json.loads(read_small(self.sidecar))
            if ByteSpan(**values["span"]) == self.span and self._done() <= self.span.length:
                return Validator(**values["validator"])
        self.discard()
        return None

    def _remember(self, validator: Validator) -> None:
        self.cache.make_folder(self.part.parent)
        values = {"span": asdict(self.span), "validator": asdict(validator)}
        with open_new(self.sidecar) as file:
            file.write(json.dumps(values).encode())


def _write_all(out: RawIOBase, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[out.write(left) or 0 :]


def _gave_up(key: str, error: NetworkError) -> NetworkError:
    return NetworkError(
        f"The transfer of {key} failed again and again.",
        got=" ".join(str(error).split()),
        fix="run the command again: it goes on where it stopped.",
    )
