"""Metrics that look at whole profiles: a cell label classifier, and principal components.

They need the training data, and all genes. To add such a metric, add its
function and its entry in :data:`PROFILE_METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix, column_means, dense
from pereggrn_data.core.resources import resources
from pereggrn_data.core.rows.row_blocks import (
    chosen_rows,
    dense_values,
    each_block,
    is_sparse_like,
    is_stored,
    rows_in_a_block,
)
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

_ROUNDING = 1e-24
"""Variance over squared mean that is the rounding of centred values."""

_SMALL = 400
"""Rows of a matrix up to which all of its eigenvectors are computed at once."""


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
        if is_stored(self._matrix) and self._bytes > resources().memory_bytes // 4:
            return None, (
                "cell_label_accuracy is absent: a random forest needs the whole training set in "
                f"memory, and that takes {self._bytes / 2**30:.1f} GiB (raise --memory)."
            )
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(n_estimators=N_TREES, random_state=0)
        matrix = chosen_rows(self._matrix, np.flatnonzero(known))
        if is_stored(matrix):
            matrix = matrix.to_memory()
        if sparse.issparse(matrix):
            # Trees take 32-bit indices only, and files and people have 64-bit ones, too.
            if matrix.nnz > np.iinfo(np.intc).max:
                return None, (
                    "cell_label_accuracy is absent: a random forest takes at most "
                    f"{np.iinfo(np.intc).max:,} stored values, and there are {matrix.nnz:,}."
                )
            indices, starts = (
                i.astype(np.intc, copy=False) for i in (matrix.indices, matrix.indptr)
            )
            matrix = type(matrix)((matrix.data, indices, starts), shape=matrix.shape)
        return forest.fit(matrix, texts.astype(str)), None

    @property
    def _bytes(self) -> int:
        """Memory that the matrix takes, at most."""
        rows, genes = self._matrix.shape
        return int(rows * genes * 4)

    @property
    def too_many_genes(self) -> str | None:
        """Why there are no components, where products of genes would not fit into memory."""
        genes = int(self._matrix.shape[1])
        if not is_stored(self._matrix) or 16 * genes**2 <= resources().memory_bytes // 2:
            return None
        return (
            f"distance_in_pca is absent: the products of {genes} genes with each other take "
            f"{16 * genes**2 / 2**30:.1f} GiB, more than half of the memory (raise --memory)."
        )

    @cached_property
    def components(self) -> Floats:
        """(components, genes) of :func:`principal_components`."""
        return principal_components(self._matrix)

    @property
    def is_learned(self) -> bool:
        """Whether the components are there already."""
        return "components" in self.__dict__

    def learn(self, known: Floats | None = None) -> None:
        """Compute the components now: what they take for a while is free again afterwards.

        Parameters
        ----------
        known
            (components, genes) of the same training set, where they were computed before.
        """
        if known is not None:
            self.__dict__["components"] = known
        elif self.too_many_genes is None:
            _ = self.components


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
    dict, str or None
        Per method, (groups,) squared Euclidean distances; NaN where the training
        set does not vary; empty, with the reason, where memory does not do. They do
        not depend on the signs of the components, so neither on the machine.
    """
    if (absent := profiles.training.too_many_genes) is not None:
        return {}, absent
    components = profiles.training.components
    if not len(components):
        nothing = np.full(len(profiles.observed), np.nan)
        return {name: nothing.copy() for name in profiles.effects}, None
    return {
        name: np.square((profiles.observed - profiles.predicted(name)) @ components.T).sum(axis=1)
        for name in profiles.effects
    }, None


