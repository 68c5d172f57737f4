"""Metrics that look at whole profiles: a cell label classifier, and principal components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.baselines import Floats, Matrix

N_TREES = 100
N_COMPONENTS = 20
_NO_VARIANCE = 1e-12


def cell_label_accuracy(
    train: Matrix, labels: pd.Series[Any], observed: Floats, predicted: Mapping[str, Floats]
) -> tuple[dict[str, Floats], str | None]:
    """Say whether observed and predicted profiles get the same cell label.

    A random forest (100 trees, ``random_state=0``) learns the cluster labels of
    the training set.

    Parameters
    ----------
    train
        (n, genes) natural-log expression.
    labels
        (n,) cluster labels; observations without one do not train.
    observed
        (groups, genes) mean observed expression.
    predicted
        Per method, (groups, genes) predicted expression.

    Returns
    -------
    dict, str or None
        Per method, (groups,) 1 where the labels agree, else 0; empty, with the
        reason, where there are fewer than two labels to tell apart.
    """
    known = labels.notna().to_numpy()
    texts = labels[known].astype(str).to_numpy(dtype=object)
    if len(set(texts)) < 2:
        return {}, (
            f"cell_label_accuracy is absent: the training set has {len(set(texts))} distinct "
            "louvain labels, and a classifier needs at least 2."
        )
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(n_estimators=N_TREES, random_state=0)
    forest.fit(train[np.flatnonzero(known)], texts.astype(str))
    truth = forest.predict(observed)
    return {
        name: (forest.predict(profiles) == truth).astype(np.float64)
        for name, profiles in predicted.items()
    }, None


def distance_in_pca(
    train: Matrix, observed: Floats, predicted: Mapping[str, Floats]
) -> dict[str, Floats]:
    """Squared distance of observed and predicted profiles in training components.

    Parameters
    ----------
    train
        (n, genes) natural-log expression.
    observed
        (groups, genes) mean observed expression.
    predicted
        Per method, (groups, genes) predicted expression.

    Returns
    -------
    dict
        Per method, (groups,) squared Euclidean distances; NaN where the training
        set does not vary. The distance does not
        depend on the signs of the components, so neither on the machine.
    """
    from sklearn.decomposition import PCA

    rows, genes = train.shape
    dense = np.asarray(train.toarray() if sparse.issparse(train) else train, dtype=np.float64)
    # Centred here, because the covariance solver would subtract large numbers.
    dense = dense - dense.mean(axis=0)
    # Centring takes one degree of freedom; a component beyond it is arbitrary.
    wanted = min(N_COMPONENTS, rows - 1, genes)
    if wanted < 1 or not dense.any():
        return {name: np.full(len(observed), np.nan) for name in predicted}
    # Both solvers are exact; this one is the faster where rows outnumber genes.
    solver = "covariance_eigh" if rows > genes else "full"
    pca = PCA(n_components=wanted, svd_solver=solver, random_state=0).fit(dense)
    varied = pca.explained_variance_ > _NO_VARIANCE * pca.explained_variance_[0]
    components = pca.components_[varied]
    return {
        name: np.square((observed - profiles) @ components.T).sum(axis=1)
        for name, profiles in predicted.items()
    }
