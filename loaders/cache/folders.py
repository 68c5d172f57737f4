"""The cache: one folder per record, in the layout of a collection, shared by processes."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from urllib.parse import quote

from pereggrn_data.core.errors import IntegrityError, UsageError
from pereggrn_data.loaders.cache.process_locks import LOCK_MODE, one_of_locks, open_without_links
from pereggrn_data.loaders.files import write_text

CACHE_VARIABLE = "PEREGGRN_CACHE"
LOCKS = ".locks"
PARTS = "parts"
ARCHIVES = "archives"
MEMBERS = "members"
"""Folder of single files that were asked for by their path inside an archive."""
CALIBRATIONS = "calibrations"
INDEX_FILE = "release.json"
HASHES_FILE = "hashes.json"
SET_ASIDE = "set-aside"
TRANSFERS_AT_A_TIME = 2
NOWHERE = Path("/nonexistent/pereggrn-data")
"""The root of a cache that has no place, under the folder that systems promise not to have."""

STRAY = re.compile(r"tmp[a-z0-9_]{8}")
"""Names that the standard library gives to temporary files."""

GROUP_FILE, GROUP_FOLDER = 0o644, 0o755
"""Files are for the whole group to read, whatever the umask says."""


@dataclass(frozen=True)
class Cache:
    """The folder that downloaded files live in.

    Parameters
    ----------
    root
        Made when it is first written to.
    say
        Called when we wait for another process.
    nowhere
        Why there is no folder for it; the cache is empty then, and cannot be written to.
    """

    root: Path
    say: Callable[[str], None] = lambda _: None
    nowhere: str | None = None

    def folder(self, record: str) -> Path:
        """Return the folder of a record; it is a collection in the original's layout."""
        return self.root / record

    def file(self, record: str, path: str) -> Path:
        """Return where a file of a record lies, or would lie."""
        return self._below(self.folder(record), *path.split("/"))

    def archive(self, record: str, key: str) -> Path:
        """Return where a whole archive of a record lies, or would lie."""
        return self._below(self.folder(record) / ARCHIVES, key)

    def unpacking(self, record: str, name: str) -> Path:
        """Return the folder in which an entry's files are unpacked before they are moved."""
        return self._below(self.folder(record) / PARTS, f"{quote(name, safe=' =')}.unpacking")

    def spans(self, record: str, name: str) -> list[tuple[int, int]]:
        """Return the spans of an archive that earlier runs have begun to bring for an entry."""
        kept = re.compile(re.escape(quote(name, safe=" =")) + r"-(\d+)-(\d+)\.part")
        folder = self.folder(record) / PARTS
        found = (kept.fullmatch(p.name) for p in (folder.iterdir() if folder.is_dir() else ()))
        return sorted((int(m[1]), int(m[2])) for m in found if m)

    def part(self, record: str, name: str, start: int, stop: int) -> Path:
        """Return where the raw bytes of a transfer collect."""
        return self._below(
            self.folder(record) / PARTS, f"{quote(name, safe=' =')}-{start}-{stop}.part"
        )

    def calibration(self, key: str) -> Path:
        """Return where a calibration of metrics is kept, or would be."""
        return self._below(self.root / CALIBRATIONS, f"{key}.json")

    def _below(self, folder: Path, *names: str) -> Path:
        """Return a path in a folder of ours: the last guard against names from outside."""
        path = folder.joinpath(*names)
        root, within, wanted = (Path(os.path.normpath(p)) for p in (self.root, folder, path))
        if root not in within.parents or within not in wanted.parents:
            raise IntegrityError(
                f"A name leads out of the cache {self.root}.",
                expected="a file below it",
                got=repr(str(path))[:200],
                fix="nothing was written; check where the lock or the archive comes from.",
            )
        return path

    def records(self) -> list[str]:
        """Return the records that have a folder here."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.name.isdigit() and p.is_dir())

    def strays(self, record: str) -> list[Path]:
        """Return temporary files that a killed process left among the entries."""
        folder = self.folder(record)
        places = ("perturbations/**/tmp*", "networks/**/tmp*", "tf_lists/tmp*", "tmp*")
        found = chain.from_iterable(folder.glob(place) for place in places)
        return sorted(p for p in found if STRAY.fullmatch(p.name) and p.is_file())

    def require_place(self) -> None:
        """Check that there is a folder for the cache, be it made or not.

        Raises
        ------
        UsageError
            If there is none.
        """
        if self.nowhere is not None:
            raise UsageError(
                "There is no folder for the cache of fetched files.",
                expected="a home folder to keep it in",
                got=self.nowhere,
                fix=f"name a folder by {CACHE_VARIABLE}.",
            )

    def make_folder(self, folder: Path) -> None:
        """Make a folder below the cache that the group can read.

        Raises
        ------
        UsageError
            If the cache cannot be written to.
        """
        self.require_place()
        try:
            missing = [p for p in (folder, *folder.parents) if not p.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            for made in missing:
                if made == self.root or self.root in made.parents:
                    made.chmod(made.stat().st_mode | GROUP_FOLDER)
        except OSError as error:
            raise UsageError(
                f"The cache {self.root} cannot be written to.",
                got=str(error),
                fix=f"name another folder by {CACHE_VARIABLE}.",
            ) from None

    @contextmanager
    def locked(self, name: str, *, waiting_for: str = "another process") -> Iterator[None]:
        """Hold a lock that only one process has at a time.

        Raises
        ------
        UsageError
            If it seems to be left over; see :mod:`pereggrn_data.loaders.cache.process_locks`.
        """
        with one_of_locks([self._lock_file(name)], waiting_for=waiting_for, say=self.say):
            yield

    @contextmanager
    def transfer_slot(self) -> Iterator[None]:
        """Hold one of the places for transfers: there are two, for all processes together."""
        files = [self._lock_file(f"transfer-{i}") for i in range(TRANSFERS_AT_A_TIME)]
        with one_of_locks(files, waiting_for="another transfer to end", say=self.say):
            yield

    def pace(self, interval: float) -> None:
        """Wait until `interval` seconds have passed since any process last called this."""
        with self.locked("api", waiting_for="our turn to ask the service"):
            stamp = self._lock_file("api.time")
            try:
                handle = open_without_links(stamp, os.O_RDWR)
                since = time.time() - os.fstat(handle).st_mtime
                time.sleep(max(0.0, min(interval, interval - since)))
            except FileNotFoundError:
                handle = open_without_links(stamp, os.O_RDWR | os.O_CREAT | os.O_EXCL)
                os.fchmod(handle, LOCK_MODE)
            except PermissionError:  # of somebody who does not share it
                return
            try:
                os.utime(handle)
            finally:
                os.close(handle)

    def _lock_file(self, name: str) -> Path:
        folder = self.root / LOCKS
        if not folder.is_dir():
            self.make_folder(folder)
            folder.chmod(folder.stat().st_mode | 0o020)
        return folder / f"{quote(name, safe=' =')}.lock"


def open_cache(say: Callable[[str], None] = lambda _: None) -> Cache:
    """Return the cache: ``PEREGGRN_CACHE``, else the platform's folder for it."""
    named = os.environ.get(CACHE_VARIABLE)
    try:
        if named:
            return Cache(Path(named).expanduser().absolute(), say)
        import pooch

        folder = Path(pooch.os_cache("pereggrn-data"))
        if not folder.is_absolute():  # what is left of ~ where nobody knows the home
            raise RuntimeError("Could not determine home directory.")
    except (RuntimeError, KeyError) as error:
        # A container may run as a user that its system does not know. What needs no
        # cache works all the same.
        return Cache(NOWHERE, say, nowhere=f"HOME is not set, and {_cause(error)}")
    return Cache(folder, say)


def _cause(error: BaseException) -> str:
    user = f"the user id {os.getuid()} is not known to this system" if os.name == "posix" else ""
    return user or str(error)


def write_shared_text(text: str, path: Path) -> None:
    """Write a small text file for the group: nobody ever sees half of it."""
    write_text(text, path, mode=GROUP_FILE, sync=True)


def set_aside(path: Path, folder: Path) -> Path:
    """Move a file that is not what was promised out of the way, and return where it went."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "_".join(path.parts[-3:]) if len(path.parts) >= 3 else path.name
    number = 1
    while (target := folder / f"{name}.{number}").exists():
        number += 1
    shutil.move(path, target)
    return target


def free_bytes(folder: Path) -> int:
    """Return the free space where `folder` is, or will be made."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    return shutil.disk_usage(existing).free
