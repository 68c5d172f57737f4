"""Perturbation labels and the expression levels stated with them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.format import SEPARATOR


def genes_of(perturbation: str) -> tuple[str, ...]:
    """Return the genes of a perturbation label, in its order.

    Examples
    --------
    >>> genes_of("arcA,fnr")
    ('arcA', 'fnr')
    """
    return tuple(str(perturbation).split(SEPARATOR))


def levels_of(stated: object) -> tuple[float, ...]:
    """Parse a stated expression level: a number, or comma-separated numbers.

    Unknown levels (missing, or the text ``nan``) become NaN.

    Parameters
    ----------
    stated
        An entry of ``expression_level_after_perturbation`` (natural log).

    Raises
    ------
    ValueError
        If a part is not a number.

    Examples
    --------
    >>> levels_of("3.5,nan")
    (3.5, nan)
    >>> levels_of(None)
    (nan,)
    """
    # pandas.NA has no truth value, so it is not compared; it means the same as NaN.
    if stated is None or repr(stated) == "<NA>":
        return (math.nan,)
    if isinstance(stated, str):
        return tuple(float(part) if part.strip() else math.nan for part in stated.split(SEPARATOR))
    return (math.nan,) if stated != stated else (float(stated),)  # type: ignore[arg-type]


def unique_in_order(labels: Iterable[str]) -> list[str]:
    """Return distinct labels in order of first appearance.

    Examples
    --------
    >>> unique_in_order(["b", "a", "b"])
    ['b', 'a']
    """
    return list(dict.fromkeys(labels))


def targets_matrix(
    perturbations: Iterable[str], genes: Iterable[str]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Say which genes each observation directly perturbs.

    Parameters
    ----------
    perturbations
        One label per observation.
    genes
        Names of the measured genes.

    Returns
    -------
    rows, columns
        Positions of (observation, gene) pairs, one per directly perturbed
        gene that is measured, ordered by observation. Control labels name no
        gene, unless a gene has that very name.
    """
    position = {gene: j for j, gene in enumerate(genes)}
    parsed: dict[str, list[int]] = {}
    rows: list[int] = []
    columns: list[int] = []
    for i, label in enumerate(perturbations):
        if label not in parsed:
            parsed[label] = [position[g] for g in genes_of(label) if g in position]
        hit = parsed[label]
        rows.extend([i] * len(hit))
        columns.extend(hit)
    return np.asarray(rows, dtype=np.intp), np.asarray(columns, dtype=np.intp)
