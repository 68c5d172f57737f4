"""DCD-FG: a causal graph through a few factors, each a small neural network of some genes.

For every gene and factor t, one of three: the gene is read by the factor, written by it, or
neither, with probabilities softmax(alpha). While fitted, the choice is drawn (Gumbel-softmax,
one draw per batch; gradients pass as if it were soft). z_t is a network of the genes that
are read, with two hidden layers of 16 and leaky rectifiers, and
f_j = Σ_t D_jt z_t + c_j over the factors that write gene j. The graph is
P_read P_writtenᵀ without its diagonal, and the penalty the mean of all probabilities of an
edge. How it is fitted: `schedule`.

References
----------
R. Lopez et al. (2022). Large-scale differentiable causal discovery of factor graphs. NeurIPS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pereggrn_data.core.arrays import Bools, Floats
from pereggrn_data.models.graphs.acyclic import BISECTIONS, SpectralRadius, is_acyclic
from pereggrn_data.models.graphs.graph_forecasts import (
    FittedGraph,
    common_facts,
    common_parts,
)
from pereggrn_data.models.graphs.schedule import (
    PENALTIES,
    GraphSettings,
    Parameters,
    fit_graph,
    normal_likelihood,
    possible_factors,
)
from pereggrn_data.models.inputs import TrainingData
from pereggrn_data.models.plain_arrays import Array, Arrays, numbers_of

HIDDEN = 16
LEAK = 0.01
READ, WRITTEN, NEITHER = range(3)
NETWORK_PARTS = ("w1", "b1", "w2", "b2", "w3", "b3", "d", "c")
"""Parameters of the mean; the others are those of the graph, and the variances."""


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def _leaky(x: Floats) -> Floats:
    return np.where(x > 0, x, LEAK * x)


def _slope(x: Floats) -> Floats:
    return np.where(x > 0, 1.0, LEAK)


@dataclass(frozen=True)
class _Pass:
    """What a forward pass leaves for the backward one; factors x observations x units."""

    first: Floats
    second: Floats
    z: Floats
    mean: Floats


@dataclass
class FactorGraph:
    """The parameters of a factor graph, and the gradients of its loss.

    Parameters
    ----------
    parameters
        ``alpha`` (genes x factors x 3), ``w1`` (factors x genes x 16), ``b1``, ``w2``,
        ``b2``, ``w3``, ``b3`` of the factors' networks, ``d`` (genes x factors), ``c`` and
        ``s`` (genes).
    rng
        Of the draws.
    fixed
        Genes x factors x 2: which genes are read and written; None while that is fitted.
    """

    parameters: Parameters
    rng: np.random.Generator
    fixed: Floats | None = None

    @classmethod
    def random(cls, n_genes: int, factors: int, rng: np.random.Generator) -> FactorGraph:
        """Begin with small random weights, for every gene and factor."""

        def weights(*shape: int, into: int) -> Floats:
            return np.asarray(rng.standard_normal(shape) / np.sqrt(into))

        return cls(
            {
                "alpha": 0.01 * rng.standard_normal((n_genes, factors, 3)),
                "w1": weights(factors, n_genes, HIDDEN, into=n_genes),
                "b1": np.zeros((factors, HIDDEN)),
                "w2": weights(factors, HIDDEN, HIDDEN, into=HIDDEN),
                "b2": np.zeros((factors, HIDDEN)),
                "w3": weights(factors, HIDDEN, into=HIDDEN),
                "b3": np.zeros(factors),
                "d": weights(n_genes, factors, into=factors),
                "c": np.zeros(n_genes),
                "s": np.zeros(n_genes),
            },
            rng,
        )

    @property
    def probabilities(self) -> Floats:
        """P: genes x factors x (read, written, neither)."""
        return _softmax(self.parameters["alpha"])

    def loss(self, x: Floats, usable: Bools) -> float:
        """Return the negative log likelihood per value, with what is most probable."""
        edges = self._most_probable(0.0) if self.fixed is None else self.fixed
        mean = _forward(self.parameters, x, edges).mean
        return normal_likelihood(x, mean, self.parameters["s"], usable)[0]

    def likelihood(self, x: Floats, usable: Bools) -> tuple[float, Parameters]:
        """Return the same with a draw, and its gradients."""
        if self.fixed is not None:
            return self._likelihood_of(x, usable, self.fixed)[:2]
        noise = -np.log(-np.log(self.rng.uniform(1e-12, 1.0, self.parameters["alpha"].shape)))
        soft = _softmax(self.parameters["alpha"] + noise)
        drawn = np.zeros_like(soft)
        np.put_along_axis(drawn, soft.argmax(axis=-1)[..., None], 1.0, axis=-1)
        return self._relaxed(x, usable, drawn[..., :NEITHER], soft)

    def _relaxed(
        self, x: Floats, usable: Bools, edges: Floats, soft: Floats
    ) -> tuple[float, Parameters]:
        """Return loss and gradients with given edges, whose gradient goes to the soft ones."""
        loss, gradients, by_edges = self._likelihood_of(x, usable, edges)
        gradients["alpha"] = _through_softmax(soft, by_edges)
        return loss, gradients

    def _likelihood_of(
        self, x: Floats, usable: Bools, edges: Floats
    ) -> tuple[float, Parameters, Floats]:
        done = _forward(self.parameters, x, edges)
        loss, by_mean, by_s = normal_likelihood(x, done.mean, self.parameters["s"], usable)
        gradients, by_edges = _backward(self.parameters, x, edges, done, by_mean)
        return loss, {**gradients, "s": by_s}, by_edges

    def penalty(self) -> tuple[float, Parameters]:
        """Return the mean probability of being read or written, and its gradient."""
        p = self.probabilities
        by_edges = np.full((*p.shape[:2], 2), 1 / (2 * p.shape[0] * p.shape[1]))
        loss = float(p[..., :NEITHER].sum() * by_edges[0, 0, 0])
        return loss, {"alpha": _through_softmax(p, by_edges)}

    def cycles(self, radius: SpectralRadius) -> tuple[float, Parameters]:
        """Return the spectral radius of P_read P_writtenᵀ, and its gradient."""
        p = self.probabilities
        read, written = p[..., READ], p[..., WRITTEN]
        adjacency = read @ written.T
        np.fill_diagonal(adjacency, 0.0)
        found, by_edge = radius(adjacency)
        np.fill_diagonal(by_edge, 0.0)
        by_edges = np.stack([by_edge @ written, by_edge.T @ read], axis=-1)
        return found, {"alpha": _through_softmax(p, by_edges)}

    def is_nearly_acyclic(self) -> bool:
        """Say whether what is more probable than not has no cycle."""
        return is_acyclic(_adjacency(self._most_probable(0.5)))

    def without_cycles(self) -> FactorGraph:
        """Return a graph of the edges above the smallest probability that leaves no cycle."""
        low, high = 0.0, 1.0
        if is_acyclic(_adjacency(self._most_probable(low))):
            high = low
        for _ in range(BISECTIONS if high else 0):
            middle = (low + high) / 2
            if is_acyclic(_adjacency(self._most_probable(middle))):
                high = middle
            else:
                low = middle
        kept = {n: v.copy() for n, v in self.parameters.items() if n != "alpha"}
        return FactorGraph(kept, self.rng, self._most_probable(high))

    def _most_probable(self, least: float) -> Floats:
        """Return edges that are the most probable of the three, and above a probability."""
        p = self.probabilities
        most = p.argmax(axis=-1)
        kept = [(most == k) & (p[..., k] > least) for k in (READ, WRITTEN)]
        return np.stack(kept, axis=-1).astype(np.float64)


def _adjacency(edges: Floats) -> Floats:
    """Return genes x genes: whether a factor reads the one and writes the other."""
    found = edges[..., READ] @ edges[..., WRITTEN].T
    np.fill_diagonal(found, 0.0)
    return np.asarray(found)


def _through_softmax(soft: Floats, by_edges: Floats) -> Floats:
    """Return the gradient by logits, from that by the first two of three shares."""
    by_share = np.concatenate([by_edges, np.zeros((*by_edges.shape[:2], 1))], axis=-1)
    return np.asarray(soft * (by_share - (soft * by_share).sum(axis=-1, keepdims=True)))


def _forward(p: Mapping[str, Floats], x: Floats, edges: Floats) -> _Pass:
    read = edges[..., READ].T[..., None] * p["w1"]
    first = np.matmul(x[None], read) + p["b1"][:, None]
    second = np.matmul(_leaky(first), p["w2"]) + p["b2"][:, None]
    z = (_leaky(second) * p["w3"][:, None]).sum(axis=-1) + p["b3"][:, None]
    return _Pass(first, second, z, z.T @ (p["d"] * edges[..., WRITTEN]).T + p["c"])


def _backward(
    p: Mapping[str, Floats], x: Floats, edges: Floats, done: _Pass, by_mean: Floats
) -> tuple[Parameters, Floats]:
    """Return the gradients by the parameters of the mean, and by the edges."""
    written = edges[..., WRITTEN]
    by_writing = (done.z @ by_mean).T
    by_z = (p["d"] * written).T @ by_mean.T
    by_second = by_z[..., None] * p["w3"][:, None] * _slope(done.second)
    by_first = np.matmul(by_second, p["w2"].transpose(0, 2, 1)) * _slope(done.first)
    by_reading = np.matmul(x.T[None], by_first)
    gradients = {
        "w1": by_reading * edges[..., READ].T[..., None],
        "b1": by_first.sum(axis=1),
        "w2": np.matmul(_leaky(done.first).transpose(0, 2, 1), by_second),
        "b2": by_second.sum(axis=1),
        "w3": (by_z[..., None] * _leaky(done.second)).sum(axis=1),
        "b3": by_z.sum(axis=1),
        "d": by_writing * written,
        "c": by_mean.sum(axis=0),
    }
    by_edges = np.stack([(by_reading * p["w1"]).sum(axis=-1).T, by_writing * p["d"]], axis=-1)
    return gradients, by_edges


@dataclass(frozen=True, kw_only=True)
class FactorModel(FittedGraph):
    """A fitted factor graph.

    Parameters
    ----------
    method, genes, controls, span, notes
        See :class:`FittedGraph`.
    parts
        Of the factors' networks: see :class:`FactorGraph`.
    edges
        Genes x factors x 2: which genes are read and written.
    centre, scale
        Of each gene: the networks see (x - centre) / scale.
    """

    parts: Mapping[str, Floats]
    edges: Floats
    centre: Floats
    scale: Floats

    def step(self, state: Floats) -> Floats:
        """Forecast every gene (perturbations x genes) from its parents, once."""
        standard = (state - self.centre) / self.scale
        mean = _forward(self.parts, standard, self.edges).mean
        return np.asarray(self.centre + self.scale * mean)

    def to_arrays(self) -> Arrays:
        """Return everything that the model needs to forecast."""
        return {
            **self.common_arrays(),
            "edges": self.edges,
            "centre": self.centre,
            "scale": self.scale,
            **{f"part_{name}": self.parts[name] for name in NETWORK_PARTS},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> FactorModel:
        """Put together what `to_arrays` took apart; nothing about it is trusted.

        Raises
        ------
        KeyError, ValueError
            If a part is missing, or of another shape.
        """
        common = common_parts(arrays)
        n, k = len(common["genes"]), arrays["edges"].shape[1]
        shapes = {
            "w1": (k, n, HIDDEN),
            "b1": (k, HIDDEN),
            "w2": (k, HIDDEN, HIDDEN),
            "b2": (k, HIDDEN),
            "w3": (k, HIDDEN),
            "b3": (k,),
            "d": (n, k),
            "c": (n,),
        }
        return cls(
            **common,
            parts={name: numbers_of(arrays[f"part_{name}"], shapes[name]) for name in shapes},
            edges=numbers_of(arrays["edges"], (n, k, 2)),
            centre=numbers_of(arrays["centre"], (n,)),
            scale=numbers_of(arrays["scale"], (n,)),
        )


def fit_dcdfg(
    data: TrainingData,
    seed: int,
    penalty: float | None = None,
    factors: int | None = None,
    epochs: int | None = None,
    learning_rate: float = 0.01,
) -> FactorModel:
    """Fit DCD-FG.

    Parameters
    ----------
    data
        Training data; a value does not count where its gene is perturbed.
    seed
        Of first weights, draws, batches, and the perturbations that choose settings.
    penalty
        By default the one of 0.1, 1 and 10 that forecasts best a random third of the
        training perturbations, left out for it.
    factors
        By default chosen in the same way, of 5, 10, 20 and 50 (fewer than genes).
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
    ranks = possible_factors(len(data.genes)) if factors is None else (factors,)
    penalties = PENALTIES if penalty is None else (penalty,)
    choices = [GraphSettings(p, k, epochs, learning_rate) for k in ranks for p in penalties]
    fitted = fit_graph(
        data,
        seed,
        choices,
        lambda n, settings, rng: FactorGraph.random(n, settings.factors or 1, rng),
    )
    graph: FactorGraph = fitted.graph
    edges = np.zeros((len(data.genes), 1, 2)) if graph.fixed is None else graph.fixed
    n_edges = int((_adjacency(edges) != 0).sum())
    note = (
        f"{n_edges:,} edges between genes, through {edges.shape[1]} factors, of an acyclic "
        "graph. Another seed finds others."
    )
    return FactorModel(
        **common_facts(data, "dcdfg", (*fitted.notes, note)),
        parts={name: graph.parameters[name] for name in NETWORK_PARTS},
        edges=edges,
        centre=fitted.centre,
        scale=fitted.scale,
    )
