"""Fit one of our models, and forecast with it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.errors import UsageError
from pereggrn_data.models.grammar.choices import (
    CellTypeSharing,
    Grammar,
    Pruning,
)
from pereggrn_data.models.grammar.controls import ControlMeans
from pereggrn_data.models.grammar.dynamics import Forecast, check_steps
from pereggrn_data.models.grammar.ggrn import FittedGRN, fit
from pereggrn_data.models.inputs import Perturbations, TrainingData
from pereggrn_data.models.linear_embedding import LinearEmbedding, fit_linear_embedding
from pereggrn_data.models.regression_task import Progress
from pereggrn_data.models.regulon import forecast_regulon
from pereggrn_data.pipelines.predict.model_inputs import (
    network_among,
    perturbations_of,
    regulators_of,
    stored_network,
    subspace_value,
    training_data,
)
from pereggrn_data.pipelines.predict.model_options import ModelOptions
from pereggrn_data.pipelines.predict.starting_state import (
    held_out_start,
    is_time_series,
    matched_start,
)
from pereggrn_data.pipelines.split import SplitDataset

EMBEDDING = "linear_embedding"
START = ("control_subtype", "starting_expression")


@dataclass(frozen=True)
class Work:
    """What is to be forecast, and how.

    Parameters
    ----------
    made
        The split.
    options
        The choices.
    jobs
        How many genes to fit at once.
    progress
        Told how far the fit is.
    collection
        Folder of the local collection.
    """

    made: SplitDataset
    options: ModelOptions
    jobs: int = 1
    progress: Progress | None = None
    collection: str | None = None

    @cached_property
    def training(self) -> TrainingData:
        """What models learn from."""
        return training_data(self.made.train)

    @cached_property
    def requested(self) -> Perturbations:
        """What to forecast."""
        made = self.made
        return perturbations_of(made.test_perturbations.assign(is_control=made.test_is_control))

    @cached_property
    def start(self) -> Floats | None:
        """(rows, genes) to start from; None for the mean of all training controls."""
        if self.options.is_oracle:
            return held_out_start(self.made)
        if is_time_series(self.made):
            return matched_start(self.made, self.options.control_subtype)
        return None

    @property
    def control_subtype(self) -> str | None:
        """The subtype among all training controls, unless the start has seen to it."""
        chosen_already = self.start is not None and not self.options.is_oracle
        return None if chosen_already else self.options.control_subtype


def fit_model(work: Work, method: str) -> tuple[FittedGRN | LinearEmbedding, tuple[str, ...]]:
    """Fit a model.

    Returns
    -------
    FittedGRN or LinearEmbedding, tuple of str
        The model, and what the user should know.
    """
    options = work.options
    if method == EMBEDDING:
        options.require_default(
            besides=("model", "arguments", "seed"),
            why=f"{method} is no regression, so the grammar's choices make no difference to it.",
        )
        arguments = dict(options.arguments)
        known = list(inspect.signature(fit_linear_embedding).parameters)[1:]
        if unknown := [name for name in arguments if name not in known]:
            raise UsageError(
                f"{method} has no argument {unknown[0]!r}.", expected=", ".join(known)
            )
        return fit_linear_embedding(work.training, **arguments), ()
    grammar = grammar_of(options, method, work.made)
    stored = stored_network(options, work.collection)
    distinct = grammar.cell_type_sharing_strategy is CellTypeSharing.DISTINCT
    network, notes = network_among(stored, work.made.split.genes, by_cell_type=distinct)
    fitted = fit(
        work.training,
        grammar,
        regulators=regulators_of(options, work.made, work.collection),
        network=network,
        jobs=work.jobs,
        progress=work.progress,
    )
    return fitted, (*notes, *fitted.notes)


def forecast_fitted(fitted: FittedGRN | LinearEmbedding, work: Work) -> Forecast:
    """Forecast with a fitted model.

    Raises
    ------
    UsageError
        If it knows no steps or other starts, and they are asked for.
    """
    options = work.options
    if isinstance(fitted, LinearEmbedding):
        _one_step_only(options, EMBEDDING)
        return fitted.predict(work.requested, work.start)
    return fitted.predict(
        work.requested,
        steps=check_steps(options.steps),
        control_subtype=work.control_subtype,
        starting_expression=work.start,
    )


def forecast_network(work: Work) -> Forecast:
    """Forecast from a network alone (``regulon``).

    Raises
    ------
    UsageError
        If there is no network.
    """
    options = work.options
    options.require_default(
        besides=("model", "network", "seed", *START),
        why="regulon is no regression, so the grammar's choices make no difference to it.",
    )
    stored = stored_network(options, work.collection)
    if stored is None:
        raise UsageError("regulon forecasts from a network.", expected="--network NAME_OR_PATH")
    network, notes = network_among(stored, work.made.split.genes, by_cell_type=False)
    start = work.start
    if start is None:
        start = ControlMeans.of(work.training).mean(options.control_subtype)
    made = forecast_regulon(network, work.training.genes, work.requested, start)  # type: ignore[arg-type]
    return Forecast(made.expression, (*notes, *made.notes))


def _one_step_only(options: ModelOptions, method: str) -> None:
    if (
        check_steps(options.steps) != (1,)
        or options.is_oracle
        or options.control_subtype is not None
    ):
        raise UsageError(
            f"{method} forecasts in one step, from the mean of the training controls.",
            fix="leave --steps, --control-subtype and --starting-expression out.",
        )


def grammar_of(options: ModelOptions, method: str, made: SplitDataset) -> Grammar:
    """Return the grammar's choices, checked."""
    return Grammar(
        method=method,
        method_arguments=dict(options.arguments),
        predict_self=options.predict_self,
        # The grammar reads names itself, and names the known ones where one is wrong.
        exclusion=options.exclusion,  # type: ignore[arg-type]
        network_prior=options.network_prior,  # type: ignore[arg-type]
        matching_method=options.matching,  # type: ignore[arg-type]
        cell_type_sharing_strategy=options.cell_type_sharing,  # type: ignore[arg-type]
        pruning_strategy=Pruning.NONE if options.prune is None else Pruning.PRUNE_AND_REFIT,
        pruning_parameter=options.prune,
        low_dimensional_structure=options.low_dimensional,  # type: ignore[arg-type]
        low_dimensional_value=subspace_value(options.dimensions, made.split.genes),
        seed=options.seed,
    )
