"""How every command speaks: results on stdout, messages on stderr, errors without tracebacks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from pereggrn_data.core.errors import EXIT_CODE_MEANINGS, ExitCode, PereggrnError
from pereggrn_data.core.printable import one_line, printable, printable_json
from pereggrn_data.core.strict_json import dumps

DEBUG_FLAG = "--debug"
INTERRUPTED = 130
"""Exit code after Ctrl-C, which typer gives as shells do."""

EXIT_CODES_HELP = "\n\n".join(
    ["Exit codes:", *(f"{code.value}: {text}" for code, text in EXIT_CODE_MEANINGS.items())]
)
"""For the epilog of each program's help."""


def say(message: str) -> None:
    """Print a message or progress on stderr, control characters as escapes."""
    typer.echo(printable(message), err=True)


def emit(text: str, *, styled: bool = False) -> None:
    """Print a result on stdout; a reader that has left (head, less) is no failure.

    Control characters are shown as escapes, unless the text is `styled`: then
    whoever made it has seen to that.
    """
    try:
        typer.echo(text if styled else printable(text))
    except BrokenPipeError:
        # What Python still holds back must not raise again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(ExitCode.OK) from None


def emit_json(value: Any) -> None:
    """Print a result on stdout as strict JSON."""
    emit(printable_json(dumps(value)), styled=True)


def emit_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[str] = (),
    title: str | None = None,
) -> None:
    """Print a table on stdout; nothing is cut when the output is piped.

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
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left")
    table.title = None if title is None else Text(one_line(title), style="table.title")
    for column in columns:
        justify = "right" if column in right else "left"
        table.add_column(Text(one_line(column)), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text("-" if cell is None else one_line(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 10_000, soft_wrap=False)
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().split("\n")]
    emit("\n".join(lines).strip("\n"), styled=True)


def run(app: typer.Typer, prog_name: str) -> None:
    """Run a program: print errors of the user's making in a few lines, and exit with their code.

    ``--debug`` may stand anywhere on the command line; it shows tracebacks.
    """
    arguments = [at_home(a) for a in sys.argv[1:] if a != DEBUG_FLAG]
    debug = DEBUG_FLAG in sys.argv[1:]
    with _errors_become_exit_codes(debug):
        app(args=arguments, prog_name=prog_name)


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
        say(f"error: {error}")
        for note in getattr(error, "__notes__", ()):
            say(f"  {note}")
        raise SystemExit(error.exit_code) from None
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:
            say("interrupted.")
        raise
    except Exception as error:
        if debug:
            raise
        say(
            f"internal error: {type(error).__name__}: {error}\n"
            f"  This is a bug in pereggrn-data. Run the same command with {DEBUG_FLAG} "
            "and report what it prints."
        )
        for note in getattr(error, "__notes__", ()):
            say(f"  {note}")
        raise SystemExit(ExitCode.INTERNAL) from None


def version_callback(prog_name: str) -> Callable[[bool], None]:
    """Return what `--version` of a program does."""

    def show(value: bool) -> None:
        if value:
            import pereggrn_data

            emit(f"{prog_name} {pereggrn_data.__version__}")
            raise typer.Exit

    return show


def new_app(prog_name: str, help_text: str) -> typer.Typer:
    """Make a program with the options that all of ours have."""
    app = typer.Typer(
        name=prog_name,
        help=help_text,
        epilog=EXIT_CODES_HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def options(
        version: bool = typer.Option(
            False,
            "--version",
            callback=version_callback(prog_name),
            is_eager=True,
            help="Show the version and exit.",
        ),
        debug: bool = typer.Option(
            False, DEBUG_FLAG, help="Show the traceback of an error (may stand anywhere)."
        ),
    ) -> None:
        del version, debug  # handled by the callback, and by run()

    return app
