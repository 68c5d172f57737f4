"""The command `pereggrn-eval strata`: which genes are forecast well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pereggrn_data.cli.output import emit, emit_json, emit_table, say, warn
from pereggrn_data.cli.output_places import IN_A_FOLDER, as_file
from pereggrn_data.cli.shared_options import Collection, Json


def strata_command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Folders that score wrote, of one split; NAME=PATH names the method.",
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(help="Name or path; by default what the predictions say of themselves."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(help="Also by degree in this network; name or path, several are united."),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Also by the columns of this table of genes: .csv, .tsv or .parquet."),
    ] = None,
    bins: Annotated[int, typer.Option(min=2, help="Number of strata per feature.")] = 5,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help=f"File to write: .csv or .parquet; {IN_A_FOLDER}"),
    ] = None,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """Divide genes into quintiles, and say what each adds to the MAE, against the baselines.

    By mean, variance and dispersion in training, degrees in a network, and
    pLI and number of exons where the table gene_constraint has been fetched.
    """
    from pereggrn_data.loaders.files import check_writable_file, write_table
    from pereggrn_data.pipelines.compare import strata

    file = None if output is None else as_file(output, "strata.csv")
    if file is not None:
        check_writable_file(file)
    table, notes = strata(
        runs,
        dataset=dataset,
        network=network or None,
        features=features,
        bins=bins,
        collection=collection,
    )
    if file is not None:
        write_table(table, file)
    if as_json:
        emit_json(table.astype(object).where(table.notna(), None).to_dict("records"))
    else:
        _print(table)
    for note in notes:
        warn(note)
    if file is not None:
        say(f"wrote {file}")


def _print(table: object) -> None:
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        return
    methods = list(dict.fromkeys(table.loc[~table["is_baseline"], "method"]))
    for feature, of_feature in table.groupby("feature", sort=False):
        rows = []
        for stratum, part in of_feature.groupby("stratum", sort=False):
            by = part.set_index("method")
            first = part.iloc[0]
            ends = [first["low"], first["high"]]
            span = "-" if pd.isna(ends[0]) else f"{ends[0]:.3g} to {ends[1]:.3g}"
            best = first["best_baseline"]
            rows.append(
                (
                    str(stratum),
                    span,
                    str(first["n_genes"]),
                    f"{best} {by.loc[best, 'contribution']:.3g}",
                    *(_change(by.loc[m, "percent_change_from_best_baseline"]) for m in methods),
                )
            )
        headings = ["stratum", "values", "genes", "best baseline", *methods]
        emit_table(headings, rows, right=["genes", *methods], title=str(feature))
        emit("")
    emit(
        "Contributions to MAE: percent better (+) or worse (-) than the baseline that is best in "
        "the stratum, whose own contribution is shown."
    )


def _change(value: float | None) -> str | None:
    return None if value is None or value != value else f"{value:+.1f} %"
