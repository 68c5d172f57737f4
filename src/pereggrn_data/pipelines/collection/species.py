"""What is known of species: a dataset's own, and the transcription factors of each."""

from __future__ import annotations

from pathlib import Path

from pereggrn_data.catalog import EntryKind, load_catalog
from pereggrn_data.loaders.cache import local_entry
from pereggrn_data.loaders.files.datasets import Dataset
from pereggrn_data.pipelines.collection.resolve import places

TF_LISTS = "tf_lists"
"""The table of the catalog that has one list of transcription factors per species."""


def species_of(dataset: Dataset, folder: Path | None) -> str | None:
    """Return a dataset's species, as the collection's table, the catalog or it itself says.

    Parameters
    ----------
    dataset
        Whose name is looked up; an `AnnData` may say it in ``uns["species"]``.
    folder
        The local collection, or None.

    Returns
    -------
    str or None
        For example ``human``; None if nobody says it.
    """
    local = local_entry(dataset.name, folder, EntryKind.DATASET)
    if local is not None and local.row.get("species"):
        return local.row["species"]
    published = load_catalog().get(dataset.name)
    if published is not None:
        return published.species_shown
    said = dataset.adata.uns.get("species")
    return said if isinstance(said, str) and said else None


def tf_list_files(folder: Path | None) -> dict[str, Path]:
    """Map species to their lists of transcription factors.

    Those that were fetched, and those of the local collection, which win.

    Parameters
    ----------
    folder
        The local collection, or None.
    """
    found = reversed(list(places(TF_LISTS, EntryKind.TABLE, folder)))
    return {path.stem: path for place in found for path in place.files.values()}
