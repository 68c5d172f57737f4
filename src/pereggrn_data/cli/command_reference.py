"""The reference of a program's commands, for the documentation: made from the commands."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from pereggrn_data.cli.programs import SHARED


def command_reference(program: typer.Typer) -> str:
    """Return all commands of a program in Markdown: purpose, example, arguments, options.

    Parameters
    ----------
    program
        One of the two programs.

    Returns
    -------
    str
        A heading of the third level for each command. An example is a block of
        ``console``; one whose comment says what it would need is marked as not run.
    """
    group = typer.main.get_command(program)
    return "\n".join(_pages(group, typer.main.get_command_name(group.name or "")))


def _pages(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _pages(command, f"{path} {name}")
        else:
            yield from _page(command, f"{path} {name}")


def _page(command: Any, path: str) -> Iterator[str]:
    context = command.context_class(command, info_name=path)
    everywhere = [{"--help"}, *(set(names) for _, names, _ in SHARED)]
    yield f"### `{path}`"
    yield ""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield " ".join(paragraph.split())
        yield ""
    lines = command.epilog.splitlines()
    needs = [line.split("  # ")[1] for line in lines if "  # " in line]
    if needs:
        yield f"<!-- not run: {needs[0]} -->"
    yield "```console"
    # A line after one that ends in a backslash goes on with it.
    goes_on = False
    for line in lines:
        yield line if goes_on else f"$ {line}"
        goes_on = line.endswith("\\")
    yield "```"
    yield ""
    yield f"Usage: `{path} {' '.join(command.collect_usage_pieces(context))}`"
    for heading, records in command.sections(context).items():
        records = [record for record in records if set(record[0].split(", ")) not in everywhere]
        if records:
            yield ""
            yield f"| {heading[0].lower()}{heading[1:]} | |"
            yield "|---|---|"
            yield from (f"| `{_cell(names)}` | {_cell(text)} |" for names, text in records)
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
