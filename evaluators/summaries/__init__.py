"""Scores of groups become one line per metric: intervals, verdicts, and a signature.

For the pipelines, which write and show them, and for the calibration and the strata, which
estimate and summarise by the same rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.evaluators.summaries.baseline_comparison import (
        SMALLEST_DIVISOR as SMALLEST_DIVISOR,
    )
    from pereggrn_data.evaluators.summaries.baseline_comparison import (
        weighted_mean as weighted_mean,
    )
    from pereggrn_data.evaluators.summaries.intervals import DRAWS as DRAWS
    from pereggrn_data.evaluators.summaries.intervals import FEWEST_LABELS as FEWEST_LABELS
    from pereggrn_data.evaluators.summaries.intervals import MOST_DRAWS as MOST_DRAWS
    from pereggrn_data.evaluators.summaries.intervals import Estimate as Estimate
    from pereggrn_data.evaluators.summaries.intervals import Resampling as Resampling
    from pereggrn_data.evaluators.summaries.measured_metrics import (
        MeasuredMetric as MeasuredMetric,
    )
    from pereggrn_data.evaluators.summaries.measured_metrics import (
        ScoredMetrics as ScoredMetrics,
    )
    from pereggrn_data.evaluators.summaries.score_signature import (
        SIGNATURE_PARTS as SIGNATURE_PARTS,
    )
    from pereggrn_data.evaluators.summaries.score_signature import signature as signature
    from pereggrn_data.evaluators.summaries.summary import MetricSummary as MetricSummary
    from pereggrn_data.evaluators.summaries.summary import Summary as Summary
    from pereggrn_data.evaluators.summaries.summary import summarise as summarise
    from pereggrn_data.evaluators.summaries.verdicts import Ceiling as Ceiling
    from pereggrn_data.evaluators.summaries.verdicts import Overall as Overall
    from pereggrn_data.evaluators.summaries.verdicts import verdict_phrase as verdict_phrase

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "baseline_comparison": ("SMALLEST_DIVISOR", "weighted_mean"),
        "intervals": (
            "DRAWS",
            "Estimate",
            "FEWEST_LABELS",
            "MOST_DRAWS",
            "Resampling",
        ),
        "measured_metrics": (
            "MeasuredMetric",
            "ScoredMetrics",
        ),
        "score_signature": (
            "SIGNATURE_PARTS",
            "signature",
        ),
        "summary": (
            "MetricSummary",
            "Summary",
            "summarise",
        ),
        "verdicts": (
            "Ceiling",
            "Overall",
            "verdict_phrase",
        ),
    },
)
