"""What a validator returns: findings, and a report of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.format import Kind
from pereggrn_data.core.printable import message_line, notebook_card, one_line

if TYPE_CHECKING:
    import pandas as pd


class Severity(StrEnum):
    """An error makes a file invalid; a warning never does."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One problem of a file.

    Parameters
    ----------
    code
        A stable name for this kind of problem, for example ``"obs-missing-column"``.
    severity
        Error or warning.
    slot
        Where in the file: ``file``, ``X``, ``raw``, ``obs``, ``var``, ``uns`` or ``edges``.
    column
        The column or key, or None where the whole slot is meant.
    n
        How many rows, genes or values are concerned.
    examples
        The first few of them, by name.
    expected, got
        What the format asks for, and what was found.
    fix
        How to mend it.
    """

    code: str
    severity: Severity
    slot: str
    column: str | None
    n: int
    examples: tuple[str, ...]
    expected: str
    got: str
    fix: str

    @property
    def where(self) -> str:
        """The slot, and the column if there is one."""
        return self.slot if self.column is None else f"{self.slot}[{self.column!r}]"

    def __str__(self) -> str:
        return (
            f"{self.code} in {self.where}{self._shown}: {self.got}; expected {self.expected}. "
            f"Fix: {self.fix}"
        )

    @property
    def _shown(self) -> str:
        if not self.examples:
            return ""
        more = ", ..." if self.n > len(self.examples) else ""
        return f" ({self.n}: {', '.join(self.examples)}{more})"

    def to_lines(self) -> list[str]:
        """Return the finding as lines of text, the first one naming it."""
        first = f"{self.severity}: {self.code} in {self.where}{self._shown}"
        labelled = (("expected", self.expected), ("got", self.got), ("fix", self.fix))
        lines = [first, *(f"  {label + ':':9} {text}" for label, text in labelled)]
        return [message_line(line) for line in lines]


@dataclass(frozen=True)
class Report:
    """Everything that a validator found in one file.

    Parameters
    ----------
    path
        The file, as the user named it.
    kind
        What it was validated as.
    findings
        All problems, errors first.
    """

    path: str
    kind: Kind
    findings: tuple[Finding, ...] = field(default_factory=tuple)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the file invalid."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that do not."""
        return tuple(f for f in self.findings if f.severity is Severity.WARNING)

    @property
    def valid(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    @property
    def counted(self) -> str:
        """The numbers of errors and warnings, in words."""
        counts = Counter(f.severity for f in self.findings)
        parts = [f"{counts[s]} {s}{'s' if counts[s] > 1 else ''}" for s in Severity if counts[s]]
        return ", ".join(parts) or "no findings"

    def raise_if_invalid(self) -> None:
        """Raise if there is an error.

        Raises
        ------
        InvalidDataError
            Naming every error.
        """
        if not self.valid:
            lines = [line for finding in self.errors for line in finding.to_lines()]
            raise InvalidDataError(f"{self.path} cannot be used as {self.kind}.", details=lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON."""
        return {
            "path": self.path,
            "kind": str(self.kind),
            "valid": self.valid,
            "findings": [
                {**asdict(f), "severity": str(f.severity), "examples": list(f.examples)}
                for f in self.findings
            ],
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return the findings, one row each."""
        import pandas as pd

        columns = list(Finding.__dataclass_fields__)
        return pd.DataFrame([asdict(f) for f in self.findings], columns=columns)

    def _repr_html_(self) -> str:
        verdict = "valid" if self.valid else "INVALID"
        return notebook_card(
            f"{self.path}: {verdict} {self.kind} ({self.counted})",
            headings=["", "code", "where", "got", "expected", "fix"],
            rows=[
                [f.severity, f.code, f"{f.where}{f._shown}", f.got, f.expected, f.fix]
                for f in self.findings
            ],
        )

    def __repr__(self) -> str:
        verdict = "valid" if self.valid else "INVALID"
        head = f"{one_line(self.path)}: {verdict} {self.kind} ({self.counted})"
        lines = [line for finding in self.findings for line in finding.to_lines()]
        return "\n  ".join([head, *lines])


def sorted_report(path: str, kind: Kind, findings: Iterable[Finding]) -> Report:
    """Make a report with errors before warnings, otherwise in the order found."""
    ordered = sorted(findings, key=lambda f: f.severity is not Severity.ERROR)
    return Report(path=path, kind=kind, findings=tuple(ordered))
