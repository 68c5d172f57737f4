"""A machine that refuses is no bug of ours: streams that are full or closed, limits, memory."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pereggrn_data.cli.machine_errors import explained
from pereggrn_data.core.errors import ExitCode

PROGRAM = "from pereggrn_data.cli.data.data_app import main; main()"
FULL = Path("/dev/full")

BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
"""Streams hold back what they cannot write, as they do for nearly everybody."""


def run(arguments: str, redirection: str) -> tuple[int, str]:
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(PROGRAM)} {arguments} {redirection}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        env=BUFFERED, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", ["list", "list --json", "--version", "--help"])
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_results_that_cannot_be_written(arguments: str, redirection: str) -> None:
    if "full" in redirection and not FULL.exists():
        pytest.skip("there is no /dev/full")
    code, said = run(arguments, redirection)
    assert code == ExitCode.USAGE
    assert "No space left" in said or "it is closed" in said
    assert "bug" not in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "| head -n 1"])
def test_messages_and_readers_that_are_gone(redirection: str) -> None:
    if "full" in redirection and not FULL.exists():
        pytest.skip("there is no /dev/full")
    code, said = run("list", redirection)
    assert code == ExitCode.OK
    assert "Traceback" not in said


def test_messages_that_others_began_and_nobody_can_write() -> None:
    if not FULL.exists():
        pytest.skip("there is no /dev/full")
    program = PROGRAM.replace("main()", "sys.stderr.write('begun ... '); main()")
    command = [sys.executable, "-c", f"import sys; {program}", "list", "--quiet"]
    with FULL.open("w") as full:
        done = subprocess.run(
            command, env=BUFFERED, stdout=subprocess.PIPE, stderr=full, check=False
        )
    assert done.returncode == ExitCode.OK


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 8 EiB"), "8 EiB"),
        (OSError(errno.EMFILE, "Too many open files", "x.h5ad"), "x.h5ad"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "x"), "x"),
        (RuntimeError("Could not determine home directory."), "HOME"),
    ],
)
def test_what_is_not_ours(error: Exception, words: str) -> None:
    reason = explained(error)
    assert reason is not None
    assert reason.exit_code == ExitCode.USAGE
    assert words in str(reason)


@pytest.mark.parametrize("error", [ValueError("x"), FileNotFoundError(2, "x"), RuntimeError("x")])
def test_what_may_be_ours(error: Exception) -> None:
    assert explained(error) is None
