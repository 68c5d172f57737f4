"""From scores per group to one line per metric, and to all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pereggrn_data.evaluators.scoring import Scores
from pereggrn_data.evaluators.summaries.intervals import (
    DRAWS,
    FEWEST_LABELS,
    LEVEL,
    Estimate,
    Resampling,
)
from pereggrn_data.evaluators.summaries.measured_metrics import MeasuredMetric, ScoredMetrics
from pereggrn_data.evaluators.summaries.verdicts import (
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
    scored = ScoredMetrics.of(scores)
    sampler = Resampling(scored.labels, draws=draws, seed=seed)
    warnings = list(scores.notes)
    summaries: dict[str, MetricSummary] = {}
    judged = []
    absent = max(scores.n_expected - len(scored.labels), 0)
    only_absent = []
    for measured in scored.measured(sampler):
        name, sign = measured.metric.name, measured.sign
        lost = max(measured.lost, scores.lost.get(name, 0)) if sign else 0
        unknown = Ceiling(reason=_NOT_CALIBRATED if sign else None)
        ceiling = (ceilings or {}).get(name, unknown)
        n_groups = measured.n + lost
        summary, verdict = _judge(measured, ceiling, lost, len(scored.labels))
        summaries[name] = summary
        if sign:
            p = None if summary.difference is None else summary.difference.p_value
            judged.append(Judged(name, verdict.better, verdict.draw, p, ceiling))
        if 0 < lost <= absent:
            only_absent.append(name)
        elif lost:
            warnings.append(
                f"{name} has no verdict: it is undefined for the predictions in {lost} of "
                f"{n_groups} groups where the truth has a value "
                f"({measured.metric.undefined_when})."
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
        overall=overall(judged, sampler.n_labels, scored.baselines, p_holm),
        warnings=tuple(warnings),
        draws=draws,
        seed=seed,
    )


def _judge(
    measured: MeasuredMetric, ceiling: Ceiling, lost: int, groups: int
) -> tuple[MetricSummary, Judgement]:
    """Put together what is known of a metric, and whether it says that predictions are better.

    Parameters
    ----------
    measured
        The metric over all groups that were scored.
    ceiling
        What a duplicate of the experiment would score.
    lost
        Number of held-out groups of which the truth has a value and the predictions none.
    groups
        Number of groups that were scored.
    """
    better = None
    verdict = Judgement(None, "this metric describes; it is not better one way or the other")
    if measured.sign:
        better = _better_baseline(measured)
        verdict = _verdict(measured, better, ceiling, lost)
    reasons = [
        None if measured.sign else verdict.reason,
        measured.percent_reason,
        None if measured.no_interval is None else f"no interval: {measured.no_interval}",
        *_undefined(measured, groups),
        ceiling.reason,
    ]
    summary = MetricSummary(
        name=measured.metric.name,
        value=measured.value,
        baselines=measured.baselines,
        percent_change_from_mean=measured.percent_change,
        n=measured.n,
        higher_is_better=measured.sign > 0 if measured.sign else None,
        beats_baselines=verdict.better,
        reason="; ".join(reason for reason in reasons if reason is not None) or None,
        interval=measured.interval,
        better_baseline=better,
        differences=measured.differences,
        changes_of_baselines=measured.changes_of_baselines,
        percent_change_interval=measured.percent_interval,
        ceiling=ceiling,
        verdict_reason=verdict.reason,
        n_missing=lost,
    )
    return summary, verdict


def _better_baseline(measured: MeasuredMetric) -> str | None:
    gains = {m: c.gain(measured.sign) for m, c in measured.compared.items()}
    known = {m: gain for m, gain in gains.items() if gain is not None}
    return min(known, key=known.__getitem__) if len(known) == len(gains) else None


def _verdict(
    measured: MeasuredMetric, better: str | None, ceiling: Ceiling, lost: int
) -> Judgement:
    if better is None:
        missing = [m for m, c in measured.compared.items() if c.gain(measured.sign) is None]
        return Judgement(
            None, f"no group has a value for the predictions and the {missing[0]} baseline"
        )
    return verdict_of(
        measured.differences[better],
        better,
        measured.compared[better].baseline or 0.0,
        lost=lost,
        n_groups=measured.n + lost,
        discriminates=ceiling.discriminates,
    )


def _undefined(measured: MeasuredMetric, groups: int) -> list[str]:
    found = []
    if measured.n < groups:
        found.append(
            f"undefined in {groups - measured.n} of {groups} groups: "
            f"{measured.metric.undefined_when}"
        )
    # Where the predictions have none either, that is said already.
    return found + [
        f"the {m} baseline is undefined in {missing} of {groups} groups"
        for m, missing in measured.undefined.items()
        if missing
    ]