def principal_components(train: Matrix) -> Floats:
    """Return the first 20 principal components, fewer where there are fewer rows or genes.

    Parameters
    ----------
    train
        (n, genes) expression.

    Returns
    -------
    ndarray
        (components, genes); none of them where the training set does not vary.
    """
    rows, genes = train.shape
    # Centring takes one degree of freedom; a component beyond it is arbitrary.
    wanted = min(N_COMPONENTS, rows - 1, genes)
    if wanted < 1:
        return np.zeros((0, genes))
    if is_sparse_like(train) and not is_stored(train):
        variances, axes = _leading(_centred_products(sparse.csr_array(train)), genes, wanted)
    elif rows > genes:
        covariance = _covariance(train)
        variances, axes = _leading(lambda v: covariance @ v, genes, wanted, covariance)
    else:
        values = dense(train)
        centred = values - values.mean(axis=0)  # the values are the task's, too
        # Of fewer rows than genes, the products of rows with each other are fewer.
        inner = centred @ centred.T
        variances, of_rows = _leading(lambda v: inner @ v, rows, wanted, inner)
        sizes = np.sqrt(np.maximum(variances, np.finfo(float).tiny))
        axes = (of_rows.T @ centred).T / sizes
    # A training set that does not vary leaves nothing but rounding.
    if not variances[0] > _ROUNDING * rows * float(np.square(column_means(train)).sum()):
        return np.zeros((0, genes))
    varied = variances > _NO_VARIANCE * variances[0]
    return np.ascontiguousarray(axes[:, varied].T)


def _leading(
    multiply: Callable[[Floats], Floats], size: int, wanted: int, whole: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return the largest eigenvalues of a symmetric matrix, falling, and their vectors.

    Parameters
    ----------
    multiply
        From a vector to its product with the matrix.
    size
        Of the matrix.
    wanted
        How many.
    whole
        The matrix, where there is one; small ones are decomposed as a whole.

    Returns
    -------
    values, vectors
        (wanted,), (size, wanted)
    """
    from scipy.linalg import eigh
    from scipy.sparse.linalg import LinearOperator, eigsh

    if size <= max(_SMALL, 2 * wanted):
        matrix = whole
        if matrix is None:
            matrix = np.column_stack([multiply(unit) for unit in np.eye(size)])
        values, vectors = eigh((matrix + matrix.T) / 2)
    else:
        # To the last digits, from a start that is the same everywhere.
        start = np.random.default_rng(0).normal(size=size)
        if not multiply(start).any():
            # Nothing varies; ARPACK takes that for an error.
            return np.zeros(wanted), np.zeros((size, wanted))
        operator = LinearOperator((size, size), matvec=multiply, dtype=np.float64)
        values, vectors = eigsh(operator, k=wanted, v0=start, tol=1e-12)
    order = np.argsort(-values, kind="stable")[:wanted]
    return np.maximum(values[order], 0), vectors[:, order]


def _centred_products(train: Any) -> Callable[[Floats], Floats]:
    """Return the product with the covariance (times n) of a sparse matrix that stays sparse."""
    # Places are shared with the matrix itself; only values are wider.
    values = sparse.csr_array(
        (train.data.astype(np.float64), train.indices, train.indptr), shape=train.shape
    )
    by_gene = values.T  # of the same numbers: a second copy by genes would hardly be faster
    mean = column_means(values)

    def multiply(vector: Floats) -> Floats:
        scores = values @ vector - mean @ vector
        return np.asarray(by_gene @ scores - mean * scores.sum())

    return multiply


def _covariance(train: Matrix) -> Floats:
    """Return (genes, genes) the covariance, times n, in one reading.

    Values are taken over the means of the first rows, which are close to those of all:
    large numbers are not subtracted from each other.
    """
    genes = train.shape[1]
    total, products = np.zeros(genes), np.zeros((genes, genes))
    near: Floats | None = None
    # A sparse block has so many rows that a dense copy would be the largest of all arrays.
    step = rows_in_a_block(genes, is_sparse=False)
    for block in each_block(train):
        for start in range(0, block.values.shape[0], step):
            part: Any = block.values[start : start + step]
            values = np.array(dense_values(part), dtype=np.float64)
            near = values.mean(axis=0) if near is None else near
            values -= near
            total += values.sum(axis=0)
            products += values.T @ values
    products -= np.outer(total, total / train.shape[0])
    return products


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
