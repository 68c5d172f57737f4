"""Score a predictions file against the held-out part of its dataset.

The way is one: inputs are gathered, the task is made of what was held out, the
predictions are checked and put into its order, scored, pooled where there are several
files, summarised, reported.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import UnknownNameError
from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.core.options import one_of, plain, takes
from pereggrn_data.core.prediction_types import PredictionResult, Predictions
from pereggrn_data.core.resources import limited
from pereggrn_data.core.rows.row_blocks import beside_unless_stored
from pereggrn_data.core.splits import Split
from pereggrn_data.core.version import software
from pereggrn_data.evaluators import (
    ARE_REGULATORS,
    DUPLICATE,
    EVERY_GROUP,
    PREDICTIONS,
    TargetedGenes,
    score_cells,
    strata_of,
    summarise_strata,
)
from pereggrn_data.evaluators import score as score_task
from pereggrn_data.evaluators.metrics import require_illico
from pereggrn_data.evaluators.summaries import Ceiling, signature, summarise
from pereggrn_data.loaders.files.datasets import Dataset
from pereggrn_data.pipelines.collection import open_network
from pereggrn_data.pipelines.score.calibrating import calibration_of, ceilings_of
from pereggrn_data.pipelines.score.checked_predictions import check_and_align
from pereggrn_data.pipelines.score.learned_components import learn
from pereggrn_data.pipelines.score.pooled_files import (
    ScoredFile,
    name_of_several,
    pooled,
    require_foldable,
)
from pereggrn_data.pipelines.score.predicted_split import sides_of, task_of
from pereggrn_data.pipelines.score.score_inputs import (
    ScoreInputs,
    gather,
    is_result,
    only_shared_genes,
)
from pereggrn_data.pipelines.score.score_options import Genes, ScoreOptions
from pereggrn_data.pipelines.score.score_report import ScoreReport
from pereggrn_data.pipelines.split import SplitDataset, SplitOptions

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from pereggrn_data.loaders.network import Network


@limited
@takes(ScoreOptions)
def score(
    predictions: str
    | Path
    | Predictions
    | AnnData
    | pd.DataFrame
    | PredictionResult
    | Sequence[str | Path | Predictions | AnnData | pd.DataFrame | PredictionResult],
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
        perturbation, which are averaged. Or a list of these, one per fold: each is scored
        on its own split, which it must carry, and the scores are pooled.
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
    memory
        {memory}
    {options}

    Raises
    ------
    InvalidDataError
        If the predictions cannot be scored; it names every problem.
    UsageError
        If the dataset or the split cannot be found, or do not belong together; or if
        several predictions cannot be pooled.
    """
    wanted = one_of(ScoreOptions, options, choices)
    if wanted.cells is not None:
        require_illico()
    named = wanted.network
    network = None if named is None else open_network(named, collection=collection)

    def scored(given: Any) -> ScoredFile:
        shared = is_result(given) or any(isinstance(n, SplitDataset) for n in (split, dataset))
        # Not under a name here: the dataset's values are let go where they are not needed.
        return _scored(
            gather(
                given,
                dataset=dataset,
                split=split,
                options=split_options,
                step=wanted.step,
                label_column=wanted.label_column,
                insist=insist,
                collection=collection,
                values_only=True,
                early_sides=None
                if wanted.genes == Genes.INTERSECTION
                else partial(sides_of, shared=shared),
            ),
            wanted,
            network,
            threads,
            shared=shared,
        )

    several = list(predictions) if isinstance(predictions, (list, tuple)) else None
    if several is not None:
        require_foldable(
            len(several),
            one_split=split is not None or split_options is not None,
            options=wanted,
        )
    files = [scored(given) for given in ([predictions] if several is None else several)]
    named_data = {
        "dataset": dataset,
        "split": split,
        "split_options": split_options,
        "insist": [insist] if isinstance(insist, str) else sorted(insist),
        "collection": collection,
    }
    return replace(
        _reported(files, wanted, network), asked={**wanted.said(), **_named(named_data, files)}
    )


def _named(given: Mapping[str, Any], files: Sequence[ScoredFile]) -> dict[str, Any]:
    """Return what was said beside the options, in plain values; None for what has no name.

    A dataset or split in memory need not be named, where the file says which it is.
    """
    said = {n: v for n, v in given.items() if not (v is None or (isinstance(v, list) and not v))}
    known = {name: plain(value) for name, value in said.items()}
    if all(file.given.origin is not None for file in files):
        known = {n: v for n, v in known.items() if v is not None or n not in ("dataset", "split")}
    return known


