"""The cache: one folder per record, in the layout of a collection, shared by processes."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from urllib.parse import quote

from pereggrn_data.core.errors import IntegrityError, UsageError
from pereggrn_data.loaders.cache.process_locks import one_of_locks
from pereggrn_data.loaders.cache.unlinked import open_without_links, refuse_link
from pereggrn_data.loaders.files.any_file import written_in_one_step

CACHE_VARIABLE = "PEREGGRN_CACHE"
LOCKS = ".locks"
PARTS = "parts"
ARCHIVES = "archives"
MEMBERS = "members"
"""Folder of single files that were asked for by their path inside an archive."""
CALIBRATIONS = "calibrations"
COMPONENTS = "components"
INDEX_FILE = "release.json"
HASHES_FILE = "hashes.json"
SET_ASIDE = "set-aside"
TRANSFERS_AT_A_TIME = 2
NOWHERE = Path("/nonexistent/pereggrn-data")
"""The root of a cache that has no place, under the folder that systems promise not to have."""

STRAY = re.compile(r"tmp[a-z0-9_]{8}")
"""Names that the standard library gives to temporary files."""

GROUP_FILE, GROUP_FOLDER = 0o060, 0o070 | stat.S_ISGID
"""What the group may do beside what the umask says, where the cache is shared with it."""


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
        return self._below(self._parts(record), f"{quote(name, safe=' =')}.unpacking")

    def spans(self, record: str, name: str) -> list[tuple[int, int]]:
        """Return the spans of an archive that earlier runs have begun to bring for an entry."""
        kept = re.compile(re.escape(quote(name, safe=" =")) + r"-(\d+)-(\d+)\.part")
        folder = self.folder(record) / PARTS
        found = (kept.fullmatch(p.name) for p in (folder.iterdir() if folder.is_dir() else ()))
        return sorted((int(m[1]), int(m[2])) for m in found if m)

    def sidecars(self, record: str, name: str) -> list[Path]:
        """Return the notes beside parts of an entry, also where the part itself has gone."""
        kept = re.compile(re.escape(quote(name, safe=" =")) + r"-\d+-\d+\.part\.json")
        folder = self.folder(record) / PARTS
        return [p for p in (folder.iterdir() if folder.is_dir() else ()) if kept.fullmatch(p.name)]

    def part(self, record: str, name: str, start: int, stop: int) -> Path:
        """Return where the raw bytes of a transfer collect."""
        return self._below(self._parts(record), f"{quote(name, safe=' =')}-{start}-{stop}.part")

    def _parts(self, record: str) -> Path:
        folder = self.folder(record) / PARTS
        refuse_link(folder)
        return folder

    def calibration(self, key: str) -> Path:
        """Return where a calibration of metrics is kept, or would be."""
        return self._below(self.root / CALIBRATIONS, f"{key}.json")

    def components(self, key: str) -> Path:
        """Return where principal components of training data are kept, or would be."""
        return self._below(self.root / COMPONENTS, key)

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

    @property
    def is_shared(self) -> bool:
        """Whether the owner has asked to share it with a group: ``chmod g+rwxs`` on its root."""
        try:
            mode = self.root.stat().st_mode
        except OSError:
            return False
        return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)

    @property
    def group_bits(self) -> int:
        """Permissions of new files beside those that the umask gives."""
        return GROUP_FILE if self.is_shared else 0

    @property
    def is_read_only(self) -> bool:
        """Whether it is there, and we may only read it: what is there can be used all the same."""
        folder = self.root / LOCKS
        if not folder.exists():
            folder = self.root
        return folder.exists() and not os.access(folder, os.W_OK | os.X_OK)

    def make_folder(self, folder: Path) -> None:
        """Make a folder below the cache; for the group as well, where it is shared.

        Raises
        ------
        UsageError
            If the cache cannot be written to.
        """
        self.require_place()
        if self.is_read_only:
            raise self._not_writable("it may only be read by us")
        try:
            missing = [p for p in (folder, *folder.parents) if not p.exists()]
            for absent in reversed(missing):
                try:
                    absent.mkdir()
                except FileExistsError:  # made by another process: its modes are not ours
                    continue
                if self.root in absent.parents and self.is_shared:
                    absent.chmod(absent.stat().st_mode | GROUP_FOLDER)
            if not folder.is_dir():
                raise NotADirectoryError(f"{folder} is not a folder")
        except OSError as error:
            raise self._not_writable(str(error)) from None

    def write_text(self, text: str, path: Path) -> None:
        """Write a small text file below the cache: nobody ever sees half of it.

        Raises
        ------
        UsageError
            If the cache cannot be written to.
        """
        self.write_bytes(text.encode(), path)

    def write_bytes(self, data: bytes, path: Path) -> None:
        """Write a small file below the cache: nobody ever sees half of it.

        Raises
        ------
        UsageError
            If the cache cannot be written to.
        """
        self.make_folder(path.parent)
        with written_in_one_step(path, mode=self.group_bits, sync=True) as temporary:
            temporary.write_bytes(data)

    def _not_writable(self, got: str) -> UsageError:
        return UsageError(
            f"The cache {self.root} cannot be written to.",
            got=got,
            fix=f"name another folder by {CACHE_VARIABLE}.",
        )

    @contextmanager
    def locked(self, name: str, *, waiting_for: str = "another process") -> Iterator[None]:
        """Hold a lock that only one process has at a time; none where we may only read.

        Raises
        ------
        UsageError
            If it seems to be left over; see :mod:`pereggrn_data.loaders.cache.process_locks`.
        """
        with self._one_of([name], waiting_for):
            yield

    @contextmanager
    def transfer_slot(self) -> Iterator[None]:
        """Hold one of the places for transfers: there are two, for all processes together."""
        names = [f"transfer-{i}" for i in range(TRANSFERS_AT_A_TIME)]
        with self._one_of(names, "another transfer to end"):
            yield

    @contextmanager
    def _one_of(self, names: Sequence[str], waiting_for: str) -> Iterator[None]:
        self.require_place()
        if self.is_read_only:  # nothing is written, so that nobody is in the way
            yield
            return
        files = [self._lock_file(name) for name in names]
        with one_of_locks(
            files, waiting_for=waiting_for, say=self.say, group_bits=self.group_bits
        ):
            yield

    def pace(self, interval: float) -> None:
        """Wait until `interval` seconds have passed since any process last called this."""
        with self.locked("api", waiting_for="our turn to ask the service"):
            if self.is_read_only:
                time.sleep(interval)
                return
            stamp = self._lock_file("api.time")
            try:
                handle = open_without_links(stamp, os.O_RDWR)
                since = time.time() - os.fstat(handle).st_mtime
                time.sleep(max(0.0, min(interval, interval - since)))
            except FileNotFoundError:
                handle = open_without_links(stamp, os.O_RDWR | os.O_CREAT | os.O_EXCL)
                if bits := self.group_bits:
                    os.fchmod(handle, os.fstat(handle).st_mode | bits)
            except PermissionError:  # of somebody who does not share it
                return
            try:
                with suppress(PermissionError):  # another's, which we may write to
                    os.utime(handle)
            finally:
                os.close(handle)

    def _lock_file(self, name: str) -> Path:
        folder = self.root / LOCKS
        refuse_link(folder)
        if not folder.is_dir():
            self.make_folder(folder)
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
        if named and (user := named.split("/", 1)[0].removeprefix("~")):
            nowhere = f"{CACHE_VARIABLE} is {named!r}, and there is no user {user!r}"
            return Cache(NOWHERE, say, nowhere=nowhere)
        return Cache(NOWHERE, say, nowhere=f"HOME is not set, and {_cause(error)}")
    return Cache(folder, say)


def _cause(error: BaseException) -> str:
    user = f"the user id {os.getuid()} is not known to this system" if os.name == "posix" else ""
    return user or str(error)


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
