"""`pereggrn-data validate`: check files against the uniform format."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pereggrn_data.cli.option_parameters import OptionGroup, Said, add_command
from pereggrn_data.cli.output import complain, emit, emit_json, say
from pereggrn_data.cli.programs import HelpfulApp
from pereggrn_data.core.errors import ExitCode, MissingFileError, UsageError
from pereggrn_data.core.format import Kind, Role
from pereggrn_data.pipelines.validate_options import ValidateOptions, settings_near

if TYPE_CHECKING:
    from pereggrn_data.core.reports import Report


class Format(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    JUNIT = "junit"


def register(app: HelpfulApp) -> None:
    """Add the command to a program."""
    add_command(
        app,
        "validate",
        validate_command,
        (OptionGroup(ValidateOptions),),
        example="pereggrn-data validate my.h5ad  # a file of your own",
    )


def validate_command(
    said: Said,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Datasets (.h5ad, .zarr), predictions (also .parquet, .csv), networks "
            "(.parquet).",
        ),
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option(help="What the files are; by default, what their content says."),
    ] = None,
    role: Annotated[
        Role | None,
        typer.Option(
            help="What a dataset is for. A training file (train.h5ad) may hold controls only; "
            "that of a time series needs numeric timepoint and cell_type."
        ),
    ] = None,
    output: Annotated[
        Format, typer.Option("--format", help="How to print the findings, on stdout.")
    ] = Format.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="Same as --format json.")] = False,
    suggest: Annotated[
        bool,
        typer.Option(
            "--suggest",
            help="Print, of each dataset with findings that `convert` mends, the command that "
            "converts it.",
        ),
    ] = False,
    rules: Annotated[bool, typer.Option("--rules", help="List all rules, and exit.")] = False,
) -> None:
    """Check files against the uniform format, and report every problem at once.

    With --format json, one file gives an object {path, kind, valid, findings};
    several give an array of them. What [tool.pereggrn] of the nearest pyproject.toml says
    (ignore = ["CODE"], fail-on = "warning") holds, too: the command line goes before it.
    """
    output = Format.JSON if as_json else output
    if rules:
        _list_rules(output)
        return
    if not paths:
        raise UsageError(
            "No file is named.",
            expected="at least one path",
            fix="pereggrn-data validate data/test.h5ad",
        )
    options = _options(said)
    found, missing = _validate_all(paths, kind, role)
    reports = [options.kept(report) for report in found]
    _say_what_is_left_out(found, options)
    if suggest and output is not Format.TEXT:
        raise UsageError("--suggest prints text.", expected="--format text", got=str(output))
    if reports:
        _print(reports, output, as_array=len(paths) > 1)
    if suggest:
        _suggest(reports)
    for error in missing:
        complain(error)
    if missing:
        raise SystemExit(ExitCode.USAGE)
    if any(options.fails(report) for report in reports):
        raise SystemExit(ExitCode.FINDINGS)


def _options(said: Said) -> ValidateOptions:
    """Return what was said here; else, option by option, what the user's repository says."""
    settings, file = settings_near(Path.cwd())
    given = said.of(ValidateOptions)
    if file is not None and settings.keys() - given.keys():
        say(f"settings: [tool.pereggrn] of {file}")
    return ValidateOptions(**{**settings, **given})


def _say_what_is_left_out(reports: list[Report], options: ValidateOptions) -> None:
    left_out = Counter(f.code for r in reports for f in r.findings if f.code in options.ignore)
    if left_out:
        counted = ", ".join(f"{code} ({n})" for code, n in left_out.items())
        say(f"ignored, as asked: {counted}")


def _validate_all(
    paths: list[Path], kind: Kind | None, role: Role | None
) -> tuple[list[Report], list[MissingFileError]]:
    """Check every file that is there, so that a missing one hides nothing."""
    from pereggrn_data.pipelines.validation import validate

    reports: list[Report] = []
    missing: list[MissingFileError] = []
    for path in paths:
        try:
            reports.append(validate(path, kind, role))
        except MissingFileError as error:
            missing.append(error)
    return reports, missing


def _print(reports: list[Report], output: Format, *, as_array: bool) -> None:
    from pereggrn_data.cli.data.report_formats import as_github, as_junit, as_text, summary

    if output is Format.JSON:
        dicts = [report.to_dict() for report in reports]
        emit_json(dicts if as_array else dicts[0])
        return
    show = {Format.TEXT: as_text, Format.GITHUB: as_github, Format.JUNIT: as_junit}[output]
    text = show(reports)
    if text:
        emit(*text.split("\n"), styled=output is Format.TEXT)
    if output is not Format.TEXT or len(reports) > 1:
        say(summary(reports))


def _suggest(reports: list[Report]) -> None:
    from pereggrn_data.validators import RULES

    for report in reports:
        codes = [f.code for f in report.findings]
        mended = [c for c in codes if RULES[c].mended_by is not None or c == "file-unreadable"]
        if report.kind is not Kind.DATASET or not mended:
            say(f"{report.path}: nothing that `pereggrn-data convert` mends")
            continue
        from pereggrn_data.pipelines.convert import suggestion_lines

        command, lines = suggestion_lines(report.path)
        if command is not None:
            emit("", command)
        for line in lines:
            say(line)


def _list_rules(output: Format) -> None:
    from pereggrn_data.validators import RULES, rules_table

    if output is Format.JSON:
        emit_json(list(RULES.values()))
    else:
        emit(*rules_table().split("\n"))
