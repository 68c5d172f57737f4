"""One run: what `score` wrote, read back; nothing about the files is trusted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import InvalidDataError, UsageError, with_article
from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.evaluators import PREDICTIONS, group_keys
from pereggrn_data.evaluators.metrics import METRICS
from pereggrn_data.evaluators.summaries import MOST_DRAWS, Ceiling
from pereggrn_data.loaders.files import read_json
from pereggrn_data.loaders.files.any_file import existing_path, required_file
from pereggrn_data.loaders.files.tables import read_parquet_frame
from pereggrn_data.pipelines.score import ScoreOptions

if TYPE_CHECKING:
    import pandas as pd

SCORES_FILE, SUMMARY_FILE = "scores.parquet", "summary.json"
_BASELINE = "_baseline"
_SUMMARY = "a summary.json as written by `pereggrn-eval score`"


@dataclass(frozen=True)
class ScoredRun:
    """Scores of one predictions file.

    Parameters
    ----------
    path
        As the user named it.
    method
        What was scored.
    summary
        The content of ``summary.json``.
    groups
        One row per method and group, as in ``scores.parquet``, the scored method
        called ``predictions``; None where only the summary is at hand.
    """

    path: str
    method: str
    summary: Mapping[str, Any]
    groups: pd.DataFrame | None

    @property
    def parts(self) -> dict[str, str]:
        """The parts of the signature by name."""
        found = {}
        for part in str(self.summary["signature"]).split("|"):
            name, _, value = part.partition(":")
            found[name] = value
        return found

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return str(self.summary["dataset"])

    @property
    def drawn(self) -> tuple[int, int] | None:
        """Draws of its intervals, and their seed; None where `score` makes no such intervals."""
        how = self.summary.get("intervals")
        if not isinstance(how, Mapping):
            return None
        try:
            said = ScoreOptions(draws=how.get("draws", 0), draws_seed=how.get("seed", -1))
        except UsageError:
            return None
        return (said.draws, said.draws_seed) if said.draws <= MOST_DRAWS else None

    @property
    def baselines(self) -> list[str]:
        """Names of the baselines."""
        return baselines_of(self.summary)

    @property
    def lost(self) -> dict[str, int]:
        """Per metric, the held-out groups that the truth has a value of and the method none.

        Scores of groups do not tell: a group that is not predicted has no row.
        """
        stated = {name: m.get("n_missing") for name, m in self.summary["metrics"].items()}
        return {name: n for name, n in stated.items() if isinstance(n, int) and n > 0}

    @property
    def ceilings(self) -> dict[str, Ceiling]:
        """Per metric, what the summary says of a duplicate of the experiment."""
        return {name: _ceiling(m) for name, m in self.summary["metrics"].items()}


def _ceiling(stated: Mapping[str, Any]) -> Ceiling:
    known, scaled = stated.get("discriminates"), stated.get("scaled")
    return Ceiling(
        scaled=float(scaled) if isinstance(scaled, (int, float)) else None,
        discriminates=known if isinstance(known, bool) else None,
    )


def baselines_of(summary: Mapping[str, Any]) -> list[str]:
    """Return the baselines that a summary names."""
    first: Mapping[str, Any] = next(iter(summary["metrics"].values()), {})
    return [key.removesuffix(_BASELINE) for key in first if key.endswith(_BASELINE)]


def read_run(text: str | Path) -> ScoredRun:
    """Read a run: a folder that `score` wrote, or a ``summary.json``.

    Parameters
    ----------
    text
        Path; ``NAME=PATH`` names the method.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it is not what `score` writes.
    UsageError
        If it is no path, but a score in memory.
    """
    if not isinstance(text, (str, os.PathLike)):
        raise UsageError(
            "Scores are compared by their files.",
            expected="a folder that `score` wrote, or its summary.json",
            got=with_article(type(text).__name__),
            fix="write it first: report.write(folder).",
        )
    name, equals, rest = str(text).partition("=")
    named = bool(equals) and bool(name) and existing_path(Path(str(text))) is None
    path = Path(rest if named else str(text))
    found = existing_path(path)
    file = required_file(path / SUMMARY_FILE if found is not None and found.is_dir() else path)
    summary = read_summary(file)
    scores = file.parent / SCORES_FILE
    said = str(summary.get("name") or PREDICTIONS)
    # Files of all methods may be called predictions.h5ad; folders then tell them apart.
    method = name if named else _stem(file) if said == PREDICTIONS else said
    groups = read_groups(scores, summary) if existing_path(scores) is not None else None
    return ScoredRun(str(path), method, summary, groups)


def _stem(file: Path) -> str:
    return file.absolute().parent.name if file.name == SUMMARY_FILE else file.stem


def read_summary(file: Path) -> dict[str, Any]:
    """Read a ``summary.json`` and check what is used of it.

    Raises
    ------
    InvalidDataError
        If it is not JSON, or lacks the signature, the dataset or the metrics.
    """
    values = read_json(file, expected=_SUMMARY)
    if not isinstance(values, dict):
        raise _no_summary(file, f"a {type(values).__name__}")
    for key, kind in (("signature", str), ("dataset", str), ("metrics", dict)):
        if not isinstance(values.get(key), kind):
            raise _no_summary(file, f"no {key!r} in it")
    metrics = values["metrics"]
    if not metrics or not all(isinstance(m, dict) and "value" in m for m in metrics.values()):
        raise _no_summary(file, "metrics without values")
    return values


def _no_summary(file: Path, got: str) -> InvalidDataError:
    return InvalidDataError(
        f"{file} is no summary of scores.",
        expected=_SUMMARY,
        got=got,
    )


def read_groups(file: Path, summary: Mapping[str, Any]) -> pd.DataFrame:
    """Read the scores per group, and check that they go with a summary.

    Raises
    ------
    InvalidDataError
        If a column or a method is missing, or methods do not have the same groups.
    """
    frame = read_parquet_frame(required_file(file))
    needed = ["method", PERTURBATION, "n_observations"]
    missing = [name for name in (*needed, *summary["metrics"]) if name not in frame]
    if missing:
        raise InvalidDataError(
            f"{file} lacks columns that scores have.",
            expected="scores.parquet as written by `pereggrn-eval score`",
            got=f"no {', '.join(missing)}",
        )
    baselines = baselines_of(summary)
    own = [str(m) for m in frame["method"].unique() if str(m) not in baselines]
    lacking = [b for b in baselines if b not in set(frame["method"])]
    if len(own) != 1 or lacking:
        raise InvalidDataError(
            f"{file} does not hold the methods that its summary is of.",
            expected=f"one method beside {', '.join(baselines)}",
            got=", ".join(map(str, frame["method"].unique())),
        )
    frame["method"] = frame["method"].astype(object).where(frame["method"] != own[0], PREDICTIONS)
    keys = {name: list(_keys(f)) for name, f in frame.groupby("method", sort=False)}
    if any(other != keys[PREDICTIONS] for other in keys.values()):
        raise InvalidDataError(f"In {file} the methods do not have the same groups.")
    return frame


def group_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns that define a group."""
    end = list(frame.columns).index("n_observations")
    return [str(c) for c in frame.columns[:end] if c != "method"]


def _keys(frame: pd.DataFrame) -> Any:
    return group_keys(frame, group_columns(frame))


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Sort the groups of every method by what defines them."""
    columns = group_columns(frame)
    text = group_keys(frame, columns).to_frame().set_axis(frame.index)
    order = text.assign(method=frame["method"]).sort_values(["method", *columns], kind="stable")
    return frame.loc[order.index]


def known_metrics(frame: pd.DataFrame) -> list[str]:
    """Return the metrics of a frame that this version knows."""
    return [name for name in METRICS if name in frame]


def require_groups(run: ScoredRun, why: str) -> pd.DataFrame:
    """Return the scores per group.

    Raises
    ------
    UsageError
        If only the summary is at hand.
    """
    if run.groups is None:
        raise UsageError(
            f"{run.path} has no scores of groups, which are needed to {why}.",
            expected=f"{SCORES_FILE} beside {SUMMARY_FILE}",
            got="the summary only",
        )
    return run.groups
