# /// script
# requires-python = "==3.11.*"
# dependencies = [
#   "anndata<0.12",
#   "cell-gears==0.1.2",
#   "h5py",
#   "numpy<2",
#   "pandas<3",
#   "pyarrow<26",
#   "scanpy<1.12",
#   "scipy<1.15",
#   "torch",
#   "torch-geometric",
# ]
#
# [tool.uv]
# exclude-newer = "2026-11-01T00:00:00Z"
#
# [tool.pereggrn]
# summary = "GEARS: a graph network over genes that share annotations, for single cells."
# reference = "Roohani, Huang & Leskovec 2024, Nat. Biotechnol. 42:927"
# licence = "MIT (cell-gears); the packages that it needs have their own"
# needs = "gene sets or a graph of genes; two cells or more of each perturbation; 20 genes"
# size = "6 GB"
# tried = "real single cells, on a processor without a GPU"
# heeds = ["seed"]
# notes = ["GEARS sees which genes are perturbed: direction, level and cell type are ignored."]
# check = { gene2go = "made", epochs = 1 }
#
# [tool.pereggrn.options.gene2go]
# required = true
# path = true
# help = """
# Gene sets (.gmt; .csv or .tsv with gene and term; .pkl, a dictionary from genes to terms), \
# or edges (.csv or .tsv with source, target, importance); made: a small random graph, for \
# checks only."""
#
# [tool.pereggrn.options.allow_missing]
# help = """
# true: leave out perturbations outside the graph, and those of a single cell; they train \
# nothing and are not forecast."""
#
# [tool.pereggrn.options]
# epochs = { help = "Passes over the training cells; default 20." }
# batch_size = { help = "Cells at once; default 32." }
# hidden_size = { help = "Width of the network; default 64." }
# device = { help = "Where to compute, such as cpu or cuda; default: a GPU, if there is one." }
# ///
"""Forecast with GEARS what is asked for in a folder: ``python gears_adapter.py FOLDER``.

The folder is that of docs/howto/your_own_model.md. This file runs in an environment of its own
(see its header) and imports nothing of pereggrn-data. The graph of genes is computed here
and handed to GEARS, which downloads nothing and reads no file but those that it writes into
a folder made for this run.
"""

from __future__ import annotations

import csv
import json
import pickle
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

CONTROL = "ctrl"
JOIN = "+"
MADE = "made"
LEAST_JACCARD, NEIGHBOURS = 0.1, 21
"""As in GEARS: edges above the first, and of each target the strongest of the second number."""

LEAST_GENES, LEAST_CELLS = 20, 2
"""GEARS compares the 20 genes that move most, and needs two cells for a test of one."""

VALIDATION_SHARE = 0.1
CELL_TYPE = "all"
"""GEARS does not tell cell types apart; with one, each perturbation has all controls."""

_HARMLESS = {
    (module, name)
    for module in ("builtins", "__builtin__")
    for name in ("set", "frozenset", "dict", "list", "tuple", "str")
}


@dataclass(frozen=True)
class Graph:
    """Genes that can be perturbed, and how much alike they are.

    Parameters
    ----------
    genes
        (nodes,) names, sorted.
    source, target
        (edges,) positions among the genes.
    importance
        (edges,) weights.
    """

    genes: tuple[str, ...]
    source: Any
    target: Any
    importance: Any


