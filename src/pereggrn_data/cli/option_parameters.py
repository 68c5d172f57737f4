"""Turn the options of the pipelines into parameters of commands, and back.

A command says which dataclasses it takes; its parameters, their help and their
defaults are read from the fields (:mod:`pereggrn_data.core.options`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, get_type_hints

import typer
from typer.core import TyperOption

from pereggrn_data.cli.programs import HelpfulApp, HelpfulCommand
from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.options import Option, options_of
from pereggrn_data.core.resources import Resources, using

T = TypeVar("T")

FINER = "Finer choices of the split"
_KINDS: dict[type, Any] = {list: list[str]}


@dataclass(frozen=True)
class OptionGroup:
    """The options of one dataclass, as one command shows them.

    Parameters
    ----------
    options
        The dataclass.
    panel
        Heading in the help.
    without
        Options that the command does not take.
    instead
        Other flags than the field's own, where another option has these.
    also
        What an option means to this command besides.
    """

    options: type
    panel: str | None = None
    without: tuple[str, ...] = ()
    instead: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> dict[str, Option]:
        """The options that the command takes, by name of the parameter."""
        return {n: o for n, o in options_of(self.options).items() if n not in self.without}

    def flags(self, about: Option) -> tuple[str, ...]:
        """Return the names of an option on this command line."""
        given = self.instead.get(about.name, about.flags)
        return (given,) if isinstance(given, str) else given

    def help(self, about: Option) -> str:
        """Return what the help says of an option; this may import a registry."""
        if about.help_off is not None:
            return about.help_off
        named = {name: self.flags(o)[0] for name, o in options_of(self.options).items()}
        text = about.text(named)
        return f"{text} {self.also[about.name]}" if about.name in self.also else text

    def parameter(self, about: Option) -> inspect.Parameter:
        """Return a command's parameter for an option.

        No default is filled in, so that what was said is told from what was not.
        """
        is_flag = about.kind is bool
        kind = _KINDS.get(about.kind, about.kind)
        declared = typer.Option(
            *self.flags(about),
            min=about.minimum,
            rich_help_panel=FINER if about.finer else self.panel,
        )
        return inspect.Parameter(
            about.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if is_flag else None,
            annotation=Annotated[kind if is_flag else kind | None, declared],
        )

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the fields that were said on the command line.

        Raises
        ------
        UsageError
            If one makes no difference without another one.
        """
        # 0 is said, although it equals False.
        said = {
            name: given[name]
            for name in self.shown
            if given[name] is not None and given[name] is not False and given[name] != []
        }
        for needed in {self.shown[name].needs: None for name in said}:
            if needed and not any(name in said for name in needed):
                self._refuse(needed, [name for name in said if self.shown[name].needs == needed])
        return {name: self._value(self.shown[name], value) for name, value in said.items()}

    def arguments(self, said: Mapping[str, Any], without: Sequence[str] = ()) -> list[str]:
        """Return what to type for values that were `read`.

        Parameters
        ----------
        said
            The values of the fields; of those with ``parse``, as they were typed.
        without
            Fields that are left out.
        """
        shown = self.shown
        return [
            word
            for name, value in said.items()
            if name not in without
            for word in shown[name].words(value, self.flags(shown[name])[0])
        ]

    def _value(self, about: Option, value: Any) -> Any:
        if about.kind is bool:
            return not about.default
        return value if about.parse is None else about.parse(value)

    def _refuse(self, needed: tuple[str, ...], useless: list[str]) -> None:
        options = options_of(self.options)
        flags = [self.flags(options[name])[0] for name in useless]
        wanted = " or ".join(self.flags(options[name])[0] for name in needed)
        raise UsageError(
            f"{flags[0]} makes no difference here.",
            expected=f"{wanted} with {' and '.join(flags)}",
            fix="leave it out.",
        )


LIMITS = OptionGroup(Resources, panel="Memory and threads")
"""Of every command that reads in blocks."""

MEMORY = OptionGroup(Resources, panel="Memory", without=("threads",))
"""Of those that read in blocks and compute in one thread, or in as many as models say."""


class Said:
    """What was said on a command line, by class of options."""

    def __init__(self, values: Mapping[type, dict[str, Any]]) -> None:
        self._values = values

    def of(self, options: type) -> dict[str, Any]:
        """Return the fields that were said."""
        return self._values[options]

    def options(self, options: type[T]) -> T | None:
        """Return the options; None if nothing was said."""
        values = self.of(options)
        return options(**values) if values else None


def add_command(
    app: HelpfulApp,
    name: str,
    function: Callable[..., None],
    groups: Sequence[OptionGroup],
    *,
    example: str,
) -> None:
    """Register a command that takes groups of options beside its function's own parameters.

    Parameters
    ----------
    app
        The program.
    name
        Of the command.
    function
        It gets :class:`Said` as its first argument.
    groups
        The options.
    example
        What to type, as in :meth:`HelpfulApp.command`.
    """
    hints = get_type_hints(function, include_extras=True)
    declared = list(inspect.signature(function).parameters.values())[1:]
    own = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in declared]
    parameters = [
        *(p for p in own if p.default is p.empty),
        *(g.parameter(about) for g in groups for about in g.shown.values()),
        *(p for p in own if p.default is not p.empty),
    ]

    def run(**given: Any) -> None:
        said = Said({g.options: g.read(given) for g in groups})
        limited = any(g.options is Resources for g in groups)
        with using(said.options(Resources) if limited else None):
            function(said, **{p.name: given[p.name] for p in own})

    # typer reads names, types and defaults from here; two of one name are an error.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__doc__ = function.__doc__
    app.command(name, example=example, cls=_command_class(groups))(run)


def _command_class(groups: Sequence[OptionGroup]) -> type[HelpfulCommand]:
    """Return a command that asks the registries for its help when it is shown, and not before."""
    about = {name: (g, option) for g in groups for name, option in g.shown.items()}

    class Described(HelpfulCommand):
        def sections(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
            for parameter in self.params:
                if isinstance(parameter, TyperOption) and parameter.name in about:
                    group, option = about[parameter.name]
                    parameter.help = group.help(option)
                    parameter.default = option.shown or None
            return super().sections(ctx)

    return Described
