"""Checks of datasets, networks and predictions: facts in, a report out.

They open no files: the loaders hand them what a file holds, block by block
where it is large. For the loaders, which read with these rules in mind, and for
the pipelines. All rules are in one registry, :data:`RULES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.validators.dataset import check_dataset as check_dataset
    from pereggrn_data.validators.dataset import check_usable as check_usable
    from pereggrn_data.validators.dataset import naming_findings as naming_findings
    from pereggrn_data.validators.format_columns import FORMAT_COLUMNS as FORMAT_COLUMNS
    from pereggrn_data.validators.format_columns import format_tables as format_tables
    from pereggrn_data.validators.network import CHECKED_COLUMNS as CHECKED_COLUMNS
    from pereggrn_data.validators.network import NAME_COLUMNS as NAME_COLUMNS
    from pereggrn_data.validators.network import WEIGHT as WEIGHT
    from pereggrn_data.validators.network import ColumnFacts as ColumnFacts
    from pereggrn_data.validators.network import EdgeFacts as EdgeFacts
    from pereggrn_data.validators.network import check_network as check_network
    from pereggrn_data.validators.parts import READ_FAILURES as READ_FAILURES
    from pereggrn_data.validators.parts import Block as Block
    from pereggrn_data.validators.parts import ExpressionParts as ExpressionParts
    from pereggrn_data.validators.parts import Matrix as Matrix
    from pereggrn_data.validators.prediction_rows import check_flags as check_flags
    from pereggrn_data.validators.prediction_rows import check_genes as check_genes
    from pereggrn_data.validators.prediction_rows import check_repeated as check_repeated
    from pereggrn_data.validators.prediction_rows import check_row_names as check_row_names
    from pereggrn_data.validators.prediction_rows import check_rows as check_rows
    from pereggrn_data.validators.prediction_rows import gaps_in as gaps_in
    from pereggrn_data.validators.prediction_rows import rows_without_group as rows_without_group
    from pereggrn_data.validators.prediction_scan import LookedAt as LookedAt
    from pereggrn_data.validators.prediction_scan import PredictionScan as PredictionScan
    from pereggrn_data.validators.prediction_shortcuts import check_alike as check_alike
    from pereggrn_data.validators.prediction_shortcuts import check_clipped as check_clipped
    from pereggrn_data.validators.prediction_shortcuts import check_copies as check_copies
    from pereggrn_data.validators.prediction_shortcuts import (
        check_mixed_scales as check_mixed_scales,
    )
    from pereggrn_data.validators.prediction_values import Scale as Scale
    from pereggrn_data.validators.prediction_values import Untouched as Untouched
    from pereggrn_data.validators.prediction_values import check_controls as check_controls
    from pereggrn_data.validators.prediction_values import check_fold_changes as check_fold_changes
    from pereggrn_data.validators.prediction_values import check_numbers as check_numbers
    from pereggrn_data.validators.prediction_values import check_scale as check_scale
    from pereggrn_data.validators.prediction_values import outlier_limit as outlier_limit
    from pereggrn_data.validators.predictions import check_predictions as check_predictions
    from pereggrn_data.validators.predictions import parse_header as parse_header
    from pereggrn_data.validators.rules import CAN_INSIST as CAN_INSIST
    from pereggrn_data.validators.rules import RULES as RULES
    from pereggrn_data.validators.rules import rules_table as rules_table

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "dataset": (
            "check_dataset",
            "check_usable",
            "naming_findings",
        ),
        "format_columns": ("FORMAT_COLUMNS", "format_tables"),
        "network": (
            "CHECKED_COLUMNS",
            "ColumnFacts",
            "EdgeFacts",
            "NAME_COLUMNS",
            "WEIGHT",
            "check_network",
        ),
        "parts": (
            "Block",
            "ExpressionParts",
            "Matrix",
            "READ_FAILURES",
        ),
        "prediction_rows": (
            "check_flags",
            "check_genes",
            "check_repeated",
            "check_row_names",
            "check_rows",
            "gaps_in",
            "rows_without_group",
        ),
        "prediction_shortcuts": (
            "check_alike",
            "check_clipped",
            "check_copies",
            "check_mixed_scales",
        ),
        "prediction_scan": ("LookedAt", "PredictionScan"),
        "prediction_values": (
            "Scale",
            "Untouched",
            "check_controls",
            "check_fold_changes",
            "check_numbers",
            "check_scale",
            "outlier_limit",
        ),
        "predictions": (
            "check_predictions",
            "parse_header",
        ),
        "rules": (
            "CAN_INSIST",
            "RULES",
            "rules_table",
        ),
    },
)
