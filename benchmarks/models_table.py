"""Compare every model with the mean and the median on real data.

Writes docs/explain/model_comparison.md.

    python benchmarks/models_table.py --collection ../shared/data

Each model trains on the training side of the default split and forecasts its
test side, by ``pereggrn_data.predict``; ``pereggrn_data.score`` says how well, how
sure that is, and how far it is from a technical duplicate. Nothing is tuned to a dataset.

What was computed is kept in ``--results``, one file per dataset and model, and is
not computed again while models, metrics and limits are the same: an interrupted run
goes on where it stopped, and the page is written from what is there. ``--add METHOD``
computes the rows of one method only, and puts them into the tables that the page has.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import hashlib
import json
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import pereggrn_data
from pereggrn_data.core.version import software
from pereggrn_data.evaluators import METRICS
from pereggrn_data.models import METHODS, MethodKind

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs/explain/model_comparison.md"
NUM_GENES = 300
PERTURBED = {"eligible_regulators": "perturbed"}

SHOWN = (
    "proportion_correct_direction",
    "spearman",
    "mae",
    "mse",
    "weighted_mse",
    "pearson_perturbed_reference",
    "discrimination_cosine",
)
"""Columns of the tables; verdicts are counted over all metrics."""


@dataclass(frozen=True)
class Case:
    """A dataset and its network."""

    dataset: str
    network: str
    about: str
    has_gene_sets: bool = False
    epochs: int | None = None
    """Passes of graphs with fixed settings; by default theirs, of which thousands of cells make
    fifteen times the updates that small datasets have."""


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

FIXED = {"factors": 10, "penalty": 1}
"""Settings of graphs beside those that they choose, which takes twelve fits or three."""

SYMBOLS = {"factors": "k", "penalty": "λ"}

CASES = (
    Case("papalexi_pseudobulk", "trrust_human", "human knockouts, summed per replicate"),
    Case("papalexi", "trrust_human", "the same, single cells", has_gene_sets=True, epochs=10),
    Case(
        "hill",
        "trrust_human",
        "human single and paired knockouts, single cells, few genes",
        has_gene_sets=True,
    ),
    Case("yeast_tfko_chip", "yeast_harbison_chip", "yeast transcription factor deletions"),
    Case("ecoli_oxygen", "regulondb6.1_ecoli", "*E. coli* deletions, microarrays"),
    Case("dream4_net1", "dream4_net1_truth", "simulated by DREAM4; the network is the true one"),
)


def main() -> None:
    """Run what is missing of all cases, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--collection", help="folder of the datasets and networks")
    parser.add_argument("--only", action="append", help="dataset; prints, and writes no page")
    parser.add_argument(
        "--add",
        action="append",
        help="method whose rows to compute and to put into the tables of the page",
    )
    parser.add_argument("--gene-sets", help="file for the adapter gears, which is left out else")
    parser.add_argument(
        "--introduction",
        action="store_true",
        help="renew what stands before the tables, and keep the tables of the page",
    )
    parser.add_argument(
        "--seconds", type=int, default=120, help="limit for one model, of processor time"
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=REPOSITORY / "build" / "models_table",
        help="folder of what was computed",
    )
    given = parser.parse_args()
    introduction = INTRODUCTION.format(num_genes=NUM_GENES)
    if given.introduction:
        before, mark, tables = PAGE.read_text(encoding="utf-8").partition("\n## ")
        if not before.startswith(introduction.splitlines()[0]):
            parser.error(f"{PAGE} does not begin as this script writes it")
        PAGE.write_text(introduction + mark + tables, encoding="utf-8")
        return
    if given.collection is None:
        parser.error("--collection is needed to compute what is missing")
    # Lasso paths that have not converged are part of what is compared.
    warnings.simplefilter("ignore")
    cases = [c for c in CASES if not given.only or c.dataset in given.only]
    if given.add:
        for case in cases:
            wanted = [
                (name, choices)
                for name, choices in conditions(case, given.gene_sets)
                if choices["model"] in given.add
            ]
            found = results(case, given.collection, given.seconds, given.results, wanted)
            page = PAGE.read_text(encoding="utf-8")
            PAGE.write_text(with_rows(page, case.dataset, found["models"]), encoding="utf-8")
        return
    sections = [
        section(
            case,
            results(
                case,
                given.collection,
                given.seconds,
                given.results,
                conditions(case, given.gene_sets),
            ),
        )
        for case in cases
    ]
    page = "\n".join([introduction, *sections])
    if given.only:
        print(page)
    else:
        PAGE.write_text(page, encoding="utf-8")
        print(f"wrote {PAGE}", file=sys.stderr)


