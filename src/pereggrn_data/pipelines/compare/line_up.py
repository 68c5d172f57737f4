"""Line up runs whose signatures agree: several methods, several seeds, several datasets."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.errors import (
    InvalidDataError,
    UnknownNameError,
    UsageError,
    first_few,
    or_list,
)
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.evaluators import PREDICTIONS, Scores
from pereggrn_data.evaluators.metrics import METRICS, Direction
from pereggrn_data.evaluators.summaries import (
    DRAWS,
    SIGNATURE_PARTS,
    Ceiling,
    MetricSummary,
    summarise,
)
from pereggrn_data.loaders.files.any_file import write_table, write_text
from pereggrn_data.pipelines.compare.scored_runs import (
    ScoredRun,
    in_order,
    known_metrics,
    read_run,
    require_groups,
)
from pereggrn_data.pipelines.score import ScoreOptions

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".json", ".md")

NOTE = (
    "Values with 95 % intervals over perturbations; #1 is the best rank, and shared where "
    "intervals overlap."
)


def compare(
    runs: str | Path | Sequence[str | Path],
    *,
    allow: str | Collection[str] = (),
    draws: int | None = None,
    draws_seed: int | None = None,
) -> pd.DataFrame:
    """Compare what several runs of `score` wrote.

    Parameters
    ----------
    runs
        Folders or ``summary.json`` files; ``NAME=PATH`` names the method. Runs of one
        method on one dataset are pooled: those of several splits as blocks, which
        every other method must have too, those of equal signatures as repeats, which
        are averaged group by group.
    allow
        Parts of the signature in which runs may differ all the same, such as
        ``"software"``: names of parts that a signature can have.
    draws, draws_seed
        Of the intervals, as in `score`; by default those of the runs, where all have the same
        (else 2000, and 0). A run of which there is no more than a
        ``summary.json`` has those that are stated there.

    Returns
    -------
    DataFrame
        One row per dataset, metric and method, the mean and the median of the training
        data among them: ``value`` with ``low`` and ``high`` (95 %), ``rank`` (1 plus
        the number of methods that are better beyond both intervals; equal where
        intervals overlap; none where the method has no value for groups that the metric is
        about, whose mean over the others is of another cohort),
        ``percent_change_from_mean`` with ``percent_low`` and ``percent_high``,
        ``beats_baselines`` (as in ``summary.json``: none by a metric that lacks values, or of
        which a run says that it does not discriminate), ``n_groups``, ``n_missing``,
        ``n_perturbations`` and ``runs``.

    Raises
    ------
    InvalidDataError
        If signatures differ in a part that is not allowed to, naming it; or if baselines
        differ where signatures do not.
    UnknownNameError
        If no signature has a part that is allowed to differ; with near matches.
    UsageError
        If there is nothing to compare, blocks cannot be pooled, or there are too few draws.
    """
    from pereggrn_data.pipelines.compare.comparison_table import ComparisonTable

    if isinstance(runs, (str, os.PathLike)) or not isinstance(runs, Iterable):
        runs = [runs]
    if not runs:
        raise UsageError("There is nothing to compare.", expected="one run or more", got="none")
    # The same rules as there, before anything is read.
    ScoreOptions(draws=DRAWS if draws is None else draws, draws_seed=draws_seed or 0)
    read = [read_run(run) for run in runs]
    drawn = {run.drawn for run in read}
    of_runs = (drawn.pop() if len(drawn) == 1 else None) or (DRAWS, 0)
    draws = of_runs[0] if draws is None else draws
    draws_seed = of_runs[1] if draws_seed is None else draws_seed
    _require_agreement(read, known_parts({allow} if isinstance(allow, str) else set(allow), read))
    _require_same_baselines(read)
    rows: list[dict[str, Any]] = []
    for dataset in dict.fromkeys(run.dataset for run in read):
        here = [run for run in read if run.dataset == dataset]
        methods = {
            m: [r for r in here if r.method == m] for m in dict.fromkeys(r.method for r in here)
        }
        of_dataset = []
        for method, own in methods.items():
            of_dataset += _rows(method, own, draws, draws_seed)
        # The baselines are the same for all methods, with the signatures.
        first = next(iter(methods.values()))
        if first[0].groups is not None:
            for baseline in first[0].baselines:
                of_dataset += _rows(baseline, first, draws, draws_seed, of=baseline)
        rows += [{"dataset": dataset, **row} for row in _ranked(of_dataset)]
    return ComparisonTable(rows)


def known_parts(named: set[str], runs: Sequence[ScoredRun]) -> set[str]:
    """Check that there are such parts: one that is misspelt would allow nothing, silently.

    Parameters
    ----------
    named
        Names of parts.
    runs
        Whose signatures may have parts of their own.

    Raises
    ------
    UnknownNameError
        For the first that no signature has.
    """
    # Runs of several files, or of another version, may have parts of their own.
    known = dict.fromkeys([*SIGNATURE_PARTS, *(part for run in runs for part in run.parts)])
    for name in sorted(named):
        if name not in known:
            raise UnknownNameError(
                "part of a signature", name, known, fix=f"the parts are {or_list(list(known))}."
            )
    return named


def _require_agreement(runs: Sequence[ScoredRun], allow: set[str]) -> None:
    """Check that, on each dataset, every method has runs with the same signatures."""
    for dataset in dict.fromkeys(run.dataset for run in runs):
        here = [run for run in runs if run.dataset == dataset]
        blocks: dict[str, set[tuple[tuple[str, str], ...]]] = {}
        for run in here:
            blocks.setdefault(run.method, set()).add(_block(run, allow))
        wanted = set().union(*blocks.values())
        for run in here:
            lacking = wanted - blocks[run.method]
            if not lacking:
                continue
            own = dict(_block(run, allow))
            # The nearest of the others says what is the matter.
            other = dict(min(lacking, key=lambda b: len(set(b) ^ set(own.items()))))
            parts = [p for p in {**own, **other} if own.get(p) != other.get(p)]
            whose = [r for r in here if dict(_block(r, allow)) == other]
            shown = [
                f"{p}: {own.get(p, '(absent)')} in {run.path}, "
                f"{other.get(p, '(absent)')} in {whose[0].path}"
                for p in parts
            ]
            raise InvalidDataError(
                f"Runs on {dataset} cannot be compared: their signatures differ in "
                f"{', '.join(parts)}.",
                expected="every method with the same signatures",
                got="others",
                details=shown,
                fix="score all of them alike, or say "
                + " ".join(f"--allow {p}" for p in parts)
                + " if that makes no difference.",
            )


def _require_same_baselines(runs: Sequence[ScoredRun]) -> None:
    """Check that runs with equal signatures have equal baselines: nothing else stands for that.

    Only metrics of genes are compared: forests and components may differ with the version of
    scikit-learn.
    """
    first: dict[str, ScoredRun] = {}
    for run in runs:
        if run.groups is None:
            continue
        before = first.setdefault(str(run.summary["signature"]), run)
        differing = [] if before is run else _unlike_baselines(run, before)
        if differing:
            raise InvalidDataError(
                f"{run.path} and {before.path} have equal signatures and other baselines.",
                expected="equal scores of the baselines, which depend on the data alone",
                got=f"others: {first_few(differing)}",
                fix="score both again; the scores of one of them were changed.",
            )


def _unlike_baselines(run: ScoredRun, other: ScoredRun) -> list[str]:
    frames = [in_order(require_groups(r, "compare baselines")) for r in (run, other)]
    found = []
    for name in (b for b in run.baselines if b in other.baselines):
        mine, theirs = (frame[frame["method"] == name] for frame in frames)
        for metric in known_metrics(mine):
            if METRICS[metric].compute is None or metric not in theirs:
                continue
            a, b = (frame[metric].to_numpy(float) for frame in (mine, theirs))
            if a.shape != b.shape or not np.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True):
                found.append(f"{name} by {metric}")
    return found


def _block(run: ScoredRun, allow: set[str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((k, v) for k, v in run.parts.items() if k not in allow))


def _rows(
    method: str, runs: Sequence[ScoredRun], draws: int, seed: int, *, of: str = PREDICTIONS
) -> list[dict[str, Any]]:
    """Summarise one method on one dataset; `of` names a baseline to take instead of it."""
    if len(runs) == 1 and runs[0].groups is None:
        return [_from_summary(method, name, m) for name, m in runs[0].summary["metrics"].items()]
    frame = _pooled(runs)
    if of != PREDICTIONS:
        own = frame[frame["method"] == of].assign(method=PREDICTIONS)
        frame = _joined([own, frame[frame["method"] != PREDICTIONS]])
    judged = runs if of == PREDICTIONS else ()
    summary = summarise(
        Scores(frame, frame.iloc[:0], 0, lost=_lost(judged)),
        ceilings=_ceilings(judged),
        draws=draws,
        seed=seed,
    )
    n_labels = summary.overall.n_labels
    return [
        _row(method, name, m, n_labels, len(runs), is_baseline=of != PREDICTIONS)
        for name, m in summary.metrics.items()
    ]


def _lost(runs: Sequence[ScoredRun]) -> dict[str, int]:
    """Add up over blocks what a method lacks; of repeats, that of the one that lacks most."""
    of_blocks: dict[str, dict[str, int]] = {}
    for run in runs:
        most = of_blocks.setdefault(str(run.summary["signature"]), {})
        for metric, n in run.lost.items():
            most[metric] = max(n, most.get(metric, 0))
    total: dict[str, int] = {}
    for of_block in of_blocks.values():
        for metric, n in of_block.items():
            total[metric] = total.get(metric, 0) + n
    return total


def _ceilings(runs: Sequence[ScoredRun]) -> dict[str, Ceiling]:
    """Take the metrics that do not discriminate in one of the runs; they make no verdict."""
    return {
        metric: Ceiling(discriminates=False)
        for run in runs
        for metric, ceiling in run.ceilings.items()
        if ceiling.discriminates is False
    }


def _row(
    method: str, metric: str, m: MetricSummary, n_labels: int, runs: int, *, is_baseline: bool
) -> dict[str, Any]:
    low, high = m.interval or (None, None)
    percent_low, percent_high = m.percent_change_interval or (None, None)
    return {
        "metric": metric,
        "method": method,
        "is_baseline": is_baseline,
        "value": m.value,
        "low": low,
        "high": high,
        "percent_change_from_mean": m.percent_change_from_mean,
        "percent_low": percent_low,
        "percent_high": percent_high,
        # A baseline is not judged by itself.
        "beats_baselines": None if is_baseline else m.beats_baselines,
        "n_groups": m.n,
        "n_missing": m.n_missing,
        "n_perturbations": n_labels,
        "runs": runs,
    }


def _from_summary(method: str, metric: str, m: Any) -> dict[str, Any]:
    low, high = m.get("interval") or (None, None)
    percent_low, percent_high = m.get("percent_change_interval") or (None, None)
    return {
        "metric": metric,
        "method": method,
        "is_baseline": False,
        "value": m["value"],
        "low": low,
        "high": high,
        "percent_change_from_mean": m.get("percent_change_from_mean"),
        "percent_low": percent_low,
        "percent_high": percent_high,
        "beats_baselines": m.get("beats_baselines"),
        "n_groups": m.get("n"),
        "n_missing": m.get("n_missing"),
        "n_perturbations": None,
        "runs": 1,
    }


def _pooled(runs: Sequence[ScoredRun]) -> pd.DataFrame:
    """Put blocks below each other, and average repeats of one block group by group."""
    blocks: dict[str, list[Any]] = {}
    for run in runs:
        frame = in_order(require_groups(run, "pool several runs of one method"))
        blocks.setdefault(str(run.summary["signature"]), []).append(frame)
    averaged = []
    for frames in blocks.values():
        first = frames[0].copy()
        for metric in known_metrics(first):
            # A group that one repeat has no value for has no average either.
            first[metric] = sum(f[metric].to_numpy(float) for f in frames) / len(frames)
        averaged.append(first)
    return _joined(averaged)


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def _ranked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give ranks metric by metric: 1 plus the number of methods that are surely better."""
    metrics = dict.fromkeys(row["metric"] for row in rows)
    ranked = []
    for metric in metrics:
        here = [row for row in rows if row["metric"] == metric]
        known = METRICS.get(metric)
        for row in here:
            rank = None
            if known is not None and known.direction is not None and _comparable(row):
                higher = known.direction is Direction.HIGHER
                rank = 1 + sum(_surely_better(other, row, higher=higher) for other in here)
            ranked.append({**row, "rank": rank})
    return ranked