class _OnlyContainers(pickle.Unpickler):
    """Reads what plain containers of text are made of, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _HARMLESS:
            return super().find_class("builtins", name)
        raise pickle.UnpicklingError(f"it would call {module}.{name}, and only sets and dicts may")


def read_graph(path: Path, wanted: Iterable[str]) -> Graph:
    """Read gene sets or edges, and return the graph of the wanted genes that are in it.

    Raises
    ------
    SystemExit
        If the file is none of these, or has none of the genes.
    """
    try:
        if path.suffix.lower() in (".pkl", ".pickle"):
            graph = jaccard_graph(pickled_sets(path), wanted)
        elif path.suffix.lower() == ".gmt":
            graph = jaccard_graph(gmt_sets(path), wanted)
        else:
            graph = table_graph(path, wanted)
    except (OSError, ValueError, EOFError, pickle.UnpicklingError, csv.Error) as error:
        raise SystemExit(f"{path} cannot be read as gene sets or edges: {error}") from error
    if not len(graph.importance):
        raise SystemExit(f"{path} has no two of the genes in common: are names of another kind?")
    return graph


def gmt_sets(path: Path) -> dict[str, set[str]]:
    """Return terms by gene, of a .gmt file: term, description, genes, divided by tabs."""
    found: dict[str, set[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        term, *rest = line.split("\t")
        if len(rest) < 2:
            raise ValueError(f"line {number} has no description and genes after its term")
        for gene in rest[1:]:
            # Some libraries write a weight after each gene.
            if name := gene.split(",")[0].strip():
                found.setdefault(name, set()).add(term)
    return found


def pickled_sets(path: Path) -> dict[str, set[str]]:
    """Return terms by gene, of a pickled dictionary; nothing in it is run."""
    with path.open("rb") as file:
        found = _OnlyContainers(file).load()
    if not isinstance(found, dict) or not all(
        isinstance(gene, str) and isinstance(terms, (set, frozenset, list, tuple))
        for gene, terms in found.items()
    ):
        raise ValueError("it is no dictionary from genes to sets of terms")
    return {gene: set(map(str, terms)) for gene, terms in found.items()}


def table_graph(path: Path, wanted: Iterable[str]) -> Graph:
    """Return the graph of a table of edges, or of genes and terms."""
    text = path.read_text(encoding="utf-8-sig")
    divider = "\t" if "\t" in text.partition("\n")[0] else ","
    rows = [row for row in csv.reader(text.splitlines(), delimiter=divider) if row]
    heading = [name.strip().lower() for name in rows[0]] if rows else []
    if {"source", "target", "importance"} <= set(heading):
        places = [heading.index(name) for name in ("source", "target", "importance")]
        edges = [[row[place] for place in places] for row in rows[1:]]
        return edge_graph(edges, wanted)
    if len(heading) != 2:
        raise ValueError("it has neither two columns nor source, target and importance")
    if "gene" in heading:
        gene, rows = heading.index("gene"), rows[1:]
    else:
        gene = 0
    sets: dict[str, set[str]] = {}
    for row in rows:
        if len(row) != 2:
            raise ValueError(f"a row has {len(row)} columns, not 2: {row}")
        sets.setdefault(row[gene], set()).add(row[1 - gene])
    return jaccard_graph(sets, wanted)


def jaccard_graph(terms: Mapping[str, set[str]], wanted: Iterable[str]) -> Graph:
    """Return which genes share terms, by the Jaccard index of their sets.

    Each gene is its own nearest neighbour, as in GEARS. Of ties at the last place, the
    names that sort first are kept.
    """
    genes = tuple(sorted(g for g in set(wanted) if terms.get(g)))
    numbers = {t: i for i, t in enumerate(sorted({t for g in genes for t in terms[g]}))}
    rows = [i for i, g in enumerate(genes) for _ in terms[g]]
    columns = [numbers[t] for g in genes for t in terms[g]]
    shape = (len(genes), max(len(numbers), 1))
    member = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
    # All intersections by one product; the union is what both have, less what they share.
    shared = (member @ member.T).tocoo()
    sizes = np.asarray(member.sum(axis=1)).ravel()
    index = shared.data / (sizes[shared.row] + sizes[shared.col] - shared.data)
    near = index > LEAST_JACCARD
    source, target, index = shared.row[near], shared.col[near], index[near]
    order = np.lexsort((source, -index, target))
    source, target, index = source[order], target[order], index[order]
    first = np.searchsorted(target, target, side="left")
    kept = np.arange(len(target)) - first < NEIGHBOURS
    return Graph(genes, source[kept], target[kept], index[kept])


def edge_graph(edges: Sequence[Sequence[str]], wanted: Iterable[str]) -> Graph:
    """Return the graph of edges (source, target, importance) between wanted genes."""
    known = set(wanted)
    kept = [(a, b, float(w)) for a, b, w in edges if a in known and b in known]
    if not all(np.isfinite(w) for _, _, w in kept):
        raise ValueError("an importance is missing or infinite")
    genes = tuple(sorted({gene for a, b, _ in kept for gene in (a, b)}))
    place = {gene: i for i, gene in enumerate(genes)}
    return Graph(
        genes,
        np.array([place[a] for a, _, _ in kept], dtype=int),
        np.array([place[b] for _, b, _ in kept], dtype=int),
        np.array([w for _, _, w in kept], dtype=float),
    )


def made_graph(wanted: Iterable[str], seed: int) -> Graph:
    """Return a random graph, which means nothing: for checks that everything runs."""
    genes = tuple(sorted(set(wanted)))
    rng = np.random.default_rng(seed)
    n = len(genes)
    source = np.concatenate([np.arange(n), rng.integers(0, n, 3 * n)])
    target = np.concatenate([np.arange(n), rng.integers(0, n, 3 * n)])
    return Graph(genes, source, target, np.full(len(source), 0.5))


def condition(label: str) -> str:
    """Return the name that GEARS has for a perturbation: ``GENE+ctrl``, or ``A+B``.

    Raises
    ------
    SystemExit
        If a gene's name cannot be told apart there.
    """
    genes = sorted(label.split(","))
    if any(JOIN in gene or gene in ("", CONTROL) for gene in genes):
        raise SystemExit(f"GEARS cannot take {label!r}: its names are joined by {JOIN!r}.")
    return f"{genes[0]}{JOIN}{CONTROL}" if len(genes) == 1 else JOIN.join(genes)


def conditions_of(labels: Sequence[str], is_control: Sequence[bool]) -> list[str]:
    """Return the condition of each observation."""
    known = {label: condition(label) for label in set(labels) - _only_controls(labels, is_control)}
    return [
        CONTROL if control else known[label]
        for label, control in zip(labels, is_control, strict=True)
    ]


def _only_controls(labels: Sequence[str], is_control: Sequence[bool]) -> set[str]:
    return set(labels) - {a for a, control in zip(labels, is_control, strict=True) if not control}


def outside(labels: Iterable[str], graph: Graph) -> list[str]:
    """Return the perturbations of which a gene is not in the graph."""
    known = set(graph.genes)
    return sorted({label for label in labels if not set(label.split(",")) <= known})


def refuse_or_note(labels: Sequence[str], why: str, *, allowed: bool) -> None:
    """Say which perturbations are left out, or stop where that was not allowed.

    Raises
    ------
    SystemExit
        Naming them.
    """
    if not labels:
        return
    named = ", ".join(labels[:20]) + (f", ... ({len(labels)} in all)" if len(labels) > 20 else "")
    if not allowed:
        raise SystemExit(f"{why}: {named}. Leave them out with -a allow_missing=true.")
    print(f"left out, because they {why[0].lower()}{why[1:]}: {named}")


def validation_conditions(conditions: Iterable[str], seed: int) -> list[str]:
    """Draw the perturbations of the training side by which GEARS chooses its best epoch.

    Raises
    ------
    SystemExit
        If fewer than two are left to draw from.
    """
    found = sorted(set(conditions) - {CONTROL})
    if len(found) < 2:
        raise SystemExit("GEARS needs two perturbations to train on: one of them is set aside.")
    number = min(max(1, round(VALIDATION_SHARE * len(found))), len(found) - 1)
    drawn = np.random.default_rng(seed).choice(len(found), number, replace=False)
    return [found[i] for i in sorted(drawn)]


def main(folder: Path) -> None:
    """Read the task, train GEARS, and write the forecasts."""
    import anndata

    arguments = json.loads((folder / "kwargs.json").read_text(encoding="utf-8"))
    seed = int(json.loads((folder / "ggrn_args.json").read_text(encoding="utf-8"))["seed"])
    allowed = arguments.get("allow_missing", False) is True
    requests = pd.read_csv(
        folder / "predictions_metadata.csv", index_col=0, dtype=str, keep_default_na=False
    )
    train = anndata.read_h5ad(folder / "train.h5ad")
    aside: list[str] = []
    if (folder / "validation.h5ad").exists():
        more = anndata.read_h5ad(folder / "validation.h5ad")
        aside = conditions_of(
            list(more.obs["perturbation"].astype(str)), list(more.obs["is_control"])
        )
        train = anndata.concat([train, more], join="inner")
    if train.n_vars < LEAST_GENES:
        raise SystemExit(f"GEARS needs {LEAST_GENES} genes, and there are {train.n_vars}.")
    labels = train.obs["perturbation"].astype(str).to_numpy()
    control = train.obs["is_control"].to_numpy(dtype=bool)
    if not control.any():
        raise SystemExit("GEARS starts from controls, and there are none.")
    asked = list(dict.fromkeys(requests["perturbation"]))
    perturbed = {gene for label in {*labels[~control], *asked} for gene in label.split(",")}
    wanted = {*map(str, train.var_names), *perturbed}
    if arguments["gene2go"] == MADE:
        print("The graph is made up: its forecasts mean nothing.")
        graph = made_graph(wanted, seed)
    else:
        graph = read_graph(Path(arguments["gene2go"]), wanted)
    lost = outside({*labels[~control], *asked}, graph)
    refuse_or_note(lost, "Are not in the graph of genes", allowed=allowed)
    counts = pd.Series(labels[~control]).value_counts()
    single = sorted(set(counts.index[counts < LEAST_CELLS]) - set(lost))
    refuse_or_note(single, "Have a single cell in the training data", allowed=allowed)
    keep = control | ~np.isin(labels, [*lost, *single])
    names = conditions_of(list(labels[keep]), list(control[keep]))
    aside = sorted(set(aside) & set(names) - {CONTROL}) or validation_conditions(names, seed)
    forecasts = gears_forecasts(
        matrix=sparse.csr_matrix(train.X[keep]).astype(np.float32),
        genes=[str(gene) for gene in train.var_names],
        conditions=names,
        validation=aside,
        graph=graph,
        asked=[sorted(label.split(",")) for label in asked if label not in lost],
        folder=folder / "gears",
        seed=seed,
        **{k: v for k, v in arguments.items() if k not in ("gene2go", "allow_missing")},
    )
    nothing = np.full(train.n_vars, np.nan)
    rows = [forecasts.get(tuple(sorted(a.split(","))), nothing) for a in requests["perturbation"]]
    answers = anndata.AnnData(np.stack(rows), obs=requests, var=train.var[[]])
    answers.write_h5ad(folder / "predictions.h5ad")


def gears_forecasts(
    *,
    matrix: Any,
    genes: Sequence[str],
    conditions: Sequence[str],
    validation: Sequence[str],
    graph: Graph,
    asked: Sequence[Sequence[str]],
    folder: Path,
    seed: int,
    epochs: int = 20,
    batch_size: int = 32,
    hidden_size: int = 64,
    device: str | None = None,
) -> dict[tuple[str, ...], Any]:
    """Train GEARS, and return its mean profile of each perturbation that is asked for.

    Parameters
    ----------
    matrix
        (cells, genes) CSR, natural-log expression.
    genes, conditions
        Names of columns and rows.
    validation
        Conditions that choose the best epoch and train nothing.
    graph
        Of the genes that can be perturbed.
    asked
        Genes of each perturbation to forecast.
    folder
        Made for the files of GEARS.
    seed
        Of everything random.
    epochs, batch_size, hidden_size
        Of the training, and of the network.
    device
        By default a GPU, if there is one.
    """
    import random

    import anndata
    import torch
    from gears import GEARS, PertData

    random.seed(seed)
    np.random.seed(seed)  # GEARS draws its controls from here
    torch.manual_seed(seed)
    folder.mkdir()
    cells = anndata.AnnData(
        matrix,
        obs=pd.DataFrame(
            {"condition": list(conditions), "cell_type": CELL_TYPE},
            index=[f"cell{i}" for i in range(len(conditions))],
        ),
        var=pd.DataFrame({"gene_name": list(genes)}, index=list(genes)),
        uns={"log1p": {"base": float(np.e)}},
    )
    # Its own way to make this object begins with a download of gene sets.
    data = PertData.__new__(PertData)
    data.data_path, data.gene_set_path, data.default_pert_graph = str(folder), None, False
    data.gene2go = dict.fromkeys(graph.genes, frozenset())
    data.new_data_process("task", cells)
    if list(data.pert_names) != list(graph.genes):
        raise SystemExit("GEARS has put its genes in another order than the graph has them.")
    data.split, data.seed, data.subgroup, data.train_gene_set_size = "no_test", seed, None, 1
    training = sorted(set(conditions) - set(validation))
    data.set2conditions = {"train": training, "val": list(validation)}
    size = min(batch_size, sum(c not in set(validation) for c in conditions))
    data.get_dataloader(batch_size=size)
    model = GEARS(data, device=device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model.model_initialize(
        hidden_size=hidden_size,
        G_go=torch.tensor(np.stack([graph.source, graph.target]), dtype=torch.long),
        G_go_weight=torch.tensor(graph.importance, dtype=torch.float32),
    )
    model.train(epochs=epochs)
    found = model.predict([list(one) for one in asked])
    return {tuple(one): np.asarray(found["_".join(one)], dtype=float) for one in asked}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
