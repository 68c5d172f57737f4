"""On which scale is X of a dataset? The judgement of `scale`, as findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.format import SCANPY_LOG
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.validators.matrix import Count, Sample, Scan
from pereggrn_data.validators.parts import ExpressionParts, Matrix
from pereggrn_data.validators.rules import RULES
from pereggrn_data.validators.scales.scale import (
    LINEAR,
    NATURAL,
    Body,
    Pairs,
    ScaleVerdict,
    is_natural_base,
    is_standardised,
    judge_body,
    judge_by_counts,
    stated_base,
)

_MUCH_NEGATIVE = 0.15
"""Share of negative values above which z-scores are looked for."""

_FEWEST_ROWS = 10
"""Observations from which a standard deviation of 1 is no accident."""


@dataclass(frozen=True)
class Scanned:
    """X and raw as they were read."""

    x: Scan
    raw: Scan | None = None


def scale_findings(
    parts: ExpressionParts, scanned: Scanned, where: Callable[[Count], list[str]]
) -> list[Finding]:
    """Say on which scale X is, if it is not natural-log expression.

    Parameters
    ----------
    parts
        The dataset.
    scanned
        What one reading of X and raw found.
    where
        Names the positions of a count.
    """
    x = scanned.x
    large = x.counts["large"]
    body = Body.of(x.sample.values) if x.sample is not None else Body.of(np.zeros(0))
    verdict = _by_counts(parts, scanned)
    base = stated_base(parts.uns.get(SCANPY_LOG))
    if verdict is not None and verdict.transform not in (NATURAL, LINEAR):
        got = f"{verdict.because}{_stated(base)}"
        return [RULES["X-other-log"].found(got, fix=verdict.transform.fix)]
    because = judge_body(body, large.n, x.n_nonzero)
    if not because and verdict is not None and verdict.transform is LINEAR:
        because = verdict.because
    if because:
        got = f"values up to {x.high:.6g}: {because}"
        return [RULES["X-not-log"].found(got, n=max(large.n, 1), examples=where(large))]
    found: list[Finding] = []
    if large.n:
        got = f"up to {x.high:.6g}, {large.n} of {x.n_values} values"
        found.append(RULES["X-outliers"].found(got, n=large.n, examples=where(large)))
    if base is not None and not is_natural_base(base):
        return [*found, _base_finding(base, verdict)]
    return found + _z_score_findings(parts.x, x)


def _stated(base: float | None) -> str:
    return "" if base is None else f"; uns['{SCANPY_LOG}']['base'] says {base:g}"


def _base_finding(base: float, verdict: ScaleVerdict | None) -> Finding:
    """Believe the stated base, unless the counts say that X is natural."""
    got = f"uns['{SCANPY_LOG}']['base'] says {base:g}"
    fix = f"multiply X by ln({base:g}) = {np.log(base):.4g}" if base > 0 else None
    if verdict is None:
        return RULES["X-other-log"].found(
            got, fix=None if fix is None else f"{fix}, and remove uns['{SCANPY_LOG}']."
        )
    return RULES["X-other-log"].found(
        f"{got}, but {verdict.because}",
        severity=Severity.WARNING,
        fix=f"remove uns['{SCANPY_LOG}'], if X holds natural logarithms.",
    )


def _by_counts(parts: ExpressionParts, scanned: Scanned) -> ScaleVerdict | None:
    """Compare the observations and genes of which both X and raw were sampled."""
    raw, x = scanned.raw, scanned.x
    if raw is None or raw.sample is None or x.sample is None or parts.raw_genes is None:
        return None
    if raw.counts["negative"].n or not Body.of(raw.sample.values).is_whole:
        return None
    genes = parts.var.index[x.sample.column : x.sample.column + x.sample.values.shape[1]]
    others = parts.raw_genes[raw.sample.column : raw.sample.column + raw.sample.values.shape[1]]
    if not (genes.is_unique and others.is_unique):
        return None
    at = others.get_indexer(genes)
    n = min(x.sample.values.shape[0], raw.sample.values.shape[0])
    here = np.flatnonzero(at >= 0)
    return judge_by_counts(
        Pairs.of(_dense(x.sample, n)[:, here], _dense(raw.sample, n)[:, at[here]])
    )


def _dense(sample: Sample, n: int) -> npt.NDArray[np.float64]:
    values: Any = sample.values[:n]
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values, dtype=np.float64)


def _z_score_findings(matrix: Matrix | None, x: Scan) -> list[Finding]:
    negative = x.counts["negative"].n
    unknown = x.counts["nan"].n + x.counts["infinite"].n
    if matrix is None or unknown or matrix.shape[0] < _FEWEST_ROWS:
        return []
    if negative < _MUCH_NEGATIVE * x.n_values:
        return []
    n, genes = matrix.shape
    total, squares = np.zeros(genes), np.zeros(genes)
    for block in matrix.blocks():
        values = block.values.astype(np.float64)
        at = slice(block.column, block.column + values.shape[1])
        total[at] += np.asarray(values.sum(axis=0)).ravel()
        squares[at] += np.asarray((values * values).sum(axis=0)).ravel()
    means = total / n
    deviations = np.sqrt(np.maximum(squares / n - means**2, 0))
    if not is_standardised(means, deviations):
        return []
    got = (
        f"{negative / x.n_values:.0%} of values are negative; genes have means around "
        f"{np.median(means):.2g} and standard deviations around {np.median(deviations):.3g}"
    )
    return [RULES["X-z-scores"].found(got, n=genes)]
