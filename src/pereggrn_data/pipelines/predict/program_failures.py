"""What to say when a program that was to forecast fails."""

from __future__ import annotations

import signal

from pereggrn_data.core.errors import InvalidDataError, PereggrnError, UsageError
from pereggrn_data.loaders.program.commands import CANNOT_BE_EXECUTED, NOT_FOUND, Finished
from pereggrn_data.pipelines.predict.model_options import Program

DOCKER_FAILED, KILLED = 125, 137
"""Exit codes of ``docker run``: it did not start a container, and SIGKILL ended it."""


def failure_of(program: Program, ended: Finished) -> PereggrnError | None:
    """Return what is wrong with how a program ended; None if nothing is."""
    if ended.timed_out:
        return _out_of_time(program, ended)
    if ended.returncode == 0:
        return None
    refused = _not_run(program, ended.returncode)
    if refused is not None:
        return UsageError(
            refused,
            got=f"exit code {ended.returncode}, from {program.name!r}",
            fix="the end of its output may say why.",
        )
    return InvalidDataError(
        f"The program failed: {program.name!r}.",
        expected="exit code 0",
        got=_how_it_ended(ended.returncode),
        fix=_about_memory(program, ended.returncode),
    )


def _out_of_time(program: Program, ended: Finished) -> InvalidDataError:
    expected = f"predictions within {program.time_limit:g} seconds"
    if ended.left is not None:
        return InvalidDataError(
            "The program did not end in time, and may still be running.",
            expected=expected,
            got=ended.left,
            fix="end it yourself (docker ps, docker kill).",
        )
    return InvalidDataError(
        "The program did not end in time; it and all it had started were ended.",
        expected=expected,
        got=f"none from {program.name!r}",
        fix="raise --time-limit, or find out what it waits for.",
    )


def _not_run(program: Program, code: int) -> str | None:
    if program.container is not None and program.runtime == "docker" and code == DOCKER_FAILED:
        return (
            "Docker itself failed: it does not run, has no such image, or does not take "
            "an argument."
        )
    where = "The program" if program.container is None else "What the container is to run"
    if code == CANNOT_BE_EXECUTED:
        return f"{where} cannot be executed (a script without a first line like #!/bin/sh?)."
    if code == NOT_FOUND:
        return f"{where} was not found, or starts something that is not there."
    return None


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}" + (" (killed)" if code == KILLED else "")
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"


def _about_memory(program: Program, code: int) -> str | None:
    if program.memory_limit is not None:
        each = "each of its processes" if program.container is None else "the container"
        limit = f"{program.memory_limit / 1e9:g} GB"
        return f"was {limit} of memory too little for {each}? Then raise --memory-limit."
    if code in (KILLED, -signal.SIGKILL):
        return "the system may have been out of memory."
    return None