def _scored(
    inputs: ScoreInputs,
    wanted: ScoreOptions,
    network: Network | None,
    threads: int | None,
    *,
    shared: bool,
) -> ScoredFile:
    """Score one file on its split, which may be `shared` with others."""
    rule = TargetedGenes(wanted.targeted_genes)
    if wanted.genes == Genes.INTERSECTION:
        inputs = only_shared_genes(inputs)
    task = inputs.task
    if task is None:
        sides, rest = sides_of(inputs.divided, inputs.shared_genes, shared=shared)
        inputs = replace(inputs, divided=rest)
        task = task_of(sides, inputs.split)
    divided, given = inputs.divided, inputs.predictions
    shown_as = divided.dataset.shown_as
    # Neither what is known without the predictions nor these wait for the other.
    learned = beside_unless_stored(partial(learn, task, divided), task.train_matrix)
    regulators = None if network is None else frozenset(network.regulators())
    told_apart = beside_unless_stored(
        partial(strata_of, task, regulators), task.train_matrix, task.test_matrix
    )
    checked = check_and_align(inputs, task, wanted)
    remarks = learned()
    kept = checked.aligned.scored
    cells = None
    if wanted.cells is not None and checked.aligned.cells is not None:
        cells = score_cells(task, checked.aligned.cells, wanted.cells, threads=threads)
    report = (
        calibration_of(
            task, divided, rule, cells=wanted.cells, file=wanted.calibration, threads=threads
        )
        if wanted.calibrate
        else None
    )
    n_scored, n_expected = int(kept.sum()), len(task.groups)
    return ScoredFile(
        given=given,
        divided=divided,
        scores=score_task(
            task,
            checked.aligned,
            targeted=rule,
            shown=wanted.effects or (),
            cells=cells,
            threads=threads,
        ),
        kept=kept,
        strata=told_apart()[kept].reset_index(drop=True),
        calibration=report,
        warnings=(*divided.warnings, *_oracle(given), *checked.warnings, *remarks),
        n_scored=n_scored,
        n_expected=n_expected,
        signature=signature(
            inputs.split,
            dataset_shown_as=shown_as,
            software=software(),
            targeted=str(rule),
            fill=wanted.fill_missing,
            group_by=task.group_by,
            scored=(n_scored, n_expected),
            groups=map(str, task.keys[kept]),
            trained=divided.trained_instead,
            genes_of=len(divided.split.genes),
            cells=wanted.cells,
        ),
    )


def _reported(
    files: Sequence[ScoredFile], wanted: ScoreOptions, network: Network | None
) -> ScoreReport:
    """Summarise one scored file, or several as one."""
    whole = files[0] if len(files) == 1 else pooled(files)
    require_held_out(wanted.effects or (), whole.scores.groups[PERTURBATION].astype(str))
    ceilings: dict[str, Ceiling] = {}
    remarks: tuple[str, ...] = ()
    duplicates: dict[str, Any] = {}
    ranges: dict[str, Any] = {}
    if whole.calibration is not None:
        report = whole.calibration.resampled(wanted.draws, wanted.draws_seed)
        ceilings, remarks = ceilings_of(report, whole.scores, whole.kept), report.remarks
        known = report.calibration
        duplicates = {m.name: known.of(DUPLICATE, m.name) for m in known.metrics}
        ranges = {name: m.to_dict() for name, m in known.summaries().items()}
    summary = summarise(
        whole.scores, ceilings=ceilings, draws=wanted.draws, seed=wanted.draws_seed
    )
    several = len(files) > 1
    given = whole.given
    return ScoreReport(
        dataset=whole.divided.dataset.shown_as,
        signature=whole.signature,
        n_scored=whole.n_scored,
        n_expected=whole.n_expected,
        warnings=tuple(
            dict.fromkeys(
                (
                    *whole.warnings,
                    *_undivided(whole.strata, network),
                    *summary.warnings,
                    *remarks,
                )
            )
        ),
        summary=summary,
        scores=whole.scores,
        name=wanted.name
        or (name_of_several(files) if several else given.model)
        or _file_stem(given),
        file=given.path if given.is_file else None,
        file_checksum=given.checksum,
        strata=summarise_strata(
            whole.scores, whole.strata, draws=wanted.draws, seed=wanted.draws_seed
        ),
        duplicates={n: v[whole.kept] for n, v in duplicates.items()},
        parts=tuple(f.described() for f in files) if several else (),
        calibration=ranges,
    )


def require_held_out(named: Collection[str], labels: Collection[str]) -> None:
    """Check the perturbations whose log fold changes are to be kept.

    Raises
    ------
    UnknownNameError
        For one that is not held out.
    """
    known = dict.fromkeys(labels)
    for name in named:
        if name != EVERY_GROUP and name not in known:
            raise UnknownNameError("held-out perturbation", name, known)


def _file_stem(predictions: Predictions) -> str:
    return Path(predictions.path).stem if predictions.is_file else PREDICTIONS


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
