"""The command `pereggrn-eval split`: make a split, or check one that somebody made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pereggrn_data.cli.evaluate.split_arguments import (
    DEFAULT_FRACTION,
    DEFAULT_GENES,
    DEFAULT_TYPE,
    AllowedRegulators,
    Folder,
    KeepApart,
    MergeReplicates,
    Networks,
    RankOnTrain,
    StratifyControls,
    TestSet,
    split_options,
)
from pereggrn_data.cli.options import Collection, Json
from pereggrn_data.cli.output import emit, emit_json, say


def split_command(
    dataset: Annotated[str, typer.Argument(help="Name or path of a dataset.")],
    split_type: Annotated[
        str,
        typer.Option(
            "--type",
            help="interventional, simple, stratified, genetic_interaction, demultiplexing, "
            "custom or timeseries.",
        ),
    ] = DEFAULT_TYPE,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the random draw.")] = 0,
    heldout_fraction: Annotated[
        float, typer.Option("--heldout-fraction", help="Wanted share of perturbations held out.")
    ] = DEFAULT_FRACTION,
    num_genes: Annotated[
        int,
        typer.Option("--num-genes", min=1, help="Wanted number of genes, the most variable ones."),
    ] = DEFAULT_GENES,
    stratify_controls: StratifyControls = False,
    allowed_regulators: AllowedRegulators = "all",
    network: Networks = None,
    test_set: TestSet = None,
    merge_replicates: MergeReplicates = False,
    keep_apart: KeepApart = None,
    rank_on_train: RankOnTrain = False,
    check: Annotated[
        Path | None,
        typer.Option("--check", help="Verify this split.json for the dataset; write nothing."),
    ] = None,
    output: Folder = None,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """Hold out perturbations of a dataset: training data, what to predict, a template.

    Writes train.h5ad, test_perturbations.csv, predictions_template.h5ad and
    split.json. Fill in the template's X and score it. With --check, verifies a
    split that somebody else made: exit code 1 where it breaks a promise, 4
    where it was made for another file.
    """
    if check is not None:
        _check(check, dataset, collection, as_json)
        return
    from pereggrn_data.pipelines.collection import open_dataset
    from pereggrn_data.pipelines.split import SplitOptions, split_by_options

    options = split_options(
        type=split_type,
        seed=seed,
        heldout_fraction=heldout_fraction,
        num_genes=num_genes,
        stratify_controls=stratify_controls,
        allowed_regulators=allowed_regulators,
        network=network,
        test_set=test_set,
        merge_replicates=merge_replicates,
        keep_apart=keep_apart,
        rank_on_train=rank_on_train,
    )
    opened = open_dataset(dataset, collection=collection)
    made = split_by_options(opened, options or SplitOptions(), collection=collection)
    folder = output or Path(f"{made.dataset.name}_{split_type}_seed{seed}")
    files = made.write(folder)
    for warning in made.warnings:
        say(f"warning: {warning}")
    if as_json:
        details = made.split.to_dict()
        for long_list in ("genes", "test_observations", "given_observations"):
            details[f"n_{long_list}"] = len(details.pop(long_list, ()))
        details.pop("train_observations", None)
        details["n_train_observations"] = made.n_train
        emit_json({**details, "warnings": list(made.warnings), "files": [str(f) for f in files]})
        return
    emit(repr(made))
    for file in files:
        emit(str(file))


def _check(file: Path, dataset: str, collection: str | None, as_json: bool) -> None:
    from pereggrn_data.core.errors import ExitCode
    from pereggrn_data.pipelines.split import check_split

    checked = check_split(file, dataset, collection=collection)
    if as_json:
        emit_json(checked.to_dict())
    else:
        emit(repr(checked))
    if not checked.valid:
        raise typer.Exit(ExitCode.FINDINGS)
