"""Fit and forecast by the grammar of gene regulatory networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.models.dynamics import Forecast, check_steps, iterate, start_from
from pereggrn_data.models.fitted import Regressions
from pereggrn_data.models.grammar import (
    CellTypeSharing,
    Grammar,
    LowDimensionalStructure,
    Matching,
    NetworkPrior,
    Pruning,
)
from pereggrn_data.models.inputs import (
    BoolArray,
    IntArray,
    Perturbations,
    StatedLevels,
    TrainingData,
    column_means,
    dense,
)
from pereggrn_data.models.low_dimensional import Subspace, make_subspace
from pereggrn_data.models.matching import UNMATCHED, match
from pereggrn_data.models.network import Network
from pereggrn_data.models.pruning import pruned_network
from pereggrn_data.models.registry import get_regression
from pereggrn_data.models.rules import (
    allowed_features,
    check_trainable,
    excluded_rows,
    feature_positions,
    own_features,
)
from pereggrn_data.models.tasks import Progress, RegressionTask

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ControlMeans:
    """Mean expression of the controls, by label, so that subtypes can be chosen later.

    Parameters
    ----------
    labels
        Labels of the controls.
    counts
        How many observations have each.
    means
        Labels x genes.
    """

    labels: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    means: Float64Array

    @classmethod
    def of(cls, data: TrainingData) -> ControlMeans:
        """Compute them from training data."""
        controls = data.controls()
        labels = np.array(data.perturbations.labels, dtype=object)
        names = tuple(dict.fromkeys(labels[controls]))
        rows = [controls & (labels == name) for name in names]
        return cls(
            labels=names,
            counts=np.array([r.sum() for r in rows], dtype=np.int64),
            means=np.stack([column_means(data.expression, r) for r in rows]),
        )

    def mean(self, subtype: str | None = None) -> Float64Array:
        """Return the mean over all controls, or over those whose label begins with `subtype`.

        Raises
        ------
        UsageError
            If there are none.
        """
        chosen = np.array([subtype is None or name.startswith(subtype) for name in self.labels])
        if not chosen.any():
            raise UsageError(
                f"No control's label begins with {subtype!r}.",
                expected=f"the beginning of one of: {first_few(self.labels)}",
            )
        return np.asarray(np.average(self.means[chosen], axis=0, weights=self.counts[chosen]))


@dataclass(frozen=True)
class FittedGRN:
    """Fitted models of all genes.

    Parameters
    ----------
    grammar
        What they were fitted with.
    genes
        Names of the genes, which are the targets.
    regulators
        Names of the features.
    models
        By cell type; under None where all share one.
    controls
        Mean expression of the training controls.
    subspace
        Of the low-dimensional structure.
    network
        That the models were restricted to, after pruning.
    notes
        What the user should know about the fit.
    """

    grammar: Grammar
    genes: tuple[str, ...]
    regulators: tuple[str, ...]
    models: Mapping[str | None, Regressions]
    controls: ControlMeans
    subspace: Subspace | None = None
    network: Network | None = None
    notes: tuple[str, ...] = ()

    def predict(
        self,
        perturbations: Perturbations,
        *,
        steps: Sequence[int] = (1,),
        control_subtype: str | None = None,
        starting_expression: Float64Array | None = None,
    ) -> Forecast:
        """Forecast expression after perturbations.

        Parameters
        ----------
        perturbations
            What to forecast.
        steps
            Numbers of steps after which to return the state.
        control_subtype
            Beginning of the label of the controls to start from.
        starting_expression
            Start from this instead (perturbations x genes), for example from
            the held-out expression, which makes the forecast an oracle.

        Raises
        ------
        InvalidDataError
            If a perturbation is malformed, or in a cell type without a model.
        UsageError
            If no control is of the subtype, or steps are not positive.
        """
        levels = perturbations.levels(self.genes)
        if starting_expression is not None and control_subtype is not None:
            raise UsageError("Starting expression and a control subtype exclude each other.")
        start = (
            self.controls.mean(control_subtype)
            if starting_expression is None
            else starting_expression
        )
        state = start_from(start, len(perturbations), len(self.genes))
        rows = self._rows_by_model(perturbations)
        columns = feature_positions(self.regulators, self.genes)
        step = partial(self._step, rows=rows, columns=columns)
        return Forecast(iterate(step, state, levels, check_steps(steps)), _unknown_levels(levels))

    def _step(
        self, state: Float64Array, rows: Mapping[str | None, IntArray], columns: IntArray
    ) -> Float64Array:
        structure, subspace = self.grammar.low_dimensional_structure, self.subspace
        in_subspace = structure is LowDimensionalStructure.DYNAMICS and subspace is not None
        features = subspace.encode(state) if in_subspace and subspace else state[:, columns]
        n_targets = subspace.dimension if in_subspace and subspace else len(self.genes)
        out = np.empty((state.shape[0], n_targets))
        for cell_type, where in rows.items():
            out[where] = self.models[cell_type].predict(features[where])
        if subspace is None:
            return out
        return subspace.decode(out if in_subspace else subspace.encode(out))

    def _rows_by_model(self, perturbations: Perturbations) -> dict[str | None, IntArray]:
        n = len(perturbations)
        if None in self.models:
            return {None: np.arange(n, dtype=np.intp)}
        if perturbations.cell_types is None:
            raise InvalidDataError(
                "The perturbations to forecast have no cell types.",
                expected="obs['cell_type'], as each cell type has a model of its own",
            )
        labels = np.array(perturbations.cell_types, dtype=object)
        unknown = [c for c in dict.fromkeys(labels) if c not in self.models]
        if unknown:
            raise InvalidDataError(
                f"There is no model for the cell type {unknown[0]!r}.",
                expected=f"a cell type of the training data: {first_few(map(str, self.models))}",
                fix="use cell_type_sharing_strategy identical for cell types that are new.",
            )
        return {c: np.flatnonzero(labels == c) for c in dict.fromkeys(labels)}


def fit(
    data: TrainingData,
    grammar: Grammar,
    *,
    regulators: Sequence[str] | None = None,
    network: Network | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> FittedGRN:
    """Fit one model per gene.

    Parameters
    ----------
    data
        Training data.
    grammar
        How to fit.
    regulators
        Names of the genes that may be features; None means all.
    network
        Restricts the features of each gene, unless the grammar ignores it.
        None is the dense network.
    jobs
        How many targets to work on at once.
    progress
        Told how far the work is.

    Raises
    ------
    UsageError
        If choices exclude each other.
    InvalidDataError
        If the data do not have what the choices need.
    """
    names = tuple(data.genes if regulators is None else regulators)
    network = _used_network(grammar, network)
    subspace = None
    if grammar.low_dimensional_value is not None:
        subspace = make_subspace(grammar.low_dimensional_value, data.expression)
    if grammar.low_dimensional_structure is LowDimensionalStructure.DYNAMICS:
        _check_dynamics(grammar, network, names, data.genes)
    fitting = _Fitting(data, grammar, names, subspace, jobs, progress)
    models = fitting.models(network)
    if grammar.pruning_strategy is Pruning.PRUNE_AND_REFIT:
        own = own_features(data.genes, names, predict_self=grammar.predict_self)
        n_edges = int(grammar.pruning_parameter or 0)
        network = pruned_network(models, data.genes, names, own, n_edges)
        models = fitting.models(network)
    return FittedGRN(
        grammar=grammar,
        genes=tuple(data.genes),
        regulators=names,
        models=models,
        controls=ControlMeans.of(data),
        subspace=subspace,
        network=network,
        notes=tuple(dict.fromkeys(note for model in models.values() for note in model.notes)),
    )


class _Fitting:
    """The pairs of features and responses that all models are fitted to."""

    def __init__(
        self,
        data: TrainingData,
        grammar: Grammar,
        regulators: tuple[str, ...],
        subspace: Subspace | None,
        jobs: int,
        progress: Progress | None,
    ) -> None:
        self.data, self.grammar, self.regulators = data, grammar, regulators
        self.jobs, self.progress = jobs, progress
        matched = match(data, grammar.matching_method, grammar.seed)
        self.rows = np.flatnonzero(matched != UNMATCHED)
        if self.rows.size == 0:
            raise InvalidDataError(
                "No training observation has a matched control.",
                fix="check obs['matched_control'], or use another matching method.",
            )
        levels = _of_rows(data.perturbations.levels(data.genes), self.rows, data.n_observations)
        columns = feature_positions(regulators, data.genes)
        in_subspace = grammar.low_dimensional_structure is LowDimensionalStructure.DYNAMICS
        if in_subspace and subspace is not None:
            before = dense(data.expression, matched[self.rows])
            levels.hold(before)
            self.features = subspace.encode(before)
            self.responses = subspace.encode(dense(data.expression, self.rows))
            self.targets = tuple(f"dimension {k + 1}" for k in range(subspace.dimension))
            self.feature_names = self.targets
        else:
            self.features = dense(data.expression, matched[self.rows], columns)
            levels.among(columns, len(data.genes)).hold(self.features)
            everything = self.rows.size == data.n_observations
            self.responses = data.expression if everything else data.expression[self.rows]
            self.targets, self.feature_names = tuple(data.genes), regulators

    def models(self, network: Network | None) -> dict[str | None, Regressions]:
        """Fit all models with a network (None means dense)."""
        if self.grammar.cell_type_sharing_strategy is CellTypeSharing.IDENTICAL:
            every = np.ones(self.rows.size, dtype=bool)
            return {None: self._model(every, network, None)}
        cell_types = self.data.perturbations.cell_types
        if cell_types is None:
            raise InvalidDataError(
                "The training data have no cell types.",
                expected="obs['cell_type'], as each cell type is to have a model of its own",
                fix="use cell_type_sharing_strategy identical.",
            )
        labels = np.array(cell_types, dtype=object)[self.rows]
        return {c: self._model(labels == c, network, c) for c in dict.fromkeys(labels)}

    def _model(
        self, chosen: BoolArray, network: Network | None, cell_type: str | None
    ) -> Regressions:
        grammar, every = self.grammar, bool(chosen.all())
        labels = [self.data.perturbations.labels[i] for i in self.rows[chosen]]
        excluded = excluded_rows(labels, self.targets, grammar.exclusion)
        where = "of the training data" if cell_type is None else f"of cell type {cell_type!r}"
        check_trainable(excluded, len(labels), self.targets, where)
        allowed = None
        if network is not None:
            allowed = allowed_features(
                self.targets,
                self.feature_names,
                network.of(cell_type),
                predict_self=grammar.predict_self,
            )
        task = RegressionTask(
            features=self.features if every else self.features[chosen],
            responses=self.responses if every else self.responses[chosen],
            targets=self.targets,
            own=own_features(self.targets, self.feature_names, predict_self=grammar.predict_self),
            excluded=excluded,
            allowed=allowed,
            arguments=grammar.method_arguments,
            seed=grammar.seed,
            jobs=self.jobs,
            progress=self.progress,
        )
        method = get_regression(grammar.method)
        if method.fit is None:  # get_regression never returns one; this tells the type checker
            raise UsageError(f"{method.name} is not a regression method.")
        return method.fit(task)


def _used_network(grammar: Grammar, network: Network | None) -> Network | None:
    if grammar.network_prior is NetworkPrior.RESTRICTIVE and network is None:
        raise UsageError(
            "A restrictive network prior needs a network.",
            fix="give a network; for the dense network, leave the prior out.",
        )
    if grammar.network_prior is NetworkPrior.IGNORE and network is not None and network.n_edges:
        raise UsageError(
            "A network was given, and the network prior says to ignore it.",
            expected="a network with the prior restrictive, or no network",
        )
    return None if grammar.network_prior is NetworkPrior.IGNORE else network


def _check_dynamics(
    grammar: Grammar, network: Network | None, regulators: Sequence[str], genes: Sequence[str]
) -> None:
    if network is not None or set(regulators) != set(genes):
        raise UsageError(
            "Dynamics in a subspace use all genes at once.",
            expected="no network, and all genes as eligible regulators",
            fix="use low_dimensional_structure postprocessing with a network.",
        )
    if grammar.pruning_strategy is not Pruning.NONE:
        raise UsageError("Models in a subspace have no coefficients of genes to prune.")
    if grammar.matching_method is Matching.STEADY_STATE and grammar.predict_self:
        raise UsageError(
            "In a steady state, a dimension that predicts itself predicts nothing else.",
            expected="predict_self = False, or another matching method",
        )


def _of_rows(levels: StatedLevels, rows: IntArray, n: int) -> StatedLevels:
    position = np.full(n, -1, dtype=np.intp)
    position[rows] = np.arange(rows.size)
    kept = position[levels.rows] >= 0
    return replace(
        levels,
        rows=position[levels.rows[kept]],
        columns=levels.columns[kept],
        values=levels.values[kept],
    )


def _unknown_levels(levels: StatedLevels) -> tuple[str, ...]:
    if not levels.n_unknown:
        return ()
    return (
        f"{levels.n_unknown} measured perturbed genes have no stated level after perturbation "
        "and were left as they are in the starting state.",
    )
