"""Local collections: folders in the layout of the original data archives."""

from __future__ import annotations

import csv
import os
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pereggrn_data.catalog import EntryKind, load_catalog
from pereggrn_data.core.errors import InvalidDataError, MissingFileError, UsageError, first_few
from pereggrn_data.core.format import TEST_FILE, TRAIN_FILE
from pereggrn_data.loaders.files.any_file import existing_path, visible_files

COLLECTION_VARIABLE = "PEREGGRN_COLLECTION"

ROOTS: Mapping[EntryKind, tuple[str, ...]] = {
    EntryKind.DATASET: (
        "perturbations",
        "perturbation_data/perturbations",
        "perturbation_data_/perturbations",  # as in the oldest release
    ),
    EntryKind.NETWORK: ("networks", "network_collection/networks"),
    EntryKind.TABLE: ("tf_lists", "accessory_data/tf_lists"),
}
"""Where each kind lies: directly in the folder, or as in the unzipped archives."""

TABLES: Mapping[EntryKind, str] = {
    EntryKind.DATASET: "perturbations.csv",
    EntryKind.NETWORK: "published_networks.csv",
}
DATASET_FILES = (TEST_FILE, TRAIN_FILE, "screen.csv")
NO_FILES = "no files"
READY = frozenset({"", "yes", "true", "1"})


class AbsentError(UsageError):
    """A local collection lists a name that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class LocalEntry:
    """A dataset, network or table of a local collection.

    Parameters
    ----------
    files
        By file name, for networks by subnetwork; empty if absent.
    row
        What the collection's own table says of it.
    absent_because
        Why it cannot be read, or None if it can.
    """

    name: str
    kind: EntryKind
    folder: Path
    files: Mapping[str, Path]
    row: Mapping[str, str] = field(default_factory=dict)
    absent_because: str | None = None


def collection_folder(given: str | None = None) -> Path | None:
    """Return the local collection: the one given, else ``PEREGGRN_COLLECTION``, else None.

    Raises
    ------
    MissingFileError
        If the folder that was named does not exist.
    """
    named = given or os.environ.get(COLLECTION_VARIABLE)
    if not named:
        return None
    source = "--collection" if given else COLLECTION_VARIABLE
    folder = existing_path(named)
    if folder is None or not folder.is_dir():
        raise MissingFileError.at(
            named,
            f"{source} names {named}, which is not a folder.",
            fix="name a folder in the layout of the collection, or leave it out.",
        )
    return folder


def local_name(name: str, names: Container[str]) -> str | None:
    """Return the one of a collection's `names` that stands for `name`, or None.

    The name itself comes first; then the other names of the published entry,
    since a folder may have either.
    """
    if name in names:
        return name
    published = load_catalog().get(name)
    return next((n for n in (published.names if published else ()) if n in names), None)


def local_entry(
    name: str,
    folder: Path | None,
    kind: EntryKind | None = None,
    *,
    with_file: str | None = None,
) -> LocalEntry | None:
    """Return the entry of a local collection for a name or alias, readable or not.

    Parameters
    ----------
    with_file
        Among a name and its aliases, those that have this file come first.
    """
    entries = read_collection(folder) if folder else ()
    found = {e.name: e for e in entries if kind in (None, e.kind)}
    readable = {
        n: e
        for n, e in found.items()
        if e.absent_because is None and (with_file is None or with_file in e.files)
    }
    local = local_name(name, readable) or local_name(name, found)
    return found[local] if local else None


def read_collection(folder: Path) -> tuple[LocalEntry, ...]:
    """List everything in a collection: what has files, and what its tables promise.

    Raises
    ------
    InvalidDataError
        If a table cannot be read, or has no column ``name``.
    """
    entries: list[LocalEntry] = []
    for kind in (EntryKind.DATASET, EntryKind.NETWORK):
        rows = _read_table(folder, kind)
        present = _present(folder, kind)
        entries += [_entry(n, kind, folder, present, rows) for n in sorted({*present, *rows})]
    entries += _accessory_tables(folder)
    lists = {p.stem: p for r in _roots(folder, EntryKind.TABLE) for p in visible_files(r, ".txt")}
    if lists:
        entries.append(
            LocalEntry(name="tf_lists", kind=EntryKind.TABLE, folder=folder, files=lists)
        )
    return tuple(entries)


def _accessory_tables(folder: Path) -> list[LocalEntry]:
    """Find the published tables that are single files, in the folder or in ``accessory_data/``."""
    found: list[LocalEntry] = []
    for table in load_catalog().tables:
        places = ([base / f for f in table.files] for base in (folder, folder / "accessory_data"))
        files = next((p for p in places if p and all(f.is_file() for f in p)), None)
        if files and not any("*" in f for f in table.files):
            found.append(
                LocalEntry(
                    name=table.name,
                    kind=EntryKind.TABLE,
                    folder=folder,
                    files={f.name: f for f in files},
                )
            )
    return found


def _entry(
    name: str,
    kind: EntryKind,
    folder: Path,
    present: Mapping[str, Mapping[str, Path]],
    rows: Mapping[str, Mapping[str, str]],
) -> LocalEntry:
    row = rows.get(name, {})
    files = present.get(name, {})
    # What git-annex leaves of a file that is elsewhere.
    lost = sorted(path.name for path in files.values() if not path.exists())
    if TEST_FILE in files and TEST_FILE not in lost:
        # Few splits want another file of a dataset, and name it then.
        files, lost = {n: p for n, p in files.items() if p.name not in lost}, []
    reason = None
    if not files:
        reason = NO_FILES
    elif lost:
        reason = f"{first_few(lost)}: a link to a file that is not here"
    elif (row.get("is_ready") or "").strip().lower() not in READY:
        reason = "not ready, says its table"
    return LocalEntry(
        name=name,
        kind=kind,
        folder=folder,
        files={} if reason else files,
        row=row,
        absent_because=reason,
    )


def _present(folder: Path, kind: EntryKind) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for root in _roots(folder, kind):
        for place in sorted(p for p in root.iterdir() if p.is_dir() and p.name[0] != "."):
            if kind is EntryKind.NETWORK:
                files = {p.stem: p for p in visible_files(place / "networks", ".parquet")}
            else:
                named = {n: place / n for n in DATASET_FILES}
                files = {n: p for n, p in named.items() if p.is_file() or p.is_symlink()}
            if files:
                found[place.name] = files
    return found


def _roots(folder: Path, kind: EntryKind) -> list[Path]:
    return [root for below in ROOTS[kind] if (root := folder / below).is_dir()]


def _read_table(folder: Path, kind: EntryKind) -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    for root in _roots(folder, kind):
        path = root / TABLES[kind]
        if path.is_file():
            rows.update(_read_rows(path))
    return rows


def _read_rows(path: Path) -> dict[str, dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if "name" not in (reader.fieldnames or ()):
                raise InvalidDataError(
                    f"{path} has no column 'name'.", got=", ".join(reader.fieldnames or ())
                )
            return {
                row["name"]: {k: v or "" for k, v in row.items() if isinstance(k, str)}
                for row in reader
                if row["name"]
            }
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidDataError(f"{path} is not a table.", got=str(error)[:100]) from None
