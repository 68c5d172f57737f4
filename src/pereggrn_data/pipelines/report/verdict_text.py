"""The verdict in words, for a reader who reads nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pereggrn_data.evaluators.summaries import verdict_phrase
from pereggrn_data.pipelines.report.report_data import (
    ReportData,
    ReportedRun,
    judged_metrics,
    number,
)


@dataclass(frozen=True)
class RunVerdict:
    """What is said of one run.

    Parameters
    ----------
    label, dataset
        Of the run.
    against
        What it is compared with: ``"the training mean and median"``.
    phrase
        ``"is better than"``, ``"cannot be told from"`` and the like.
    headline
        The verdict in a sentence.
    evidence
        Sentences that follow: by how much, with intervals; by how many metrics.
    """

    label: str
    dataset: str
    against: str
    phrase: str
    headline: str
    evidence: tuple[str, ...]

    @property
    def tone(self) -> str:
        """Which way it went: ``better``, ``worse`` or ``open``."""
        tones = {verdict_phrase(1, 0): "better", verdict_phrase(0, 1): "worse"}
        return tones.get(self.phrase, "open")


def verdict_in_words(run: ReportedRun) -> RunVerdict:
    """Say what the scores of a run mean, with intervals.

    Parameters
    ----------
    run
        One folder of scores.
    """
    said = run.part("verdict")
    holm = said.get("holm")
    holm = holm if isinstance(holm, Mapping) else {}
    better, worse = (_count(holm.get(key)) for key in ("better", "not_better"))
    phrase = verdict_phrase(better, worse)
    named = said.get("baselines")
    baselines = " and ".join(map(str, named)) if isinstance(named, list) and named else "mean"
    n = _count(said.get("n_perturbations"))
    held_out = f"{n} held-out perturbation{'' if n == 1 else 's'}"
    against = f"the training {baselines}"
    headline = f"{run.label} {phrase} {against}, on {held_out} of {run.dataset}."
    undecided = _count(holm.get("undecided"))
    evidence = [*_by_how_much(run), *_by_how_many(said, better, worse, undecided)]
    return RunVerdict(run.label, run.dataset, against, phrase, headline, tuple(evidence))


def main_metric(run: ReportedRun) -> str | None:
    """Return the metric that speaks for a run: mae, or the first that discriminates."""
    metrics = run.summary["metrics"]
    known = [n for n in judged_metrics() if n in metrics]
    able = [
        n
        for n in sorted(known, key=lambda name: name != "mae")
        if metrics[n].get("percent_change_from_mean") is not None
    ]
    seeing = [n for n in able if metrics[n].get("discriminates") is not False]
    return next(iter(seeing or able), None)


def _by_how_much(run: ReportedRun) -> list[str]:
    name = main_metric(run)
    if name is None:
        return ["No metric has a percent change from the mean."]
    m = run.summary["metrics"][name]
    percent = number(m.get("percent_change_from_mean"), name)
    way = f"{abs(percent):.1f} % {'better' if percent > 0 else 'worse'} than"
    own, of_mean = (short_number(m.get(key)) for key in ("value", "mean_baseline"))
    text = (
        f"By the {_spelt(name)} it is {way if percent else 'exactly as good as'} the mean of the "
        f"training data ({own} against {of_mean}; "
    )
    text += f"{_interval(m.get('percent_change_interval'), '{:+.1f} %')})."
    sentences = [text]
    scaled = number(m.get("scaled"), f"scaled {name}")
    if not math.isnan(scaled):
        sentences.append(
            f"Where 0 is that mean and 1 a repetition of the experiment, it stands at "
            f"{short_number(scaled)} ({_interval(m.get('scaled_interval'), '{:.2f}')})."
        )
    return sentences


def _spelt(name: str) -> str:
    """Write a metric so that one who has not met it knows what it is."""
    return f"mean absolute error ({name})" if name == "mae" else f"metric {name}"


def _interval(ends: Any, form: str) -> str:
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        return "there is no interval"
    low, high = (form.format(number(end, "interval")) for end in ends)
    return f"95 % interval {low} to {high}".replace("-", "\N{MINUS SIGN}")


def _by_how_many(said: Mapping[str, Any], better: int, worse: int, undecided: int) -> list[str]:
    total = better + worse + undecided
    sentences = []
    if total:
        sentences.append(
            f"Of {total} metrics, {better} say that it is better than the better of the "
            f"baselines, {worse} that it is not, and {undecided} leave it open (corrected for "
            "their number)."
        )
    blind = said.get("not_discriminating")
    if isinstance(blind, list) and blind:
        sentences.append(
            f"{len(blind)} {'more' if total else 'metrics'} do not count: on these data they "
            "cannot tell a repetition of the experiment from the mean."
        )
    return sentences


def lead(data: ReportData, verdicts: Sequence[RunVerdict]) -> list[str]:
    """Say in a sentence for each dataset what several runs come to."""
    if len(verdicts) == 1:
        return [verdicts[0].headline]
    sentences = []
    for dataset in data.datasets:
        of_phrase: dict[tuple[str, str], list[str]] = {}
        for verdict in verdicts:
            if verdict.dataset == dataset:
                of_phrase.setdefault((verdict.phrase, verdict.against), []).append(verdict.label)
        parts = []
        for (phrase, against), labels in of_phrase.items():
            names = labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
            verb = phrase if len(labels) == 1 else phrase.replace("is ", "are ", 1)
            parts.append(f"{names} {verb} {against}")
        sentences.append(f"On {dataset}, {'; '.join(parts)}.")
    return sentences


def short_number(value: Any) -> str:
    """Write a value of a metric; a dash where there is none."""
    found = number(value, "value")
    return "\N{EN DASH}" if math.isnan(found) else f"{found:.3g}".replace("-", "\N{MINUS SIGN}")


def _count(value: Any) -> int:
    found = number(value, "count")
    return 0 if math.isnan(found) else int(found)
