"""Run a program of the user's, with limits of time and memory; never through a shell."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pereggrn_data.core.errors import UsageError

FOLDER_PLACE = "{dir}"
"""What stands for the folder of the exchange in a command."""

# The limit is set in the new process itself, and holds for all that it starts.
_LIMITED = (
    "import os, resource, sys; limit = int(sys.argv[1]); "
    "resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); "
    "os.execvp(sys.argv[2], sys.argv[2:])"
)


@dataclass(frozen=True)
class Finished:
    """How a program ended.

    Parameters
    ----------
    returncode
        As the operating system says; negative for a signal.
    timed_out
        Whether it was ended because its time was up.
    seconds
        How long it ran.
    """

    returncode: int
    timed_out: bool
    seconds: float


def split_command(command: str, folder: Path) -> list[str]:
    """Return the arguments of a command, with the folder in its place.

    Raises
    ------
    UsageError
        If it is empty, has an open quotation mark, does not say where the
        folder goes, or names a program that is not there.
    """
    try:
        parts = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"The command cannot be read: {error}.", got=command) from None
    if not any(FOLDER_PLACE in part for part in parts):
        raise UsageError(
            f"The command does not say where the folder goes: {command!r}.",
            expected=f'{FOLDER_PLACE} among its arguments, as in "python my_model.py {{dir}}"',
        )
    arguments = [part.replace(FOLDER_PLACE, str(folder)) for part in parts]
    require_program(arguments[0])
    return arguments


def require_program(name: str) -> None:
    """Check that a program is there.

    Raises
    ------
    UsageError
        If it is not.
    """
    if shutil.which(name) is None:
        raise UsageError(
            f"There is no program {name!r}.",
            expected="a program on the PATH, or the path of one that may be executed",
            fix="a pipe, a redirection or a variable needs a script: no shell reads the command.",
        )


def run_limited(
    arguments: Sequence[str],
    log: Path,
    *,
    seconds: float,
    memory_bytes: int | None = None,
    end_also: Callable[[], None] | None = None,
) -> Finished:
    """Run a program until it ends or its time is up.

    Parameters
    ----------
    arguments
        The program and its arguments.
    log
        Where its output goes.
    seconds
        Time limit. When it is over, the program and all it has started end.
    memory_bytes
        Limit of the address space of each process.
    end_also
        What else ends it, if it has not ended by itself.
    """
    full = list(arguments)
    if memory_bytes is not None:
        full = [sys.executable, "-c", _LIMITED, str(memory_bytes), *full]
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            full,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        timed_out = False
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            # Also after a normal end, and when the user interrupts: nothing is left behind.
            if end_also is not None and process.poll() is None:
                end_also()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Finished(process.returncode, timed_out, time.monotonic() - began)


def last_lines(log: Path, n: int = 20, most_bytes: int = 8000) -> str:
    """Return the end of a log."""
    if not log.is_file():
        return "(no output)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - most_bytes))
        text = file.read().decode(errors="replace")
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-n:]) or "(no output)"
