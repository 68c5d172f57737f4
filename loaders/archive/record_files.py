"""Any single file of any record, or one member of a zip file of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pereggrn_data.catalog import Holds, LockedArchive, LockedMember, Release
from pereggrn_data.core.errors import IntegrityError, UnknownNameError, UsageError
from pereggrn_data.core.safe_names import is_safe_file_name
from pereggrn_data.loaders.archive.fetching import FetchedFile
from pereggrn_data.loaders.archive.release_files import ReleaseFiles, is_as_recorded
from pereggrn_data.loaders.archive.transfer import ByteSpan, Transfer, TransferProgress
from pereggrn_data.loaders.archive.whole_archives import WholeArchives, unpack_from_whole
from pereggrn_data.loaders.archive.zip_member import Unpacked, unpack
from pereggrn_data.loaders.cache import (
    ARCHIVES,
    MEMBERS,
    SET_ASIDE,
    Cache,
    HashStore,
    changed_file,
    open_new,
    open_old,
    set_aside,
)
from pereggrn_data.loaders.files.any_file import check_magic, settle, settle_folder, sha256_of_file
from pereggrn_data.loaders.remote import OfflineError, RangesIgnoredError

PREFIX = "zenodo:"
_NAME = re.compile(rf"{PREFIX}(?P<record>\d+)/(?P<key>[^/#]+)(?:#(?P<member>.+))?", re.ASCII)
FORM = f"{PREFIX}RECORD/FILE, or {PREFIX}RECORD/FILE.zip#PATH for one file inside a zip file"


@dataclass(frozen=True)
class RecordFile:
    """A file of a record, by the name that stands for it wherever a path may stand.

    Parameters
    ----------
    record
        Number of the record.
    key
        Name of the file in the record.
    member
        Path inside it, if it is a zip file and one of its members is meant.
    """

    record: str
    key: str
    member: str | None = None

    @classmethod
    def of(cls, name: str) -> RecordFile:
        """Read a name.

        Raises
        ------
        UsageError
            If it is not of the form ``zenodo:RECORD/FILE`` or ``zenodo:RECORD/FILE#PATH``.
        """
        found = _NAME.fullmatch(name)
        parts = [] if found is None else [found["key"], *(found["member"] or "x").split("/")]
        if found is None or not all(map(is_safe_file_name, parts)):
            raise UsageError(f"{name} is no file of a record.", expected=FORM, got=repr(name))
        return cls(found["record"], found["key"], found["member"])

    @property
    def local(self) -> str:
        """Path below the record's folder in the cache."""
        return (
            f"{ARCHIVES}/{self.key}"
            if self.member is None
            else (f"{MEMBERS}/{self.key}/{self.member}")
        )

    @property
    def release(self) -> Release:
        """The record as a release of which nothing is known."""
        return Release(record=self.record, title="", holds=Holds.UNKNOWN)

    def __str__(self) -> str:
        inside = "" if self.member is None else f"#{self.member}"
        return f"{PREFIX}{self.record}/{self.key}{inside}"


def is_record_file(name: object) -> bool:
    """Say whether a text is meant as the name of a file of a record."""
    return isinstance(name, str) and name.startswith(PREFIX)


