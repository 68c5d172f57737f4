"""The metrics: each one object that says what it is and computes itself.

O is observed, E predicted log fold change; both are natural log. To add a
metric, add one entry to :data:`METRICS`: command line, documentation and tests
follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.errors import UnknownNameError
from pereggrn_data.evaluators.metrics.effects import EffectBlock
from pereggrn_data.evaluators.metrics.gene_metrics import (
    TOP_SIZES,
    fc_targets_vs_non_targets,
    mae,
    mse,
    mse_top,
    overlap_top,
    pearson,
    pearson_top,
    proportion_correct_direction,
    pvalue_effect_direction,
    pvalue_targets_vs_non_targets,
    spearman,
)

METRIC_DEFINITIONS_VERSION = 1
"""Goes up when a definition changes, so that scores are not compared across it."""

TABLE_3 = "Kernfeld et al. 2025, Table 3"
ORIGINAL = "the original software's evaluator"


class Direction(StrEnum):
    """Which way a metric is better."""

    HIGHER = "higher"
    LOWER = "lower"


class Needs(StrEnum):
    """What a metric is computed from."""

    GENES = "genes"
    CLASSIFIER = "classifier"
    PCA = "pca"


@dataclass(frozen=True)
class Metric:
    """One way to compare predicted with observed effects of a perturbation.

    Parameters
    ----------
    name
        Column in ``scores.parquet`` and key in ``summary.json``.
    formula
        In terms of O and E.
    description
        In a sentence.
    direction
        Which way is better; None for a metric that only describes.
    best
        Best reachable value as a function of the number of scored genes; None
        where there is none.
    lower, upper
        Bounds; None where unbounded.
    undefined_when
        Why a value can be missing.
    source
        Where the definition is from.
    needs
        What it is computed from.
    compute
        From a block of groups to one value each, NaN where undefined; None for
        metrics that need a trained classifier or PCA.
    """

    name: str
    formula: str
    description: str
    direction: Direction | None
    best: Callable[[int], float] | None
    lower: float | None
    upper: float | None
    undefined_when: str
    source: str
    needs: Needs = Needs.GENES
    compute: Callable[[EffectBlock], Floats] | None = None

    @property
    def bounds(self) -> str:
        """The range of values, in words."""
        if self.lower is None:
            return "none"
        upper = "or more" if self.upper is None else f"to {self.upper:g}"
        return f"{self.lower:g} {upper}"

    def describe(self) -> dict[str, Any]:
        """Return what a table of metrics shows; the best value is that for many genes."""
        return {
            "name": self.name,
            "formula": self.formula,
            "description": self.description,
            "direction": self.direction,
            "best": self.best(10_000) if self.best else None,
            "lower": self.lower,
            "upper": self.upper,
            "undefined_when": self.undefined_when,
            "source": self.source,
            "needs": self.needs,
        }


def _zero(_: int) -> float:
    return 0.0


def _one(_: int) -> float:
    return 1.0


def _best_overlap(size: int) -> Callable[[int], float]:
    return lambda genes: min(genes, size) / size


_NO_GENES = "no gene is scored"
_CONSTANT = "O or E is constant over the scored genes, or fewer than 2 are scored"
_TOP_CONSTANT = "O or E is constant over the chosen genes, or fewer than 2 are chosen"
_HIGHER, _LOWER = Direction.HIGHER, Direction.LOWER


def _top_metrics(size: int) -> tuple[Metric, ...]:
    source = TABLE_3 if size == 100 else f"{TABLE_3}, with {size} genes, as in {ORIGINAL}"
    chosen = f"rank(-|O|) <= {size}"
    none_chosen = f"no gene is chosen (the largest changes are tied among {2 * size} or more)"
    return (
        Metric(
            f"mse_top_{size}",
            f"sum((O - E)[{chosen}]^2)",
            f"Sum of squared errors over the {size} genes with the largest observed change.",
            _LOWER, _zero, 0.0, None,
            none_chosen, source, compute=lambda block: mse_top(block, size),
        ),
        Metric(
            f"pearson_top_{size}",
            f"corr((O, E)[{chosen}])",
            f"Pearson correlation over the {size} genes with the largest observed change.",
            _HIGHER, _one, -1.0, 1.0, _TOP_CONSTANT,
            source, compute=lambda block: pearson_top(block, size),
        ),
        Metric(
            f"overlap_top_{size}",
            f"sum(({chosen}) & (rank(-|E|) <= {size})) / {size}",
            f"Genes that are among the {size} largest changes in both, divided by {size}; "
            "with fewer genes the best value is their number divided by it.",
            _HIGHER, _best_overlap(size), 0.0, 1.0, none_chosen,
            source, compute=lambda block: overlap_top(block, size),
        ),
    )  # fmt: skip


def _all_metrics() -> tuple[Metric, ...]:
    return (
        Metric(
            "proportion_correct_direction",
            "mean(sign(O) == sign(E))",
            "Share of genes whose change has the right sign; no change is a sign of its own.",
            _HIGHER, _one, 0.0, 1.0, _NO_GENES,
            TABLE_3, compute=proportion_correct_direction,
        ),
        Metric(
            "spearman", "corr(rank(O), rank(E))", "Rank correlation of the changes.",
            _HIGHER, _one, -1.0, 1.0, _CONSTANT, TABLE_3, compute=spearman,
        ),
        Metric(
            "pearson", "corr(O, E)", "Linear correlation of the changes.",
            _HIGHER, _one, -1.0, 1.0, _CONSTANT, ORIGINAL, compute=pearson,
        ),
        Metric(
            "mae", "mean(|O - E|)", "Mean absolute error.",
            _LOWER, _zero, 0.0, None, _NO_GENES, TABLE_3, compute=mae,
        ),
        Metric(
            "mse", "sum((O - E)^2)",
            "SUM of squared errors over genes (not their mean), as in Table 3.",
            _LOWER, _zero, 0.0, None, _NO_GENES, TABLE_3, compute=mse,
        ),
        *(metric for size in TOP_SIZES for metric in _top_metrics(size)),
        Metric(
            "cell_label_accuracy", "classifier(C + O) == classifier(C + E)",
            "Whether a random forest trained on the training set's louvain labels gives "
            "observed and predicted expression the same label.",
            _HIGHER, _one, 0.0, 1.0, "never, where the dataset has louvain labels",
            TABLE_3, needs=Needs.CLASSIFIER,
        ),
        Metric(
            "distance_in_pca", "||PCA(C + O) - PCA(C + E)||^2",
            "Squared distance in the first 20 principal components of the training set "
            "(fewer where it has fewer rows or genes).",
            _LOWER, _zero, 0.0, None, "the training set does not vary",
            ORIGINAL, needs=Needs.PCA,
        ),
        Metric(
            "pvalue_effect_direction", "chi2(sign(round(O, 2)) x sign(round(E, 2)))",
            "p-value that signs of O and E are independent. Describes only.",
            None, None, 0.0, 1.0, _NO_GENES, ORIGINAL, compute=pvalue_effect_direction,
        ),
        Metric(
            "pvalue_targets_vs_non_targets", "ANOVA(O by sign(round(E, 2)))",
            "p-value that O is equal among genes predicted up, same and down. Describes only.",
            None, None, 0.0, 1.0,
            "all genes are predicted alike, or no class of genes has two members",
            ORIGINAL, compute=pvalue_targets_vs_non_targets,
        ),
        Metric(
            "fc_targets_vs_non_targets", "mean(O[E up]) - mean(O[E down])",
            "Observed change of genes predicted up minus that of genes predicted down "
            "(or unchanged, where one of them is empty). Describes only.",
            None, None, None, None, "all genes are predicted alike",
            ORIGINAL, compute=fc_targets_vs_non_targets,
        ),
    )  # fmt: skip


METRICS: dict[str, Metric] = {metric.name: metric for metric in _all_metrics()}


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
