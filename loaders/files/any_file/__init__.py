"""Any file, whatever it holds: its path, its kind, whether it is whole, how it is written.

For whatever opens or writes a file, the other loaders, pipelines and commands included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.loaders.files.any_file.hdf5_kinds import hdf5_layout as hdf5_layout
    from pereggrn_data.loaders.files.any_file.hdf5_kinds import hdf5_problem as hdf5_problem
    from pereggrn_data.loaders.files.any_file.hdf5_kinds import not_h5ad as not_h5ad
    from pereggrn_data.loaders.files.any_file.integrity import LARGE as LARGE
    from pereggrn_data.loaders.files.any_file.integrity import Hashing as Hashing
    from pereggrn_data.loaders.files.any_file.integrity import blake3_of_file as blake3_of_file
    from pereggrn_data.loaders.files.any_file.integrity import check_magic as check_magic
    from pereggrn_data.loaders.files.any_file.integrity import crc32_of_file as crc32_of_file
    from pereggrn_data.loaders.files.any_file.integrity import md5_of_file as md5_of_file
    from pereggrn_data.loaders.files.any_file.integrity import promised_file as promised_file
    from pereggrn_data.loaders.files.any_file.integrity import settle as settle
    from pereggrn_data.loaders.files.any_file.integrity import settle_folder as settle_folder
    from pereggrn_data.loaders.files.any_file.integrity import sha256_of_file as sha256_of_file
    from pereggrn_data.loaders.files.any_file.integrity import state_of as state_of
    from pereggrn_data.loaders.files.any_file.signatures import PARQUET_MAGIC as PARQUET_MAGIC
    from pereggrn_data.loaders.files.any_file.signatures import TEXT_ENDINGS as TEXT_ENDINGS
    from pereggrn_data.loaders.files.any_file.signatures import is_zarr_folder as is_zarr_folder
    from pereggrn_data.loaders.files.any_file.signatures import other_kind as other_kind
    from pereggrn_data.loaders.files.any_file.signatures import recognise as recognise
    from pereggrn_data.loaders.files.any_file.signatures import (
        refuse_other_kind as refuse_other_kind,
    )
    from pereggrn_data.loaders.files.any_file.user_paths import AnyPath as AnyPath
    from pereggrn_data.loaders.files.any_file.user_paths import existing_data as existing_data
    from pereggrn_data.loaders.files.any_file.user_paths import existing_file as existing_file
    from pereggrn_data.loaders.files.any_file.user_paths import existing_path as existing_path
    from pereggrn_data.loaders.files.any_file.user_paths import (
        refuse_overwriting as refuse_overwriting,
    )
    from pereggrn_data.loaders.files.any_file.user_paths import required_data as required_data
    from pereggrn_data.loaders.files.any_file.user_paths import required_file as required_file
    from pereggrn_data.loaders.files.any_file.user_paths import user_path as user_path
    from pereggrn_data.loaders.files.any_file.user_paths import visible_files as visible_files
    from pereggrn_data.loaders.files.any_file.writing import check_writable as check_writable
    from pereggrn_data.loaders.files.any_file.writing import (
        check_writable_file as check_writable_file,
    )
    from pereggrn_data.loaders.files.any_file.writing import recorded_parts as recorded_parts
    from pereggrn_data.loaders.files.any_file.writing import remove_leftovers as remove_leftovers
    from pereggrn_data.loaders.files.any_file.writing import with_parts as with_parts
    from pereggrn_data.loaders.files.any_file.writing import write_table as write_table
    from pereggrn_data.loaders.files.any_file.writing import write_text as write_text
    from pereggrn_data.loaders.files.any_file.writing import (
        written_in_one_step as written_in_one_step,
    )
    from pereggrn_data.loaders.files.any_file.writing import written_together as written_together
    from pereggrn_data.loaders.files.any_file.zip_bounds import LARGEST_INDEX as LARGEST_INDEX
    from pereggrn_data.loaders.files.any_file.zip_bounds import BoundedIndex as BoundedIndex

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "hdf5_kinds": (
            "hdf5_layout",
            "hdf5_problem",
            "not_h5ad",
        ),
        "integrity": (
            "Hashing",
            "LARGE",
            "blake3_of_file",
            "check_magic",
            "crc32_of_file",
            "md5_of_file",
            "promised_file",
            "settle",
            "settle_folder",
            "sha256_of_file",
            "state_of",
        ),
        "signatures": (
            "PARQUET_MAGIC",
            "TEXT_ENDINGS",
            "is_zarr_folder",
            "other_kind",
            "recognise",
            "refuse_other_kind",
        ),
        "user_paths": (
            "AnyPath",
            "existing_data",
            "existing_file",
            "existing_path",
            "refuse_overwriting",
            "required_data",
            "required_file",
            "user_path",
            "visible_files",
        ),
        "writing": (
            "check_writable",
            "check_writable_file",
            "recorded_parts",
            "remove_leftovers",
            "with_parts",
            "write_table",
            "write_text",
            "written_in_one_step",
            "written_together",
        ),
        "zip_bounds": (
            "BoundedIndex",
            "LARGEST_INDEX",
        ),
    },
)
