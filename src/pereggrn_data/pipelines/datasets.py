"""From a dataset's name or path to the data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import MissingFileError, UnknownNameError
from pereggrn_data.loaders.collection import (
    COLLECTION_VARIABLE,
    collection_folder,
    dataset_files,
)
from pereggrn_data.loaders.datasets import Dataset, read_dataset

if TYPE_CHECKING:
    from anndata import AnnData

DEMO = "demo"


def load(dataset: str | Path, *, collection: str | None = None) -> AnnData:
    """Load a dataset by name or path.

    Parameters
    ----------
    dataset
        ``"demo"``, a name in the local collection, or the path of an ``.h5ad`` file.
    collection
        Folder of the local collection; by default ``PEREGGRN_COLLECTION``.

    Returns
    -------
    AnnData
        Observations by genes; natural-log expression in ``X``.

    Raises
    ------
    UnknownNameError
        If there is neither such a name nor such a file.
    InvalidDataError
        If the file cannot be read.
    """
    return open_dataset(dataset, collection=collection).adata


def open_dataset(dataset: str | Path, *, collection: str | None = None) -> Dataset:
    """As :func:`load`, with the name and the hash that scores refer to."""
    given = str(dataset)
    folder = collection_folder(collection)
    files = dataset_files(folder) if folder else {}
    if given in files:
        return read_dataset(files[given])
    if given == DEMO:
        from pereggrn_data.simulate.demo import demo_dataset

        return demo_dataset()
    path = Path(given).expanduser()
    if path.exists():
        return read_dataset(path, given_as=given)
    if _looks_like_path(given):
        raise MissingFileError(f"There is no file {given}.", fix="check the path.")
    raise UnknownNameError(
        "dataset",
        given,
        [DEMO, *files],
        fix=f"Give a path, or name a collection by {COLLECTION_VARIABLE}.",
    )


def _looks_like_path(text: str) -> bool:
    return "/" in text or text.endswith((".h5ad", ".parquet", ".csv"))
