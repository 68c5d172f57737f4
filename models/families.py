"""What is done with a method, by what it is: fit it, forecast with it, store it.

Methods of one family are fitted in the same way: regressions by the grammar,
embeddings as wholes, and to networks nothing is fitted. A family is chosen by
the kind that a method's entry says it is, so that a new method needs its entry
only, and a new kind a family here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.errors import InvalidDataError, PereggrnError, UsageError
from pereggrn_data.models.grammar.choices import Grammar
from pereggrn_data.models.grammar.dynamics import (
    ControlMeans,
    Forecast,
    check_steps,
    one_step_only,
)
from pereggrn_data.models.grammar.ggrn import STORED_AS, FittedGRN, fit
from pereggrn_data.models.grammar.prior_network import RegulatorySets
from pereggrn_data.models.inputs import Perturbations, TrainingData
from pereggrn_data.models.methods import METHODS, Method, MethodKind
from pereggrn_data.models.plain_arrays import FORMAT_VERSION, Array, Arrays, header_of
from pereggrn_data.models.regression import Progress


class Storage(StrEnum):
    """How a model of a method can be stored."""

    NOTHING = "nothing is fitted, so there is nothing to store"
    ARRAYS = "plain arrays"
    PICKLE = "a pickle only"


@runtime_checkable
class FittedModel(Protocol):
    """A model that forecasts; what it was fitted to is in it."""

    @property
    def method(self) -> str:
        """Name of its method."""
        ...

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the genes that it forecasts."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about the fit."""
        ...

    @property
    def is_plain(self) -> bool:
        """Whether arrays hold everything, so that it is stored without pickle."""
        ...

    def predict(
        self,
        perturbations: Perturbations,
        *,
        steps: int | Sequence[int] = (1,),
        control_subtype: str | None = None,
        starting_expression: Floats | None = None,
    ) -> Forecast:
        """Forecast expression after perturbations, from the mean of the training controls.

        Parameters
        ----------
        perturbations
            What to forecast.
        steps
            Numbers of steps after which to return the state.
        control_subtype
            Beginning of the label of the controls to start from.
        starting_expression
            Perturbations x genes, natural log: start from this instead.

        Raises
        ------
        UsageError
            If the model has no such steps, or starts from no such controls.
        """
        ...

    def to_arrays(self) -> Arrays:
        """Return everything that it needs to forecast.

        Raises
        ------
        UsageError
            If arrays do not hold everything.
        """
        ...


@dataclass(frozen=True)
class ModelTask:
    """What a model can be made from; each family takes what it needs.

    Parameters
    ----------
    data
        Training data.
    arguments
        Keyword arguments of the method.
    seed
        Of the random elements of graphs; regressions have theirs in the grammar.
    grammar
        How regressions are fitted; by default as a :class:`Grammar` is by default.
    regulators
        Names of the genes that may be features of regressions; None means all.
    network
        The edges between genes; None is the dense network.
    jobs
        How many genes to work on at once.
    progress
        Told how far the work is.
    """

    data: TrainingData
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    grammar: Grammar | None = None
    regulators: Sequence[str] | None = None
    network: RegulatorySets | None = None
    jobs: int = 1
    progress: Progress | None = None


