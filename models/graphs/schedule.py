"""How a causal graph of all genes is fitted: by gradients, ever more against cycles.

For observations x (rows, genes standardised), with m_nj = 0 where gene j is perturbed in
observation n, the loss is -(1/np) Σ m_nj log N(x_nj; f_j, v_j) + λ·penalty + gh + μh²/2.
What f, the penalty and the graph are, the parameters say; the variances are
v_j = exp(s_j) + 1e-4, and h is the spectral radius of the graph over that at the start
(`acyclic`). It is minimised by RMSprop over small batches. Then the weakest edges are cut
until no cycle is left, and what is left is fitted again.

References
----------
R. Lopez et al. (2022). Large-scale differentiable causal discovery of factor graphs
(DCD-FG). NeurIPS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np

from pereggrn_data.core.arrays import Bools, Floats, Ints
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.labels import unique_in_order
from pereggrn_data.models.graphs.acyclic import Multipliers, SpectralRadius
from pereggrn_data.models.graphs.interventions import dense, trained_on
from pereggrn_data.models.inputs import TrainingData
from pereggrn_data.models.one_thread import one_thread

BATCH = 64
"""Observations in a batch; with thousands, the multipliers of small datasets never grow."""

PENALTIES = (0.1, 1.0, 10.0)
FACTORS = (5, 10, 20, 50)
EPOCHS = 120
LEAST_UPDATES = 2_000
LEAST_VARIANCE = 1e-4
SETTLED = 1e-3
_DECAY, _EPSILON = 0.99, 1e-8

Parameters: TypeAlias = dict[str, Floats]


class GraphParameters(Protocol):
    """The parameters of a graph, and what its loss is made of."""

    parameters: Parameters

    def loss(self, x: Floats, usable: Bools) -> float:
        """Return the negative log likelihood per value (observations x genes)."""
        ...

    def likelihood(self, x: Floats, usable: Bools) -> tuple[float, Parameters]:
        """Return the same while it is fitted, which may be random, and its gradients."""
        ...

    def penalty(self) -> tuple[float, Parameters]:
        """Return what is punished by λ, and its gradients."""
        ...

    def cycles(self, radius: SpectralRadius) -> tuple[float, Parameters]:
        """Return the spectral radius of the graph, and its gradients."""
        ...

    def is_nearly_acyclic(self) -> bool:
        """Say whether what would have to be cut is negligible."""
        ...

    def without_cycles(self) -> GraphParameters:
        """Return a graph without the weakest edges, and with its edges fixed."""
        ...


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


@dataclass(frozen=True)
class FittedParameters:
    """What a fit leaves.

    Parameters
    ----------
    graph
        An acyclic graph with fixed edges.
    centre, scale
        Of each gene: standardised expression is (x - centre) / scale.
    notes
        What the user should know.
    """

    graph: Any
    centre: Floats
    scale: Floats
    notes: tuple[str, ...]


def fit_graph(
    data: TrainingData,
    seed: int,
    choices: Sequence[GraphSettings],
    make: Callable[[int, GraphSettings, np.random.Generator], GraphParameters],
) -> FittedParameters:
    """Fit a graph by the best of some settings.

    Parameters
    ----------
    data
        Training data; a value does not count where its gene is perturbed.
    seed
        Of everything random.
    choices
        The settings; of several, those are taken that forecast best a random third of the
        training perturbations, left out for it.
    make
        Begins a graph of so many genes.

    Raises
    ------
    UsageError
        If a setting is not positive.
    InvalidDataError
        If there are too few perturbations to choose by.
    """
    for settings in choices:
        _check(settings)
    x, usable = dense(data.expression), trained_on(data)
    centre, scale = _standard(x, usable)
    sample = Observations((x - centre) / scale, usable)
    settings = choices[0]
    notes = []
    # With more threads sums round differently, and small differences become other edges.
    with one_thread(of=None):
        if len(choices) > 1:
            settings = _choose(data, sample, seed, choices, make)
        rng = np.random.default_rng(seed)
        graph = train(make(x.shape[1], settings, rng), sample, sample, settings, rng)
    if len(choices) > 1:
        notes.append(
            f"A penalty of {settings.penalty:g}"
            + (f" and {settings.factors} factors" if settings.factors else "")
            + f" out of {len(choices)} choices forecast a third of the training perturbations "
            "best."
        )
    return FittedParameters(graph, centre, scale, tuple(notes))


def train(
    graph: GraphParameters,
    sample: Observations,
    validation: Observations,
    settings: GraphSettings,
    rng: np.random.Generator,
) -> GraphParameters:
    """Fit a graph, cut its cycles, and fit again what is left.

    Parameters
    ----------
    graph
        At the start; changed.
    sample
        What is learned from.
    validation
        What says when the loss has settled, so that cycles are punished more.
    settings
        Penalty and length.
    rng
        Of the batches.
    """
    radius = SpectralRadius(sample.x.shape[1], rng)
    first = graph.cycles(radius)[0] or 1.0
    multipliers, optimiser = Multipliers(), RMSprop(settings.learning_rate)
    epochs = settings.n_epochs(len(sample.x))
    before = np.inf
    for epoch in range(epochs):
        h = 0.0
        for batch in sample.batches(rng):
            h, by_cycles = graph.cycles(radius)
            h /= first
            gradients = dict(graph.likelihood(batch.x, batch.usable)[1])
            _add(gradients, settings.penalty, graph.penalty()[1])
            _add(gradients, multipliers.slope(h) / first, by_cycles)
            optimiser.step(graph.parameters, gradients)
        if epoch % 2:
            loss = graph.loss(validation.x, validation.usable)
            if not loss < before - SETTLED * abs(before):
                if graph.is_nearly_acyclic():
                    break
                multipliers.raise_for(h)
            before = loss
    cut = graph.without_cycles()
    optimiser = RMSprop(settings.learning_rate / 2)
    for _ in range(epochs // 2):
        for batch in sample.batches(rng):
            optimiser.step(cut.parameters, cut.likelihood(batch.x, batch.usable)[1])
    return cut


def possible_factors(n_genes: int) -> tuple[int, ...]:
    """Return the numbers of factors that are tried: 5, 10, 20 and 50, if fewer than genes."""
    return tuple(k for k in FACTORS if k < n_genes) or (max(1, n_genes // 2),)


def normal_likelihood(
    x: Floats, mean: Floats, s: Floats, usable: Bools
) -> tuple[float, Floats, Floats]:
    """Return the negative log likelihood per value, and its gradients by mean and by s.

    Parameters
    ----------
    x, mean
        Observations x genes.
    s
        One value per gene: variances are exp(s) + 1e-4.
    usable
        Which values count.
    """
    spread = np.exp(s)
    variance = spread + LEAST_VARIANCE
    rest = x - mean
    squared = rest**2 / variance
    each = 0.5 * (np.log(2 * np.pi * variance) + squared)
    by_mean = np.where(usable, -rest / variance, 0.0) / x.size
    by_variance = np.where(usable, 0.5 * (1 - squared) / variance, 0.0) / x.size
    return float(each[usable].sum() / x.size), by_mean, by_variance.sum(axis=0) * spread


def _add(gradients: Parameters, weight: float, others: Mapping[str, Floats]) -> None:
    for name, gradient in others.items():
        more = weight * gradient
        gradients[name] = gradients[name] + more if name in gradients else more


def _choose(
    data: TrainingData,
    sample: Observations,
    seed: int,
    choices: Sequence[GraphSettings],
    make: Callable[[int, GraphSettings, np.random.Generator], GraphParameters],
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
        start = np.random.default_rng(seed)
        graph = train(make(sample.x.shape[1], shorter, start), learned, left, shorter, start)
        losses.append(graph.loss(left.x, left.usable))
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
