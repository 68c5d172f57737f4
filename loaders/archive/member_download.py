"""The downloader that plugs into pooch: one member of a remote archive."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pereggrn_data.catalog.entries import AnyEntry
from pereggrn_data.catalog.locks import LockedMember
from pereggrn_data.core.errors import IntegrityError
from pereggrn_data.loaders.archive.release_files import Located, ReleaseFiles
from pereggrn_data.loaders.archive.transfer import NoProgress, Progress, Span, Transfer
from pereggrn_data.loaders.archive.transfer_groups import span_of
from pereggrn_data.loaders.archive.whole_archives import WholeArchives, unpack_from_whole
from pereggrn_data.loaders.archive.zip_member import Unpacked, unpack
from pereggrn_data.loaders.cache.folders import GROUP_FILE, SET_ASIDE, Cache, set_aside
from pereggrn_data.loaders.files.integrity import check_magic, settle
from pereggrn_data.loaders.remote.http_failures import RangesIgnoredError


class NotSeenBeforeError(IntegrityError):
    """A file arrived as the archive has it, but it is not the one that is known."""


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
    located: Located
    members: dict[str, LockedMember]
    span: tuple[int, int]
    progress: Progress = field(default_factory=NoProgress)
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
        span = Span(self.link, *self.span)
        part = self.cache.part(self.files.record, self.entry.name, *self.span)
        label = f"{self.entry.name} from {archive.key}"
        return Transfer(file, archive, span, part, self.say, self.progress, label)

    def write(self, local: str, out: Path) -> Unpacked:
        """Unpack one member into `out`, bringing the raw bytes first if need be."""
        member = self.members[local]
        whole = self.cache.archive(self.files.record, self.located.archive.key)
        if not whole.exists() and not self.located.needs_whole_archive:
            transfer = self.transfer()
            try:
                with self.cache.transfer_slot():
                    transfer.run()
                with transfer.part.open("rb") as raw, out.open("wb") as file:
                    raw.seek(member.start - self.span[0])
                    return unpack(raw, member, file)
            except RangesIgnoredError:
                self.say("The server has stopped sending parts: the whole archive is needed.")
                transfer.discard()
                self.files.mark_rangeless(self.located.archive)
        whole = self._bring_whole()
        try:
            with out.open("wb") as file:
                return unpack_from_whole(whole, member, file)
        except IntegrityError:
            self.files.set_aside_if_damaged(self.located.archive)
            raise

    def _bring_whole(self) -> Path:
        archive = self.located.archive
        if self.whole is None:
            self.whole = WholeArchives(self.files, self.cache, self.progress, self.say)
        return self.whole.bring(archive)

    def locked_hash(self, local: str) -> str | None:
        """Return the checksum that a lock enforces on a member, if there is one."""
        return self.members[local].sha256 if self.files.given is not None else None

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


@dataclass
class MemberDownloader:
    """What pooch calls to download: brings one member, unpacks and verifies it.

    One more try follows a file that is not what was promised; if it fails
    too, the file is set aside and nothing is put in its place.
    """

    batch: Batch
    local: str
    sha256: str = ""

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Bring the file to `output_file`, which pooch then moves to its place."""
        del url  # the batch knows all links, this is the first of them
        known = pooch.registry[self.local]
        expected = known.removeprefix("sha256:") if known else None
        out = Path(output_file)
        try:
            self._attempt(out, expected)
        except IntegrityError as error:
            self.batch.say(f"{' '.join(str(error).split())} Trying once more.")
            self.batch.start_anew()
            try:
                self._attempt(out, expected)
            except IntegrityError as second:
                raise self._rejected(second, out) from None

    def _attempt(self, out: Path, expected: str | None) -> None:
        unpacked = self.batch.write(self.local, out)
        check_magic(out, self.local)
        if expected is not None and unpacked.sha256 != expected:
            raise NotSeenBeforeError(
                f"{self.local} is not the file that was seen before.",
                expected=f"sha256 {expected}",
                got=f"sha256 {unpacked.sha256}",
            )
        settle(out, GROUP_FILE)
        self.sha256 = unpacked.sha256

    def _rejected(self, error: IntegrityError, out: Path) -> IntegrityError:
        folder = self.batch.cache.folder(self.batch.files.record) / SET_ASIDE
        named = out.with_name(Path(self.local).name + ".rejected")
        out.replace(named)
        aside = set_aside(named, folder)
        self.batch.transfer().discard()
        error.fix = f"what arrived is kept as {aside}."
        if not isinstance(error, NotSeenBeforeError):
            return error
        if self.batch.locked_hash(self.local):
            error.fix += " The lock names another version: use a lock made for this release."
        else:
            error.fix += (
                " If the release has really changed, `pereggrn-data cache clean "
                f"{shlex.quote(self.batch.entry.name)} --forget` accepts its new version."
            )
        return error
