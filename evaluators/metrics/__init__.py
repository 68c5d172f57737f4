"""The metrics: each one entry, beside the function that computes it.

For the scoring of tasks, which computes all of :data:`METRICS` block by block;
for tables in documentation and on the command line. A new metric is an entry
and its function in one of the families.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.evaluators.metrics.compute import compute_metrics as compute_metrics
    from pereggrn_data.evaluators.metrics.compute import (
        compute_whole_metrics as compute_whole_metrics,
    )
    from pereggrn_data.evaluators.metrics.compute import metrics_of_genes as metrics_of_genes
    from pereggrn_data.evaluators.metrics.definitions import METRICS as METRICS
    from pereggrn_data.evaluators.metrics.definitions import (
        definitions_version as definitions_version,
    )
    from pereggrn_data.evaluators.metrics.definitions import metrics_table as metrics_table
    from pereggrn_data.evaluators.metrics.gene_metrics import TOP_SIZES as TOP_SIZES
    from pereggrn_data.evaluators.metrics.metric import Direction as Direction
    from pereggrn_data.evaluators.metrics.metric import Metric as Metric
    from pereggrn_data.evaluators.metrics.metric import Needs as Needs
    from pereggrn_data.evaluators.metrics.profile_metrics import Profiles as Profiles
    from pereggrn_data.evaluators.metrics.rank_tests import require_illico as require_illico

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "compute": (
            "compute_metrics",
            "compute_whole_metrics",
            "metrics_of_genes",
        ),
        "definitions": (
            "METRICS",
            "definitions_version",
            "metrics_table",
        ),
        "gene_metrics": ("TOP_SIZES",),
        "metric": (
            "Direction",
            "Metric",
            "Needs",
        ),
        "profile_metrics": ("Profiles",),
        "rank_tests": ("require_illico",),
    },
)
