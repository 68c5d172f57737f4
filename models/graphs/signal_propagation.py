"""Simulation on a network, as CellOracle does it: signals that run along its edges.

For every target, Bayesian ridge regression on its regulators in the network, over
standardised expression, says which edges are there: those with p of at most 0.001, and of
them the largest coefficients overall. Ridge regression on what is left gives W. The shift δ
of the perturbed genes then runs along the edges, δ ← δW, a few times, while the perturbed
genes are held and expression does not fall below 0.

References
----------
K. Kamimoto et al. (2023). Dissecting cell identity via network inference and in silico gene
perturbation. Nature 614, 742-751, Methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.special

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.core.errors import UsageError
from pereggrn_data.models.grammar.dynamics import (
    ControlMeans,
    Forecast,
    check_steps,
    one_step_only,
    start_from,
)
from pereggrn_data.models.grammar.prior_network import RegulatorySets
from pereggrn_data.models.graphs.interventions import dense, trained_on
from pereggrn_data.models.inputs import Perturbations, TrainingData, positions
from pereggrn_data.models.plain_arrays import (
    Array,
    Arrays,
    header_of,
    names_of,
    numbers_of,
    packed_header,
    packed_names,
)

LARGEST_P = 1e-3
RIDGE_PENALTY = 10.0
LEAST_OBSERVATIONS = 3
"""With fewer, a target's edges cannot be told from noise, and it has none."""


