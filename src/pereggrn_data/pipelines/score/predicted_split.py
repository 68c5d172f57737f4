"""Which dataset and split predictions are of, as they say or as was named; never two of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import IntegrityError, UsageError
from pereggrn_data.core.format import TRAIN_FILE
from pereggrn_data.core.prediction_types import Heading
from pereggrn_data.core.splits import Split
from pereggrn_data.evaluators import SidesOfData, Task, take_sides, task_of_sides
from pereggrn_data.loaders.files import read_split, split_of_training
from pereggrn_data.loaders.files.datasets import Dataset
from pereggrn_data.pipelines.collection import find_dataset, open_dataset
from pereggrn_data.pipelines.split import SplitDataset, SplitOptions, divide, insisted

if TYPE_CHECKING:
    from anndata import AnnData


def refuse_two_splits(split: object, options: SplitOptions | None) -> None:
    """Check that a split is named or made, not both.

    Raises
    ------
    UsageError
        If both are asked for.
    """
    if split is not None and options is not None:
        raise UsageError(
            "A split is either read or made.",
            expected="a split, or options that make one",
            got="both",
        )


def dataset_and_split(
    predictions: Heading,
    dataset: str | Path | Dataset | AnnData | None,
    split: str | Path | Split | SplitDataset | None,
    options: SplitOptions | None,
    collection: str | None,
    insist: str | Collection[str] = (),
    *,
    values_only: bool = False,
) -> SplitDataset:
    """Find both, and make sure that they belong together and that promises hold.

    Raises
    ------
    UsageError
        If one of them cannot be found, or they do not belong together.
    InvalidDataError
        If the split does not hold what its type promises.
    IntegrityError
        If the training data beside the predictions are those of another split.
    """
    if isinstance(split, SplitDataset):
        if (
            (dataset is None or dataset is split.dataset)
            and options is None
            and set(insisted(insist)) <= set(split.insist)
            and _is_of(predictions, split.split)
        ):
            _refuse_other_training(predictions, split.split)
            return split  # all was checked when it was made
        dataset = split.dataset if dataset is None else dataset
        insist = (*split.insist, *insisted(insist))
        split = split.split
    named = read_split(Path(split)) if isinstance(split, (str, Path)) else split
    chosen = _the_split(predictions, named, options)
    if chosen is not None:
        _refuse_other_training(predictions, chosen)
    opened = _the_dataset(predictions, dataset, chosen, collection, values_only=values_only)
    return divide(opened, chosen, options, insist=insist, collection=collection)


def sides_of(
    divided: SplitDataset, genes: tuple[str, ...] | None = None, *, shared: bool
) -> tuple[SidesOfData | Task, SplitDataset]:
    """Return what a task is made of, and what is kept of the dataset beside it.

    The sides have all that is scored of the dataset's values, which are let go here. Whoever
    shares them keeps them, and their file need not be there any more.

    Parameters
    ----------
    divided
        The dataset and its split.
    genes
        Those that are scored; None for all that were modelled.
    shared
        Whether others may score on the same split.
    """
    if shared and genes is None:
        return divided.task, divided
    split = divided.split if genes is None else replace(divided.split, genes=genes)
    sides = take_sides(divided.prepared.adata, split, divided.prepared.train)
    return sides, divided if shared else divided.without_values()


def task_of(sides: SidesOfData | Task, split: Split) -> Task:
    """Return the task that is made of the sides of a split, or was made before."""
    return sides if isinstance(sides, Task) else task_of_sides(sides, split)


def _the_split(
    predictions: Heading, named: Split | None, options: SplitOptions | None
) -> Split | None:
    """Return the split that was named, or that the file carries; they must not differ."""
    if predictions.origin is None:
        return named
    own = predictions.origin.split
    if named is not None and not named.is_same_as(own):
        raise UsageError(
            f"{predictions.path} was made for another split than the one that was named.",
            expected=repr(own),
            got=repr(named),
            fix="leave out --split, or predict again from that split's template.",
        )
    if options is not None and not _made_by(own, options):
        raise UsageError(
            f"{predictions.path} carries its own split, so it cannot be scored on another one.",
            expected=repr(own),
            got="other options that make a split (--type, --seed, --heldout-fraction, ...)",
            fix="leave these options out.",
        )
    return own


def _is_of(predictions: Heading, split: Split) -> bool:
    """Say whether predictions do not carry another split."""
    return predictions.origin is None or predictions.origin.split.is_same_as(split)


def _made_by(split: Split, options: SplitOptions) -> bool:
    made = (split.type, split.seed, split.heldout_fraction, split.num_genes, split.rules)
    asked = (options.type, options.seed, options.heldout_fraction, options.num_genes)
    return options.test_set is None and made == (*asked, options.rules)


def _refuse_other_training(predictions: Heading, split: Split) -> None:
    """Check that the training data in the folder of predictions are not another split's.

    Who fills in a template trains on the file beside it. What our own methods forecast is
    trained on its own split, wherever it lies.
    """
    if not predictions.is_file or predictions.model is not None:
        return
    beside = Path(predictions.path).absolute().with_name(TRAIN_FILE)
    trained_on = split_of_training(beside)
    if trained_on not in (None, split.digest()):
        raise IntegrityError(
            f"{beside} is the training part of another split than {predictions.path} predicts: "
            "a model that was trained on it may have seen what it is to forecast.",
            expected=f"the training part of {split!r}",
            got=f"that of a split with the sha256 {trained_on}",
            fix="train on the train.h5ad that was written with the template; if you did, move "
            "the predictions to a folder of their own.",
        )


def _the_dataset(
    predictions: Heading,
    dataset: str | Path | Dataset | AnnData | None,
    split: Split | None,
    collection: str | None,
    *,
    values_only: bool,
) -> Dataset:
    if dataset is not None:
        return open_dataset(dataset, collection=collection, values_only=values_only)
    if split is not None:
        origin = predictions.origin
        return find_dataset(
            split.dataset,
            split.sha256,
            None if origin is None else origin.path,
            elsewhere=_elsewhere(predictions, split),
            collection=collection,
            values_only=values_only,
        )
    raise UsageError(
        f"{predictions.path} does not say which dataset it predicts.",
        expected="--dataset NAME_OR_PATH, or predictions in a filled-in template",
        got=f"neither an option nor uns['pereggrn'] in {Path(predictions.path).name}",
        fix="name the dataset, and the split by --split split.json (or --type and --seed).",
    )


def _elsewhere(predictions: Heading, split: Split) -> list[Path]:
    """Return where the dataset may be too: at its absolute path, and beside the predictions.

    A template is often sent with its dataset, or lies in a folder beside it.
    """
    origin, found = predictions.origin, []
    names = [f"{split.dataset}.h5ad"]
    if origin is not None and origin.path is not None:
        names = [origin.path, *(Path(p).name for p in (origin.path,)), *names]
    if origin is not None and origin.absolute_path is not None:
        found.append(Path(origin.absolute_path))
    if predictions.is_file:
        folder = Path(predictions.path).absolute().parent
        found += [place / name for place in (folder, folder.parent) for name in names]
    return found
