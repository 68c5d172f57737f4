"""What a perturbation changes about the data of a graph: which values it explains by itself."""

from __future__ import annotations

import numpy as np
import scipy.sparse

from pereggrn_data.core.arrays import Bools, Floats, Matrix
from pereggrn_data.core.labels import genes_of
from pereggrn_data.models.inputs import TrainingData


def dense(expression: Matrix) -> Floats:
    """Return expression as float64, observations x genes."""
    matrix = expression.toarray() if scipy.sparse.issparse(expression) else expression
    return np.asarray(matrix, dtype=np.float64)


def trained_on(data: TrainingData) -> Bools:
    """Say which values a model may learn from.

    Returns
    -------
    numpy.ndarray
        Observations x genes: False where the gene is perturbed in the observation, since
        its value then says nothing of its regulators.
    """
    where = {gene: j for j, gene in enumerate(data.genes)}
    usable = np.ones(data.expression.shape, dtype=bool)
    for i, label in enumerate(data.perturbations.labels):
        if not data.is_control[i]:
            usable[i, [where[g] for g in genes_of(label) if g in where]] = False
    return usable
