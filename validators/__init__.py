"""Checks of datasets, networks and predictions: facts in, a report out.

They open no files: the loaders hand them what a file holds, block by block
where it is large. For the loaders, which read with these rules in mind, and for
the pipelines. All rules are in one registry, :data:`RULES`. Here is what every kind
of file needs, and the rules of networks; :mod:`~pereggrn_data.validators.datasets` and
:mod:`~pereggrn_data.validators.predictions` have packages of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
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
    from pereggrn_data.validators.rules import CAN_INSIST as CAN_INSIST
    from pereggrn_data.validators.rules import RULES as RULES
    from pereggrn_data.validators.rules import rules_table as rules_table

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "format_columns": (
            "FORMAT_COLUMNS",
            "format_tables",
        ),
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
        "rules": (
            "CAN_INSIST",
            "RULES",
            "rules_table",
        ),
    },
)
