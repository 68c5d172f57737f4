"""The commands `pereggrn-eval compare` and `submission`: scores of several methods together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pereggrn_data.cli.option_parameters import OptionGroup, Said
from pereggrn_data.cli.output import emit, emit_json, emit_prose, emit_table, say
from pereggrn_data.cli.output_places import IN_A_FOLDER, NeededFolder, as_file
from pereggrn_data.cli.shared_options import Json
from pereggrn_data.pipelines.score import ScoreOptions

_OF_INTERVALS = ("draws", "draws_seed")

GROUPS = (
    OptionGroup(
        ScoreOptions,
        without=tuple(n for n in ScoreOptions.__dataclass_fields__ if n not in _OF_INTERVALS),
        also=dict.fromkeys(_OF_INTERVALS, "If not given, what the runs were scored with."),
    ),
)


def compare_command(
    said: Said,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Folders that score wrote, or summary.json files; NAME=PATH names the method.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help=f"File to write: .csv, .json or .md; {IN_A_FOLDER}"),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="Part of the signature in which runs may differ; may be given several times."
        ),
    ] = None,
    check: Annotated[
        Path | None, typer.Option("--check", help="Check this submission folder; compare nothing.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put scores of several methods, seeds or datasets side by side.

    Runs must have equal signatures; the exit code is 1 where they differ, and the
    part in which they do is named. Several runs of one method on one dataset are
    pooled. With --check, verifies a folder that `submission` wrote: exit code 1
    where its scores do not add up.
    """
    from pereggrn_data.core.errors import UsageError

    if check is not None:
        if runs or output or allow or said.of(ScoreOptions):
            raise UsageError(
                "A submission is checked by itself.",
                expected="compare --check FOLDER",
                got="runs or other options beside it",
            )
        _check(check, as_json=as_json)
        return
    from pereggrn_data.pipelines.compare import compare, side_by_side, write_comparison

    file = None if output is None else as_file(output, "comparison.csv")
    table = compare(runs or [], allow=allow or (), **said.of(ScoreOptions))
    if file is not None:
        write_comparison(table, file)
    if as_json:
        emit_json(table.astype(object).to_dict("records"))
    else:
        for dataset, (headings, rows) in side_by_side(table).items():
            emit_table(headings, rows, title=dataset)
            emit("")
        emit_prose(
            "Values with 95 % intervals over perturbations; #1 is the best rank, and shared "
            "where intervals overlap."
        )
    if file is not None:
        say(f"wrote {file}")


def _check(folder: Path, *, as_json: bool) -> None:
    from pereggrn_data.core.errors import ExitCode
    from pereggrn_data.pipelines.compare import check_submission

    problems = check_submission(folder)
    if as_json:
        emit_json({"folder": str(folder), "valid": not problems, "problems": problems})
    elif problems:
        for problem in problems:
            emit(problem)
    else:
        emit(f"{folder}: a valid submission.")
    if problems:
        raise typer.Exit(ExitCode.FINDINGS)


def submission_command(
    run: Annotated[str, typer.Argument(help="A folder that score wrote.")],
    output: NeededFolder,
    name: Annotated[str, typer.Option(help="Name of the method.")],
    method_version: Annotated[str, typer.Option(help="Its version.")],
    link: Annotated[str, typer.Option(help="Where it is described: https://...")],
    method_command: Annotated[str, typer.Option(help="How the predictions were made.")],
) -> None:
    """Write a folder with scores that others can collect: scores, signature, method.

    `compare --check FOLDER` verifies it, in a repository's CI too.
    """
    from pereggrn_data.pipelines.compare import About, write_submission

    about = About(name, method_version, link, method_command)
    for path in write_submission(run, output, about):
        emit(path)
