"""The program `pereggrn-eval`: split, score, demo and the list of metrics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pereggrn_data.cli.options import Collection, Json
from pereggrn_data.cli.output import emit, emit_json, emit_table, new_app, run, say

if TYPE_CHECKING:
    from pereggrn_data.pipelines.score import ScoreReport, SplitOptions

app = new_app(
    "pereggrn-eval",
    "Does a model forecast expression after a genetic perturbation, and does it beat the mean?",
)

# Defaults that show in --help; the split itself owns them (pipelines/split.py),
# and tests/test_cli_evaluate.py compares the two. Importing them here would
# make --help load pandas.
DEFAULT_TYPE = "interventional"
DEFAULT_FRACTION = 0.5
DEFAULT_GENES = 10_000

Folder = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder to write to; it is made if needed.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the random draw.")]
SplitTypeOption = Annotated[str, typer.Option("--type", help="Type of split.")]
Fraction = Annotated[
    float, typer.Option("--heldout-fraction", help="Wanted share of perturbations held out.")
]
Genes = Annotated[
    int,
    typer.Option("--num-genes", min=1, help="Wanted number of genes, the most variable ones."),
]


@app.command("split")
def split_command(
    dataset: Annotated[str, typer.Argument(help="Name or path of a dataset.")],
    split_type: SplitTypeOption = DEFAULT_TYPE,
    seed: Seed = 0,
    heldout_fraction: Fraction = DEFAULT_FRACTION,
    num_genes: Genes = DEFAULT_GENES,
    output: Folder = None,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """Hold out perturbations of a dataset: training data, what to predict, a template.

    Writes train.h5ad, test_perturbations.csv, predictions_template.h5ad and
    split.json. Fill in the template's X and score it.
    """
    from pereggrn_data.pipelines.split import split

    made = split(
        dataset,
        split_type,
        seed=seed,
        heldout_fraction=heldout_fraction,
        num_genes=num_genes,
        collection=collection,
    )
    folder = output or Path(f"{made.dataset.name}_{split_type}_seed{seed}")
    files = made.write(folder)
    if as_json:
        details = made.split.to_dict()
        for long_list in ("genes", "test_observations"):
            details[f"n_{long_list}"] = len(details.pop(long_list))
        emit_json({**details, "files": [str(f) for f in files]})
        return
    emit(repr(made))
    for file in files:
        emit(str(file))


@app.command("score")
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
    from pereggrn_data.pipelines.score import score

    report = score(
        predictions,
        dataset=dataset,
        split=split_file,
        split_options=_split_options(split_file, split_type, seed, heldout_fraction, num_genes),
        targeted_genes=targeted_genes,
        scale=scale,
        fill_missing=fill_missing,
        allow_missing=allow_missing,
        check_scale=not no_scale_check,
        step=step,
        collection=collection,
    )
    folder = output or Path(f"{predictions.stem}_scores")
    files = report.write(folder)
    if as_json:
        emit_json(report.to_dict())
    else:
        print_report(report)
    for warning in report.warnings:
        say(f"warning: {warning}")
    say("wrote " + ", ".join(str(f) for f in files))


@app.command("demo")
def demo_command(
    output: Folder = None,
    as_json: Json = False,
) -> None:
    """Run the whole job on the embedded dataset: simulate, split, fit, predict, score, draw."""
    from pereggrn_data.pipelines.demo import run_demo

    folder = output or Path("pereggrn-demo")
    say("simulating, splitting, and fitting one ridge regression per gene ...")
    demo = run_demo(folder)
    if as_json:
        emit_json({**demo.report.to_dict(), "files": [str(f) for f in demo.files]})
        return
    emit(repr(demo.made))
    emit("")
    print_report(demo.report)
    emit("")
    emit(demo.chart)
    emit("")
    emit("Files:")
    for file in demo.files:
        emit(f"  {file}")


@app.command("metrics")
def metrics_command(as_json: Json = False) -> None:
    """List the metrics: formula, direction, best value, source."""
    from pereggrn_data.evaluators.metrics import METRICS

    if as_json:
        emit_json([metric.describe() for metric in METRICS.values()])
        return
    emit_table(
        ["metric", "formula", "better", "best", "bounds", "source"],
        [
            (
                m.name, m.formula, m.direction or "(describes)",
                None if m.best is None else f"{m.best(DEFAULT_GENES):g}", m.bounds, m.source,
            )
            for m in METRICS.values()
        ],
    )  # fmt: skip


def _split_options(
    split_file: Path | None,
    split_type: str | None,
    seed: int | None,
    heldout_fraction: float | None,
    num_genes: int | None,
) -> SplitOptions | None:
    """Return how to make the split, or None where nothing was said of it."""
    from pereggrn_data.core.errors import UsageError
    from pereggrn_data.pipelines.score import SplitOptions

    given = (split_type, seed, heldout_fraction, num_genes)
    if all(value is None for value in given):
        return None
    if split_file is not None:
        raise UsageError(
            "A split is either read or made.",
            expected="--split FILE, or --type, --seed, --heldout-fraction and --num-genes",
            got="both",
        )
    defaults = SplitOptions()
    return SplitOptions(
        type=defaults.type if split_type is None else split_type,
        seed=defaults.seed if seed is None else seed,
        heldout_fraction=(
            defaults.heldout_fraction if heldout_fraction is None else heldout_fraction
        ),
        num_genes=defaults.num_genes if num_genes is None else num_genes,
    )


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
    emit(f"signature: {report.signature}")


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def main() -> None:
    """Entry point of the console script."""
    run(app, "pereggrn-eval")
