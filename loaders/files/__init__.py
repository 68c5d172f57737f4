"""Files on disk: datasets, predictions, splits, tables, models, and paths to them.

The only place where users' files are opened and results are written; everything
read is checked, and everything is written in one step. For all packages above, and
for the other loaders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.loaders.files.anndata_files import Dataset as Dataset
    from pereggrn_data.loaders.files.anndata_files import content_sha256 as content_sha256
    from pereggrn_data.loaders.files.anndata_files import own_copy as own_copy
    from pereggrn_data.loaders.files.anndata_files import read_dataset as read_dataset
    from pereggrn_data.loaders.files.anndata_files import read_h5ad as read_h5ad
    from pereggrn_data.loaders.files.anndata_files import sha256_of_data as sha256_of_data
    from pereggrn_data.loaders.files.anndata_files import with_plain_strings as with_plain_strings
    from pereggrn_data.loaders.files.anndata_files import write_h5ad as write_h5ad
    from pereggrn_data.loaders.files.anndata_files import (
        write_unfilled_h5ad as write_unfilled_h5ad,
    )
    from pereggrn_data.loaders.files.count_sources import CountSource as CountSource
    from pereggrn_data.loaders.files.count_sources import open_counts as open_counts
    from pereggrn_data.loaders.files.count_sources import sample_of as sample_of
    from pereggrn_data.loaders.files.edge_facts import is_parquet as is_parquet
    from pereggrn_data.loaders.files.edge_facts import parquet_columns as parquet_columns
    from pereggrn_data.loaders.files.edge_facts import read_edge_facts as read_edge_facts
    from pereggrn_data.loaders.files.experiment_files import METADATA_FILE as METADATA_FILE
    from pereggrn_data.loaders.files.experiment_files import experiment_file as experiment_file
    from pereggrn_data.loaders.files.experiment_files import read_mapping as read_mapping
    from pereggrn_data.loaders.files.expression_parts import (
        has_predictions_header as has_predictions_header,
    )
    from pereggrn_data.loaders.files.expression_parts import (
        open_expression_parts as open_expression_parts,
    )
    from pereggrn_data.loaders.files.expression_parts import parts_in_memory as parts_in_memory
    from pereggrn_data.loaders.files.expression_parts import (
        parts_of_wide_table as parts_of_wide_table,
    )
    from pereggrn_data.loaders.files.h5ad_elements import open_h5ad as open_h5ad
    from pereggrn_data.loaders.files.integrity import CHUNK as CHUNK
    from pereggrn_data.loaders.files.integrity import check_magic as check_magic
    from pereggrn_data.loaders.files.integrity import crc32_of_file as crc32_of_file
    from pereggrn_data.loaders.files.integrity import md5_of_file as md5_of_file
    from pereggrn_data.loaders.files.integrity import promised_file as promised_file
    from pereggrn_data.loaders.files.integrity import settle as settle
    from pereggrn_data.loaders.files.integrity import settle_folder as settle_folder
    from pereggrn_data.loaders.files.integrity import sha256_of_file as sha256_of_file
    from pereggrn_data.loaders.files.matrices.blocks import matrix_in_memory as matrix_in_memory
    from pereggrn_data.loaders.files.matrices.stored_data import StoredData as StoredData
    from pereggrn_data.loaders.files.matrices.stored_data import StoredRaw as StoredRaw
    from pereggrn_data.loaders.files.matrices.stored_data import is_anndata as is_anndata
    from pereggrn_data.loaders.files.matrices.stored_data import stored_parts as stored_parts
    from pereggrn_data.loaders.files.matrices.zarr_stores import promised_store as promised_store
    from pereggrn_data.loaders.files.model_files import JOBLIB as JOBLIB
    from pereggrn_data.loaders.files.model_files import check_model_path as check_model_path
    from pereggrn_data.loaders.files.model_files import read_model_file as read_model_file
    from pereggrn_data.loaders.files.model_files import write_arrays as write_arrays
    from pereggrn_data.loaders.files.model_files import write_joblib as write_joblib
    from pereggrn_data.loaders.files.parquet_files import batches_of as batches_of
    from pereggrn_data.loaders.files.parquet_files import holds_numbers as holds_numbers
    from pereggrn_data.loaders.files.parquet_files import holds_text as holds_text
    from pereggrn_data.loaders.files.parquet_files import parquet_footer as parquet_footer
    from pereggrn_data.loaders.files.parquet_files import read_parquet as read_parquet
    from pereggrn_data.loaders.files.parquet_files import (
        read_parquet_frame as read_parquet_frame,
    )
    from pereggrn_data.loaders.files.parquet_files import reading_edges as reading_edges
    from pereggrn_data.loaders.files.prediction_files import ROW_NAME as ROW_NAME
    from pereggrn_data.loaders.files.prediction_files import predictions_of as predictions_of
    from pereggrn_data.loaders.files.prediction_files import read_predictions as read_predictions
    from pereggrn_data.loaders.files.separate_reading import take_for_fine as take_for_fine
    from pereggrn_data.loaders.files.signatures import recognise as recognise
    from pereggrn_data.loaders.files.signatures import refuse_other_kind as refuse_other_kind
    from pereggrn_data.loaders.files.split_files import SPLIT_FILE as SPLIT_FILE
    from pereggrn_data.loaders.files.split_files import read_split as read_split
    from pereggrn_data.loaders.files.split_files import read_test_set as read_test_set
    from pereggrn_data.loaders.files.split_files import split_of_training as split_of_training
    from pereggrn_data.loaders.files.split_files import write_split as write_split
    from pereggrn_data.loaders.files.stored_text import read_json as read_json
    from pereggrn_data.loaders.files.stored_text import read_text as read_text
    from pereggrn_data.loaders.files.stored_text import read_tf_list as read_tf_list
    from pereggrn_data.loaders.files.stored_text import read_toml as read_toml
    from pereggrn_data.loaders.files.stored_text import tf_list_of as tf_list_of
    from pereggrn_data.loaders.files.text_tables import TEXT_ENDINGS as TEXT_ENDINGS
    from pereggrn_data.loaders.files.text_tables import explained as explained
    from pereggrn_data.loaders.files.text_tables import first_rows as first_rows
    from pereggrn_data.loaders.files.text_tables import text_ending as text_ending
    from pereggrn_data.loaders.files.text_tables import text_lines as text_lines
    from pereggrn_data.loaders.files.text_tables import text_table as text_table
    from pereggrn_data.loaders.files.user_paths import existing_data as existing_data
    from pereggrn_data.loaders.files.user_paths import existing_file as existing_file
    from pereggrn_data.loaders.files.user_paths import existing_path as existing_path
    from pereggrn_data.loaders.files.user_paths import refuse_overwriting as refuse_overwriting
    from pereggrn_data.loaders.files.user_paths import required_data as required_data
    from pereggrn_data.loaders.files.user_paths import required_file as required_file
    from pereggrn_data.loaders.files.user_paths import user_path as user_path
    from pereggrn_data.loaders.files.user_paths import visible_files as visible_files
    from pereggrn_data.loaders.files.writing import check_writable as check_writable
    from pereggrn_data.loaders.files.writing import check_writable_file as check_writable_file
    from pereggrn_data.loaders.files.writing import remove_leftovers as remove_leftovers
    from pereggrn_data.loaders.files.writing import with_parts as with_parts
    from pereggrn_data.loaders.files.writing import write_table as write_table
    from pereggrn_data.loaders.files.writing import write_text as write_text
    from pereggrn_data.loaders.files.writing import written_in_one_step as written_in_one_step
    from pereggrn_data.loaders.files.writing import written_together as written_together
    from pereggrn_data.loaders.files.zip_bounds import LARGEST_INDEX as LARGEST_INDEX
    from pereggrn_data.loaders.files.zip_bounds import BoundedIndex as BoundedIndex

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "anndata_files": (
            "Dataset",
            "content_sha256",
            "own_copy",
            "read_dataset",
            "read_h5ad",
            "sha256_of_data",
            "with_plain_strings",
            "write_h5ad",
            "write_unfilled_h5ad",
        ),
        "matrices.blocks": ("matrix_in_memory",),
        "count_sources": (
            "CountSource",
            "open_counts",
            "sample_of",
        ),
        "edge_facts": (
            "is_parquet",
            "parquet_columns",
            "read_edge_facts",
        ),
        "experiment_files": (
            "METADATA_FILE",
            "experiment_file",
            "read_mapping",
        ),
        "expression_parts": (
            "has_predictions_header",
            "open_expression_parts",
            "parts_in_memory",
            "parts_of_wide_table",
        ),
        "h5ad_elements": ("open_h5ad",),
        "integrity": (
            "CHUNK",
            "check_magic",
            "crc32_of_file",
            "md5_of_file",
            "promised_file",
            "settle",
            "settle_folder",
            "sha256_of_file",
        ),
        "model_files": (
            "JOBLIB",
            "check_model_path",
            "read_model_file",
            "write_arrays",
            "write_joblib",
        ),
        "parquet_files": (
            "batches_of",
            "holds_numbers",
            "holds_text",
            "parquet_footer",
            "read_parquet",
            "read_parquet_frame",
            "reading_edges",
        ),
        "prediction_files": (
            "ROW_NAME",
            "predictions_of",
            "read_predictions",
        ),
        "separate_reading": ("take_for_fine",),
        "signatures": (
            "recognise",
            "refuse_other_kind",
        ),
        "split_files": (
            "SPLIT_FILE",
            "read_split",
            "split_of_training",
            "read_test_set",
            "write_split",
        ),
        "matrices.stored_data": ("StoredData", "StoredRaw", "is_anndata", "stored_parts"),
        "matrices.zarr_stores": ("promised_store",),
        "stored_text": (
            "read_json",
            "read_text",
            "read_tf_list",
            "read_toml",
            "tf_list_of",
        ),
        "text_tables": (
            "TEXT_ENDINGS",
            "explained",
            "first_rows",
            "text_ending",
            "text_lines",
            "text_table",
        ),
        "user_paths": (
            "existing_data",
            "required_data",
            "existing_file",
            "existing_path",
            "refuse_overwriting",
            "required_file",
            "user_path",
            "visible_files",
        ),
        "writing": (
            "remove_leftovers",
            "check_writable",
            "check_writable_file",
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
