"""The command `pereggrn-eval predict`: train a model, and forecast what is held out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pereggrn_data.cli.evaluate import adapter_commands
from pereggrn_data.cli.evaluate.fit_progress import fit_progress
from pereggrn_data.cli.evaluate.predict_report import print_predicted, warn_of_pickle
from pereggrn_data.cli.option_parameters import MEMORY, OptionGroup, Said
from pereggrn_data.cli.output_places import IN_A_FOLDER, names_a_folder
from pereggrn_data.cli.shared_options import Collection, Insist, Json, Yes
from pereggrn_data.core.resources import Resources
from pereggrn_data.core.sizes import parse_memory
from pereggrn_data.pipelines.predict import ModelOptions, Program
from pereggrn_data.pipelines.split import SplitOptions

_SPLIT, _MODEL = "The split", "The model"
GROUPS = (
    OptionGroup(ModelOptions, panel=_MODEL, without=("seed",)),
    OptionGroup(Program, panel="A program of your own, or an adapter", without=("memory_limit",)),
    # The networks of --network are the model's here.
    OptionGroup(
        SplitOptions,
        panel=_SPLIT,
        without=("seed",),
        instead={"networks": "--split-network"},
    ),
    replace(
        MEMORY,
        instead={"memory": ("--memory", "--memory-limit")},
        also={
            "memory": "If given, it also limits each process of a command or adapter, or the "
            "whole container, which otherwise have no limit."
        },
    ),
)


def predict_command(
    said: Said,
    dataset: Annotated[str, typer.Argument(help="Name or path of a dataset.")],
    model_file: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_MODEL,
            help="Use this fitted model; fit none. A .joblib file is a pickle: use it only if "
            "you trust where it comes from.",
        ),
    ] = None,
    save_model: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=_MODEL,
            help="Keep the fitted model: .npz (linear), or .joblib (any; a pickle: load such "
            "files only if you trust them).",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            rich_help_panel=_MODEL,
            help="Seed of the split's draw, and of everything random in models.",
        ),
    ] = 0,
    model_seed: Annotated[
        int | None,
        typer.Option(min=0, rich_help_panel=_MODEL, help="Seed of models, if other than --seed."),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", min=1, rich_help_panel=_MODEL, help="How many genes to fit at once."
        ),
    ] = 1,
    split_file: Annotated[
        Path | None,
        typer.Option("--split", rich_help_panel=_SPLIT, help="A split.json; default: make one."),
    ] = None,
    output_place: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="The file of the predictions, .h5ad; default predictions_MODEL.h5ad; "
            f"{IN_A_FOLDER}",
        ),
    ] = None,
    yes: Yes = False,
    insist: Insist = None,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """Train a model on a split's training side only, and forecast the perturbations held out.

    Writes a predictions file that `pereggrn-eval score` takes without options.
    """
    from pereggrn_data.loaders.files.any_file import check_writable_file, refuse_overwriting
    from pereggrn_data.pipelines.predict import predict, require_h5ad

    output, folder = None, Path()
    if output_place is not None and names_a_folder(output_place):
        folder = Path(output_place)
    elif output_place is not None:
        output = Path(output_place)
        require_h5ad(output)
    of_model, of_split = said.of(ModelOptions), said.of(SplitOptions)
    log = said.of(Program).get("log")
    read = [of_model.get("tf_list"), of_model.get("dimensions"), of_split.get("test_set")]
    networks = [*of_model.get("network", ()), *of_split.get("networks", ())]
    refuse_overwriting(
        [output, save_model, log], [dataset, split_file, model_file, *read, *networks]
    )
    for file in (output or folder / "here.h5ad", save_model, log):
        if file is not None:
            check_writable_file(file)
    if split_file is None:
        of_split["seed"] = seed
    program = _program(said)
    _install_adapter(ModelOptions(**of_model), program, yes=yes)
    if model_file is not None:
        warn_of_pickle(model_file)
    with fit_progress() as progress:
        predicted = predict(
            dataset,
            split=split_file,
            split_options=said.options(SplitOptions),
            program=program,
            model_file=model_file,
            save_model=save_model,
            jobs=jobs,
            progress=progress,
            insist=insist or (),
            collection=collection,
            output=output,
            **{**of_model, "seed": seed if model_seed is None else model_seed},
        )
    usual = folder / f"predictions_{file_word(predicted.model)}.h5ad"
    path = predicted.write(output or usual)
    print_predicted(predicted, path, save_model, as_json=as_json)


def _install_adapter(options: ModelOptions, program: Program | None, *, yes: bool) -> None:
    """Make the environment of an adapter that is to forecast, if it is not there."""
    from pereggrn_data.pipelines.predict import check_adapter_choices, is_adapter

    named = options.model if program is None else program.adapter
    if named is not None and (program is not None or is_adapter(named)):
        check_adapter_choices(named, options)
        adapter_commands.install(named, yes=yes)


def _program(said: Said) -> Program | None:
    """Return the program that is to forecast, or None if a model of ours does."""
    from pereggrn_data.loaders.program import check_can_keep
    from pereggrn_data.pipelines.predict import is_adapter

    keep = said.of(Program).get("keep")
    if keep is not None:
        check_can_keep(keep)
    program, memory = said.options(Program), said.of(Resources).get("memory")
    if memory is None:
        return program
    # What is said of memory holds for a program, too, an adapter that is named as a model among
    # them.
    named = said.of(ModelOptions).get("model")
    if program is None and named is not None and is_adapter(named):
        program = Program(adapter=said.of(ModelOptions).pop("model"))
    return None if program is None else replace(program, memory_limit=parse_memory(memory))


def file_word(name: str) -> str:
    """Return a model's name as part of a file's name.

    Examples
    --------
    >>> file_word("python my_model.py {dir}")
    'python_my_model.py_dir'
    """
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_.")[:60] or "model"
