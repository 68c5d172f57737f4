"""Split a dataset: from a name to data that is prepared, divided, and checked.

The way is one: the dataset is opened, prepared, divided, every promise of the
split is checked, and all of it is handed on together.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.options import one_of, takes
from pereggrn_data.core.resources import limited
from pereggrn_data.core.splits import Split
from pereggrn_data.evaluators.splits import require_applicable
from pereggrn_data.loaders.files.datasets import Dataset
from pereggrn_data.pipelines.collection import open_dataset
from pereggrn_data.pipelines.split.make_split import make_split
from pereggrn_data.pipelines.split.prepared import prepare
from pereggrn_data.pipelines.split.split_check import (
    require_promises,
    require_same_dataset,
    require_same_training_file,
)
from pereggrn_data.pipelines.split.split_dataset import SplitDataset
from pereggrn_data.pipelines.split.split_options import SplitOptions

if TYPE_CHECKING:
    from anndata import AnnData


@limited
@takes(SplitOptions, without=("type",))
def split(
    dataset: str | Path | Dataset | AnnData | SplitDataset,
    type: str | None = None,
    *,
    options: SplitOptions | None = None,
    insist: str | Collection[str] = (),
    collection: str | None = None,
    **choices: Any,
) -> SplitDataset:
    """Split a dataset so that its held-out part can test predictions.

    Parameters
    ----------
    dataset
        A name or a path, or a dataset already opened; of one that was split, the whole.
    type
        Name of the split type, by default ``interventional``.
    options
        All options in one object, instead of `type` and the names below.
    insist
        Codes of findings that keep the dataset from being used, because numbers
        would mean nothing (such as ``"X-not-log"``), to go on all the same.
    collection
        Folder of the local collection.
    memory
        {memory}
    {options}

    Raises
    ------
    UnknownNameError
        If there is no such dataset, split type or network.
    UsageError
        If options do not go together.
    InvalidDataError
        If nothing can be held out, or no control trains.
    """
    if type is not None:
        choices["type"] = type
    wanted = one_of(SplitOptions, options, choices)
    if isinstance(dataset, SplitDataset):
        dataset = dataset.dataset
    opened = open_dataset(dataset, collection=collection)
    return split_by_options(opened, wanted, insist=insist, collection=collection)


def split_by_options(
    dataset: Dataset,
    options: SplitOptions,
    *,
    insist: str | Collection[str] = (),
    collection: str | None = None,
) -> SplitDataset:
    """As :func:`split`, with its options in one object."""
    require_applicable(options.type, options)
    codes = insisted(insist)
    prepared = prepare(dataset, options.type, options.rules, codes)
    made, warnings = make_split(dataset, prepared, options, collection=collection)
    require_promises(made, prepared, source="The split")
    return SplitDataset.of_prepared(dataset, made, prepared, warnings, codes)


def insisted(codes: str | Collection[str]) -> tuple[str, ...]:
    """Return the codes that are insisted on; a single one may stand by itself."""
    return (codes,) if isinstance(codes, str) else tuple(codes)


def divide(
    dataset: Dataset,
    split: Split | None,
    options: SplitOptions | None = None,
    *,
    insist: str | Collection[str] = (),
    collection: str | None = None,
) -> SplitDataset:
    """Make a split, or make sure that one belongs to the dataset and keeps its promises.

    Parameters
    ----------
    dataset
        What is divided.
    split
        That somebody made; None to make one.
    options
        How to make it.
    insist
        As :func:`split` has it.
    collection
        Folder of the local collection.

    Raises
    ------
    IntegrityError
        If the split was made for another file.
    InvalidDataError
        If it breaks a promise.
    """
    if split is None:
        return split_by_options(
            dataset, options or SplitOptions(), insist=insist, collection=collection
        )
    require_same_dataset(split, dataset)
    codes = insisted(insist)
    prepared = prepare(dataset, split.type, split.rules, codes)
    require_same_training_file(split, prepared)
    require_promises(split, prepared, source="The split that was given")
    return SplitDataset.of_prepared(dataset, split, prepared, prepared.warnings, codes)
