"""The command `pereggrn-eval predict`: train a model, and forecast what is held out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pereggrn_data.cli.evaluate.fit_progress import fit_progress
from pereggrn_data.cli.evaluate.model_arguments import (
    file_word,
    parse_arguments,
    parse_steps,
    program_of,
)
from pereggrn_data.cli.evaluate.predict_report import print_predicted, warn_of_pickle
from pereggrn_data.cli.evaluate.split_arguments import (
    AllowedRegulatorsOfSplit,
    KeepApart,
    MergeReplicates,
    RankOnTrain,
    SplitNetworks,
    StratifyControls,
    TestSet,
    split_options,
)
from pereggrn_data.cli.options import Collection, Json, Quiet

_SPLIT, _MODEL, _PROGRAM = "The split", "The model", "A program of your own"


def _option(*names: str, help: str, panel: str = _MODEL, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, **more)


def predict_command(
    dataset: Annotated[str, typer.Argument(help="Name or path of a dataset.")],
    model: Annotated[
        str | None,
        _option("--model", "-m", help="Name of a method (pereggrn-eval models); default RidgeCV."),
    ] = None,
    network: Annotated[
        list[str] | None,
        _option(
            "--network",
            help="Name or path; several are united. Default: dense, all regulators for all genes.",
        ),
    ] = None,
    network_prior: Annotated[
        str | None, _option("--network-prior", help="restrictive or ignore.")
    ] = None,
    eligible_regulators: Annotated[
        str, _option("--eligible-regulators", help="all, tf or perturbed.")
    ] = "all",
    tf_list: Annotated[
        Path | None, _option("--tf-list", help="tf: a file with one gene name per line.")
    ] = None,
    species: Annotated[
        str | None,
        _option("--species", help="tf: whose list to use; default: the dataset's species."),
    ] = None,
    matching: Annotated[
        str,
        _option(
            "--matching",
            help="steady_state, closest, closest_with_unmatched_controls, random, user or "
            "optimal_transport.",
        ),
    ] = "steady_state",
    steps: Annotated[
        str, _option("--steps", help="Numbers of steps to forecast, for example 1,3,10.")
    ] = "1",
    argument: Annotated[
        list[str] | None,
        _option(
            "--argument",
            "-a",
            help="Of the method, NAME=VALUE (VALUE as in JSON, else text); repeatable.",
        ),
    ] = None,
    exclusion: Annotated[
        str,
        _option(
            "--exclusion",
            help="Observations that do not train a gene: those that perturb it (gene), or only "
            "those that perturb nothing else (label, as the original).",
        ),
    ] = "gene",
    predict_self: Annotated[
        bool, _option("--predict-self", help="Let a gene predict itself.")
    ] = False,
    cell_type_sharing: Annotated[
        str,
        _option(
            "--cell-type-sharing-strategy",
            "--cell-type-sharing",
            help="identical, or distinct (one model per cell type).",
        ),
    ] = "identical",
    prune: Annotated[
        int | None,
        _option("--prune", help="Keep this many of the largest coefficients, and refit.", min=1),
    ] = None,
    low_dimensional: Annotated[
        str,
        _option(
            "--low-dimensional-structure",
            "--low-dimensional",
            help="none, dynamics or postprocessing.",
        ),
    ] = "none",
    dimensions: Annotated[
        str | None,
        _option(
            "--low-dimensional-value",
            "--dimensions",
            help="Of the subspace: a number, or an .npy or .csv matrix (dimensions x genes).",
        ),
    ] = None,
    control_subtype: Annotated[
        str | None,
        _option("--control-subtype", help="Start from controls whose label begins with this."),
    ] = None,
    starting_expression: Annotated[
        str,
        _option(
            "--starting-expression", help="control, or heldout (an oracle, and marked as one)."
        ),
    ] = "control",
    model_file: Annotated[
        Path | None,
        _option(
            "--model-file",
            help="Use this fitted model; fit none. A .joblib file is a pickle: use it only if "
            "you trust where it comes from.",
        ),
    ] = None,
    save_model: Annotated[
        Path | None,
        _option(
            "--save-model",
            help="Keep the fitted model: .npz (linear), or .joblib (any; a pickle: load such "
            "files only if you trust them).",
        ),
    ] = None,
    seed: Annotated[
        int,
        _option("--seed", help="Of the split's draw, and of everything random in models.", min=0),
    ] = 0,
    model_seed: Annotated[
        int | None, _option("--model-seed", help="Of models, if it is another one.", min=0)
    ] = None,
    jobs: Annotated[
        int, _option("--jobs", "-j", help="How many genes to fit at once.", min=1)
    ] = 1,
    command: Annotated[
        str | None,
        _option(
            "--command",
            help='Forecast by this instead, for example "python my_model.py {dir}". No shell.',
            panel=_PROGRAM,
        ),
    ] = None,
    container: Annotated[
        str | None, _option("--container", help="Forecast by this image.", panel=_PROGRAM)
    ] = None,
    runtime: Annotated[
        str | None,
        _option("--runtime", help="docker (default), apptainer or singularity.", panel=_PROGRAM),
    ] = None,
    container_argument: Annotated[
        list[str] | None,
        _option(
            "--container-argument",
            help="Of the runtime, for example --gpus=all; repeatable.",
            panel=_PROGRAM,
        ),
    ] = None,
    time_limit: Annotated[
        float | None,
        _option("--time-limit", help="Seconds; default: 21600 (6 hours).", panel=_PROGRAM),
    ] = None,
    memory_limit: Annotated[
        float | None, _option("--memory-limit", help="Gigabytes.", panel=_PROGRAM)
    ] = None,
    log: Annotated[
        Path | None,
        _option("--log", help="Write the program's output here while it runs.", panel=_PROGRAM),
    ] = None,
    keep: Annotated[
        Path | None,
        _option("--keep", help="Make its folder here, and keep it.", panel=_PROGRAM),
    ] = None,
    split_file: Annotated[
        Path | None, _option("--split", help="A split.json; default: make one.", panel=_SPLIT)
    ] = None,
    split_type: Annotated[
        str | None, _option("--type", help="Default: interventional.", panel=_SPLIT)
    ] = None,
    heldout_fraction: Annotated[
        float | None, _option("--heldout-fraction", help="Default: 0.5.", panel=_SPLIT)
    ] = None,
    num_genes: Annotated[
        int | None, _option("--num-genes", min=1, help="Default: 10000.", panel=_SPLIT)
    ] = None,
    stratify_controls: StratifyControls = False,
    allowed_regulators: AllowedRegulatorsOfSplit = "all",
    split_network: SplitNetworks = None,
    test_set: TestSet = None,
    merge_replicates: MergeReplicates = False,
    keep_apart: KeepApart = None,
    rank_on_train: RankOnTrain = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The predictions; default predictions_MODEL.h5ad."),
    ] = None,
    collection: Collection = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a model on a split's training side only, and forecast the perturbations held out.

    Writes a predictions file that `pereggrn-eval score` takes without options.
    """
    from pereggrn_data.loaders.files import check_writable_file, refuse_overwriting
    from pereggrn_data.pipelines.predict.predicted import require_h5ad
    from pereggrn_data.pipelines.predict.predicting import predict

    if output is not None:
        require_h5ad(output)
    read = [dataset, split_file, model_file, tf_list, dimensions, test_set]
    refuse_overwriting(
        [output, save_model, log], [*read, *(network or ()), *(split_network or ())]
    )
    for file in (output or Path("here.h5ad"), save_model, log):
        if file is not None:
            check_writable_file(file)
    made_by = split_options(
        type=split_type,
        seed=seed if split_file is None else None,
        heldout_fraction=heldout_fraction,
        num_genes=num_genes,
        stratify_controls=stratify_controls,
        allowed_regulators=allowed_regulators,
        network=split_network,
        test_set=test_set,
        merge_replicates=merge_replicates,
        keep_apart=keep_apart,
        rank_on_train=rank_on_train,
    )
    program = program_of(
        command,
        container,
        runtime=runtime,
        container_arguments=container_argument,
        time_limit=time_limit,
        memory_limit=memory_limit,
        log=log,
        keep=keep,
    )
    if model_file is not None:
        warn_of_pickle(model_file)
    with fit_progress(quiet=quiet) as progress:
        predicted = predict(
            dataset,
            model,
            split=split_file,
            split_options=made_by,
            program=program,
            model_file=model_file,
            save_model=save_model,
            jobs=jobs,
            progress=progress,
            collection=collection,
            output=output,
            network=network,
            network_prior=network_prior,
            eligible_regulators=eligible_regulators,
            tf_list=tf_list,
            species=species,
            matching=matching,
            steps=parse_steps(steps),
            arguments=parse_arguments(argument or ()),
            exclusion=exclusion,
            predict_self=predict_self,
            cell_type_sharing=cell_type_sharing,
            prune=prune,
            low_dimensional=low_dimensional,
            dimensions=dimensions,
            control_subtype=control_subtype,
            starting_expression=starting_expression,
            seed=seed if model_seed is None else model_seed,
        )
    path = predicted.write(output or Path(f"predictions_{file_word(predicted.model)}.h5ad"))
    print_predicted(predicted, path, save_model, quiet=quiet, as_json=as_json)
