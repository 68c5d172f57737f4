"""All metrics of some groups at once: means, comparisons and intervals, before any verdict."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.evaluators.metrics.metric import Direction, Metric
from pereggrn_data.evaluators.scoring import HAVE_CELLS, PREDICTIONS, Scores
from pereggrn_data.evaluators.summaries.baseline_comparison import (
    Comparison,
    compare,
    percent_change,
    weighted_means,
)
from pereggrn_data.evaluators.summaries.intervals import Estimate, Resampling
from pereggrn_data.evaluators.summaries.verdicts import EQUAL_WITHIN

_SIGNS = {Direction.HIGHER: 1, Direction.LOWER: -1, None: 0}


@dataclass(frozen=True)
class MeasuredMetric:
    """One metric over some groups.

    Parameters
    ----------
    metric
        Which.
    value
        Weighted mean of the predictions; None where they have no value.
    interval
        Of the value, within the metric's bounds.
    no_interval
        Why there is a value and no interval of it.
    baselines
        Per baseline the weighted mean; of a metric of cells only those that have cells.
    compared
        Per baseline, over the groups where both have a value.
    differences
        Per baseline the advantage of the predictions in the metric's own units; none for
        a metric that only describes.
    percent_change
        From the mean baseline, positive is better; None where it is unknown.
    percent_reason
        Why it or its interval is unknown.
    percent_interval
        Of the percent change.
    changes_of_baselines
        Percent change from the mean of the other baselines, where it is known.
    n
        Number of groups where the predictions have a value.
    undefined
        Per baseline, number of groups where only the predictions have a value.
    """

    metric: Metric
    value: float | None
    interval: tuple[float, float] | None
    no_interval: str | None
    baselines: dict[str, float | None]
    compared: dict[str, Comparison]
    differences: dict[str, Estimate]
    percent_change: float | None
    percent_reason: str | None
    percent_interval: tuple[float, float] | None
    changes_of_baselines: dict[str, float]
    n: int
    undefined: dict[str, int]

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is, 0 for a metric that only describes."""
        return _SIGNS[self.metric.direction]

    @property
    def lost(self) -> int:
        """Number of groups where a baseline has a value and the predictions have none."""
        return max((c.lost for c in self.compared.values()), default=0)


