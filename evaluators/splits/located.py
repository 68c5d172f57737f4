"""Where a split's observations and genes are in its dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Ints
from pereggrn_data.core.errors import InvalidDataError, first_few
from pereggrn_data.core.splits import Split

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class Located:
    """Positions in a dataset.

    Parameters
    ----------
    train
        Of training observations, in the training file where there is one.
    test
        Of held-out observations.
    given
        Of controls that are known and do not train.
    validation
        Of observations that are set aside, in the training file where there is one.
    genes, train_genes
        Of the modelled genes, in the dataset and in the training file.
    """

    train: Ints
    test: Ints
    given: Ints
    validation: Ints
    genes: Ints
    train_genes: Ints


def locate(adata: AnnData, split: Split, train: AnnData | None = None) -> Located:
    """Find a split's observations and genes.

    Parameters
    ----------
    adata
        (n, all genes) the dataset.
    split
        Made for it.
    train
        The separate training file, for a split that has one.

    Raises
    ------
    InvalidDataError
        If the split names observations or genes that the dataset lacks.
    """
    source = adata if train is None else train
    name = split.dataset
    test = _find("observations", split.test_observations, adata.obs_names, name)
    given = _find("observations", split.given_observations, adata.obs_names, name)
    genes = _find("genes", split.genes, adata.var_names, name)
    aside = _find("observations", split.validation_observations, source.obs_names, name)
    if split.train_observations:
        rows = _find("observations", split.train_observations, source.obs_names, name)
    elif train is not None:
        rows = _others(train.n_obs, aside)
    else:
        rows = _others(adata.n_obs, test, given, aside)
    return Located(
        train=rows,
        test=test,
        given=given,
        validation=aside,
        genes=genes,
        train_genes=genes
        if train is None
        else _find("genes", split.genes, train.var_names, f"the training file of {name}"),
    )


def _others(n: int, *taken: Ints) -> Ints:
    """Return which of `n` positions are in none of some others."""
    free = np.ones(n, dtype=bool)
    for positions in taken:
        free[positions] = False
    return np.flatnonzero(free)


def _find(what: str, names: Sequence[str], index: pd.Index[Any], dataset: str) -> Ints:
    position = index.get_indexer(pd.Index(list(names), dtype=object))
    if (position < 0).any():
        absent = [n for n, p in zip(names, position, strict=True) if p < 0]
        raise InvalidDataError(
            f"The split names {what} that {dataset} does not have: {first_few(absent)}.",
            expected=f"{what} of the dataset that was split",
            got=f"{len(absent)} unknown of {len(names)}",
            fix="check that split and dataset belong together.",
        )
    return np.asarray(position, dtype=np.intp)
