"""The command `pereggrn-eval score`, and how its result is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pereggrn_data.cli.option_parameters import LIMITS, OptionGroup, Said
from pereggrn_data.cli.output import emit, emit_json, emit_prose, emit_table, say, warn
from pereggrn_data.cli.output_places import folder_option
from pereggrn_data.cli.shared_options import Collection, Insist, Json
from pereggrn_data.pipelines.score import ScoreOptions
from pereggrn_data.pipelines.split import SplitOptions

if TYPE_CHECKING:
    from pereggrn_data.pipelines.score import ScoreReport

GROUPS = (
    OptionGroup(ScoreOptions, panel="The predictions and their scores"),
    # As in predict, --network is not that of the split.
    OptionGroup(
        SplitOptions, panel="The split, made again", instead={"networks": "--split-network"}
    ),
    LIMITS,
)

POOLED = "pooled_scores"
"""Where scores of several files go by default."""


def score_command(
    said: Said,
    predictions: Annotated[
        list[Path],
        typer.Argument(
            help="A .h5ad, .zarr, .parquet or .csv file; or one per fold, which are scored as one."
        ),
    ],
    dataset: Annotated[
        str | None, typer.Option(help="Dataset that is predicted; by default as the file says.")
    ] = None,
    split_file: Annotated[
        Path | None, typer.Option("--split", help="A split.json that the predictions are for.")
    ] = None,
    output: Annotated[
        Path | None, folder_option(f"FILE_scores, or {POOLED} of several files")
    ] = None,
    insist: Insist = None,
    collection: Collection = None,
    report_file: Annotated[
        Path | None,
        typer.Option(
            "--report", help="Also write a report, .html, that is read in a browser, offline."
        ),
    ] = None,
    show: Annotated[
        str | None,
        typer.Option(
            help="List perturbations: worst, best, or the number of each; or strata, by kind."
        ),
    ] = None,
    show_metric: Annotated[
        str, typer.Option(help="Metric by which perturbations are listed.")
    ] = "mae",
    as_json: Json = False,
) -> None:
    """Score predictions of held-out perturbations, next to the mean and median baselines.

    Several files are pooled, each scored on its own split. Writes scores.parquet,
    scores.csv, targets.parquet, effects.parquet and summary.json. The exit code
    is 0 whatever the score.
    """
    from pereggrn_data.loaders.files.any_file import check_writable
    from pereggrn_data.pipelines.score import score

    options = said.options(ScoreOptions)
    _check_show(show, show_metric, of_cells=bool(options and options.cell_metrics))
    one = len(predictions) == 1
    folder = output or Path(f"{predictions[0].name}_scores" if one else POOLED)
    # Before the work, which would be lost.
    check_writable(folder)
    if report_file is not None:
        from pereggrn_data.pipelines.report import check_report_path

        check_report_path(report_file)
    report = score(
        predictions[0] if one else predictions,
        dataset=dataset,
        split=split_file,
        split_options=said.options(SplitOptions),
        options=options,
        insist=insist or (),
        collection=collection,
    )
    before = report.replaces(folder)
    if before is not None:
        warn(f"{folder} held scores of {before}; they are replaced.")
    files = report.write(folder, replace=True)
    if report_file is not None:
        from pereggrn_data.pipelines.report import write_report

        files.append(write_report(folder, report_file))
    if as_json:
        emit_json(report.to_dict())
    else:
        print_report(report)
        if show is not None:
            print_perturbations(report, show, show_metric)
    for warning in report.warnings:
        warn(warning)
    say("wrote " + ", ".join(str(f) for f in files))


def print_report(report: ScoreReport) -> None:
    """Print what the scores say in a sentence, one line per metric, and the signature."""
    from pereggrn_data.pipelines.score import short

    rows, headings = report.table()
    judged = [m for m in report.metrics.values() if m.higher_is_better is not None]
    dim = [k for k, m in enumerate(judged) if m.ceiling.discriminates is False]
    emit_prose(report.sentence)
    emit("")
    emit_table(
        headings,
        rows,
        right=["value", "mean", "scaled"],
        expendable=["mean"],
        title=f"{report.dataset}: {report.n_scored} of {report.n_expected} groups scored",
        dim=dim,
    )
    emit("")
    emit_prose(
        "vs mean: percent better (+) or worse (-) than the mean baseline, with its 95 % interval "
        "over perturbations."
    )
    emit_prose(
        f"better: than the better baseline ({', '.join(report.summary.overall.baselines)}), by "
        "the interval of the difference; ? is undecided, - cannot be told with this metric."
    )
    if any("scaled" in heading for heading in headings):
        emit_prose("scaled: 0 is the mean baseline, 1 a duplicate of the experiment.")
    described = {n: m for n, m in report.metrics.items() if m.higher_is_better is None}
    if described:
        shown = ", ".join(f"{n} {short(m.value) or '-'}" for n, m in described.items())
        emit_prose(f"These only describe: {shown}.")
    if any(name.startswith("mse") for name in report.metrics):
        emit_prose(
            "mse and mse_top_n are SUMS of squared errors over genes, as in the paper's Table 3."
        )
    for reason in report.reasons():
        emit_prose(reason)
    emit(f"signature: {report.signature}")


_SHOWN = 10
_STRATA = "strata"


def _check_show(show: str | None, metric: str, *, of_cells: bool) -> None:
    """Check before the work what is to be listed after it."""
    from pereggrn_data.core.errors import UnknownNameError, UsageError
    from pereggrn_data.evaluators.metrics import METRICS

    if show is None:
        return
    judged = [
        n for n, m in METRICS.items() if m.direction is not None and (of_cells or not m.of_cells)
    ]
    if metric not in judged:
        raise UnknownNameError("metric", metric, judged)
    if show not in ("worst", "best", _STRATA) and not (show.isdecimal() and int(show) > 0):
        raise UsageError(
            "It is not clear which perturbations to show.",
            expected="--show worst, best, strata, or a number",
            got=f"--show {show}",
        )


def print_perturbations(report: ScoreReport, show: str, metric: str) -> None:
    """Print the perturbations that are forecast worst or best, or kinds of perturbation."""
    from pereggrn_data.pipelines.score import short, short_change

    emit("")
    if show == _STRATA:
        rows: list[tuple[str | None, ...]] = []
        for stratum in report.strata:
            m = stratum["metrics"][metric]
            change = short_change(m["percent_change_from_mean"], m["percent_change_interval"])
            rows.append((
                f"{stratum['by']}: {stratum['stratum']}", str(stratum["n_groups"]),
                short(m["value"]), short(m["mean_baseline"]), change,
            ))  # fmt: skip
        headings = ["stratum", "groups", "value", "mean", "vs mean"]
        emit_table(
            headings, rows, right=headings[1:-1], title=f"{metric}, by kind of perturbation"
        )
        return
    frame = report.perturbations(metric)
    number = int(show) if show.isdecimal() else _SHOWN
    parts = {"worst": frame.head(number), "best": frame.tail(number).iloc[::-1]}
    end = list(frame.columns).index("n_observations")
    for name, part in parts.items():
        if show in parts and name != show:
            continue
        rows = [
            (
                " / ".join(str(row[c]) for c in frame.columns[:end]),
                *(
                    None if row[c] != row[c] else short(row[c])
                    for c in ("value", "mean", "duplicate", "advantage")
                ),
            )
            for row in part.to_dict("records")
        ]
        headings = ["perturbation", "value", "mean", "duplicate", "better by"]
        emit_table(
            headings, rows, right=headings[1:], title=f"{name} by {metric}, against the mean"
        )