class ScoredMetrics:
    """Values of several methods by several metrics, of the same groups.

    There are many metrics and often few groups, so that what is done with all metrics at
    once takes a small part of what it takes metric by metric.

    Parameters
    ----------
    metrics
        One per row of `values`.
    values
        Per method, (metrics, groups); the predictions are among them.
    weights
        (groups,) number of observations.
    labels
        (groups,) perturbation labels.
    """

    def __init__(
        self, metrics: Sequence[Metric], values: Mapping[str, Floats], weights: Floats, labels: Any
    ) -> None:
        self.metrics, self.values = list(metrics), dict(values)
        self.weights, self.labels = weights, labels

    @classmethod
    def of(cls, scores: Scores, baselines: Collection[str] | None = None) -> ScoredMetrics:
        """Take every metric that was computed from a table of scores.

        Parameters
        ----------
        scores
            Of the predictions and of the baselines.
        baselines
            Those that are wanted; by default all.
        """
        frames = {str(m): f for m, f in scores.groups.groupby("method", sort=False)}
        mine = frames[PREDICTIONS]
        metrics = [metric for name, metric in METRICS.items() if name in mine]
        # Columns of a frame are found one by one slowly, and there are many.
        names = [metric.name for metric in metrics]
        return cls(
            metrics,
            {
                method: frame[names].to_numpy(float).T.copy()
                for method, frame in frames.items()
                if baselines is None or method == PREDICTIONS or method in baselines
            },
            mine["n_observations"].to_numpy(float),
            mine[PERTURBATION].to_numpy(object) if PERTURBATION in mine else np.arange(len(mine)),
        )

    @property
    def baselines(self) -> list[str]:
        """What predictions are compared with."""
        return [method for method in self.values if method != PREDICTIONS]

    def of_groups(self, groups: Ints) -> ScoredMetrics:
        """Return the same of some groups, in the order in which they are given."""
        # Rows stay together in memory, as sums along them depend on it to the last bit.
        values = {method: rows.take(groups, axis=1) for method, rows in self.values.items()}
        return ScoredMetrics(self.metrics, values, self.weights[groups], self.labels[groups])

    def measured(self, sampler: Resampling) -> list[MeasuredMetric]:
        """Average all metrics, compare them with the baselines, and say how sure that is.

        Parameters
        ----------
        sampler
            Draws of the labels, the same for all metrics.
        """
        defined = {method: np.isfinite(rows) for method, rows in self.values.items()}
        means = {method: weighted_means(v, self.weights) for method, v in self.values.items()}
        n = defined[PREDICTIONS].sum(axis=1).tolist()
        undefined = {
            method: (defined[PREDICTIONS] & ~known).sum(axis=1).tolist()
            for method, known in defined.items()
        }
        whole = {m: np.asarray(known.all(axis=1)) for m, known in defined.items()}

        def comparison(method: str, baseline: str, k: int) -> Comparison:
            if whole[method][k] and whole[baseline][k]:
                return Comparison(means[method][k], means[baseline][k], 0)
            return compare(self.values[method][k], self.values[baseline][k], self.weights)

        found = []
        for k, (own, differences, percent) in enumerate(self._estimates(sampler)):
            metric = self.metrics[k]
            sign, others = _SIGNS[metric.direction], self._others(metric)
            compared = {m: comparison(PREDICTIONS, m, k) for m in others}
            change, why, changes = None, None, {}
            if percent is not None:
                change, why = percent_change(compared["mean"], sign)
                if change is not None and percent.reason is not None:
                    why = f"no interval of the percent change: {percent.reason}"
                for m in others:
                    if m != "mean":
                        changes[m], _ = percent_change(comparison(m, "mean", k), sign)
            found.append(
                MeasuredMetric(
                    metric=metric,
                    value=means[PREDICTIONS][k],
                    interval=own.within(metric.lower, metric.upper).interval,
                    no_interval=None if own.value is None else own.reason,
                    baselines={m: means[m][k] for m in others},
                    compared=compared,
                    differences=differences,
                    percent_change=change,
                    percent_reason=why,
                    percent_interval=None
                    if percent is None or change is None
                    else percent.interval,
                    changes_of_baselines={m: c for m, c in changes.items() if c is not None},
                    n=n[k],
                    undefined={m: undefined[m][k] for m in others},
                )
            )
        return found

    def _others(self, metric: Metric) -> list[str]:
        """Name the baselines that the metric knows."""
        return [m for m in self.baselines if not metric.of_cells or m in HAVE_CELLS]

    def _estimates(
        self, sampler: Resampling
    ) -> list[tuple[Estimate, dict[str, Estimate], Estimate | None]]:
        """Estimate values, differences and percent changes of all metrics by the same draws."""
        values, weights = self.values[PREDICTIONS], self.weights
        signs = np.array([_SIGNS[metric.direction] for metric in self.metrics])[:, None]
        advantages = {m: self._advantage(m, signs) for m in self.baselines}
        # Numerators and denominators, of each quantity those of all metrics.
        tops, bottoms = [values * weights], [_where_finite(values, weights)]
        for advantage in advantages.values():
            tops.append(advantage * weights)
            bottoms.append(_where_finite(advantage, weights))
        # Per cent: what is divided by the mean has the sign of the mean.
        below = weights * np.where(np.isfinite(values), self.values["mean"], np.nan)
        side = np.sign(np.nansum(below, axis=1))[:, None]
        tops.append(100 * side * weights * advantages["mean"])
        bottoms.append(below)
        others = [self._others(m) if m.direction is not None else [] for m in self.metrics]
        wanted = np.array(
            [
                [True, *(m in known for m in advantages), metric.direction is not None]
                for metric, known in zip(self.metrics, others, strict=True)
            ]
        )
        top, bottom = (np.stack(parts, axis=1)[wanted].T.copy() for parts in (tops, bottoms))
        found = iter(sampler.ratio(top, bottom))
        # In the metric's units, and hundredths of it.
        changes, hundredths = tops[-1] * (side / 100), below * (side / 100)
        estimates: list[tuple[Estimate, dict[str, Estimate], Estimate | None]] = []
        for metric, known, change, of in zip(
            self.metrics, others, changes, hundredths, strict=True
        ):
            own = next(found)
            differences = {m: next(found) for m in known}
            percent = None
            if metric.direction is not None:
                percent = sampler.agreeing(next(found), differences["mean"], change, of, weights)
            estimates.append((own, differences, percent))
        return estimates

    def _advantage(self, baseline: str, signs: Any) -> Floats:
        """Return how much better each value is; 0 for what float32 cannot help."""
        other = self.values[baseline]
        difference: Floats = signs * (self.values[PREDICTIONS] - other)
        difference[np.abs(difference) <= EQUAL_WITHIN * np.abs(other)] = 0.0
        return difference


def _where_finite(values: Floats, weights: Floats) -> Floats:
    return np.where(np.isfinite(values), weights, np.nan)
