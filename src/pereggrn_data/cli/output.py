"""How every command speaks: results on stdout, messages on stderr, errors without tracebacks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import typer

from pereggrn_data.cli.machine_errors import (
    explained,
    open_closed_streams,
    settle_stderr,
    stdout_checked,
)
from pereggrn_data.core.errors import ExitCode, PereggrnError
from pereggrn_data.core.printable import one_line, printable_json
from pereggrn_data.core.strict_json import dumps

DEBUG_FLAG = "--debug"
INTERRUPTED = 130
"""Exit code after Ctrl-C, which typer gives as shells do."""


class Manner:
    """How the command that runs was asked to speak.

    Parameters
    ----------
    quiet
        No progress and no messages but warnings and errors.
    wide
        Tables are not made to fit the terminal.
    """

    quiet = False
    wide = False


def say(message: str) -> None:
    """Print a message or progress on stderr, control characters as escapes; not if quiet."""
    if not Manner.quiet:
        insist(message)


def insist(message: str) -> None:
    """Print a message on stderr, however quiet one wants it.

    It is one line, whatever names of files it has. Where stderr cannot be written, messages
    are lost and the work goes on.
    """
    with suppress(OSError, ValueError):
        typer.echo(one_line(message), err=True)


def warn(message: object) -> None:
    """Print a warning on stderr, however quiet one wants it."""
    insist(f"warning: {message}")


def complain(error: object) -> None:
    """Print an error on stderr, however quiet one wants it."""
    # Errors have escaped what they quote, line by line.
    for line in f"error: {error}".split("\n"):
        insist(line)
    _insist_on_notes(error)


def _insist_on_notes(error: object) -> None:
    for note in getattr(error, "__notes__", ()):
        for line in str(note).splitlines():
            insist(f"  {line}")


def emit(*lines: str | Path, styled: bool = False) -> None:
    """Print lines of a result on stdout; a reader that has left (head, less) is no failure.

    Each is one line, whatever names of files it has: control characters and line breaks are
    shown as escapes, unless they are `styled`: then whoever made them has seen to that.

    Raises
    ------
    UnwritableOutputError
        If stdout is closed, or cannot take the result.
    """
    with stdout_checked():
        typer.echo("\n".join(str(line) if styled else one_line(line) for line in lines))


def emit_prose(*lines: str) -> None:
    """Print sentences on stdout; on a terminal they are divided at spaces.

    Terminals divide lines that are too long anywhere, names in them included.

    Raises
    ------
    UnwritableOutputError
        If stdout is closed, or cannot take the result.
    """
    on_terminal = sys.stdout.isatty()
    emit(*(part for line in lines for part in _fitting(one_line(line), on_terminal=on_terminal)))


def _fitting(line: str, *, on_terminal: bool) -> list[str]:
    from pereggrn_data.cli.terminal_tables import wrapped

    if not on_terminal or Manner.wide:
        return [line]
    return wrapped(line, shutil.get_terminal_size().columns)


def emit_json(value: Any) -> None:
    """Print a result on stdout as strict JSON."""
    emit(printable_json(dumps(value)), styled=True)


def emit_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[str] = (),
    title: str | None = None,
    expendable: Sequence[str] = (),
    dim: Collection[int] = (),
) -> None:
    """Print a table on stdout; on a terminal it fits, unless --wide is said.

    Parameters
    ----------
    columns
        Headings.
    rows
        Cells; None prints as a dash.
    right
        Headings of the columns that are aligned to the right.
    title
        Line above the table.
    expendable
        Headings of the columns to leave out first where there is no room for all.
    dim
        Numbers of the rows that are greyed on a terminal.
    """
    from pereggrn_data.cli.terminal_tables import lay_out

    names = [one_line(column) for column in columns]
    cells = [["-" if cell is None else one_line(cell) for cell in row] for row in rows]
    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal and not Manner.wide else None
    made = lay_out(names, cells, right=right, width=width, expendable=expendable)
    rule = "─" if "utf" in (sys.stdout.encoding or "").lower() else "-"
    longest = max(map(len, (*made.heading, *made.body)))
    lines = [] if title is None else [one_line(title)]
    lines += [typer.style(line, bold=True) for line in made.heading]
    lines += [rule * min(longest, width or longest)]
    for row, line in zip(made.row_of, made.body, strict=True):
        lines.append(typer.style(line, dim=True) if row in dim else line)
    # typer.echo takes the style away where stdout is no terminal.
    emit("\n".join(lines), styled=True)
    if made.left_out:
        left_out = f"Not shown, for lack of room: {', '.join(made.left_out)}. --wide shows all."
        for line in _fitting(left_out, on_terminal=on_terminal):
            say(line)


def run(app: typer.Typer, prog_name: str) -> None:
    """Run a program: print errors of the user's making in a few lines, and exit with their code.

    ``--debug`` may stand anywhere on the command line; it shows tracebacks.
    """
    arguments = [at_home(a) for a in sys.argv[1:] if a != DEBUG_FLAG]
    debug = DEBUG_FLAG in sys.argv[1:]
    open_closed_streams()
    try:
        with _errors_become_exit_codes(debug):
            app(args=arguments, prog_name=prog_name)
    finally:
        settle_stderr()


def at_home(argument: str) -> str:
    """Expand ``~/`` where shells do not: after ``--name=``, and between quotes.

    Examples
    --------
    >>> at_home("--output=there/~/file")
    '--output=there/~/file'
    """
    if "{dir}" in argument:  # a command, which is divided into words first
        return argument
    name, equals, value = argument.partition("=")
    if argument.startswith("--") and value.startswith("~/"):
        return f"{name}{equals}{os.path.expanduser(value)}"  # noqa: PTH111 - keeps the rest as it is
    return os.path.expanduser(argument) if argument.startswith("~/") else argument  # noqa: PTH111


@contextmanager
def _errors_become_exit_codes(debug: bool) -> Iterator[None]:
    try:
        yield
    except PereggrnError as error:
        if debug:
            raise
        complain(error)
        raise SystemExit(error.exit_code) from None
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:
            say("interrupted.")
        raise
    except Exception as error:
        if debug:
            raise
        if (reason := explained(error)) is not None:
            complain(reason)
            raise SystemExit(reason.exit_code) from None
        insist(f"internal error: {type(error).__name__}: {error}")
        insist(
            f"  This is a bug in pereggrn-data. Run the same command with {DEBUG_FLAG} "
            "and report what it prints."
        )
        _insist_on_notes(error)
        raise SystemExit(ExitCode.INTERNAL) from None
