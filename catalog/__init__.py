"""What exists: datasets, networks, tables and releases, one file each in the folders beside this.

Entries and releases are frozen facts. Every package above may ask for them; nothing here
opens a connection or holds an array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.catalog.entries import GROUP_MEANINGS as GROUP_MEANINGS
    from pereggrn_data.catalog.entries import AnyEntry as AnyEntry
    from pereggrn_data.catalog.entries import Citation as Citation
    from pereggrn_data.catalog.entries import DatasetEntry as DatasetEntry
    from pereggrn_data.catalog.entries import Entry as Entry
    from pereggrn_data.catalog.entries import EntryKind as EntryKind
    from pereggrn_data.catalog.entries import Group as Group
    from pereggrn_data.catalog.entries import NetworkEntry as NetworkEntry
    from pereggrn_data.catalog.entries import TableEntry as TableEntry
    from pereggrn_data.catalog.registry import Catalog as Catalog
    from pereggrn_data.catalog.registry import CatalogError as CatalogError
    from pereggrn_data.catalog.registry import load_catalog as load_catalog
    from pereggrn_data.catalog.registry import read_catalog as read_catalog
    from pereggrn_data.catalog.releases import DEFLATED as DEFLATED
    from pereggrn_data.catalog.releases import LZMA as LZMA
    from pereggrn_data.catalog.releases import STORED as STORED
    from pereggrn_data.catalog.releases import Holds as Holds
    from pereggrn_data.catalog.releases import LockedArchive as LockedArchive
    from pereggrn_data.catalog.releases import LockedMember as LockedMember
    from pereggrn_data.catalog.releases import Release as Release
    from pereggrn_data.catalog.releases import ReleaseLock as ReleaseLock

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "entries": (
            "AnyEntry",
            "Citation",
            "DatasetEntry",
            "Entry",
            "EntryKind",
            "GROUP_MEANINGS",
            "Group",
            "NetworkEntry",
            "TableEntry",
        ),
        "registry": (
            "Catalog",
            "CatalogError",
            "load_catalog",
            "read_catalog",
        ),
        "releases": (
            "DEFLATED",
            "Holds",
            "LZMA",
            "LockedArchive",
            "LockedMember",
            "Release",
            "ReleaseLock",
            "STORED",
        ),
    },
)
