"""`qc`: from a dataset's name or path to tables that say how good it is."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.format import MEASURED
from pereggrn_data.core.resources import limited
from pereggrn_data.evaluators import quality
from pereggrn_data.loaders.files.any_file import write_text, written_together
from pereggrn_data.pipelines.collection import open_dataset, require_usable

if TYPE_CHECKING:
    from pereggrn_data.evaluators import Quality


@limited
def qc(
    dataset: Any, *, seed: int = 0, collection: str | None = None, insist: Collection[str] = ()
) -> Quality:
    """Say how good a dataset is: the paper's Fig. S1 and S5 as tables.

    Parameters
    ----------
    dataset
        A name or path, or AnnData.
    seed
        Of the pairs that are compared, and of the halves of the controls.
    collection
        Folder of a local collection.
    insist
        Findings of `validate` in spite of which it is used.
    memory
        {memory}

    Returns
    -------
    Quality
        ``tables`` by name, and ``notes`` about what could not be computed.

    Raises
    ------
    UnknownNameError
        If there is no such dataset.
    InvalidDataError
        If it cannot be used, or has no controls or nothing else.
    """
    opened = open_dataset(dataset, collection=collection, values_only=True)
    doubts = require_usable(opened, insist=insist)
    adata = opened.adata
    measured = np.asarray(adata.uns[MEASURED]).ravel()
    made = quality(adata.X, adata.obs, list(adata.var_names), map(str, measured), seed)
    return type(made)(made.tables, (*doubts, *made.notes))


def write_quality(made: Quality, folder: Path) -> list[Path]:
    """Write every table as CSV; nothing is overwritten.

    Raises
    ------
    UsageError
        If one of the files exists already, or they cannot be written; then none of them is.
    """
    files = {name: folder / f"{name}.csv" for name in made.tables}
    there = [file for file in files.values() if file.exists()]
    if there:
        raise UsageError(
            f"{there[0]} exists already, and nothing is overwritten.", fix="name another folder."
        )
    with written_together(folder, next(iter(files.values())).name) as place:
        for name, file in files.items():
            write_text(made.tables[name].to_csv(index=False), place / file.name)
    return list(files.values())
