"""Is it really better? From differences with their intervals to verdicts, and to one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pereggrn_data.evaluators.summaries.intervals import FEWEST_LABELS, LEVEL, Estimate, holm

EQUAL_WITHIN = 1e-6
"""Relative difference that float32 predictions cannot help; it is a draw, not a win."""


@dataclass(frozen=True)
class Ceiling:
    """What a technical duplicate of the experiment would score by one metric.

    Parameters
    ----------
    duplicate
        Score of one half of the observations as a prediction of the other half;
        None where nothing was replicated.
    scaled
        0 where the predictions are as the training mean, 1 as the duplicate; not
        clipped, and None unless the duplicate is better than the mean beyond its
        interval.
    scaled_interval
        Its 95 % interval.
    discriminates
        Whether the duplicate is better than the mean beyond its interval; None where
        that is not known.
    reason
        Why something is missing.
    """

    duplicate: float | None = None
    scaled: float | None = None
    scaled_interval: tuple[float, float] | None = None
    discriminates: bool | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Judgement:
    """Whether predictions are better than the better baseline.

    Parameters
    ----------
    better
        True or False where the interval of the difference says so; None: undecided.
    reason
        Why, in words.
    draw
        Whether the two are equal.
    """

    better: bool | None
    reason: str
    draw: bool = False


def verdict_of(
    difference: Estimate,
    baseline: str,
    scale: float,
    *,
    lost: int,
    n_groups: int,
    discriminates: bool | None = None,
) -> Judgement:
    """Judge by the interval of the difference to the better baseline.

    Parameters
    ----------
    difference
        Predictions minus baseline, positive where the predictions are better.
    baseline
        Name of the better baseline.
    scale
        The baseline's value; smaller differences than a millionth of it are a draw.
    lost
        Groups of which the truth has a value and the predictions have none.
    n_groups
        All groups of which the truth has a value.
    discriminates
        Whether the metric can tell a duplicate of the experiment from the mean.
    """
    if discriminates is False:
        return Judgement(
            None,
            "does not discriminate here: a duplicate of the experiment does no better than "
            "the mean",
        )
    if lost:
        return Judgement(None, f"the predictions have no value in {lost} of {n_groups} groups")
    if difference.value is None:
        return Judgement(None, "no group has a value for the predictions and every baseline")
    if difference.n_labels < FEWEST_LABELS:
        return Judgement(
            None,
            f"{difference.n_labels} perturbations are too few for a verdict "
            f"({FEWEST_LABELS} or more)",
        )
    if difference.low is None or difference.high is None:
        return Judgement(None, difference.reason or "there is no interval")
    draw = EQUAL_WITHIN * abs(scale)
    if max(abs(difference.low), abs(difference.high)) <= draw:
        return Judgement(False, f"a draw with the {baseline} baseline", draw=True)
    if difference.low > 0:
        return Judgement(True, f"better than the {baseline} baseline beyond the interval")
    if difference.high <= 0:
        return Judgement(False, f"worse than the {baseline} baseline beyond the interval")
    return Judgement(None, f"the interval of the difference to the {baseline} baseline includes 0")


@dataclass(frozen=True)
class Judged:
    """What is counted of one metric.

    Parameters
    ----------
    name
        Of the metric.
    verdict
        True, False or None.
    draw
        Whether it is False because the two are equal, of which no p-value tells.
    p_value
        Of the difference to the better baseline.
    ceiling
        What a duplicate would score.
    """

    name: str
    verdict: bool | None
    draw: bool
    p_value: float | None
    ceiling: Ceiling


@dataclass(frozen=True)
class Counts:
    """Number of metrics by verdict."""

    better: int
    not_better: int
    undecided: int

    def __str__(self) -> str:
        return (
            f"better in {self.better}, not better in {self.not_better}, "
            f"undecided in {self.undecided}"
        )


@dataclass(frozen=True)
class Overall:
    """All metrics together.

    Parameters
    ----------
    n_labels
        Number of held-out perturbations.
    baselines
        What was compared with.
    counts
        Metrics by verdict, those that do not discriminate left out.
    holm
        The same after Holm's correction for the number of metrics.
    not_discriminating
        Metrics that were left out.
    scaled
        Median of the scaled scores; None without any.
    n_scaled
        Number of metrics that have one.
    duplicate_known
        Whether it is known how a duplicate would score.
    """

    n_labels: int
    baselines: tuple[str, ...]
    counts: Counts
    holm: Counts
    not_discriminating: tuple[str, ...]
    scaled: float | None
    n_scaled: int
    duplicate_known: bool

    def sentence(self, method: str, dataset: str) -> str:
        """Say it in plain words.

        Parameters
        ----------
        method
            What was scored.
        dataset
            Where.
        """
        n_metrics = self.counts.better + self.counts.not_better + self.counts.undecided
        noun = "perturbation" if self.n_labels == 1 else "perturbations"
        # All that a reader must decide is whether; by how much stands below.
        verdict = verdict_phrase(self.holm.better, self.holm.not_better)
        names = " and ".join(self.baselines)
        said = (
            f"{method} on {self.n_labels} held-out {noun} of {dataset} {verdict} the training "
            f"{names}: {self.counts} of {n_metrics} metrics (with Holm's correction: "
            f"{self.holm.better}, {self.holm.not_better}, {self.holm.undecided})"
        )
        if self.not_discriminating:
            said += (
                f"; {len(self.not_discriminating)} more metrics cannot tell a duplicate of the "
                "experiment from the mean"
            )
        if self.scaled is not None:
            said += (
                f"; half of the {self.n_scaled} scaled scores are above {self.scaled:.2f}, where "
                "0 is the training mean and 1 a duplicate of the experiment"
            )
        elif not self.duplicate_known:
            said += "; how well a duplicate of the experiment would do is not known"
        return said + "."

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, in the layout of ``summary.json``."""
        return {
            "n_perturbations": self.n_labels,
            "baselines": list(self.baselines),
            "better": self.counts.better,
            "not_better": self.counts.not_better,
            "undecided": self.counts.undecided,
            "holm": {
                "better": self.holm.better,
                "not_better": self.holm.not_better,
                "undecided": self.holm.undecided,
            },
            "not_discriminating": list(self.not_discriminating),
            "median_scaled": self.scaled,
        }


