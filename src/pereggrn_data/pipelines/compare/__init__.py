"""Several scores side by side, and folders with scores that others can collect.

The verbs are `compare`, `write_submission` and `check_submission`. For the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.pipelines.compare.gene_contributions import strata as strata
    from pereggrn_data.pipelines.compare.line_up import compare as compare
    from pereggrn_data.pipelines.compare.line_up import side_by_side as side_by_side
    from pereggrn_data.pipelines.compare.line_up import write_comparison as write_comparison
    from pereggrn_data.pipelines.compare.scored_runs import ScoredRun as ScoredRun
    from pereggrn_data.pipelines.compare.scored_runs import group_columns as group_columns
    from pereggrn_data.pipelines.compare.scored_runs import read_run as read_run
    from pereggrn_data.pipelines.compare.submissions import About as About
    from pereggrn_data.pipelines.compare.submissions import check_submission as check_submission
    from pereggrn_data.pipelines.compare.submissions import write_submission as write_submission

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "gene_contributions": ("strata",),
        "line_up": (
            "compare",
            "side_by_side",
            "write_comparison",
        ),
        "scored_runs": (
            "ScoredRun",
            "group_columns",
            "read_run",
        ),
        "submissions": (
            "About",
            "check_submission",
            "write_submission",
        ),
    },
)
