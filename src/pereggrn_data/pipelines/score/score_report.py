"""What scoring returns: scores, a summary per metric, and how they are written and shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.strict_json import dumps
from pereggrn_data.evaluators import MetricSummary, Scores
from pereggrn_data.loaders.files import write_table, write_text

if TYPE_CHECKING:
    import pandas as pd

GROUPS_FILE, TARGETS_FILE, SUMMARY_FILE = "scores", "targets.parquet", "summary.json"


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
    metrics
        One summary per metric.
    scores
        One row per method and group, and per method and gene.
    """

    dataset: str
    signature: str
    n_scored: int
    n_expected: int
    warnings: tuple[str, ...]
    metrics: dict[str, MetricSummary]
    scores: Scores

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, in the layout of ``summary.json``."""
        return {
            "signature": self.signature,
            "dataset": self.dataset,
            "n_scored": self.n_scored,
            "n_expected": self.n_expected,
            "warnings": list(self.warnings),
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
        return [f"{', '.join(names)}: {reason}." for reason, names in of.items()]

    def write(self, folder: str | Path) -> list[Path]:
        """Write ``scores.parquet``, ``scores.csv``, ``targets.parquet`` and ``summary.json``."""
        folder = Path(folder)
        paths = [
            folder / f"{GROUPS_FILE}.parquet",
            folder / f"{GROUPS_FILE}.csv",
            folder / TARGETS_FILE,
            folder / SUMMARY_FILE,
        ]
        write_table(self.scores.groups, paths[0])
        write_table(self.scores.groups, paths[1])
        write_table(self.scores.targets, paths[2])
        write_text(dumps(self.to_dict()) + "\n", paths[3])
        return paths

    def __repr__(self) -> str:
        frame = self.to_pandas()
        baselines = [c for c in frame if str(c).endswith("_baseline")]
        columns = ["value", *baselines, "percent_change_from_mean", "n", "beats_baselines"]
        table = frame[columns].to_string(na_rep="-")
        notes = "".join(f"\n{reason}" for reason in self.reasons())
        notes += "".join(f"\nwarning: {w}" for w in self.warnings)
        return (
            f"{self.dataset}: {self.n_scored} of {self.n_expected} groups scored\n"
            f"{table}{notes}\n{self.signature}"
        )
