"""Folders with scores that a repository can collect, and the check that its CI runs."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.errors import InvalidDataError, PereggrnError, UsageError
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.core.version import software
from pereggrn_data.evaluators import PREDICTIONS, Scores, group_names
from pereggrn_data.evaluators.metrics import METRICS
from pereggrn_data.evaluators.summaries import Overall, summarise, verdict_phrase
from pereggrn_data.loaders.files import read_json, read_toml
from pereggrn_data.loaders.files.any_file import (
    existing_path,
    write_table,
    write_text,
    written_together,
)
from pereggrn_data.pipelines.compare.scored_runs import (
    SCORES_FILE,
    SUMMARY_FILE,
    ScoredRun,
    group_columns,
    known_metrics,
    read_run,
    require_groups,
)

if TYPE_CHECKING:
    import pandas as pd

METHOD_FILE, SIGNATURE_FILE, RESULTS_FILE = (
    "method.toml",
    "signature.txt",
    "evaluation_results.json",
)
FILES = (METHOD_FILE, SIGNATURE_FILE, SUMMARY_FILE, SCORES_FILE, RESULTS_FILE)
TOLERANCE = 1e-6
"""Relative difference between a stated value and the one that its scores give."""

_LINK = re.compile(r"https?://[^\s]+\.[^\s]+")


@dataclass(frozen=True)
class About:
    """What ``method.toml`` says of a method.

    Parameters
    ----------
    name, version
        Of the method.
    link
        Where it is described, ``https://...``.
    command
        How its predictions were made.
    """

    name: str
    version: str
    link: str
    command: str

    def problems(self) -> list[str]:
        """Say what is missing."""
        found = [
            f"{METHOD_FILE}: {f.name} is empty."
            for f in fields(self)
            if not str(getattr(self, f.name)).strip()
        ]
        if self.link.strip() and not _LINK.fullmatch(self.link.strip()):
            found.append(f"{METHOD_FILE}: link is no address: {self.link!r}.")
        return found

    def to_toml(self) -> str:
        """Return the content of ``method.toml``."""
        # A string of JSON is one of TOML, but for this one character.
        return "".join(
            f"{name} = {dumps(value).replace(chr(127), '')}\n"
            for name, value in asdict(self).items()
        )


def write_submission(run: str | Path, folder: str | Path, about: About) -> list[Path]:
    """Write a folder with the scores of a run, and who made them.

    Parameters
    ----------
    run
        A folder that `score` wrote.
    folder
        Where the files go.
    about
        The method.

    Returns
    -------
    list of Path
        ``method.toml``, ``signature.txt``, ``summary.json``, ``scores.parquet`` and
        ``evaluation_results.json``.

    Raises
    ------
    UsageError
        If something is not said of the method, scores of groups are missing, or the files
        cannot be written; then none of them is.
    """
    problems = about.problems()
    if problems:
        raise UsageError(
            "The method is not described.",
            expected="a name, a version, a link and the command",
            details=problems,
        )
    read = read_run(run)
    groups = require_groups(read, "write a submission")
    folder = Path(folder)
    with written_together(folder, SUMMARY_FILE) as place:
        write_text(about.to_toml(), place / METHOD_FILE)
        write_text(f"{read.summary['signature']}\n", place / SIGNATURE_FILE)
        write_text(dumps(read.summary) + "\n", place / SUMMARY_FILE)
        write_table(groups, place / SCORES_FILE)
        write_text(dumps(evaluation_results(read, groups)) + "\n", place / RESULTS_FILE)
    return [folder / name for name in FILES]


def check_submission(folder: str | Path) -> list[str]:
    """Check a submission: all files, a method that is described, and scores that add up.

    Values, baselines, intervals, p-values and verdicts of the summary are computed again
    from the scores of groups. What a duplicate of the experiment would score, and which groups
    are not predicted, they do not hold: that is taken as the summary says it.

    Returns
    -------
    list of str
        Every problem; empty for a good submission.
    """
    folder = Path(folder)
    missing = [name for name in FILES if existing_path(folder / name) is None]
    if missing:
        return [f"{name} is missing." for name in missing]
    problems = _problems_of_method(folder / METHOD_FILE)
    try:
        run = read_run(folder)
        groups = require_groups(run, "check a submission")
    except PereggrnError as error:
        return [*problems, *str(error).splitlines()[:1]]
    stated = (folder / SIGNATURE_FILE).read_text(encoding="utf-8", errors="replace").strip()
    if stated != run.summary["signature"]:
        problems.append(f"{SIGNATURE_FILE} is not the signature in {SUMMARY_FILE}.")
    problems += _problems_of_values(run, groups)
    problems += _problems_of_results(folder / RESULTS_FILE, run, groups)
    return problems


def _problems_of_method(file: Path) -> list[str]:
    try:
        values = read_toml(file)
    except InvalidDataError as error:
        return [f"{METHOD_FILE} is no TOML: {error.got or error.what}."]
    wanted = [f.name for f in fields(About)]
    absent = [n for n in wanted if not isinstance(values.get(n), str)]
    if absent:
        return [f"{METHOD_FILE} does not say {', '.join(absent)}."]
    return About(**{name: values[name] for name in wanted}).problems()


def _problems_of_values(run: ScoredRun, groups: pd.DataFrame) -> list[str]:
    """Compare the summary with what the scores give."""
    said = run.summary
    if run.drawn is None:
        return [f"{SUMMARY_FILE} does not say how its intervals were made."]
    draws, seed = run.drawn
    problems = []
    n = int((groups["method"] == PREDICTIONS).sum())
    if said.get("n_scored") != n:
        problems.append(
            f"{SUMMARY_FILE} says n_scored {said.get('n_scored')}, and scores have {n}."
        )
    made = summarise(
        Scores(groups, groups.iloc[:0], n, lost=run.lost),
        ceilings=run.ceilings,
        draws=draws,
        seed=seed,
    )
    for name, stated in said["metrics"].items():
        if name not in made.metrics:
            problems.append(f"{name} is no metric that this version knows.")
            continue
        computed = made.metrics[name].to_dict()
        for key, value in computed.items():
            if key in _CHECKED or key.endswith(("_baseline", "_interval")):
                if key.startswith("scaled"):
                    continue
                if key not in stated:
                    problems.append(f"{name}: {SUMMARY_FILE} does not say {key}.")
                elif not _alike(stated[key], value, 10 / draws if key == "p_value" else 1e-12):
                    problems.append(
                        f"{name}: {key} is {stated[key]}, and its scores give {value}."
                    )
    return [*problems, *_problems_of_verdict(said.get("verdict"), made.overall)]


_CHECKED = (
    "value", "interval", "percent_change_from_mean", "compared_with", "difference", "p_value", "n",
    "n_missing", "beats_baselines",
)  # fmt: skip
"""What is computed again of each metric, beside baselines and intervals."""


def _problems_of_verdict(stated: Any, made: Overall) -> list[str]:
    """Compare what stands above the metrics with what they give."""
    if not isinstance(stated, dict) or not isinstance(stated.get("sentence"), str):
        return [f"{SUMMARY_FILE} has no verdict."]
    problems = [
        f"verdict: {key} is {stated.get(key)}, and the metrics give {value}."
        for key, value in json.loads(dumps(made.to_dict())).items()
        if not _alike(stated.get(key), value)
    ]
    phrase = verdict_phrase(made.holm.better, made.holm.not_better)
    if phrase not in stated["sentence"] or str(made.counts) not in stated["sentence"]:
        problems.append(
            f"verdict: the sentence does not say that the method {phrase} the baselines, "
            f"{made.counts}."
        )
    return problems


def _problems_of_results(file: Path, run: ScoredRun, groups: pd.DataFrame) -> list[str]:
    try:
        values = read_json(file)
    except InvalidDataError as error:
        return [f"{RESULTS_FILE} is no JSON: {error.got or error.what}."]
    if not isinstance(values, dict) or "metrics" not in values:
        return [f"{RESULTS_FILE} has no metrics."]
    computed = json.loads(dumps(evaluation_results(run, groups)))
    return [] if values["metrics"] == computed["metrics"] else [
        f"{RESULTS_FILE} does not hold the metrics that the scores give."
    ]  # fmt: skip


def _alike(stated: Any, computed: Any, atol: float = 1e-12) -> bool:
    """Whether two values are equal, numbers up to rounding."""
    if isinstance(stated, bool) or isinstance(computed, bool):
        return stated is computed
    if stated == computed:
        return True
    if stated is None or computed is None:
        return False
    try:
        return bool(np.allclose(stated, computed, rtol=TOLERANCE, atol=atol))
    except (TypeError, ValueError):
        return False


STATISTICS = {
    "count": ("Count", "Number of groups, those without a value included.", "sum"),
    "null_count": ("Null count", "Number of groups without a value.", "sum"),
    "weighted_mean": (
        "Weighted mean",
        "Mean over the groups that have a value, weighted by their observations.",
        "none",
    ),
}


def evaluation_results(run: ScoredRun, groups: pd.DataFrame) -> dict[str, Any]:
    """Return scores in the layout of cell-eval2's ``evaluation_results.json``, version 1.

    ``suite``, ``statistics``, ``axes`` and ``metrics`` with the version of each, as
    the documentation of cell-eval2 0.20 describes them. The suite is ours, and so are the
    metrics.
    """
    own = groups[groups["method"] == PREDICTIONS]
    labels = group_names(own, group_columns(own))
    name, _, version = software().rpartition(" ")
    metrics = {}
    for metric in (METRICS[n] for n in known_metrics(own) if n in run.summary["metrics"]):
        values = [float(v) if np.isfinite(v) else None for v in own[metric.name].to_numpy(float)]
        headline: dict[str, Any] = {
            "statistic": "weighted_mean",
            "direction": None if metric.direction is None else str(metric.direction),
        }
        bounds = {"min": metric.lower, "max": metric.upper}
        headline |= {key: bound for key, bound in bounds.items() if bound is not None}
        metrics[metric.name] = {
            "version": metric.version,
            "headline": headline,
            "display_name": metric.name.replace("_", " "),
            "description": metric.description,
            "statistics": {
                "count": len(values),
                "null_count": values.count(None),
                "weighted_mean": run.summary["metrics"][metric.name]["value"],
            },
            "axis": "group",
            "values": values,
        }
    if not metrics:
        raise InvalidDataError(f"{run.path} has no metric that this version knows.")
    return {
        "schema_version": 1,
        "suite": {
            "name": name.replace("-", "_"),
            "version": version,
            "commit": None,
            "settings": {"signature": run.summary["signature"], "dataset": run.dataset},
        },
        "statistics": {
            key: {"display_name": shown, "description": about, "combine": combine}
            for key, (shown, about, combine) in STATISTICS.items()
        },
        "axes": {
            "group": {
                "display_name": "Group",
                "description": "Held-out observations of one "
                + ", ".join(group_columns(own))
                + ".",
                "labels": labels,
            }
        },
        "metrics": metrics,
    }
