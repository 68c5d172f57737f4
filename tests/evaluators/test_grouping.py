"""Keys of observations are numbered as their texts are told apart, by first appearance."""

from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from pereggrn_data.evaluators.grouping import group_keys, numbered

VALUES = st.sampled_from(["a", "b", "1", "1.0", "01", "", "NA"])


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=30), st.integers(1, 3), st.booleans())
def test_numbers_are_those_of_distinct_keys(
    rows: list[tuple[str, str, str]], n: int, as_categories: bool
) -> None:
    columns = ["perturbation", "cell_type", "timepoint"][:n]
    obs = pd.DataFrame([row[:n] for row in rows], columns=columns, dtype=object)
    keys = group_keys(obs.astype("category") if as_categories else obs, columns)
    of_row, known = numbered(keys)
    assert list(known) == list(dict.fromkeys(keys))
    assert [known[i] for i in of_row] == list(keys)
