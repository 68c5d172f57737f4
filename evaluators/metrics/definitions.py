"""All metrics, each one entry that says what it is and how it is computed.

To add a metric, add its function and its entry to a family: command line,
documentation and tests follow.
"""

from __future__ import annotations

from pereggrn_data.core.errors import UnknownNameError
from pereggrn_data.evaluators.metrics.de_metrics import DE_METRICS
from pereggrn_data.evaluators.metrics.discrimination import DISCRIMINATION_METRICS
from pereggrn_data.evaluators.metrics.distribution_metrics import DISTRIBUTION_METRICS
from pereggrn_data.evaluators.metrics.gene_metrics import GENE_METRICS
from pereggrn_data.evaluators.metrics.metric import Metric
from pereggrn_data.evaluators.metrics.profile_metrics import PROFILE_METRICS
from pereggrn_data.evaluators.metrics.reference_metrics import REFERENCE_METRICS
from pereggrn_data.evaluators.metrics.statistics import DESCRIPTIVE_METRICS
from pereggrn_data.evaluators.metrics.weighted_metrics import WEIGHTED_METRICS

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *GENE_METRICS,
        *PROFILE_METRICS,
        *DISCRIMINATION_METRICS,
        *REFERENCE_METRICS,
        *WEIGHTED_METRICS,
        *DE_METRICS,
        *DISTRIBUTION_METRICS,
        *DESCRIPTIVE_METRICS,
    )
}
"""By name, in the order in which tables show them."""


def definitions_version() -> str:
    """Return the part of a signature that says which definitions scores were made by.

    Returns
    -------
    str
        ``1``, and after commas ``name=version`` of each metric whose definition
        was changed since: scores by all other metrics can still be compared.
    """
    changed = (f"{m.name}={m.version}" for m in METRICS.values() if m.version != 1)
    return ",".join(("1", *changed))


def metric(name: str) -> Metric:
    """Look up a metric.

    Raises
    ------
    UnknownNameError
        With near matches.
    """
    if name not in METRICS:
        raise UnknownNameError("metric", name, METRICS)
    return METRICS[name]


def metrics_table() -> str:
    """Return the documentation's table of metrics, as Markdown."""
    lines = [
        "| metric | formula | better | best | bounds | missing when | source |",
        "|" + "---|" * 7,
    ]
    for m in METRICS.values():
        formula = m.formula.replace("|", "\\|")
        best = "" if m.best is None else f"{m.best(10_000):g}"
        better = m.direction or "(describes)"
        lines.append(
            f"| `{m.name}` | {formula} | {better} | {best} | {m.bounds} | {m.undefined_when} "
            f"| {m.source} |"
        )
    return "\n".join(lines)
