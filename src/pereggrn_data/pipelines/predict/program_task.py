"""What a program that is not ours is given: data, requests, and choices that have been checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.format import CELL_TYPE, MATCHED_CONTROL
from pereggrn_data.loaders.network import Network
from pereggrn_data.models import UNMATCHED, Grammar, Matching, NetworkPrior, check_steps, match
from pereggrn_data.pipelines.predict.adapter_runs import notes_of, program_arguments
from pereggrn_data.pipelines.predict.model_choices import (
    grammar_of,
    network_among,
    regulators_of,
    stored_network,
)
from pereggrn_data.pipelines.predict.model_inputs import Work, is_time_series, training_data
from pereggrn_data.pipelines.predict.model_options import DEFAULT_MODEL, ModelOptions, Program
from pereggrn_data.pipelines.split import SplitDataset

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True)
class ProgramTask:
    """What a program is given.

    Parameters
    ----------
    train
        Training data.
    matches
        What each of its observations is matched with; None for what the data say.
    given
        Controls that are known and do not train, of a time series.
    validation
        What is set aside of the training side, where the split has such a side.
    genes
        Whose expression it is to forecast.
    requests
        One row per wanted prediction, with ``prediction_timescale``.
    grammar
        The choices under the names of the original software, and some of ours.
    arguments
        Keyword arguments of the method.
    network
        None for the dense one.
    notes
        What the user should know.
    """

    train: AnnData
    matches: Sequence[str | None] | None
    given: AnnData | None
    validation: AnnData | None
    genes: tuple[str, ...]
    requests: pd.DataFrame
    grammar: Mapping[str, Any]
    arguments: Mapping[str, Any]
    network: Network | None
    notes: tuple[str, ...]


def task_for(work: Work, program: Program, requests: pd.DataFrame) -> ProgramTask:
    """Return what a program is given.

    Raises
    ------
    UsageError
        If a choice is not one of the grammar's, or choices do not go together.
    """
    options, made = work.options, work.made
    require_forecast(options)
    grammar = grammar_of(options, DEFAULT_MODEL, made)
    stored = stored_network(options, work.collection)
    regulators = regulators_of(options, made, work.collection)
    _, notes = network_among(stored, made.split.genes, by_cell_type=False)
    return ProgramTask(
        train=made.train,
        matches=matches_of(made, grammar.matching_method, grammar.seed),
        given=made.given_controls,
        validation=made.validation,
        genes=tuple(map(str, made.split.genes)),
        requests=requests,
        grammar=grammar_for_program(program, options, grammar, regulators, stored),
        arguments=program_arguments(program, options),
        network=stored,
        notes=(*notes_of(program), *notes),
    )


def grammar_for_program(
    program: Program,
    options: ModelOptions,
    grammar: Grammar,
    regulators: Sequence[str],
    network: Network | None,
) -> dict[str, Any]:
    """Return the choices under the names of the original software, and some of ours.

    Parameters
    ----------
    program
        Its name stands for the regression's.
    options, grammar
        The choices as given, and as they have been checked.
    regulators
        Genes that may be features.
    network
        None for the dense one.

    Raises
    ------
    UsageError
        If a network is needed, and there is none.
    """
    prior = grammar.network_prior
    if prior is None:
        prior = NetworkPrior.IGNORE if network is None else NetworkPrior.RESTRICTIVE
    elif prior is NetworkPrior.RESTRICTIVE and network is None:
        raise UsageError(
            "A restrictive network prior needs a network.",
            fix="give a network; for the dense network, leave the prior out.",
        )
    value = grammar.low_dimensional_value
    written = {
        "regression_method": program.name,
        "confounders": [],
        "cell_type_sharing_strategy": grammar.cell_type_sharing_strategy,
        "cell_type_labels": CELL_TYPE,
        "network_prior": prior,
        "pruning_strategy": grammar.pruning_strategy,
        "pruning_parameter": grammar.pruning_parameter,
        "matching_method": grammar.matching_method,
        "low_dimensional_structure": grammar.low_dimensional_structure,
        "low_dimensional_training": "svd" if value is None or isinstance(value, int) else "fixed",
        "prediction_timescale": list(check_steps(options.steps)),
        "predict_self": grammar.predict_self,
        "eligible_regulators": list(regulators),
        "exclusion": grammar.exclusion,
        "control_subtype": options.control_subtype,
        "seed": grammar.seed,
    }
    # Images of the original software put in their own where it is absent, not where it is null.
    return written if value is None else {**written, "low_dimensional_value": value}


def matches_of(made: SplitDataset, method: Matching, seed: int) -> list[str | None] | None:
    """Return what each training observation is matched with; None for what the dataset says.

    In steady state, each is matched with itself, unless the dataset says otherwise.
    """
    train = made.train
    if method is Matching.STEADY_STATE and MATCHED_CONTROL in train.obs:
        return None
    found = match(training_data(train, time_series=is_time_series(made)), method, seed)
    if method is Matching.USER:  # it has been checked
        return None
    return [None if i == UNMATCHED else str(train.obs_names[i]) for i in found]


def require_forecast(options: ModelOptions) -> None:
    """Check that a program is not asked for an oracle: it is never given held-out data.

    Raises
    ------
    UsageError
        If it is.
    """
    if options.is_oracle:
        raise UsageError(
            "A program is given training data only, so it cannot start from held-out expression.",
            fix="leave --starting-expression out.",
        )
    if not options.hold_output:
        raise UsageError(
            "A program decides by itself what it says of perturbed genes.",
            fix="leave --free-output out.",
        )
