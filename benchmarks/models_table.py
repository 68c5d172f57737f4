"""Compare every model with the mean and the median on real data; writes docs/model_comparison.md.

    python benchmarks/models_table.py --collection ../shared/data

Each model trains on the training side of the default split and forecasts its
test side, by ``pereggrn_data.predict``; ``pereggrn_data.score`` says how well.
Nothing is tuned to a dataset.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pereggrn_data
from pereggrn_data.models import METHODS, MethodKind

PAGE = Path(__file__).resolve().parent.parent / "docs" / "model_comparison.md"
NUM_GENES = 300
PERTURBED = {"eligible_regulators": "perturbed"}


@dataclass(frozen=True)
class Case:
    """A dataset and its network."""

    dataset: str
    network: str
    about: str


# These fit one gene at a time, for minutes with hundreds of regulators: they get the
# perturbed genes only.
FEWER_REGULATORS = (
    "LassoCV",
    "ElasticNetCV",
    "LassoLarsIC",
    "LarsCV",
    "OrthogonalMatchingPursuitCV",
    "BayesianRidge",
    "ARDRegression",
    "ExtraTreesRegressor",
    "GradientBoostingRegressor",
)

CASES = (
    Case("papalexi_pseudobulk", "trrust_human", "human knockouts, summed per replicate"),
    Case("papalexi", "trrust_human", "the same, single cells"),
    Case("yeast_tfko_chip", "yeast_harbison_chip", "yeast transcription factor deletions"),
    Case("ecoli_oxygen", "regulondb6.1_ecoli", "*E. coli* deletions, microarrays"),
    Case("dream4_net1", "dream4_net1_truth", "simulated by DREAM4; the network is the true one"),
)


def main() -> None:
    """Run all cases and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collection", required=True)
    parser.add_argument("--only", action="append", help="dataset; prints, and writes no page")
    parser.add_argument("--seconds", type=int, default=300, help="limit for one model")
    given = parser.parse_args()
    # Lasso paths that have not converged are part of what is compared.
    warnings.simplefilter("ignore")
    cases = [c for c in CASES if not given.only or c.dataset in given.only]
    sections = [section(case, given.collection, given.seconds) for case in cases]
    page = "\n".join([INTRODUCTION.format(seconds=given.seconds, num_genes=NUM_GENES), *sections])
    if given.only:
        print(page)
    else:
        PAGE.write_text(page, encoding="utf-8")
        print(f"wrote {PAGE}", file=sys.stderr)


def section(case: Case, collection: str, seconds: int) -> str:
    """Return the table of one dataset."""
    task = pereggrn_data.split(case.dataset, num_genes=NUM_GENES, collection=collection)
    n_groups = task.test_perturbations["perturbation"].nunique()
    rows: list[str] = []
    failed: list[str] = []
    header: list[str] = []
    for name, choices in conditions(case):
        began = time.monotonic()
        try:
            with at_most(seconds):
                made = pereggrn_data.predict(
                    task.dataset,
                    choices.pop("model"),
                    split=task.split,
                    collection=collection,
                    **choices,
                )
        except pereggrn_data.PereggrnError as error:
            failed.append(f"- {name}: {str(error).splitlines()[0]}")
            continue
        except TimeoutError:
            failed.append(f"- {name}: did not end within {seconds} seconds.")
            continue
        report = pereggrn_data.score(made.adata, dataset=task.dataset, check_scale=False)
        if not rows:
            metrics = judged(report)
            header = ["model", *(f"`{m}`" for m in metrics), "better than both", "seconds"]
            rows += [baseline_row(report, metrics, b) for b in ("mean", "median")]
        rows.append(model_row(name, report, metrics, made.seconds))
        print(f"{case.dataset} {name} {time.monotonic() - began:.1f} s", file=sys.stderr)
    lines = [
        f"## {case.dataset}",
        "",
        f"{case.about}: {task.n_train} training observations, {n_groups} held-out "
        f"perturbations, {len(task.split.genes)} genes; network {case.network}.",
        "",
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *rows,
        "",
    ]
    if failed:
        lines += ["Not in the table:", "", *failed, ""]
    return "\n".join(lines)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise TimeoutError when time is over (POSIX)."""

    def stop(*_: object) -> None:
        raise TimeoutError

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def conditions(case: Case) -> list[tuple[str, dict[str, Any]]]:
    """Return every method, and what else the grammar adds to ridge regression."""
    found: list[tuple[str, dict[str, Any]]] = []
    for method in METHODS:
        if method.kind is MethodKind.CONSTANT:
            continue
        if method.kind is MethodKind.NETWORK:
            found.append((method.name, {"model": method.name, "network": case.network}))
            continue
        if method.name in FEWER_REGULATORS:
            found.append((f"{method.name}, perturbed", {"model": method.name, **PERTURBED}))
            continue
        found.append((method.name, {"model": method.name}))
        if method.name == "RidgeCV":
            found += [
                ("RidgeCV, network", {"model": "RidgeCV", "network": case.network}),
                ("RidgeCV, closest control", {"model": "RidgeCV", "matching": "closest"}),
                ("RidgeCV, perturbed", {"model": "RidgeCV", **PERTURBED}),
            ]  # fmt: skip
        if method.name == "linear_embedding":
            found.append(
                ("linear_embedding, k = 4",
                 {"model": "linear_embedding", "arguments": {"dimension": 4}})
            )  # fmt: skip
    return found


def judged(report: Any) -> list[str]:
    """Return the metrics that can be better or worse than a baseline, and have a value."""
    return [
        name
        for name, m in report.metrics.items()
        if m.higher_is_better is not None and m.baselines["mean"] is not None
    ]


def baseline_row(report: Any, metrics: list[str], baseline: str) -> str:
    """Return a baseline's values."""
    values = [number(report.metrics[m].baselines[baseline]) for m in metrics]
    return "| " + " | ".join([f"*{baseline}* (values)", *values, "", ""]) + " |"


def model_row(name: str, report: Any, metrics: list[str], seconds: float) -> str:
    """Return a model's changes from the mean, bold where it beats both baselines."""
    cells = []
    wins = 0
    for metric in metrics:
        m = report.metrics[metric]
        change = m.percent_change_from_mean
        text = number(m.value) if change is None else f"{change:+.0f}%".replace("-0%", "+0%")
        wins += bool(m.beats_baselines)
        cells.append(f"**{text}**" if m.beats_baselines else text)
    return "| " + " | ".join([name, *cells, f"{wins} of {len(metrics)}", f"{seconds:.1f}"]) + " |"


def number(value: float | None) -> str:
    """Write a value."""
    return "-" if value is None else f"{value:.3g}"


INTRODUCTION = """# Models against the mean and the median

Made by `benchmarks/models_table.py`, which runs `predict` and `score` with their
defaults (interventional split, seed 0; steady state, one step, all genes as
eligible regulators, unless the row says otherwise: *perturbed* means that only
perturbed genes are eligible, *network* that only a gene's regulators in it are), on
{num_genes} genes per dataset or fewer, where a dataset has fewer. All methods were tried,
those with random elements with seed 0. Those that fit one gene at a time by a long
search get the perturbed genes as regulators only, and a model that takes more than
{seconds} seconds is named below its table.

The first two rows of each table are values. All others are percent changes from
the mean baseline, where **higher is always better**, and bold means better than
both the mean and the median. Nothing was tuned, and each row is one split: small
differences mean nothing, least of all where few perturbations are held out. Times
are rough, with one thread per fit.

Baselines are hard to beat, as the paper found. Read a table as a whole: among
so many comparisons, some are won by chance.
"""


if __name__ == "__main__":
    main()
