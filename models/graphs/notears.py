"""NOTEARS and NOTEARS-LR: linear causal graphs, with interventions.

The mean of every gene is f = x(M∘W) + b, where M has no diagonal, and W = UV of k factors
in the low-rank variant. The graph is |M∘W|; its mean, or that of |U| and |V|, is the
penalty. How it is fitted: `schedule`.

References
----------
X. Zheng et al. (2018). DAGs with NO TEARS. NeurIPS. Z. Fang et al. (2024). On low-rank
directed acyclic graphs and causal structure learning. IEEE TNNLS 35, 4924.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pereggrn_data.core.arrays import Bools, Floats
from pereggrn_data.models.graphs.acyclic import SpectralRadius, acyclic_threshold
from pereggrn_data.models.graphs.causal_graph import CausalGraph
from pereggrn_data.models.graphs.graph_forecasts import common_facts
from pereggrn_data.models.graphs.schedule import (
    PENALTIES,
    GraphSettings,
    Parameters,
    fit_graph,
    normal_likelihood,
    possible_factors,
)
from pereggrn_data.models.inputs import TrainingData

NEGLIGIBLE = 0.05
"""Standard deviations per standard deviation. Cycles whose weakest edge is below it are cut
at the end anyway; to punish them further would only shrink the edges that are real."""


@dataclass
class LinearGraph:
    """The parameters of a linear graph, and the gradients of its loss.

    Parameters
    ----------
    parameters
        ``W`` (genes x genes), or ``U`` and ``V`` of the low-rank variant; ``b`` and ``s``
        (genes).
    allowed
        Genes x genes: which edges there may be; never the diagonal.
    """

    parameters: Parameters
    allowed: Floats

    @classmethod
    def random(cls, n_genes: int, factors: int | None, rng: np.random.Generator) -> LinearGraph:
        """Begin with small random weights: all zeros would be a saddle of the low-rank loss."""
        scale = 0.01
        found: Parameters = {"b": np.zeros(n_genes), "s": np.zeros(n_genes)}
        if factors is None:
            found["W"] = scale * rng.standard_normal((n_genes, n_genes))
        else:
            size = np.sqrt(scale / np.sqrt(factors))
            found["U"] = size * rng.standard_normal((n_genes, factors))
            found["V"] = size * rng.standard_normal((factors, n_genes))
        return cls(found, 1.0 - np.eye(n_genes))

    @property
    def weights(self) -> Floats:
        """M∘W, regulators x targets."""
        p = self.parameters
        full = p["W"] if "W" in p else p["U"] @ p["V"]
        return np.asarray(full * self.allowed)

    def loss(self, x: Floats, usable: Bools) -> float:
        """Return the negative log likelihood per value (observations x genes)."""
        return self.likelihood(x, usable)[0]

    def likelihood(self, x: Floats, usable: Bools) -> tuple[float, Parameters]:
        """Return the same, and its gradients."""
        p = self.parameters
        loss, by_mean, by_s = normal_likelihood(x, x @ self.weights + p["b"], p["s"], usable)
        weights = self._of_weights((x.T @ by_mean) * self.allowed)
        return loss, {"b": by_mean.sum(axis=0), "s": by_s, **weights}

    def penalty(self) -> tuple[float, Parameters]:
        """Return the mean size of weights (or of factors), and its gradients."""
        p = self.parameters
        if "W" in p:
            n = self.allowed.shape[0] ** 2
            return float(np.abs(self.weights).sum()) / n, {"W": np.sign(self.weights) / n}
        n = 2 * p["U"].size
        size = float(np.abs(p["U"]).sum() + np.abs(p["V"]).sum())
        return size / n, {name: np.sign(p[name]) / n for name in ("U", "V")}

    def cycles(self, radius: SpectralRadius) -> tuple[float, Parameters]:
        """Return the spectral radius of the sizes of weights, and its gradients."""
        weights = self.weights
        found, by_size = radius(np.abs(weights))
        return found, self._of_weights(by_size * np.sign(weights) * self.allowed)

    def is_nearly_acyclic(self) -> bool:
        """Say whether what would have to be cut is negligible."""
        return acyclic_threshold(np.abs(self.weights)) < NEGLIGIBLE

    def without_cycles(self) -> LinearGraph:
        """Return a graph without the smallest edges, as many as it takes."""
        sizes = np.abs(self.weights)
        kept = (sizes > acyclic_threshold(sizes)).astype(np.float64)
        return LinearGraph({name: v.copy() for name, v in self.parameters.items()}, kept)

    def _of_weights(self, by_weight: Floats) -> Parameters:
        p = self.parameters
        if "W" in p:
            return {"W": by_weight}
        return {"U": by_weight @ p["V"].T, "V": p["U"].T @ by_weight}


def fit_notears(
    data: TrainingData,
    seed: int,
    penalty: float | None = None,
    epochs: int | None = None,
    learning_rate: float = 0.01,
) -> CausalGraph:
    """Fit NOTEARS: a full matrix of weights.

    Parameters
    ----------
    data
        Training data; a value does not count where its gene is perturbed.
    seed
        Of first weights, batches, and the perturbations that choose the penalty.
    penalty
        λ; by default the one of 0.1, 1 and 10 that forecasts best a random third of the
        training perturbations, left out for it.
    epochs
        Passes over the data; by default 120, or as many as make 2,000 updates.
    learning_rate
        Of RMSprop.

    Raises
    ------
    UsageError
        If an argument is not positive.
    InvalidDataError
        If there is no control, or too little to leave a third out.
    """
    penalties = PENALTIES if penalty is None else (penalty,)
    choices = [GraphSettings(p, None, epochs, learning_rate) for p in penalties]
    return _fit("notears", data, seed, choices)


def fit_notears_lr(
    data: TrainingData,
    seed: int,
    penalty: float | None = None,
    factors: int | None = None,
    epochs: int | None = None,
    learning_rate: float = 0.01,
) -> CausalGraph:
    """Fit NOTEARS-LR: weights of low rank.

    Parameters
    ----------
    data, seed, penalty, epochs, learning_rate
        As for :func:`fit_notears`.
    factors
        k; by default the one of 5, 10, 20 and 50 (fewer than genes) that, together with a
        penalty, forecasts best the third of the training perturbations.

    Raises
    ------
    UsageError
        If an argument is not positive.
    InvalidDataError
        If there is no control, or too little to leave a third out.
    """
    ranks = possible_factors(len(data.genes)) if factors is None else (factors,)
    penalties = PENALTIES if penalty is None else (penalty,)
    choices = [GraphSettings(p, k, epochs, learning_rate) for k in ranks for p in penalties]
    return _fit("notears_lr", data, seed, choices)


def _fit(
    method: str, data: TrainingData, seed: int, choices: Sequence[GraphSettings]
) -> CausalGraph:
    fitted = fit_graph(
        data, seed, choices, lambda n, settings, rng: LinearGraph.random(n, settings.factors, rng)
    )
    graph, centre, scale = fitted.graph, fitted.centre, fitted.scale
    weights = graph.weights
    n_edges = int((weights != 0).sum())
    note = f"{n_edges:,} edges of an acyclic graph. Another seed finds others."
    # Back to expression: f_j = centre_j + scale_j (Σ w_ij (x_i - centre_i) / scale_i + b_j).
    in_units = weights / scale[:, None] * scale
    intercept = centre + scale * graph.parameters["b"] - centre @ in_units
    common = common_facts(data, method, (*fitted.notes, note))
    return CausalGraph(**common, weights=in_units, intercept=intercept)
