"""Fit and forecast by the grammar of gene regulatory networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.core.rows.row_blocks import is_stored
from pereggrn_data.models.grammar.choices import (
    Grammar,
    LowDimensionalStructure,
    Matching,
    NetworkPrior,
    Pruning,
)
from pereggrn_data.models.grammar.dynamics import (
    ControlMeans,
    Forecast,
    TrainingRange,
    check_steps,
    iterate,
    start_from,
)
from pereggrn_data.models.grammar.eligibility import (
    feature_positions,
    own_features,
)
from pereggrn_data.models.grammar.fitting import Fitting, learns_in_blocks
from pereggrn_data.models.grammar.low_dimensional import Subspace, make_subspace
from pereggrn_data.models.grammar.prior_network import RegulatorySets
from pereggrn_data.models.grammar.pruning import check_prunable, pruned_network
from pereggrn_data.models.inputs import HeldLevels, Perturbations, TrainingData
from pereggrn_data.models.methods import get_regression
from pereggrn_data.models.plain_arrays import (
    Array,
    Arrays,
    header_of,
    names_of,
    numbers_of,
    packed_header,
    packed_names,
)
from pereggrn_data.models.regression import LinearRegressions, Progress, Regressions

STORED_AS = "ggrn"
"""Kind of stored model that says that all of the grammar is in it."""


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
    span
        Of the training data; forecasts far outside of it get a note.
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
    span: TrainingRange
    subspace: Subspace | None = None
    network: RegulatorySets | None = None
    notes: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """Name of the regression method."""
        return self.grammar.method

    @property
    def is_plain(self) -> bool:
        """Whether all models are linear, so that arrays hold everything."""
        return all(isinstance(m, LinearRegressions) for m in self.models.values())

    def predict(
        self,
        perturbations: Perturbations,
        *,
        steps: int | Sequence[int] = (1,),
        control_subtype: str | None = None,
        starting_expression: Floats | None = None,
        hold_output: bool = True,
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
        hold_output
            Whether perturbed genes are at their stated levels in what is returned, or
            as their own models forecast them.

        Raises
        ------
        InvalidDataError
            If a perturbation is malformed, or in a cell type without a model,
            or if values become infinite or NaN on the way.
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
        found = iterate(
            step, state, levels, check_steps(steps), self.genes, hold_output=hold_output
        )
        return Forecast(found, _unknown_levels(levels) + self.span.notes(found, levels))

    def _step(self, state: Floats, rows: Mapping[str | None, Ints], columns: Ints) -> Floats:
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

    def _rows_by_model(self, perturbations: Perturbations) -> dict[str | None, Ints]:
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

    def to_arrays(self) -> Arrays:
        """Return everything that a linear model needs to forecast.

        Raises
        ------
        UsageError
            If the model is not linear.
        """
        # A matrix that spans a subspace is stored with the subspace.
        settings = {
            f.name: getattr(self.grammar, f.name)
            for f in fields(self.grammar)
            if f.name != "low_dimensional_value"
        }
        names = list(self.models)
        arrays: Arrays = {
            "header": packed_header(
                STORED_AS, grammar=settings, models=names, notes=list(self.notes)
            ),
            "genes": packed_names(self.genes),
            "regulators": packed_names(self.regulators),
            "control_labels": packed_names(self.controls.labels),
            "control_counts": self.controls.counts,
            "control_means": self.controls.means,
            "span": np.array([self.span.least, self.span.largest]),
        }
        if self.subspace is not None:
            arrays["subspace_encoder"] = self.subspace.encoder
            arrays["subspace_decoder"] = self.subspace.decoder
            arrays["subspace_centre"] = self.subspace.centre
        for k, name in enumerate(names):
            regressions = self.models[name]
            if not isinstance(regressions, LinearRegressions):
                raise UsageError(
                    f"A model fitted by {self.method} is not linear.",
                    expected="a linear model, which is stored as coefficients",
                    fix="store it with joblib, and load such files only if you trust their "
                    "source.",
                )
            arrays |= regressions.to_arrays(f"model_{k}")
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> FittedGRN:
        """Put together what `to_arrays` took apart; nothing about it is trusted.

        Raises
        ------
        KeyError, ValueError, TypeError, PereggrnError
            If a part is missing, of another shape, or no choice of the grammar.
        """
        header = header_of(arrays)
        genes, regulators = names_of(arrays["genes"]), names_of(arrays["regulators"])
        labels = names_of(arrays["control_labels"])
        settings = dict(header["grammar"])
        subspace, n_targets, n_features = None, len(genes), len(regulators)
        if "subspace_encoder" in arrays:
            k = arrays["subspace_encoder"].shape[1]
            subspace = Subspace(
                encoder=numbers_of(arrays["subspace_encoder"], (len(genes), k)),
                decoder=numbers_of(arrays["subspace_decoder"], (k, len(genes))),
                centre=numbers_of(arrays["subspace_centre"], (len(genes),)),
            )
            settings["low_dimensional_value"] = k
            if settings["low_dimensional_structure"] == "dynamics":
                n_targets = n_features = k
        return cls(
            grammar=Grammar(**settings),
            genes=genes,
            regulators=regulators,
            models={
                name: LinearRegressions.from_arrays(f"model_{i}", arrays, n_targets, n_features)
                for i, name in enumerate(header["models"])
            },
            controls=ControlMeans(
                labels=labels,
                counts=numbers_of(arrays["control_counts"], (len(labels),)).astype(np.int64),
                means=numbers_of(arrays["control_means"], (len(labels), len(genes))),
            ),
            span=TrainingRange(*numbers_of(arrays["span"], (2,)).tolist()),
            subspace=subspace,
            notes=tuple(map(str, header["notes"])),
        )


def fit(
    data: TrainingData,
    grammar: Grammar,
    *,
    regulators: Sequence[str] | None = None,
    network: RegulatorySets | None = None,
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
    if isinstance(jobs, bool) or not isinstance(jobs, (int, np.integer)) or jobs < 1:
        raise UsageError(
            "Jobs are a whole number, 1 or more.",
            got=repr(jobs),
            fix="for all cores, say os.cpu_count().",
        )
    jobs = int(jobs)
    names = tuple(data.genes if regulators is None else regulators)
    network = _used_network(grammar, network)
    if grammar.pruning_strategy is Pruning.PRUNE_AND_REFIT:
        check_prunable(get_regression(grammar.method), grammar.method_arguments)
    subspace = None
    if grammar.low_dimensional_value is not None:
        subspace = make_subspace(grammar.low_dimensional_value, data.expression)
    if grammar.low_dimensional_structure is LowDimensionalStructure.DYNAMICS:
        _check_dynamics(grammar, network, names, data.genes)
    in_blocks = is_stored(data.expression) and learns_in_blocks(
        grammar, network, data.n_observations, len(names)
    )
    fitting = Fitting(data, grammar, names, subspace, jobs, progress, in_blocks=in_blocks)
    models = fitting.models(network)
    if grammar.pruning_strategy is Pruning.PRUNE_AND_REFIT:
        own = own_features(data.genes, names, predict_self=grammar.predict_self)
        n_edges = int(grammar.pruning_parameter or 0)
        network = pruned_network(models, data.genes, names, own, n_edges)
        models = fitting.models(network, is_pruned=True)
    return FittedGRN(
        grammar=grammar,
        genes=tuple(data.genes),
        regulators=names,
        models=models,
        controls=ControlMeans.of(data),
        span=TrainingRange.of(data.expression),
        subspace=subspace,
        network=network,
        notes=tuple(
            dict.fromkeys([*fitting.notes, *(n for m in models.values() for n in m.notes)])
        ),
    )


def _used_network(grammar: Grammar, network: RegulatorySets | None) -> RegulatorySets | None:
    if grammar.network_prior is NetworkPrior.RESTRICTIVE and network is None:
        raise UsageError(
            "A restrictive network prior needs a network.",
            fix="give a network; for the dense network, leave the prior out.",
        )
    if grammar.network_prior is NetworkPrior.IGNORE and network is not None:
        raise UsageError(
            "A network was given, and the network prior says to ignore it.",
            expected="a network with the prior restrictive, or no network",
        )
    return network


def _check_dynamics(
    grammar: Grammar,
    network: RegulatorySets | None,
    regulators: Sequence[str],
    genes: Sequence[str],
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


def _unknown_levels(levels: HeldLevels) -> tuple[str, ...]:
    if not levels.n_unknown:
        return ()
    return (
        f"{levels.n_unknown} measured perturbed genes have no stated level after perturbation "
        "and were left as they are in the starting state.",
    )
