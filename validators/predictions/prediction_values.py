"""Are predicted values numbers, and on the scale that was asked for?

Scale is judged against the dataset's own training side. Where that cannot
decide (ratios, which are negative themselves; controls of zeros), nothing is
said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.arrays import Bools, Ints
from pereggrn_data.core.format import LARGEST_LOG_EXPRESSION
from pereggrn_data.core.reports import Finding
from pereggrn_data.core.rows.row_blocks import each_block, stored_values
from pereggrn_data.validators.predictions.prediction_scan import PredictionScan
from pereggrn_data.validators.rules import RULES
from pereggrn_data.validators.scales import LINEAR, Body, Forecasts, Reference, judge_forecasts

Array = npt.NDArray[Any]

_NEGATIVE_MASS = 0.15
"""Share of the summed magnitudes that is negative: 0.5 in z-scores; expression that a
linear model predicts slightly below zero has a few hundredths."""

_RELATED = 0.5
_CLEARLY_RELATED = 0.9
"""Correlations of predicted gene means with those of the training controls."""

_STEEP = 1.56
"""Factor over the training controls above which values are not logarithms of any base."""

CONTROL_DRIFT = 1e-3
"""Predicted controls further than this from the training controls (natural log) are noted."""


@dataclass(frozen=True)
class Scale:
    """What the training side says about the scale of expression.

    Parameters
    ----------
    control_mean
        (genes,) mean of the training controls.
    largest
        Of the training expression.
    share_negative
        Of the training expression.
    whole_numbers
        Whether the training expression is itself made of whole numbers.
    share_constant
        Of the training observations: those with one value for all genes (shallow
        cells of a few genes can be all zero).
    reference
        What forecasts are compared with.
    """

    control_mean: Array
    largest: float
    share_negative: float
    whole_numbers: bool
    share_constant: float
    reference: Reference

    @classmethod
    def of(
        cls, matrix: Any, control_mean: Array, profiles: Mapping[str, Array] | None = None
    ) -> Scale:
        """Look at the training side.

        Parameters
        ----------
        matrix
            (n, genes) training expression, dense, sparse, or in blocks of rows.
        control_mean
            (genes,) mean of the training controls.
        profiles
            By name, what forecasts are likely to follow, too: (genes,) expression.
        """
        largest, n_negative, whole, n_constant = 0.0, 0, True, 0
        for block in each_block(matrix):
            numbers = stored_values(block.values)
            largest = max(largest, float(numbers.max(initial=0)))
            n_negative += int(np.count_nonzero(numbers < 0))
            whole = whole and bool((numbers == np.rint(numbers)).all())
            highest, lowest = (_of_each_row(block.values, end) for end in ("max", "min"))
            n_constant += int(np.count_nonzero(highest == lowest))
        rows, genes = matrix.shape
        return cls(
            control_mean=control_mean,
            largest=largest,
            share_negative=n_negative / max(rows * genes, 1),
            whole_numbers=whole,
            share_constant=n_constant / rows if rows else float("nan"),
            reference=Reference.of(control_mean, matrix, profiles),
        )

    @property
    def can_decide(self) -> bool:
        """Whether the dataset looks like log expression rather than ratios or zeros."""
        varied = np.ptp(self.control_mean) > 0 if self.control_mean.size > 1 else False
        return bool(varied and self.share_negative < 0.01)


def check_numbers(
    values: Array | PredictionScan, row_names: Sequence[str], genes: Sequence[str]
) -> Iterator[Finding]:
    """Report NaN, infinite and absurdly large values; a template not filled in is told apart.

    Parameters
    ----------
    values
        (rows, genes) predictions, or what a reading of them found.
    row_names, genes
        For messages.
    """
    scan = _scanned(values)
    if not scan.n_bad:
        return
    if scan.is_empty:
        yield RULES["predictions-not-filled-in"].found(
            "NaN everywhere: the template has not been filled in",
            n=scan.shape[0],
            examples=row_names,
        )
        return
    counted = [
        f"{count} {name}"
        for name, count in (
            ("NaN", scan.n_nan),
            ("infinite", scan.n_infinite),
            ("absurd", scan.n_absurd),
        )
        if count
    ]
    yield RULES["predictions-not-a-number"].found(
        f"{' and '.join(counted)} in {int(scan.bad_rows.sum())} rows and "
        f"{int(scan.bad_genes.sum())} genes",
        n=scan.n_bad,
        examples=[f"{row_names[i]} / {genes[j]}" for i, j in scan.first_bad],
    )


def outlier_limit(scale: Scale) -> float:
    """Return the value from which on a prediction is above all logarithms."""
    return max(LARGEST_LOG_EXPRESSION, 1.5 * scale.largest)


def _scanned(values: Array | PredictionScan, limit: float = np.inf) -> PredictionScan:
    return values if isinstance(values, PredictionScan) else PredictionScan.of(values, limit)


@dataclass(frozen=True)
class Untouched:
    """What is predicted of genes that rows do not perturb themselves.

    Parameters
    ----------
    mean
        (genes,) mean of the rows that vary and do not perturb the gene; NaN where there is none.
    perturbed_by
        From (some,) positions of rows to (some, genes), whether a row perturbs a gene.
    """

    mean: Array
    perturbed_by: Callable[[Ints], Bools]


def _forecasts(scan: PredictionScan, untouched: Untouched | None) -> Forecasts:
    rows, values = scan.kept_rows
    sample = scan.sample
    return Forecasts(
        mean=scan.mean if untouched is None else untouched.mean,
        above_zero=sample[sample > 0],
        n_values=scan.n_sampled,
        rows=values,
        free=np.ones(values.shape, dtype=bool)
        if untouched is None
        else ~untouched.perturbed_by(rows),
    )


def check_scale(
    values: Array | PredictionScan,
    scale: Scale,
    *,
    row_names: Sequence[str],
    untouched: Untouched | None = None,
) -> Iterator[Finding]:
    """Judge predicted natural-log expression: raw counts, z-scores, log2, constant rows.

    Parameters
    ----------
    values
        (rows, genes) predicted expression, finite; or what a reading of it found, with
        :func:`outlier_limit` as its limit.
    scale
        Of the training side.
    row_names
        For messages.
    untouched
        What is predicted of genes that rows do not perturb themselves, where that is known:
        the others are often set to stated levels, on no scale.
    """
    limit = outlier_limit(scale)
    scan = _scanned(values, limit)
    yield from _check_constant(scan, row_names, scale)
    varied = np.flatnonzero(scan.varied)
    if not scale.can_decide or not varied.size:
        return
    names, n = _Names(row_names, varied), len(varied)
    mean = scan.mean
    related, slope = _relation(mean, scale.control_mean)
    if scan.negative_mass > _NEGATIVE_MASS:
        yield RULES["predictions-z-scores"].found(
            f"{scan.share_negative:.0%} of values negative", n=n, examples=names
        )
        return
    verdict = judge_forecasts(_forecasts(scan, untouched), scale.reference)
    body = Body.of(scan.sample)
    whole = body.is_whole and not scale.whole_numbers
    # A bias of all genes is no factor: where expression is low, it looks like one.
    steep = related > _RELATED and slope > _STEEP and _slope(mean, scale.control_mean) > _STEEP
    linear = verdict is not None and verdict.transform is LINEAR
    if verdict is not None and not (linear or whole):
        rule = RULES[f"predictions-{verdict.transform.name}"]
        got = f"{verdict.because}; {slope:.2f} times the controls"
        yield rule.found(got, n=n, fix=verdict.transform.fix)
        if body.typical < limit:
            return
    if linear or whole or steep or body.typical >= limit:
        details = [f"values up to {scan.largest:.3g}, 99% of them up to {body.typical:.3g}"]
        details += [f"{body.whole:.0%} of those that are not 0 are whole numbers"] * whole
        details += [f"{slope:.3g} times those of the training controls"] * steep
        details += [verdict.because] if verdict is not None and linear else []
        yield RULES["predictions-raw-counts"].found(
            ", ".join(details),
            n=n,
            examples=names,
            expected=f"natural-log expression, in this dataset up to {scale.largest:.3g}",
        )
        return
    yield from _outliers(scan, row_names, limit)


def _outliers(scan: PredictionScan, row_names: Sequence[str], limit: float) -> Iterator[Finding]:
    """Note values far above all logarithms, where the others are fine."""
    if scan.n_outliers:
        size = int(scan.varied.sum()) * scan.shape[1]
        yield RULES["predictions-outliers"].found(
            f"{scan.n_outliers} of {size} values above {limit:.3g}, up to {scan.largest:.4g}",
            n=scan.n_outliers,
            examples=[f"{row_names[i]}: {value:.4g}" for i, _, value in scan.outliers],
        )


def check_fold_changes(
    values: Array | PredictionScan, scale: Scale, *, row_names: Sequence[str]
) -> Iterator[Finding]:
    """Judge predicted log fold changes: expression given by mistake, constant rows."""
    scan = _scanned(values)
    yield from _check_constant(scan, row_names, scale)
    varied = np.flatnonzero(scan.varied)
    if not scale.can_decide or not varied.size:
        return
    related, slope = _relation(scan.mean, scale.control_mean)
    if related > _CLEARLY_RELATED and slope > 0.5:
        yield RULES["predictions-not-fold-change"].found(
            f"values like the expression of the controls (correlation {related:.2f})",
            n=len(varied),
            examples=_Names(row_names, varied),
        )


def check_controls(profile: Array | None, control_mean: Array) -> Iterator[Finding]:
    """Note predicted controls that differ from the training controls; they are not used.

    Parameters
    ----------
    profile
        (genes,) mean of the predicted controls (natural-log expression); None
        where the file has none.
    control_mean
        (genes,) mean of the training controls.
    """
    if profile is None:
        return
    drift = np.abs(profile - control_mean)
    unlike = ~(drift <= CONTROL_DRIFT)
    if unlike.any():
        known = drift[np.isfinite(drift)]
        got = f"a difference of up to {known.max():.3g} (natural log)" if known.size else "NaN"
        if 0 < known.size < drift.size:
            got += f", and NaN or infinity for {drift.size - known.size} genes"
        yield RULES["predictions-controls-drift"].found(got, n=int(unlike.sum()))


def _check_constant(
    scan: PredictionScan, row_names: Sequence[str], scale: Scale
) -> Iterator[Finding]:
    if scan.shape[1] < 2 or not scan.shape[0]:
        return
    constant = scan.constant
    if constant.mean() <= 2 * scale.share_constant:
        return
    at = np.flatnonzero(constant)
    zero = int(scan.zero.sum())
    yield RULES["predictions-constant"].found(
        f"{len(at)} of {scan.shape[0]} rows with one value for all genes"
        + (f", {zero} of them all zero" if zero else ""),
        n=len(at),
        examples=_Names(row_names, at),
    )


class _Names(Sequence[str]):
    """The names of some rows, looked up when one is shown."""

    def __init__(self, names: Sequence[str], at: npt.NDArray[np.intp]) -> None:
        self._names, self._at = names, at

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return [str(self._names[int(i)]) for i in self._at[key]]
        return str(self._names[int(self._at[key])])


def _relation(mean_profile: Array, control_mean: Array) -> tuple[float, float]:
    """Return the correlation of gene means with the controls', and the slope through 0."""
    if np.ptp(mean_profile) == 0:
        return 0.0, 0.0
    correlation = float(np.corrcoef(mean_profile, control_mean)[0, 1])
    slope = float(mean_profile @ control_mean / (control_mean @ control_mean))
    return correlation, slope


def _slope(mean_profile: Array, control_mean: Array) -> float:
    """Return the slope over the controls of profiles that vary, whatever is added to them."""
    centred = control_mean - control_mean.mean()
    return float(mean_profile @ centred / (centred @ centred))


def _of_each_row(matrix: Any, summary: str) -> Any:
    found = getattr(matrix, summary)(axis=1)
    return np.asarray(found.toarray() if sparse.issparse(found) else found).ravel()
