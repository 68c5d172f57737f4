"""Datasets cut down to what a method may see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pereggrn_data.core.format import (
    HIGHLY_VARIABLE_RANK,
    MEASURED,
    NOT_MEASURED,
    PERTURBATION,
    SPLIT_UNS,
)
from pereggrn_data.core.labels import genes_of

if TYPE_CHECKING:
    from anndata import AnnData


def cut_down(
    adata: AnnData, rows: Any, genes: Any, *, split_type: str, rank: Any = None
) -> AnnData:
    """Keep some observations and genes, and nothing that was computed from others.

    Parameters
    ----------
    adata
        (n, all genes) a dataset.
    rows, genes
        Positions to keep.
    split_type
        Written to ``uns["pereggrn_split"]``, so that nobody takes the result for a
        whole dataset or for the training file of a time series.
    rank
        (all genes,) ``highly_variable_rank`` to write instead of the dataset's
        own, which was computed from all observations.

    Returns
    -------
    AnnData
        ``raw`` keeps all genes; the two lists in ``uns`` name the genes that a
        kept observation perturbs, alone or with others.
    """
    import anndata

    obs = adata.obs.iloc[rows].copy()
    for column in obs.select_dtypes("category"):
        # The names of held-out perturbations are no secret, but an empty
        # category would make a group without observations.
        obs[column] = obs[column].cat.remove_unused_categories()
    hit = {gene for label in obs[PERTURBATION].unique() for gene in genes_of(label)}
    uns: dict[str, Any] = {
        # Not numbers: they could have been computed from held-out expression.
        k: v
        for k, v in adata.uns.items()
        if isinstance(v, (str, bool, np.bool_))
    }
    uns[SPLIT_UNS] = split_type
    for key in (MEASURED, NOT_MEASURED):
        listed = [str(g) for g in np.asarray(adata.uns.get(key, [])).ravel()]
        uns[key] = np.array([g for g in listed if g in hit], dtype=object)
    var = _without_statistics(adata.var.iloc[genes])
    if rank is not None:
        var[HIGHLY_VARIABLE_RANK] = np.asarray(rank)[genes]
    kept = anndata.AnnData(X=adata.X[rows][:, genes], obs=obs, var=var, uns=uns)
    if adata.raw is not None:
        kept.raw = anndata.AnnData(
            X=adata.raw.X[rows],
            obs=pd.DataFrame(index=obs.index),
            var=_without_statistics(adata.raw.var, keep_rank=rank is None),
        )
    return kept


def _without_statistics(var: pd.DataFrame, *, keep_rank: bool = True) -> pd.DataFrame:
    """Drop numbers per gene, which were computed from held-out observations too."""
    kept = [
        c for c in var
        if (c == HIGHLY_VARIABLE_RANK and keep_rank)
        or not pd.api.types.is_numeric_dtype(var[c])
    ]  # fmt: skip
    return var[kept].copy()
