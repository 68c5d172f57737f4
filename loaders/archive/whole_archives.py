"""The way around servers that send no parts: the whole archive, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pereggrn_data.catalog import LockedArchive, LockedMember
from pereggrn_data.core.errors import IntegrityError, UsageError
from pereggrn_data.loaders.archive.release_files import ReleaseFiles
from pereggrn_data.loaders.archive.transfer import SIDECAR, ByteSpan, Transfer, TransferProgress
from pereggrn_data.loaders.archive.zip_member import Unpacked, unpack
from pereggrn_data.loaders.cache import ARCHIVES, SET_ASIDE, Cache, set_aside
from pereggrn_data.loaders.files.any_file import check_magic, md5_of_file, settle


@dataclass(frozen=True)
class WholeArchives:
    """Whole archives of one release in the cache."""

    files: ReleaseFiles
    cache: Cache
    progress: TransferProgress
    say: Callable[[str], None]

    def bring(self, archive: LockedArchive) -> Path:
        """Return the archive's path in the cache, downloading it if it is not there.

        Raises
        ------
        IntegrityError
            If its md5 is wrong, twice.
        """
        record = self.files.record
        target = self.cache.archive(record, archive.key)
        with self.cache.locked(f"archive-{record}-{archive.key}"):
            if target.exists():
                return target
            file = self.files.remote_file(archive)
            part = self.cache.part(record, f"{ARCHIVES}-{archive.key}", 0, archive.size)
            span = ByteSpan(file.links[0], 0, archive.size)
            transfer = Transfer(file, archive, span, part, self.say, self.progress, self.cache)
            for attempt in (1, 2):
                with self.cache.transfer_slot():
                    transfer.run(whole=True)
                try:
                    self._check(archive, part)
                    break
                except IntegrityError as error:
                    if attempt == 2:
                        raise self._rejected(error, part, record) from None
                    self.say(f"{error.what} Trying once more.")
                    transfer.discard()
            self.cache.make_folder(target.parent)
            settle(part, self.cache.group_bits)
            part.replace(target)
            transfer.discard()
        return target

    def _check(self, archive: LockedArchive, part: Path) -> None:
        check_magic(part, archive.key)
        if archive.md5 is None:
            self.say(f"The record has no checksum for {archive.key}; its members have.")
        elif (got := md5_of_file(part)) != archive.md5:
            raise IntegrityError(
                f"{archive.key} is not the archive of the record.",
                expected=f"md5 {archive.md5}",
                got=f"md5 {got}",
            )

    def _rejected(self, error: IntegrityError, part: Path, record: str) -> IntegrityError:
        aside = set_aside(part, self.cache.folder(record) / SET_ASIDE)
        part.with_name(part.name + SIDECAR).unlink(missing_ok=True)
        error.fix = f"what arrived is kept as {aside}; try again later."
        return error


def unpack_from_whole(path: Path, member: LockedMember, out: BinaryIO) -> Unpacked:
    """Unpack a member from an archive that is here.

    Raises
    ------
    UsageError
        If it is encrypted or compressed in a way that Python cannot read.
    IntegrityError
        If it is not what the archive's index promises.
    """
    if not member.readable:
        raise UsageError(
            f"{member.path} cannot be unpacked by us.",
            got="it is encrypted" if member.encrypted else f"packed by {member.packed_by}",
            fix=f"the archive is {path}: unpack it with another tool, "
            "and name the folder by --collection.",
        )
    with path.open("rb") as raw:
        raw.seek(member.start)
        return unpack(raw, member, out)
