"""Train a model on the training side of a split, and forecast its test side."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import pandas as pd

from pereggrn_data.core.errors import UsageError, first_few
from pereggrn_data.core.format import (
    MODEL_UNS,
    OBSERVATION,
    ORACLE_UNS,
    PERTURBATION,
    PREDICTION_STEP,
)
from pereggrn_data.core.options import one_of, takes
from pereggrn_data.core.resources import limited
from pereggrn_data.core.rows.row_blocks import is_stored, stacked_rows
from pereggrn_data.core.splits import Split
from pereggrn_data.core.strict_json import dumps, plain
from pereggrn_data.core.version import software
from pereggrn_data.loaders.files import read_split
from pereggrn_data.loaders.files.any_file import refuse_overwriting, user_path
from pereggrn_data.loaders.files.datasets import Dataset, StoredData
from pereggrn_data.loaders.program import refuse_in_exchange
from pereggrn_data.models import Forecast, Progress, check_steps, get_method
from pereggrn_data.pipelines.collection import open_dataset
from pereggrn_data.pipelines.predict.adapter_runs import (
    adapter_named,
    adapters,
    check_adapter_choices,
    is_adapter,
    require_adapter,
)
from pereggrn_data.pipelines.predict.external import forecast_by_program
from pereggrn_data.pipelines.predict.forecast import (
    forecast_by_model,
    forecast_by_stored_model,
)
from pereggrn_data.pipelines.predict.model_inputs import Work
from pereggrn_data.pipelines.predict.model_options import DEFAULT_MODEL, ModelOptions, Program
from pereggrn_data.pipelines.predict.model_store import check_can_save
from pereggrn_data.pipelines.predict.predicted import PredictedExpression
from pereggrn_data.pipelines.score import refuse_two_splits
from pereggrn_data.pipelines.split import SplitDataset, SplitOptions, divide, insisted

if TYPE_CHECKING:
    from anndata import AnnData


@limited
@takes(ModelOptions, without=("model",))
def predict(
    dataset: str | Path | Dataset | AnnData | SplitDataset | None = None,
    model: str | None = None,
    *,
    split: str | Path | Split | SplitDataset | None = None,
    split_options: SplitOptions | None = None,
    program: Program | None = None,
    model_file: str | Path | None = None,
    save_model: str | Path | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
    insist: str | Collection[str] = (),
    collection: str | None = None,
    output: str | Path | None = None,
    options: ModelOptions | None = None,
    **choices: Any,
) -> PredictedExpression:
    """Train a model on the training side of a split, and forecast its test side.

    Parameters
    ----------
    dataset
        A name or a path, or data in memory; or what ``pereggrn_data.split``
        returned, here or as `split`, which is both.
    model
        Name of a method or adapter, by default ``RidgeCV``; see ``pereggrn-eval models``.
    split
        A ``split.json``, or what ``pereggrn_data.split`` returned; by default it
        is made by `split_options`.
    split_options
        How to make the split.
    program
        A program or container that forecasts instead of a model of ours.
    model_file
        A fitted model to take up instead of fitting one. A ``.joblib`` file is a
        pickle, which can run anything: take it up only if you trust its source.
    save_model
        Where to store the fitted model: ``.npz`` for linear ones, else
        ``.joblib``, which is a pickle.
    jobs
        How many genes to fit at once.
    progress
        Told how far the fit is.
    insist
        Codes of findings that keep the dataset from being used, because numbers
        would mean nothing (such as ``"X-not-log"``), to go on all the same.
    collection
        Folder of the local collection.
    output
        Where the predictions will be written afterwards, if that is known: what
        would be lost there is named before the work begins.
    options
        All choices of the model in one object, instead of `model` and the names below.
    memory
        {memory}
    {options}

    Raises
    ------
    UnknownNameError
        If there is no such dataset, method or network.
    UsageError
        If choices do not go together.
    InvalidDataError
        If the data lack what the choices need, or a program fails.
    """
    if model is not None:
        choices["model"] = model
    wanted = one_of(ModelOptions, options, choices)
    if wanted.model != DEFAULT_MODEL:
        model = wanted.model
    _check_sources(model, program, model_file, save_model)
    if model is not None and model_file is None and program is None and is_adapter(model):
        program = Program(adapter=model)
        _check_sources(None, program, None, save_model)
    steps = check_steps(wanted.steps)
    if program is not None and program.adapter is not None:
        check_adapter_choices(program.adapter, wanted)
        require_adapter(program.adapter)
    if program is None and model_file is None:
        method = get_method(wanted.model, besides=[adapter.name for adapter in adapters()])
        if save_model is not None:
            check_can_save(Path(save_model), method, wanted.arguments)
    refuse_two_splits(split, split_options)
    made = _divided(dataset, split, split_options, insist, collection, values_only=program is None)
    sources = (*made.sources, *(user_path(p) for p in (split, model_file) if _is_path(p)))
    refuse_overwriting([save_model, output], sources)
    if output is not None and program is not None and program.keep is not None:
        refuse_in_exchange(user_path(output), user_path(program.keep))
    began = time.monotonic()
    work = Work(made, wanted, jobs, progress, collection)
    settings = wanted.to_dict()
    if program is not None:
        name, forecast = program.name, _by_program(work, program)
    elif model_file is not None:
        name, forecast, settings = forecast_by_stored_model(work, user_path(model_file))
    else:
        save_to = None if save_model is None else user_path(save_model)
        name, forecast = method.name, forecast_by_model(work, method, save_to)
    notes = tuple(dict.fromkeys([*made.warnings, *forecast.notes, *_oracle_note(wanted)]))
    said = {**settings, "model": name, "notes": notes}
    adata, left_out = _without_missing(_filled_template(work, forecast.expression, steps, said))
    notes = (*notes, *left_out)
    return PredictedExpression(
        adata=adata,
        model=name,
        split=made.split,
        notes=notes,
        seconds=time.monotonic() - began,
        steps=steps,
        sources=sources,
        made=made,
    )


def check_on_demo(adapter: str) -> PredictedExpression:
    """Run an adapter on the embedded dataset, with the arguments that its header has for that.

    Parameters
    ----------
    adapter
        Its name, or the path of its program. Its environment has to be there.

    Raises
    ------
    UsageError, InvalidDataError
        If it cannot run, or fails.
    """
    arguments = dict(adapter_named(adapter).check)
    return predict("demo", program=Program(adapter=adapter), arguments=arguments)


def _oracle_note(options: ModelOptions) -> tuple[str, ...]:
    if not options.is_oracle:
        return ()
    return ("This starts from held-out expression: it is an oracle, no forecast, and marked so.",)


def _is_path(given: object) -> TypeGuard[str | Path]:
    return isinstance(given, (str, Path))


def _divided(
    dataset: str | Path | Dataset | AnnData | SplitDataset | None,
    split: str | Path | Split | SplitDataset | None,
    options: SplitOptions | None,
    insist: str | Collection[str],
    collection: str | None,
    *,
    values_only: bool,
) -> SplitDataset:
    # A program is handed all that the training file has; our models look at X and tables.
    if isinstance(dataset, SplitDataset):
        if split is None and options is None:
            return dataset
        dataset = dataset.dataset
    if isinstance(split, SplitDataset):
        if dataset is None:
            return split
        insist = (*split.insist, *insisted(insist))
        split = split.split
    if dataset is None:
        raise UsageError("It is not said what to predict.", expected="a dataset, or its split")
    chosen = read_split(Path(split)) if isinstance(split, (str, Path)) else split
    opened = open_dataset(dataset, collection=collection, values_only=values_only)
    return divide(opened, chosen, options, insist=insist, collection=collection)


def _by_program(work: Work, program: Program) -> Forecast:
    steps = check_steps(work.options.steps)
    requests = _requests(work.made, steps, always=True)
    values, notes = forecast_by_program(work, program, requests)
    n = len(values) // len(steps)
    return Forecast({s: values[k * n : (k + 1) * n] for k, s in enumerate(steps)}, notes)


def _check_sources(
    model: str | None,
    program: Program | None,
    model_file: str | Path | None,
    save_to: str | Path | None,
) -> None:
    if program is not None and not isinstance(program, Program):
        raise UsageError(
            "The program cannot be understood.",
            expected='pereggrn_data.Program(command="python my_model.py {dir}")',
            got=repr(program),
        )
    given = [
        name
        for name, value in (("model", model), ("program", program), ("model_file", model_file))
        if value is not None
    ]
    if len(given) > 1:
        raise UsageError(
            "Several things would forecast at once.",
            expected="one of --model, --model-file, --command, --container and --adapter",
            got=" and ".join(given),
        )
    if save_to is not None and (program is not None or model_file is not None):
        raise UsageError("There is nothing to save: no model is fitted here.")


def _requests(made: SplitDataset, steps: tuple[int, ...], *, always: bool = False) -> pd.DataFrame:
    """Return the rows of a predictions file: the test observations, once per step."""
    obs = made.test_perturbations.rename_axis(index=None)
    if steps == (1,) and not always:
        return obs
    parts = []
    for step in steps:
        part = obs.assign(**{PREDICTION_STEP: step})
        if len(steps) > 1:
            part = part.assign(**{OBSERVATION: obs.index.astype(str)})
            part.index = pd.Index([f"{name}_step{step}" for name in obs.index], dtype=object)
        parts.append(part)
    return pd.concat(parts)


def _filled_template(
    work: Work, values: Mapping[int, Any], steps: tuple[int, ...], settings: dict[str, Any]
) -> AnnData | StoredData:
    import anndata

    parts = work.made.template_parts()
    parts["obs"] = _requests(work.made, steps)
    matrix: Any = values[steps[0]]
    if is_stored(matrix):
        for step in steps[1:]:
            matrix = stacked_rows(matrix, values[step])
    else:
        matrix = np.concatenate([np.asarray(values[step], dtype=np.float64) for step in steps])
    parts["uns"][MODEL_UNS] = dumps(plain({**settings, "software": software()}), indent=None)
    if work.options.is_oracle:
        parts["uns"][ORACLE_UNS] = "starting_expression=heldout"
    if is_stored(matrix):
        return StoredData(X=matrix, **parts)
    return anndata.AnnData(X=matrix, **parts)


def _without_missing(
    adata: AnnData | StoredData,
) -> tuple[AnnData | StoredData, tuple[str, ...]]:
    """Leave out rows without a forecast, which only a program may leave that was told so."""
    if isinstance(adata, StoredData):
        return adata, ()  # of a model, whose forecasts are finite
    lacking = np.isnan(adata.X).all(axis=1)
    if not lacking.any():
        return adata, ()
    labels = sorted(set(adata.obs.loc[lacking, PERTURBATION].astype(str)))
    note = (
        f"{int(lacking.sum())} of {len(lacking)} rows are not forecast, and are not in the file "
        f"(score it with --allow-missing): {first_few(labels)}"
    )
    return adata[~lacking].copy(), (note,)
