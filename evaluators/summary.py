"""From scores per group to one line per metric, and the signature of the whole."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.splits import Split
from pereggrn_data.evaluators.metrics.definitions import METRICS, definitions_version
from pereggrn_data.evaluators.metrics.metric import Direction, Metric
from pereggrn_data.evaluators.scoring import PREDICTIONS, Scores

if TYPE_CHECKING:
    import pandas as pd

SMALLEST_DIVISOR = 1e-12

EQUAL_WITHIN = 1e-6
"""Relative difference that float32 predictions cannot help; it is a draw, not a win."""


@dataclass(frozen=True)
class MetricSummary:
    """One metric over all groups.

    Parameters
    ----------
    name
        Of the metric.
    value
        Mean over the groups where it is defined, weighted by the number of
        observations; None where it is defined nowhere.
    baselines
        The same for each baseline.
    percent_change_from_mean
        ``100 s (v - b) / |b|`` with s = 1 where higher is better, else -1, over
        groups where both are defined (the paper's Fig. 2). None where b is
        missing or below 1e-12, and for metrics that only describe.
    n
        Number of groups where the predictions' value is defined.
    higher_is_better
        None for a metric that only describes.
    beats_baselines
        Whether the predictions are better than every baseline; None where that
        cannot be said.
    reason
        Why a value, a percentage or the verdict is missing.
    changes_of_baselines
        Percent change from the mean of the other baselines, where there is one, by
        the same rule as that of the predictions.
    """

    name: str
    value: float | None
    baselines: dict[str, float | None]
    percent_change_from_mean: float | None
    n: int
    higher_is_better: bool | None
    beats_baselines: bool | None
    reason: str | None
    changes_of_baselines: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, in the layout of ``summary.json``."""
        return {
            "value": self.value,
            **{f"{name}_baseline": value for name, value in self.baselines.items()},
            "percent_change_from_mean": self.percent_change_from_mean,
            "n": self.n,
            "higher_is_better": self.higher_is_better,
            "beats_baselines": self.beats_baselines,
            "reason": self.reason,
        }


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


def summarise(scores: Scores) -> tuple[dict[str, MetricSummary], tuple[str, ...]]:
    """Summarise every metric that was computed.

    Returns
    -------
    dict, tuple of str
        Per metric its summary, in the order of the registry; and warnings.
    """
    frames = {str(m): f for m, f in scores.groups.groupby("method", sort=False)}
    warnings = list(scores.notes)
    summaries = {}
    for name, metric in METRICS.items():
        if name not in scores.groups:
            continue
        summary, lost = _summarise_metric(metric, frames)
        summaries[name] = summary
        if lost:
            warnings.append(
                f"{name} has no verdict: it is undefined for the predictions in {lost} of "
                f"{len(frames[PREDICTIONS])} groups where a baseline has a value "
                f"({metric.undefined_when})."
            )
    return summaries, tuple(warnings)


def _summarise_metric(
    metric: Metric, frames: dict[str, pd.DataFrame]
) -> tuple[MetricSummary, int]:
    mine = frames[PREDICTIONS]
    weights = mine["n_observations"].to_numpy(float)
    values = mine[metric.name].to_numpy(float)
    others = {m: f[metric.name].to_numpy(float) for m, f in frames.items() if m != PREDICTIONS}
    compared = {m: compare(values, other, weights) for m, other in others.items()}
    lost = max((c.lost for c in compared.values()), default=0)
    percent, verdict, reason = None, None, None
    changes: dict[str, float] = {}
    if metric.direction is None:
        reason, lost = "this metric describes; it is not better one way or the other", 0
    else:
        sign = 1 if metric.direction is Direction.HIGHER else -1
        percent, reason = _percent_change(compared["mean"], sign)
        changes = _changes_of_baselines(others, weights, sign)
        if lost == 0:
            verdict = _beats(compared.values(), sign)
    if not np.isfinite(values).all():
        missing = int((~np.isfinite(values)).sum())
        counted = f"undefined in {missing} of {len(values)} groups: {metric.undefined_when}"
        reason = counted if reason is None else f"{reason}; {counted}"
    for m, other in others.items():
        # Where the predictions have none either, that is said already.
        missing = int((np.isfinite(values) & ~np.isfinite(other)).sum())
        if missing:
            counted = f"the {m} baseline is undefined in {missing} of {len(values)} groups"
            reason = counted if reason is None else f"{reason}; {counted}"
    summary = MetricSummary(
        name=metric.name,
        value=weighted_mean(values, weights),
        baselines={m: weighted_mean(other, weights) for m, other in others.items()},
        percent_change_from_mean=percent,
        n=int(np.isfinite(values).sum()),
        higher_is_better=None
        if metric.direction is None
        else metric.direction is Direction.HIGHER,
        beats_baselines=verdict,
        reason=reason,
        changes_of_baselines=changes,
    )
    return summary, lost


def _changes_of_baselines(
    others: dict[str, Floats], weights: Floats, sign: int
) -> dict[str, float]:
    """Compare the other baselines with the mean by the rule that predictions are compared by."""
    found = {
        name: _percent_change(compare(values, others["mean"], weights), sign)[0]
        for name, values in others.items()
        if name != "mean"
    }
    return {name: percent for name, percent in found.items() if percent is not None}


def compare(values: Floats, baseline: Floats, weights: Floats) -> Comparison:
    """Average both over the groups where both are defined."""
    both = np.isfinite(values) & np.isfinite(baseline)
    return Comparison(
        value=weighted_mean(values[both], weights[both]),
        baseline=weighted_mean(baseline[both], weights[both]),
        lost=int((np.isfinite(baseline) & ~np.isfinite(values)).sum()),
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
    return float(np.average(values[defined], weights=weights[defined]))


def _percent_change(mean: Comparison, sign: int) -> tuple[float | None, str | None]:
    gain = mean.gain(sign)
    if gain is None or mean.baseline is None:
        return None, "no group has a value for both the predictions and the mean baseline"
    if abs(mean.baseline) < SMALLEST_DIVISOR:
        return None, "the mean baseline is 0, of which there is no percentage"
    return 100 * gain / abs(mean.baseline), None


def _beats(comparisons: Iterable[Comparison], sign: int) -> bool | None:
    gains = [c.gain(sign) for c in comparisons]
    if any(gain is None for gain in gains):
        return None
    return all(gain > 0 for gain in gains if gain is not None)


def signature(
    split: Split,
    *,
    dataset_shown_as: str,
    software: str,
    targeted: str,
    fill: str,
    group_by: tuple[str, ...],
    scored: tuple[int, int],
    groups: Iterable[str],
    trained: Collection[str] = (),
) -> str:
    """Write the one line that says what was scored: equal lines, comparable scores.

    Parameters
    ----------
    split
        What was held out.
    dataset_shown_as
        Name of the dataset, with its origin where that is a local collection.
    software
        Name and version.
    targeted, fill
        The rules for targeted genes and for missing predictions.
    group_by
        Columns that define a group.
    scored
        Number of groups scored, and of groups held out.
    groups
        Names of the groups scored; they count where not all were.
    trained
        What trained, where that is not simply all that is not held out.
    """
    everything = scored[0] == scored[1]
    parts = (
        f"software:{software}",
        f"metrics:{definitions_version()}",
        f"dataset:{dataset_shown_as}",
        f"sha256:{split.sha256[:12]}",
        f"heldout:{_hash(split.test_observations)[:12]}",
        *([f"train:{_hash(trained)[:8]}"] if trained else []),
        f"targeted:{targeted}",
        f"fill:{fill}",
        f"by:{'+'.join(group_by)}",
        f"genes:{len(split.genes)}:{_hash(split.genes)[:8]}",
        f"scored:{scored[0]}/{scored[1]}" + ("" if everything else f":{_hash(groups)[:8]}"),
    )
    # A name is part of a line, and must not look like two parts or two lines.
    return "|".join(" ".join(part.replace("|", "/").split()) for part in parts)


def _hash(names: Iterable[str]) -> str:
    """Hash a set of names; their order does not matter."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
