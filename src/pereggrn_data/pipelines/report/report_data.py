"""What a report shows: folders of scores, read back and lined up as plain tables.

Nothing about the files is trusted: numbers are checked to be numbers, and text is only
ever passed on as text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.labels import genes_of
from pereggrn_data.core.prediction_types import TargetedGenes
from pereggrn_data.evaluators import METRICS, PREDICTIONS, group_names
from pereggrn_data.evaluators.metrics import Direction
from pereggrn_data.evaluators.summaries import FEWEST_LABELS
from pereggrn_data.loaders.files.any_file import existing_path
from pereggrn_data.loaders.files.tables import read_parquet_frame
from pereggrn_data.pipelines.compare import ScoredRun, compare, group_columns, read_run
from pereggrn_data.pipelines.score import EFFECTS_FILE

if TYPE_CHECKING:
    import pandas as pd

BETTER, WORSE, UNDECIDED, BLIND = "better", "not better", "undecided", "does not discriminate"
"""What is said of one metric and one method."""

TRAINING = "training "
"""Before the name of a baseline, as the mean and the median of the training data."""

MEAN = f"{TRAINING}mean"
"""The baseline from which percent changes are counted."""

MOST_VALUES = 60_000
"""Values of single perturbations in a page, so that it stays small."""

MOST_GENES = 24_000
"""Points of predicted against observed effects in a page."""


@dataclass(frozen=True)
class ReportedRun:
    """One folder of scores.

    Parameters
    ----------
    scored
        What was read.
    label
        What it is called in the report: its method, with a number where several runs of
        one method are on one dataset.
    effects
        Observed and predicted log fold changes, one row per group and gene; None where the
        folder has none.
    """

    scored: ScoredRun
    label: str
    effects: pd.DataFrame | None

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.scored.dataset

    @property
    def summary(self) -> Mapping[str, Any]:
        """The content of ``summary.json``."""
        return self.scored.summary

    def part(self, name: str) -> Mapping[str, Any]:
        """Return an object of the summary; empty where there is none."""
        found = self.summary.get(name)
        return found if isinstance(found, Mapping) else {}

    @property
    def warnings(self) -> list[str]:
        """What the reader should know."""
        found = self.summary.get("warnings")
        return [str(w) for w in found] if isinstance(found, list) else []


@dataclass(frozen=True)
class ReportData:
    """Everything that figures are made from, as tables.

    Parameters
    ----------
    runs
        What is reported.
    metrics
        One row per dataset, method and metric that is better one way: ``value``,
        ``low``, ``high``, ``percent`` (change from the mean baseline) with its interval,
        ``state``, ``beats`` (the better baseline), ``is_baseline``.
    scaled
        One row per run and metric with a scaled score: ``scaled``, ``low``, ``high``.
    perturbations
        One row per run, perturbation and metric: ``value``, ``mean``, ``advantage``.
    effects
        One row per run, perturbation and gene: ``observed``, ``predicted``.
    strata
        One row per run, kind of perturbation and metric: ``percent`` with ``low`` and
        ``high``, ``n_groups``.
    calibration
        One row per dataset and metric: ``dynamic_range``, ``duplicate_wins``,
        ``discriminates``.
    """

    runs: tuple[ReportedRun, ...]
    metrics: pd.DataFrame
    scaled: pd.DataFrame
    perturbations: pd.DataFrame
    effects: pd.DataFrame
    strata: pd.DataFrame
    calibration: pd.DataFrame

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets, in the order of the runs."""
        return list(dict.fromkeys(run.dataset for run in self.runs))

    @property
    def labels(self) -> list[str]:
        """What the runs are called, in order."""
        return list(dict.fromkeys(run.label for run in self.runs))

    def row_name(self, dataset: str, label: str) -> str:
        """Return what a run is called where all datasets stand together."""
        return label if len(self.datasets) == 1 else f"{dataset}: {label}"