def _comparable(row: Mapping[str, Any]) -> bool:
    """Whether a row has an interval, and of the groups that the metric is about."""
    return row["low"] is not None and not row["n_missing"]


def _surely_better(one: dict[str, Any], other: dict[str, Any], *, higher: bool) -> bool:
    if not (_comparable(one) and _comparable(other)):
        return False
    return bool(one["low"] > other["high"] if higher else one["high"] < other["low"])


def side_by_side(table: pd.DataFrame) -> dict[str, tuple[list[str], list[list[str | None]]]]:
    """Return what is shown of each dataset: headings, and one row of text per metric.

    Cells are a value with its interval, and the rank behind a ``#``.
    """
    shown = {}
    for dataset, here in table.groupby("dataset", sort=False):
        methods = list(dict.fromkeys(here["method"]))
        rows: list[list[str | None]] = []
        for metric, of_metric in here.groupby("metric", sort=False):
            if of_metric["rank"].isna().all():
                continue
            cells = {r["method"]: _cell(r) for r in of_metric.to_dict("records")}
            rows.append([str(metric), *(cells.get(m) for m in methods)])
        shown[str(dataset)] = (["metric", *methods], rows)
    return shown


def _cell(row: Any) -> str | None:
    import pandas as pd

    if pd.isna(row["value"]):
        return None
    text = f"{row['value']:.3g}"
    if not pd.isna(row["low"]):
        text += f" [{row['low']:.3g}, {row['high']:.3g}]"
    return text if pd.isna(row["rank"]) else f"{text} #{int(row['rank'])}"


def write_comparison(table: pd.DataFrame, path: Path) -> Path:
    """Write a comparison as ``.csv`` or ``.json`` (all of it) or ``.md`` (side by side).

    Raises
    ------
    UsageError
        For another ending, or if it cannot be written.
    """
    if path.suffix not in ENDINGS:
        raise UsageError(
            f"A comparison cannot be written to {path.name}.",
            expected=f"an ending among {first_few(ENDINGS)}",
            got=path.suffix or "none",
        )
    if path.suffix == ".csv":
        write_table(table, path)
    elif path.suffix == ".json":
        write_text(dumps(table.astype(object).to_dict("records")) + "\n", path)
    else:
        write_text(as_markdown(table), path)
    return path


def as_markdown(table: pd.DataFrame) -> str:
    """Return one Markdown table per dataset."""
    lines: list[str] = []
    for dataset, (headings, rows) in side_by_side(table).items():
        lines += [f"## {_escaped(dataset)}", "", _line(headings), "|" + "---|" * len(headings)]
        lines += [*(_line(["-" if c is None else c for c in row]) for row in rows), ""]
    return "\n".join([*lines, NOTE, ""])


def _line(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(_escaped(str(c)) for c in cells) + " |"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