def results(
    case: Case,
    collection: str,
    seconds: int,
    folder: Path,
    wanted: Sequence[tuple[str, dict[str, Any]]],
) -> dict[str, Any]:
    """Return what every model did on one dataset, computed now or before.

    Returns
    -------
    dict
        ``task`` (numbers of the split) and ``models``: per condition a ``summary`` (of
        ``summary.json``) with ``seconds``, or a ``failure``.
    """
    opened: list[Any] = []

    def task() -> Any:
        # Splitting takes time, too, and is needed only where something is missing.
        if not opened:
            opened.append(
                pereggrn_data.split(case.dataset, num_genes=NUM_GENES, collection=collection)
            )
        return opened[0]

    def facts() -> dict[str, Any]:
        made = task()
        return {
            "n_train": int(made.n_train),
            "n_perturbations": int(made.test_perturbations["perturbation"].nunique()),
            "n_genes": len(made.split.genes),
        }

    common = {"case": case.dataset, "genes": NUM_GENES, "software": software()}
    versions = {name: metric.version for name, metric in METRICS.items()}
    found: dict[str, Any] = {"task": kept(folder, common, facts), "models": {}}
    for name, choices in wanted:
        key = {**common, "choices": choices, "metrics": versions}
        began = time.monotonic()
        found["models"][name] = kept(
            folder, key, lambda c=choices: one_model(task(), collection, seconds, c), seconds
        )
        print(f"{case.dataset} {name} {time.monotonic() - began:.1f} s", file=sys.stderr)
    return found


def kept(folder: Path, key: Mapping[str, Any], compute: Any, seconds: int = 0) -> Any:
    """Return what was computed for a key before, or compute and keep it.

    What was stopped after less than `seconds` is tried again.
    """
    text = json.dumps(key, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = folder / f"{key['case']}-{digest}.json"
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))["value"]
        if before.get("stopped_after", seconds) >= seconds:
            return before
    value = compute()
    folder.mkdir(parents=True, exist_ok=True)
    # In one step: a run that is stopped leaves no half of a file.
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"key": key, "value": value}), encoding="utf-8")
    part.replace(path)
    return value


def one_model(task: Any, collection: str, seconds: int, choices: dict[str, Any]) -> dict[str, Any]:
    """Train, forecast and score one model."""
    rest = dict(choices)
    began = sum(os.times()[:4])  # with the programs that adapters are
    try:
        with at_most(seconds):
            made = pereggrn_data.predict(
                task.dataset, rest.pop("model"), split=task.split, collection=collection, **rest
            )
    except pereggrn_data.PereggrnError as error:
        return {"failure": str(error).splitlines()[0]}
    except TimeoutError:
        failure = f"did not end within {seconds} seconds."
        return {"failure": failure, "stopped_after": seconds}
    taken = sum(os.times()[:4]) - began
    report = pereggrn_data.score(made.adata, dataset=task.dataset, check_scale=False)
    return {"summary": report.to_dict(), "seconds": taken}


def section(case: Case, found: Mapping[str, Any]) -> str:
    """Return the table of one dataset."""
    task, models = found["task"], found["models"]
    rows, failed, shown = [], [], list[str]()
    for name, result in models.items():
        if "failure" in result:
            failed.append(f"- {name}: {result['failure']}")
            continue
        metrics = result["summary"]["metrics"]
        if not rows:
            shown = [m for m in SHOWN if metrics[m]["mean_baseline"] is not None]
            rows += [baseline_row(metrics, shown, b) for b in ("mean", "median")]
            if any(metrics[m]["duplicate"] is not None for m in shown):
                values = [number(metrics[m]["duplicate"]) for m in shown]
                rows.append(table_row(["*duplicate* (values)", *values, "", "", ""]))
        rows.append(model_row(name, result, shown))
    header = [
        "model",
        *(f"`{m}`" for m in shown),
        "median scaled score",
        "better / not better / undecided",
        "seconds",
    ]
    lines = [
        f"## {case.dataset}",
        "",
        f"{case.about}: {task['n_train']} training observations, {task['n_perturbations']} "
        f"held-out perturbations, {task['n_genes']} genes; network {case.network}. "
        + blind(models),
        "",
        table_row(header),
        "|" + "---|" * len(header),
        *rows,
        "",
    ]
    if failed:
        lines += ["Not in the table:", "", *failed, ""]
    return "\n".join(lines)


