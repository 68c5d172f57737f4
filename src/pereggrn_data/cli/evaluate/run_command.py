"""The command `pereggrn-eval run`: all conditions of an experiment, and its tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pereggrn_data.cli.evaluate.experiment_commands import Force
from pereggrn_data.cli.option_parameters import OptionGroup, Said
from pereggrn_data.cli.output import Manner, complain, emit, emit_json, emit_table, say, warn
from pereggrn_data.cli.output_places import folder_option
from pereggrn_data.cli.programs import shared_arguments
from pereggrn_data.cli.shared_options import Collection, Insist, Json
from pereggrn_data.core.errors import ExitCode, UsageError
from pereggrn_data.core.sizes import parse_memory
from pereggrn_data.pipelines.experiment import RunOptions
from pereggrn_data.pipelines.score import OF_READING, ScoreOptions

if TYPE_CHECKING:
    from pereggrn_data.pipelines.experiment import ExperimentRun, Outcome

_OF_ONE_FILE = (*OF_READING, "calibration", "network", "name")
"""Options of scores that are about a predictions file that somebody else made."""

_PAGES = (".html", ".htm")
"""Endings of reports, which may lie anywhere."""

_NOT_OF_TASKS = ("jobs", "dry_run", "blocks")
"""Options of runs that mean nothing to a task of an array, which does one condition."""

GROUPS = (
    OptionGroup(RunOptions),
    OptionGroup(ScoreOptions, panel="The scores", without=_OF_ONE_FILE),
)


def run_command(
    said: Said,
    experiment: Annotated[
        Path, typer.Argument(help="A JSON or YAML file, or a folder with a metadata.json.")
    ],
    plan: Annotated[
        str | None,
        typer.Option("--plan", help="Run nothing; print a script that does: slurm-array."),
    ] = None,
    scheduler: Annotated[
        str,
        typer.Option(
            help="What does the conditions: local (processes of this machine, --jobs), the "
            "tcp://HOST:PORT of a Dask scheduler, or slurm. Others than local need the extra "
            "cluster."
        ),
    ] = "local",
    scheduler_options: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file: of slurm, the arguments of its jobs, and how many jobs; of an "
            "address, those of its encryption."
        ),
    ] = None,
    output: Annotated[Path | None, folder_option("NAME_run")] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Also write a report of the finished conditions, .html."),
    ] = None,
    force: Force = False,
    insist: Insist = None,
    collection: Collection = None,
    as_json: Json = False,
) -> None:
    """Run an experiment: fit, forecast and score each of its conditions, and make its tables.

    What is finished is kept: a run that was killed goes on, and an edited experiment does
    what is new. A condition that fails is reported, the others go on, and the exit code
    is 1.
    """
    from pereggrn_data.pipelines.experiment import on_cluster, run

    if plan is not None:
        useless = {
            "--report": report is not None,
            "--scheduler": scheduler != "local",
            "--scheduler-options": scheduler_options is not None,
            "--json": as_json,
            **{f"--{n.replace('_', '-')}": n in said.of(RunOptions) for n in _NOT_OF_TASKS},
        }
        _print_plan(plan, said, experiment, output, force, insist, collection, useless)
        return
    options = RunOptions(**said.of(RunOptions))
    with _progress(options.dry_run) as told:
        made = run(
            experiment,
            output,
            options=options,
            score_options=said.options(ScoreOptions),
            force=force,
            insist=insist or (),
            collection=collection,
            say=say,
            told=told,
            scheduler=on_cluster(scheduler, scheduler_options),
            report=report,
        )
    for note in made.notes:
        warn(note)
    if as_json:
        emit_json(made.to_dict())
    else:
        _print(made, dry_run=options.dry_run)
    if made.failed:
        raise typer.Exit(ExitCode.FINDINGS)


def _print(made: ExperimentRun, *, dry_run: bool) -> None:
    if dry_run:
        rows = made.conditions.rows
        varies = [c for c in rows[0] if len({str(row[c]) for row in rows}) > 1]
        emit_table(
            ["condition", "state", "key", *varies],
            [
                (o.index, o.state, o.key, *(rows[o.index][c] for c in varies))
                for o in made.outcomes
            ],
        )
    emit(repr(made))
    for outcome in made.failed:
        complain(f"condition {outcome.index}: {outcome.error}")
    if not dry_run:
        for file in made.files:
            if file.parent == made.folder or file.suffix in _PAGES:
                emit(file)


@contextmanager
def _progress(dry_run: bool) -> Iterator[Callable[[Outcome, int, int], None] | None]:
    """Give what is told of each condition: a bar on a terminal, lines elsewhere."""
    if Manner.quiet or dry_run:
        yield None
        return
    if not sys.stderr.isatty():
        began = time.monotonic()
        yield lambda outcome, done, total: say(_line(outcome, done, total, began))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("conditions", total=None)
        yield lambda _, done, total: bar.update(task, completed=done, total=total)


def _line(outcome: Outcome, done: int, total: int, began: float) -> str:
    left = (time.monotonic() - began) / done * (total - done)
    ending = f", about {left:.0f} s left" if done < total else ""
    what = f"{outcome.state} in {outcome.seconds:.1f} s" if outcome.seconds else outcome.state
    return f"condition {outcome.index}: {what} ({done} of {total}{ending})"


def _print_plan(
    plan: str,
    said: Said,
    experiment: Path,
    output: Path | None,
    force: bool,
    insist: list[str] | None,
    collection: str | None,
    useless: Mapping[str, bool],
) -> None:
    from pereggrn_data.pipelines.experiment import array_script, lay_out, read_experiment

    for flag in (flag for flag, was_said in useless.items() if was_said):
        raise UsageError(
            f"{flag} makes no difference to --plan, which runs nothing.",
            fix="leave it out. What the script has finished is kept, and a run after it goes on "
            "from there.",
        )
    read = read_experiment(experiment, force=force, collection=collection)
    conditions = lay_out(read, collection=collection)
    options = RunOptions(**said.of(RunOptions))
    arguments = [str(experiment.resolve())]
    arguments += ["-o", str((output or Path(f"{read.name}_run")).resolve())]
    for group in GROUPS:
        arguments += group.arguments(said.of(group.options), without=("only",))
    arguments += ["--force"] if force else []
    for code in insist or ():
        arguments += ["--insist", code]
    if collection is not None:
        arguments += ["--collection", str(Path(collection).resolve())]
    arguments += shared_arguments()
    numbers = options.asked_for(len(conditions))
    memory = parse_memory(options.memory)
    script = array_script(plan, numbers, arguments, threads=options.threads, memory=memory)
    emit(*script.removesuffix("\n").split("\n"))
