"""Which genes are forecast well: quintiles of what is known of genes, and their share of MAE.

After Fig. S3 of the paper: MAE is a mean over genes, so that each set of genes contributes
to it, and a model can be compared with the best baseline set by set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Floats, Matrix
from pereggrn_data.evaluators.metrics.metric_surroundings import Moments
from pereggrn_data.evaluators.summaries import SMALLEST_DIVISOR

BINS = 5
UNKNOWN = "unknown"
"""Stratum of the genes of which a feature is not known."""


@dataclass(frozen=True)
class GeneFeature:
    """Something known of genes by which they are divided.

    Parameters
    ----------
    name
        As in tables.
    description
        In a sentence.
    source
        Where it comes from: ``training``, ``network`` or ``gene_constraint``.
    """

    name: str
    description: str
    source: str


GENE_FEATURES: dict[str, GeneFeature] = {
    feature.name: feature
    for feature in (
        GeneFeature("mean", "Mean of X over the training observations.", "training"),
        GeneFeature(
            "variance", "Variance of X over the training observations (divided by n).", "training"
        ),
        GeneFeature(
            "dispersion",
            "Variance over mean of the training observations; unknown where the mean is not "
            "positive.",
            "training",
        ),
        GeneFeature("in_degree", "Number of distinct regulators in the network.", "network"),
        GeneFeature("out_degree", "Number of distinct targets in the network.", "network"),
        GeneFeature(
            "pLI",
            "Probability of being intolerant to the loss of one copy.",
            "gene_constraint",
        ),
        GeneFeature("n_exons", "Number of exons.", "gene_constraint"),
    )
}
"""By name, in the order in which tables show them."""


def gene_features_table() -> str:
    """Return the documentation's table of features, as Markdown."""
    lines = ["| feature | meaning | from |", "|---|---|---|"]
    lines += [f"| `{f.name}` | {f.description} | {f.source} |" for f in GENE_FEATURES.values()]
    return "\n".join(lines)


def training_features(matrix: Matrix, genes: Sequence[str]) -> pd.DataFrame:
    """Describe the expression of each gene in training.

    Parameters
    ----------
    matrix
        (n, genes) natural-log expression of the training observations, in memory or not: it
        is gone through once, in blocks of rows.
    genes
        (genes,) names.

    Returns
    -------
    DataFrame
        (genes,) rows by name, with the features whose source is ``training``.
    """
    n = matrix.shape[0]
    found = Moments.of(matrix, np.zeros(n, dtype=np.intp), 1)
    mean = found.means()[0]
    variance = found.mean_and_variance(0)[1] * (n - 1) / n if n > 1 else np.zeros_like(mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        dispersion = np.where(mean > 0, variance / mean, np.nan)
    frame = pd.DataFrame({"mean": mean, "variance": variance, "dispersion": dispersion})
    return frame.set_axis(pd.Index(list(genes), dtype=object), axis=0)


def strata_of_genes(values: Floats, bins: int = BINS) -> list[str]:
    """Divide genes into bins of equal size, by the quantiles of a feature.

    Parameters
    ----------
    values
        (genes,) NaN where it is not known.
    bins
        Number of bins, five for quintiles.

    Returns
    -------
    list of str
        Per gene ``1`` (the lowest) to ``5``, or ``unknown``. Equal values are in one bin, so
        that bins may be empty where many genes have the same.

    Examples
    --------
    >>> strata_of_genes([5.0, 1.0, 2.0, 2.0, float("nan"), 9.0], bins=2)
    ['2', '1', '1', '1', 'unknown', '2']
    """
    numbers = np.asarray(values, dtype=np.float64)
    known = numbers[np.isfinite(numbers)]
    if not known.size:
        return [UNKNOWN] * len(numbers)
    edges = np.quantile(known, np.arange(1, bins) / bins)
    return [
        str(1 + int(np.searchsorted(edges, x, side="left"))) if np.isfinite(x) else UNKNOWN
        for x in numbers
    ]


def contributions(
    errors: pd.DataFrame,
    weights: pd.DataFrame,
    features: pd.DataFrame,
    *,
    baselines: Sequence[str],
    bins: int = BINS,
) -> pd.DataFrame:
    """Say what each stratum of genes contributes to the MAE of each method.

    Parameters
    ----------
    errors
        (genes, methods) mean absolute error of each gene over the test observations; index =
        genes. NaN where a gene does not score.
    weights
        The same shape: in how many test observations a gene scores.
    features
        (genes, features) what is known of the same genes; NaN where it is not.
    baselines
        Which methods are baselines.
    bins
        Number of strata per feature.

    Returns
    -------
    DataFrame
        One row per feature, stratum and method: ``feature``, ``stratum``, ``low`` and
        ``high`` (the least and the greatest value in it), ``n_genes``, ``method``,
        ``mae`` (of the genes in it), ``contribution`` (its part of the method's MAE; the
        parts of one feature sum to it), ``best_baseline`` and
        ``percent_change_from_best_baseline`` (100 (b - m) / b with the contributions m of
        the method and b of the baseline that is best in this stratum, so that positive is
        better; missing where b is 0).
    """
    table, n = errors.to_numpy(np.float64), weights.to_numpy(np.float64)
    scored = np.where(np.isfinite(table), n, 0.0)
    sums = np.where(scored > 0, table * scored, 0.0)
    total = scored.sum(axis=0)
    place = {method: j for j, method in enumerate(errors.columns)}
    rows = []
    for feature in features:
        values = features[feature].to_numpy(np.float64)
        stratum = np.array(strata_of_genes(values, bins), dtype=object)
        for name in sorted(set(stratum)):
            genes = stratum == name
            low, high = _range(values[genes])
            with np.errstate(invalid="ignore", divide="ignore"):
                part = sums[genes].sum(axis=0) / total
                mae = sums[genes].sum(axis=0) / scored[genes].sum(axis=0)
            best = min(baselines, key=lambda b: (np.isnan(part[place[b]]), part[place[b]]))
            base = part[place[best]]
            rows += [
                {
                    "feature": feature,
                    "stratum": name,
                    "low": low,
                    "high": high,
                    "n_genes": int(genes.sum()),
                    "method": method,
                    "is_baseline": method in baselines,
                    "mae": _known(mae[j]),
                    "contribution": _known(part[j]),
                    "best_baseline": best,
                    "percent_change_from_best_baseline": _known(100 * (base - part[j]) / base)
                    if base >= SMALLEST_DIVISOR
                    else None,
                }
                for method, j in place.items()
            ]
    return pd.DataFrame(rows)


def _range(values: Floats) -> tuple[float | None, float | None]:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (None, None)


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
