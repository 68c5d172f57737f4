"""Predictions against one baseline, over the groups where both have a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pereggrn_data.core.arrays import Floats
from pereggrn_data.evaluators.summaries.verdicts import EQUAL_WITHIN

SMALLEST_DIVISOR = 1e-12
"""Of a percent change; of a smaller baseline there is no percentage."""


@dataclass(frozen=True)
class Comparison:
    """Predictions against one baseline, over the groups where both are defined.

    Parameters
    ----------
    value, baseline
        Weighted means; None where no group has both.
    lost
        Groups that are defined for the baseline, not for the predictions.
    """

    value: float | None
    baseline: float | None
    lost: int

    def gain(self, sign: int) -> float | None:
        """Say how much better the predictions are.

        Parameters
        ----------
        sign
            1 where higher is better, else -1.

        Returns
        -------
        float or None
            In the metric's own units, 0 for a draw; None where no group has both.
        """
        if self.value is None or self.baseline is None:
            return None
        difference = self.value - self.baseline
        draw = abs(difference) <= EQUAL_WITHIN * abs(self.baseline)
        return 0.0 if draw else sign * difference


def compare(values: Floats, baseline: Floats, weights: Floats) -> Comparison:
    """Average both over the groups where both are defined."""
    defined, known = np.isfinite(values), np.isfinite(baseline)
    both = defined & known
    return Comparison(
        value=weighted_mean(values[both], weights[both]),
        baseline=weighted_mean(baseline[both], weights[both]),
        lost=int((known & ~defined).sum()),
    )


def weighted_mean(values: Floats, weights: Floats) -> float | None:
    """Average the defined values; None where there is none.

    Examples
    --------
    >>> weighted_mean(np.array([1.0, np.nan, 4.0]), np.array([2.0, 1.0, 1.0]))
    2.0
    """
    defined = np.isfinite(values)
    if not defined.any():
        return None
    values, weights = values[defined], weights[defined]
    # The same as np.average, which takes much longer to look at so little.
    return float((values * weights).sum()) / float(weights.sum())


def weighted_means(rows: Floats, weights: Floats) -> list[float | None]:
    """Average each row as :func:`weighted_mean` does: at once where nothing is undefined.

    Examples
    --------
    >>> weighted_means(np.array([[1.0, 4.0], [3.0, np.nan]]), np.array([2.0, 1.0]))
    [2.0, 3.0]
    """
    whole = np.asarray(np.isfinite(rows).all(axis=1))
    at_once = iter(((rows[whole] * weights).sum(axis=1) / weights.sum()).tolist())
    return [
        next(at_once) if defined else weighted_mean(row, weights)
        for row, defined in zip(rows, whole, strict=True)
    ]


def percent_change(mean: Comparison, sign: int) -> tuple[float | None, str | None]:
    """Say by how many per cent predictions are better than the mean, or why that is unknown.

    Parameters
    ----------
    mean
        The comparison with the mean baseline.
    sign
        1 where higher is better, else -1.
    """
    gain = mean.gain(sign)
    if gain is None or mean.baseline is None:
        return None, "no group has a value for both the predictions and the mean baseline"
    if abs(mean.baseline) < SMALLEST_DIVISOR:
        return None, "the mean baseline is 0, of which there is no percentage"
    return 100 * gain / abs(mean.baseline), None
