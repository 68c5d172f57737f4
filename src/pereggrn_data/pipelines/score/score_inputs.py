"""What is scored: predictions, read and reduced to one time step, and what they are of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Bools
from pereggrn_data.core.errors import (
    InvalidDataError,
    PereggrnError,
    UsageError,
    first_few,
    near_matches,
)
from pereggrn_data.core.format import (
    IS_CONTROL,
    OBSERVATION,
    PERTURBATION,
    PREDICTION_STEP,
)
from pereggrn_data.core.labels import same_genes
from pereggrn_data.core.prediction_types import Heading, LabelColumn, Predictions
from pereggrn_data.core.resources import resources
from pereggrn_data.core.splits import Split
from pereggrn_data.evaluators import SidesOfData, Task, time_text
from pereggrn_data.loaders.files import (
    heading_of_many,
    predictions_of,
    read_predictions,
)
from pereggrn_data.loaders.files.datasets import Dataset
from pereggrn_data.pipelines.score.predicted_split import (
    dataset_and_split,
    refuse_two_splits,
    task_of,
)
from pereggrn_data.pipelines.split import SplitDataset, SplitOptions
from pereggrn_data.validators import CAN_INSIST
from pereggrn_data.validators.predictions import gaps_in, rows_without_group

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class ScoreInputs:
    """What is scored, and on what.

    Parameters
    ----------
    predictions
        As read, of one time step.
    divided
        The dataset and its split.
    is_control
        (rows,) which predictions are of controls that are not held out; these
        are checked, not scored.
    flagged
        (rows,) which predictions are marked as controls, and predict what is held out.
    notes
        How labels were understood, and what is left out.
    shared_genes
        The genes that are scored, where these are not all that were modelled.
    task
        What was held out, where it was made while the predictions were read.
    """

    predictions: Predictions
    divided: SplitDataset
    is_control: Bools
    flagged: Bools
    notes: tuple[str, ...] = ()
    shared_genes: tuple[str, ...] | None = None
    task: Task | None = None

    @property
    def split(self) -> Split:
        """What is held out, of the genes that are scored."""
        split = self.divided.split
        return split if self.shared_genes is None else replace(split, genes=self.shared_genes)

    @property
    def everyone(self) -> list[pd.DataFrame]:
        """Observations of both sides: of the dataset, and of a separate training file."""
        return self.divided.prepared.observed


def gather(
    predictions: Any,
    *,
    dataset: str | Path | Dataset | AnnData | SplitDataset | None = None,
    split: str | Path | Split | SplitDataset | None = None,
    options: SplitOptions | None = None,
    step: int | None = None,
    label_column: LabelColumn | None = None,
    insist: str | Collection[str] = (),
    collection: str | None = None,
    values_only: bool = False,
    early_sides: Callable[[SplitDataset], tuple[SidesOfData | Task, SplitDataset]] | None = None,
) -> ScoreInputs:
    """Read predictions, and find the dataset and the split that they belong to.

    Parameters
    ----------
    predictions
        A path, an AnnData object, a DataFrame, what ``predict`` returned, or read already.
    dataset, split
        By default what the file says of itself.
    options
        How to make the split again, instead of `split`.
    step
        Which time step to score.
    label_column
        Which column has the labels of rows, and which of them are of controls.
    insist
        Codes of findings of the dataset to pass over.
    collection
        Folder of the local collection.
    values_only
        Whether nothing but tables, rules and X is read of the dataset, and nothing but tables
        of predictions in a file.
    early_sides
        As :func:`sides_of`; with it, the task is made while the rows of many predictions are
        read.

    Raises
    ------
    UsageError
        If one of them cannot be found, or they do not belong together.
    InvalidDataError
        If the predictions do not say what they predict, or the split does not
        hold what its type promises.
    """
    refuse_two_splits(split, options)
    if is_result(predictions):
        if dataset is None and split is None and options is None:
            split = predictions.made
        predictions = predictions.adata
    if isinstance(dataset, SplitDataset):
        split = dataset if split is None and options is None else split
        dataset = dataset.dataset

    def read() -> Predictions:
        found = one_step(read_any(predictions, label_column, later=values_only), step)
        require_perturbations(found)
        return found

    def find(heading: Heading) -> SplitDataset:
        return dataset_and_split(
            heading, dataset, split, options, collection, insist, values_only=values_only
        )

    task = None
    heading = _heading_before_rows(predictions)
    if heading is None:
        given = read()
        divided = find(given.heading)
    else:
        # However it ends, no thread is left behind that reads an HDF5 file.
        with ThreadPoolExecutor(1) as beside:
            reading = beside.submit(copy_context().run, read)
            try:
                divided = find(heading)
                if early_sides is not None:
                    early, divided = early_sides(divided)
                    task = task_of(early, divided.split)
            except PereggrnError:
                reading.result()  # what is wrong with the predictions comes first
                raise
            given = reading.result()
    sides = divided.prepared.observed
    named = [(obs[PERTURBATION], obs[IS_CONTROL].to_numpy(bool)) for obs in sides]
    controls = {label for labels, flags in named for label in labels[flags]}
    perturbed = {label for labels, flags in named for label in labels[~flags]}
    given, notes = labelled_as_in_dataset(given, controls | perturbed)
    heldout = set(divided.split.heldout_perturbations)
    labels, marked = given.obs[PERTURBATION], marked_rows(given.obs)
    # Some splits hold out controls too; these are then predicted like all others.
    is_control = _among(labels, controls - heldout) | (
        marked & ~_among(labels, controls | perturbed)
    )
    flagged = marked & _among(labels, heldout - controls)
    given = replace(given, obs=without_empty_columns(given.obs, ~is_control, sides))
    return ScoreInputs(given, divided, is_control, flagged, notes, task=task)


def _heading_before_rows(predictions: Any) -> Heading | None:
    """Return what is known of many predictions before their rows, where that is any use."""
    if resources().workers == 1 or not isinstance(predictions, (str, Path)):
        return None
    return heading_of_many(Path(predictions))


def split_named_by(
    file: str,
    *,
    dataset: str | Path | Dataset | AnnData | None = None,
    collection: str | None = None,
) -> tuple[Predictions, SplitDataset | None]:
    """Find the split that a file of predictions names; how its rows are labelled is no matter.

    Parameters
    ----------
    file
        Its path.
    dataset
        By default what the file says of itself.
    collection
        Folder of the local collection.

    Returns
    -------
    Predictions, SplitDataset or None
        What was read, and the split; None if the file names none.

    Raises
    ------
    UsageError, InvalidDataError, IntegrityError
        If the file cannot be read, or what it names cannot be found.
    """
    given = read_any(file, later=True)
    if given.origin is None:
        return given, None
    return given, dataset_and_split(
        given.heading, dataset, None, None, collection, CAN_INSIST, values_only=True
    )


def _among(labels: pd.Series[Any], names: Collection[str]) -> Bools:
    return labels.isin(list(names)).to_numpy(bool)


def labelled_as_in_dataset(
    predictions: Predictions, known: Collection[str]
) -> tuple[Predictions, tuple[str, ...]]:
    """Give labels that name their genes in another order the order of the dataset.

    Parameters
    ----------
    predictions
        With a label in every row.
    known
        Labels of the dataset.

    Returns
    -------
    Predictions, tuple of str
        And what was done, for the reader.
    """
    codes, found = pd.factorize(predictions.obs[PERTURBATION])
    names = list(map(str, found))
    renamed = same_genes(dict.fromkeys(names), known)
    rows = np.array([name in renamed for name in names], dtype=bool)[codes]
    shown = first_few((f"{a!r} as {b!r}" for a, b in renamed.items()), 3)
    notes = (f"{int(rows.sum())} rows name their genes otherwise than the dataset does, and were "
             f"understood: {shown}.",) if renamed else ()  # fmt: skip
    # One text for each label, and not for each of a million rows.
    of_name, texts = pd.factorize(np.array([renamed.get(n, n) for n in names], dtype=object))
    labels = pd.Categorical.from_codes(of_name[codes], categories=pd.Index(texts, dtype=object))
    return replace(predictions, obs=predictions.obs.assign(**{PERTURBATION: labels})), notes


def is_result(given: Any) -> bool:
    """Say whether this is what ``pereggrn_data.predict`` returns, which is above this package."""
    return hasattr(given, "adata") and hasattr(given, "made")


def only_shared_genes(inputs: ScoreInputs) -> ScoreInputs:
    """Keep the genes that were modelled and that the predictions have.

    Raises
    ------
    InvalidDataError
        If there is none.
    """
    given, modelled = inputs.predictions, inputs.divided.split.genes
    present = set(map(str, given.genes))
    shared = tuple(gene for gene in modelled if gene in present)
    if not shared:
        raise InvalidDataError(
            f"{given.path} has none of the genes that were modelled.",
            expected=f"some of {first_few(modelled)}",
            got=first_few(map(str, given.genes)),
            fix="name genes as the split does.",
        )
    kept = pd.Index(given.genes).isin(shared)
    columns = np.flatnonzero(kept)
    note = f"{len(shared)} of {len(modelled)} genes are scored: those that the predictions have."
    return replace(
        inputs,
        predictions=replace(given, genes=given.genes[columns], matrix=given.matrix[:, columns]),
        shared_genes=shared,
        notes=(*inputs.notes, note),
    )


def read_any(
    predictions: Any, labels: LabelColumn | None = None, *, later: bool = False
) -> Predictions:
    """Read predictions from a path, or take them from memory.

    Parameters
    ----------
    predictions
        A path, or what is in memory.
    labels, later
        As for :func:`~pereggrn_data.loaders.files.read_predictions`.

    Raises
    ------
    UsageError
        If it is neither, or not there.
    InvalidDataError
        If it holds no predictions.
    """
    labels = labels or LabelColumn()
    if isinstance(predictions, (str, Path)):
        try:
            return read_predictions(Path(predictions), labels, later=later)
        except InvalidDataError as error:
            _say_if_a_network(Path(predictions), error)
            raise
    return predictions_of(predictions, labels)


def _say_if_a_network(path: Path, error: InvalidDataError) -> None:
    """Raise instead that a table is a network, where it shows signs of one."""
    from pereggrn_data.loaders.network import signs_of_a_network

    if signs := signs_of_a_network(path):
        raise InvalidDataError(
            f"{path} is not a file of predictions: it looks like a network.",
            expected="one row per prediction, with 'perturbation' and one column per gene",
            got=f"a text table with {signs}",
            fix="name the predictions; a network is for `pereggrn-eval predict --network`, and "
            "`pereggrn-data networks import` makes a parquet of it.",
        ) from error


def require_perturbations(predictions: Predictions) -> None:
    """Check that predictions say what they predict.

    Raises
    ------
    InvalidDataError
        If there is no ``perturbation`` column, or a row without a label.
    """
    if PERTURBATION not in predictions.obs:
        columns = list(map(str, predictions.obs.columns))
        near = near_matches(PERTURBATION, columns) or near_matches(
            PERTURBATION, list(map(str, predictions.genes))
        )
        fix = "add it; test_perturbations.csv has the labels."
        if near:
            fix = f"rename {near[0]!r}, or say --perturbation {near[0]}."
        elif predictions.has_row_names and len(predictions.obs):
            fix = (
                f"if row names such as {predictions.obs.index[0]!r:.40} are the labels, call "
                "their column 'perturbation'; if they are genes, transpose the table."
            )
        raise InvalidDataError(
            f"{predictions.path} has no column 'perturbation'.",
            expected="a column with the label that each row predicts",
            got=f"obs columns {first_few(columns) or '(none)'}",
            fix=fix,
        )
    # Each label is looked at once: there may be millions of rows.
    codes, names = pd.factorize(predictions.obs[PERTURBATION])
    blank = np.array([not str(name).strip() for name in names] + [True], dtype=bool)
    empty = blank[codes]  # a missing one has the code -1
    if empty.any():
        raise InvalidDataError(
            f"{int(empty.sum())} rows of {predictions.path} have no perturbation.",
            expected="a label in every row",
            got=f"none in {first_few(predictions.obs.index[empty])}",
        )


def one_step(predictions: Predictions, step: int | None) -> Predictions:
    """Keep one ``prediction_timescale`` of files that hold several.

    Raises
    ------
    UsageError
        If there are several and none was named, or the named one is absent.
    """
    codes, present = np.zeros(len(predictions.obs), dtype=np.intp), ["1"]
    if PREDICTION_STEP in predictions.obs:
        of_row, values = pd.factorize(predictions.obs[PREDICTION_STEP], use_na_sentinel=False)
        of_value, texts = pd.factorize(np.array([time_text(v) for v in values], dtype=object))
        codes, present = of_value[of_row], list(texts)
    if step is None and len(present) <= 1:
        return predictions
    if step is None or str(step) not in present:
        raise UsageError(
            f"{predictions.path} holds predictions after {first_few(present)} steps.",
            expected="--step with one of them",
            got="no --step" if step is None else f"--step {step}",
        )
    kept = codes == present.index(str(step))
    obs = predictions.obs[kept]
    if OBSERVATION in obs:
        obs = obs.set_index(OBSERVATION)
    return replace(predictions, obs=obs, matrix=predictions.matrix[kept])


def without_empty_columns(
    obs: pd.DataFrame, scored: Bools, observed: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """Drop the optional grouping columns that no scored row fills in.

    Parameters
    ----------
    obs
        Of the predictions.
    scored
        (rows,) which of them count.
    observed
        Of the dataset. Where it lacks values itself, these are a group of their own.

    Raises
    ------
    InvalidDataError
        If a column is filled in for some rows only: they could not be told from
        the others.
    """
    lacking = rows_without_group(obs, scored)
    gaps = gaps_in(observed)
    for column, empty in lacking.items():
        if not empty.all() and column not in gaps:
            raise InvalidDataError(
                f"{int(empty.sum())} of {len(empty)} rows have no {column}.",
                expected=f"a {column} in every row, or in none",
                got=f"none in {first_few(obs.index[scored][empty])}",
                fix="fill it in as in test_perturbations.csv, or remove the column.",
            )
    return obs.drop(columns=[column for column, empty in lacking.items() if empty.all()])


def marked_rows(obs: pd.DataFrame) -> Bools:
    """Return which prediction rows are marked as controls."""
    if IS_CONTROL not in obs:
        return np.zeros(len(obs), dtype=bool)
    codes, values = pd.factorize(obs[IS_CONTROL], use_na_sentinel=False)
    marks = [str(value).strip().lower() in ("true", "1", "1.0") for value in values]
    return np.array(marks, dtype=bool)[codes]