@dataclass(frozen=True)
class RecordFetcher:
    """Brings single files of a record into the cache.

    Parameters
    ----------
    files
        The record.
    cache, progress, say, warn
        As in :class:`~pereggrn_data.loaders.archive.fetching.EntryFetcher`.
    """

    files: ReleaseFiles
    cache: Cache
    progress: TransferProgress
    say: Callable[[str], None]
    warn: Callable[[str], None]

    def size(self, wanted: RecordFile) -> int:
        """Return the bytes that are to be downloaded; 0 if the file is here.

        Raises
        ------
        UnknownNameError
            If the record has no such file, or the zip file no such member.
        OfflineError
            With ``--offline``, if it is not here.
        """
        if self.cache.file(self.files.record, wanted.local).exists():
            return 0
        if self.files.http.offline:
            raise OfflineError(
                f"{wanted} is not in the cache, and --offline forbids downloading it.",
                fix="run the command once without --offline.",
            )
        archive = self._archive(wanted)
        if wanted.member is None or self._is_here(archive):
            return 0 if self._is_here(archive) else archive.size
        indexed, member = self._member(archive, wanted)
        whole = indexed.ranges is False or not member.readable_alone
        return archive.size if whole else member.compressed_size

    def fetch(self, wanted: RecordFile) -> FetchedFile:
        """Bring a file, verified; one that is here already is only checked.

        Raises
        ------
        IntegrityError
            If it is not what the record (its md5) or the zip file's index (size and CRC-32)
            promises, or not what was seen before.
        NetworkError
            If the service cannot be reached.
        """
        path = self.cache.file(self.files.record, wanted.local)
        with self.cache.locked(f"file-{self.files.record}-{wanted.local}"):
            if path.exists() and (sha256 := self._checked(wanted, path)) is not None:
                return self._fetched(wanted, path, sha256, downloaded=False)
            archive = self._archive(wanted)
            if wanted.member is None:
                self._whole(archive)
            else:
                self._bring_member(archive, wanted, path)
            sha256 = sha256_of_file(path)
            known = HashStore(self.cache, self.files.record).get(wanted.local)
            if known is not None and known.sha256 != sha256:
                raise self._another(wanted, path, known.sha256, sha256)
            return self._fetched(wanted, path, sha256, downloaded=True)

    def _fetched(
        self, wanted: RecordFile, path: Path, sha256: str, *, downloaded: bool
    ) -> FetchedFile:
        store = HashStore(self.cache, self.files.record)
        known = store.get(wanted.local)
        if known is None or known.sha256 != sha256 or not known.is_unchanged(path):
            store.note(wanted.local, sha256, origin="first seen")
        size = path.stat().st_size
        return FetchedFile(wanted.local, path, sha256, size, downloaded, "first seen")

    def _checked(self, wanted: RecordFile, path: Path) -> str | None:
        """Return the checksum of a file that is here; one that is wrong is set aside."""
        known = HashStore(self.cache, self.files.record).get(wanted.local)
        sha256 = sha256_of_file(path)
        if known is not None:
            if known.sha256 == sha256:
                return sha256
        elif wanted.member is None and self._as_recorded(wanted, path):
            return sha256
        if self.files.http.offline:
            expected = f"sha256 {known.sha256}" if known else "a checksum that is known"
            raise changed_file(path, expected, f"sha256 {sha256}")
        aside = set_aside(path, self.cache.folder(self.files.record) / SET_ASIDE)
        self.warn(f"{path} has changed. It is kept as {aside}; fetching it again.")
        return None

    def _as_recorded(self, wanted: RecordFile, path: Path) -> bool:
        record = self.files.known()
        archive = record.archive(wanted.key) if record else None
        return archive is not None and is_as_recorded(path, archive)

    def _archive(self, wanted: RecordFile) -> LockedArchive:
        record = self.files.lock()
        archive = record.archive(wanted.key)
        if archive is None:
            keys = [a.key for a in record.archives]
            raise UnknownNameError(f"file of record {wanted.record}", wanted.key, keys)
        if archive.md5 is None:
            self.say(f"The record has no checksum for {archive.key}.")
        return archive

    def _is_here(self, archive: LockedArchive) -> bool:
        return self.cache.archive(self.files.record, archive.key).exists()

    def _whole(self, archive: LockedArchive) -> Path:
        return WholeArchives(self.files, self.cache, self.progress, self.say).bring(archive)

    def _member(
        self, archive: LockedArchive, wanted: RecordFile
    ) -> tuple[LockedArchive, LockedMember]:
        if PurePosixPath(archive.key).suffix.lower() != ".zip":
            raise UsageError(
                f"{archive.key} is no zip file: there is no {wanted.member} inside it.",
                fix=f"pereggrn-data fetch {PREFIX}{wanted.record}/{wanted.key}",
            )
        indexed = self.files.indexed(archive)
        if indexed.members is None:  # the server sends no parts: only the whole can tell
            self._whole(archive)
            indexed = self.files.indexed(archive)
        members = {m.path: m for m in indexed.members or ()}
        if wanted.member not in members:
            raise UnknownNameError(f"file in {archive.key}", str(wanted.member), list(members))
        member = members[str(wanted.member)]
        if not member.readable:
            raise UsageError(
                f"{member.path} in {archive.key} cannot be unpacked by us.",
                got="it is encrypted" if member.encrypted else f"packed by {member.packed_by}",
                fix="download and unpack it with another tool.",
            )
        return indexed, member

    def _bring_member(self, archive: LockedArchive, wanted: RecordFile, path: Path) -> None:
        for attempt in (1, 2):
            indexed, member = self._member(archive, wanted)
            unpacking = self.cache.unpacking(self.files.record, f"{wanted.key} {member.crc32:08x}")
            out = unpacking / path.name
            self.cache.make_folder(unpacking)
            self.cache.make_folder(path.parent)
            try:
                self._unpack(indexed, member, out)
                check_magic(out, path.name)
                settle(out, self.cache.group_bits)
                out.replace(path)
            except IntegrityError as error:
                if attempt == 2:
                    raise
                self.say(f"{' '.join(str(error).split())} Trying once more.")
                self.files.refresh()
            else:
                settle_folder(path.parent)
                return
            finally:
                out.unlink(missing_ok=True)
                unpacking.rmdir()

    def _unpack(self, archive: LockedArchive, member: LockedMember, out: Path) -> Unpacked:
        if not self._is_here(archive) and member.readable_alone and archive.ranges is not False:
            file = self.files.remote_file(archive)
            span = ByteSpan(file.links[0], member.start, member.stop)
            name = f"{archive.key} {member.crc32:08x}"
            part = self.cache.part(self.files.record, name, member.start, member.stop)
            transfer = Transfer(
                file,
                archive,
                span,
                part,
                self.say,
                self.progress,
                self.cache,
                f"{out.name} of {archive.key}",
            )
            try:
                with self.cache.transfer_slot():
                    transfer.run()
                with open_old(part) as raw, open_new(out) as written:
                    unpacked = unpack(raw, member, written)
            except (RangesIgnoredError, IntegrityError) as error:
                transfer.discard()
                if isinstance(error, IntegrityError):
                    raise
                self.say("The server has stopped sending parts: the whole archive is needed.")
                self.files.mark_rangeless(archive)
            else:
                transfer.discard()
                return unpacked
        whole = self._whole(replace(archive, members=None))
        try:
            with open_new(out) as written:
                return unpack_from_whole(whole, member, written)
        except IntegrityError:
            self.files.set_aside_if_damaged(archive)
            raise

    def _another(self, wanted: RecordFile, path: Path, known: str, got: str) -> IntegrityError:
        aside = set_aside(path, self.cache.folder(self.files.record) / SET_ASIDE)
        return IntegrityError(
            f"{wanted} is not the file that was seen before.",
            expected=f"sha256 {known}",
            got=f"sha256 {got}",
            fix=f"what arrived is kept as {aside}.",
        )
