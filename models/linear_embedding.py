"""The linear embedding baseline of Ahlmann-Eltze, Huber and Anders.

With Z (perturbations x genes) the mean training profile of each perturbation
minus the mean of the training controls, G the k first principal axes of Z,
and P (k x perturbations) the mean of G's columns over a perturbation's genes,
W = (P Pᵀ + λI)⁻¹ P Z Gᵀ (G Gᵀ + λI)⁻¹, and Pᵀ W G is the change forecast.

References
----------
C. Ahlmann-Eltze, W. Huber, S. Anders (2025). Deep-learning-based gene
perturbation effect prediction does not yet outperform simple linear baselines.
Nature Methods 22, 1657-1661.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pereggrn_data.core.arrays import Floats, column_means
from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.core.labels import genes_of, unique_in_order
from pereggrn_data.models.grammar.dynamics import Forecast, check_steps, one_step_only
from pereggrn_data.models.inputs import Perturbations, TrainingData
from pereggrn_data.models.plain_arrays import (
    Array,
    Arrays,
    header_of,
    names_of,
    numbers_of,
    packed_header,
    packed_names,
)

DIMENSION = 10
RIDGE_PENALTY = 0.01


@dataclass(frozen=True)
class LinearEmbedding:
    """A fitted linear embedding model.

    Parameters
    ----------
    genes
        Names of the genes.
    embedding
        G, dimensions x genes.
    weights
        W, dimensions x dimensions.
    control_mean
        Mean of the training controls, one value per gene.
    method
        Name of the method that fitted it.
    notes
        What the user should know about the fit; there is nothing so far.
    """

    genes: tuple[str, ...]
    embedding: Floats
    weights: Floats
    control_mean: Floats
    method: str = "linear_embedding"
    notes: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether arrays hold everything: they do."""
        return True

    def predict(
        self,
        perturbations: Perturbations,
        *,
        steps: int | Sequence[int] = (1,),
        control_subtype: str | None = None,
        starting_expression: Floats | None = None,
        hold_output: bool = True,
    ) -> Forecast:
        """Forecast expression after perturbations, in one step.

        Parameters
        ----------
        perturbations
            What to forecast. Levels are not used, except that a perturbed
            gene keeps its own. Controls are forecast not to change.
        steps, control_subtype
            Only one step is known, and only the mean of all controls.
        starting_expression
            Expression that the effects are added to, perturbations x genes;
            by default the mean of the training controls.
        hold_output
            Whether a perturbed gene keeps its level in what is returned.

        Raises
        ------
        UsageError
            If other steps, or the controls of a subtype, are asked for.
        InvalidDataError
            If a perturbed gene is not measured, and so has no embedding.
        """
        if check_steps(steps) != (1,) or control_subtype is not None:
            raise one_step_only(self.method)
        n, changed = len(perturbations), np.ones(len(perturbations), dtype=bool)
        if perturbations.is_control is not None:
            changed = ~perturbations.is_control
        labels = [perturbations.labels[i] for i in np.flatnonzero(changed)]
        missing = _not_measured(labels, self.genes)
        if missing:
            raise InvalidDataError(
                f"{len(missing)} perturbations to forecast have genes that are not measured.",
                expected="perturbations of measured genes, whose embedding is known",
                got=first_few(missing),
                fix="use a split that holds out perturbations of measured genes only.",
            )
        p = _embed(labels, self.genes, self.embedding)
        base = self.control_mean if starting_expression is None else starting_expression
        state = np.tile(base, (n, 1)) if base.ndim == 1 else base.copy()
        state[changed] += p.T @ self.weights @ self.embedding
        if hold_output:
            perturbations.levels(self.genes).hold(state)
        return Forecast({1: state})

    def to_arrays(self) -> Arrays:
        """Return everything that the model needs to forecast."""
        return {
            "header": packed_header(self.method),
            "genes": packed_names(self.genes),
            "embedding": self.embedding,
            "weights": self.weights,
            "control_mean": self.control_mean,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> LinearEmbedding:
        """Put together what `to_arrays` took apart; nothing about it is trusted.

        Raises
        ------
        KeyError, ValueError
            If a part is missing, or of another shape.
        """
        genes, k = names_of(arrays["genes"]), arrays["embedding"].shape[0]
        return cls(
            genes=genes,
            embedding=numbers_of(arrays["embedding"], (k, len(genes))),
            weights=numbers_of(arrays["weights"], (k, k)),
            control_mean=numbers_of(arrays["control_mean"], (len(genes),)),
            method=str(header_of(arrays)["kind"]),
        )


def fit_linear_embedding(
    data: TrainingData, dimension: int = DIMENSION, ridge_penalty: float = RIDGE_PENALTY
) -> LinearEmbedding:
    """Fit the linear embedding baseline.

    Parameters
    ----------
    data
        Training data. Perturbations with genes that are not measured are left
        out, and so are controls.
    dimension
        k; the paper uses 10, and 4 for the freimer dataset.
    ridge_penalty
        λ.

    Raises
    ------
    UsageError
        If the dimension is not a whole or the penalty not a finite positive number.
    InvalidDataError
        If there are fewer usable perturbations than dimensions.
    """
    from sklearn.decomposition import PCA

    _check_arguments(dimension, ridge_penalty)
    is_control = data.controls()
    control_mean = column_means(data.expression, is_control)
    labels = np.array(data.perturbations.labels, dtype=object)
    names = unique_in_order(labels[~is_control])
    missing = set(_not_measured(names, data.genes))
    usable = [name for name in names if name not in missing]
    if len(usable) < dimension:
        raise InvalidDataError(
            "There are too few perturbations for the linear embedding.",
            expected=f"at least {dimension} training perturbations of measured genes",
            got=f"{len(usable)} of {len(names)} perturbations",
            fix=f"use at most {len(usable)} dimensions (its argument dimension)."
            if usable
            else "use a method that learns from controls.",
        )
    z = np.stack(
        [column_means(data.expression, ~is_control & (labels == name)) for name in usable]
    )
    z -= control_mean
    if len(data.genes) < dimension:
        raise UsageError(
            "The linear embedding has more dimensions than there are genes.",
            expected=f"at most {len(data.genes)}",
            got=str(dimension),
        )
    # The full decomposition has no random element; the sign of an axis cancels out.
    g = np.asarray(PCA(dimension, svd_solver="full").fit(z).components_, dtype=np.float64)
    p = _embed(usable, data.genes, g)
    ridge = ridge_penalty * np.eye(dimension)
    left = np.linalg.solve(p @ p.T + ridge, p @ z @ g.T)
    weights = np.linalg.solve(g @ g.T + ridge, left.T).T
    return LinearEmbedding(tuple(data.genes), g, weights, control_mean)


def _check_arguments(dimension: object, ridge_penalty: object) -> None:
    numbers = (int, float, np.integer, np.floating)
    if (
        isinstance(dimension, bool)
        or not isinstance(dimension, (int, np.integer))
        or dimension < 1
        or isinstance(ridge_penalty, bool)
        or not isinstance(ridge_penalty, numbers)
        or not 0 < ridge_penalty < np.inf
    ):
        raise UsageError(
            "The dimension and the penalty of the linear embedding must be positive.",
            expected="dimension: a whole number; ridge_penalty: a finite number",
            got=f"dimension {dimension!r}, ridge_penalty {ridge_penalty!r}",
        )


def _embed(labels: Sequence[str], genes: Sequence[str], embedding: Floats) -> Floats:
    """Return the mean of the embeddings of each perturbation's genes (dimensions x labels)."""
    where = {gene: j for j, gene in enumerate(genes)}
    columns = [embedding[:, [where[g] for g in genes_of(label)]].mean(axis=1) for label in labels]
    return np.stack(columns, axis=1) if columns else np.empty((embedding.shape[0], 0))


def _not_measured(labels: Sequence[str], genes: Sequence[str]) -> list[str]:
    measured = set(genes)
    return [
        label
        for label in unique_in_order(labels)
        if not all(gene in measured for gene in genes_of(label))
    ]
