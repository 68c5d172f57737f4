"""From names to files: what there is, where it lies, and how it comes here.

Every name and path from outside is resolved in one function, ``resolve.resolve``. For
the other pipelines, which open datasets and networks here, and for the command line,
each command of which calls one verb: `fetch`, `list_entries`, `info`, `entry_paths`,
`verify`, `lock`, `doctor`, `export_croissant`, `list_cache` and `clean`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.pipelines.collection.cache_care import CachedRow as CachedRow
    from pereggrn_data.pipelines.collection.cache_care import CleaningPlan as CleaningPlan
    from pereggrn_data.pipelines.collection.cache_care import clean as clean
    from pereggrn_data.pipelines.collection.cache_care import list_cache as list_cache
    from pereggrn_data.pipelines.collection.cache_care import plan_cleaning as plan_cleaning
    from pereggrn_data.pipelines.collection.catalog_tables import (
        catalog_tables_by_name as catalog_tables_by_name,
    )
    from pereggrn_data.pipelines.collection.croissant import EXPORT_FORMATS as EXPORT_FORMATS
    from pereggrn_data.pipelines.collection.croissant import export_croissant as export_croissant
    from pereggrn_data.pipelines.collection.entry_info import info as info
    from pereggrn_data.pipelines.collection.fetch_entries import FetchedEntry as FetchedEntry
    from pereggrn_data.pipelines.collection.fetch_entries import FetchPlan as FetchPlan
    from pereggrn_data.pipelines.collection.fetch_entries import fetch as fetch
    from pereggrn_data.pipelines.collection.health_checks import Check as Check
    from pereggrn_data.pipelines.collection.health_checks import Verdict as Verdict
    from pereggrn_data.pipelines.collection.health_checks import doctor as doctor
    from pereggrn_data.pipelines.collection.intake_catalog import catalog_path as catalog_path
    from pereggrn_data.pipelines.collection.intake_catalog import intake_yaml as intake_yaml
    from pereggrn_data.pipelines.collection.intake_readers import catalog as catalog
    from pereggrn_data.pipelines.collection.known_names import dataset_files as dataset_files
    from pereggrn_data.pipelines.collection.known_names import network_files as network_files
    from pereggrn_data.pipelines.collection.known_names import require_known as require_known
    from pereggrn_data.pipelines.collection.known_names import (
        subnetwork_files as subnetwork_files,
    )
    from pereggrn_data.pipelines.collection.listing import Listed as Listed
    from pereggrn_data.pipelines.collection.listing import State as State
    from pereggrn_data.pipelines.collection.listing import list_entries as list_entries
    from pereggrn_data.pipelines.collection.lock_release import lock as lock
    from pereggrn_data.pipelines.collection.open_datasets import dataset_path as dataset_path
    from pereggrn_data.pipelines.collection.open_datasets import find_dataset as find_dataset
    from pereggrn_data.pipelines.collection.open_datasets import load as load
    from pereggrn_data.pipelines.collection.open_datasets import open_dataset as open_dataset
    from pereggrn_data.pipelines.collection.open_datasets import require_usable as require_usable
    from pereggrn_data.pipelines.collection.open_networks import (
        available_networks as available_networks,
    )
    from pereggrn_data.pipelines.collection.open_networks import open_network as open_network
    from pereggrn_data.pipelines.collection.open_networks import query_networks as query_networks
    from pereggrn_data.pipelines.collection.record_files_here import (
        path_of_record_file as path_of_record_file,
    )
    from pereggrn_data.pipelines.collection.resolve import FoundIn as FoundIn
    from pereggrn_data.pipelines.collection.resolve import Resolved as Resolved
    from pereggrn_data.pipelines.collection.resolve import entry_paths as entry_paths
    from pereggrn_data.pipelines.collection.species import species_of as species_of
    from pereggrn_data.pipelines.collection.species import tf_list_files as tf_list_files
    from pereggrn_data.pipelines.collection.verify_files import FileState as FileState
    from pereggrn_data.pipelines.collection.verify_files import VerifiedFile as VerifiedFile
    from pereggrn_data.pipelines.collection.verify_files import verify as verify

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "cache_care": (
            "CachedRow",
            "CleaningPlan",
            "clean",
            "list_cache",
            "plan_cleaning",
        ),
        "catalog_tables": ("catalog_tables_by_name",),
        "croissant": (
            "EXPORT_FORMATS",
            "export_croissant",
        ),
        "entry_info": ("info",),
        "fetch_entries": (
            "FetchPlan",
            "FetchedEntry",
            "fetch",
        ),
        "health_checks": (
            "Check",
            "Verdict",
            "doctor",
        ),
        "intake_catalog": (
            "catalog_path",
            "intake_yaml",
        ),
        "intake_readers": ("catalog",),
        "known_names": (
            "dataset_files",
            "network_files",
            "require_known",
            "subnetwork_files",
        ),
        "listing": (
            "Listed",
            "State",
            "list_entries",
        ),
        "lock_release": ("lock",),
        "open_datasets": (
            "dataset_path",
            "find_dataset",
            "load",
            "open_dataset",
            "require_usable",
        ),
        "open_networks": (
            "available_networks",
            "open_network",
            "query_networks",
        ),
        "record_files_here": ("path_of_record_file",),
        "resolve": (
            "FoundIn",
            "Resolved",
            "entry_paths",
        ),
        "species": (
            "species_of",
            "tf_list_files",
        ),
        "verify_files": (
            "FileState",
            "VerifiedFile",
            "verify",
        ),
    },
)
