"""Look at the cache, and clean it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pereggrn_data.catalog import load_catalog
from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.cache import (
    ARCHIVES,
    HASHES_FILE,
    INDEX_FILE,
    LOCKS,
    MEMBERS,
    PARTS,
    SET_ASIDE,
    Cache,
    HashStore,
    cached_files,
    not_fetched,
    open_cache,
)
from pereggrn_data.pipelines.collection.record_files_here import FILE_KIND


@dataclass(frozen=True)
class CachedRow:
    """An entry in the cache."""

    name: str
    kind: str
    record: str
    files: int
    size: int
    path: str


@dataclass(frozen=True)
class CleaningPlan:
    """What would be removed.

    Parameters
    ----------
    paths
        Files, and folders with all they hold.
    local
        By record, the paths whose checksums go with ``forget``.
    size
        Bytes.
    """

    cache: Cache
    paths: tuple[Path, ...]
    local: dict[str, list[str]]
    size: int


def list_cache() -> list[CachedRow]:
    """List the entries and whole archives in the cache."""
    cache = open_cache()
    return [row for record in cache.records() for row in _rows(cache, record)]


def plan_cleaning(
    names: Sequence[str] = (), *, everything: bool = False, release: str | None = None
) -> CleaningPlan:
    """Find what there is to remove; nothing is removed yet.

    Parameters
    ----------
    names
        Entries to remove. Without names and without `everything`, only
        leftovers are: unfinished transfers, temporary files and files set aside.
    release
        Only of this release.

    Raises
    ------
    UnknownNameError
        With near matches.
    NotFetchedError
        If a name is not in the cache.
    """
    cache = open_cache()
    records = [load_catalog().release(release).record] if release else cache.records()
    paths: list[Path] = []
    local: dict[str, list[str]] = {}
    if everything:
        paths = [cache.folder(r) for r in records if cache.folder(r).exists()]
        local = {r: [] for r in records}
    elif not names:
        paths = [
            p for r in records for n in (PARTS, SET_ASIDE) if (p := cache.folder(r) / n).exists()
        ]
        paths += [p for r in records for p in cache.strays(r)]
    for name in names:
        entry = load_catalog().entry(name)
        found = {r: cached_files(entry, cache.folder(r)) for r in records}
        recorded = {r: _recorded(cache, r, name) for r in records}
        if not any(found.values()) and not any(recorded.values()):
            raise not_fetched(entry)
        for record, files in found.items():
            paths += files.values()
            local.setdefault(record, []).extend({*files, *recorded[record]})
    return CleaningPlan(cache, tuple(paths), local, sum(_size(p) for p in paths))


def clean(plan: CleaningPlan, *, forget: bool = False) -> None:
    """Remove what was planned.

    Parameters
    ----------
    forget
        Forget the checksums, too. Otherwise they stay, so that what is
        fetched next must be the same.

    Raises
    ------
    UsageError
        If something cannot be removed, or is not in the cache.
    """
    try:
        _clean(plan, forget=forget)
    except OSError as error:
        raise UsageError(
            f"The cache {plan.cache.root} cannot be cleaned.",
            got=str(error),
            fix="what could be removed has been; ask whoever owns the cache.",
        ) from error


def _clean(plan: CleaningPlan, *, forget: bool) -> None:
    for path in plan.paths:
        _check_below(path, plan.cache.root)
        if path.is_dir():
            _empty(path, keep=() if forget else (HASHES_FILE,))
        else:
            path.unlink(missing_ok=True)
            _remove_empty_parents(path, plan.cache.root)
    if forget:
        for record, local in plan.local.items():
            if local and plan.cache.folder(record).exists():
                HashStore(plan.cache, record).forget(local)
                (plan.cache.folder(record) / INDEX_FILE).unlink(missing_ok=True)


def _rows(cache: Cache, record: str) -> Iterator[CachedRow]:
    for entry in load_catalog().entries.values():
        files = cached_files(entry, cache.folder(record))
        if files:
            folder = str(next(iter(files.values())).parent)
            size = sum(p.stat().st_size for p in files.values())
            yield CachedRow(entry.name, str(entry.kind), record, len(files), size, folder)
    for archive in sorted((cache.folder(record) / ARCHIVES).glob("*")):
        size = archive.stat().st_size
        yield CachedRow(archive.name, "archive", record, 1, size, str(archive.parent))
    for local in HashStore(cache, record).all():
        file = cache.file(record, local)
        if local.startswith(f"{MEMBERS}/") and file.exists():
            size = file.stat().st_size
            yield CachedRow(file.name, FILE_KIND, record, 1, size, str(file.parent))


def _recorded(cache: Cache, record: str, name: str) -> list[str]:
    entry = load_catalog().entry(name)
    return [p for p in HashStore(cache, record).all() if entry.name in p.split("/")]


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return path.stat().st_size


def _check_below(path: Path, root: Path) -> None:
    if root.resolve() not in path.resolve().parents or LOCKS in path.parts:
        raise UsageError(f"{path} is not in the cache {root}: it is left alone.")


def _empty(folder: Path, *, keep: Sequence[str]) -> None:
    for path in folder.iterdir():
        if path.name in keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def _remove_empty_parents(path: Path, root: Path) -> None:
    for parent in path.parents:
        if parent == root or root not in parent.parents or any(parent.iterdir()):
            return
        parent.rmdir()
