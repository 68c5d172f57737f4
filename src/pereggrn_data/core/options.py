"""Options: each is a field of a frozen dataclass, and everything else derives from the field.

A field made by :func:`option` holds its default, its help, its choices and its
range. Command-line parameters, validation, ``split.json``, docstrings, the
signatures of Python functions and the tables of the documentation are read
from there, so that a new option is one field and the code that obeys it.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from numbers import Integral
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pereggrn_data.core.errors import UnknownNameError, UsageError, or_list, with_article

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_KEY = "option"
PLACEHOLDER = "{options}"
"""Where a docstring gets the descriptions of its options."""


@dataclass(frozen=True)
class Option:
    """What is known of one option.

    Parameters
    ----------
    name
        Of the field.
    default
        Its value where nothing is said.
    help
        One sentence or two. ``{choices}`` stands for the choices, and the name
        of another option in braces for that option.
    choices
        The values that there are, or a function that returns them: a registry
        may take long to import, so it is asked when it is needed. None: anything.
    noun
        What a value is called in errors.
    help_off
        Of the flag that switches it off, where it is on by default.
    flags
        On the command line; by default ``--`` and the name.
    minimum
        The least whole number.
    applies_to
        Types of split that heed it; empty for all.
    needs
        Options of which one must be given with it.
    kind
        Type of what the command line takes: bool, int, float, str, Path or list.
    parse
        From what the command line takes to the field's value.
    finer
        Whether the command line lists it apart, among the finer choices.
    shown
        The default, as the help shows it.
    """

    name: str
    default: Any
    help: str
    choices: tuple[str, ...] | Callable[[], Iterable[str]] | None
    noun: str
    help_off: str | None
    flags: tuple[str, ...]
    minimum: int | None
    applies_to: tuple[str, ...]
    needs: tuple[str, ...]
    kind: type
    parse: Callable[[Any], Any] | None
    finer: bool
    shown: str

    def differs(self, value: object) -> bool:
        """Whether a value is another one than the default."""
        # An array would compare element by element.
        return value is not None if self.default is None else bool(value != self.default)

    @property
    def known(self) -> list[str]:
        """The choices; empty where anything goes."""
        found = self.choices() if callable(self.choices) else self.choices
        return [] if found is None else [str(choice) for choice in found]

    def words(self, value: object, flag: str | None = None) -> list[str]:
        """Return what to type for a value of the field that is not the default.

        Parameters
        ----------
        value
            The value; of those with ``parse``, as it is typed.
        flag
            Another name than the option's own.
        """
        name = self.flags[0] if flag is None else flag
        if isinstance(value, bool):
            return [name]
        several = value if isinstance(value, (list, tuple)) else (value,)
        return [word for one in several for word in (name, str(one))]

    def text(self, shown_as: Mapping[str, str], *, ask: bool = True) -> str:
        """Return the help, with other options as they are called there.

        Parameters
        ----------
        shown_as
            What options are called, by the names of their fields.
        ask
            Whether a registry may be imported for the choices.
        """
        later = callable(self.choices) and not ask
        choices = "the names that ``--help`` lists" if later else or_list(self.known)
        text = self.help.format(choices=choices, **shown_as)
        return f"{', '.join(self.applies_to)}: {text}" if self.applies_to else text


def plain(value: object) -> Any:
    """Return a value of an option as JSON has it; None for what has no name, such as an array.

    Examples
    --------
    >>> plain([Path("a.csv"), "b"]), plain([{}])
    (['a.csv', 'b'], None)
    """
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        parts = [plain(part) for part in value]
        return None if None in parts else parts
    return value if isinstance(value, (bool, int, float, str)) else None


def option(
    default: Any = MISSING,
    *,
    help: str,
    default_factory: Any = MISSING,
    choices: Iterable[str] | Callable[[], Iterable[str]] | None = None,
    noun: str | None = None,
    help_off: str | None = None,
    flags: Sequence[str] = (),
    minimum: int | None = None,
    applies_to: Sequence[str] = (),
    needs: Sequence[str] = (),
    kind: type | None = None,
    parse: Callable[[Any], Any] | None = None,
    finer: bool = False,
    shown: str | None = None,
) -> Any:
    """Make the field of an option; see :class:`Option` for the parameters."""
    if choices is not None and (isinstance(choices, type) or not callable(choices)):
        choices = tuple(str(choice) for choice in cast("Iterable[str]", choices))
    about = {
        "help": help,
        "choices": choices,
        "noun": noun,
        "help_off": help_off,
        "flags": tuple(flags),
        "minimum": minimum,
        "applies_to": tuple(applies_to),
        "needs": tuple(needs),
        "kind": kind,
        "parse": parse,
        "finer": finer,
        "shown": shown,
    }
    if default_factory is not MISSING:
        return field(default_factory=default_factory, metadata={_KEY: about})
    return field(default=default, metadata={_KEY: about})


def options_of(cls: type) -> dict[str, Option]:
    """Return the options of a dataclass by name, in the order of its fields, finer ones last."""
    if cls not in _READ:
        hints = get_type_hints(cls)
        found = [_option_of(f, hints[f.name]) for f in fields(cls)]
        _READ[cls] = {about.name: about for about in sorted(found, key=lambda about: about.finer)}
    return _READ[cls]


_READ: dict[type, dict[str, Option]] = {}
"""What was read of classes, which do not change."""


def _option_of(declared: Field[Any], hint: Any) -> Option:
    about = dict(declared.metadata[_KEY])
    default = declared.default if declared.default is not MISSING else None
    if declared.default_factory is not MISSING:
        default = declared.default_factory()
    about["noun"] = about["noun"] or declared.name.replace("_", " ")
    about["flags"] = about["flags"] or (f"--{declared.name.replace('_', '-')}",)
    about["kind"] = about["kind"] or _kind(hint)
    if about["shown"] is None:
        about["shown"] = "" if default in (None, False, True, (), "", {}) else f"{default}"
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            about["shown"] = f"{default:g}"
    return Option(name=declared.name, default=default, **about)


def _kind(hint: Any) -> type:
    """Return what the command line takes for a value of this type."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    plain = [p for p in parts if p in (bool, int, float, Path, str)]
    if Path in plain:
        return Path
    if plain:
        first: type = plain[0]
        return first
    return list


