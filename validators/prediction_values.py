"""Are predicted values numbers, and on the scale that was asked for?

Scale is judged against the dataset's own training side. Where that cannot
decide (ratios, which are negative themselves; controls of zeros), nothing is
said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.errors import EXAMPLES_SHOWN
from pereggrn_data.core.format import LARGEST_LOG_EXPRESSION
from pereggrn_data.core.reports import Finding
from pereggrn_data.validators.rules import RULES
from pereggrn_data.validators.scale import LINEAR, Body, Reference, judge_by_controls

Array = npt.NDArray[Any]

_NEGATIVE_MASS = 0.15
"""Share of the summed magnitudes that is negative: 0.5 in z-scores; expression that a
linear model predicts slightly below zero has a few hundredths."""

_RELATED = 0.5
_CLEARLY_RELATED = 0.9
"""Correlations of predicted gene means with those of the training controls."""

_STEEP = 1.56
"""Factor over the training controls above which values are not logarithms of any base."""

LARGEST_NUMBER = 1e9
"""Nothing that is measured is larger, on any scale; squares of it still fit float32."""

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
        What gene means would look like on each scale.
    """

    control_mean: Array
    largest: float
    share_negative: float
    whole_numbers: bool
    share_constant: float
    reference: Reference

    @classmethod
    def of(cls, matrix: Any, control_mean: Array) -> Scale:
        """Look at the training side.

        Parameters
        ----------
        matrix
            (n, genes) training expression, dense or sparse.
        control_mean
            (genes,) mean of the training controls.
        """
        numbers = np.asarray(matrix.data if sparse.issparse(matrix) else matrix)
        highest, lowest = (_of_each_row(matrix, summary) for summary in ("max", "min"))
        return cls(
            control_mean=control_mean,
            largest=float(numbers.max(initial=0)),
            share_negative=float((numbers < 0).sum() / max(matrix.shape[0] * matrix.shape[1], 1)),
            whole_numbers=bool((numbers == np.rint(numbers)).all()),
            share_constant=float((highest == lowest).mean()),
            reference=Reference.of(control_mean, matrix),
        )

    @property
    def can_decide(self) -> bool:
        """Whether the dataset looks like log expression rather than ratios or zeros."""
        varied = np.ptp(self.control_mean) > 0 if self.control_mean.size > 1 else False
        return bool(varied and self.share_negative < 0.01)


def check_numbers(
    matrix: Array, row_names: Sequence[str], genes: Sequence[str]
) -> Iterator[Finding]:
    """Report NaN, infinite and absurdly large values; a template not filled in is told apart."""
    bad = ~(np.abs(matrix) <= LARGEST_NUMBER)
    if not bad.any():
        return
    if np.isnan(matrix).all():
        yield RULES["predictions-not-filled-in"].found(
            "NaN everywhere: the template has not been filled in",
            n=matrix.shape[0],
            examples=row_names,
        )
        return
    rows = np.flatnonzero(bad.any(axis=1))
    columns = np.flatnonzero(bad.any(axis=0))
    counted = [
        f"{count} {name}"
        for name, count in (
            ("NaN", int(np.isnan(matrix).sum())),
            ("infinite", int(np.isinf(matrix).sum())),
            ("absurd", int((np.isfinite(matrix) & bad).sum())),
        )
        if count
    ]
    first = [f"{row_names[i]} / {genes[int(np.argmax(bad[i]))]}" for i in rows[:EXAMPLES_SHOWN]]
    yield RULES["predictions-not-a-number"].found(
        f"{' and '.join(counted)} in {len(rows)} rows and {len(columns)} genes",
        n=int(bad.sum()),
        examples=first,
    )


