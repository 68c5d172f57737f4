"""NOTEARS and NOTEARS-LR: linear causal graphs, fitted by gradients, with interventions.

For observations x (rows, genes standardised), with m_nj = 0 where gene j is perturbed in
observation n, the mean of every gene is f = x(M∘W) + b, where M has no diagonal, and
W = UV of k factors in the low-rank variant. The loss is
-(1/np) Σ m_nj log N(x_nj; f_j, v_j) + λ·penalty + gh + μh²/2. The variances are
v_j = exp(s_j) + 1e-4, and h is the spectral radius of |M∘W| over that at the start
(`acyclic`). It is minimised by RMSprop over small batches. Then the smallest edges are cut
until no cycle is left, and what is left is fitted again.

References
----------
X. Zheng et al. (2018). DAGs with NO TEARS. NeurIPS. Z. Fang et al. (2024). On low-rank
directed acyclic graphs and causal structure learning. IEEE TNNLS 35, 4924. R. Lopez et al.
(2022). Large-scale differentiable causal discovery of factor graphs (DCD-FG). NeurIPS, for
interventions and the schedule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits

from pereggrn_data.core.arrays import Bools, Floats, Ints
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.labels import unique_in_order
from pereggrn_data.models.graphs.acyclic import (
    Multipliers,
    SpectralRadius,
    acyclic_threshold,
)
from pereggrn_data.models.graphs.causal_graph import CausalGraph
from pereggrn_data.models.graphs.interventions import dense, trained_on
from pereggrn_data.models.inputs import TrainingData

BATCH = 64
"""Observations in a batch; with thousands, the multipliers of small datasets never grow."""

PENALTIES = (0.1, 1.0, 10.0)
FACTORS = (5, 10, 20, 50)
LEAST_UPDATES = 2_000
EPOCHS = 120
LEAST_VARIANCE = 1e-4
SETTLED = 1e-3
NEGLIGIBLE = 0.05
"""Standard deviations per standard deviation. Cycles whose weakest edge is below it are cut
at the end anyway; to punish them further would only shrink the edges that are real."""
_DECAY, _EPSILON = 0.99, 1e-8

Parameters: TypeAlias = dict[str, Floats]


@dataclass(frozen=True)
class GraphSettings:
    """How a graph is fitted.

    Parameters
    ----------
    penalty
        λ.
    factors
        k of the low-rank variant; None for a full matrix.
    epochs
        Passes over the data; None for 120, or as many as make 2,000 updates.
    learning_rate
        Of RMSprop.
    """

    penalty: float
    factors: int | None
    epochs: int | None
    learning_rate: float

    def n_epochs(self, n_observations: int) -> int:
        """Return the number of passes over the data."""
        if self.epochs is not None:
            return self.epochs
        batches = -(-n_observations // BATCH)
        return max(EPOCHS, -(-LEAST_UPDATES // batches))


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

    def likelihood(self, x: Floats, usable: Bools) -> tuple[float, Parameters]:
        """Return the negative log likelihood per value, and its gradients.

        Parameters
        ----------
        x
            Observations x genes, standardised.
        usable
            Which values count.
        """
        n, p = x.shape
        spread = np.exp(self.parameters["s"])
        variance = spread + LEAST_VARIANCE
        rest = x - x @ self.weights - self.parameters["b"]
        squared = rest**2 / variance
        each = 0.5 * (np.log(2 * np.pi * variance) + squared)
        by_mean = np.where(usable, -rest / variance, 0.0) / (n * p)
        by_variance = np.where(usable, 0.5 * (1 - squared) / variance, 0.0) / (n * p)
        gradients = {
            "b": by_mean.sum(axis=0),
            "s": by_variance.sum(axis=0) * spread,
            **self._of_weights((x.T @ by_mean) * self.allowed),
        }
        return float(each[usable].sum() / (n * p)), gradients

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

    def _of_weights(self, by_weight: Floats) -> Parameters:
        p = self.parameters
        if "W" in p:
            return {"W": by_weight}
        return {"U": by_weight @ p["V"].T, "V": p["U"].T @ by_weight}


@dataclass
class RMSprop:
    """Steps of a size that follows the recent size of each gradient.

    Parameters
    ----------
    learning_rate
        Largest size of a step, about.
    squares
        Running means of squared gradients, by parameter.
    """

    learning_rate: float
    squares: Parameters = field(default_factory=dict)

    def step(self, parameters: Parameters, gradients: Mapping[str, Floats]) -> None:
        """Change the parameters."""
        for name, gradient in gradients.items():
            square = self.squares.setdefault(name, np.zeros_like(gradient))
            square *= _DECAY
            square += (1 - _DECAY) * gradient**2
            parameters[name] -= self.learning_rate * gradient / (np.sqrt(square) + _EPSILON)


@dataclass(frozen=True)
class Observations:
    """Standardised observations, and which of their values count."""

    x: Floats
    usable: Bools

    def rows(self, chosen: Ints | Bools) -> Observations:
        """Return some of the observations."""
        return Observations(self.x[chosen], self.usable[chosen])

    def batches(self, rng: np.random.Generator) -> Iterator[Observations]:
        """Yield all observations once, in random order."""
        order = rng.permutation(len(self.x))
        for begin in range(0, len(order), BATCH):
            yield self.rows(order[begin : begin + BATCH])


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
    n_genes = len(data.genes)
    possible = [k for k in FACTORS if k < n_genes] or [max(1, n_genes // 2)]
    ranks = possible if factors is None else [factors]
    penalties = PENALTIES if penalty is None else (penalty,)
    choices = [GraphSettings(p, k, epochs, learning_rate) for k in ranks for p in penalties]
    return _fit("notears_lr", data, seed, choices)


def _fit(
    method: str, data: TrainingData, seed: int, choices: Sequence[GraphSettings]
) -> CausalGraph:
    for settings in choices:
        _check(settings)
    x, usable = dense(data.expression), trained_on(data)
    centre, scale = _standard(x, usable)
    sample = Observations((x - centre) / scale, usable)
    settings = choices[0]
    notes = []
    # With more threads sums round differently, and small differences become other edges.
    with threadpool_limits(1):
        if len(choices) > 1:
            settings = _choose(data, sample, seed, choices)
        graph = train(sample, sample, settings, np.random.default_rng(seed))
    if len(choices) > 1:
        notes.append(
            f"A penalty of {settings.penalty:g}"
            + (f" and {settings.factors} factors" if settings.factors else "")
            + f" out of {len(choices)} choices forecast a third of the training perturbations "
            "best."
        )
    weights = graph.weights
    n_edges = int((weights != 0).sum())
    notes.append(f"{n_edges:,} edges of an acyclic graph. Another seed finds others.")
    # Back to expression: f_j = centre_j + scale_j (Σ w_ij (x_i - centre_i) / scale_i + b_j).
    in_units = weights / scale[:, None] * scale
    intercept = centre + scale * graph.parameters["b"] - centre @ in_units
    return CausalGraph.of(data, method, in_units, intercept, tuple(notes))


def train(
    sample: Observations,
    validation: Observations,
    settings: GraphSettings,
    rng: np.random.Generator,
) -> LinearGraph:
    """Fit a graph, cut its cycles, and fit again what is left.

    Parameters
    ----------
    sample
        What is learned from.
    validation
        What says when the loss has settled, so that cycles are punished more.
    settings
        Penalty, rank, length.
    rng
        Of first weights and batches.
    """
    n_genes = sample.x.shape[1]
    graph = LinearGraph.random(n_genes, settings.factors, rng)
    radius = SpectralRadius(n_genes, rng)
    first = graph.cycles(radius)[0] or 1.0
    multipliers, optimiser = Multipliers(), RMSprop(settings.learning_rate)
    epochs = settings.n_epochs(len(sample.x))
    before = np.inf
    for epoch in range(epochs):
        h = 0.0
        for batch in sample.batches(rng):
            h, by_cycles = graph.cycles(radius)
            h /= first
            _, by_fit = graph.likelihood(batch.x, batch.usable)
            _, by_size = graph.penalty()
            slope = multipliers.slope(h) / first
            gradients = dict(by_fit)
            for name, gradient in by_size.items():
                gradients[name] = gradients[name] + settings.penalty * gradient
            for name, gradient in by_cycles.items():
                gradients[name] = gradients[name] + slope * gradient
            optimiser.step(graph.parameters, gradients)
        if epoch % 2:
            loss = graph.likelihood(validation.x, validation.usable)[0]
            if not loss < before - SETTLED * abs(before):
                if acyclic_threshold(np.abs(graph.weights)) < NEGLIGIBLE:
                    break
                multipliers.raise_for(h)
            before = loss
    return _refitted(graph, sample, settings, epochs // 2, rng)


def _refitted(
    graph: LinearGraph,
    sample: Observations,
    settings: GraphSettings,
    epochs: int,
    rng: np.random.Generator,
) -> LinearGraph:
    """Cut the smallest edges until no cycle is left, and fit the others without a penalty."""
    sizes = np.abs(graph.weights)
    kept = (sizes > acyclic_threshold(sizes)).astype(np.float64)
    refitted = LinearGraph({n: v.copy() for n, v in graph.parameters.items()}, kept)
    optimiser = RMSprop(settings.learning_rate / 2)
    for _ in range(epochs):
        for batch in sample.batches(rng):
            _, gradients = refitted.likelihood(batch.x, batch.usable)
            optimiser.step(refitted.parameters, gradients)
    return refitted


def _choose(
    data: TrainingData, sample: Observations, seed: int, choices: Sequence[GraphSettings]
) -> GraphSettings:
    """Return the settings that forecast best what a random third of the perturbations shows."""
    labels = np.array(data.perturbations.labels, dtype=object)
    perturbed = ~np.asarray(data.is_control, dtype=bool)
    names = unique_in_order(labels[perturbed])
    rng = np.random.default_rng(seed)
    n_out = len(names) // 3
    if n_out == 0:
        raise InvalidDataError(
            "There are too few training perturbations to choose settings by them.",
            expected="at least 3 perturbations",
            got=str(len(names)),
            fix="say the settings: -a penalty=1 (and -a factors=5).",
        )
    out = perturbed & np.isin(labels, rng.permutation(np.array(names, dtype=object))[:n_out])
    learned, left = sample.rows(~out), sample.rows(out)
    losses = []
    for settings in choices:
        shorter = replace(settings, epochs=max(2, settings.n_epochs(len(learned.x)) // 3))
        graph = train(learned, left, shorter, np.random.default_rng(seed))
        losses.append(graph.likelihood(left.x, left.usable)[0])
    return choices[int(np.argmin(losses))]


def _standard(x: Floats, usable: Bools) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each gene over the values that count."""
    counted = np.maximum(usable.sum(axis=0), 1)
    centre = np.where(usable, x, 0.0).sum(axis=0) / counted
    spread = np.sqrt((np.where(usable, x - centre, 0.0) ** 2).sum(axis=0) / counted)
    # A gene that does not vary stays where it is, whatever its unit.
    return centre, np.where(spread > np.finfo(float).eps * (1 + np.abs(centre)), spread, 1.0)


def _check(settings: GraphSettings) -> None:
    def is_number(value: Any, kinds: tuple[type, ...]) -> bool:
        is_one = isinstance(value, kinds) and not isinstance(value, bool)
        return is_one and bool(0 < value < np.inf)

    numbers = (int, float, np.integer, np.floating)
    for name in ("penalty", "learning_rate"):
        value = getattr(settings, name)
        if not is_number(value, numbers):
            raise UsageError(f"{name} is a finite number above 0.", got=repr(value))
    for name in ("factors", "epochs"):
        value = getattr(settings, name)
        if value is not None and not is_number(value, (int, np.integer)):
            raise UsageError(f"{name} is a whole number, 1 or more.", got=repr(value))
