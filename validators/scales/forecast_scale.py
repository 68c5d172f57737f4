"""On which scale are forecasts? Judged next to the training data, without naming an extreme.

Three things tell, and are asked in this order:

* Forecasts that are one of the training profiles (its mean or median) in every gene are
  those of the baselines, and a transform of them is known to the last digit.
* Forecasts of cells have the distribution of cells: a transform moves its quantiles.
* Gene means follow those of the training data: a transform bends or stretches them.

Forecasts may shrink or stretch by themselves, as models without an intercept do. So the
scale of the training data is fitted within limits, for every transform alike, and a
transform is named only where it fits clearly better than natural logarithms, and than
natural logarithms that are biased: all too high or too low by a number, or by a factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Bools, Floats, Ints
from pereggrn_data.core.rows.row_blocks import dense_values
from pereggrn_data.validators.scales.scale import (
    NATURAL,
    TRANSFORMS,
    ScaleVerdict,
    Transform,
    of_total,
)

SHRUNK, STRETCHED = 0.7, 1.18
"""Natural-log forecasts may be this many times the training data; in ratio, less than log2 (1.44)
and log10 (0.43) differ from it."""

FACTORS = np.geomspace(SHRUNK, STRETCHED, 27)
"""Factors within these limits, 2% apart."""

_BIASED_BY = 0.4
"""Biased by a shift, natural-log forecasts are too high or too low by up to this much."""

_WITHOUT_ZEROS = 0.99
"""Share of the values above 0 from which a shift may have moved all of them."""

_UNSTRETCHED = 0.05
"""What is biased by a shift is stretched by no more than this, in natural log of the factor."""

_STRETCHED_FURTHER = 1.3
"""Biased by a factor, natural-log forecasts may be up to this many times the training data."""

_CLOSER = 0.6
"""A transform is named if what it misses is below this share of what natural logarithms miss; and
one that is known up to a factor, below this share of what every other one misses."""

_THAN_BIASED = 0.85
"""And only if what it misses is below this share of what biased natural logarithms miss, too."""

_MISSED = 0.08
"""Where natural logarithms miss less than this share of the spread, nothing else is looked for."""

_ALIKE = 0.03
"""Of transforms that miss less than this, the one that needs least shrinking is named."""

_MISSED_BY_A_KNOWN_FACTOR = 0.05
"""Where one without a free factor misses less than this, none with a free factor is looked for."""

_OTHER_TOTAL = 3
"""Totals of cells are others if they differ by this factor; by less, forecasts may be biased."""

_MISSED_BY_ALL = 0.1
"""Where another transform misses less than this, another total is not looked for: models miss the
training data by nearly as much, and where all values are high, a total only adds to them."""

_FAR_CLOSER = 0.3
"""Another total is named if it misses less than this share of what every other transform does."""

_HIGHEST = 0.1
"""Share of the values, the highest ones, from which the ratio of totals is told: far above 1,
ln(1 + k x) is ln(1 + x) + ln k."""

_ABOUT = np.geomspace(0.5, 2, 13)
"""Multiples of that ratio which are tried."""

_FARTHEST_DISTRIBUTION, _FARTHEST_MEANS = 0.15, 0.75
"""Shares of the spread. Distributions that fit no better are not those of cells; gene means that
fit no better follow nothing."""

_OTHER_ZEROS = 3
"""Forecasts whose share of values above 0 is this many times that of the training data, or less
than one part in as many of it, are no cells like those."""

_SAME, _ALMOST_ALL = 1e-4, 0.9
"""Relative difference of equal values, more than float32 or four digits need, and the share of the
values that are equal where forecasts are a profile: some may have been set to stated levels."""

_FEWEST_GENES, _MOST_GENES = 4, 2000
_MOST_ROWS, _MOST_VALUES = 500, 2_000_000
_SAMPLED_FACTORS = (0.85, 1.0, 1.18)
_FEW_ROWS = 200

_RANKS = np.linspace(0.95, 0.003, 40)
"""Quantiles that are compared, counted from the top, as shares of the values above 0."""


@dataclass(frozen=True)
class Reference:
    """What forecasts are compared with.

    Parameters
    ----------
    profiles
        By name, (genes,) natural-log expression that forecasts are likely to follow.
    sample
        (rows, genes) evenly spaced training observations.
    """

    profiles: Mapping[str, Floats]
    sample: Floats

    @classmethod
    def of(
        cls, control_mean: Floats, matrix: Any, profiles: Mapping[str, Floats] | None = None
    ) -> Reference:
        """Look at the training side.

        Parameters
        ----------
        control_mean
            (genes,) mean of the training controls.
        matrix
            (n, genes) training expression.
        profiles
            Others, by name; by default the mean of a sample of the training observations.
        """
        n, genes = matrix.shape
        kept = min(n, _MOST_ROWS, max(_MOST_VALUES // max(genes, 1), 1))
        rows = np.unique(np.linspace(0, max(n - 1, 0), kept).astype(np.intp))
        sample = np.asarray(dense_values(matrix[rows]), dtype=np.float64)
        known = {"mean of the controls": np.asarray(control_mean, dtype=np.float64)}
        if profiles:
            known |= {name: np.asarray(p, dtype=np.float64) for name, p in profiles.items()}
        elif len(sample):
            known["mean of the training data"] = sample.mean(axis=0)
        return cls(known, sample)


@dataclass(frozen=True)
class Forecasts:
    """What of forecasts is compared.

    Parameters
    ----------
    mean
        (genes,) mean of the rows; of each gene without the rows that perturb it, if that is
        known, as these are often set to a stated level. NaN where no row is left.
    above_zero
        Values above 0 of some rows.
    n_values
        How many values these rows have.
    rows
        (few, genes) some rows.
    free
        (few, genes) genes that a row does not perturb itself.
    """

    mean: Floats
    above_zero: Floats
    n_values: int
    rows: Floats
    free: Bools


def judge_forecasts(forecasts: Forecasts, reference: Reference) -> ScaleVerdict | None:
    """Say which transform of the training data forecasts follow, if it is not the natural log.

    Returns
    -------
    ScaleVerdict or None
        None where natural logarithms fit about as well, or nothing does.
    """
    for judge in (_by_equality, _by_distribution, _by_means):
        verdict = judge(forecasts, reference)
        if verdict is not None:
            return None if verdict.transform is NATURAL else verdict
    return None


def _by_equality(forecasts: Forecasts, reference: Reference) -> ScaleVerdict | None:
    """Find the transform of a training profile that forecasts are equal to."""
    best, equal, named = NATURAL, 0.0, ""
    for name, profile in reference.profiles.items():
        # Every transform leaves 0 where it is.
        counted = forecasts.free & (profile > 0)
        if not counted.any():
            continue
        for transform in TRANSFORMS:
            guess = _transformed(transform, profile)
            same = np.abs(forecasts.rows - guess) <= _SAME * np.abs(guess)
            share = float(same[counted].mean())
            if share > equal:
                best, equal, named = transform, share, name
    if equal < _ALMOST_ALL:
        return None
    return ScaleVerdict(
        best, f"{equal:.0%} of the values that are not 0 are {best.text} of the {named}"
    )


def _by_distribution(forecasts: Forecasts, reference: Reference) -> ScaleVerdict | None:
    """Find the transform of the training values whose quantiles forecasts have."""
    theirs, mine = reference.sample.ravel(), forecasts.above_zero
    theirs = theirs[theirs > 0]
    if not reference.sample.size or not forecasts.n_values:
        return None
    shares = len(theirs) / reference.sample.size, len(mine) / forecasts.n_values
    # Of the values above 0 of both, as many from the top.
    share = min(shares)
    if share * min(reference.sample.size, forecasts.n_values) < len(_RANKS):
        return None
    # Means of cells have hardly a zero where cells have many.
    if max(shares) > _OTHER_ZEROS * share:
        return None
    values, training = (
        _from_the_top(v, share * n * _RANKS)
        for v, n in ((mine, forecasts.n_values), (theirs, reference.sample.size))
    )
    guesses = {t: _transformed(t, FACTORS[:, None] * training) for t in TRANSFORMS}
    found = _nearest(
        values,
        guesses,
        FACTORS,
        _FARTHEST_DISTRIBUTION,
        lambda: {
            t: _transformed(t, training[None, :]) for t in _of_other_totals(values, training)
        },
        # A shift leaves no zero where it is.
        shifted=shares[1] > _WITHOUT_ZEROS,
    )
    if found is None:
        return None
    best, miss, natural = found
    return ScaleVerdict(
        best,
        f"values are distributed as {best.text} of the training data (off by {miss:.0%} of their "
        f"spread) rather than as the training data (off by {natural:.0%})",
    )


def _by_means(forecasts: Forecasts, reference: Reference) -> ScaleVerdict | None:
    """Find the transform of the training profiles that gene means follow."""
    genes = _evenly_chosen(forecasts.mean, reference)
    if len(genes) < _FEWEST_GENES:
        return None
    profiles = [p[genes] for p in reference.profiles.values()]
    sample = reference.sample[:, genes]
    of_cells = _SAMPLED_FACTORS if len(sample) else ()
    guesses = {
        t: np.vstack(
            [
                *(_transformed(t, FACTORS[:, None] * profile) for profile in profiles),
                # The mean of transformed cells is not the transformed mean.
                *(
                    _transformed(t, factor * sample).mean(axis=0, keepdims=True)
                    for factor in of_cells
                ),
            ]
        )
        for t in TRANSFORMS
    }
    factors = np.concatenate([np.tile(FACTORS, len(profiles)), of_cells])
    mine, cells = forecasts.mean[genes], sample[:_FEW_ROWS]

    def of_other_totals() -> dict[Transform, Floats]:
        tried = {}
        for t in _of_other_totals(mine, profiles[0]):
            means = [_transformed(t, cells).mean(axis=0)] if len(cells) else []
            tried[t] = np.vstack([*(_transformed(t, profile) for profile in profiles), *means])
        return tried

    found = _nearest(mine, guesses, factors, _FARTHEST_MEANS, of_other_totals)
    if found is None:
        return None
    best, miss, natural = found
    return ScaleVerdict(
        best,
        f"gene means follow {best.text} of the training data (off by {miss:.0%} of their spread) "
        f"rather than the training data (off by {natural:.0%})",
    )


def _of_other_totals(values: Floats, training: Floats) -> list[Transform]:
    """Return transforms to another total, about the one that the highest values tell.

    Parameters
    ----------
    values, training
        (n,) of forecasts and of the training data, of the same genes or ranks.
    """
    high = training >= np.quantile(training, 1 - _HIGHEST)
    with np.errstate(all="ignore"):
        ratio = float(np.median(np.expm1(values[high]) / np.expm1(training[high])))
    if not (ratio > 0 and math.isfinite(ratio)):
        return []
    return [
        of_total(ratio * about)
        for about in _ABOUT
        if max(ratio * about, 1 / (ratio * about)) >= _OTHER_TOTAL
    ]


def _nearest(
    values: Floats,
    guesses: Mapping[Transform, Floats],
    factors: Floats,
    farthest: float,
    of_other_totals: Callable[[], Mapping[Transform, Floats]],
    *,
    shifted: bool = True,
) -> tuple[Transform, float, float] | None:
    """Return the transform that explains values, what it misses, and what natural logs miss.

    Parameters
    ----------
    values
        (n,) of forecasts.
    guesses
        By transform, (guesses, n) what `values` would be.
    factors
        (guesses,) how much the training data were stretched for each.
    farthest
        What none may miss more than.
    of_other_totals
        More guesses, which are made only where no other transform fits.
    shifted
        Whether all values may be too high or too low by the same number.

    Returns
    -------
    tuple or None
        None where nothing explains them. Where another one is not clearly nearer, it is the
        natural logarithm.
    """
    spread = float(np.linalg.norm(values - values.mean()))
    if spread == 0:
        return None
    misses, stretched = {}, {}
    for transform in TRANSFORMS:
        missed = _misses(values, guesses[transform], free=False) / spread
        at = int(np.argmin(missed))
        misses[transform] = float(missed[at])
        stretched[transform] = abs(math.log(factors[at]))
    natural = misses[NATURAL]
    best = min(TRANSFORMS, key=lambda t: (max(misses[t], _ALIKE), stretched[t]))
    if misses[best] > _MISSED_BY_A_KNOWN_FACTOR:
        for transform in (t for t in TRANSFORMS if t.any_factor):
            miss = float(_misses(values, guesses[transform], free=True).min()) / spread
            if miss < _CLOSER * misses[best]:
                best, misses[transform] = transform, miss
    if misses[best] > _MISSED_BY_ALL and natural >= _MISSED:
        known = misses[best]
        for transform, tried in of_other_totals().items():
            misses[transform] = float(_misses(values, tried, free=False).min()) / spread
            if misses[transform] < min(_FAR_CLOSER * known, misses[best]):
                best = transform
    miss = misses[best]
    if miss > farthest:
        return None
    biased = _miss_if_biased(values, guesses[NATURAL], factors, shifted=shifted) / spread
    is_biased = biased < _ALIKE or miss >= _THAN_BIASED * biased
    if natural < _MISSED or miss >= _CLOSER * natural or is_biased:
        best = NATURAL
    return best, misses[best], natural


def _miss_if_biased(values: Floats, guesses: Floats, factors: Floats, *, shifted: bool) -> float:
    """Return the distance to the nearest guess on the same scale, with a shift or a factor."""
    alike = guesses[np.abs(np.log(factors)) < _UNSTRETCHED] if shifted else guesses[:0]
    shifts = (values - alike).mean(axis=1, keepdims=True).clip(-_BIASED_BY, _BIASED_BY)
    size = np.square(guesses).sum(axis=1)
    nearest = guesses @ values / np.where(size > 0, size, 1)
    stretched = nearest.clip(SHRUNK / factors, _STRETCHED_FURTHER / factors)
    tried = np.vstack([alike + shifts, stretched[:, None] * guesses])
    return float(np.linalg.norm(values - tried, axis=1).min())


def _misses(values: Floats, guesses: Floats, *, free: bool) -> Floats:
    """Return the distance to each guess, or to its nearest multiple; infinite for no guess."""
    usable = np.asarray(np.isfinite(guesses).all(axis=1))
    tried = np.where(usable[:, None], guesses, 0)
    if free:
        size = np.square(tried).sum(axis=1)
        factors = np.maximum(tried @ values, 0) / np.where(size > 0, size, 1)
        tried = factors[:, None] * tried
    distances = np.linalg.norm(values - tried, axis=1)
    return np.asarray(np.where(usable, distances, np.inf), dtype=np.float64)


def _transformed(transform: Transform, expression: npt.NDArray[Any]) -> Floats:
    with np.errstate(all="ignore"):
        return np.asarray(transform.of_log(expression), dtype=np.float64)


def _from_the_top(values: Floats, ranks: Floats) -> Floats:
    """Return the values of some ranks, counted from the largest."""
    at = len(values) - 1 - np.minimum(ranks.astype(np.intp), len(values) - 1)
    return np.asarray(np.partition(values, np.unique(at))[at], dtype=np.float64)


def _evenly_chosen(mean: Floats, reference: Reference) -> Ints:
    """Return genes with a mean; of very many, some of every level of expression."""
    known = np.flatnonzero(np.isfinite(mean))
    if len(known) <= _MOST_GENES:
        return known
    levels = next(iter(reference.profiles.values()))
    order = known[np.argsort(levels[known], kind="stable")]
    return np.sort(order[np.linspace(0, len(order) - 1, _MOST_GENES).astype(np.intp)])