def verdict_phrase(better: int, not_better: int) -> str:
    """Say whether, from the numbers of metrics with a verdict after Holm's correction.

    Examples
    --------
    >>> verdict_phrase(3, 0), verdict_phrase(0, 0)
    ('is better than', 'cannot be told from')
    """
    if better and not_better:
        return "is better by some metrics and not by others than"
    if better:
        return "is better than"
    return "is not better than" if not_better else "cannot be told from"


def adjusted(judged: Sequence[Judged]) -> dict[str, float]:
    """Return p-values after Holm's correction, of the metrics that can make a verdict."""
    eligible = [j for j in judged if j.ceiling.discriminates is not False]
    with_p = [(j.name, j.p_value) for j in eligible if j.p_value is not None]
    return dict(zip([n for n, _ in with_p], holm([p for _, p in with_p]), strict=True))


def overall(
    judged: Sequence[Judged], n_labels: int, baselines: Sequence[str], p_holm: Mapping[str, float]
) -> Overall:
    """Count verdicts, raw and corrected."""
    eligible = [j for j in judged if j.ceiling.discriminates is not False]
    scaled = [j.ceiling.scaled for j in eligible if j.ceiling.scaled is not None]
    corrected = [
        j.verdict if j.draw or p_holm.get(j.name, 1.0) <= 1 - LEVEL else None for j in eligible
    ]
    return Overall(
        n_labels=n_labels,
        baselines=tuple(baselines),
        counts=_counts([j.verdict for j in eligible]),
        holm=_counts(corrected),
        not_discriminating=tuple(j.name for j in judged if j.ceiling.discriminates is False),
        scaled=median(scaled) if scaled else None,
        n_scaled=len(scaled),
        duplicate_known=any(j.ceiling.discriminates is not None for j in judged),
    )


def _counts(verdicts: Sequence[bool | None]) -> Counts:
    return Counts(
        better=sum(v is True for v in verdicts),
        not_better=sum(v is False for v in verdicts),
        undecided=sum(v is None for v in verdicts),
    )
