"""The program `pereggrn-eval`: split, predict, score, compare, demo, and what to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pereggrn_data.cli.evaluate import (
    adapter_commands,
    calibrate_command,
    compare_command,
    experiment_commands,
    export_command,
    predict_command,
    run_command,
    score_command,
    split_command,
)
from pereggrn_data.cli.evaluate.models_command import models_command
from pereggrn_data.cli.evaluate.report_command import plot_command, report_command
from pereggrn_data.cli.evaluate.strata_command import strata_command
from pereggrn_data.cli.option_parameters import add_command
from pereggrn_data.cli.output import emit, emit_json, emit_table, run, say
from pereggrn_data.cli.output_places import folder_option
from pereggrn_data.cli.programs import new_app
from pereggrn_data.cli.shared_options import Json

app = new_app(
    "pereggrn-eval",
    "Does a model forecast expression after a genetic perturbation, and does it beat the mean?",
)
add_command(
    app,
    "split",
    split_command.split_command,
    split_command.GROUPS,
    example="pereggrn-eval split demo -o task",
)
add_command(
    app,
    "predict",
    predict_command.predict_command,
    predict_command.GROUPS,
    example="pereggrn-eval predict demo --model RidgeCV -o ridge.h5ad",
)
app.command("models", example="pereggrn-eval models")(models_command)
adapter_commands.register(app)
add_command(
    app,
    "score",
    score_command.score_command,
    score_command.GROUPS,
    example="pereggrn-eval score ridge.h5ad -o scores/ridge --show worst",
)
add_command(
    app,
    "export",
    export_command.export_command,
    export_command.GROUPS,
    example="pereggrn-eval export ridge.h5ad --for cell-eval -o pair\n"
    "pereggrn-eval score pair/pred.h5ad --perturbation target_gene --control non-targeting",
)
add_command(
    app,
    "compare",
    compare_command.compare_command,
    compare_command.GROUPS,
    example="pereggrn-eval predict demo --model mean -o mean.h5ad\n"
    "pereggrn-eval score mean.h5ad -o scores/mean\n"
    "pereggrn-eval compare scores/ridge scores/mean",
)
app.command(
    "report",
    example="pereggrn-eval report scores/ridge scores/mean -o report.html",
)(report_command)
app.command(
    "plot",
    example="pereggrn-eval plot heatmap scores/ridge scores/mean -o heatmap.svg\n"
    "pereggrn-eval plot network demo --gene DEMO001 -o network.pdf",
)(plot_command)
app.command(
    "strata",
    example="pereggrn-eval strata scores/ridge --network demo",
)(strata_command)
app.command(
    "submission",
    example="pereggrn-eval submission scores/ridge -o submission --name ridge \\\n"
    "  --method-version 1.0 --link https://example.org/ridge --method-command 'python ridge.py'\n"
    "pereggrn-eval compare --check submission",
)(compare_command.submission_command)
add_command(
    app,
    "calibrate",
    calibrate_command.calibrate_command,
    calibrate_command.GROUPS,
    example="pereggrn-eval calibrate demo",
)

experiment_commands.register(app)
add_command(
    app,
    "run",
    run_command.run_command,
    run_command.GROUPS,
    example="pereggrn-eval run three_methods.json -o three_methods  # an experiment of your own",
)


@app.command("demo", example="pereggrn-eval demo -o pereggrn-demo")
def demo_command(
    output: Annotated[Path | None, folder_option("pereggrn-demo")] = None,
    as_json: Json = False,
) -> None:
    """Run the whole job on the embedded dataset: simulate, split, fit, predict, score, report.

    It ends with a report, where the extra `report` is installed.
    """
    from pereggrn_data.pipelines.whole_job import run_demo

    folder = output or Path("pereggrn-demo")
    say("simulating, splitting, and fitting one ridge regression per gene ...")
    demo = run_demo(folder)
    if as_json:
        emit_json({**demo.report.to_dict(), "files": [str(f) for f in demo.files]})
        return
    emit(repr(demo.made))
    emit("")
    score_command.print_report(demo.report)
    emit("")
    emit(*demo.chart.split("\n"))
    emit("")
    emit("Files:")
    for file in demo.files:
        emit(f"  {file}")
    emit("")
    emit("What next:")
    for step in demo.next_steps:
        emit(f"  {step}")


@app.command("metrics", example="pereggrn-eval metrics")
def metrics_command(as_json: Json = False) -> None:
    """List the metrics: formula, direction, best value, source."""
    from pereggrn_data.evaluators.metrics import METRICS
    from pereggrn_data.pipelines.split import SplitOptions

    n_genes = SplitOptions().num_genes
    if as_json:
        emit_json([metric.describe() for metric in METRICS.values()])
        return
    emit_table(
        ["metric", "formula", "better", "best", "bounds", "source"],
        [
            (
                m.name, m.formula, m.direction or "(describes)",
                None if m.best is None else f"{m.best(n_genes):g}", m.bounds, m.source,
            )
            for m in METRICS.values()
        ],
        expendable=("bounds", "source"),
    )  # fmt: skip


def main() -> None:
    """Entry point of the console script."""
    run(app, "pereggrn-eval")
