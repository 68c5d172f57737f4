"""Bring an entry's files into the cache: planned, locked, verified, moved in one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree

from pereggrn_data.catalog import AnyEntry, LockedArchive, LockedMember
from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.archive.member_download import (
    Batch,
    MemberDownload,
    transfer_groups,
)
from pereggrn_data.loaders.archive.release_files import ReleaseFiles
from pereggrn_data.loaders.archive.transfer import NoProgress, TransferProgress
from pereggrn_data.loaders.archive.whole_archives import WholeArchives
from pereggrn_data.loaders.cache import (
    SET_ASIDE,
    Cache,
    ChangedFileError,
    HashStore,
    Holding,
    cached_files,
    changed_file,
    is_complete,
    set_aside,
)
from pereggrn_data.loaders.files.any_file import (
    crc32_of_file,
    remove_leftovers,
    settle_folder,
    sha256_of_file,
)
from pereggrn_data.loaders.remote import OfflineError


@dataclass(frozen=True)
class EntryPlan:
    """What fetching an entry would take.

    Parameters
    ----------
    located
        None if everything is here and nothing had to be looked up.
    missing
        Members that are not in the cache, by local path.
    whole
        The archive that must come whole, or None.
    """

    entry: AnyEntry
    located: Holding | None
    missing: Mapping[str, LockedMember]
    whole: LockedArchive | None = None

    @property
    def whole_because(self) -> str | None:
        """Why the whole archive must come, or None if it need not."""
        if self.whole is None:
            return None
        packed = {m.packed_by for m in self.missing.values() if not m.readable_alone}
        if packed:
            return f"{' and '.join(sorted(packed))} files cannot be read from a part of an archive"
        return "the server sends no parts"

    @property
    def transfer_bytes(self) -> int:
        """Bytes to download."""
        if self.whole is not None:
            return self.whole.size
        return sum(m.compressed_size for m in self.missing.values())

    @property
    def disk_bytes(self) -> int:
        """Bytes that the cache grows by while it works."""
        return self.transfer_bytes + sum(m.size for m in self.missing.values())


@dataclass(frozen=True)
class FetchedFile:
    """A file that is in the cache and was checked.

    Parameters
    ----------
    local
        Path below the record's folder.
    downloaded
        Whether it was brought just now.
    origin
        ``lock`` or ``first seen``: where its checksum comes from.
    """

    local: str
    path: Path
    sha256: str
    size: int
    downloaded: bool
    origin: str


@dataclass
class EntryFetcher:
    """Fetches entries of one release.

    Parameters
    ----------
    say
        Called with a sentence for each step that takes time.
    warn
        Called with what the user must know, even where `say` is silent.
    """

    files: ReleaseFiles
    cache: Cache
    progress: TransferProgress = field(default_factory=NoProgress)
    say: Callable[[str], None] = lambda _: None
    warn: Callable[[str], None] = lambda _: None

    @property
    def hashes(self) -> HashStore:
        """The checksums of this release."""
        return HashStore(self.cache, self.files.record)

    def plan(self, entry: AnyEntry) -> EntryPlan:
        """Find out what fetching an entry takes; nothing is downloaded yet but indexes.

        Raises
        ------
        NotInReleaseError
            If the release does not hold it.
        OfflineError
            With ``--offline``, if it is not here.
        """
        if self.files.http.offline and self.files.known() is None:
            return self._offline_plan(entry)
        located = self.files.locate(entry)
        if located.members is None:
            whole = self.cache.archive(self.files.record, located.archive.key)
            needed = None if whole.exists() else located.archive
            return EntryPlan(entry, located, {}, whole=needed)
        missing = {p: m for p, m in located.members.items() if not self._path(p).exists()}
        if missing and self.files.http.offline and not self._can_unpack(located):
            raise _not_here(entry, list(missing))
        _check_readable(missing, located.archive)
        whole = self.cache.archive(self.files.record, located.archive.key)
        if missing and not whole.exists() and not located.needs_whole_archive:
            located = replace(located, archive=self.files.probed(located.archive))
        needs_whole = missing and located.needs_whole_archive and not whole.exists()
        return EntryPlan(entry, located, missing, whole=located.archive if needs_whole else None)

    def fetch(self, plan: EntryPlan) -> list[FetchedFile]:
        """Fetch one entry; files that are here already are only checked.

        Raises
        ------
        IntegrityError
            If a file is not what was promised, after one more try; offline,
            if one that is here has changed.
        NetworkError
            If the service cannot be reached.
        """
        with self.cache.locked(
            f"entry-{self.files.record}-{plan.entry.name}",
            waiting_for=f"another process that is fetching {plan.entry.name}",
        ):
            if not self.cache.is_read_only:  # the index need not be written anew
                remove_leftovers(self.cache.folder(self.files.record))
            if plan.located is None:
                found = cached_files(plan.entry, self.cache.folder(self.files.record))
                return [self._present(local, None, path) for local, path in found.items()]
            located = self._with_members(plan)
            members = located.members or {}
            _check_readable(members, located.archive)
            done = {p: self._check_present(p, m) for p, m in members.items()}
            missing = {p: m for p, m in members.items() if done[p] is None}
            if missing and self.files.http.offline and not self._can_unpack(located):
                raise _not_here(plan.entry, list(missing))
            fetched = self._bring(plan.entry, located, missing)
            return [done[p] or fetched[p] for p in members]

    def _with_members(self, plan: EntryPlan) -> Holding:
        if plan.located is None or plan.located.members is not None:
            return plan.located or Holding(self.files.lock().archives[0], {})
        self._whole().bring(plan.located.archive)
        return self.files.locate(plan.entry)

    def _bring(
        self, entry: AnyEntry, located: Holding, missing: Mapping[str, LockedMember]
    ) -> dict[str, FetchedFile]:
        fetched: dict[str, FetchedFile] = {}
        record, name = self.files.record, entry.name
        if not self.cache.is_read_only:
            rmtree(self.cache.unpacking(record, name), ignore_errors=True)  # of a killed run
        if not missing:
            self._remove_parts(entry)
            return fetched
        for span, group in transfer_groups(missing, self.cache.spans(record, name)):
            batch = Batch(self.files, self.cache, entry, located, dict(group), span)
            batch.progress, batch.say, batch.whole = self.progress, self.say, self._whole()
            try:
                for local, member in group.items():
                    fetched[local] = self._bring_one(batch, local, member)
            finally:
                batch.close(complete=len(set(group) - set(fetched)) == 0)
        self._remove_parts(entry)
        return fetched

    def _remove_parts(self, entry: AnyEntry) -> None:
        """Remove raw bytes that a run has left which was killed when the files were in place."""
        record, name = self.files.record, entry.name
        if self.cache.is_read_only:
            return
        for start, stop in self.cache.spans(record, name):
            self.cache.part(record, name, start, stop).unlink(missing_ok=True)
        for sidecar in self.cache.sidecars(record, name):
            sidecar.unlink(missing_ok=True)

    def _bring_one(self, batch: Batch, local: str, member: LockedMember) -> FetchedFile:
        locked = self._locked_hash(member)
        target = self._path(local)
        # Unpacked apart, so that a killed process leaves nothing among the entry's files.
        unpacking = self.cache.unpacking(self.files.record, batch.entry.name)
        out = unpacking.joinpath(*local.split("/"))
        self.cache.make_folder(target.parent)
        self.cache.make_folder(out.parent)
        expected = self._expected(local, member)
        try:
            unpacked = MemberDownload(batch, local, expected, locked is not None).write(out)
            out.replace(target)
        finally:
            rmtree(unpacking, ignore_errors=True)
        settle_folder(target.parent)
        origin = "lock" if locked else "first seen"
        self.hashes.record_file(local, unpacked.sha256, origin=origin)
        return FetchedFile(local, target, unpacked.sha256, unpacked.size, True, origin)

    def _check_present(self, local: str, member: LockedMember) -> FetchedFile | None:
        """Check a file that is here; one that is wrong is set aside, and said so."""
        path = self._path(local)
        if not path.exists():
            return None
        try:
            return self._present(local, member, path)
        except ChangedFileError as error:
            if self.files.http.offline:
                raise
            aside = set_aside(path, self.cache.folder(self.files.record) / SET_ASIDE)
            self.warn(f"{error.what} It is kept as {aside}; fetching it again.")
            return None

    def _present(self, local: str, member: LockedMember | None, path: Path) -> FetchedFile:
        known = self.hashes.get(local)
        expected = self._expected(local, member)
        if expected is None and member is not None and crc32_of_file(path) != member.crc32:
            raise changed_file(path, f"CRC-32 {member.crc32:08x}", "another one")
        sha256 = sha256_of_file(path)
        if expected is not None and sha256 != expected:
            raise changed_file(path, f"sha256 {expected}", f"sha256 {sha256}")
        origin = "lock" if member and self._locked_hash(member) else "first seen"
        if known is None or not known.is_unchanged(path):
            self.hashes.note(local, sha256, origin=origin)
        return FetchedFile(local, path, sha256, path.stat().st_size, False, origin)

    def _expected(self, local: str, member: LockedMember | None) -> str | None:
        if member is not None and (locked := self._locked_hash(member)):
            return locked
        known = self.hashes.get(local)
        return known.sha256 if known else None

    def _locked_hash(self, member: LockedMember) -> str | None:
        return member.sha256 if self.files.given is not None else None

    def _path(self, local: str) -> Path:
        return self.cache.file(self.files.record, local)

    def _can_unpack(self, located: Holding) -> bool:
        return self.cache.archive(self.files.record, located.archive.key).exists()

    def _whole(self) -> WholeArchives:
        return WholeArchives(self.files, self.cache, self.progress, self.say)

    def _offline_plan(self, entry: AnyEntry) -> EntryPlan:
        found = cached_files(entry, self.cache.folder(self.files.record))
        if not is_complete(entry, found):
            raise _not_here(entry, [entry.name])
        return EntryPlan(entry, None, {})


def _check_readable(members: Mapping[str, LockedMember], archive: LockedArchive) -> None:
    """Refuse what we could not unpack, before anything large is downloaded."""
    for member in members.values():
        if not member.readable:
            raise UsageError(
                f"{member.path} in {archive.key} cannot be unpacked by us.",
                got="it is encrypted"
                if member.encrypted
                else f"it is packed by {member.packed_by}",
                fix="download and unpack the archive with another tool, "
                "and name the folder by --collection.",
            )


def _not_here(entry: AnyEntry, missing: list[str]) -> OfflineError:
    return OfflineError(
        f"{entry.name} is not in the cache, and --offline forbids downloading it.",
        got=f"missing: {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}",
        fix="run the command once without --offline.",
    )
