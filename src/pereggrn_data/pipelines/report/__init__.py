"""Scores for readers: a page that needs nothing else, and figures for papers.

The verbs are `write_report` and `plot`. For the command line, and for pipelines that end in
a report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.pipelines.report.figure_registry import FIGURES as FIGURES
    from pereggrn_data.pipelines.report.writing_reports import REPORT_FILE as REPORT_FILE
    from pereggrn_data.pipelines.report.writing_reports import (
        check_report_path as check_report_path,
    )
    from pereggrn_data.pipelines.report.writing_reports import plot as plot
    from pereggrn_data.pipelines.report.writing_reports import write_report as write_report

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "figure_registry": ("FIGURES",),
        "writing_reports": (
            "REPORT_FILE",
            "check_report_path",
            "plot",
            "write_report",
        ),
    },
)
