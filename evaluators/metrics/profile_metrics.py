"""Metrics that look at whole profiles: a cell label classifier, and principal components.

They need the training data, and all genes. To add such a metric, add its
function and its entry in :data:`PROFILE_METRICS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix
from pereggrn_data.evaluators.metrics.metric import (
    ORIGINAL,
    TABLE_3,
    Direction,
    Metric,
    Needs,
    WholeValues,
    one,
    zero,
)

N_TREES = 100
N_COMPONENTS = 20
_NO_VARIANCE = 1e-12


class Training:
    """The training data, and what was learnt of it; once, whatever is scored with it.

    Parameters
    ----------
    matrix
        (n, genes) natural-log expression of the training observations.
    labels
        (n,) their cluster labels, None where the dataset has none.
    """

    def __init__(self, matrix: Matrix, labels: pd.Series[Any] | None = None) -> None:
        self._matrix = matrix
        self._labels = labels

    @cached_property
    def classifier(self) -> tuple[Any, str | None]:
        """A random forest that tells cluster labels, or None; and why there is none.

        It has 100 trees and ``random_state=0``; observations without a label do
        not train. A dataset without labels needs no reason.
        """
        if self._labels is None:
            return None, None
        known = self._labels.notna().to_numpy()
        texts = self._labels[known].astype(str).to_numpy(dtype=object)
        if len(set(texts)) < 2:
            return None, (
                f"cell_label_accuracy is absent: the training set has {len(set(texts))} distinct "
                "louvain labels, and a classifier needs at least 2."
            )
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(n_estimators=N_TREES, random_state=0)
        return forest.fit(self._matrix[np.flatnonzero(known)], texts.astype(str)), None

    @cached_property
    def components(self) -> Floats | None:
        """(components, genes) of :func:`principal_components`."""
        return principal_components(self._matrix)


@dataclass(frozen=True)
class Candidates:
    """All held-out groups, among which a prediction has to find its own.

    Parameters
    ----------
    observed
        (groups, genes) observed log fold change O of all of them.
    contexts
        (groups,) number of the cell type and time point of each.
    panel
        (genes,) whether any held-out perturbation targets a gene.
    own
        (scored groups,) which of the groups each scored one is, rising within
        a context.
    """

    observed: Floats
    contexts: Ints
    panel: Bools
    own: Ints


@dataclass(frozen=True)
class Profiles:
    """Observed and predicted effects of the scored groups, and what trained.

    Parameters
    ----------
    training
        The training data.
    reference
        (genes,) or (groups, genes) baseline C of log fold changes.
    observed
        (groups, genes) observed log fold change O.
    effects
        Per method, (groups, genes) predicted log fold change E.
    left_out
        (groups, genes) entries that must not score, or None. They are equal on
        both sides here.
    among
        All held-out groups; by default those that are scored, in one context
        and without targets.
    """

    training: Training
    reference: Floats
    observed: Floats
    effects: Mapping[str, Floats]
    left_out: Bools | None = None
    among: Candidates | None = None

    @property
    def candidates(self) -> Candidates:
        """All held-out groups."""
        if self.among is not None:
            return self.among
        groups, genes = self.observed.shape
        nowhere = np.zeros(groups, dtype=np.intp)
        return Candidates(self.observed, nowhere, np.zeros(genes, bool), np.arange(groups))

    def predicted(self, method: str) -> Floats:
        """Return E of one method, (groups, genes); methods are asked for one by one.

        So at most one copy as large as the predictions is in memory at a time.
        """
        effect = self.effects[method]
        return effect if self.left_out is None else np.where(self.left_out, self.observed, effect)


def cell_label_accuracy(profiles: Profiles) -> WholeValues:
    """Say whether observed and predicted profiles get the same cell label.

    Returns
    -------
    dict, str or None
        Per method, (groups,) 1 where C + O and C + E get the same label, else 0;
        empty, with the reason, where there are fewer than two labels, and empty
        where the dataset has none.
    """
    forest, note = profiles.training.classifier
    if forest is None:
        return {}, note
    truth = forest.predict(profiles.observed + profiles.reference)
    return {
        name: (forest.predict(profiles.predicted(name) + profiles.reference) == truth).astype(
            np.float64
        )
        for name in profiles.effects
    }, None


def distance_in_pca(profiles: Profiles) -> WholeValues:
    """Squared distance of observed and predicted profiles in training components.

    Differences O - E are those of C + O and C + E.

    Returns
    -------
    dict, None
        Per method, (groups,) squared Euclidean distances; NaN where the training
        set does not vary. They do not depend on the signs of the components, so
        neither on the machine.
    """
    components = profiles.training.components
    if components is None:
        nothing = np.full(len(profiles.observed), np.nan)
        return {name: nothing.copy() for name in profiles.effects}, None
    return {
        name: np.square((profiles.observed - profiles.predicted(name)) @ components.T).sum(axis=1)
        for name in profiles.effects
    }, None


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


PROFILE_METRICS = (
    Metric(
        "cell_label_accuracy", "classifier(C + O) == classifier(C + E)",
        "Whether a random forest trained on the training set's louvain labels gives "
        "observed and predicted expression the same label.",
        Direction.HIGHER, one, 0.0, 1.0, "never, where the dataset has louvain labels",
        TABLE_3, needs=Needs.CLASSIFIER, compute_whole=cell_label_accuracy,
    ),
    Metric(
        "distance_in_pca", "||PCA(C + O) - PCA(C + E)||^2",
        "Squared distance in the first 20 principal components of the training set "
        "(fewer where it has fewer rows or genes).",
        Direction.LOWER, zero, 0.0, None, "the training set does not vary",
        ORIGINAL, needs=Needs.PCA, compute_whole=distance_in_pca,
    ),
)  # fmt: skip