def gather_report(runs: Sequence[str | Path], *, allow: Collection[str] = ()) -> ReportData:
    """Read folders of scores and line them up.

    Parameters
    ----------
    runs
        Folders that `score` wrote, or ``summary.json`` files; ``NAME=PATH`` names the
        method.
    allow
        Parts of the signature in which runs on one dataset may differ.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If a file is not what `score` writes, or signatures differ.
    """
    table = compare(runs, allow=allow)
    read = _labelled([read_run(run) for run in runs])
    return ReportData(
        runs=read,
        metrics=_metrics(table, read),
        scaled=_frame(_scaled(read), "dataset label metric scaled low high duplicate"),
        perturbations=_perturbations(read),
        effects=_effects(read),
        strata=_frame(_strata(read), "dataset label by stratum n_groups metric percent low high"),
        calibration=_frame(
            _calibration(read),
            "dataset metric dynamic_range duplicate_wins discriminates mean duplicate reason",
        ),
    )


def _labelled(runs: Sequence[ScoredRun]) -> tuple[ReportedRun, ...]:
    count = Counter((run.dataset, run.method) for run in runs)
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for run in runs:
        key = (run.dataset, run.method)
        seen[key] += 1
        label = run.method if count[key] == 1 else f"{run.method} ({seen[key]})"
        found.append(ReportedRun(run, label, _read_effects(run)))
    return tuple(found)


def number(value: Any, what: str) -> float:
    """Return a number of a summary, NaN where it says null.

    Raises
    ------
    InvalidDataError
        If it is something else.
    """
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidDataError(
            f"A summary of scores has no number as {what}.",
            expected="a summary.json as written by `pereggrn-eval score`",
            got=repr(value),
        )
    return float(value)


def _ends(value: Any, what: str) -> tuple[float, float]:
    if value is None:
        return math.nan, math.nan
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise InvalidDataError(
            f"A summary of scores has no interval as {what}.", expected="[low, high]",
            got=repr(value),
        )  # fmt: skip
    return number(value[0], what), number(value[1], what)


def _frame(rows: Iterator[dict[str, Any]], columns: str) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(rows), columns=columns.split())


def judged_metrics() -> list[str]:
    """Return the metrics that are better one way, in order."""
    return [name for name, m in METRICS.items() if m.direction is not None]


def _metrics(table: pd.DataFrame, runs: Sequence[ReportedRun]) -> pd.DataFrame:
    """Say of every metric and method how it compares with the mean."""
    frame = table[table["metric"].isin(judged_metrics())].rename(
        columns={"percent_change_from_mean": "percent", "beats_baselines": "beats"}
    )
    blind = {
        (run.dataset, name)
        for run in runs
        for name, m in run.summary["metrics"].items()
        if m.get("discriminates") is False
    }
    numbers = ["value", "low", "high", "percent", "percent_low", "percent_high", "n_perturbations"]
    frame = frame.assign(**{c: frame[c].astype(float) for c in numbers})
    # A method that somebody scored may be called mean, too.
    frame["method"] = frame["method"].where(
        ~frame["is_baseline"].astype(bool), TRAINING + frame["method"]
    )
    rows = frame.to_dict("records")
    frame["state"] = [_state(row, (row["dataset"], row["metric"]) in blind) for row in rows]
    return frame.reset_index(drop=True)


def _state(row: Mapping[Any, Any], is_blind: bool) -> str:
    """Say what is known of one metric of one method."""
    if is_blind:
        return BLIND
    low, high = row["percent_low"], row["percent_high"]
    few = row["n_perturbations"] < FEWEST_LABELS
    if row["is_baseline"]:
        apart = row["percent"] == 0 or low > 0 or high < 0
        beats = None if few or not apart else bool(low > 0)
    else:
        found = row["beats"]
        beats = bool(found) if isinstance(found, (bool, np.bool_)) else None
    return UNDECIDED if beats is None else BETTER if beats else WORSE


