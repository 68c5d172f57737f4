"""Forecasts of a program that is not ours: give it a folder, run it, check what it leaves."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from pereggrn_data.core.errors import (
    InvalidDataError,
    PereggrnError,
    UsageError,
    first_few,
    near_matches,
)
from pereggrn_data.core.format import (
    CELL_TYPE,
    LEVEL,
    PERTURBATION,
    PREDICTION_STEP,
    TIMEPOINT,
)
from pereggrn_data.core.labels import levels_of
from pereggrn_data.loaders.program import (
    ANSWERS,
    CANNOT_BE_EXECUTED,
    NOT_FOUND,
    Finished,
    RunFolder,
    container_run,
    last_lines,
    open_run_folder,
    read_answers,
    require_program,
    run_limited,
    split_command,
    write_exchange,
)
from pereggrn_data.pipelines.predict.adapter_runs import (
    environment_named,
    may_leave_out,
)
from pereggrn_data.pipelines.predict.model_inputs import Work
from pereggrn_data.pipelines.predict.model_options import Program
from pereggrn_data.pipelines.predict.program_task import ProgramTask, task_for

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


DOCKER_FAILED, KILLED = 125, 137
"""Exit codes of ``docker run``: it did not start a container, and SIGKILL ended it."""

NAN_SHOWN = 3
_READ_AS_MISSING = frozenset({"na", "n/a", "nan", "null", "none", ""})


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
    with open_run_folder(program.keep, program.log) as place:
        values = _run(program, task, place, may_lack=may_leave_out(program, work.options))
    return values, (*task.notes, *place.notes)


def _run(program: Program, task: ProgramTask, place: RunFolder, *, may_lack: bool) -> Any:
    arguments, kill = _arguments(program, place.folder)
    written = write_exchange(
        place.folder,
        train=task.train,
        matches=task.matches,
        given=task.given,
        validation=task.validation,
        requests=task.requests,
        grammar=task.grammar,
        arguments=task.arguments,
        network=task.network,
    )
    ended = run_limited(
        arguments,
        place.log,
        seconds=program.time_limit,
        memory_bytes=program.memory_bytes if program.container is None else None,
        end_also=kill,
        check=place.endings.check,
    )
    try:
        failure = failure_of(program, ended)
        if failure is not None:
            raise failure
        answers = read_answers(place.folder)
        return checked_answers(answers, written, task.genes, may_lack=may_lack)
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
    if program.adapter is not None:
        return environment_named(program.adapter).command(folder), None
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


def checked_answers(
    answers: AnnData, requests: pd.DataFrame, genes: Sequence[str], *, may_lack: bool = False
) -> Any:
    """Return predictions in the order of requests and genes.

    Parameters
    ----------
    answers
        What the program has left.
    requests
        What was asked for.
    genes
        Whose expression.
    may_lack
        Whether a row may be missing as a whole (all NaN): the program was told that it
        may leave some out.

    Raises
    ------
    InvalidDataError
        If they are not what was asked for.
    """
    if answers.n_obs != len(requests):
        raise InvalidDataError(
            f"{ANSWERS} has another number of rows than was asked for.",
            expected=f"{len(requests)} rows: those of predictions_metadata.csv, in its order",
            got=f"{answers.n_obs} rows",
        )
    _check_labels(answers.obs, requests)
    columns = _columns(answers, genes)
    matrix: Any = answers.X
    if matrix is None:
        raise InvalidDataError(f"{ANSWERS} has no X.", expected="predicted expression in X")
    values = np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix)
    if values.dtype.kind not in "iuf":
        raise InvalidDataError(
            f"X of {ANSWERS} does not hold numbers.",
            expected="natural-log expression",
            got=f"dtype {values.dtype}",
        )
    values = values.astype(np.float64)[:, columns]
    bad = ~np.isfinite(values)
    if may_lack:
        bad[np.isnan(values).all(axis=1)] = False
    if bad.any():
        shown = np.argwhere(bad)[:NAN_SHOWN].tolist()
        where = ", ".join(f"{genes[j]} of {requests.index[i]}" for i, j in shown)
        raise InvalidDataError(
            f"{ANSWERS} has missing or infinite values.",
            expected="a finite number (natural-log expression) for every gene of every row",
            got=f"{bad.sum()} of {bad.size} that are not, for example {where}",
        )
    return values


def _columns(answers: AnnData, genes: Sequence[str]) -> Any:
    wanted, given = list(map(str, genes)), answers.var_names.astype(str)
    missing = [g for g in wanted if g not in set(given)]
    surplus = [g for g in given if g not in set(wanted)]
    if missing or surplus or not given.is_unique:
        near = near_matches(missing[0], surplus) if missing else []
        twice = sorted(set(given[given.duplicated()]))
        raise InvalidDataError(
            f"{ANSWERS} has other genes than the training data.",
            expected=f"the {len(wanted)} genes of train.h5ad, each once",
            got=f"{len(missing)} missing ({first_few(missing, 3) or '-'}), "
            f"{len(surplus)} unknown ({first_few(surplus, 3) or '-'}), "
            f"{len(twice)} more than once",
            fix=f"is {near[0]!r} meant to be {missing[0]!r}?"
            if near
            else "write train.var_names.",
        )
    return given.get_indexer(wanted)


def _check_labels(obs: pd.DataFrame, requests: pd.DataFrame) -> None:
    """Check that obs is that of the requests, in their order."""
    if PERTURBATION not in obs:
        raise InvalidDataError(
            f"obs of {ANSWERS} does not say what each row predicts.",
            expected="the columns of predictions_metadata.csv in obs, in its order",
            got=f"columns {first_few(map(str, obs.columns)) or '(none)'}",
            fix="write anndata.AnnData(X, obs=metadata, var=train.var).",
        )
    for column in (PERTURBATION, LEVEL, PREDICTION_STEP, CELL_TYPE, TIMEPOINT):
        if column not in obs or column not in requests:
            continue
        pairs = zip(requests[column].astype(object), obs[column].astype(object), strict=True)
        wrong = [(i, a, b) for i, (a, b) in enumerate(pairs) if not _same(a, b, column)]
        if wrong:
            i, asked, got = wrong[0]
            raise InvalidDataError(
                f"Rows of {ANSWERS} are in another order than was asked for, or mislabelled.",
                expected=f"{column} {asked!r} in row {i}, as in predictions_metadata.csv",
                got=f"{got!r}, and {len(wrong)} of {len(requests)} rows that differ",
            )


def _same(asked: object, got: object, column: str) -> bool:
    """Compare what went through a CSV file: there, 1 may come back as 1.0, and nan as missing."""
    if str(asked) == str(got):
        return True
    try:
        a, b = levels_of(asked), levels_of(got)
    except (ValueError, TypeError):
        # A gene, or a cell type, that is called NA or nan.
        return column != LEVEL and got != got and str(asked).lower() in _READ_AS_MISSING
    return len(a) == len(b) and all(
        x == y or (math.isnan(x) and math.isnan(y)) or math.isclose(x, y, rel_tol=1e-6)
        for x, y in zip(a, b, strict=True)
    )
