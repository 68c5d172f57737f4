"""Metrics that look at whole profiles: a cell label classifier, and principal components."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Floats, Matrix

N_TREES = 100
N_COMPONENTS = 20
_NO_VARIANCE = 1e-12


def cell_label_accuracy(
    train: Matrix,
    labels: pd.Series[Any],
    control_mean: Floats,
    observed: Floats,
    predicted: Mapping[str, Callable[[], Floats]],
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
    control_mean
        (genes,) baseline C.
    observed
        (groups, genes) observed log fold change O.
    predicted
        Per method, what returns the (groups, genes) predicted log fold change E
        (called one by one, so that one profile is in memory at a time).

    Returns
    -------
    dict, str or None
        Per method, (groups,) 1 where C + O and C + E get the same label, else 0;
        empty, with the reason, where there are fewer than two labels.
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
    truth = forest.predict(observed + control_mean)
    return {
        name: (forest.predict(effect() + control_mean) == truth).astype(np.float64)
        for name, effect in predicted.items()
    }, None


def distance_in_pca(
    train: Matrix, errors: Mapping[str, Callable[[], Floats]]
) -> dict[str, Floats]:
    """Squared distance of observed and predicted profiles in training components.

    Parameters
    ----------
    train
        (n, genes) natural-log expression.
    errors
        Per method, what returns the (groups, genes) differences O - E; those of
        C + O and C + E are the same.

    Returns
    -------
    dict
        Per method, (groups,) squared Euclidean distances; NaN where the training
        set does not vary. They do not depend on the signs of the components, so
        neither on the machine.
    """
    components = principal_components(train)
    if components is None:
        return {name: np.full(len(error()), np.nan) for name, error in errors.items()}
    return {name: np.square(error() @ components.T).sum(axis=1) for name, error in errors.items()}


def principal_components(train: Matrix) -> Floats | None:
    """Return the first 20 principal components, fewer where there are fewer rows or genes.

    Parameters
    ----------
    train
        (n, genes) expression.

    Returns
    -------
    ndarray or None
        (components, genes); None where the training set does not vary.
    """
    from sklearn.decomposition import PCA

    rows, genes = train.shape
    dense = np.asarray(train.toarray() if sparse.issparse(train) else train, dtype=np.float64)
    # Centred here, because the covariance solver would subtract large numbers.
    dense = dense - dense.mean(axis=0)
    # Centring takes one degree of freedom; a component beyond it is arbitrary.
    wanted = min(N_COMPONENTS, rows - 1, genes)
    if wanted < 1 or not dense.any():
        return None
    # Both solvers are exact; this one is the faster where rows outnumber genes.
    solver = "covariance_eigh" if rows > genes else "full"
    pca = PCA(n_components=wanted, svd_solver=solver, random_state=0).fit(dense)
    varied = pca.explained_variance_ > _NO_VARIANCE * pca.explained_variance_[0]
    return np.asarray(pca.components_[varied])
