"""Checksums of cached files: recorded when first seen, enforced ever after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import IntegrityError, InvalidDataError, UsageError
from pereggrn_data.core.strict_json import loads
from pereggrn_data.loaders.cache.folders import HASHES_FILE, Cache

HASHES_FORMAT_VERSION = 1


class ChangedFileError(IntegrityError):
    """A file in the cache is not the one that was fetched."""


def changed_file(path: Path, expected: str, got: str) -> ChangedFileError:
    """Say that a file in the cache is not the one that was fetched."""
    return ChangedFileError(
        f"{path} is not the file that was fetched.",
        expected=expected,
        got=got,
        fix="it is left where it is; `pereggrn-data fetch` sets it aside and brings it anew.",
    )


@dataclass(frozen=True, kw_only=True)
class KnownHash:
    """What is recorded of one cached file.

    Parameters
    ----------
    sha256
        Of the file, in hex.
    size, mtime_ns
        Of the file when it was last checked.
    origin
        ``lock`` if the checksum was known beforehand, else ``first seen``.
    recorded
        When it was first seen (UTC, ISO 8601).
    verified
        When ``verify`` last found it right, or None.
    """

    sha256: str
    size: int
    mtime_ns: int
    origin: str
    recorded: str
    verified: str | None = None

    def is_unchanged(self, path: Path) -> bool:
        """Whether size and time of the file are those of the last check."""
        if not path.exists():
            return False
        stat = path.stat()
        return (stat.st_size, stat.st_mtime_ns) == (self.size, self.mtime_ns)


def now() -> str:
    """Return the time as it is recorded: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class HashStore:
    """The checksums of one record's files."""

    cache: Cache
    record: str

    @property
    def path(self) -> Path:
        """The file that holds them."""
        return self.cache.folder(self.record) / HASHES_FILE

    def all(self) -> dict[str, KnownHash]:
        """Return what is recorded, by path below the record's folder.

        Raises
        ------
        IntegrityError
            If the store itself is damaged: forgetting it silently would
            accept any file.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UsageError(
                f"The record of checksums {self.path} cannot be read.", got=error.strerror
            ) from None
        try:
            return _parse(loads(content, self.path))
        except (InvalidDataError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise IntegrityError(
                f"The record of checksums {self.path} is damaged.",
                got=str(getattr(error, "got", None) or error)[:200],
                fix="move it away to start anew; files are then checked by CRC-32 only.",
            ) from None

    def get(self, path: str) -> KnownHash | None:
        """Return what is recorded of one file."""
        return self.all().get(path)

    def record_file(self, path: str, sha256: str, *, origin: str) -> None:
        """Note a file that has just been checked; an older note keeps its origin and date."""
        stat = self.cache.file(self.record, path).stat()
        with self.cache.locked(f"hashes-{self.record}"):
            known = self.all()
            old = known.get(path)
            if old is not None and old.sha256 == sha256:
                new = replace(old, size=stat.st_size, mtime_ns=stat.st_mtime_ns)
            else:
                new = KnownHash(
                    sha256=sha256,
                    size=stat.st_size,
                    mtime_ns=stat.st_mtime_ns,
                    origin=origin,
                    recorded=now(),
                )
            self._write({**known, path: new})

    def note(self, path: str, sha256: str, *, origin: str) -> None:
        """As :meth:`record_file`, but in a cache that we may only read nothing is noted."""
        if not self.cache.is_read_only:
            self.record_file(path, sha256, origin=origin)

    def mark_verified(self, path: str) -> None:
        """Note that a file was hashed just now and found right, where we may write that down."""
        if self.cache.is_read_only:
            return
        stat = self.cache.file(self.record, path).stat()
        with self.cache.locked(f"hashes-{self.record}"):
            known = self.all()
            new = replace(
                known[path], size=stat.st_size, mtime_ns=stat.st_mtime_ns, verified=now()
            )
            self._write({**known, path: new})

    def forget(self, paths: list[str]) -> None:
        """Drop the records of files, so that their next version is accepted as new."""
        with self.cache.locked(f"hashes-{self.record}"):
            self._write({p: k for p, k in self.all().items() if p not in paths})

    def _write(self, known: Mapping[str, KnownHash]) -> None:
        files = {path: asdict(known[path]) for path in sorted(known)}
        values = {"format_version": HASHES_FORMAT_VERSION, "files": files}
        self.cache.write_text(json.dumps(values, indent=1, ensure_ascii=False), self.path)


def _parse(values: Any) -> dict[str, KnownHash]:
    if values["format_version"] != HASHES_FORMAT_VERSION:
        raise ValueError(f"format_version {values['format_version']}")
    found = {path: KnownHash(**fields) for path, fields in values["files"].items()}
    for path, known in found.items():
        texts = (known.sha256, known.origin, known.recorded, known.verified or "")
        numbers = (known.size, known.mtime_ns)
        if not all(isinstance(t, str) for t in texts) or not all(type(n) is int for n in numbers):
            raise TypeError(f"values of {path!r:.60} are of another type")
    return found
