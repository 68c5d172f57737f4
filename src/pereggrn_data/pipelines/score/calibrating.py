"""Calibrate a dataset and split: controls and duplicates through the code that scores.

The verb is :func:`calibrate`; scores take the calibration of their task from
:func:`calibration_of`. It is made once and kept in the cache.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pereggrn_data.core.arrays import Bools
from pereggrn_data.core.prediction_types import CellSettings
from pereggrn_data.core.resources import limited
from pereggrn_data.core.version import software
from pereggrn_data.evaluators import METRICS, PREDICTIONS, Scores, TargetedGenes, Task, make_task
from pereggrn_data.evaluators import calibrate as calibrate_task
from pereggrn_data.evaluators.metrics import require_illico
from pereggrn_data.evaluators.summaries import DRAWS, Ceiling, signature
from pereggrn_data.loaders.files import read_split
from pereggrn_data.loaders.files.datasets import Dataset
from pereggrn_data.pipelines.collection import open_dataset
from pereggrn_data.pipelines.score.calibration_file import (
    CalibrationReport,
    keep,
    kept,
    read_calibration,
    require_same,
)
from pereggrn_data.pipelines.score.learned_components import learn
from pereggrn_data.pipelines.score.predicted_split import refuse_two_splits
from pereggrn_data.pipelines.score.score_options import ScoreOptions
from pereggrn_data.pipelines.split import SplitDataset, SplitOptions, divide

if TYPE_CHECKING:
    from anndata import AnnData

    from pereggrn_data.core.splits import Split


@limited
def calibrate(
    dataset: str | Path | Dataset | AnnData | SplitDataset,
    *,
    split: str | Path | Split | None = None,
    split_options: SplitOptions | None = None,
    targeted_genes: str = "reveal",
    cell_metrics: bool = False,
    space: str = "genes",
    draws: int = DRAWS,
    draws_seed: int = 0,
    insist: str | Collection[str] = (),
    collection: str | None = None,
    threads: int | None = None,
    use_cache: bool = True,
) -> CalibrationReport:
    """Say which metrics can tell a good forecast from the training mean, without a forecast.

    Parameters
    ----------
    dataset
        Name or path; or what ``pereggrn_data.split`` returned.
    split
        A ``split.json``; by default a split is made.
    split_options
        How to make it.
    targeted_genes
        What is done with directly perturbed genes, as in ``score``.
    cell_metrics, space
        Whether metrics of cells are computed, too, and where distances between cells are
        measured, as in ``score``.
    draws, draws_seed
        Of perturbation labels, from which follows what discriminates; as in ``score``.
    insist
        Codes of findings that would stop, and shall not.
    collection
        Folder of the local collection.
    threads
        By default one per processor.
    use_cache
        Whether one that was made before is taken, and this one is kept.
    memory
        {memory}

    Raises
    ------
    UsageError
        If the dataset or the split cannot be found, or do not belong together; or if there
        are too few draws.
    MissingExtraError
        If metrics of cells are wanted and the extra ``cells`` is not installed.
    InvalidDataError
        If the split does not hold what its type promises.
    """
    given = ScoreOptions(
        targeted_genes=targeted_genes,
        cell_metrics=cell_metrics,
        space=space,
        draws=draws,
        draws_seed=draws_seed,
    )
    rule, cells = TargetedGenes(given.targeted_genes), given.cells
    if cells is not None:
        require_illico()
    refuse_two_splits(split, split_options)
    if isinstance(dataset, SplitDataset):
        divided = dataset
    else:
        named = read_split(Path(split)) if isinstance(split, (str, Path)) else split
        opened = open_dataset(dataset, collection=collection, values_only=True)
        divided = divide(opened, named, split_options, insist=insist, collection=collection)
    task = make_task(divided.prepared.adata, divided.split, train=divided.prepared.train)
    made = calibration_of(task, divided, rule, cells=cells, threads=threads, use_cache=use_cache)
    return made.resampled(draws, draws_seed)


def calibration_of(
    task: Task,
    divided: SplitDataset,
    targeted: TargetedGenes,
    *,
    cells: CellSettings | None = None,
    file: Path | None = None,
    threads: int | None = None,
    use_cache: bool = True,
) -> CalibrationReport:
    """Return the calibration of a task: read, kept from before, or made.

    Parameters
    ----------
    task
        What was held out.
    divided
        The dataset and its split.
    targeted
        What is done with directly perturbed genes.
    cells
        How cells are compared, where metrics of cells are wanted.
    file
        A ``calibration.json`` to take instead.
    threads
        By default one per processor.
    use_cache
        Whether one that was made before is taken, and this one is kept.

    Raises
    ------
    UsageError
        If the file was made for something else.
    InvalidDataError
        If the file is no calibration, or was changed since it was made.
    """
    n = len(task.groups)
    line = signature(
        task.split,
        dataset_shown_as=divided.dataset.shown_as,
        software=software(),
        targeted=str(targeted),
        fill="none",
        group_by=task.group_by,
        scored=(n, n),
        groups=(),
        trained=divided.trained_instead,
        genes_of=len(divided.split.genes),
        cells=cells,
    )
    if file is not None:
        report = read_calibration(file)
        require_same(report, line, task.groups, str(file))
        return report
    if use_cache and (before := kept(line, task.groups)) is not None:
        return before
    remarks = learn(task, divided) if use_cache else ()
    made = calibrate_task(task, targeted=targeted, cells=cells, threads=threads)
    report = CalibrationReport(divided.dataset.shown_as, line, made, divided.warnings)
    remarks += keep(report) if use_cache else ()
    return replace(report, remarks=tuple(dict.fromkeys(remarks)))


def ceilings_of(report: CalibrationReport, scores: Scores, kept: Bools) -> dict[str, Ceiling]:
    """Say, per metric, where scores are between the training mean and a duplicate.

    Parameters
    ----------
    report
        The calibration of the task that was scored.
    scores
        Of the predictions and of the baselines.
    kept
        (groups,) which groups were scored.
    """
    sides = []
    for method in (PREDICTIONS, "mean"):
        frame = scores.groups[scores.groups["method"] == method]
        side = {}
        for name in (c for c in frame if c in METRICS):
            side[str(name)] = np.full(len(kept), np.nan)
            side[str(name)][kept] = frame[name].to_numpy(np.float64)
        sides.append(side)
    return report.calibration.ceilings(*sides)
