"""The command `pereggrn-eval score`, and how its result is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pereggrn_data.cli.option_parameters import OptionGroup, Said
from pereggrn_data.cli.output import emit, emit_json, emit_table, say, warn
from pereggrn_data.cli.shared_options import Collection, Folder, Json
from pereggrn_data.pipelines.score import ScoreOptions
from pereggrn_data.pipelines.split import SplitOptions

if TYPE_CHECKING:
    from pereggrn_data.pipelines.score import ScoreReport


GROUPS = (OptionGroup(ScoreOptions), OptionGroup(SplitOptions, panel="The split, made again"))


def score_command(
    said: Said,
    predictions: Annotated[Path, typer.Argument(help="A .h5ad, .parquet or .csv file.")],
    dataset: Annotated[
        str | None, typer.Option(help="Name or path; by default what the file says of itself.")
    ] = None,
    split_file: Annotated[
        Path | None, typer.Option("--split", help="A split.json that the predictions are for.")
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

    folder = output or Path(f"{predictions.stem}_scores")
    # Before the work, which would be lost.
    check_writable(folder)
    report = score(
        predictions,
        dataset=dataset,
        split=split_file,
        split_options=said.options(SplitOptions),
        options=said.options(ScoreOptions),
        collection=collection,
    )
    files = report.write(folder)
    if as_json:
        emit_json(report.to_dict())
    else:
        print_report(report)
    for warning in report.warnings:
        warn(warning)
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
        expendable=["scored", *baselines[1:]],
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
