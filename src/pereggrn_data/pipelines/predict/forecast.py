"""Forecasts of our models: fit one or take one up, and ask it for the test side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pereggrn_data.core.resources import resources
from pereggrn_data.core.rows.row_blocks import repeated_rows
from pereggrn_data.models import (
    CellTypeSharing,
    FittedModel,
    Forecast,
    Method,
    ModelTask,
    check_steps,
    choices_of,
    fit_model,
    fitting_block,
    get_method,
    learns_in_blocks,
    one_step_only,
)
from pereggrn_data.pipelines.predict.model_choices import (
    grammar_of,
    network_among,
    regulators_of,
    stored_network,
)
from pereggrn_data.pipelines.predict.model_inputs import Work
from pereggrn_data.pipelines.predict.model_store import load_model, store_model

FORECASTING = ("steps", "control_subtype", "starting_expression", "hold_output")
"""Choices that a fitted model leaves open."""


def forecast_by_model(work: Work, method: Method, save_to: Path | None) -> Forecast:
    """Fit a model, store it if that is wanted, and forecast with it.

    Raises
    ------
    UsageError
        If choices make no difference to the method, or do not go together.
    InvalidDataError
        If the data lack what the choices need.
    """
    fitted, notes = _fit(work, method)
    if save_to is not None:
        notes += store_model(fitted, save_to, work.made, work.options.to_dict())
    return _forecast(work, fitted, notes)


def fit_block(work: Work, number: int, count: int) -> Mapping[str, Any]:
    """Fit some genes of a model, whose method fits each gene by itself.

    Parameters
    ----------
    work
        What is to be forecast.
    number, count
        Of the block, from 0, and how many blocks there are.

    Returns
    -------
    mapping
        What was fitted, by hashes of what it was fitted to, for `with_fitted`.

    Raises
    ------
    UsageError, InvalidDataError
        As `forecast_by_model`, but for genes that cannot be fitted.
    """
    with fitting_block(number, count) as made:
        _fit(work, get_method(work.options.model))
    return made


def forecast_by_stored_model(work: Work, path: Path) -> tuple[str, Forecast, dict[str, Any]]:
    """Take a stored model up, and forecast with it.

    Returns
    -------
    str, Forecast, dict
        The method's name, what it forecasts, and the choices that made the model.

    Raises
    ------
    UsageError
        If choices are made that only a fit could heed, or if the model has no
        such steps or starts.
    InvalidDataError
        If the file holds no model of these genes.
    """
    options = work.options
    options.require_default(
        besides=(*FORECASTING, "seed"),
        why=f"{path} is a fitted model, so how to fit one makes no difference.",
    )
    fitted, notes, settings = load_model(path, work.made)
    _require_heeded(work, get_method(fitted.method))
    made_with = {k: v for k, v in options.to_dict().items() if k in FORECASTING}
    return fitted.method, _forecast(work, fitted, notes), {**settings, **made_with}


def _fit(work: Work, method: Method) -> tuple[FittedModel, tuple[str, ...]]:
    options, made = work.options, work.made
    choices = choices_of(method)
    if choices is not None:
        options.require_default(
            besides=("model", "seed", *choices),
            why=f"{method.name} is no regression, so the grammar's choices make no difference "
            "to it.",
        )
    grammar = grammar_of(options, method.name, made) if method.is_regression else None
    by_cell_type = (
        grammar is not None and grammar.cell_type_sharing_strategy is CellTypeSharing.DISTINCT
    )
    stored = stored_network(options, work.collection)
    network, notes = network_among(stored, made.split.genes, by_cell_type=by_cell_type)
    regulators = None if grammar is None else regulators_of(options, made, work.collection)
    n_features = 0 if regulators is None else len(regulators)
    in_blocks = grammar is not None and learns_in_blocks(
        grammar, network, made.n_train, n_features
    )
    work.require_room(method, n_features, in_blocks=in_blocks)
    data = work.training_in_blocks if in_blocks else work.training
    task = ModelTask(
        data=data,
        arguments=dict(options.arguments),
        seed=options.seed,
        grammar=grammar,
        regulators=regulators,
        network=network,
        jobs=work.jobs,
        progress=work.progress,
    )
    fitted = fit_model(method, task)
    return fitted, (*notes, *fitted.notes)


def _forecast(work: Work, fitted: FittedModel, notes: tuple[str, ...]) -> Forecast:
    # Only models that heed it, as their method's family says, know the choice.
    more: dict[str, Any] = {} if work.options.hold_output else {"hold_output": False}
    requested, rows = work.requested, None
    if work.start is None:
        # Once for all that ask for the same, however large they are: then what is noted of them
        # does not depend on the memory.
        requested, rows = requested.distinct()
    made = fitted.predict(
        requested,
        steps=check_steps(work.options.steps),
        control_subtype=work.control_subtype,
        starting_expression=work.start,
        **more,
    )
    expression: dict[int, Any] = dict(made.expression)
    if rows is not None:
        held = not _is_large(len(rows), len(fitted.genes))
        expression = {
            s: x[rows] if held else repeated_rows(x, rows) for s, x in expression.items()
        }
    return Forecast(expression, (*notes, *made.notes))


def _is_large(rows: int, genes: int) -> bool:
    """Say whether forecasts are repeated only where they are written."""
    return 8 * rows * genes > resources().bytes_to_hold


def _require_heeded(work: Work, method: Method) -> None:
    """Check that a model heeds what is said about steps and starts."""
    options, choices = work.options, choices_of(method)
    said = {
        "steps": check_steps(options.steps) != (1,),
        "control_subtype": options.control_subtype is not None,
        "starting_expression": options.is_oracle,
        "hold_output": not options.hold_output,
    }
    if choices is not None and any(said[name] for name in FORECASTING if name not in choices):
        raise one_step_only(method.name)
