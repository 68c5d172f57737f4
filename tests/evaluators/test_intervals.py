"""Intervals of scores: what they are computed from, what they cover, and when there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pereggrn_data.evaluators.summaries.intervals import Estimate, Resampling, holm


def by_hand(sampler: Resampling, top: Any, bottom: Any) -> tuple[float, float, float]:
    """One ratio of sums over labels, draw by draw, as textbooks write it."""
    labels = len(top)
    ratio = top.sum() / bottom.sum()
    small = labels / (labels - 1)
    error = np.sqrt(small * ((top - ratio * bottom) ** 2).sum()) / bottom.sum()
    pivots = []
    for counts in np.vstack(list(sampler.counts())).astype(int):
        t, b = np.repeat(top, counts), np.repeat(bottom, counts)
        own = t.sum() / b.sum()
        own_error = np.sqrt(small * ((t - own * b) ** 2).sum()) / b.sum()
        pivots.append((own - ratio) / own_error)
    upper, lower = np.quantile(pivots, [0.975, 0.025], method="nearest")
    drawn = ratio - np.asarray(pivots) * error
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    p = min(1.0, 2 * (tail + 1) / (sampler.draws + 1))
    return ratio - upper * error, ratio - lower * error, p


class TestAgainstALoop:
    @pytest.mark.parametrize("shift", [0.0, 0.3])
    def test_mean_with_weights(self, shift: float) -> None:
        rng = np.random.default_rng(0)
        values, weights = rng.normal(shift, size=20), rng.integers(1, 9, size=20).astype(float)
        sampler = Resampling(np.arange(20), draws=500, seed=3)
        low, high, p = by_hand(sampler, values * weights, weights)
        (found,) = sampler.mean(values, weights)
        assert found.value == pytest.approx(np.average(values, weights=weights))
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
        assert found.p_value == pytest.approx(p)

    def test_groups_of_one_label_are_drawn_together(self) -> None:
        rng = np.random.default_rng(1)
        values = rng.normal(size=(40, 2))
        labels = np.repeat(np.arange(10), 4)
        sampler = Resampling(labels, draws=400)
        summed = values.reshape(10, 4, 2).sum(axis=1)
        for k, found in enumerate(sampler.mean(values, np.ones(40))):
            low, high, _ = by_hand(sampler, summed[:, k], np.full(10, 4.0))
            assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)

    def test_ratio_draws_both_sums_together(self) -> None:
        rng = np.random.default_rng(2)
        bottom = rng.uniform(1, 3, size=15)
        sampler = Resampling(range(15), draws=300)
        # What is divided is proportional to what divides: the ratio is certain.
        (certain,) = sampler.ratio(0.5 * bottom, bottom)
        assert certain.interval == pytest.approx((0.5, 0.5))
        top = rng.normal(1, size=15)
        (found,) = sampler.ratio(top, bottom)
        assert (found.low, found.high) == pytest.approx(by_hand(sampler, top, bottom)[:2])
        (negative,) = sampler.ratio(top, -bottom)
        assert negative.interval == pytest.approx((-found.high, -found.low))  # type: ignore[operator]

    def test_undefined_groups_do_not_count(self) -> None:
        values = np.array([1.0, np.nan, 2.0, 4.0, np.nan, 3.0, 2.5])
        (found,) = Resampling(range(7)).mean(values, np.ones(7))
        assert found.value == pytest.approx(2.5)
        assert found.n_labels == 5
        (nothing,) = Resampling(range(2)).mean(np.full(2, np.nan), np.ones(2))
        assert nothing == Estimate(None, None, None, None, 0, "nothing is defined")

    def test_draws_are_multinomial_and_repeat(self) -> None:
        sampler = Resampling(["a", "b", "a", "c"], draws=5000, seed=7)
        counts = np.vstack(list(sampler.counts()))
        assert counts.shape == (5000, 3)
        assert (counts.sum(axis=1) == 3).all()
        np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.05)
        np.testing.assert_allclose(counts.var(axis=0), 3 * (1 / 3) * (2 / 3), atol=0.06)
        np.testing.assert_array_equal(counts, np.vstack(list(sampler.counts())))
        other = np.vstack(list(Resampling(["a", "b", "c"], draws=5000, seed=8).counts()))
        assert (other != counts).any()

    def test_the_order_of_groups_does_not_matter(self) -> None:
        rng = np.random.default_rng(5)
        values, weights = rng.exponential(size=24), rng.integers(1, 5, size=24).astype(float)
        labels = np.array([f"G{i % 9}" for i in range(24)], dtype=object)
        order = rng.permutation(24)
        (one,) = Resampling(labels, draws=300).mean(values, weights)
        (two,) = Resampling(labels[order], draws=300).mean(values[order], weights[order])
        assert one.interval == pytest.approx(two.interval)

    def test_columns_do_not_depend_on_each_other(self) -> None:
        rng = np.random.default_rng(4)
        values = rng.exponential(size=(30, 5))
        values[3, 2] = np.nan
        sampler = Resampling(range(30), draws=300)
        together = sampler.mean(values, np.ones(30))
        for k, found in enumerate(together):
            (alone,) = sampler.mean(values[:, k], np.ones(30))
            assert (found.low, found.high) == pytest.approx((alone.low, alone.high))


class TestLittleData:
    def test_no_variation(self) -> None:
        (found,) = Resampling(range(9)).mean(np.full(9, 2.0), np.arange(1.0, 10))
        assert found.interval == (2.0, 2.0)
        assert (found.p_value or 1) < 0.01
        (zero,) = Resampling(range(9)).mean(np.zeros(9), np.ones(9))
        assert (zero.interval, zero.p_value) == ((0.0, 0.0), 1.0)

    def test_one_label_says_nothing(self) -> None:
        (found,) = Resampling(["a", "a"]).mean(np.array([1.0, 3.0]), np.ones(2))
        assert (found.value, found.interval, found.p_value) == (2.0, None, None)
        assert found.reason

    @pytest.mark.parametrize("values", [[1.0, 3.0], [1.0, 2.0, 6.0], [1.0, *[0.0] * 12]])
    def test_draws_without_variation_are_common(self, values: list[float]) -> None:
        """There Student's t takes over; its ends are finite and known."""
        data = np.asarray(values)
        (found,) = Resampling(range(len(data)), draws=20_000).mean(data, np.ones(len(data)))
        expected = stats.t.interval(0.95, len(data) - 1, loc=data.mean(), scale=stats.sem(data))
        assert found.interval == pytest.approx(expected, rel=0.01)
        test = stats.ttest_1samp(data, 0).pvalue
        assert found.p_value == pytest.approx(test, rel=0.02)

    def test_no_ratio_to_what_may_be_zero(self) -> None:
        rng = np.random.default_rng(0)
        (found,) = Resampling(range(30)).ratio(rng.normal(size=30), rng.normal(0.1, size=30))
        assert found.value is not None
        assert found.interval is None
        assert "not told from 0" in (found.reason or "")

    def test_ends_are_cut_at_what_is_possible(self) -> None:
        assert Estimate(0.9, 0.7, 1.2, 0.1, 9).within(0, 1).interval == (0.7, 1.0)
        assert Estimate(0.9, 0.7, 1.2, 0.1, 9).within(None, None).interval == (0.7, 1.2)
        assert Estimate(0.9, None, None, None, 1, "x").within(0, 1).interval is None


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=4, max_size=25),
    scale=st.floats(0.1, 50),
    shift=st.floats(-20, 20),
)
def test_units_do_not_matter(values: list[float], scale: float, shift: float) -> None:
    data = np.asarray(values)
    if np.ptp(data) < 0.01:
        return
    sampler = Resampling(range(len(data)), draws=200)
    found, moved = sampler.mean(np.column_stack([data, scale * data + shift]), np.ones(len(data)))
    assert found.low is not None
    assert found.high is not None
    size = scale * np.ptp(data)
    assert moved.low == pytest.approx(scale * found.low + shift, rel=1e-6, abs=1e-6 * size)
    assert moved.high == pytest.approx(scale * found.high + shift, rel=1e-6, abs=1e-6 * size)
    (negative,) = sampler.mean(-data, np.ones(len(data)))
    assert negative.interval == pytest.approx((-found.high, -found.low), rel=1e-6, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    labels=st.integers(2, 25),
    shift=st.floats(-2, 2),
    spread=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_a_ratio_is_on_the_side_of_its_numerator(
    seed: int, labels: int, shift: float, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    baseline = 0.1 + spread * rng.exponential(size=(labels, 40))
    better = rng.normal(size=(labels, 40)) + shift * baseline
    weights = rng.integers(1, 9, size=labels).astype(float)
    sampler = Resampling(range(labels), draws=200, seed=seed % 99)
    tops, bottoms = better * weights[:, None], baseline * weights[:, None]
    differences = sampler.mean(better, weights)
    for k, (ratio, of) in enumerate(zip(sampler.ratio(tops, bottoms), differences, strict=True)):
        found = sampler.agreeing(ratio, of, tops[:, k], bottoms[:, k], weights)
        if found.low is None or found.high is None:
            assert found.reason or ratio.reason
            continue
        assert (np.sign(found.low), np.sign(found.high)) == (np.sign(of.low), np.sign(of.high))
        assert found.low <= found.high


def test_an_end_at_the_border_is_that_of_fieller() -> None:
    """A replaced end solves the equation of Fieller's interval, and such ends are found."""
    rng = np.random.default_rng(0)
    n_labels, replaced = 12, 0
    baseline = rng.exponential(size=(n_labels, 400))
    better = rng.normal(size=(n_labels, 400)) + 0.6 * baseline
    sampler = Resampling(range(n_labels), draws=400)
    ones = np.ones(n_labels)
    ratios, differences = sampler.ratio(better, baseline), sampler.mean(better, ones)
    for k, (ratio, of) in enumerate(zip(ratios, differences, strict=True)):
        found = sampler.agreeing(ratio, of, better[:, k], baseline[:, k], ones)
        if found == ratio or found.low is None or found.low == ratio.low:
            continue
        replaced += 1
        x = better[:, k] - found.low * baseline[:, k]
        limit = (better[:, k].mean() - of.low) / stats.sem(better[:, k])  # type: ignore[operator]
        assert x.mean() / stats.sem(x) == pytest.approx(limit)
    assert replaced >= 3


@given(p=st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_what_its_definition_says(p: list[float]) -> None:
    adjusted = holm(p)
    order = np.argsort(p, kind="stable")
    for rank, k in enumerate(order):
        expected = max(min(1.0, (len(p) - j) * p[order[j]]) for j in range(rank + 1))
        assert adjusted[k] == pytest.approx(expected)
    assert all(a >= raw for a, raw in zip(adjusted, p, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("labels", "least"), [(300, 0.93), (30, 0.91)])
@pytest.mark.parametrize("kind", ["mean", "weighted", "difference", "percent"])
def test_coverage(labels: int, least: float, kind: str) -> None:
    """4,000 experiments with exponential effects per label: nominal 95 %."""
    rng = np.random.default_rng(0)
    covered = []
    for batch in range(8):
        shape = (labels, 500)
        mine, baseline = rng.exponential(size=shape), 2 * rng.exponential(size=shape)
        mine += 0.5 * baseline  # the same labels are hard for both
        weights = rng.integers(1, 10, size=labels) if kind == "weighted" else np.ones(labels)
        sampler = Resampling(range(labels), seed=batch)
        if kind in ("mean", "weighted"):
            found, truth = sampler.mean(mine, weights), 2.0
        elif kind == "difference":
            found, truth = sampler.mean(mine - 1.2 * baseline, weights), -0.4
        else:
            top, bottom, truth = 100 * (mine - 1.2 * baseline), 1.2 * baseline, -100 / 6
            found = [
                sampler.agreeing(*both, top[:, k], bottom[:, k], weights)
                for k, both in enumerate(
                    zip(sampler.ratio(top, bottom), sampler.mean(top, weights), strict=True)
                )
            ]
            found = [f for f in found if f.low is not None]
        covered += [f.low <= truth <= f.high for f in found]  # type: ignore[operator]
    assert least <= np.mean(covered) <= 0.97
