"""Matching of observations with controls."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from pereggrn_data.core.errors import InvalidDataError, MissingExtraError
from pereggrn_data.models.grammar.choices import Matching
from pereggrn_data.models.grammar.matching import UNMATCHED, match, nearest, notes_on_matches
from pereggrn_data.models.inputs import Perturbations, TrainingData


def data_of(expression: Any, n_controls: int, matched: Any = None) -> TrainingData:
    n, n_genes = expression.shape
    return TrainingData(
        expression=expression,
        genes=tuple(f"G{j}" for j in range(n_genes)),
        perturbations=Perturbations(
            ("c",) * n, (np.nan,) * n, observations=tuple(f"o{i}" for i in range(n))
        ),
        is_control=np.arange(n) < n_controls,
        matched_controls=matched,
    )


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), offset=st.sampled_from([0.0, 10.0, 1e6]))
def test_nearest_is_the_nearest(seed: int, offset: float) -> None:
    """Also far from the origin, where the product of matrices loses the digits that count."""
    x = np.random.default_rng(seed).normal(size=(30, 4)) + offset
    found = nearest(x, np.arange(10, 30), np.arange(10))
    distances = cdist(x[10:], x[:10])
    np.testing.assert_allclose(
        distances[np.arange(20), found], distances.min(axis=1), rtol=1e-9, atol=0
    )


def test_of_equal_controls_the_first_is_taken_and_each_matches_itself() -> None:
    x = np.array([[1.0, 1], [1, 1], [5, 5], [1, 1], [4, 5]])
    assert match(data_of(x, 3), Matching.CLOSEST).tolist() == [0, 1, 2, 0, 2]
    found = match(data_of(x, 3), Matching.CLOSEST_WITH_UNMATCHED_CONTROLS)
    assert found.tolist() == [UNMATCHED] * 3 + [0, 2]
    sparse = data_of(scipy.sparse.csr_array(x), 3)
    assert match(sparse, Matching.CLOSEST).tolist() == [0, 1, 2, 0, 2]


def test_random_matching_follows_the_seed() -> None:
    data = data_of(np.random.default_rng(0).normal(size=(60, 2)), 10)
    first = match(data, Matching.RANDOM, seed=1)
    np.testing.assert_array_equal(first, match(data, Matching.RANDOM, seed=1))
    assert (first != match(data, Matching.RANDOM, seed=2)).any()
    assert first[:10].tolist() == list(range(10))
    assert set(first[10:]) <= set(range(10))
    assert len(set(first[10:])) > 5


def test_user_matching() -> None:
    x = np.zeros((3, 1))
    data = data_of(x, 1, ("o0", None, "o1"))
    assert match(data, Matching.USER).tolist() == [0, UNMATCHED, 1]
    with pytest.raises(InvalidDataError, match="2 matched controls are not training"):
        match(data_of(x, 1, ("q", None, "r")), Matching.USER)
    with pytest.raises(InvalidDataError, match="User matching"):
        match(data_of(x, 1), Matching.USER)


def test_matching_needs_controls() -> None:
    with pytest.raises(InvalidDataError, match="no control"):
        match(data_of(np.zeros((3, 1)), 0), Matching.CLOSEST)
    assert match(data_of(np.zeros((3, 1)), 0), Matching.STEADY_STATE).tolist() == [0, 1, 2]


def test_optimal_transport_uses_every_control() -> None:
    """Both are nearest to the first control, but mass must go to the second one, too."""
    pytest.importorskip("ot")
    x = np.array([[0.0], [10.0], [1.0], [4.0]])
    assert match(data_of(x, 2), Matching.CLOSEST).tolist() == [0, 1, 0, 0]
    assert match(data_of(x, 2), Matching.OPTIMAL_TRANSPORT).tolist() == [0, 1, 0, 1]


def test_optimal_transport_without_pot_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ot", None)
    with pytest.raises(MissingExtraError, match="POT"):
        match(data_of(np.zeros((3, 1)), 1), Matching.OPTIMAL_TRANSPORT)


def series_of(expression: Any, timepoints: list[float], n_controls: int = 99) -> TrainingData:
    data = data_of(expression, n_controls)
    return dataclasses.replace(data, timepoints=np.array(timepoints))


def test_a_time_series_is_matched_with_the_previous_timepoint() -> None:
    """Timepoints need not be neighbours in number, nor observations in order."""
    x = np.array([[6.0], [0.0], [10.0], [1.0], [9.0], [4.0]])
    data = series_of(x, [24, 0, 0, 2, 2, 24])
    found = match(data, Matching.CLOSEST)
    assert found.tolist() == [4, UNMATCHED, UNMATCHED, 1, 2, 3]
    assert match(data, Matching.STEADY_STATE).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(InvalidDataError, match="one timepoint"):
        match(series_of(x, [1] * 6), Matching.CLOSEST)
    some = series_of(x, [24, 0, 0, 2, 2, 24], 4)
    unmatched = match(some, Matching.CLOSEST_WITH_UNMATCHED_CONTROLS)
    assert unmatched.tolist() == [UNMATCHED] * 4 + [2, 3]
    (note,) = notes_on_matches(data, Matching.CLOSEST, found)
    assert note.startswith("2 of 6 training observations do not train: they are of the first ti")
    assert "timepoint (0), and matching closest" in note
    assert notes_on_matches(data, Matching.STEADY_STATE, np.arange(6)) == ()
    assert notes_on_matches(data_of(x, 2), Matching.CLOSEST, np.arange(6)) == ()


@pytest.mark.parametrize("method", [Matching.RANDOM, Matching.OPTIMAL_TRANSPORT])
def test_other_ways_of_matching_go_back_in_time_as_well(method: Matching) -> None:
    if method is Matching.OPTIMAL_TRANSPORT:
        pytest.importorskip("ot")
    times = np.repeat([0.0, 1.0, 3.0], 8)
    data = series_of(np.random.default_rng(0).normal(size=(24, 3)), times.tolist())
    found = match(data, method, seed=3)
    assert (found[:8] == UNMATCHED).all()
    np.testing.assert_array_equal(times[found[8:]], np.repeat([0.0, 1.0], 8))
    if method is Matching.OPTIMAL_TRANSPORT:
        assert sorted(found[8:16]) == list(range(8))  # balanced: each gets one


@pytest.mark.parametrize("method", [Matching.CLOSEST, Matching.RANDOM, Matching.OPTIMAL_TRANSPORT])
def test_controls_alone_match_themselves(method: Matching) -> None:
    if method is Matching.OPTIMAL_TRANSPORT:
        pytest.importorskip("ot")
    assert match(data_of(np.eye(3), 3), method).tolist() == [0, 1, 2]
