"""What to make of findings: options of `validate`, on the command line and in pyproject.toml."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import InvalidDataError, UnknownNameError, UsageError, with_article
from pereggrn_data.core.options import check_choices, documented, normalise, option, options_of
from pereggrn_data.core.reports import Report, Severity
from pereggrn_data.loaders.files import read_toml

SETTINGS_FILE = "pyproject.toml"
SECTION = "pereggrn"
NEVER_IGNORED = ("file-unreadable",)
"""A file that cannot be read was not checked at all."""


class FailOn(StrEnum):
    """From which severity on a finding makes the exit code 1."""

    ERROR = "error"
    WARNING = "warning"


def _codes() -> Iterable[str]:
    from pereggrn_data.validators import RULES

    return [code for code in RULES if code not in NEVER_IGNORED]


@documented
@dataclass(frozen=True)
class ValidateOptions:
    """What to make of findings.

    Parameters
    ----------
    {options}

    Raises
    ------
    UnknownNameError
        For a value that is not among the choices.
    """

    ignore: tuple[str, ...] = option(
        (),
        choices=_codes,
        noun="rule that can be ignored",
        help="Leave out findings with this code (--rules lists them); repeatable.",
    )
    fail_on: str = option(
        str(FailOn.ERROR),
        choices=FailOn,
        noun="severity",
        help="Exit with 1 for findings of this severity: {choices} (which is either).",
    )

    def __post_init__(self) -> None:
        normalise(self)
        check_choices(self)

    def kept(self, report: Report) -> Report:
        """Return a report without the findings that are ignored."""
        return replace(
            report, findings=tuple(f for f in report.findings if f.code not in self.ignore)
        )

    def fails(self, report: Report) -> bool:
        """Whether a report makes the exit code 1."""
        return not report.valid or (
            self.fail_on == FailOn.WARNING
            and any(f.severity is Severity.WARNING for f in report.findings)
        )


def settings_near(folder: Path) -> tuple[dict[str, Any], Path | None]:
    """Read ``[tool.pereggrn]`` of the nearest pyproject.toml that has one.

    Parameters
    ----------
    folder
        Where to begin; then the folders above it are looked at.

    Returns
    -------
    dict, Path or None
        Values of :class:`ValidateOptions` by field; and the file, if there is one.

    Raises
    ------
    UsageError
        If the file cannot be read, or a key or a value is not one that there is.
    """
    for place in (folder, *folder.parents):
        file = place / SETTINGS_FILE
        if not file.is_file():
            continue
        try:
            tool = read_toml(file).get("tool", {})
        except InvalidDataError as error:
            got = error.got or error.what
            raise UsageError(f"The settings in {file} cannot be read.", got=got) from None
        if isinstance(tool, dict) and SECTION in tool:
            return _checked(tool[SECTION], file), file
    return {}, None


def _checked(section: object, file: Path) -> dict[str, Any]:
    if not isinstance(section, Mapping):
        raise UsageError(
            f"[tool.{SECTION}] of {file} cannot be understood.",
            expected="a table of settings",
            got=with_article(type(section).__name__),
        )
    known = {name.replace("_", "-"): about for name, about in options_of(ValidateOptions).items()}
    values: dict[str, Any] = {}
    for key, value in section.items():
        if key not in known:
            raise UnknownNameError(f"setting of [tool.{SECTION}] in {file}", key, known)
        wanted = list if known[key].kind is list else str
        texts = value if isinstance(value, list) else [value]
        if not isinstance(value, wanted) or not all(isinstance(text, str) for text in texts):
            raise UsageError(
                f"The setting {key} of [tool.{SECTION}] in {file} cannot be understood.",
                expected="a list of codes" if wanted is list else "text",
                got=repr(value),
            )
        values[known[key].name] = value
    ValidateOptions(**values)
    return values
