"""From scores per group to one line per metric, and to all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.evaluators.metrics.metric import Direction, Metric
from pereggrn_data.evaluators.scoring import HAVE_CELLS, PREDICTIONS, Scores
from pereggrn_data.evaluators.summaries.baseline_comparison import (
    compare,
    percent_change,
    weighted_mean,
)
from pereggrn_data.evaluators.summaries.intervals import (
    DRAWS,
    FEWEST_LABELS,
    LEVEL,
    Estimate,
    Resampling,
)
from pereggrn_data.evaluators.summaries.verdicts import (
    EQUAL_WITHIN,
    Ceiling,
    Judged,
    Judgement,
    Overall,
    adjusted,
    overall,
    verdict_of,
)

_NOT_CALIBRATED = "no duplicate of the experiment was scored"


@dataclass(frozen=True)
class MetricSummary:
    """One metric over all groups. Intervals are of 95 %, over perturbation labels.

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
        Whether the predictions are better than the better baseline, by the interval
        of the difference; None where that is undecided or cannot be said.
    reason
        Why a value, a percentage or an interval is missing.
    interval
        Of the value.
    better_baseline
        The baseline that does better; None where one of them has no value.
    differences
        Per baseline, the predictions' advantage in the metric's own units: positive
        where they are better.
    percent_change_interval
        Of the percent change from the mean.
    p_value_holm
        The p-value of the difference to the better baseline, corrected for the number
        of metrics.
    ceiling
        What a duplicate of the experiment would score.
    verdict_reason
        Why the verdict is what it is.
    n_missing
        Number of held-out groups of which the truth has a value and the predictions have
        none; with any there is no verdict.
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
    interval: tuple[float, float] | None = None
    better_baseline: str | None = None
    differences: dict[str, Estimate] = field(default_factory=dict)
    percent_change_interval: tuple[float, float] | None = None
    p_value_holm: float | None = None
    ceiling: Ceiling = field(default_factory=Ceiling)
    verdict_reason: str | None = None
    n_missing: int = 0

    @property
    def difference(self) -> Estimate | None:
        """The advantage over the better baseline."""
        return None if self.better_baseline is None else self.differences[self.better_baseline]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, in the layout of ``summary.json``."""
        best = self.difference
        return {
            "value": self.value,
            "interval": _ends(self.interval),
            **{f"{name}_baseline": value for name, value in self.baselines.items()},
            "percent_change_from_mean": self.percent_change_from_mean,
            "percent_change_interval": _ends(self.percent_change_interval),
            "compared_with": self.better_baseline,
            "difference": None if best is None else best.value,
            "difference_interval": None if best is None else _ends(best.interval),
            "p_value": None if best is None else best.p_value,
            "p_value_holm": self.p_value_holm,
            "differences": {
                name: {"value": d.value, "interval": _ends(d.interval), "p_value": d.p_value}
                for name, d in self.differences.items()
            },
            "duplicate": self.ceiling.duplicate,
            "scaled": self.ceiling.scaled,
            "scaled_interval": _ends(self.ceiling.scaled_interval),
            "discriminates": self.ceiling.discriminates,
            "n": self.n,
            "n_missing": self.n_missing,
            "higher_is_better": self.higher_is_better,
            "beats_baselines": self.beats_baselines,
            "verdict_reason": self.verdict_reason,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Summary:
    """Every metric, and all of them together.

    Parameters
    ----------
    metrics
        In the order of the registry.
    overall
        Verdicts counted.
    warnings
        What the reader should know.
    draws, seed
        What the intervals were made with.
    """

    metrics: dict[str, MetricSummary]
    overall: Overall
    warnings: tuple[str, ...]
    draws: int
    seed: int

    def intervals(self) -> dict[str, Any]:
        """Return how intervals were made, in the layout of ``summary.json``."""
        return {
            "method": "studentised bootstrap over perturbation labels",
            "level": LEVEL,
            "draws": self.draws,
            "seed": self.seed,
            "labels": self.overall.n_labels,
        }


def _ends(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)


def summarise(
    scores: Scores,
    *,
    ceilings: Mapping[str, Ceiling] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Summary:
    """Summarise every metric that was computed.

    Parameters
    ----------
    scores
        Of the predictions and of the baselines.
    ceilings
        Per metric, what a duplicate of the experiment would score, where that is known.
    draws, seed
        Of the intervals.
    """
    frames = {str(m): f for m, f in scores.groups.groupby("method", sort=False)}
    mine = frames[PREDICTIONS]
    labels = mine[PERTURBATION].to_numpy(object) if PERTURBATION in mine else np.arange(len(mine))
    sampler = Resampling(labels, draws=draws, seed=seed)
    warnings = list(scores.notes)
    computed = [metric for name, metric in METRICS.items() if name in mine]
    # Columns of a frame are found one by one slowly, and there are many.
    names = [metric.name for metric in computed]
    scored = {m: f[names].to_numpy(float).T.copy() for m, f in frames.items()}
    weights = mine["n_observations"].to_numpy(float)
    columns = [
        _Column(metric, {m: rows[k] for m, rows in scored.items()}, weights)
        for k, metric in enumerate(computed)
    ]
    estimated = _estimates(columns, sampler)
    summaries: dict[str, MetricSummary] = {}
    judged = []
    absent = max(scores.n_expected - len(mine), 0)
    only_absent = []
    for column, (own, differences, percent) in zip(columns, estimated, strict=True):
        name = column.metric.name
        lost = max(column.lost, scores.lost.get(name, 0)) if column.sign else 0
        unknown = Ceiling(reason=_NOT_CALIBRATED if column.sign else None)
        ceiling = (ceilings or {}).get(name, unknown)
        n_groups = int(np.isfinite(column.values).sum()) + lost
        summary, verdict = column.summary(own, differences, percent, ceiling, lost, n_groups)
        summaries[name] = summary
        if column.sign:
            p = None if summary.difference is None else summary.difference.p_value
            judged.append(Judged(name, verdict.better, verdict.draw, p, ceiling))
        if 0 < lost <= absent:
            only_absent.append(name)
        elif lost:
            warnings.append(
                f"{name} has no verdict: it is undefined for the predictions in {lost} of "
                f"{n_groups} groups where the truth has a value ({column.metric.undefined_when})."
            )
    if only_absent:
        which = "any metric" if len(only_absent) == len(judged) else ", ".join(only_absent)
        warnings.append(
            f"There is no verdict by {which}: {absent} of {scores.n_expected} groups are not "
            "predicted."
        )
    if sampler.n_labels < FEWEST_LABELS:
        warnings.append(
            f"Only {sampler.n_labels} perturbations are scored: intervals are rough, and there "
            f"is no verdict on fewer than {FEWEST_LABELS}."
        )
    p_holm = adjusted(judged)
    if p_holm and len(p_holm) * 2 / (draws + 1) > 1 - LEVEL:
        warnings.append(
            f"{draws} draws are too few for Holm's correction of {len(p_holm)} metrics: no "
            f"p-value is below 2 / {draws + 1}, so that none is significant after it."
        )
    return Summary(
        metrics={n: replace(m, p_value_holm=p_holm.get(n)) for n, m in summaries.items()},
        overall=overall(judged, sampler.n_labels, [m for m in frames if m != PREDICTIONS], p_holm),
        warnings=tuple(warnings),
        draws=draws,
        seed=seed,
    )


class _Column:
    """One metric of all methods, in the order of the groups."""

    def __init__(self, metric: Metric, scored: Mapping[str, Floats], weights: Floats) -> None:
        self.metric = metric
        self.weights = weights
        self.values = scored[PREDICTIONS]
        self.others = {
            m: values
            for m, values in scored.items()
            if m != PREDICTIONS and (not metric.of_cells or m in HAVE_CELLS)
        }
        self.compared = {m: compare(self.values, o, self.weights) for m, o in self.others.items()}
        self.sign = {Direction.HIGHER: 1, Direction.LOWER: -1, None: 0}[metric.direction]

    @property
    def lost(self) -> int:
        """Groups where a baseline has a value and the predictions have none."""
        return max((c.lost for c in self.compared.values()), default=0)

    def advantage(self, baseline: str) -> Floats:
        """Return how much better each group is, (groups,); 0 for what float32 cannot help."""
        other = self.others[baseline]
        difference = self.sign * (self.values - other)
        difference[np.abs(difference) <= EQUAL_WITHIN * np.abs(other)] = 0.0
        return np.asarray(difference)

    def percent(self) -> tuple[Floats, Floats]:
        """Return what is divided by what for the percent change from the mean, (groups,) each."""
        mean = np.where(np.isfinite(self.values), self.others["mean"], np.nan)
        total = np.nansum(self.weights * mean)
        return 100 * np.sign(total) * self.weights * self.advantage("mean"), self.weights * mean

    def summary(
        self,
        own: Estimate,
        differences: dict[str, Estimate],
        percent: Estimate | None,
        ceiling: Ceiling,
        lost: int,
        n_groups: int,
    ) -> tuple[MetricSummary, Judgement]:
        """Put together what is known of the metric."""
        change, better = None, None
        verdict = Judgement(None, "this metric describes; it is not better one way or the other")
        reasons = []
        if not self.sign:
            reasons.append(verdict.reason)
        else:
            change, why = percent_change(self.compared["mean"], self.sign)
            reasons += [] if why is None else [why]
            if change is not None and percent is not None and percent.reason is not None:
                reasons.append(f"no interval of the percent change: {percent.reason}")
            better = self._better_baseline()
            verdict = self._verdict(better, differences, ceiling, lost, n_groups)
        if own.value is not None and own.interval is None:
            reasons.append(f"no interval: {own.reason}")
        reasons += self._undefined()
        reasons += [] if ceiling.reason is None else [ceiling.reason]
        interval = own.within(self.metric.lower, self.metric.upper).interval
        summary = MetricSummary(
            name=self.metric.name,
            value=weighted_mean(self.values, self.weights),
            baselines={m: weighted_mean(o, self.weights) for m, o in self.others.items()},
            percent_change_from_mean=change,
            n=int(np.isfinite(self.values).sum()),
            higher_is_better=self.sign > 0 if self.sign else None,
            beats_baselines=verdict.better,
            reason="; ".join(reasons) or None,
            interval=interval,
            better_baseline=better,
            differences=differences,
            changes_of_baselines=_changes_of_baselines(self.others, self.weights, self.sign)
            if self.sign
            else {},
            percent_change_interval=None
            if percent is None or change is None
            else percent.interval,
            ceiling=ceiling,
            verdict_reason=verdict.reason,
            n_missing=lost,
        )
        return summary, verdict

    def _better_baseline(self) -> str | None:
        gains = {m: c.gain(self.sign) for m, c in self.compared.items()}
        known = {m: gain for m, gain in gains.items() if gain is not None}
        return min(known, key=known.__getitem__) if len(known) == len(gains) else None

    def _verdict(
        self,
        better: str | None,
        differences: dict[str, Estimate],
        ceiling: Ceiling,
        lost: int,
        n_groups: int,
    ) -> Judgement:
        if better is None:
            missing = [m for m, c in self.compared.items() if c.gain(self.sign) is None]
            return Judgement(
                None, f"no group has a value for the predictions and the {missing[0]} baseline"
            )
        return verdict_of(
            differences[better],
            better,
            self.compared[better].baseline or 0.0,
            lost=lost,
            n_groups=n_groups,
            discriminates=ceiling.discriminates,
        )

    def _undefined(self) -> list[str]:
        found = []
        groups, defined = len(self.values), np.isfinite(self.values)
        if not defined.all():
            missing = int((~defined).sum())
            found.append(
                f"undefined in {missing} of {groups} groups: {self.metric.undefined_when}"
            )
        for m, other in self.others.items():
            # Where the predictions have none either, that is said already.
            missing = int((defined & ~np.isfinite(other)).sum())
            if missing:
                found.append(f"the {m} baseline is undefined in {missing} of {groups} groups")
        return found


def _estimates(
    columns: list[_Column], sampler: Resampling
) -> list[tuple[Estimate, dict[str, Estimate], Estimate | None]]:
    """Estimate values, differences and percent changes of all metrics by the same draws."""
    tops: list[Floats] = []
    bottoms: list[Floats] = []

    def add(values: Floats, weights: Floats) -> int:
        tops.append(values * weights)
        bottoms.append(np.where(np.isfinite(values), weights, np.nan))
        return len(tops) - 1

    places = []
    for column in columns:
        own = add(column.values, column.weights)
        differences: dict[str, int] = {}
        percent = None
        if column.sign:
            differences = {m: add(column.advantage(m), column.weights) for m in column.others}
            for parts, part in zip((tops, bottoms), column.percent(), strict=True):
                parts.append(part)
            percent = len(tops) - 1
        places.append((own, differences, percent))
    found = sampler.ratio(np.column_stack(tops), np.column_stack(bottoms))
    estimates: list[tuple[Estimate, dict[str, Estimate], Estimate | None]] = []
    for column, (own, differences, percent) in zip(columns, places, strict=True):
        of_baselines = {m: found[k] for m, k in differences.items()}
        change = None
        if percent is not None:
            # Per cent: numerators in the metric's units, denominators a hundredth of it.
            unit = np.sign(np.nansum(bottoms[percent])) / 100
            change = sampler.agreeing(
                found[percent],
                of_baselines["mean"],
                tops[percent] * unit,
                bottoms[percent] * unit,
                column.weights,
            )
        estimates.append((found[own], of_baselines, change))
    return estimates


def _changes_of_baselines(
    others: dict[str, Floats], weights: Floats, sign: int
) -> dict[str, float]:
    """Compare the other baselines with the mean by the rule that predictions are compared by."""
    found = {
        name: percent_change(compare(values, others["mean"], weights), sign)[0]
        for name, values in others.items()
        if name != "mean"
    }
    return {name: percent for name, percent in found.items() if percent is not None}
