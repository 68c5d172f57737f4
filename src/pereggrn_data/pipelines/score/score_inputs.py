"""What is scored: the predictions, and the dataset and split that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.prediction_types import Predictions
from pereggrn_data.core.splits import Split
from pereggrn_data.loaders.files.anndata_files import Dataset
from pereggrn_data.loaders.files.prediction_files import predictions_of, read_predictions
from pereggrn_data.loaders.files.split_files import read_split
from pereggrn_data.pipelines.collection import find_dataset, open_dataset
from pereggrn_data.pipelines.split.divide import divide
from pereggrn_data.pipelines.split.split_dataset import SplitDataset
from pereggrn_data.pipelines.split.split_options import SplitOptions

if TYPE_CHECKING:
    from anndata import AnnData


def read_any(predictions: Any) -> Predictions:
    """Read predictions from a path, or take them from memory.

    Raises
    ------
    UsageError
        If it is neither, or not there.
    InvalidDataError
        If it holds no predictions.
    """
    if isinstance(predictions, Predictions):
        return predictions
    if isinstance(predictions, (str, Path)):
        return read_predictions(Path(predictions))
    return predictions_of(predictions)


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
    predictions: Predictions,
    dataset: str | Path | Dataset | AnnData | None,
    split: str | Path | Split | SplitDataset | None,
    options: SplitOptions | None,
    collection: str | None,
) -> SplitDataset:
    """Find both, and make sure that they belong together and that promises hold.

    Raises
    ------
    UsageError
        If one of them cannot be found, or they do not belong together.
    InvalidDataError
        If the split does not hold what its type promises.
    """
    if isinstance(split, SplitDataset):
        dataset = split.dataset if dataset is None else dataset
        split = split.split
    named = read_split(Path(split)) if isinstance(split, (str, Path)) else split
    chosen = _the_split(predictions, named, options)
    opened = _the_dataset(predictions, dataset, chosen, collection)
    return divide(opened, chosen, options, collection=collection)


def _the_split(
    predictions: Predictions, named: Split | None, options: SplitOptions | None
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


def _made_by(split: Split, options: SplitOptions) -> bool:
    made = (split.type, split.seed, split.heldout_fraction, split.num_genes, split.rules)
    return options.test_set is None and made == (
        options.type,
        options.seed,
        options.heldout_fraction,
        options.num_genes,
        options.rules,
    )


def _the_dataset(
    predictions: Predictions,
    dataset: str | Path | Dataset | AnnData | None,
    split: Split | None,
    collection: str | None,
) -> Dataset:
    if dataset is not None:
        return open_dataset(dataset, collection=collection)
    if split is not None:
        path = predictions.origin.path if predictions.origin is not None else None
        return find_dataset(split.dataset, split.sha256, path, collection=collection)
    raise UsageError(
        f"{predictions.path} does not say which dataset it predicts.",
        expected="--dataset NAME_OR_PATH, or predictions in a filled-in template",
        got=f"neither an option nor uns['pereggrn'] in {Path(predictions.path).name}",
        fix="name the dataset, and the split by --split split.json (or --type and --seed).",
    )
