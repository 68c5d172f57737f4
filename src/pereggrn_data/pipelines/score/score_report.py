"""Score a predictions file against the held-out part of its dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.prediction_types import Predictions
from pereggrn_data.core.splits import Split
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.core.version import software
from pereggrn_data.evaluators.scoring import (
    Scores,
    TargetedGenes,
    targeted_genes_rule,
)
from pereggrn_data.evaluators.scoring import score as score_task
from pereggrn_data.evaluators.summary import MetricSummary, signature, summarise
from pereggrn_data.loaders.files.anndata_files import Dataset
from pereggrn_data.loaders.files.writing import write_text
from pereggrn_data.pipelines.score.checked_predictions import (
    CheckOptions,
    Fill,
    PredictionScale,
    check_and_align,
    one_step,
    require_perturbations,
)
from pereggrn_data.pipelines.score.score_inputs import (
    dataset_and_split,
    read_any,
    refuse_two_splits,
)
from pereggrn_data.pipelines.split.split_dataset import SplitDataset
from pereggrn_data.pipelines.split.split_options import SplitOptions

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

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
        from pereggrn_data.loaders.files.tables import write_table

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


def score(
    predictions: str | Path | Predictions | AnnData | pd.DataFrame,
    *,
    dataset: str | Path | Dataset | AnnData | None = None,
    split: str | Path | Split | SplitDataset | None = None,
    split_options: SplitOptions | None = None,
    targeted_genes: str = TargetedGenes.REVEAL,
    scale: str = PredictionScale.EXPRESSION,
    fill_missing: str = Fill.NONE,
    allow_missing: bool = False,
    check_scale: bool = True,
    step: int | None = None,
    collection: str | None = None,
    threads: int | None = None,
) -> ScoreReport:
    """Score predictions of held-out perturbations, next to the mean and median baselines.

    Parameters
    ----------
    predictions
        A ``.h5ad``, ``.parquet`` or ``.csv`` file, an AnnData object (for example
        a filled-in template), or a wide DataFrame.
        One row per test observation, one per perturbation, or many per
        perturbation, which are averaged.
    dataset
        Name or path; by default what the file says of itself.
    split
        A ``split.json``, or what ``pereggrn_data.split`` returned (then the
        dataset is known too); by default what the file says of itself.
    split_options
        How to make the split again, for files that do not carry one.
    targeted_genes
        ``reveal`` (set to the stated level), ``exclude`` or ``as-is``.
    scale
        ``expression`` (natural log) or ``logfc`` (over the training controls).
    fill_missing
        ``control`` replaces NaN by the mean of the training controls.
    allow_missing
        Score what was predicted although perturbations are missing.
    check_scale
        Refuse raw counts and z-scores.
    step
        Which ``prediction_timescale`` to score, for files with several.
    collection
        Folder of the local collection.
    threads
        By default one per processor.

    Raises
    ------
    InvalidDataError
        If the predictions cannot be scored; it names every problem.
    UsageError
        If the dataset or the split cannot be found, or do not belong together.
    """
    rule = targeted_genes_rule(str(targeted_genes))
    options = CheckOptions.parse(scale, fill_missing, allow_missing, check_scale)
    refuse_two_splits(split, split_options)
    given = one_step(read_any(predictions), step)
    require_perturbations(given)
    divided = dataset_and_split(given, dataset, split, split_options, collection)
    opened, chosen, data = divided.dataset, divided.split, divided.prepared
    checked = check_and_align(given, data.adata, chosen, options, data.train)
    scores = score_task(checked.task, checked.aligned, targeted=rule, threads=threads)
    metrics, remarks = summarise(scores)
    n_scored, n_expected = int(checked.aligned.scored.sum()), len(checked.task.groups)
    line = signature(
        chosen,
        dataset_shown_as=opened.shown_as,
        software=software(),
        targeted=str(rule),
        fill=str(options.fill),
        group_by=checked.task.group_by,
        scored=(n_scored, n_expected),
        groups=map(str, checked.task.keys[checked.aligned.scored]),
        trained=divided.trained_instead,
    )
    return ScoreReport(
        dataset=opened.shown_as,
        signature=line,
        n_scored=n_scored,
        n_expected=n_expected,
        warnings=(*divided.warnings, *_oracle(given), *checked.warnings, *remarks),
        metrics=metrics,
        scores=scores,
    )


def _oracle(predictions: Predictions) -> tuple[str, ...]:
    if predictions.oracle is None:
        return ()
    return (
        f"{predictions.path} is an oracle: it was made from held-out expression "
        f"({predictions.oracle}). Its scores are no forecasts.",
    )
