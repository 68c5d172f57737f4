"""Reports as text for people, workflow commands for GitHub, and JUnit XML for other CI."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import typer

from pereggrn_data.core.printable import one_line
from pereggrn_data.core.reports import Finding, Report, Severity
from pereggrn_data.validators import RULES

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COLOURS = {Severity.ERROR: typer.colors.RED, Severity.WARNING: typer.colors.YELLOW}
_EXAMPLES_IN_TEXT = 5


def summary(reports: Sequence[Report]) -> str:
    """Say in one line how many files are valid."""
    n_valid = sum(report.valid for report in reports)
    files = f"{len(reports)} file{'s' if len(reports) > 1 else ''}"
    return f"{files} checked: {n_valid} valid, {len(reports) - n_valid} invalid"


def as_text(reports: Sequence[Report]) -> str:
    """Lay out reports for reading."""
    return "\n\n".join(_report_text(report) for report in reports)


def _report_text(report: Report) -> str:
    verdict, colour = (
        ("valid", typer.colors.GREEN) if report.valid else ("INVALID", typer.colors.RED)
    )
    head = typer.style(verdict, fg=colour, bold=True)
    lines = [f"{one_line(report.path)}: {head} {report.kind} ({report.counted})"]
    for finding in report.findings:
        lines += ["", *_finding_lines(finding)]
    return "\n".join(lines)


def _finding_lines(finding: Finding) -> list[str]:
    label = typer.style(f"{finding.severity:7}", fg=_COLOURS[finding.severity], bold=True)
    lines = [f"  {label}  {one_line(finding.where)}  {finding.code}"]
    rows = [("expected", finding.expected), ("got", finding.got)]
    if finding.examples:
        shown = finding.examples[:_EXAMPLES_IN_TEXT]
        more = finding.n - len(shown)
        rows.append(("first", "; ".join(shown) + (f"; and {more} more" if more > 0 else "")))
    rows.append(("fix", finding.fix))
    return [*lines, *(f"           {name + ':':9} {one_line(text)}" for name, text in rows)]


def as_github(reports: Sequence[Report]) -> str:
    """Write GitHub Actions workflow commands, one line per finding."""
    return "\n".join(
        f"::{finding.severity} file={_property(report.path)},title={_property(finding.code)}"
        f"::{_data(_message(finding))}"
        for report in reports
        for finding in report.findings
    )


def _message(finding: Finding) -> str:
    lines = [f"{finding.where}: expected {finding.expected}; got {finding.got}."]
    if finding.examples:
        lines.append(f"First: {'; '.join(finding.examples[:_EXAMPLES_IN_TEXT])}")
    return "\n".join(map(one_line, [*lines, f"Fix: {finding.fix}"]))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_junit(reports: Sequence[Report]) -> str:
    """Write JUnit XML: a suite per file, a test case per rule; warnings do not fail."""
    root = ET.Element("testsuites", name="pereggrn-data validate")
    for report in reports:
        _add_suite(root, report)
    ET.indent(root)
    # ASCII with character references reads the same whatever the terminal's encoding.
    xml: bytes = ET.tostring(root, encoding="us-ascii", xml_declaration=True)
    return xml.decode("ascii")


def _add_suite(root: ET.Element, report: Report) -> None:
    by_code: dict[str, list[Finding]] = {}
    for finding in report.findings:
        by_code.setdefault(finding.code, []).append(finding)
    rules = [
        rule for rule in RULES.values() if report.kind in rule.kinds and not rule.needs_dataset
    ]
    failed = {f.code for f in report.errors}
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_xml(report.path),
        tests=str(len(rules)),
        failures=str(len(failed)),
        errors="0",
        skipped="0",
    )
    for rule in rules:
        case = ET.SubElement(suite, "testcase", classname=_xml(report.path), name=rule.code)
        found = by_code.get(rule.code, [])
        text = _xml("\n\n".join(map(_message, found)))
        if rule.code in failed:
            failure = ET.SubElement(case, "failure", message=_xml(found[0].got), type=rule.code)
            failure.text = text
        elif found:
            ET.SubElement(case, "system-out").text = "warning: " + text


def _xml(text: str) -> str:
    """Replace characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
