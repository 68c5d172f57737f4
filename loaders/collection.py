"""Local collections: folders in the layout of the original data archives."""

from __future__ import annotations

import os
from pathlib import Path

from pereggrn_data.core.errors import MissingFileError

COLLECTION_VARIABLE = "PEREGGRN_COLLECTION"


def collection_folder(given: str | None = None) -> Path | None:
    """Return the local collection: the one given, else ``PEREGGRN_COLLECTION``, else None.

    Raises
    ------
    MissingFileError
        If the folder that was named does not exist.
    """
    named = given or os.environ.get(COLLECTION_VARIABLE)
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        source = "--collection" if given else COLLECTION_VARIABLE
        raise MissingFileError(f"{source} names {named}, which is not a folder.")
    return folder


def dataset_files(folder: Path) -> dict[str, Path]:
    """Map the datasets of a collection to their ``test.h5ad``.

    Both layouts are known: ``perturbations/`` directly in the folder, or
    inside ``perturbation_data/`` as in the unzipped archives.
    """
    roots = [folder / "perturbations", folder / "perturbation_data" / "perturbations"]
    return {file.parent.name: file for root in roots for file in sorted(root.glob("*/test.h5ad"))}