def check_scale(profiles: Array, scale: Scale, *, row_names: Sequence[str]) -> Iterator[Finding]:
    """Judge predicted natural-log expression: raw counts, z-scores, log2, constant rows.

    Parameters
    ----------
    profiles
        (rows, genes) predicted expression, finite.
    scale
        Of the training side.
    row_names
        For messages.
    """
    yield from _check_constant(profiles, row_names, scale)
    profiles, row_names = _varied(profiles, row_names)
    if not scale.can_decide or profiles.size == 0:
        return
    related, slope = _relation(profiles.mean(axis=0), scale.control_mean)
    magnitude = float(np.abs(profiles).sum())
    if -float(profiles.sum(where=profiles < 0)) > _NEGATIVE_MASS * magnitude:
        yield RULES["predictions-z-scores"].found(
            f"{float((profiles < 0).mean()):.0%} of values negative",
            n=len(profiles),
            examples=row_names,
        )
        return
    verdict = judge_by_controls(profiles.mean(axis=0), scale.reference)
    body = Body.of(profiles)
    limit = max(LARGEST_LOG_EXPRESSION, 1.5 * scale.largest)
    whole = body.is_whole and not scale.whole_numbers
    steep = related > _RELATED and slope > _STEEP
    linear = verdict is not None and verdict.transform is LINEAR
    if verdict is not None and not (linear or whole or body.typical >= limit):
        rule = RULES[f"predictions-{verdict.transform.name}"]
        yield rule.found(f"{verdict.because}; {slope:.2f} times the controls", n=len(profiles))
        return
    if linear or whole or steep or body.typical >= limit:
        details = [f"values up to {body.largest:.3g}, 99% of them up to {body.typical:.3g}"]
        details += [f"{body.whole:.0%} of those that are not 0 are whole numbers"] * whole
        details += [f"{slope:.3g} times those of the training controls"] * steep
        details += [verdict.because] if verdict is not None and linear else []
        yield RULES["predictions-raw-counts"].found(
            ", ".join(details),
            n=len(profiles),
            examples=row_names,
            expected=f"natural-log expression, in this dataset up to {scale.largest:.3g}",
        )
        return
    yield from _outliers(profiles, row_names, limit)


def _outliers(profiles: Array, row_names: Sequence[str], limit: float) -> Iterator[Finding]:
    """Note values far above all logarithms, where the others are fine."""
    rows, columns = np.nonzero(profiles >= limit)
    if rows.size:
        yield RULES["predictions-outliers"].found(
            f"{rows.size} of {profiles.size} values above {limit:.3g}, up to {profiles.max():.4g}",
            n=rows.size,
            examples=[
                f"{row_names[i]}: {profiles[i, j]:.4g}"
                for i, j in zip(rows[:EXAMPLES_SHOWN], columns[:EXAMPLES_SHOWN], strict=True)
            ],
        )


def check_fold_changes(
    changes: Array, scale: Scale, *, row_names: Sequence[str]
) -> Iterator[Finding]:
    """Judge predicted log fold changes: expression given by mistake, constant rows."""
    yield from _check_constant(changes, row_names, scale)
    changes, row_names = _varied(changes, row_names)
    if not scale.can_decide or changes.size == 0:
        return
    related, slope = _relation(changes.mean(axis=0), scale.control_mean)
    if related > _CLEARLY_RELATED and slope > 0.5:
        yield RULES["predictions-not-fold-change"].found(
            f"values like the expression of the controls (correlation {related:.2f})",
            n=len(changes),
            examples=row_names,
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


def _check_constant(profiles: Array, row_names: Sequence[str], scale: Scale) -> Iterator[Finding]:
    if profiles.shape[1] < 2:
        return
    constant = np.ptp(profiles, axis=1) == 0
    if constant.mean() <= 2 * scale.share_constant:
        return
    names = [row_names[int(i)] for i in np.flatnonzero(constant)]
    zero = int((profiles[constant] == 0).all(axis=1).sum())
    yield RULES["predictions-constant"].found(
        f"{len(names)} of {len(profiles)} rows with one value for all genes"
        + (f", {zero} of them all zero" if zero else ""),
        n=len(names),
        examples=names,
    )


def _varied(profiles: Array, row_names: Sequence[str]) -> tuple[Array, list[str]]:
    """Keep the rows that can say something about the scale."""
    kept = np.flatnonzero(np.ptp(profiles, axis=1) > 0)
    return profiles[kept], [row_names[int(i)] for i in kept]


def _relation(mean_profile: Array, control_mean: Array) -> tuple[float, float]:
    """Return the correlation of gene means with the controls', and the slope through 0."""
    if np.ptp(mean_profile) == 0:
        return 0.0, 0.0
    correlation = float(np.corrcoef(mean_profile, control_mean)[0, 1])
    slope = float(mean_profile @ control_mean / (control_mean @ control_mean))
    return correlation, slope


def _of_each_row(matrix: Any, summary: str) -> Any:
    found = getattr(matrix, summary)(axis=1)
    return np.asarray(found.toarray() if sparse.issparse(found) else found).ravel()
