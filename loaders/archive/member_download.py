"""Bring members of a remote archive: in as few transfers as possible, unpacked and verified."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pereggrn_data.catalog import AnyEntry, LockedMember
from pereggrn_data.core.errors import IntegrityError
from pereggrn_data.loaders.archive.release_files import ReleaseFiles
from pereggrn_data.loaders.archive.transfer import ByteSpan, NoProgress, Transfer, TransferProgress
from pereggrn_data.loaders.archive.whole_archives import WholeArchives, unpack_from_whole
from pereggrn_data.loaders.archive.zip_member import Unpacked, unpack
from pereggrn_data.loaders.cache import SET_ASIDE, Cache, Holding, open_new, open_old, set_aside
from pereggrn_data.loaders.files.any_file import check_magic, settle
from pereggrn_data.loaders.remote import RangesIgnoredError

ADJACENT = 1 << 16
"""Members with at most this many bytes between them come in one transfer."""


class NotSeenBeforeError(IntegrityError):
    """A file arrived as the archive has it, but it is not the one that is known."""


def transfer_groups(
    missing: Mapping[str, LockedMember], begun: list[tuple[int, int]]
) -> list[tuple[tuple[int, int], dict[str, LockedMember]]]:
    """Group members by the transfers that bring them; those that were begun go on.

    A run that was killed while it unpacked has left the raw bytes of more
    members than are missing now: they are used, not brought again.
    """
    groups, left = [], dict(missing)
    for start, stop in begun:
        held = {
            p: m
            for p, m in sorted(left.items(), key=lambda item: item[1].start)
            if start <= m.start and m.stop <= stop and m.readable_alone
        }
        if held:
            groups.append(((start, stop), held))
            left = {p: m for p, m in left.items() if p not in held}
    return groups + [(span_of(group.values()), group) for group in _adjacent(left)]


def _adjacent(missing: Mapping[str, LockedMember]) -> list[dict[str, LockedMember]]:
    """Group members that lie next to each other, so that one request brings them all."""
    groups: list[dict[str, LockedMember]] = []
    end = -1
    for local, member in sorted(missing.items(), key=lambda item: item[1].start):
        if not groups or member.start - end > ADJACENT or not member.readable_alone:
            groups.append({})
        groups[-1][local] = member
        end = member.stop
    return groups


def span_of(members: Iterable[LockedMember]) -> tuple[int, int]:
    """Return the first byte of an archive that some members need, and the one behind the last."""
    members = list(members)
    return min(m.start for m in members), max(m.stop for m in members)


@dataclass
class Batch:
    """Members that lie next to each other in an archive and come in one transfer.

    Parameters
    ----------
    members
        By local path, in the archive's order.
    span
        Bytes of the archive that bring them all; more where an earlier run
        has begun with more.
    """

    files: ReleaseFiles
    cache: Cache
    entry: AnyEntry
    located: Holding
    members: dict[str, LockedMember]
    span: tuple[int, int]
    progress: TransferProgress = field(default_factory=NoProgress)
    say: Callable[[str], None] = lambda _: None
    whole: WholeArchives | None = None

    @property
    def link(self) -> str:
        """First link of the archive."""
        return self.files.remote_file(self.located.archive).links[0]

    def transfer(self) -> Transfer:
        """Return the transfer that brings the members' raw bytes."""
        archive = self.located.archive
        file = self.files.remote_file(archive)
        span = ByteSpan(self.link, *self.span)
        part = self.cache.part(self.files.record, self.entry.name, *self.span)
        label = f"{self.entry.name} from {archive.key}"
        return Transfer(file, archive, span, part, self.say, self.progress, self.cache, label)

    def write(self, local: str, out: Path) -> Unpacked:
        """Unpack one member into `out`, bringing the raw bytes first if need be."""
        member = self.members[local]
        whole = self.cache.archive(self.files.record, self.located.archive.key)
        if not whole.exists() and not self.located.needs_whole_archive:
            transfer = self.transfer()
            try:
                with self.cache.transfer_slot():
                    transfer.run()
                with open_old(transfer.part) as raw, open_new(out) as file:
                    raw.seek(member.start - self.span[0])
                    return unpack(raw, member, file)
            except RangesIgnoredError:
                self.say("The server has stopped sending parts: the whole archive is needed.")
                transfer.discard()
                self.files.mark_rangeless(self.located.archive)
        whole = self._bring_whole()
        try:
            with open_new(out) as file:
                return unpack_from_whole(whole, member, file)
        except IntegrityError:
            self.files.set_aside_if_damaged(self.located.archive)
            raise

    def _bring_whole(self) -> Path:
        archive = self.located.archive
        if self.whole is None:
            self.whole = WholeArchives(self.files, self.cache, self.progress, self.say)
        return self.whole.bring(archive)

    def start_anew(self) -> None:
        """Forget the raw bytes, and the index too where the service can tell it again."""
        self.transfer().discard()
        if not self.files.refresh():
            return
        self.located = self.files.locate(self.entry)
        fresh = self.located.members or {}
        self.members = {p: fresh.get(p, m) for p, m in self.members.items()}
        self.span = span_of(self.members.values())

    def close(self, *, complete: bool) -> None:
        """Delete the raw bytes once everything is unpacked; else keep them for the next run."""
        if complete:
            self.transfer().discard()


@dataclass(frozen=True)
class MemberDownload:
    """One member on its way: brought, unpacked and verified.

    One more try follows a file that is not what was promised; if it fails
    too, the file is set aside and nothing is put in its place.

    Parameters
    ----------
    batch
        The transfer that brings it.
    local
        Its path below the record's folder.
    expected
        Its sha256 in hex, or None if it has not been seen before.
    locked
        Whether a lock demands this checksum.
    """

    batch: Batch
    local: str
    expected: str | None
    locked: bool

    def write(self, out: Path) -> Unpacked:
        """Write the unpacked file to `out`.

        Raises
        ------
        IntegrityError
            If it is not what was promised, twice.
        """
        try:
            return self._attempt(out)
        except IntegrityError as error:
            self.batch.say(f"{' '.join(str(error).split())} Trying once more.")
            self.batch.start_anew()
            try:
                return self._attempt(out)
            except IntegrityError as second:
                raise self._rejected(second, out) from None

    def _attempt(self, out: Path) -> Unpacked:
        unpacked = self.batch.write(self.local, out)
        check_magic(out, self.local)
        if self.expected is not None and unpacked.sha256 != self.expected:
            raise NotSeenBeforeError(
                f"{self.local} is not the file that was seen before.",
                expected=f"sha256 {self.expected}",
                got=f"sha256 {unpacked.sha256}",
            )
        settle(out, self.batch.cache.group_bits)
        return unpacked

    def _rejected(self, error: IntegrityError, out: Path) -> IntegrityError:
        if not out.exists():  # refused before a byte was unpacked: there is nothing to keep
            self.batch.transfer().discard()
            return error
        folder = self.batch.cache.folder(self.batch.files.record) / SET_ASIDE
        named = out.with_name(Path(self.local).name + ".rejected")
        out.replace(named)
        aside = set_aside(named, folder)
        self.batch.transfer().discard()
        error.fix = f"what arrived is kept as {aside}."
        if not isinstance(error, NotSeenBeforeError):
            return error
        if self.locked:
            error.fix += " The lock names another version: use a lock made for this release."
        else:
            error.fix += (
                " If the release has really changed, `pereggrn-data cache clean "
                f"{shlex.quote(self.batch.entry.name)} --forget` accepts its new version."
            )
        return error