def blind(models: Mapping[str, Any]) -> str:
    """Say what a duplicate of the experiment can tell apart on this dataset."""
    verdicts = [r["summary"] for r in models.values() if "summary" in r]
    if not verdicts:
        return "No model could be scored."
    judged = [m for m in verdicts[0]["metrics"].values() if m["higher_is_better"] is not None]
    known = [m for m in judged if m["discriminates"] is not None]
    if not known:
        return "Too few perturbations are replicated to know what a duplicate would score."
    seeing = sum(m["discriminates"] for m in known)
    return (
        f"By {seeing} of {len(known)} metrics a technical duplicate is better than the training "
        "mean beyond its interval; the others that this is known of make no verdict."
    )


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise TimeoutError when processor time is over (POSIX).

    Waiting for others on a busy machine does not count.
    """

    def stop(*_: object) -> None:
        raise TimeoutError

    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def conditions(case: Case, gene_sets: str | None) -> list[tuple[str, dict[str, Any]]]:
    """Return every method, and what else the grammar adds to ridge regression."""
    found: list[tuple[str, dict[str, Any]]] = []
    for method in METHODS:
        if method.kind is MethodKind.CONSTANT:
            continue
        if method.kind in (MethodKind.NETWORK, MethodKind.PROPAGATION):
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
        if method.kind is MethodKind.GRAPH:
            fixed = FIXED if "factors" in signature(method.fit).parameters else {"penalty": 1}
            name = ", ".join([method.name, *(f"{SYMBOLS[n]} = {v}" for n, v in fixed.items())])
            found.append((name, {"model": method.name, "arguments": fixed}))
            if case.epochs is not None:
                fixed = {**fixed, "epochs": case.epochs}
                name = f"{name}, {case.epochs} epochs"
                found.append((name, {"model": method.name, "arguments": fixed}))
    if gene_sets is not None and case.has_gene_sets:
        arguments = {"gene2go": gene_sets, "epochs": 1, "allow_missing": True}
        found.append(("gears, 1 epoch", {"model": "gears", "arguments": arguments}))
    return found


def with_rows(page: str, dataset: str, models: Mapping[str, Any]) -> str:
    """Return the page with rows of some models in a dataset's table, old ones replaced."""
    before, mark, rest = page.partition(f"## {dataset}\n")
    inside, next_mark, after = rest.partition("\n## ")
    failed_mark = "Not in the table:"
    table, _, failed = inside.partition(failed_mark)
    lines = [x for x in table.rstrip().splitlines() if x.split(" | ")[0][2:] not in models]
    header = next(line for line in lines if line.startswith("| model |"))
    shown = [cell.strip("` ") for cell in header.split("|")[2:-4]]
    failures = [
        line
        for line in failed.strip().splitlines()
        if not any(line.startswith(f"- {name}: ") for name in models)
    ]
    lines += [model_row(n, r, shown) for n, r in models.items() if "summary" in r]
    failures += [f"- {n}: {r['failure']}" for n, r in models.items() if "failure" in r]
    text = "\n".join(lines) + "\n"
    if failures:
        text += "\n".join(["", failed_mark, "", *failures, ""])
    return before + mark + text + next_mark + after


def baseline_row(metrics: Mapping[str, Any], shown: Sequence[str], baseline: str) -> str:
    """Return a baseline's values."""
    values = [number(metrics[m][f"{baseline}_baseline"]) for m in shown]
    return table_row([f"*{baseline}* (values)", *values, "", "", ""])


def model_row(name: str, result: Mapping[str, Any], shown: Sequence[str]) -> str:
    """Return a model's changes from the mean, bold where both baselines are beaten."""
    summary = result["summary"]
    cells = []
    for m in (summary["metrics"][name] for name in shown):
        change, ends = m["percent_change_from_mean"], m["percent_change_interval"]
        text = number(m["value"]) if change is None else percent(change)
        if ends is not None:
            text += f" [{', '.join(percent(end, '') for end in ends)}]"
        if m["scaled"] is not None:
            text += f"; {m['scaled']:.2f}"
        cells.append(f"**{text}**" if m["beats_baselines"] else text)
    verdict = summary["verdict"]
    scaled = verdict["median_scaled"]
    return table_row(
        [
            name,
            *cells,
            "-" if scaled is None else f"{scaled:.2f}",
            " / ".join(str(verdict[k]) for k in ("better", "not_better", "undecided")),
            f"{result['seconds']:.1f}",
        ]
    )


def table_row(cells: Sequence[str]) -> str:
    """Write one row of a table."""
    return "| " + " | ".join(cells) + " |"


def percent(value: float, unit: str = "%") -> str:
    """Write a change; nothing is -0."""
    return f"{value:+.0f}{unit}".replace("-0" + unit, "+0" + unit, 1 if round(value) == 0 else 0)


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
search get the perturbed genes as regulators only. Causal graphs choose k and λ by
forecasts of a third of the *training* perturbations, and have another row with fixed ones
(with fewer epochs, too, where there are thousands of cells). GEARS trains for one epoch,
for lack of time, on Gene Ontology's biological processes. A model that was stopped is named
below its table, with the seconds of processor time that it had; results of runs that
had more time are kept.

The first rows of each table are values: of both baselines and, where perturbations
are replicated, of a technical duplicate (half of the observations as a forecast of the
other half). All others are percent changes from the mean baseline with their 95 %
intervals over perturbations, where **higher is always better**; after a semicolon
stands the scaled score (0: training mean, 1: duplicate) where the metric can tell the
two apart. Bold means better than the better baseline beyond the interval of the
difference. The last columns are over all metrics that can be better or worse and that
are not known to be blind here: the median of the scaled scores, and how many are
better, not better and undecided. Where fewer than 8 perturbations are held out, there
is no verdict. Nothing was tuned, and each row is one split. Times are of the processor,
for splitting, training and forecasting. See [what a score means](scores.md) for the
words.

Baselines are hard to beat, as the paper found. Read a table as a whole: among
so many comparisons, some are won by chance.
"""


if __name__ == "__main__":
    main()
