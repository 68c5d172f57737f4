"""Forecasts of a program that is not ours: give it a folder, run it, check what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import PereggrnError
from pereggrn_data.loaders.program.commands import (
    last_lines,
    require_program,
    run_limited,
    split_command,
)
from pereggrn_data.loaders.program.containers import container_run
from pereggrn_data.loaders.program.exchange import read_answers, write_exchange
from pereggrn_data.loaders.program.run_folder import RunFolder, run_folder
from pereggrn_data.pipelines.predict.forecast import Work
from pereggrn_data.pipelines.predict.model_options import Program
from pereggrn_data.pipelines.predict.program_answers import checked_answers
from pereggrn_data.pipelines.predict.program_failures import failure_of
from pereggrn_data.pipelines.predict.program_task import ProgramTask, task_for

if TYPE_CHECKING:
    import pandas as pd


def forecast_by_program(
    work: Work, program: Program, requests: pd.DataFrame
) -> tuple[Any, tuple[str, ...]]:
    """Run a program on the training side of a split, in a folder made for it.

    Parameters
    ----------
    work
        The split and the choices. Choices are checked, and written for the
        program; whether it heeds them is up to it.
    program
        What to run, and its limits.
    requests
        One row per wanted prediction, with ``prediction_timescale``.

    Returns
    -------
    ndarray, tuple of str
        (requests, genes) natural-log expression, in the order of the split; and
        what the user should know.

    Raises
    ------
    UsageError
        If a choice is not one, or the program is not there or cannot be started.
    InvalidDataError
        If it fails, takes too long, or leaves something that is not what was
        asked for. The end of its output is in the message. Answers that it has
        left are kept, and the message says where.
    """
    task = task_for(work, program, requests)
    with run_folder(program.keep, program.log) as place:
        values = _run(program, task, place)
    return values, (*task.notes, *place.notes)


def _run(program: Program, task: ProgramTask, place: RunFolder) -> Any:
    arguments, kill = _arguments(program, place.folder)
    written = write_exchange(
        place.folder,
        train=task.train,
        matches=task.matches,
        given=task.given,
        requests=task.requests,
        grammar=task.grammar,
        arguments=task.arguments,
        network=task.network,
    )
    ended = run_limited(
        arguments,
        place.log,
        seconds=program.time_limit,
        memory_bytes=program.memory_bytes if program.command is not None else None,
        end_also=kill,
        check=place.endings.check,
    )
    try:
        failure = failure_of(program, ended)
        if failure is not None:
            raise failure
        return checked_answers(read_answers(place.folder), written, task.genes)
    except PereggrnError as error:
        error.add_note("the end of its output:")
        for line in last_lines(place.log).splitlines():
            error.add_note(f"  {line}")
        raise


def _arguments(
    program: Program, folder: Path
) -> tuple[list[str], Callable[[], str | None] | None]:
    if program.command is not None:
        return split_command(program.command, folder), None
    run = container_run(
        program.container or "",
        folder,
        runtime=program.runtime,
        extra=program.container_arguments,
        memory_bytes=program.memory_bytes,
    )
    require_program(
        run.arguments[0],
        expected="a container runtime on the PATH",
        fix=f"install {run.runtime}, or name another one: --runtime docker, apptainer or "
        "singularity.",
    )
    return list(run.arguments), run.kill
