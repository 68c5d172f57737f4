"""Which archive holds an entry, where in it, and under which names its files are kept here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pereggrn_data.catalog import (
    AnyEntry,
    DatasetEntry,
    EntryKind,
    LockedArchive,
    LockedMember,
    NetworkEntry,
)
from pereggrn_data.core.errors import IntegrityError
from pereggrn_data.core.safe_names import is_safe_file_name

ARCHIVE_WORDS: Mapping[EntryKind, str] = {
    EntryKind.DATASET: "perturbation_data",
    EntryKind.NETWORK: "network_collection",
    EntryKind.TABLE: "accessory_data",
}
"""What the name of the archive of each kind begins with."""

NOT_CONTENTS = "__MACOSX"


@dataclass(frozen=True)
class Wanted:
    """One file of an entry.

    Parameters
    ----------
    local
        Path below the record's folder in the cache; ``*`` stands for any name.
    remote
        Paths below an archive's root folder, the likeliest first; ``*`` as well.
    required
        Whether the entry is incomplete without it.
    """

    local: str
    remote: tuple[str, ...]
    required: bool


@dataclass(frozen=True)
class Holding:
    """The archive that holds an entry, and where in it.

    Parameters
    ----------
    archive
        That holds the entry's files.
    members
        By local path; None if the archive must be downloaded whole to know.
    """

    archive: LockedArchive
    members: Mapping[str, LockedMember] | None

    @property
    def needs_whole_archive(self) -> bool:
        """Whether the members cannot be had one at a time."""
        if self.members is None or self.archive.ranges is False:
            return True
        return not all(m.readable_alone for m in self.members.values())


def wanted_files(entry: AnyEntry) -> tuple[Wanted, ...]:
    """Return the files that make up an entry."""
    if isinstance(entry, DatasetEntry):
        return tuple(
            Wanted(
                f"perturbations/{entry.name}/{file}",
                tuple(
                    f"{parent}{name}/{file}"
                    for parent in ("perturbations/", "")
                    for name in entry.names
                ),
                required,
            )
            for names, required in ((entry.files, True), (entry.optional_files, False))
            for file in names
        )
    if isinstance(entry, NetworkEntry):
        remote = tuple(f"networks/{name}/networks/*.parquet" for name in entry.names)
        return (Wanted(f"networks/{entry.name}/networks/*.parquet", remote, True),)
    return tuple(Wanted(file, (file,), True) for file in entry.files)


def match_members(
    entry: AnyEntry, members: Sequence[LockedMember]
) -> dict[str, LockedMember] | None:
    """Find an entry's files in an archive.

    Paths are compared from the end, under any root folder; where several fit,
    the one nearest to the root is taken.

    Returns
    -------
    dict or None
        Local path to member; None if a required file is missing.

    Raises
    ------
    IntegrityError
        If the archive is ambiguous, or has names that are not safe here.
    """
    found: dict[str, LockedMember] = {}
    for wanted in wanted_files(entry):
        matched = _first_match(wanted, members)
        if not matched and wanted.required:
            return None
        found.update(matched)
    return found


def cached_files(entry: AnyEntry, folder: Path) -> dict[str, Path]:
    """Return the files of an entry that lie in a folder of this layout, by local path."""
    found: dict[str, Path] = {}
    for wanted in wanted_files(entry):
        parent, _, pattern = wanted.local.rpartition("/")
        place = folder.joinpath(*parent.split("/")) if parent else folder
        if not place.is_dir():
            continue
        for file in sorted(place.iterdir()):
            hidden = file.name.startswith(".")
            if not hidden and file.is_file() and _matches(pattern, file.name):
                found[f"{parent}/{file.name}" if parent else file.name] = file
    return found


def is_complete(entry: AnyEntry, found: Iterable[str]) -> bool:
    """Whether every required file is among the local paths `found`."""
    found = list(found)
    return all(
        any(_matches(wanted.local, path) for path in found)
        for wanted in wanted_files(entry)
        if wanted.required
    )


def which_archive_holds(
    entry: AnyEntry,
    archives: Sequence[LockedArchive],
    look_into: Callable[[LockedArchive, bool], LockedArchive] | None = None,
) -> Holding | None:
    """Find the archive of a release that holds an entry.

    Zip archives whose names promise this kind of entry come first.

    Parameters
    ----------
    archives
        Those of the release.
    look_into
        Looks an archive's contents up; also told whether its name promises
        this kind. Without it, only what is known already counts.

    Returns
    -------
    Holding or None
        None if no archive is known to hold it. With `look_into`, a promising
        archive that only tells its contents as a whole is taken to hold it.

    Raises
    ------
    IntegrityError
        If an archive is ambiguous, or has names that are not safe here.
    """
    promises = {a.key: a.key.lower().startswith(ARCHIVE_WORDS[entry.kind]) for a in archives}
    zips = [a for a in archives if a.key.lower().endswith(".zip")]
    for archive in sorted(zips, key=lambda a: not promises[a.key]):
        seen = look_into(archive, promises[archive.key]) if look_into else archive
        if seen.members is None:
            if look_into and promises[archive.key]:
                return Holding(seen, None)
            continue
        members = match_members(entry, seen.members)
        if members is not None:
            return Holding(seen, members)
    return None


def _first_match(wanted: Wanted, members: Sequence[LockedMember]) -> dict[str, LockedMember]:
    for remote in wanted.remote:
        pattern = re.compile(r"(?P<root>(?:.*/)?)" + _wildcards(remote))
        head, _, tail = remote.rpartition("*")
        hits: dict[str, list[tuple[int, LockedMember]]] = {}
        for member in members:
            if not member.path.endswith(tail) or head not in member.path:
                continue  # much faster than the pattern, for archives of many members
            match = pattern.fullmatch(member.path)
            if match is None or NOT_CONTENTS in member.path.split("/"):
                continue
            local = _local_path(wanted.local, match.groupdict().get("name"), member)
            hits.setdefault(local, []).append((match["root"].count("/"), member))
        if hits:
            return {local: _nearest(found) for local, found in hits.items()}
    return {}


def _nearest(found: list[tuple[int, LockedMember]]) -> LockedMember:
    depth = min(d for d, _ in found)
    nearest = [m for d, m in found if d == depth]
    if len(nearest) > 1:
        raise IntegrityError(
            "The archive is ambiguous.",
            expected="one file of this name",
            got=", ".join(m.path for m in nearest[:3]),
        )
    return nearest[0]


def _local_path(local: str, name: str | None, member: LockedMember) -> str:
    """Fill the name from the archive in, if it can be a file name and nothing else."""
    if name is None:
        return local
    path = local.replace("*", name, 1)
    if not is_safe_file_name(path.rsplit("/", 1)[-1]):
        raise IntegrityError(
            "The archive has a file name that is not safe to write.",
            expected="a plain name, without separators, control characters or a leading dot",
            got=repr(member.path)[:120],
            fix="nothing was written; tell its publishers, or use another release.",
        )
    return path


def _wildcards(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", r"(?P<name>[^/]+)", 1)


def _matches(pattern: str, path: str) -> bool:
    return re.fullmatch(_wildcards(pattern), path) is not None
