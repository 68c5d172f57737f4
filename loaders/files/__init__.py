"""Files on disk, by what they hold: predictions, splits, counts, models, experiments.

The only place where users' files are opened and results are written; everything
read is checked, and everything is written in one step. For all packages above, and
for the other loaders. What is true of any file, of tables, and of datasets has packages
of its own: :mod:`~pereggrn_data.loaders.files.any_file`,
:mod:`~pereggrn_data.loaders.files.tables`, :mod:`~pereggrn_data.loaders.files.datasets`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
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
    from pereggrn_data.loaders.files.model_files import JOBLIB as JOBLIB
    from pereggrn_data.loaders.files.model_files import check_model_path as check_model_path
    from pereggrn_data.loaders.files.model_files import read_model_file as read_model_file
    from pereggrn_data.loaders.files.model_files import write_arrays as write_arrays
    from pereggrn_data.loaders.files.model_files import write_joblib as write_joblib
    from pereggrn_data.loaders.files.prediction_files import ROW_NAME as ROW_NAME
    from pereggrn_data.loaders.files.prediction_files import heading_of_many as heading_of_many
    from pereggrn_data.loaders.files.prediction_files import predictions_of as predictions_of
    from pereggrn_data.loaders.files.prediction_files import read_predictions as read_predictions
    from pereggrn_data.loaders.files.split_files import SPLIT_FILE as SPLIT_FILE
    from pereggrn_data.loaders.files.split_files import read_split as read_split
    from pereggrn_data.loaders.files.split_files import read_test_set as read_test_set
    from pereggrn_data.loaders.files.split_files import split_of_training as split_of_training
    from pereggrn_data.loaders.files.split_files import write_split as write_split
    from pereggrn_data.loaders.files.stored_text import read_json as read_json
    from pereggrn_data.loaders.files.stored_text import read_tf_list as read_tf_list
    from pereggrn_data.loaders.files.stored_text import read_toml as read_toml
    from pereggrn_data.loaders.files.stored_text import tf_list_of as tf_list_of

__getattr__, __dir__ = lazy_names(
    __name__,
    {
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
        "model_files": (
            "JOBLIB",
            "check_model_path",
            "read_model_file",
            "write_arrays",
            "write_joblib",
        ),
        "prediction_files": (
            "ROW_NAME",
            "heading_of_many",
            "predictions_of",
            "read_predictions",
        ),
        "split_files": (
            "SPLIT_FILE",
            "read_split",
            "read_test_set",
            "split_of_training",
            "write_split",
        ),
        "stored_text": (
            "read_json",
            "read_tf_list",
            "read_toml",
            "tf_list_of",
        ),
    },
)
