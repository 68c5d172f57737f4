"""The remote archive: what a release holds, and its members brought, unpacked and checked.

For `pipelines.collection`. A member of a zip archive comes on its own, by ranges of
bytes, resumed where it broke off; what a server refuses to send in parts comes whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.loaders.archive.fetching import EntryFetcher as EntryFetcher
    from pereggrn_data.loaders.archive.fetching import EntryPlan as EntryPlan
    from pereggrn_data.loaders.archive.fetching import FetchedFile as FetchedFile
    from pereggrn_data.loaders.archive.lock_files import LOCK_VARIABLE as LOCK_VARIABLE
    from pereggrn_data.loaders.archive.lock_files import lock_in_force as lock_in_force
    from pereggrn_data.loaders.archive.lock_files import read_lock as read_lock
    from pereggrn_data.loaders.archive.record_files import RecordFetcher as RecordFetcher
    from pereggrn_data.loaders.archive.record_files import RecordFile as RecordFile
    from pereggrn_data.loaders.archive.record_files import is_record_file as is_record_file
    from pereggrn_data.loaders.archive.records import download_links as download_links
    from pereggrn_data.loaders.archive.records import look_up_record as look_up_record
    from pereggrn_data.loaders.archive.records import parse_record as parse_record
    from pereggrn_data.loaders.archive.release_files import NotInReleaseError as NotInReleaseError
    from pereggrn_data.loaders.archive.release_files import ReleaseFiles as ReleaseFiles
    from pereggrn_data.loaders.archive.release_files import is_as_recorded as is_as_recorded
    from pereggrn_data.loaders.archive.transfer import NoProgress as NoProgress
    from pereggrn_data.loaders.archive.transfer import TransferProgress as TransferProgress

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "fetching": (
            "EntryFetcher",
            "EntryPlan",
            "FetchedFile",
        ),
        "lock_files": (
            "LOCK_VARIABLE",
            "lock_in_force",
            "read_lock",
        ),
        "record_files": (
            "RecordFetcher",
            "RecordFile",
            "is_record_file",
        ),
        "records": (
            "download_links",
            "look_up_record",
            "parse_record",
        ),
        "release_files": (
            "NotInReleaseError",
            "ReleaseFiles",
            "is_as_recorded",
        ),
        "transfer": (
            "NoProgress",
            "TransferProgress",
        ),
    },
)
