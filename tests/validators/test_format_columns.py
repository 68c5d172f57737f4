"""The registry of columns says what the rules ask for."""

from __future__ import annotations

import pytest

from pereggrn_data.core.format import NETWORK_COLUMNS, REQUIRED_OBS, Kind
from pereggrn_data.validators import schemas
from pereggrn_data.validators.format_columns import FORMAT_COLUMNS, format_tables

NAMED = {(c.kind, c.slot, c.name): c for c in FORMAT_COLUMNS}


def test_every_column_stands_once_and_in_full() -> None:
    assert len(NAMED) == len(FORMAT_COLUMNS)
    for column in FORMAT_COLUMNS:
        texts = (column.type, column.meaning, column.example, column.unknown)
        assert all(texts)
        assert not any("|" in text for text in texts)


@pytest.mark.parametrize(
    ("kind", "slot", "schema"),
    [
        (Kind.DATASET, "obs", schemas.OBS),
        (Kind.DATASET, "var", schemas.VAR),
        (Kind.PREDICTIONS, "obs", schemas.PREDICTED_OBS),
    ],
)
def test_what_is_required_is_what_the_schemas_require(kind, slot, schema) -> None:
    for name, column in schema.columns.items():
        assert NAMED[kind, slot, name].required == column.required


def test_required_columns_are_those_of_the_format() -> None:
    of_obs = {c.name for c in FORMAT_COLUMNS if c.kind is Kind.DATASET and c.slot == "obs"
              and c.name and c.required}  # fmt: skip
    assert of_obs == set(REQUIRED_OBS)
    edges = {c.name for c in FORMAT_COLUMNS if c.slot == "edges"}
    assert set(NETWORK_COLUMNS) <= edges


def test_there_is_a_table_per_slot() -> None:
    assert {f"format: {c.kind}, {c.slot}" for c in FORMAT_COLUMNS} == set(format_tables())
