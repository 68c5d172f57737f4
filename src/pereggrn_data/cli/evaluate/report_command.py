"""The commands `pereggrn-eval report` and `plot`: scores as a page, and as figures for papers."""

from __future__ import annotations

from typing import Annotated

import typer

from pereggrn_data.cli.output import emit, say
from pereggrn_data.cli.output_places import IN_A_FOLDER, as_file
from pereggrn_data.cli.shared_options import Collection

Allow = Annotated[
    list[str] | None,
    typer.Option(
        help="Part of the signature in which runs may differ; may be given several times."
    ),
]


def report_command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Folders that score wrote, or summary.json files; NAME=PATH names the method.",
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help=f"The file to write, .html; {IN_A_FOLDER}")
    ] = "report.html",
    title: Annotated[
        str | None, typer.Option(help="Heading; by default what is scored, and where.")
    ] = None,
    allow: Allow = None,
) -> None:
    """Write scores as one HTML file: verdict, figures, tables, and how to repeat it.

    The file needs no connection and makes none. Runs on one dataset must have
    equal signatures. It needs the extra `report`.
    """
    from pereggrn_data.pipelines.report import write_report

    emit(write_report(runs, as_file(output, "report.html"), allow=allow or (), title=title))
    say("open it in a browser; it can be sent to others as it is.")


def _kinds() -> str:
    from pereggrn_data.pipelines.report import FIGURES

    return ", ".join(FIGURES)


def plot_command(
    kind: Annotated[str, typer.Argument(help=f"One of {_kinds()}.")],
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Folders that score wrote; NAME=PATH names the method. For network: its name "
            "or path.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help=f"The file to write: .svg, .pdf or .png; {IN_A_FOLDER}"
        ),
    ],
    metric: Annotated[
        str | None, typer.Option(help="Metric of figures that show one; by default mae.")
    ] = None,
    perturbation: Annotated[
        list[str] | None,
        typer.Option(help="scatter: which perturbation; may be given several times."),
    ] = None,
    gene: Annotated[
        list[str] | None,
        typer.Option(help="network: whose regulators and targets; may be given several times."),
    ] = None,
    allow: Allow = None,
    collection: Collection = None,
) -> None:
    """Draw one figure of scores, or of a network, for a paper: 8 point type, vector formats.

    It needs the extra `plot`.
    """
    from pereggrn_data.pipelines.report import plot

    made = plot(
        kind,
        sources,
        as_file(output, f"{kind}.svg"),
        metric=metric,
        perturbations=perturbation or (),
        genes=gene or (),
        allow=allow or (),
        collection=collection,
    )
    emit(made)
