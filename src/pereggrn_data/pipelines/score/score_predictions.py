"""Score a predictions file against the held-out part of its dataset.

The way is one: inputs are gathered, the task is made of what was held out, the
predictions are checked and put into its order, scored, summarised, reported.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.options import one_of, takes
from pereggrn_data.core.prediction_types import PredictionResult, Predictions
from pereggrn_data.core.splits import Split
from pereggrn_data.core.version import software
from pereggrn_data.evaluators import (
    ARE_REGULATORS,
    DUPLICATE,
    PREDICTIONS,
    Ceiling,
    TargetedGenes,
    make_task,
    signature,
    strata_of,
    summarise,
    summarise_strata,
)
from pereggrn_data.evaluators import score as score_task
from pereggrn_data.loaders.files import Dataset
from pereggrn_data.pipelines.collection import open_network
from pereggrn_data.pipelines.score.calibrating import calibration_of, ceilings_of
from pereggrn_data.pipelines.score.checked_predictions import check_and_align
from pereggrn_data.pipelines.score.score_inputs import gather, only_shared_genes
from pereggrn_data.pipelines.score.score_options import Genes, ScoreOptions
from pereggrn_data.pipelines.score.score_report import ScoreReport
from pereggrn_data.pipelines.split import SplitDataset, SplitOptions

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from pereggrn_data.loaders.network import Network


@takes(ScoreOptions)
def score(
    predictions: str | Path | Predictions | AnnData | pd.DataFrame | PredictionResult,
    *,
    dataset: str | Path | Dataset | AnnData | SplitDataset | None = None,
    split: str | Path | Split | SplitDataset | None = None,
    split_options: SplitOptions | None = None,
    options: ScoreOptions | None = None,
    insist: str | Collection[str] = (),
    collection: str | None = None,
    threads: int | None = None,
    **choices: Any,
) -> ScoreReport:
    """Score predictions of held-out perturbations, next to the mean and median baselines.

    Parameters
    ----------
    predictions
        A ``.h5ad``, ``.parquet`` or ``.csv`` file, an AnnData object (for example
        a filled-in template), a wide DataFrame, or what ``pereggrn_data.predict``
        returned.
        One row per test observation, one per perturbation, or many per
        perturbation, which are averaged.
    dataset
        Name or path; by default what the file says of itself.
    split
        A ``split.json``, or what ``pereggrn_data.split`` returned (then the
        dataset is known too); by default what the file says of itself.
    split_options
        How to make the split again, for files that do not carry one.
    options
        All options in one object, instead of the names below.
    insist
        Codes of findings that keep the dataset from being used, because numbers
        would mean nothing (such as ``"X-not-log"``), to go on all the same.
    collection
        Folder of the local collection.
    threads
        By default one per processor.
    {options}

    Raises
    ------
    InvalidDataError
        If the predictions cannot be scored; it names every problem.
    UsageError
        If the dataset or the split cannot be found, or do not belong together.
    """
    wanted = one_of(ScoreOptions, options, choices)
    rule = TargetedGenes(wanted.targeted_genes)
    named = wanted.network
    stored = None if named is None else open_network(named, collection=collection)
    regulators = None if stored is None else frozenset(stored.regulators())
    inputs = gather(
        predictions,
        dataset=dataset,
        split=split,
        options=split_options,
        step=wanted.step,
        insist=insist,
        collection=collection,
    )
    if wanted.genes == Genes.INTERSECTION:
        inputs = only_shared_genes(inputs)
    divided, given = inputs.divided, inputs.predictions
    data, shown_as = divided.prepared, divided.dataset.shown_as
    task = make_task(data.adata, inputs.split, train=data.train)
    checked = check_and_align(inputs, task, wanted)
    scores = score_task(task, checked.aligned, targeted=rule, threads=threads)
    ceilings: dict[str, Ceiling] = {}
    remarks: tuple[str, ...] = ()
    duplicates: dict[str, Any] = {}
    if wanted.calibrate:
        report = calibration_of(task, divided, rule, file=wanted.calibration, threads=threads)
        ceilings, remarks = ceilings_of(report, scores, checked.aligned), report.remarks
        known = report.calibration
        duplicates = {m.name: known.of(DUPLICATE, m.name) for m in known.metrics}
    summary = summarise(scores, ceilings=ceilings, draws=wanted.draws, seed=wanted.draws_seed)
    strata = strata_of(task, checked.aligned.scored, regulators)
    n_scored, n_expected = int(checked.aligned.scored.sum()), len(task.groups)
    line = signature(
        inputs.split,
        dataset_shown_as=shown_as,
        software=software(),
        targeted=str(rule),
        fill=wanted.fill_missing,
        group_by=task.group_by,
        scored=(n_scored, n_expected),
        groups=map(str, task.keys[checked.aligned.scored]),
        trained=divided.trained_instead,
        genes_of=len(divided.split.genes),
    )
    return ScoreReport(
        dataset=shown_as,
        signature=line,
        n_scored=n_scored,
        n_expected=n_expected,
        warnings=(
            *divided.warnings,
            *_oracle(given),
            *checked.warnings,
            *_undivided(strata, stored),
            *summary.warnings,
            *remarks,
        ),
        summary=summary,
        scores=scores,
        name=wanted.name or given.model or _file_stem(given),
        file=given.path if given.sha256 is not None else None,
        file_sha256=given.sha256,
        strata=summarise_strata(scores, strata, draws=wanted.draws, seed=wanted.draws_seed),
        duplicates={n: v[checked.aligned.scored] for n, v in duplicates.items()},
    )


def _file_stem(predictions: Predictions) -> str:
    return PREDICTIONS if predictions.sha256 is None else Path(predictions.path).stem


def _undivided(strata: pd.DataFrame, network: Network | None) -> tuple[str, ...]:
    """Say that a network does not tell the perturbations apart."""
    if network is None or strata[ARE_REGULATORS].nunique() > 1:
        return ()
    answer = strata[ARE_REGULATORS].iloc[0]
    hint = " (are its names of another kind?)" if answer == "no" else ""
    return (
        f"{network.name} tells no perturbations apart: {ARE_REGULATORS} of all scored ones: "
        f"{answer}{hint}.",
    )


def _oracle(predictions: Predictions) -> tuple[str, ...]:
    if predictions.oracle is None:
        return ()
    return (
        f"{predictions.path} is an oracle: it was made from held-out expression "
        f"({predictions.oracle}). Its scores are no forecasts.",
    )
