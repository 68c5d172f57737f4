"""Compute metrics for all groups.

Those of O and E alone in blocks that fit the cache, on several threads; those
of whole profiles one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pereggrn_data.core.arrays import Bools, Floats
from pereggrn_data.core.resources import share_out
from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.evaluators.metrics.effects import Array, Effect, EffectBlock
from pereggrn_data.evaluators.metrics.metric import Metric, Needs
from pereggrn_data.evaluators.metrics.metric_surroundings import Surroundings
from pereggrn_data.evaluators.metrics.profile_metrics import Profiles

_BLOCK_BYTES = 1 << 20
_LARGEST_BLOCK = 64


def metrics_of_genes() -> list[Metric]:
    """Return the metrics that are computed from O and E alone."""
    return [metric for metric in METRICS.values() if metric.needs is Needs.GENES]


def block_metrics() -> list[Metric]:
    """Return the metrics that are computed block by block."""
    return [metric for metric in METRICS.values() if metric.compute is not None]


def compute_metrics(
    observed: Array,
    predicted: Mapping[str, Array],
    left_out: Bools | None = None,
    *,
    metrics: Sequence[Metric] | None = None,
    around: Surroundings | None = None,
    threads: int | None = None,
) -> dict[str, dict[str, Floats]]:
    """Compute metrics of several methods against one observation.

    Parameters
    ----------
    observed
        (groups, genes) observed log fold change O.
    predicted
        Per method, (groups, genes) predicted log fold change E.
    left_out
        (groups, genes) entries that must not score, or None.
    metrics
        Those to compute; by default all that can be with what is given.
    around
        What else is known of the groups; without it, metrics that need nothing
        but O and E are computed.
    threads
        Number of threads; by default one per processor.

    Returns
    -------
    dict
        Per method and metric, (groups,) values, NaN where undefined.
    """
    possible = metrics_of_genes() if around is None else block_metrics()
    chosen = possible if metrics is None else list(metrics)
    groups, genes = observed.shape
    results = {
        method: {metric.name: np.full(groups, np.nan) for metric in chosen} for method in predicted
    }
    size = int(np.clip(_BLOCK_BYTES // (8 * max(genes, 1)), 1, _LARGEST_BLOCK))

    def work(start: int) -> None:
        rows = slice(start, start + size)
        hidden = _hidden(left_out, rows)
        o = Effect(_shown(observed[rows], hidden), hidden)
        near = None if around is None else around.block(rows, o)
        for method, matrix in predicted.items():
            block = EffectBlock(o, Effect(_shown(matrix[rows], hidden), hidden), near)
            for metric in chosen:
                if metric.compute is not None:
                    results[method][metric.name][rows] = metric.compute(block)

    share_out(work, range(0, groups, size), threads)
    return results


def compute_whole_metrics(profiles: Profiles) -> tuple[dict[str, dict[str, Floats]], list[str]]:
    """Compute the metrics that need whole profiles and the training data.

    Returns
    -------
    dict, list of str
        Per method and metric, (groups,) values; and notes on metrics that are
        absent because they cannot be computed.
    """
    results: dict[str, dict[str, Floats]] = {method: {} for method in profiles.effects}
    notes = []
    for metric in METRICS.values():
        if metric.compute_whole is None:
            continue
        values, note = metric.compute_whole(profiles)
        for method, of_method in values.items():
            results[method][metric.name] = of_method
        if note is not None:
            notes.append(note)
    return results, notes


def _hidden(left_out: Bools | None, rows: slice) -> Bools | None:
    if left_out is None or not left_out[rows].any():
        return None
    return left_out[rows]


def _shown(values: Array, hidden: Bools | None) -> Any:
    """Return a contiguous block with zeros where genes are left out."""
    if hidden is None:
        return np.ascontiguousarray(values)
    return np.where(hidden, 0, values)
