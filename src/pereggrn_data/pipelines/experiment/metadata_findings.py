"""How a problem of an experiment's metadata is put."""

from __future__ import annotations

from pereggrn_data.core.errors import UnknownNameError
from pereggrn_data.core.reports import Finding, Severity

SLOT = "metadata"


def finding(
    code: str,
    key: str | None,
    expected: str,
    got: str,
    fix: str,
    *,
    severity: Severity = Severity.ERROR,
) -> Finding:
    """Return a problem of the metadata, or of one of its keys."""
    return Finding(
        code=code,
        severity=severity,
        slot=SLOT,
        column=key,
        n=1,
        examples=(),
        expected=expected,
        got=got,
        fix=fix,
    )


def unknown_name_finding(code: str, key: str, error: UnknownNameError, name: str) -> Finding:
    """Return the problem of a name that the catalog and the collection lack."""
    return finding(
        code,
        key,
        error.expected or "a name that there is",
        name,
        error.fix or "`pereggrn-data list` shows all names.",
    )
