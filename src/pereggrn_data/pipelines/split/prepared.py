"""What a split looks at: a dataset with its replicates merged, or with its training file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.format import IS_CONTROL, PERTURBATION, TRAIN_FILE, Role
from pereggrn_data.core.splits import CONTEXTS, SplitRules
from pereggrn_data.evaluators.splits import merge_replicates, split_type
from pereggrn_data.loaders.files.any_file import existing_file, user_path
from pereggrn_data.loaders.files.datasets import Dataset, read_dataset
from pereggrn_data.pipelines.collection import require_usable

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


@dataclass(frozen=True)
class Prepared:
    """What a split divides.

    Parameters
    ----------
    adata
        The dataset, or the averages of its replicates.
    train
        The separate training file, for a split that has one.
    train_sha256
        Of that file.
    warnings
        What was lost or could not be read, and what is wrong with the dataset.
    """

    adata: AnnData
    train: AnnData | None = None
    train_sha256: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def trains(self) -> AnnData:
        """What the training side is part of: the training file, or the dataset."""
        return self.adata if self.train is None else self.train

    @property
    def observed(self) -> list[pd.DataFrame]:
        """``obs`` of the dataset, and of a separate training file."""
        return [self.adata.obs] if self.train is None else [self.adata.obs, self.train.obs]


def prepare(
    dataset: Dataset, type: str, rules: SplitRules, insist: Collection[str] = ()
) -> Prepared:
    """Merge replicates, or open the training file, as a split asks for it.

    Raises
    ------
    InvalidDataError
        If the dataset is not in the uniform format, or a time series lacks a column.
    UsageError
        If there is no training file.
    """
    doubts = require_usable(dataset, insist=insist)
    if split_type(type).separate_training:
        train, others = training_file(dataset, insist)
        doubts += tuple(f"{TRAIN_FILE}: {doubt}" for doubt in others if doubt not in doubts)
        left = tuple(dict.fromkeys((*dataset.left, *train.left, *doubts)))
        return Prepared(dataset.adata, train.adata, train.sha256, warnings=left)
    doubts = (*dataset.left, *doubts)
    if not rules.merge_replicates:
        return Prepared(dataset.adata, warnings=doubts)
    merged, notes = merge_replicates(dataset.adata, rules.keep_apart)
    return Prepared(merged, warnings=(*doubts, *notes))


def training_file(
    dataset: Dataset, insist: Collection[str] = ()
) -> tuple[Dataset, tuple[str, ...]]:
    """Open the ``train.h5ad`` beside a dataset's ``test.h5ad``, and say what is wrong with it."""
    given = user_path(dataset.path) if dataset.path else None
    path = existing_file(given.with_name(TRAIN_FILE)) if given else None
    if path is None or path == given:
        raise UsageError(
            f"{dataset.name} has no separate training file, which a timeseries split needs.",
            expected=f"{TRAIN_FILE} beside {dataset.path or 'the dataset'}",
            got="no such file",
            fix="choose another --type, or put both files into one folder.",
        )
    train = read_dataset(path)
    doubts = require_usable(train, Role.TRAIN, insist)
    needed = (PERTURBATION, IS_CONTROL, *CONTEXTS)
    for which, opened in (("test", dataset), ("training", train)):
        missing = [column for column in needed if column not in opened.adata.obs]
        if missing:
            raise InvalidDataError(
                f"The {which} file of {dataset.name} is not that of a time series.",
                expected=f"obs columns {', '.join(needed)}",
                got=f"none named {', '.join(missing)}",
            )
    return train, doubts
