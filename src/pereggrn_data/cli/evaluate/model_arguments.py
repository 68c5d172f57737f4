"""Read what is written on the command line about models and programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import UsageError

if TYPE_CHECKING:
    from pereggrn_data.pipelines.predict.model_options import Program

GIGABYTE = 1_000_000_000


def parse_steps(text: str) -> tuple[int, ...]:
    """Read numbers of steps.

    Raises
    ------
    UsageError
        If one is not a whole number.

    Examples
    --------
    >>> parse_steps("1,3,10")
    (1, 3, 10)
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,6}", part) for part in parts):
        raise UsageError(
            "The numbers of steps cannot be read.", expected="for example 1,3,10", got=repr(text)
        )
    return tuple(map(int, parts))


def parse_arguments(given: Sequence[str]) -> dict[str, Any]:
    """Read keyword arguments: values as JSON where they are, else as text.

    Raises
    ------
    UsageError
        If one is not NAME=VALUE, or a name occurs twice.

    Examples
    --------
    >>> parse_arguments(["alpha=0.1", "kernel=rbf", "alphas=[1, 10]"])
    {'alpha': 0.1, 'kernel': 'rbf', 'alphas': [1, 10]}
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier() or name in found:
            raise UsageError(
                f"The argument {text!r} cannot be read.",
                expected="NAME=VALUE, each name once, for example alpha=0.1",
            )
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def program_of(
    command: str | None,
    container: str | None,
    *,
    runtime: str | None,
    container_arguments: Sequence[str] | None,
    time_limit: float | None,
    memory_limit: float | None,
    log: Path | None,
    keep: Path | None,
) -> Program | None:
    """Return the program that is to forecast, or None if a model of ours does.

    Raises
    ------
    UsageError
        If something is said of a program, or of a container, and there is none;
        or a limit is not one.
    """
    from pereggrn_data.loaders.program.run_folder import check_can_keep
    from pereggrn_data.pipelines.predict.model_options import Program

    of_containers = {"--runtime": runtime, "--container-argument": container_arguments or None}
    of_programs = {
        "--time-limit": time_limit,
        "--memory-limit": memory_limit,
        "--log": log,
        "--keep": keep,
    }
    if container is None:
        _require_unused(of_containers, needs="--container")
        if command is None:
            _require_unused(of_programs, needs="--command or --container")
            return None
    if keep is not None:
        check_can_keep(keep)
    given: dict[str, Any] = {"runtime": runtime, "time_limit": time_limit}
    return Program(
        command=command,
        container=container,
        container_arguments=tuple(container_arguments or ()),
        memory_limit=None if memory_limit is None else _bytes(memory_limit),
        log=log,
        keep=keep,
        **{name: value for name, value in given.items() if value is not None},
    )


def _require_unused(options: Mapping[str, object], *, needs: str) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UsageError(
            f"{given[0]} makes no difference here.",
            expected=f"{needs} with {' and '.join(given)}",
            fix="leave it out.",
        )


def _bytes(gigabytes: float) -> int:
    if not 0 < gigabytes * GIGABYTE < sys.maxsize:
        raise UsageError(
            "The memory limit is not a size.",
            expected="a number of gigabytes, for example 16",
            got=f"--memory-limit {gigabytes:g}",
        )
    return int(gigabytes * GIGABYTE)


def file_word(name: str) -> str:
    """Return a model's name as part of a file's name.

    Examples
    --------
    >>> file_word("python my_model.py {dir}")
    'python_my_model.py_dir'
    """
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_.")[:60] or "model"