def _scaled(runs: Sequence[ReportedRun]) -> Iterator[dict[str, Any]]:
    for run in runs:
        for name in judged_metrics():
            m = run.summary["metrics"].get(name, {})
            value = number(m.get("scaled"), f"scaled {name}")
            if math.isnan(value):
                continue
            low, high = _ends(m.get("scaled_interval"), f"scaled {name}")
            yield {
                "dataset": run.dataset, "label": run.label, "metric": name, "scaled": value,
                "low": low, "high": high,
                "duplicate": number(m.get("duplicate"), f"duplicate {name}"),
            }  # fmt: skip


def key_text(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Write what defines each group as text, without the columns in which all are alike."""
    first, *others = columns
    telling = [first, *(c for c in others if frame[c].nunique(dropna=False) > 1)]
    return group_names(frame, telling)


def _perturbations(runs: Sequence[ReportedRun]) -> pd.DataFrame:
    import pandas as pd

    parts = []
    for run in runs:
        groups = run.scored.groups
        if groups is None:
            continue
        mine = groups[groups["method"] == PREDICTIONS].reset_index(drop=True)
        mean = groups[groups["method"] == "mean"].reset_index(drop=True)
        if len(mean) != len(mine):
            continue
        names = key_text(mine, group_columns(mine))
        for metric in judged_metrics():
            if metric not in mine:
                continue
            sign = 1 if METRICS[metric].direction is Direction.HIGHER else -1
            values, of_mean = mine[metric].to_numpy(float), mean[metric].to_numpy(float)
            parts.append(
                pd.DataFrame(
                    {
                        "dataset": run.dataset, "label": run.label, "metric": metric,
                        "perturbation": names, "value": values, "mean": of_mean,
                        "advantage": sign * (values - of_mean),
                    }
                )
            )  # fmt: skip
    if not parts:
        return _frame(iter(()), "dataset label metric perturbation value mean advantage")
    return pd.concat(parts, ignore_index=True)


_OF_EFFECTS = ("perturbation", "gene", "observed", "predicted")


def _read_effects(run: ScoredRun) -> pd.DataFrame | None:
    """Read the log fold changes beside a summary.

    Raises
    ------
    InvalidDataError
        If they are not what `score` writes.
    """
    place = Path(run.path)
    file = (place if place.is_dir() else place.parent) / EFFECTS_FILE
    if existing_path(file) is None:
        return None
    frame = read_parquet_frame(file)
    missing = [c for c in _OF_EFFECTS if c not in frame]
    if missing:
        raise InvalidDataError(
            f"{file} lacks columns that log fold changes have.",
            expected=f"{EFFECTS_FILE} as written by `pereggrn-eval score`",
            got=f"no {', '.join(missing)}",
        )
    try:
        return frame.astype({"observed": "float64", "predicted": "float64"})
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"{file} holds no numbers.", got=str(error)) from error


def _effects(runs: Sequence[ReportedRun]) -> pd.DataFrame:
    import pandas as pd

    parts = []
    for run in runs:
        frame = run.effects
        if frame is None or frame.empty:
            continue
        columns = [str(c) for c in frame.columns[: list(frame.columns).index("gene")]]
        if run.scored.parts.get("targeted") == TargetedGenes.REVEAL:
            frame = _forecast(frame)
        parts.append(
            pd.DataFrame(
                {
                    "dataset": run.dataset, "label": run.label,
                    "perturbation": key_text(frame, columns), "gene": frame["gene"].astype(str),
                    "observed": frame["observed"], "predicted": frame["predicted"],
                }
            )
        )  # fmt: skip
    if not parts:
        return _frame(iter(()), "dataset label perturbation gene observed predicted")
    return pd.concat(parts, ignore_index=True)


def _forecast(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out the perturbed genes themselves, whose levels are told and not forecast."""
    told = {p: set(genes_of(str(p))) for p in frame["perturbation"].unique()}
    pairs = zip(frame["perturbation"], frame["gene"], strict=True)
    return frame[[gene not in told[p] for p, gene in pairs]]


def _strata(runs: Sequence[ReportedRun]) -> Iterator[dict[str, Any]]:
    for run in runs:
        found = run.summary.get("strata")
        for stratum in found if isinstance(found, list) else []:
            if not isinstance(stratum, Mapping) or not isinstance(stratum.get("metrics"), Mapping):
                continue
            for metric in judged_metrics():
                m = stratum["metrics"].get(metric)
                if not isinstance(m, Mapping):
                    continue
                low, high = _ends(m.get("percent_change_interval"), f"change of {metric}")
                yield {
                    "dataset": run.dataset, "label": run.label, "low": low, "high": high,
                    "by": str(stratum.get("by")), "stratum": str(stratum.get("stratum")),
                    "n_groups": number(stratum.get("n_groups"), "n_groups"), "metric": metric,
                    "percent": number(m.get("percent_change_from_mean"), f"change of {metric}"),
                }  # fmt: skip


def _calibration(runs: Sequence[ReportedRun]) -> Iterator[dict[str, Any]]:
    of_dataset = {run.dataset: run.part("calibration") for run in runs if run.part("calibration")}
    for dataset, metrics in of_dataset.items():
        for metric in judged_metrics():
            m = metrics.get(metric)
            if not isinstance(m, Mapping):
                continue
            found = m.get("discriminates")
            yield {
                "dataset": dataset, "metric": metric,
                "dynamic_range": number(m.get("dynamic_range"), f"range of {metric}"),
                "duplicate_wins": number(m.get("duplicate_wins"), f"wins of {metric}"),
                "discriminates": found if isinstance(found, bool) else None,
                "mean": number(m.get("half_mean"), f"mean of {metric}"),
                "duplicate": number(m.get("duplicate"), f"duplicate of {metric}"),
                "reason": str(m.get("reason") or ""),
            }  # fmt: skip


def thinned(data: ReportData) -> tuple[pd.DataFrame, str | None]:
    """Return the perturbations that a page has room for, and what to say of the others.

    The best and the worst by the first metric stay, and of the others every so many.
    """
    frame = data.perturbations
    if len(frame) <= MOST_VALUES:
        return frame, None
    n_metrics = frame["metric"].nunique()
    each = max(20, MOST_VALUES // (n_metrics * max(1, len(data.runs))))
    kept = []
    for _, of_run in frame.groupby(["dataset", "label"], sort=False):
        first = of_run[of_run["metric"] == of_run["metric"].iloc[0]].sort_values("advantage")
        names = first["perturbation"].to_numpy()
        at = np.unique(np.linspace(0, len(names) - 1, min(each, len(names))).round().astype(int))
        kept.append(of_run[of_run["perturbation"].isin(names[at])])
    import pandas as pd

    return pd.concat(kept), (
        f"At most {each} perturbations of each run are drawn, evenly from the best to the worst."
    )


def thinned_effects(data: ReportData) -> tuple[pd.DataFrame, str | None]:
    """Return the genes that a page has room for, those with large effects first."""
    import pandas as pd

    frame = data.effects
    keys = ["dataset", "label", "perturbation"]
    n = frame.groupby(keys, sort=False).ngroups
    each = MOST_GENES // max(1, n)
    if frame.empty or frame.groupby(keys, sort=False).size().max() <= each:
        return frame, None
    kept = []
    for _, part in frame.groupby(keys, sort=False):
        size = part[["observed", "predicted"]].abs().max(axis=1).to_numpy()
        order = part.iloc[np.argsort(-size, kind="stable")]
        large, rest = order.iloc[: each * 2 // 3], order.iloc[each * 2 // 3 :]
        step = max(1, math.ceil(len(rest) / max(1, each - len(large))))
        kept += [large, rest.iloc[::step]]
    return pd.concat(kept), (
        f"At most {each} genes of each perturbation are drawn: those with the largest effects, "
        "and a part of the others."
    )
