"""The catalog itself: found by listing the folders beside this file, one entry per file."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

from pereggrn_data.catalog.entries import (
    AnyEntry,
    Citation,
    DatasetEntry,
    Entry,
    EntryKind,
    Group,
    NetworkEntry,
    TableEntry,
)
from pereggrn_data.catalog.releases import Holds, Release, ReleaseLock
from pereggrn_data.core.errors import UnknownNameError

FOLDERS: Mapping[str, type[DatasetEntry] | type[NetworkEntry] | type[TableEntry]] = {
    "datasets": DatasetEntry,
    "networks": NetworkEntry,
    "tables": TableEntry,
}

RECORD_ADDRESS = re.compile(
    r"https?://(?:www\.)?zenodo\.org/(?:api/)?records?/(\d+)/?(?:[?#].*)?", re.A
)

E = TypeVar("E", bound=Entry)


class CatalogError(ValueError):
    """A file of the catalog is wrong: a bug of ours, not the user's doing."""


@dataclass(frozen=True)
class Catalog:
    """All entries and releases.

    Parameters
    ----------
    entries
        By name, datasets first.
    releases
        By record number.
    locks
        By record number; only those that come with the package.
    """

    entries: Mapping[str, AnyEntry]
    releases: Mapping[str, Release]
    locks: Mapping[str, ReleaseLock]

    @property
    def datasets(self) -> tuple[DatasetEntry, ...]:
        """All datasets."""
        return tuple(e for e in self.entries.values() if isinstance(e, DatasetEntry))

    @property
    def networks(self) -> tuple[NetworkEntry, ...]:
        """All networks."""
        return tuple(e for e in self.entries.values() if isinstance(e, NetworkEntry))

    @property
    def tables(self) -> tuple[TableEntry, ...]:
        """All accessory tables."""
        return tuple(e for e in self.entries.values() if isinstance(e, TableEntry))

    @property
    def aliases(self) -> dict[str, str]:
        """From other names to our names."""
        return {alias: e.name for e in self.entries.values() for alias in e.aliases}

    def get(self, name: str) -> AnyEntry | None:
        """Return the entry of this name or alias, or None."""
        return self.entries.get(self.aliases.get(name, name))

    def entry(self, name: str, kind: EntryKind | None = None) -> AnyEntry:
        """Return the entry of this name or alias.

        Raises
        ------
        UnknownNameError
            With near matches.
        """
        found = self.get(name)
        if found is not None and kind in (None, found.kind):
            return found
        raise self.unknown_name(name, kind)

    def unknown_name(self, name: str, kind: EntryKind | None = None) -> UnknownNameError:
        """Return the error that says which names are near to one that the catalog lacks."""
        known = [e.name for e in self.entries.values() if kind in (None, e.kind)]
        aliases = [a for a, n in self.aliases.items() if n in known]
        return UnknownNameError(
            str(kind or "dataset, network or table"),
            name,
            [*known, *aliases],
            fix="`pereggrn-data list` shows all names.",
        )

    @property
    def default_release(self) -> Release:
        """The release that commands use when none is named."""
        return next(r for r in self.releases.values() if r.default)

    def release(self, named: str | None) -> Release:
        """Return a release by record number, version DOI, address of its page, or alias.

        A number that the catalog does not know is taken as it is: newer
        releases can be used before they are listed here.

        Raises
        ------
        UnknownNameError
            If it is none of these.
        """
        if named is None:
            return self.default_release
        address = RECORD_ADDRESS.fullmatch(named)
        number = address[1] if address else named.rsplit("zenodo.", 1)[-1]
        for release in self.releases.values():
            if number == release.record or named in release.aliases:
                return release
        if number.isascii() and number.isdigit():
            return Release(
                record=number, title="A record outside the catalog.", holds=Holds.UNKNOWN
            )
        words = [a for r in self.releases.values() for a in (r.record, *r.aliases)]
        raise UnknownNameError("release", named, words, fix="Any record number works as well.")


@cache
def load_catalog() -> Catalog:
    """Read the catalog that comes with the package."""
    return read_catalog(files("pereggrn_data.catalog"))


def read_catalog(root: Traversable) -> Catalog:
    """Read a catalog from a folder.

    Raises
    ------
    CatalogError
        If a file has an unknown or missing key, a name occurs twice, or a
        citation or variant does not exist.
    """
    citations = _citations(root / "citations.toml")
    entries: dict[str, AnyEntry] = {}
    for folder, cls in FOLDERS.items():
        for stem, values in _tables(root / folder):
            entry = _entry(cls, stem, values, citations)
            if entry.name in entries:
                raise CatalogError(f"{entry.name} occurs twice")
            entries[entry.name] = entry
    _check_references(entries)
    releases = {r.record: r for r in (_release(s, v) for s, v in _tables(root / "releases"))}
    if sum(r.default for r in releases.values()) != 1:
        raise CatalogError("exactly one release must be the default")
    return Catalog(entries=entries, releases=releases, locks=_locks(root / "locks"))


def _tables(folder: Traversable) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(folder.iterdir(), key=lambda f: f.name.casefold()):
        if file.name.endswith(".toml"):
            yield file.name.removesuffix(".toml"), tomllib.loads(file.read_text("utf-8"))


def _citations(file: Traversable) -> dict[str, Citation]:
    values = tomllib.loads(file.read_text("utf-8"))
    return {key: Citation(key=key, **fields_) for key, fields_ in values.items()}


def _entry(
    cls: type[E], stem: str, values: dict[str, Any], citations: Mapping[str, Citation]
) -> E:
    known = {f.name for f in fields(cls)}
    if unknown := set(values) - known:
        raise CatalogError(f"{stem}.toml has unknown keys: {sorted(unknown)}")
    if lacking := {f.name for f in fields(cls) if _is_required(f)} - set(values):
        raise CatalogError(f"{stem}.toml lacks {', '.join(sorted(lacking))}")
    if values.get("name") != stem:
        raise CatalogError(f"{stem}.toml names {values.get('name')!r}")
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        plain["citations"] = tuple(citations[key] for key in plain.get("citations", ()))
    except KeyError as error:
        raise CatalogError(f"{stem}.toml cites {error}, which citations.toml lacks") from None
    if "group" in plain:
        try:
            plain["group"] = Group(plain["group"])
        except ValueError:
            raise CatalogError(
                f"{stem}.toml has the group {plain['group']!r}, which is none of "
                f"{', '.join(Group)}"
            ) from None
    return cls(**plain)


def _is_required(key: Field[Any]) -> bool:
    return key.default is MISSING and key.default_factory is MISSING


def _release(stem: str, values: dict[str, Any]) -> Release:
    if values.get("record") != stem:
        raise CatalogError(f"{stem}.toml names record {values.get('record')!r}")
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    plain["holds"] = Holds(values["holds"])
    return Release(**plain)


def _locks(folder: Traversable) -> dict[str, ReleaseLock]:
    if not folder.is_dir():
        return {}
    found = (f for f in folder.iterdir() if f.name.endswith(".json"))
    locks = (ReleaseLock.from_dict(json.loads(f.read_text("utf-8")), source=f.name) for f in found)
    return {lock.record: lock for lock in locks}


def _check_references(entries: Mapping[str, AnyEntry]) -> None:
    seen: set[str] = set(entries)
    for entry in entries.values():
        if entry.variant_of is not None and entry.variant_of not in entries:
            raise CatalogError(
                f"{entry.name} is a variant of {entry.variant_of}, which is missing"
            )
        for alias in entry.aliases:
            if alias in seen:
                raise CatalogError(f"the alias {alias} of {entry.name} is taken")
            seen.add(alias)
