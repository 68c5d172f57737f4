"""Programs and their commands: what all of them take, and help that breaks no word.

Every command has ``--quiet`` and ``--wide`` of its own, refuses an option that
is said twice with two values, and lists its options under the headings of their
panels. typer's own pages cut long names of options short on a terminal of 80
columns; these never do.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from pereggrn_data.cli.output import DEBUG_FLAG, Manner, emit
from pereggrn_data.cli.terminal_tables import wrapped
from pereggrn_data.core.errors import EXIT_CODE_MEANINGS
from pereggrn_data.core.foreign_reading import trust_files, trusts_files

MOST_COLUMNS = 100
"""Longer lines are hard to read."""

NAMES = 26
"""Width of the column of names; a longer name has a line of its own."""

EXIT_CODES = "\n".join(f"{code.value:2}  {text}" for code, text in EXIT_CODE_MEANINGS.items())
_NO_PANEL = "Options"

TRUST = "trust"

SHARED = (
    ("wide", ("--wide",), "Print tables as wide as they are, on a terminal too."),
    ("quiet", ("--quiet", "-q"), "No progress, and no messages but warnings and errors."),
    (
        TRUST,
        ("--trust",),
        "Do not look through files in a process of its own before they are read.",
    ),
)
"""The options that every command has: attributes of :class:`Manner`, and trust in files."""


def shared_arguments() -> list[str]:
    """Return what to type for the options of every command that were said."""
    said = {**vars(Manner), TRUST: trusts_files()}
    return [flags[0] for name, flags, _ in SHARED if said[name]]


def _manner(name: str) -> Callable[[bool], None]:
    def note(value: bool) -> None:
        if value and name == TRUST:
            trust_files()
        elif value:
            setattr(Manner, name, True)

    return note


class _Page:
    """How a command or a group of them shows its help, and reads its arguments."""

    params: list[Any]
    help: str | None
    epilog: str | None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not ctx.resilient_parsing:
            _refuse_slips(self, ctx, args)
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        return rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        width = min(shutil.get_terminal_size().columns, MOST_COLUMNS)
        formatter.write("\n".join(self._page(ctx, width)) + "\n")

    def _page(self, ctx: Any, width: int) -> Iterator[str]:
        usage = f"{ctx.command_path} {' '.join(self.collect_usage_pieces(ctx))}"  # type: ignore[attr-defined]
        yield typer.style(f"Usage: {usage}", bold=True)
        for paragraph in inspect.cleandoc(self.help or "").split("\n\n"):
            yield ""
            yield from wrapped(" ".join(paragraph.split()), width)
        for heading, records in self.sections(ctx).items():
            if records:
                yield ""
                yield typer.style(f"{heading}:", bold=True)
            for names, text in records:
                yield from _record(names, text, width)
        if self.epilog:
            yield ""
            yield typer.style("Example:", bold=True)
            # Never wrapped: it is there to be copied.
            yield from (f"  {line}" for line in self.epilog.splitlines())
        if ctx.parent is None:
            yield ""
            yield typer.style("Exit codes:", bold=True)
            yield from (f"  {line}" for line in EXIT_CODES.splitlines())

    def sections(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
        """Return names and help of arguments, options and commands, by heading."""
        # What a command is mostly told comes first, and what may be refined follows.
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], _NO_PANEL: []}
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            panel = getattr(parameter, "rich_help_panel", None) or _NO_PANEL
            if parameter.param_type_name == "argument":
                panel = "Arguments"
            sections.setdefault(panel, []).append(record)
        commands = getattr(self, "commands", {})
        sections["Commands"] = [(name, _first_line(command)) for name, command in commands.items()]
        return sections


def _first_line(command: Any) -> str:
    return " ".join(inspect.cleandoc(command.help or "").split("\n\n")[0].split())


def _record(names: str, text: str, width: int) -> Iterator[str]:
    lines = wrapped(" ".join(text.split()), max(20, width - NAMES - 4))
    head = f"  {names}"
    if len(head) > NAMES + 2:
        yield head
        head = ""
    for line in lines:
        yield f"{head:{NAMES + 4}}{line}".rstrip()
        head = ""


def _refuse_slips(command: Any, ctx: Any, args: list[str]) -> None:
    """Stop if an option that takes one value is given several: the last would win unseen.

    Stop as well where the output is empty, which would be the folder where one is.
    """
    said, _, order = command.make_parser(ctx).parse_args(args=list(args))
    for option in order:
        takes_one = isinstance(option, TyperOption) and not (option.is_flag or option.multiple)
        if takes_one and order.count(option) > 1:
            times = order.count(option)
            ctx.fail(f"{option.opts[0]} is given {times} times, and takes one value.")
        if "--output" in option.opts and said.get(option.name) == "":
            ctx.fail("--output is empty, as a variable of the shell is that is not set.")


class HelpfulCommand(_Page, TyperCommand):
    """A command of a program."""


class HelpfulGroup(_Page, TyperGroup):
    """A program, or a group of its commands."""


class HelpfulApp(typer.Typer):
    """A program, or a group of its commands, whose commands have the options of all."""

    def command(  # type: ignore[override]
        self, name: str | None = None, *, example: str, cls: type[Any] = HelpfulCommand
    ) -> Callable[[Any], Any]:
        """Register a command.

        Parameters
        ----------
        name
            Of the command; by default that of its function.
        example
            One or several lines to type, shown by the help and in the documentation.
            Those of a program are run there one after the other, but for an example
            with a comment, which says what it would need.
        cls
            How the command reads its arguments and shows its help.
        """
        register = super().command(name, cls=cls, epilog=example)

        def decorate(function: Any) -> Any:
            register(_with_shared_options(function))
            return function

        return decorate


def _with_shared_options(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function that takes what every command takes, and heeds it."""
    hints = get_type_hints(function, include_extras=True)
    own = [
        p.replace(annotation=hints[p.name])
        for p in inspect.signature(function).parameters.values()
    ]
    shared = [
        inspect.Parameter(
            f"asked_{manner}",
            inspect.Parameter.KEYWORD_ONLY,
            default=False,
            annotation=Annotated[
                bool,
                typer.Option(*names, callback=_manner(manner), expose_value=False, help=text),
            ],
        )
        for manner, names, text in SHARED
    ]

    def run(**given: Any) -> None:
        function(**{p.name: given[p.name] for p in own})

    parameters = [*own, *shared]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__name__ = function.__name__
    run.__doc__ = function.__doc__
    return run


def new_group(help_text: str) -> HelpfulApp:
    """Make a group of commands."""
    return HelpfulApp(
        help=help_text, cls=HelpfulGroup, no_args_is_help=True, rich_markup_mode=None
    )


def new_app(prog_name: str, help_text: str) -> HelpfulApp:
    """Make a program with the options that all of ours have."""
    app = HelpfulApp(
        name=prog_name,
        help=help_text,
        cls=HelpfulGroup,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
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
        wide: bool = typer.Option(False, *SHARED[0][1], help=SHARED[0][2]),
        quiet: bool = typer.Option(False, *SHARED[1][1], help=SHARED[1][2]),
        trust: bool = typer.Option(False, *SHARED[2][1], help=SHARED[2][2]),
    ) -> None:
        del version, debug  # handled by the callback, and by run()
        Manner.wide, Manner.quiet = wide, quiet
        if trust:
            trust_files()

    return app


def version_callback(prog_name: str) -> Callable[[bool], None]:
    """Return what `--version` of a program does."""

    def show(value: bool) -> None:
        if value:
            import pereggrn_data

            emit(f"{prog_name} {pereggrn_data.__version__}")
            raise typer.Exit

    return show
