"""Sums of groups do not depend on how a matrix is cut into blocks, to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from pereggrn_data.core.resources import Resources
from pereggrn_data.core.rows import group_sums as group_sums_module
from pereggrn_data.core.rows.group_sums import group_sums


def one_by_one(values: np.ndarray, group_of: np.ndarray, groups: int) -> np.ndarray:
    """Add every row to the sums of its group, as anybody would write it."""
    sums = np.zeros((groups, values.shape[1]))
    for group, row in zip(group_of, values.astype(np.float64), strict=True):
        if group >= 0:
            sums[group] += row
    return sums


@given(
    rows=st.integers(0, 60),
    genes=st.integers(1, 9),
    groups=st.integers(1, 7),
    in_a_block=st.integers(1, 70),
    in_cache=st.integers(1, 40),
    in_order=st.booleans(),
    is_sparse=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_sums(
    rows: int,
    genes: int,
    groups: int,
    in_a_block: int,
    in_cache: int,
    in_order: bool,
    is_sparse: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    # Numbers of very different size, whose sum is another one in another order.
    values = (rng.normal(size=(rows, genes)) * 10.0 ** rng.integers(-6, 7, (rows, 1))).astype("f4")
    if is_sparse:
        values[rng.random(values.shape) < 0.7] = 0
    given_values = sparse.csr_array(values) if is_sparse else values
    group_of = rng.integers(-1, groups, rows)
    if in_order:
        group_of.sort()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Resources, "values_in_a_block", in_a_block * genes)
        patch.setattr(group_sums_module, "VALUES_IN_CACHE", in_cache * genes)
        found = group_sums(given_values, group_of, groups, squares=True)
    np.testing.assert_array_equal(found.sums, one_by_one(values, group_of, groups))
    squares = np.square(values.astype(np.float64))
    assert found.squares is not None
    np.testing.assert_array_equal(found.squares, one_by_one(squares, group_of, groups))
    np.testing.assert_array_equal(found.n, [np.sum(group_of == k) for k in range(groups)])


def test_a_single_gene_is_added_up_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Python's own sum is from 3.12 on: better, but another one if a block ends in between.
    monkeypatch.setattr(group_sums_module, "sum", math.fsum, raising=False)
    values = np.array([[1e16], [1.0], [-1e16]])
    np.testing.assert_array_equal(group_sums(values, np.zeros(3, dtype=int), 1).sums, [[0.0]])
