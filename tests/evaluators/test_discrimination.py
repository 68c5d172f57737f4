"""Discrimination by hand, by brute force under every convention, and what must not pay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pereggrn_data.evaluators.metrics.discrimination import (
    DISCRIMINATION_METRICS,
    DISTANCES,
    Among,
    Conventions,
    Ties,
    discrimination,
)
from pereggrn_data.evaluators.metrics.profile_metrics import Candidates, Profiles, Training

OURS = {name: Conventions(distance=name) for name in DISTANCES}


def distance(x: Any, y: Any, name: str) -> float:
    """One distance at a time, as a reader would write it down."""
    if name == "l1":
        return float(np.abs(x - y).sum())
    if name == "l2":
        return float(np.sqrt(((x - y) ** 2).sum()))
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    return 1.0 if norms == 0 else float(1 - x @ y / norms)


def by_hand(predicted: Any, observed: Any, c: Conventions, left_out: Any = None) -> list[float]:
    """Row i predicts candidate i; loops over all pairs."""
    values = []
    n = len(observed)
    for p in range(n):
        kept = slice(None) if left_out is None else ~np.atleast_2d(left_out)[p % len(left_out)]
        if c.among is Among.OBSERVED:
            d = [distance(predicted[p][kept], o[kept], c.distance) for o in observed]
        else:
            d = [distance(observed[p][kept], e[kept], c.distance) for e in predicted]
        others = [q for q in range(n) if q != p]
        equal = [q for q in others if np.isclose(d[q], d[p], rtol=1e-9, atol=1e-9)]
        nearer = sum(d[q] < d[p] for q in others if q not in equal)
        tied = {
            Ties.HALF: len(equal) / 2,
            Ties.LOST: len(equal),
            Ties.WON: 0,
            Ties.ORDER: sum(q < p for q in equal),
        }[c.ties]
        values.append(1 - (nearer + tied) / (n - 1 if c.of_others else n))
    return values


def test_values_by_hand() -> None:
    """Distances from 0, 4, 9 to 0, 5, 6: the third prediction is nearest to its own."""
    observed = np.array([[0.0, 0.0], [5.0, 0.0], [6.0, 0.0]])
    predicted = np.array([[0.0, 0.0], [0.0, 0.0], [9.0, 0.0]])
    own = np.arange(3)
    for name in ("l1", "l2"):
        got = discrimination(predicted, observed, own, conventions=OURS[name])
        assert got.tolist() == [1, 0.5, 1]
    # Without any effect every cosine is 1 away: two ties of two others, half each.
    nothing = discrimination(np.zeros((3, 2)), observed, own, conventions=OURS["cosine"])
    assert nothing.tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("among", Among)
@pytest.mark.parametrize("of_others", [True, False])
@pytest.mark.parametrize("ties", Ties)
@pytest.mark.parametrize("name", DISTANCES)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=6, deadline=None)
def test_every_convention_equals_a_loop_over_pairs(
    name: str, ties: Ties, of_others: bool, among: Among, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    # Small whole numbers tie often, and some rows are zero.
    observed = rng.integers(-1, 2, size=(n, 4)).astype(float)
    predicted = rng.integers(-1, 2, size=(n, 4)).astype(float)
    if seed % 3 == 0:
        predicted[:] = predicted[0]
    c = Conventions(name, ties, of_others, among)
    got = discrimination(predicted, observed, np.arange(n), conventions=c)
    np.testing.assert_allclose(got, by_hand(predicted, observed, c), atol=1e-12)


def test_genes_can_be_left_out_for_all_or_row_by_row() -> None:
    rng = np.random.default_rng(0)
    o, e = rng.normal(size=(5, 8)), rng.normal(size=(5, 8))
    for left_out in (rng.random(8) < 0.4, rng.random((5, 8)) < 0.4):
        for c in OURS.values():
            got = discrimination(e, o, np.arange(5), left_out=left_out, conventions=c)
            rows = np.atleast_2d(left_out)
            np.testing.assert_allclose(got, by_hand(e, o, c, rows), atol=1e-12)


def test_too_few_candidates_or_genes_are_missing() -> None:
    one = np.ones((1, 3))
    assert np.isnan(discrimination(one, one, np.zeros(1, int))).all()
    two = np.ones((2, 3))
    but_one = np.array([True, True, False])
    assert np.isnan(discrimination(two, two, np.arange(2), left_out=but_one)).all()


def test_candidates_that_nobody_predicts_count() -> None:
    observed = np.array([[0.0, 0.0], [2.0, 0.0], [9.0, 0.0]])
    got = discrimination(np.array([[2.0, 0.0]]), observed, np.array([0]))
    assert got.tolist() == [0.5]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_one_prediction_for_all_is_chance(seed: int) -> None:
    """Whatever it predicts, a method that ignores the perturbation scores 0.5 on average."""
    rng = np.random.default_rng(seed)
    observed = rng.normal(size=(9, 6))
    alike = np.repeat(rng.normal(size=(1, 6)), 9, axis=0)
    for c in OURS.values():
        got = discrimination(alike, observed, np.arange(9), conventions=c)
        assert got.mean() == pytest.approx(0.5)


def knock_downs(n: int = 60, genes: int = 300) -> tuple[Any, Any]:
    """Observed effects in which the own gene falls by far; and the mean, with levels revealed."""
    rng = np.random.default_rng(3)
    observed = rng.normal(0, 0.3, size=(n, genes)) + rng.normal(0, 0.3, size=genes)
    own = np.arange(n)
    observed[own, own] = -6
    revealed = np.repeat(observed.mean(axis=0, keepdims=True), n, axis=0)
    revealed[own, own] = -6
    return observed, revealed


def metric_values(observed: Any, effect: Any, panel: Any) -> dict[str, float]:
    n, genes = observed.shape
    among = Candidates(observed, np.zeros(n, int), panel, np.arange(n))
    training = Training(np.zeros((2, genes)))
    profiles = Profiles(training, np.zeros(genes), observed, {"mean": effect}, None, among)
    return {
        m.name: float(np.mean(m.compute_whole(profiles)[0]["mean"]))  # type: ignore[misc]
        for m in DISCRIMINATION_METRICS
    }


def test_revealed_levels_do_not_tell_perturbations_apart() -> None:
    """The mean with revealed targets wins unless all targets are left out for all."""
    observed, revealed = knock_downs()
    n, genes = observed.shape
    nothing_out = metric_values(observed, revealed, np.zeros(genes, bool))
    assert min(nothing_out.values()) > 0.85
    only_own = np.eye(n, genes, dtype=bool)
    for c in OURS.values():
        got = discrimination(revealed, observed, np.arange(n), left_out=only_own, conventions=c)
        assert got.mean() > 0.6
    panel = np.arange(genes) < n
    for value in metric_values(observed, revealed, panel).values():
        assert value == pytest.approx(0.5)


def test_candidates_are_of_the_same_context() -> None:
    """Two contexts of two groups each are scored as two tasks are."""
    rng = np.random.default_rng(1)
    o, e = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    contexts = np.array([0, 1, 0, 1])
    panel = np.zeros(5, bool)
    together = Profiles(
        Training(o), np.zeros(5), o, {"p": e}, None, Candidates(o, contexts, panel, np.arange(4))
    )
    for m in DISCRIMINATION_METRICS:
        assert m.compute_whole is not None
        got = m.compute_whole(together)[0]["p"]
        for context in (0, 1):
            rows = np.flatnonzero(contexts == context)
            c = OURS[m.name.rsplit("_", 1)[1]]
            expected = discrimination(e[rows], o[rows], np.arange(2), conventions=c)
            np.testing.assert_array_equal(got[rows], expected)
