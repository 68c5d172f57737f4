"""The command `pereggrn-eval score`, and how its result is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pereggrn_data.cli.evaluate.split_arguments import (
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
from pereggrn_data.cli.output import emit, emit_json, emit_table, say

if TYPE_CHECKING:
    from pereggrn_data.pipelines.score import ScoreReport


def score_command(
    predictions: Annotated[Path, typer.Argument(help="A .h5ad, .parquet or .csv file.")],
    dataset: Annotated[
        str | None, typer.Option(help="Name or path; by default what the file says of itself.")
    ] = None,
    split_file: Annotated[
        Path | None, typer.Option("--split", help="A split.json that the predictions are for.")
    ] = None,
    split_type: Annotated[
        str | None, typer.Option("--type", help="Make the split again: its type.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Make the split again: its seed.")
    ] = None,
    heldout_fraction: Annotated[
        float | None, typer.Option("--heldout-fraction", help="Make the split again.")
    ] = None,
    num_genes: Annotated[
        int | None, typer.Option("--num-genes", min=1, help="Make the split again.")
    ] = None,
    stratify_controls: StratifyControls = False,
    allowed_regulators: AllowedRegulators = "all",
    network: Networks = None,
    test_set: TestSet = None,
    merge_replicates: MergeReplicates = False,
    keep_apart: KeepApart = None,
    rank_on_train: RankOnTrain = False,
    scale: Annotated[
        str,
        typer.Option(help="expression (natural log) or logfc (over the training controls)."),
    ] = "expression",
    targeted_genes: Annotated[
        str,
        typer.Option(
            help="reveal (set to the stated level), exclude, or as-is "
            "(what the original software does)."
        ),
    ] = "reveal",
    fill_missing: Annotated[
        str,
        typer.Option(help="control: replace NaN by the mean of the training controls."),
    ] = "none",
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score what was predicted, and say n of N.")
    ] = False,
    no_scale_check: Annotated[
        bool, typer.Option("--no-scale-check", help="Accept what looks like counts or z-scores.")
    ] = False,
    step: Annotated[
        int | None, typer.Option(min=0, help="Which prediction_timescale to score.")
    ] = None,
    output: Folder = None,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """Score predictions of held-out perturbations, next to the mean and median baselines.

    Writes scores.parquet, scores.csv, targets.parquet and summary.json. The
    exit code is 0 whatever the score.
    """
    from pereggrn_data.loaders.files import check_writable
    from pereggrn_data.pipelines.score import score

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
    folder = output or Path(f"{predictions.stem}_scores")
    # Before the work, which would be lost.
    check_writable(folder)
    report = score(
        predictions,
        dataset=dataset,
        split=split_file,
        split_options=options,
        targeted_genes=targeted_genes,
        scale=scale,
        fill_missing=fill_missing,
        allow_missing=allow_missing,
        check_scale=not no_scale_check,
        step=step,
        collection=collection,
    )
    files = report.write(folder)
    if as_json:
        emit_json(report.to_dict())
    else:
        print_report(report)
    for warning in report.warnings:
        say(f"warning: {warning}")
    say("wrote " + ", ".join(str(f) for f in files))


def print_report(report: ScoreReport) -> None:
    """Print one line per metric, what it means, and the signature."""
    baselines = list(next(iter(report.metrics.values())).baselines)
    rows = [
        (
            name, _number(m.value), *(_number(m.baselines[b]) for b in baselines),
            None if m.percent_change_from_mean is None else f"{m.percent_change_from_mean:+.1f}%",
            f"{m.n}/{report.n_expected}",
            {True: "yes", False: "no", None: None}[m.beats_baselines],
        )
        for name, m in report.metrics.items()
    ]  # fmt: skip
    numeric = ["value", *baselines, "vs mean", "scored"]
    emit_table(
        ["metric", *numeric, "beats baselines"],
        rows,
        right=numeric,
        title=f"{report.dataset}: {report.n_scored} of {report.n_expected} groups scored",
    )
    emit("")
    emit("vs mean: percent better (+) or worse (-) than the mean baseline.")
    if any(name.startswith("mse") for name in report.metrics):
        emit("mse and mse_top_n are SUMS of squared errors over genes, as in the paper's Table 3.")
    for reason in report.reasons():
        emit(reason)
    emit(f"signature: {report.signature}")


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
