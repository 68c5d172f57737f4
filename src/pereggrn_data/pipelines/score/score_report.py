"""What scoring returns: scores, a summary per metric, and how they are written and shown."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.errors import UnknownNameError
from pereggrn_data.core.printable import notebook_card, one_line
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.evaluators import PREDICTED_BY, PREDICTIONS, Scores
from pereggrn_data.evaluators.summaries import MetricSummary, Summary
from pereggrn_data.loaders.files.any_file import (
    with_parts,
    write_table,
    write_text,
    written_together,
)

if TYPE_CHECKING:
    import pandas as pd

GROUPS_FILE, TARGETS_FILE, SUMMARY_FILE = "scores", "targets.parquet", "summary.json"
EFFECTS_FILE = "effects.parquet"


@dataclass(frozen=True)
class ScoreReport:
    """Scores, their summary per metric, and the signature that tells what was scored.

    Parameters
    ----------
    dataset
        Its name.
    signature
        Two reports with equal signatures can be compared.
    n_scored, n_expected
        Number of groups that were scored, and that were held out.
    warnings
        What the reader should know.
    summary
        One line per metric with its verdict, and all of them together.
    scores
        One row per method and group, and per method and gene.
    name
        Of the method that was scored.
    file, file_checksum
        The predictions file, as the user named it, and ``sha256:`` with the hash of its bytes
        (``blake3:`` from 256 MiB on); None for predictions in memory.
    strata
        Kinds of perturbation, with the metrics of each.
    duplicates
        Per metric, (scored groups,) values of a technical duplicate, where there is one.
    parts
        Of several files that were pooled, what was scored of each: ``file``,
        ``file_checksum``, ``signature``, ``n_scored`` and ``n_expected``.
    calibration
        Per metric, what it can tell apart on this dataset and split, where that is known.
    asked
        What was asked for beside the file, by name: options that are not the default, and the
        dataset and the split where they were named. None stands for what has no name.
    """

    dataset: str
    signature: str
    n_scored: int
    n_expected: int
    warnings: tuple[str, ...]
    summary: Summary
    scores: Scores
    name: str = PREDICTIONS
    file: str | None = None
    file_checksum: str | None = None
    strata: Sequence[dict[str, Any]] = ()
    duplicates: Mapping[str, Floats] = field(default_factory=dict)
    parts: Sequence[dict[str, Any]] = ()
    calibration: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)

    def perturbations(self, metric: str = "mae") -> pd.DataFrame:
        """Return the groups by one metric, the worst first.

        Parameters
        ----------
        metric
            One that is better one way.

        Returns
        -------
        DataFrame
            What defines a group, ``n_observations``, the ``value`` of the predictions,
            ``mean``, ``duplicate`` (NaN where there is none) and ``advantage`` over the
            mean, by which rows are sorted: positive where the predictions are better.

        Raises
        ------
        UnknownNameError
            For another metric.
        """
        judged = [n for n, m in self.metrics.items() if m.higher_is_better is not None]
        if metric not in judged:
            raise UnknownNameError("metric", metric, judged)
        groups = self.scores.groups
        mine = groups[groups["method"] == PREDICTIONS]
        end = list(mine.columns).index("n_observations") + 1
        frame = mine[[c for c in mine.columns[:end] if c != "method"]].reset_index(drop=True)
        frame["value"] = mine[metric].to_numpy(float)
        frame["mean"] = groups.loc[groups["method"] == "mean", metric].to_numpy(float)
        frame["duplicate"] = self.duplicates.get(metric, float("nan"))
        sign = 1 if self.metrics[metric].higher_is_better else -1
        frame["advantage"] = sign * (frame["value"] - frame["mean"])
        return frame.sort_values("advantage", kind="stable", ignore_index=True)

    @property
    def targets_by(self) -> str:
        """Whether genes were scored by predictions of each ``observation``, or of a ``group``."""
        targets = self.scores.targets
        return str(targets.loc[targets["method"] == PREDICTIONS, PREDICTED_BY].iloc[0])

    @property
    def metrics(self) -> dict[str, MetricSummary]:
        """One summary per metric."""
        return self.summary.metrics

    @property
    def sentence(self) -> str:
        """What the scores say, in plain words."""
        method = "The forecast" if self.name == PREDICTIONS else one_line(self.name)
        return self.summary.overall.sentence(method, self.dataset)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, in the layout of ``summary.json``."""
        return {
            "signature": self.signature,
            "dataset": self.dataset,
            "name": self.name,
            "file": self.file,
            "file_checksum": self.file_checksum,
            "asked": dict(self.asked),
            **({"pooled": list(self.parts)} if self.parts else {}),
            "targets_by": self.targets_by,
            "n_scored": self.n_scored,
            "n_expected": self.n_expected,
            "warnings": list(self.warnings),
            "verdict": {"sentence": self.sentence, **self.summary.overall.to_dict()},
            "intervals": self.summary.intervals(),
            "strata": list(self.strata),
            "calibration": {name: dict(values) for name, values in self.calibration.items()},
            "metrics": {name: summary.to_dict() for name, summary in self.metrics.items()},
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per metric."""
        import pandas as pd

        rows = {name: summary.to_dict() for name, summary in self.metrics.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")

    def reasons(self) -> list[str]:
        """Say why values, percentages or verdicts are missing, one line per reason."""
        of: dict[str, list[str]] = {}
        for name, summary in self.metrics.items():
            for reason in (summary.reason or "").split("; "):
                if reason and summary.higher_is_better is not None:
                    of.setdefault(reason, []).append(name)
        judged = sum(m.higher_is_better is not None for m in self.metrics.values())
        return [
            f"{'All metrics' if len(names) == judged > 1 else ', '.join(names)}: {reason}."
            for reason, names in of.items()
        ]

    def group_table(self) -> pd.DataFrame:
        """Return the scores of groups, each row with the name of its method and the file."""
        groups = self.scores.groups
        named = groups["method"].where(groups["method"] != PREDICTIONS, self.name)
        return groups.assign(
            name=named, file=self.file or "", file_checksum=self.file_checksum or ""
        )

    def replaces(self, folder: str | Path) -> str | None:
        """Return the predictions file whose scores lie in a folder, if it is another one."""
        try:
            text = (Path(folder) / SUMMARY_FILE).read_text(encoding="utf-8")
            before = json.loads(text)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            return f"something else in {SUMMARY_FILE}"
        file, digest = (
            (before.get(key) if isinstance(before, dict) else None)
            for key in ("file", "file_checksum")
        )
        if not isinstance(file, str):
            return None if file is None and self.file is None else "predictions without a file"
        same_place = self.file is not None and Path(file).absolute() == Path(self.file).absolute()
        is_same = digest is not None and digest == self.file_checksum
        return None if same_place or is_same else one_line(file)

    def write(self, folder: str | Path, *, replace: bool = False) -> list[Path]:
        """Write ``scores.parquet``, ``scores.csv``, ``targets.parquet`` and ``summary.json``.

        Beside them goes ``effects.parquet``, the log fold changes of some perturbations,
        where they are at hand. They are one thing: all appear together, and
        ``summary.json`` names the sha256 of the others.

        Parameters
        ----------
        folder
            Where the files go.
        replace
            Whether scores of another file that lie there are meant to go; else a
            UserWarning names it.
        """
        before = None if replace else self.replaces(folder)
        if before is not None:
            warnings.warn(f"{folder} held scores of {before}; they are replaced.", stacklevel=2)
        folder = Path(folder)
        paths = [
            folder / f"{GROUPS_FILE}.parquet",
            folder / f"{GROUPS_FILE}.csv",
            folder / TARGETS_FILE,
            *([folder / EFFECTS_FILE] if self.scores.effects is not None else []),
            folder / SUMMARY_FILE,
        ]
        groups = self.group_table()
        with written_together(folder, SUMMARY_FILE, optional=(EFFECTS_FILE,)) as place:
            *tables, summary = (place / path.name for path in paths)
            write_table(groups, tables[0])
            write_table(groups, tables[1])
            write_table(self.scores.targets, tables[2])
            if self.scores.effects is not None:
                write_table(self.scores.effects, tables[3])
            write_text(dumps(with_parts(self.to_dict(), tables)) + "\n", summary)
        return paths

    def _repr_html_(self) -> str:
        rows, headings = self.table()
        return notebook_card(
            f"{self.dataset}: {self.n_scored} of {self.n_expected} groups scored",
            lines=[self.sentence],
            headings=headings,
            rows=rows,
            notes=[*self.reasons(), *(f"warning: {w}" for w in self.warnings), self.signature],
        )

    def __repr__(self) -> str:
        rows, headings = self.table()
        import pandas as pd

        table = pd.DataFrame(rows, columns=headings).to_string(index=False, na_rep="-")
        notes = "".join(f"\n{reason}" for reason in self.reasons())
        notes += "".join(f"\nwarning: {w}" for w in self.warnings)
        return (
            f"{self.dataset}: {self.n_scored} of {self.n_expected} groups scored\n"
            f"{self.sentence}\n{table}{notes}\n{self.signature}"
        )

    def table(self) -> tuple[list[tuple[str | None, ...]], list[str]]:
        """Return one row of text per metric that can be better or worse, and the headings.

        It is made to fit 80 columns; ``to_pandas`` has everything.
        """
        judged = {n: m for n, m in self.metrics.items() if m.higher_is_better is not None}
        with_scale = any(m.ceiling.discriminates is not None for m in judged.values())
        headings = ["metric", "value", "mean", "vs mean"]
        headings += ["scaled", "better"] if with_scale else ["better"]
        rows = []
        for name, m in judged.items():
            row = [name, short(m.value), short(m.baselines["mean"])]
            row.append(short_change(m.percent_change_from_mean, m.percent_change_interval))
            row += [short(m.ceiling.scaled, "{:.2f}")] if with_scale else []
            rows.append((*row, _verdict(m)))
        return rows, headings


def short(value: float | None, form: str = "{:.3g}") -> str | None:
    """Write a number for a table; None where there is none."""
    return None if value is None else form.format(value)


def _verdict(metric: MetricSummary) -> str | None:
    if metric.ceiling.discriminates is False:
        return None
    return {True: "yes", False: "no", None: "?"}[metric.beats_baselines]


def short_change(change: float | None, ends: Sequence[float] | None) -> str | None:
    """Write a percent change with its interval.

    Examples
    --------
    ``+7.6 % [+1.2, +13.0]``
    """
    if change is None:
        return None
    text = f"{_percent(change)} %"
    return text if ends is None else f"{text} [{', '.join(_percent(end) for end in ends)}]"


def _percent(value: float) -> str:
    # No column is wide enough for all digits of a hundredfold change.
    size = abs(value)
    return (
        f"{value:+.1f}" if size < 99.95 else f"{value:+.0f}" if size < 9999.5 else f"{value:+.0e}"
    )
