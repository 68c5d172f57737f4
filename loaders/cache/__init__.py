"""Where fetched things lie, and collections of one's own. The network is never used here.

The cache has one folder per release, in the layout of the original data archives;
a local collection is a folder of the user's in the same layout. For `loaders.archive`,
which fills the cache, and `pipelines.collection`, which resolves names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.loaders.cache.cached import CachedEntry as CachedEntry
    from pereggrn_data.loaders.cache.cached import NotFetchedError as NotFetchedError
    from pereggrn_data.loaders.cache.cached import find_cached as find_cached
    from pereggrn_data.loaders.cache.cached import not_fetched as not_fetched
    from pereggrn_data.loaders.cache.cached import recorded_sha256 as recorded_sha256
    from pereggrn_data.loaders.cache.cached import release_at_hand as release_at_hand
    from pereggrn_data.loaders.cache.cached import require_content as require_content
    from pereggrn_data.loaders.cache.cached import require_recorded as require_recorded
    from pereggrn_data.loaders.cache.cached import unchanged as unchanged
    from pereggrn_data.loaders.cache.entry_layout import Holding as Holding
    from pereggrn_data.loaders.cache.entry_layout import cached_files as cached_files
    from pereggrn_data.loaders.cache.entry_layout import is_complete as is_complete
    from pereggrn_data.loaders.cache.entry_layout import match_members as match_members
    from pereggrn_data.loaders.cache.entry_layout import wanted_files as wanted_files
    from pereggrn_data.loaders.cache.entry_layout import which_archive_holds as which_archive_holds
    from pereggrn_data.loaders.cache.folders import ARCHIVES as ARCHIVES
    from pereggrn_data.loaders.cache.folders import HASHES_FILE as HASHES_FILE
    from pereggrn_data.loaders.cache.folders import INDEX_FILE as INDEX_FILE
    from pereggrn_data.loaders.cache.folders import LOCKS as LOCKS
    from pereggrn_data.loaders.cache.folders import MEMBERS as MEMBERS
    from pereggrn_data.loaders.cache.folders import PARTS as PARTS
    from pereggrn_data.loaders.cache.folders import SET_ASIDE as SET_ASIDE
    from pereggrn_data.loaders.cache.folders import Cache as Cache
    from pereggrn_data.loaders.cache.folders import free_bytes as free_bytes
    from pereggrn_data.loaders.cache.folders import open_cache as open_cache
    from pereggrn_data.loaders.cache.folders import set_aside as set_aside
    from pereggrn_data.loaders.cache.hash_store import ChangedFileError as ChangedFileError
    from pereggrn_data.loaders.cache.hash_store import HashStore as HashStore
    from pereggrn_data.loaders.cache.hash_store import KnownHash as KnownHash
    from pereggrn_data.loaders.cache.hash_store import changed_file as changed_file
    from pereggrn_data.loaders.cache.local_collections import (
        COLLECTION_VARIABLE as COLLECTION_VARIABLE,
    )
    from pereggrn_data.loaders.cache.local_collections import NO_FILES as NO_FILES
    from pereggrn_data.loaders.cache.local_collections import AbsentError as AbsentError
    from pereggrn_data.loaders.cache.local_collections import LocalEntry as LocalEntry
    from pereggrn_data.loaders.cache.local_collections import (
        collection_folder as collection_folder,
    )
    from pereggrn_data.loaders.cache.local_collections import local_entry as local_entry
    from pereggrn_data.loaders.cache.local_collections import read_collection as read_collection
    from pereggrn_data.loaders.cache.process_locks import has_flock as has_flock
    from pereggrn_data.loaders.cache.process_locks import one_of_locks as one_of_locks
    from pereggrn_data.loaders.cache.unlinked import open_new as open_new
    from pereggrn_data.loaders.cache.unlinked import open_old as open_old
    from pereggrn_data.loaders.cache.unlinked import open_without_links as open_without_links
    from pereggrn_data.loaders.cache.unlinked import read_small as read_small
    from pereggrn_data.loaders.cache.unlinked import refuse_link as refuse_link

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "cached": (
            "CachedEntry",
            "NotFetchedError",
            "release_at_hand",
            "recorded_sha256",
            "require_content",
            "require_recorded",
            "find_cached",
            "not_fetched",
            "unchanged",
        ),
        "entry_layout": (
            "Holding",
            "cached_files",
            "is_complete",
            "match_members",
            "wanted_files",
            "which_archive_holds",
        ),
        "folders": (
            "ARCHIVES",
            "Cache",
            "MEMBERS",
            "HASHES_FILE",
            "INDEX_FILE",
            "LOCKS",
            "PARTS",
            "SET_ASIDE",
            "free_bytes",
            "open_cache",
            "set_aside",
        ),
        "hash_store": (
            "ChangedFileError",
            "HashStore",
            "KnownHash",
            "changed_file",
        ),
        "local_collections": (
            "AbsentError",
            "COLLECTION_VARIABLE",
            "LocalEntry",
            "NO_FILES",
            "collection_folder",
            "local_entry",
            "read_collection",
        ),
        "process_locks": ("has_flock", "one_of_locks"),
        "unlinked": ("open_new", "open_old", "open_without_links", "read_small", "refuse_link"),
    },
)
