"""What an adapter says of itself: the comment at the head of its program, and nothing else.

The header is inline script metadata (PEP 723): Python's version and the packages that the
program imports, so that it can be run by hand as well, and a table ``[tool.pereggrn]`` with
what users should know before they install anything.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingFileError,
    UnknownNameError,
    UsageError,
    first_few,
    lines_of,
)
from pereggrn_data.core.sizes import parse_memory

SUFFIX = "_adapter"
"""At the end of the programs' names: one that is called like a package would hide it."""

LOCK_SUFFIX = ".lock"
MADE = "made"
"""Value of an option that stands for a file: something small is made up, for checks only."""

OURS, UV = "pereggrn", "uv"
LONGEST = 1 << 20
_OPEN, _CLOSE = "# /// script", "# ///"


@dataclass(frozen=True)
class ProgramOption:
    """What a program takes by ``--argument NAME=VALUE``.

    Parameters
    ----------
    help
        One sentence.
    required
        Whether the program cannot do without.
    path
        Whether it names a file or folder, which has to be there.
    """

    help: str
    required: bool = False
    path: bool = False


@dataclass(frozen=True)
class Adapter:
    """A published method in an environment of its own.

    Parameters
    ----------
    program
        Path of the program.
    requires_python
        Version specifier of its Python.
    dependencies
        The packages that it imports, with the versions that go together.
    summary
        What it does, in one line.
    reference
        Where it is described.
    licence
        Of the method's own packages, as users should know it before they install them.
    needs
        What users have to bring.
    size
        Of the environment, for example ``6 GB``.
    tried
        What it was run on, and on what it was not.
    options
        By name, what it takes.
    heeds
        Choices of the grammar that it heeds; others are refused.
    notes
        What users should know of each forecast.
    check
        Arguments with which it runs on the demo.
    exclude_newer
        Packages that appeared after this time are not considered; None for no limit.
    """

    program: Path
    requires_python: str
    dependencies: tuple[str, ...]
    summary: str
    reference: str
    licence: str
    needs: str
    size: str
    tried: str
    options: Mapping[str, ProgramOption] = field(default_factory=dict)
    heeds: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    check: Mapping[str, Any] = field(default_factory=dict)
    exclude_newer: str | None = None

    @property
    def name(self) -> str:
        """By which users ask for it."""
        return self.program.stem.removesuffix(SUFFIX)

    @property
    def lock(self) -> Path:
        """Every package of its environment, with version and checksums; beside the program."""
        return self.program.with_name(self.program.name + LOCK_SUFFIX)

    @property
    def size_bytes(self) -> int:
        """Of the environment."""
        return parse_memory(self.size.replace(" ", ""))

    @property
    def lines(self) -> list[str]:
        """What is said of it before it is installed."""
        return [
            f"{self.name}: {self.summary}",
            f"licence: {self.licence}",
            f"needs: {self.needs}",
            f"environment: {self.size}, Python {self.requires_python}",
            f"tried: {self.tried}",
        ]

    def checked_arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments with absolute paths.

        Raises
        ------
        UnknownNameError
            If there is no such option.
        UsageError
            If one that the program needs is missing.
        MissingFileError
            If a file is not there.
        """
        for name in given:
            if name not in self.options:
                raise UnknownNameError(f"argument of {self.name}", name, list(self.options))
        missing = [n for n, o in self.options.items() if o.required and n not in given]
        if missing:
            raise UsageError(
                f"{self.name} needs {first_few(missing)}.",
                expected=" ".join(f"-a {n}=..." for n in missing),
                fix=" ".join(f"{n}: {self.options[n].help}" for n in missing),
            )
        found = dict(given)
        for name, value in given.items():
            if self.options[name].path and value != MADE:
                path = Path(str(value)).expanduser()
                if not path.exists():
                    raise MissingFileError.at(
                        path, f"There is no {path}, which {name} of {self.name} names."
                    )
                found[name] = str(path.absolute())
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        plain = ("summary", "reference", "licence", "needs", "size", "tried", "requires_python")
        return {
            "name": self.name,
            "kind": "adapter",
            **{name: getattr(self, name) for name in plain},
            "options": {name: about.help for name, about in self.options.items()},
        }


def read_adapter(program: Path) -> Adapter:
    """Read the header of a program; the program itself is not run.

    Raises
    ------
    MissingFileError
        If it is not there.
    InvalidDataError
        If it has no such header, or one with other keys.
    """
    try:
        with program.open("rb") as file:
            text = file.read(LONGEST).decode("utf-8")
    except FileNotFoundError:
        raise MissingFileError.at(program, f"There is no program {program}.") from None
    except (OSError, ValueError) as error:
        raise _unreadable(program, lines_of(error)[0]) from error
    try:
        found = tomllib.loads(_header(program, text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _unreadable(program, lines_of(error)[0]) from error
    try:
        tools = dict(found["tool"])
        ours = dict(tools[OURS])
        about = {
            "requires_python": str(found["requires-python"]),
            "dependencies": tuple(map(str, found["dependencies"])),
            "exclude_newer": tools.get(UV, {}).get("exclude-newer"),
            **{n: tuple(map(str, ours.pop(n, ()))) for n in ("heeds", "notes")},
            "options": {n: ProgramOption(**o) for n, o in ours.pop("options", {}).items()},
        }
        made = Adapter(program=program, **about, **ours)
        texts = [getattr(made, f.name) for f in fields(Adapter) if f.type == "str"]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a value that should be text is none")
        made.size_bytes  # noqa: B018 - it says so if it is no size
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise _unreadable(program, f"{type(error).__name__}: {lines_of(error)[0]}") from error
    return made


def _header(program: Path, text: str) -> str:
    """Return the TOML text between the marks of inline script metadata."""
    lines = text.splitlines()
    if _OPEN not in lines:
        raise _unreadable(program, f"no line {_OPEN!r}")
    inside: list[str] = []
    for line in lines[lines.index(_OPEN) + 1 :]:
        if line == _CLOSE:
            return "\n".join(inside)
        if not line.startswith("#"):
            break
        inside.append(line[2:] if line.startswith("# ") else line[1:])
    raise _unreadable(program, f"{_OPEN!r} without {_CLOSE!r}")


def _unreadable(program: Path, got: str) -> InvalidDataError:
    required = [f.name for f in fields(Adapter) if f.type == "str"]
    return InvalidDataError(
        f"{program.name} does not say what it is.",
        expected="inline script metadata (PEP 723) with requires-python, dependencies and a "
        f"table [tool.{OURS}]: {', '.join(required)}; options, heeds, notes and check if it "
        "has any",
        got=got,
        fix="docs/howto/adapters.md has an example.",
    )


@cache
def adapters() -> tuple[Adapter, ...]:
    """Return the adapters of this package, by name."""
    return tuple(
        read_adapter(path) for path in sorted(Path(__file__).parent.glob(f"*{SUFFIX}.py"))
    )


def find_adapter(named: str) -> Adapter | None:
    """Return the adapter of a name, or of the path of a program; None if there is none.

    Raises
    ------
    MissingFileError, InvalidDataError
        If a path is given, and it is that of no adapter.
    """
    if named.endswith(".py"):
        return read_adapter(Path(named).absolute())
    return next((adapter for adapter in adapters() if adapter.name == named), None)


def adapters_table() -> str:
    """Return all adapters as a Markdown table, which ``docs/howto/adapters.md`` holds."""
    lines = [
        "| Adapter | What it does | Licence | It needs | Environment | Tried | Reference |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{a.name}` | {a.summary} | {a.licence} | {a.needs} | {a.size} | {a.tried} "
        f"| {a.reference} |"
        for a in adapters()
    ]
    options = ["", "| Adapter | Option | What it says |", "|---|---|---|"]
    options += [
        f"| `{a.name}` | `{name}`{' (needed)' if about.required else ''} | {about.help} |"
        for a in adapters()
        for name, about in a.options.items()
    ]
    return "\n".join([*lines, *options])