@dataclass(frozen=True)
class SignalPropagation:
    """Fitted edges along which the shift of a perturbed gene runs.

    Parameters
    ----------
    genes
        Names of the genes.
    weights
        W, regulators x targets, of all genes; 0 where there is no edge.
    control_mean
        Mean of the training controls, one value per gene.
    propagations
        How often the shift runs along the edges.
    least
        Expression does not fall below it: 0, or less where the training data are negative.
    method
        Name of the method.
    notes
        What the user should know about the fit.
    """

    genes: tuple[str, ...]
    weights: Floats
    control_mean: Floats
    propagations: int
    least: float
    method: str = "signal_propagation"
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
    ) -> Forecast:
        """Forecast expression after perturbations.

        Parameters
        ----------
        perturbations
            What to forecast. A gene without a stated level moves nothing.
        steps, control_subtype
            Only one step is known, in which the signal runs `propagations` times, and only
            the mean of all controls.
        starting_expression
            Start from this instead (perturbations x genes).

        Raises
        ------
        UsageError
            If other steps, or the controls of a subtype, are asked for.
        """
        if check_steps(steps) != (1,) or control_subtype is not None:
            raise one_step_only(self.method)
        base = self.control_mean if starting_expression is None else starting_expression
        start = start_from(base, len(perturbations), len(self.genes))
        levels = perturbations.levels(self.genes)
        held = start.copy()
        levels.hold(held)
        # What runs along the edges, and what the perturbed genes are held at.
        first = held - start
        shift = first.copy()
        for _ in range(self.propagations):
            shift = shift @ self.weights
            shift[levels.rows, levels.columns] = first[levels.rows, levels.columns]
            np.maximum(shift, np.minimum(self.least - start, 0.0), out=shift)
        state = start + shift
        levels.hold(state)
        notes: tuple[str, ...] = ()
        if levels.n_unknown:
            notes = (f"{levels.n_unknown} measured perturbed genes have no stated level.",)
        return Forecast({1: state}, notes)

    def to_arrays(self) -> Arrays:
        """Return everything that the model needs to forecast."""
        return {
            "header": packed_header(
                self.method,
                propagations=self.propagations,
                least=self.least,
                notes=list(self.notes),
            ),
            "genes": packed_names(self.genes),
            "weights": self.weights,
            "control_mean": self.control_mean,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> SignalPropagation:
        """Put together what `to_arrays` took apart; nothing about it is trusted.

        Raises
        ------
        KeyError, ValueError
            If a part is missing, or of another shape.
        """
        header, genes = header_of(arrays), names_of(arrays["genes"])
        return cls(
            genes=genes,
            weights=numbers_of(arrays["weights"], (len(genes), len(genes))),
            control_mean=numbers_of(arrays["control_mean"], (len(genes),)),
            propagations=int(header["propagations"]),
            least=float(header["least"]),
            method=str(header["kind"]),
            notes=tuple(map(str, header["notes"])),
        )


def fit_signal_propagation(
    data: TrainingData,
    network: RegulatorySets,
    n_edges: int = 2_000,
    propagations: int = 3,
    ridge_penalty: float = RIDGE_PENALTY,
) -> SignalPropagation:
    """Fit the edges of a network, and keep those that the data support.

    Parameters
    ----------
    data
        Training data. A target's edges are fitted without the observations that perturb it.
    network
        Which genes may regulate which; a gene never regulates itself.
    n_edges
        How many edges to keep at most, of all targets together.
    propagations
        How often a shift runs along the edges.
    ridge_penalty
        Of the regression on the edges that are kept; expression is centred, not scaled.

    Raises
    ------
    UsageError
        If a number is not positive.
    InvalidDataError
        If there is no control.
    """
    _check(n_edges, propagations, ridge_penalty)
    control_mean = ControlMeans.of(data).mean()
    x, usable = dense(data.expression), trained_on(data)
    candidates: list[tuple[float, int, int]] = []
    for j, target in enumerate(data.genes):
        regulators = _regulators(network, target, data.genes)
        if regulators.size and usable[:, j].sum() >= LEAST_OBSERVATIONS:
            coefficients, p = _edges(x[usable[:, j]], regulators, j)
            kept = np.flatnonzero(p <= LARGEST_P)
            candidates.extend((abs(coefficients[i]), int(regulators[i]), j) for i in kept)
    # Ties fall in the order of the genes, so that the same data give the same edges.
    chosen = sorted(candidates, key=lambda edge: (-edge[0], edge[2], edge[1]))[:n_edges]
    weights = np.zeros((len(data.genes), len(data.genes)))
    for j in sorted({edge[2] for edge in chosen}):
        regulators = np.array(sorted(e[1] for e in chosen if e[2] == j), dtype=np.intp)
        rows = x[usable[:, j]]
        centred = rows[:, regulators] - rows[:, regulators].mean(axis=0)
        gram = centred.T @ centred + ridge_penalty * np.eye(regulators.size)
        weights[regulators, j] = np.linalg.solve(
            gram, centred.T @ (rows[:, j] - rows[:, j].mean())
        )
    n_targets = int((weights != 0).any(axis=0).sum())
    notes = (
        f"{len(chosen):,} of {network.n_edges:,} edges of the network are supported by the data "
        f"(p of at most {LARGEST_P:g}, at most {n_edges:,} of them); they have {n_targets} of "
        f"{len(data.genes)} genes as targets.",
    )
    least = min(0.0, float(x.min()))
    return SignalPropagation(
        tuple(data.genes), weights, control_mean, propagations, least, notes=notes
    )


def _check(n_edges: object, propagations: object, ridge_penalty: object) -> None:
    whole = (int, np.integer)
    for name, value in (("n_edges", n_edges), ("propagations", propagations)):
        if isinstance(value, bool) or not isinstance(value, whole) or value < 1:
            raise UsageError(
                f"{name} is a whole number, 1 or more.", got=repr(value), fix="leave it out."
            )
    numbers = (int, float, np.integer, np.floating)
    if (
        isinstance(ridge_penalty, bool)
        or not isinstance(ridge_penalty, numbers)
        or not 0 < ridge_penalty < np.inf
    ):
        raise UsageError("ridge_penalty is a finite number above 0.", got=repr(ridge_penalty))


def _regulators(network: RegulatorySets, target: str, genes: Sequence[str]) -> Ints:
    found = network.regulators.get(target, frozenset()) - {target}
    return np.sort(positions(found, genes))


def _edges(rows: Floats, regulators: Ints, target: int) -> tuple[Floats, Floats]:
    """Return coefficients over standardised expression, and their two-sided p-values."""
    from sklearn.linear_model import BayesianRidge

    y = rows[:, target] - rows[:, target].mean()
    features = rows[:, regulators] - rows[:, regulators].mean(axis=0)
    spread = features.std(axis=0)
    varies = spread > 0
    coefficients, p = np.zeros(regulators.size), np.ones(regulators.size)
    if y.std() == 0 or not varies.any():
        return coefficients, p
    model = BayesianRidge().fit(features[:, varies] / spread[varies], y / y.std())
    error = np.sqrt(np.diag(model.sigma_))
    coefficients[varies] = model.coef_
    with np.errstate(divide="ignore", invalid="ignore"):
        p[varies] = 2 * scipy.special.ndtr(-np.abs(model.coef_) / error)
    return coefficients, np.nan_to_num(p, nan=1.0)
