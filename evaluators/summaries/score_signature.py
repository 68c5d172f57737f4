"""The one line that says what was scored: scores with equal lines can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from pereggrn_data.core.prediction_types import CellSettings
from pereggrn_data.core.splits import Split
from pereggrn_data.evaluators.metrics.definitions import definitions_version
from pereggrn_data.evaluators.splits.types import split_type

SIGNATURE_PARTS = (
    *("software", "metrics", "dataset", "sha256", "heldout", "train", "controls"),
    *("targeted", "fill", "cells", "by", "genes", "scored"),
)
"""What a signature can say, in its order; parts that do not apply are left out."""


def signature(
    split: Split,
    *,
    dataset_shown_as: str,
    software: str,
    targeted: str,
    fill: str,
    group_by: tuple[str, ...],
    scored: tuple[int, int],
    groups: Iterable[str],
    trained: Collection[str] = (),
    genes_of: int | None = None,
    cells: CellSettings | None = None,
) -> str:
    """Write the one line that says what was scored: equal lines, comparable scores.

    Parameters
    ----------
    split
        What was held out.
    dataset_shown_as
        Name of the dataset, with its origin where that is a local collection.
    software
        Name and version.
    targeted, fill
        The rules for targeted genes and for missing predictions.
    group_by
        Columns that define a group.
    scored
        Number of groups scored, and of groups held out.
    groups
        Names of the groups scored; they count where not all were.
    trained
        What trained, where that is not simply all that is not held out.
    genes_of
        Number of genes that were modelled, where not all of them are scored.
    cells
        How cells were compared, where metrics of cells were computed.
    """
    # Controls and baselines within cell types make another task of the same observations.
    matched_by = split_type(split.type).matched_by
    all_genes = genes_of is None or genes_of == len(split.genes)
    everything = scored[0] == scored[1]
    of_genes = "" if all_genes else f"/{genes_of}"
    values = {
        "software": software,
        "metrics": definitions_version(),
        "dataset": dataset_shown_as,
        "sha256": split.sha256[:12],
        "heldout": _hash(split.test_observations)[:12],
        "train": _hash(trained)[:8] if trained else None,
        "controls": "+".join(matched_by) or None,
        "targeted": targeted,
        "fill": fill,
        "cells": None if cells is None else str(cells),
        "by": "+".join(group_by),
        "genes": f"{len(split.genes)}{of_genes}:{_hash(split.genes)[:8]}",
        "scored": f"{scored[0]}/{scored[1]}" + ("" if everything else f":{_hash(groups)[:8]}"),
    }
    parts = [f"{part}:{values[part]}" for part in SIGNATURE_PARTS if values[part] is not None]
    # A name is part of a line, and must not look like two parts or two lines.
    return "|".join(" ".join(part.replace("|", "/").split()) for part in parts)


def _hash(names: Iterable[str]) -> str:
    """Hash a set of names; their order does not matter."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
