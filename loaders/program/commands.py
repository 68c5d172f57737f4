"""Run a program of the user's, with limits of time and memory; never through a shell."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.program.processes import end_all, marked_environment

FOLDER_PLACE = "{dir}"
"""What stands for the folder of the exchange in a command."""

CANNOT_BE_EXECUTED, NOT_FOUND = 126, 127
"""Exit codes, as those of a shell."""

_LONGEST_PAUSE = 0.05

# The limit is set in the new process itself, and holds for all that it starts.
_LIMITED = f"""
import os, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    print(f"{{sys.argv[2]}}: {{error.strerror}}", flush=True)
    missing = isinstance(error, FileNotFoundError)
    sys.exit({NOT_FOUND} if missing else {CANNOT_BE_EXECUTED})
"""

_OPERATOR = re.compile(r"\|\|?|\|&|&&?|;|[0-9]*[<>].*|&>.*|.*;")
"""Words that a shell would not pass on."""

_QUOTED = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\.""", re.DOTALL)
"""What is quoted or escaped, and so no operator."""

_WHY_NOT = {
    errno.ENOEXEC: "is it a script without a first line like #!/bin/sh?",
    errno.ENOENT: "is it a script whose first line names a program that is not there?",
    errno.EACCES: "may it be executed (chmod +x), on this file system?",
}


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
    left
        What may still be running, if it could not be ended.
    """

    returncode: int
    timed_out: bool
    seconds: float
    left: str | None = None


def split_command(command: str | Sequence[str], folder: Path) -> list[str]:
    """Return the arguments of a command, with the folder in its place.

    Parameters
    ----------
    command
        A line, which is divided as a shell would divide it, or its words.
    folder
        Takes the place of ``{dir}``.

    Raises
    ------
    UsageError
        If it is empty, has an open quotation mark, needs a shell, does not say
        where the folder goes, or names a program that is not there.
    """
    parts = _words(command) if isinstance(command, str) else list(command)
    if not any(FOLDER_PLACE in part for part in parts):
        raise UsageError(
            f"The command does not say where the folder goes: {command!r}.",
            expected=f'{FOLDER_PLACE} among its arguments, as in "python my_model.py {{dir}}"',
        )
    arguments = [part.replace(FOLDER_PLACE, str(folder)) for part in parts]
    require_program(
        arguments[0],
        expected="a program on the PATH, or the path of one that may be executed",
        fix="a pipe, a redirection or a variable needs a script: no shell reads the command.",
    )
    return arguments


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"The command cannot be read: {error}.", got=command) from None
    for word in _QUOTED.sub("x", command).split():
        if _OPERATOR.fullmatch(word):
            raise UsageError(
                f"No shell reads the command, so {word} would go to the program as it is.",
                expected="one program and its arguments",
                got=command,
                fix="write a script, or --command \"sh -c '...'\"; "
                "--log FILE keeps the output. To pass it on, put it in quotation marks.",
            )
    return [os.path.expanduser(w) if w.startswith("~/") else w for w in words]  # noqa: PTH111


def require_program(name: str, *, expected: str, fix: str) -> None:
    """Check that a program is there.

    Raises
    ------
    UsageError
        If it is not.
    """
    if shutil.which(name) is None:
        raise UsageError(f"There is no program {name!r}.", expected=expected, fix=fix)


def run_limited(
    arguments: Sequence[str],
    log: Path,
    *,
    seconds: float,
    memory_bytes: int | None = None,
    end_also: Callable[[], str | None] | None = None,
    check: Callable[[], None] | None = None,
) -> Finished:
    """Run a program until it ends or its time is up.

    Parameters
    ----------
    arguments
        The program and its arguments.
    log
        Where its output goes, while it runs.
    seconds
        Time limit. When it is over, the program and all it has started end.
    memory_bytes
        Limit of the address space of each process.
    end_also
        What else ends it, if it has not ended by itself; says what it could not end.
    check
        Asked several times a second; ends it by raising.

    Raises
    ------
    UsageError
        If the log cannot be written, or the system does not start the program.
    """
    full = list(arguments)
    if memory_bytes is not None:
        full = [sys.executable, "-c", _LIMITED, str(memory_bytes), *full]
    token = secrets.token_hex(16)
    process: subprocess.Popen[bytes] | None = None
    left: str | None = None
    timed_out = False
    began = time.monotonic()
    with _opened(log) as output:
        try:
            process = subprocess.Popen(
                full,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=marked_environment(token),
            )
            timed_out = not _waited(process, seconds, check)
        except OSError as error:
            raise _not_started(arguments[0], error) from error
        finally:
            # Also after a normal end, and when we are interrupted: nothing is left behind.
            try:
                if end_also is not None and process is not None and process.poll() is None:
                    left = end_also()
            finally:
                # Also when somebody presses Ctrl-C again, as this may take a while.
                end_all(None if process is None else process.pid, token)
                code = 0 if process is None else process.wait()
    return Finished(code, timed_out, time.monotonic() - began, left)


def _waited(
    process: subprocess.Popen[bytes], seconds: float, check: Callable[[], None] | None
) -> bool:
    """Wait for a program; say whether it has ended in time."""
    pause, end = 0.001, time.monotonic() + seconds
    while process.poll() is None:
        if check is not None:
            check()
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)
    return True


def _opened(log: Path) -> BinaryIO:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("wb")
    except OSError as error:
        raise UsageError(
            f"The log {log} cannot be written.",
            expected="a file, in a folder where you may write",
            got=error.strerror or str(error),
        ) from error


def _not_started(program: str, error: OSError) -> UsageError:
    return UsageError(
        f"The program {program!r} could not be started.",
        got=error.strerror or str(error),
        fix=_WHY_NOT.get(error.errno or 0),
    )


def last_lines(log: Path, n: int = 20, most_bytes: int = 8000) -> str:
    """Return the end of a log."""
    if not log.is_file():
        return "(no output)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - most_bytes))
        text = file.read().decode(errors="replace")
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-n:]) or "(no output)"
