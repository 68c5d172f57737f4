"""On which scale are these values? One judgement for datasets and predictions.

Expression is asked for as natural logarithms, ln(1 + x). What else people
store is a transform of the same values, and each transform is one entry here.
Values are judged by their body: by how many are whole or large, and by which
transform explains them best, next to counts of the same cells (datasets) or to
the training data (predictions, see :mod:`~pereggrn_data.validators.scales.forecast_scale`).
A single extreme condemns nothing, and where nothing fits, as with ratios or data that
were normalised in another way, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.format import LARGEST_LOG_EXPRESSION

Array = npt.NDArray[Any]

_LN2, _LN10 = math.log(2), math.log(10)

LARGE_SHARE = 0.01
"""Of the values that are not 0: if more are too large for logarithms, that is no extreme."""

_WHOLE_SHARE = 0.99
"""Of the values that are not 0: if more are whole, they were never logarithms."""

_FEWEST_GENES = 4
"""Gene means of fewer genes say nothing about a scale."""

_COUNTED = 5
"""Counts from which rounding no longer blurs the ratio to a normalised value."""

_FEWEST_PAIRS = 30
_PAIRS_IN_A_ROW = 3

_STEADY, _STEADIER, _CLEARLY_LESS = 0.35, 0.5, 0.02
"""A transform is named where the ratio to raw counts varies within an observation by less than
this (natural log), by less than this share of what it varies under the natural logarithm, and
by this much less."""


@dataclass(frozen=True)
class Transform:
    """One scale on which people store expression.

    Parameters
    ----------
    name
        Short name, as in the codes of findings.
    text
        What it is, for messages.
    of_log
        From natural-log expression ln(1 + x).
    to_linear
        Back to x, up to a factor for each cell.
    fix
        How to get natural logarithms.
    any_factor
        Whether values are known up to a factor only.
    """

    name: str
    text: str
    of_log: Callable[[Array], Array]
    to_linear: Callable[[Array], Array]
    fix: str
    any_factor: bool = False


NATURAL = Transform("natural-log", "ln(1 + x)", lambda y: y, np.expm1, "nothing.")
LOG2 = Transform(
    *("log2", "log2(1 + x)", lambda y: y / _LN2, lambda v: np.expm1(v * _LN2)),
    "multiply by ln(2) = 0.693 if they are log2.",
)
LOG10 = Transform(
    *("log10", "log10(1 + x)", lambda y: y / _LN10, lambda v: np.expm1(v * _LN10)),
    "multiply by ln(10) = 2.303 if they are log10.",
)
LOG_TWICE = Transform(
    *("log-twice", "ln(1 + x) applied twice", np.log1p, lambda v: np.expm1(np.expm1(v))),
    "take numpy.expm1 once: log1p was applied to values that were logarithms already.",
)
SQRT = Transform(
    *("sqrt", "the square root of x", lambda y: np.sqrt(np.expm1(y)), np.square),
    "square them, normalise them as the dataset is, then take the natural log of 1 + x.",
    any_factor=True,
)
SQRT_OF_LOG = Transform(
    *("sqrt-of-log", "the square root of ln(1 + x)", np.sqrt, lambda v: np.expm1(np.square(v))),
    "square them: a square root was taken of values that were logarithms already.",
)
LINEAR = Transform(
    *("raw-counts", "counts, CPM or other values without a logarithm", np.expm1, lambda v: v),
    "normalise them as the dataset is, then take the natural log of 1 + x.",
    any_factor=True,
)

TRANSFORMS = (NATURAL, LOG2, LOG10, LOG_TWICE, SQRT_OF_LOG, SQRT, LINEAR)
"""All transforms that can be told from the natural logarithm value by value."""


def of_total(factor: float) -> Transform:
    """Return the transform to natural logarithms of `factor` times as much of everything.

    Totals of cells are a choice (10,000, a million, their median), so that a dataset may have
    any; forecasts have that of their dataset, or differ from it by this transform.
    """

    def of_log(y: Array) -> Array:
        return np.log1p(factor * np.expm1(y))

    return Transform(
        *("other-total", f"ln(1 + {factor:.2g} x)", of_log, np.expm1),
        f"divide expm1 of them by about {factor:.2g}, and take log1p: cells were normalised to "
        "another total than those of the dataset.",
    )


@dataclass(frozen=True)
class ScaleVerdict:
    """A scale, and what gave it away."""

    transform: Transform
    because: str


# ---- by themselves


@dataclass(frozen=True)
class Body:
    """What values look like apart from a few extremes.

    Parameters
    ----------
    n
        Number of values that are not 0.
    largest
        Of them.
    typical
        Their 99th percentile.
    whole
        Share of whole numbers.
    distinct
        Whether there are at least two different ones.
    """

    n: int
    largest: float
    typical: float
    whole: float
    distinct: bool

    @classmethod
    def of(cls, values: Any) -> Body:
        """Look at finite values that are not 0; of sparse matrices, at stored ones."""
        numbers = np.asarray(values.data if sparse.issparse(values) else values).ravel()
        numbers = numbers[np.isfinite(numbers) & (numbers != 0)]
        if not numbers.size:
            return cls(0, 0.0, 0.0, 0.0, False)
        return cls(
            n=int(numbers.size),
            largest=float(numbers.max()),
            typical=float(np.quantile(numbers, 1 - LARGE_SHARE)),
            whole=float((np.abs(numbers - np.rint(numbers)) < 1e-6).mean()),
            distinct=bool(numbers.min() < numbers.max()),
        )

    @property
    def is_whole(self) -> bool:
        """Whether these are counts: logarithms of 1 + x are whole only where x is 0."""
        return self.distinct and self.whole >= _WHOLE_SHARE and self.largest >= 2


def judge_body(body: Body, n_large: int | None = None, n_values: int | None = None) -> str:
    """Say why values cannot be logarithms, whatever else they are; empty if they can.

    Parameters
    ----------
    body
        Of all values, or of a sample.
    n_large, n_values
        How many of all values that are not 0 are too large, if that was counted.
    """
    because = []
    if body.is_whole:
        because.append(f"{100 * body.whole:.4g}% of the values that are not 0 are whole numbers")
    if n_large is not None and n_values and n_large > max(1, LARGE_SHARE * n_values):
        share = n_large / n_values
        because.append(
            f"{share:.1%} of the values that are not 0 are {LARGEST_LOG_EXPRESSION:g} or more"
        )
    return ", and ".join(because)


def stated_base(value: Any) -> float | None:
    """Return the base that scanpy notes in ``uns["log1p"]``; None where it says none.

    scanpy writes ``{"base": None}`` for natural logarithms, and h5ad files drop the None.
    """
    base = value.get("base") if isinstance(value, Mapping) else None
    if isinstance(base, np.ndarray) and base.size == 1:
        base = base.reshape(-1)[0]
    if isinstance(base, bool) or not isinstance(base, (int, float, np.number)):
        return None
    return float(base) if math.isfinite(float(base)) else None


def is_natural_base(base: float) -> bool:
    """Say whether a base is e, as far as it was written down."""
    return abs(base - math.e) < 0.01


# ---- next to counts of the same observations


@dataclass(frozen=True)
class Pairs:
    """Values of X and counts of raw for the same observation and gene.

    Parameters
    ----------
    row
        Number of the observation, from 0.
    value, count
        Of X and raw; where there are enough, only counts that rounding does not blur.
    """

    row: npt.NDArray[np.intp]
    value: Array
    count: Array

    @classmethod
    def of(cls, x: Array, raw: Array) -> Pairs:
        """Choose usable pairs.

        Parameters
        ----------
        x, raw
            (rows, genes) of the same observations and genes.
        """
        for least in (_COUNTED, 1):
            usable = (raw >= least) & np.isfinite(x) & np.isfinite(raw) & (x > 0)
            usable &= usable.sum(axis=1, keepdims=True) >= _PAIRS_IN_A_ROW
            if usable.sum() >= _FEWEST_PAIRS:
                break
        return cls(np.nonzero(usable)[0].astype(np.intp), x[usable], raw[usable])


def judge_by_counts(pairs: Pairs) -> ScaleVerdict | None:
    """Say which transform makes X proportional to the counts of each observation.

    Dividing by size is the only normalisation that this sees; after another one no
    transform fits, and nothing is said.

    Returns
    -------
    ScaleVerdict or None
        The natural logarithm is a verdict as well.
    """
    if len(pairs.value) < _FEWEST_PAIRS or np.ptp(pairs.count) == 0:
        return None
    spreads = _spreads(pairs)
    natural = spreads[NATURAL.name]
    best = min(TRANSFORMS, key=lambda t: spreads[t.name])
    spread = spreads[best.name]
    if spread > _STEADY:
        return None
    if best is not NATURAL and not (
        spread < _STEADIER * natural and spread < natural - _CLEARLY_LESS
    ):
        return None
    n = len(np.unique(pairs.row))
    return ScaleVerdict(
        best,
        f"undoing {best.text} gives values proportional to raw (within {spread:.2g} in natural "
        f"log, {natural:.2g} if they were natural logarithms; {len(pairs.value)} values of "
        f"{n} observations)",
    )


def _spreads(pairs: Pairs) -> dict[str, float]:
    """Return how much ln(x / count) varies within observations, per transform.

    That is the root of the mean square of the distances to each observation's median.
    """
    by_row = np.argsort(pairs.row, kind="stable")
    _, number, size = np.unique(pairs.row[by_row], return_inverse=True, return_counts=True)
    place = np.arange(len(by_row)) - np.repeat(np.cumsum(size) - size, size)
    values, counts = pairs.value[by_row].astype(float), np.log(pairs.count[by_row])
    each = np.arange(len(size))
    spreads = {}
    for transform in TRANSFORMS:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            ratio = np.log(transform.to_linear(values)) - counts
        if not np.isfinite(ratio).all():
            spreads[transform.name] = math.inf
            continue
        # All rows are sorted at once, the shorter ones filled up with what comes last.
        rows = np.full((len(size), size.max()), np.inf)
        rows[number, place] = ratio
        rows.sort(axis=1)
        median = (rows[each, (size - 1) // 2] + rows[each, size // 2]) / 2
        spreads[transform.name] = float(np.sqrt(np.mean((ratio - median[number]) ** 2)))
    return spreads


def is_standardised(means: Array, deviations: Array) -> bool:
    """Say whether nearly every gene has mean 0 and standard deviation 1, as z-scores do."""
    varied = deviations > 0
    if varied.sum() < _FEWEST_GENES:
        return False
    fits = (np.abs(means[varied]) < 0.05) & (np.abs(deviations[varied] - 1) < 0.1)
    return bool(fits.mean() >= 0.9)
