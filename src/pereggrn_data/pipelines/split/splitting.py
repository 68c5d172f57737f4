"""Split a dataset: from a name to data that is prepared, divided, and checked.

The way is one: the dataset is opened, prepared, divided, every promise of the
split is checked, and all of it is handed on together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.split_rules import AllowedRegulators, SplitRules
from pereggrn_data.core.splits import Split
from pereggrn_data.evaluators.splits import require_applicable
from pereggrn_data.loaders.files import Dataset
from pereggrn_data.pipelines.collection import open_dataset
from pereggrn_data.pipelines.split.make_split import make_split
from pereggrn_data.pipelines.split.prepared import prepare
from pereggrn_data.pipelines.split.split_check import require_promises, require_same_training_file
from pereggrn_data.pipelines.split.split_dataset import SplitDataset
from pereggrn_data.pipelines.split.split_options import (
    DEFAULT_FRACTION,
    DEFAULT_GENES,
    DEFAULT_TYPE,
    SplitOptions,
)

if TYPE_CHECKING:
    from anndata import AnnData


def split(
    dataset: str | Path | Dataset | AnnData,
    type: str = DEFAULT_TYPE,
    *,
    seed: int = 0,
    heldout_fraction: float = DEFAULT_FRACTION,
    num_genes: int = DEFAULT_GENES,
    stratify_controls: bool = False,
    allowed_regulators: str = AllowedRegulators.ALL,
    networks: str | Sequence[str] = (),
    test_set: str | Path | Sequence[str] | None = None,
    merge_replicates: bool = False,
    keep_apart: str | Sequence[str] = (),
    rank_on_train: bool = False,
    collection: str | None = None,
) -> SplitDataset:
    """Split a dataset so that its held-out part can test predictions.

    Parameters
    ----------
    dataset
        A name or a path, or a dataset already opened.
    type
        Name of the split type.
    seed
        Of the random draw.
    heldout_fraction
        Wanted share of the perturbations in the test set (of the observations,
        for ``simple`` and ``stratified``).
    num_genes
        Wanted number of genes; all perturbed genes are kept beside the most
        variable ones.
    stratify_controls
        Let a stratified split hold out controls too.
    allowed_regulators
        Which genes an interventional split may hold out: ``all``, or only
        regulators in any (``union``) or in every one (``intersection``) of `networks`.
    networks
        Names or paths.
    test_set
        The observations that a custom split holds out: a JSON or CSV file, or names.
    merge_replicates
        Average within perturbation first.
    keep_apart
        Of ``cell_type`` and ``timepoint``, those within which to average.
    rank_on_train
        Recompute ``highly_variable_rank`` from the training observations.
    collection
        Folder of the local collection.

    Raises
    ------
    UnknownNameError
        If there is no such dataset, split type or network.
    UsageError
        If options do not go together.
    InvalidDataError
        If nothing can be held out, or no control trains.
    """
    rules = SplitRules(
        merge_replicates=merge_replicates,
        keep_apart=_as_names(keep_apart),
        stratify_controls=stratify_controls,
        rank_on_train=rank_on_train,
        allowed_regulators=str(allowed_regulators),
        networks=_as_names(networks),
    )
    options = SplitOptions(type, seed, heldout_fraction, num_genes, rules, test_set)
    opened = open_dataset(dataset, collection=collection)
    return split_by_options(opened, options, collection=collection)


def split_by_options(
    dataset: Dataset, options: SplitOptions, *, collection: str | None = None
) -> SplitDataset:
    """As :func:`split`, with its options in one object."""
    require_applicable(options.type, options.rules, test_set=options.test_set is not None)
    prepared = prepare(dataset, options.type, options.rules)
    made, warnings = make_split(dataset, prepared, options, collection=collection)
    require_promises(made, prepared, source="The split")
    return SplitDataset.of_prepared(dataset, made, prepared, warnings)


def divide(
    dataset: Dataset,
    split: Split | None,
    options: SplitOptions | None = None,
    *,
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
    collection
        Folder of the local collection.

    Raises
    ------
    UsageError
        If the split was made for another file.
    InvalidDataError
        If it breaks a promise.
    """
    if split is None:
        return split_by_options(dataset, options or SplitOptions(), collection=collection)
    if dataset.sha256 != split.sha256:
        raise UsageError(
            f"The split was made for another file than {dataset.path or dataset.name}.",
            expected=f"{split.dataset} with sha256 {split.sha256}",
            got=f"{dataset.name} with sha256 {dataset.sha256}",
            fix=f"fetch {split.dataset} again, or name the file that the split was made for.",
        )
    prepared = prepare(dataset, split.type, split.rules)
    require_same_training_file(split, prepared)
    require_promises(split, prepared, source="The split that was given")
    return SplitDataset.of_prepared(dataset, split, prepared)


def _as_names(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(map(str, names))
