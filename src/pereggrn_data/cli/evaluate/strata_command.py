"""The command `pereggrn-eval strata`: which genes are forecast well."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pereggrn_data.cli.output import emit, emit_json, emit_prose, emit_table, say, warn
from pereggrn_data.cli.output_places import IN_A_FOLDER, as_file
from pereggrn_data.cli.shared_options import Collection, Json

if TYPE_CHECKING:
    import pandas as pd


def strata_command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Folders that score wrote, of one split; NAME=PATH names the method. Or one "
            "folder of a run.",
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(help="Name or path; by default what the predictions say of themselves."),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(help="A split.json; by default what the predictions say of themselves."),
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
    from pereggrn_data.loaders.files.any_file import check_writable_file, write_table
    from pereggrn_data.pipelines.compare import strata

    file = None if output is None else as_file(output, "strata.csv")
    if file is not None:
        check_writable_file(file)
    from pereggrn_data.pipelines.experiment import is_run, strata_of_run

    options: dict[str, Any] = {
        "dataset": dataset, "network": network or None, "features": features, "bins": bins,
        "collection": collection,
    }  # fmt: skip
    if len(runs) == 1 and split is None and is_run(Path(runs[0])):
        table, notes = strata_of_run(runs[0], **options)
    else:
        table, notes = strata(runs, split=split, **options)
    if file is not None:
        write_table(table, file)
    if as_json:
        emit_json(table.astype(object).where(table.notna(), None).to_dict("records"))
    else:
        splits = table.groupby("split") if "split" in table else [(0, table)]
        for number, part in splits:
            if "split" in table:
                emit(f"split {number}")
                emit("")
            _print(part)
    for note in notes:
        warn(note)
    if file is not None:
        say(f"wrote {file}")


def _print(table: pd.DataFrame) -> None:
    methods = list(dict.fromkeys(table.loc[~table["is_baseline"], "method"]))
    for feature, of_feature in table.groupby("feature", sort=False):
        rows = []
        for stratum, part in of_feature.groupby("stratum", sort=False):
            by = part.set_index("method")
            first = part.iloc[0]
            ends = [first["low"], first["high"]]
            span = (
                "-" if ends[0] is None or ends[0] != ends[0] else f"{ends[0]:.3g} to {ends[1]:.3g}"
            )
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
    emit_prose(
        "Contributions to MAE: percent better (+) or worse (-) than the baseline that is best in "
        "the stratum, whose own contribution is shown."
    )


def _change(value: float | None) -> str | None:
    return None if value is None or value != value else f"{value:+.1f} %"