@dataclass(frozen=True)
class NetworkModel:
    """A network with the rule by which it forecasts.

    Parameters
    ----------
    method
        Name of the method.
    rule
        Its function.
    network
        Regulators of each gene.
    data
        Training data, of which controls are the state to start from.
    arguments
        Keyword arguments of the rule.
    notes
        What the user should know.
    """

    method: str
    rule: Callable[..., Forecast]
    network: RegulatorySets
    data: TrainingData
    arguments: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the genes that it forecasts."""
        return self.data.genes

    @property
    def is_plain(self) -> bool:
        """Whether arrays hold everything: nothing is fitted, so nothing is stored."""
        return False

    def predict(
        self,
        perturbations: Perturbations,
        *,
        steps: int | Sequence[int] = (1,),
        control_subtype: str | None = None,
        starting_expression: Floats | None = None,
        hold_output: bool = True,
    ) -> Forecast:
        """Forecast expression after perturbations, in one step."""
        if check_steps(steps) != (1,):
            raise one_step_only(self.method)
        start = starting_expression
        if start is None:
            start = ControlMeans.of(self.data).mean(control_subtype)
        made = self.rule(self.network, self.genes, perturbations, start, **self.arguments)
        if not hold_output:
            # The perturbed gene itself stays where it starts, unless it is among its targets.
            levels, begins = perturbations.levels(self.genes), np.atleast_2d(start)
            targets = self.network.targets_of()
            own = [self.genes[j] in targets.get(self.genes[j], ()) for j in levels.columns]
            at = np.flatnonzero(~np.array(own, dtype=bool))
            rows, columns = levels.rows[at], levels.columns[at]
            for expression in made.expression.values():
                expression[rows, columns] = begins[rows if len(begins) > 1 else 0, columns]
        return made

    def to_arrays(self) -> Arrays:
        """Refuse, as there is nothing to store."""
        raise UsageError(f"{self.method} fits nothing, so there is no model to save.")


def _fit_regressions(method: Method, task: ModelTask) -> FittedModel:
    """Fit one regression per gene, put together by the grammar."""
    grammar = task.grammar
    if grammar is None:
        grammar = Grammar(method=method.name, method_arguments=dict(task.arguments))
    return fit(
        task.data,
        grammar,
        regulators=task.regulators,
        network=task.network,
        jobs=task.jobs,
        progress=task.progress,
    )


def _fit_embedding(method: Method, task: ModelTask) -> FittedModel:
    """Fit a model of all genes at once, which forecasts in one step."""
    return _fit_whole(method, task, task.data)


def _fit_graph(method: Method, task: ModelTask) -> FittedModel:
    """Find a graph of all genes."""
    return _fit_whole(method, task, task.data, task.seed)


def _fit_propagation(method: Method, task: ModelTask) -> FittedModel:
    """Fit the edges of a network."""
    return _fit_whole(method, task, task.data, _network_of(method, task))


def _fit_whole(method: Method, task: ModelTask, *given: Any) -> FittedModel:
    make: Any = method.fit
    _check_arguments(method, task.arguments)
    model: FittedModel = make(*given, **task.arguments)
    return model


def _take_network(method: Method, task: ModelTask) -> FittedModel:
    """Put a network and the rule together by which changes follow its edges."""
    rule: Any = method.forecast
    network = _network_of(method, task)
    _check_arguments(method, task.arguments)
    return NetworkModel(method.name, rule, network, task.data, task.arguments)


def _network_of(method: Method, task: ModelTask) -> RegulatorySets:
    if task.network is None:
        raise UsageError(
            f"{method.name} forecasts from a network.", expected="--network NAME_OR_PATH"
        )
    return task.network


def _as_linear(method: Method, arguments: Mapping[str, Any]) -> Storage:
    return Storage.ARRAYS if method.is_linear(arguments) else Storage.PICKLE


@dataclass(frozen=True)
class Family:
    """What methods of some kinds have in common.

    Parameters
    ----------
    choices
        Names of the choices that make a difference, besides the method, its
        arguments and the seed; None means all.
    fit
        Makes a model.
    storage
        How models with these arguments can be stored.
    n_given
        How many parameters of a method's function are not arguments that users choose.
    """

    choices: frozenset[str] | None
    fit: Callable[[Method, ModelTask], FittedModel]
    storage: Callable[[Method, Mapping[str, Any]], Storage]
    n_given: int


def _as_arrays(_method: Method, _arguments: Mapping[str, Any]) -> Storage:
    return Storage.ARRAYS


_REGRESSIONS = Family(None, _fit_regressions, _as_linear, n_given=1)

FAMILIES: Mapping[MethodKind, Family] = {
    MethodKind.CONSTANT: _REGRESSIONS,
    MethodKind.LINEAR: _REGRESSIONS,
    MethodKind.ESTIMATOR: _REGRESSIONS,
    MethodKind.NETWORK: Family(
        choices=frozenset({"network", "control_subtype", "starting_expression", "hold_output"}),
        fit=_take_network,
        storage=lambda *_: Storage.NOTHING,
        n_given=4,
    ),
    MethodKind.EMBEDDING: Family(
        choices=frozenset({"hold_output"}),
        fit=_fit_embedding,
        storage=_as_arrays,
        n_given=1,
    ),
    MethodKind.PROPAGATION: Family(
        choices=frozenset({"network", "starting_expression"}),
        fit=_fit_propagation,
        storage=_as_arrays,
        n_given=2,
    ),
    MethodKind.GRAPH: Family(
        choices=frozenset({"steps", "control_subtype", "starting_expression"}),
        fit=_fit_graph,
        storage=_as_arrays,
        n_given=2,
    ),
}
"""What is done with methods of each kind."""


def choices_of(method: Method) -> frozenset[str] | None:
    """Return the names of the choices that make a difference to a method; None means all.

    The method itself and the seed are not among them.
    """
    choices = FAMILIES[method.kind].choices
    if choices is None:
        return None
    return choices | {"arguments"} if _argument_names(method) else choices


def fit_model(method: Method, task: ModelTask) -> FittedModel:
    """Make a model.

    Raises
    ------
    UsageError
        If choices or arguments are none of the method's, or exclude each other.
    InvalidDataError
        If the data do not have what the method needs.
    """
    return FAMILIES[method.kind].fit(method, task)


def storage_of(method: Method, arguments: Mapping[str, Any]) -> Storage:
    """Say how models of a method, fitted with these arguments, can be stored."""
    return FAMILIES[method.kind].storage(method, arguments)


def from_arrays(arrays: Mapping[str, Array]) -> FittedModel:
    """Return the model that its own ``to_arrays`` took apart.

    Parameters
    ----------
    arrays
        As read from a file; nothing about them is trusted.

    Raises
    ------
    InvalidDataError
        If they are not a stored model, or a part is missing or of another shape.
    """
    try:
        return _loader(header_of(arrays)["kind"])(arrays)
    except PereggrnError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise InvalidDataError(
            "This is not a stored model.",
            expected=f"arrays of format version {FORMAT_VERSION}",
            got=f"{type(error).__name__}: {error}",
            fix="fit the model again.",
        ) from error


def _loader(kind: str) -> Callable[[Mapping[str, Array]], FittedModel]:
    if kind == STORED_AS:
        return FittedGRN.from_arrays
    for method in METHODS:
        if method.name == kind and method.load is not None:
            return method.load
    raise ValueError(f"a model of kind {kind!r}")


def _argument_names(method: Method) -> tuple[str, ...]:
    """Return the parameters after those that are given to every method of the family."""
    function: Any = method.fit if method.forecast is None else method.forecast
    return tuple(inspect.signature(function).parameters)[FAMILIES[method.kind].n_given :]


def _check_arguments(method: Method, arguments: Mapping[str, Any]) -> None:
    known = _argument_names(method)
    if unknown := [name for name in arguments if name not in known]:
        raise UsageError(
            f"{method.name} has no argument {unknown[0]!r}.",
            expected=", ".join(known) or "no argument at all",
        )
