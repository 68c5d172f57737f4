"""From a dataset, and a split that exists or is to be made, to both of them together."""

from __future__ import annotations

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.splits import Split
from pereggrn_data.loaders.files.anndata_files import Dataset
from pereggrn_data.pipelines.split.split_check import require_promises, require_same_training_file
from pereggrn_data.pipelines.split.split_dataset import SplitDataset, split_by_options
from pereggrn_data.pipelines.split.split_options import SplitOptions


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
    divided = SplitDataset(dataset, split)
    require_same_training_file(split, divided.prepared)
    require_promises(split, divided.prepared, source="The split that was given")
    return divided