def normalise(options: Any) -> None:
    """Give lists and whole numbers their plain types: a single name may stand by itself."""
    for name, about in options_of(type(options)).items():
        value = getattr(options, name)
        if isinstance(about.default, tuple) and about.kind is list:
            if not isinstance(value, Iterable) or isinstance(value, bytes):
                raise UsageError(
                    f"These are no values of {about.noun!r}.",
                    expected="a list of names, or one name",
                    got=with_article(type(value).__name__),
                    fix=f"give {name} as a list.",
                )
            names = (value,) if isinstance(value, str) else tuple(map(str, value))
            object.__setattr__(options, name, names)
        elif about.minimum is not None and _is_whole(value):
            object.__setattr__(options, name, int(value))
        elif about.choices is not None and value is not None:
            object.__setattr__(options, name, str(value))


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_choices(options: Any) -> None:
    """Check that every value is one of the choices, where there are some.

    Raises
    ------
    UnknownNameError
        With near matches.
    """
    for name, about in options_of(type(options)).items():
        value = getattr(options, name)
        if about.choices is None or not about.differs(value):
            continue
        known = about.known
        for given in value if isinstance(value, tuple) else (value,):
            if str(given) not in known:
                raise UnknownNameError(about.noun, str(given), known)


def check_options(options: Any) -> None:
    """Check choices and ranges.

    Raises
    ------
    UnknownNameError
        For a value that is not among the choices.
    UsageError
        For a number out of range.
    """
    check_choices(options)
    for name, about in options_of(type(options)).items():
        value = getattr(options, name)
        if about.minimum is None or (value is None and about.default is None):
            continue
        if not _is_whole(value) or value < about.minimum:
            raise UsageError(
                f"That is no {about.noun}.",
                expected=f"a whole number, {about.minimum} or more",
                got=repr(value),
            )


def one_of(cls: type[T], options: T | None, given: Mapping[str, Any]) -> T:
    """Return the options that were given, as an object or by name.

    Raises
    ------
    UsageError
        If both were given, or the object is of another class.
    """
    if options is None:
        return cls(**given)
    if not isinstance(options, cls):
        raise UsageError(
            "The options cannot be understood.",
            expected=f"{cls.__name__}(...)",
            got=with_article(type(options).__name__),
        )
    if given:
        raise UsageError(
            "Options were given twice, in an object and by name.",
            expected=f"options={cls.__name__}(...), or the names",
            got=f"both, with {', '.join(given)}",
        )
    return options


def _described(cls: type, without: Sequence[str] = (), *, ask: bool = True) -> str:
    """Return the lines of a numpydoc section."""
    own = {name: f"`{name}`" for name in options_of(cls)}
    lines = []
    for name, about in options_of(cls).items():
        if name not in without:
            text = about.text(own, ask=ask)
            lines += [name, *textwrap.wrap(text, 80, initial_indent=_IN, subsequent_indent=_IN)]
    return "\n".join(lines)


_IN = " " * 4


def documented(cls: type[T]) -> type[T]:
    """Describe the options in the docstring of their class."""
    if cls.__doc__ and PLACEHOLDER in cls.__doc__:
        cls.__doc__ = _filled(cls.__doc__, cls, ask=False)
    return cls


def takes(cls: type, *, without: Sequence[str] = ()) -> Callable[[F], F]:
    """Make a function's signature and docstring name the options that it takes by keyword.

    Parameters
    ----------
    cls
        The dataclass whose fields the function takes as ``**choices``.
    without
        Fields that it declares itself.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        hints = {f.name: f.type for f in fields(cls)}
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=about.default,
                              annotation=hints[name])
            for name, about in options_of(cls).items()
            if name not in without
        ]  # fmt: skip
        function.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
        if function.__doc__:
            function.__doc__ = _filled(function.__doc__, cls, without)
        return function

    return decorate


def _filled(text: str, cls: type, without: Sequence[str] = (), *, ask: bool = True) -> str:
    section = _described(cls, without, ask=ask)
    return inspect.cleandoc(text).replace(PLACEHOLDER, section)


def options_table(cls: type) -> str:
    """Return the documentation's table of a class's options, as Markdown."""
    flags = {name: f"`{about.flags[0]}`" for name, about in options_of(cls).items()}
    lines = ["| option | in Python | default | meaning |", "|" + "---|" * 4]
    for name, about in options_of(cls).items():
        shown = f"`{about.shown}`" if about.shown else ""
        # A flag that takes something away is described as it is.
        meaning = (about.help_off or about.text(flags)).replace("|", "\\|")
        in_python = f"{name}=False" if about.help_off else name
        lines.append(f"| {', '.join(f'`{f}`' for f in about.flags)} | `{in_python}` | {shown} "
                     f"| {meaning} |")  # fmt: skip
    return "\n".join(lines)
