"""Score a predictions file against the held-out part of its dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.predictions import Predictions
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
from pereggrn_data.loaders.datasets import Dataset
from pereggrn_data.loaders.predictions import predictions_of, read_predictions
from pereggrn_data.loaders.splits import read_split, write_text
from pereggrn_data.pipelines.checked_predictions import (
    CheckOptions,
    Fill,
    PredictionScale,
    check_and_align,
    one_step,
    require_perturbations,
)
from pereggrn_data.pipelines.datasets import find_dataset, open_dataset
from pereggrn_data.pipelines.split import SplitDataset, split_by_options
from pereggrn_data.pipelines.split_check import require_promises, require_same_training_file
from pereggrn_data.pipelines.split_options import SplitOptions

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

    def write(self, folder: str | Path) -> list[Path]:
        """Write ``scores.parquet``, ``scores.csv``, ``targets.parquet`` and ``summary.json``."""
        from pereggrn_data.loaders.tables import write_table

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
        columns = ["value", "mean_baseline", "median_baseline", "percent_change_from_mean"]
        table = self.to_pandas()[[*columns, "n", "beats_baselines"]].to_string(na_rep="-")
        notes = "".join(f"\nwarning: {w}" for w in self.warnings)
        return (
            f"{self.dataset}: {self.n_scored} of {self.n_expected} groups scored\n"
            f"{table}{notes}\n{self.signature}"
        )


def score(
    predictions: str | Path | Predictions | AnnData | pd.DataFrame,
    *,
    dataset: str | Path | Dataset | None = None,
    split: str | Path | Split | None = None,
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
        A ``split.json``; by default what the file says of itself.
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
    given = _read(predictions)
    given = one_step(given, step)
    require_perturbations(given)
    divided = _dataset_and_split(given, dataset, split, split_options, collection)
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
        warnings=(*divided.warnings, *checked.warnings, *remarks),
        metrics=metrics,
        scores=scores,
    )


def _read(predictions: Any) -> Predictions:
    if isinstance(predictions, Predictions):
        return predictions
    if isinstance(predictions, (str, Path)):
        return read_predictions(Path(predictions))
    return predictions_of(predictions)


def _dataset_and_split(
    predictions: Predictions,
    dataset: str | Path | Dataset | None,
    given_split: str | Path | Split | None,
    options: SplitOptions | None,
    collection: str | None,
) -> SplitDataset:
    """Find both, and make sure that they belong together and that promises hold."""
    chosen = read_split(Path(given_split)) if isinstance(given_split, (str, Path)) else given_split
    origin = predictions.origin
    if chosen is not None and origin is not None and chosen != origin.split:
        raise UsageError(
            f"{predictions.path} was made for another split than the one that was named.",
            expected=repr(origin.split),
            got=repr(chosen),
            fix="leave out --split, or predict again from that split's template.",
        )
    if origin is not None and options is not None:
        raise UsageError(
            f"{predictions.path} carries its own split, so it cannot be scored on another one.",
            got="options that make a split (--type, --seed, --heldout-fraction, --num-genes)",
            fix="leave these options out.",
        )
    if chosen is None and origin is not None:
        chosen = origin.split
    if isinstance(dataset, Dataset):
        opened = dataset
    elif dataset is not None:
        opened = open_dataset(dataset, collection=collection)
    elif chosen is not None:
        path = origin.path if origin is not None else None
        opened = find_dataset(chosen.dataset, chosen.sha256, path, collection=collection)
    else:
        raise UsageError(
            f"{predictions.path} does not say which dataset it predicts.",
            expected="--dataset NAME_OR_PATH, or predictions in a filled-in template",
            got=f"neither an option nor uns['pereggrn'] in {Path(predictions.path).name}",
            fix="name the dataset, and the split by --split split.json (or --type and --seed).",
        )
    if chosen is None:
        return split_by_options(opened, options or SplitOptions(), collection=collection)
    if opened.sha256 != chosen.sha256:
        raise UsageError(
            f"The split was made for another file than {opened.path or opened.name}.",
            expected=f"{chosen.dataset} with sha256 {chosen.sha256}",
            got=f"{opened.name} with sha256 {opened.sha256}",
            fix=f"fetch {chosen.dataset} again, or name the right file by --dataset.",
        )
    divided = SplitDataset(opened, chosen)
    require_same_training_file(chosen, divided.prepared)
    require_promises(chosen, divided.prepared, source="The split that was given")
    return divided
