# /// script
# requires-python = "==3.11.*"
# dependencies = [
#   "anndata<0.12",
#   "numpy<2",
#   "pandas<3",
#   "scikit-learn",
#   "scipy<1.15",
#   "torch",
#   "transformers",
# ]
#
# [tool.uv]
# exclude-newer = "2026-11-01T00:00:00Z"
#
# [tool.pereggrn]
# summary = "Geneformer: genes regressed on what a perturbation in silico does to embeddings."
# reference = "Theodoris et al. 2023, Nature 618:616; Kernfeld et al. 2025, Genome Biology"
# licence = "Apache 2.0 (transformers); weights are yours to get, under their own licence"
# needs = "a folder with a Geneformer model, and one with its dictionaries; human genes"
# size = "6 GB"
# tried = "a tiny random model only: never run here with the real weights"
# heeds = ["seed"]
# check = { model = "made", dictionaries = "made", cells = 4 }
#
# [tool.pereggrn.options.model]
# required = true
# path = true
# help = """
# Folder of a model (config.json and weights, as transformers reads them without a \
# connection); made: a tiny random one, for checks only."""
#
# [tool.pereggrn.options.dictionaries]
# required = true
# path = true
# help = """
# Folder with Geneformer's token_dictionary*.pkl and gene_median_dictionary*.pkl, and \
# gene_name_id_dict*.pkl if genes have symbols; made: of the dataset's genes, for checks only."""
#
# [tool.pereggrn.options.allow_missing]
# help = """
# true: leave out perturbations of genes without a token; they train nothing and are not \
# forecast."""
#
# [tool.pereggrn.options]
# cells = { help = "Control cells that are perturbed in silico, drawn by the seed; default 50." }
# batch_size = { help = "Cells at once; default 16." }
# layer = { help = "Whose embedding, counted from the last; default -2, the last but one." }
# device = { help = "Where to compute, such as cpu or cuda; default: a GPU, if there is one." }
# ///
"""Forecast with Geneformer what is asked for in a folder: ``python geneformer_adapter.py FOLDER``.

A cell is the list of its genes by rank of expression over their medians. Genes are deleted
from the lists of control cells, or put first (overexpression), and what that does to the
mean embedding of a cell is what the changes of all genes are regressed on. The original's
own mean counts padding as well, so that short cells come out smaller; here it is left out.

The folder is that of docs/howto/your_own_model.md. This file runs in an environment of its
own (see its header) and imports nothing of pereggrn-data.
"""

from __future__ import annotations

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

MADE = "made"
PADDING, FIRST, LAST = "<pad>", "<cls>", "<eos>"
PER_CELL = 10_000
ACTIVATION = "overexpression"
PENALTIES = tuple(10.0**k for k in range(-3, 5))
"""Of the ridge regression, relative to the mean square of the embedding differences."""

_HARMLESS = {
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
}


class _OnlyNumbersAndText(pickle.Unpickler):
    """Reads dictionaries of text and numbers, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _HARMLESS:
            return super().find_class(module.replace("numpy._core", "numpy.core"), name)
        raise pickle.UnpicklingError(f"it would call {module}.{name}, and only numbers may")


@dataclass(frozen=True)
class Dictionaries:
    """What Geneformer knows of genes.

    Parameters
    ----------
    tokens
        Number of each gene, and of padding and the ends of a cell.
    medians
        Typical expression of each gene.
    names
        From symbols to the names that these have.
    """

    tokens: Mapping[str, int]
    medians: Mapping[str, float]
    names: Mapping[str, str]

    def gene(self, name: str) -> str | None:
        """Return the gene's name here; None if it has no token or no median."""
        found = name if name in self.tokens else self.names.get(name, "")
        return found if found in self.tokens and self.medians.get(found, 0) > 0 else None


def read_dictionaries(folder: Path) -> Dictionaries:
    """Read the dictionaries of a folder; nothing in them is run.

    Raises
    ------
    SystemExit
        If one is missing, or is none.
    """
    tokens = _dictionary(folder, "token_dictionary")
    medians = _dictionary(folder, "gene_median_dictionary")
    if tokens is None or medians is None:
        raise SystemExit(f"{folder} needs token_dictionary*.pkl and gene_median_dictionary*.pkl.")
    names = _dictionary(folder, "gene_name_id_dict") or {}
    try:
        found = Dictionaries(
            {str(gene): int(token) for gene, token in tokens.items()},
            {str(gene): float(median) for gene, median in medians.items()},
            {str(symbol): str(gene) for symbol, gene in names.items()},
        )
    except (TypeError, ValueError) as error:
        raise SystemExit(f"The dictionaries of {folder} have other values: {error}") from error
    if PADDING not in found.tokens:
        raise SystemExit(f"The tokens of {folder} have no {PADDING}.")
    return found


def _dictionary(folder: Path, name: str) -> dict[Any, Any] | None:
    paths = sorted(folder.glob(f"{name}*.pkl"))
    if len(paths) > 1:
        raise SystemExit(f"{folder} has several {name}: {', '.join(p.name for p in paths)}.")
    if not paths:
        return None
    try:
        with paths[0].open("rb") as file:
            found = _OnlyNumbersAndText(file).load()
    except (OSError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise SystemExit(f"{paths[0]} cannot be read as a dictionary: {error}") from error
    if not isinstance(found, dict):
        raise SystemExit(f"{paths[0]} holds no dictionary.")
    return found


def made_dictionaries(genes: Iterable[str]) -> Dictionaries:
    """Return dictionaries of any genes, with medians of 1: for checks that everything runs."""
    names = sorted(set(genes))
    tokens = {name: i for i, name in enumerate([PADDING, "<mask>", FIRST, LAST, *names])}
    return Dictionaries(tokens, dict.fromkeys(names, 1.0), {})


def ranked(counts: Any, genes: Sequence[str], known: Dictionaries) -> list[list[int]]:
    """Return the tokens of each cell, by expression over the gene's median, largest first.

    Parameters
    ----------
    counts
        (cells, genes), sparse or dense.
    genes
        Names of the columns.
    known
        Genes without a token are left out. Of equal values, the first column comes first.
    """
    here = [known.gene(gene) for gene in genes]
    kept = np.array([i for i, gene in enumerate(here) if gene is not None], dtype=int)
    tokens = np.array([known.tokens[here[i] or ""] for i in kept], dtype=int)
    medians = np.array([known.medians[here[i] or ""] for i in kept])
    found = []
    for row in sparse.csr_matrix(counts):
        cell = row.toarray().ravel()
        value = cell[kept] / max(cell.sum(), 1e-12) * PER_CELL / medians
        order = np.argsort(-value, kind="stable")
        found.append([int(t) for t in tokens[order[value[order] > 0]]])
    return found


def perturbed(cell: Sequence[int], genes: Sequence[int], *, activate: bool) -> list[int]:
    """Return a cell without some genes, or with them first."""
    rest = [token for token in cell if token not in genes]
    return [*genes, *rest] if activate else rest


def padded(
    cells: Sequence[Sequence[int]], known: Dictionaries, longest: int
) -> tuple[Any, Any, Any]:
    """Return cells as one array: tokens, what is no padding, and what is a gene.

    Where the dictionary has them, a cell begins and ends with their tokens.
    """
    first = [known.tokens[FIRST]] if FIRST in known.tokens else []
    last = [known.tokens[LAST]] if LAST in known.tokens else []
    room = longest - len(first) - len(last)
    full = [[*first, *cell[:room], *last] for cell in cells]
    width = max(map(len, full))
    tokens = np.full((len(full), max(width, 1)), known.tokens[PADDING])
    for i, cell in enumerate(full):
        tokens[i, : len(cell)] = cell
    lengths = np.array([len(cell) for cell in full])[:, None]
    place = np.arange(tokens.shape[1])
    present = place < lengths
    return tokens, present, present & (place >= len(first)) & (place < lengths - len(last))


def mean_of_genes(states: Any, is_gene: Any) -> Any:
    """Return the mean embedding of each cell over its genes (cells, tokens, units)."""
    weights = is_gene[..., None].astype(float)
    return (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1.0)


def regressed(differences: Any, changes: Any, wanted: Any) -> Any:
    """Forecast changes of all genes from embedding differences, by ridge regression.

    There is no intercept, as what does not change the embedding changes nothing. The
    penalty is the one with the least leave-one-out error over all genes.

    Parameters
    ----------
    differences
        (training perturbations, units).
    changes
        (training perturbations, genes).
    wanted
        (perturbations to forecast, units).
    """
    size = float(np.mean(differences**2)) * differences.shape[1] or 1.0
    gram = differences @ differences.T
    fits = []
    for penalty in PENALTIES:
        inverse = np.linalg.inv(gram + penalty * size * np.eye(len(gram)))
        dual = inverse @ changes
        # The error of each row by a fit without it, from one fit with all of them.
        fits.append((float(np.mean((dual / np.diag(inverse)[:, None]) ** 2)), dual))
    _, best = min(fits, key=lambda fit: fit[0])
    return wanted @ differences.T @ best


def main(folder: Path) -> None:
    """Read the task, embed, regress, and write the forecasts."""
    import anndata

    arguments = json.loads((folder / "kwargs.json").read_text(encoding="utf-8"))
    seed = int(json.loads((folder / "ggrn_args.json").read_text(encoding="utf-8"))["seed"])
    requests = pd.read_csv(
        folder / "predictions_metadata.csv", index_col=0, dtype=str, keep_default_na=False
    )
    train = anndata.read_h5ad(folder / "train.h5ad")
    control = train.obs["is_control"].to_numpy(dtype=bool)
    if not control.any():
        raise SystemExit("Geneformer is given control cells, and there are none.")
    # Counts of all measured genes, where the dataset has them, are what ranks are made of.
    counts, names = (
        (train.raw.X, list(map(str, train.raw.var_names)))
        if train.raw is not None
        else (np.expm1(_dense(train.X)), list(map(str, train.var_names)))
    )
    columns = ["perturbation", "perturbation_type"]
    seen = train.obs.loc[~control, columns].astype(str).drop_duplicates()
    asked = requests[columns].drop_duplicates()
    both = {tuple(row) for table in (seen, asked) for row in table.to_numpy().tolist()}
    if arguments["dictionaries"] == MADE:
        print("The dictionaries are made up: forecasts mean nothing.")
        every = {gene for label, _ in both for gene in label.split(",")}
        known = made_dictionaries([*names, *every])
    else:
        known = read_dictionaries(Path(arguments["dictionaries"]))
    lost = without_token([label for label, _ in both], known)
    if lost and arguments.get("allow_missing") is not True:
        raise SystemExit(
            f"Genes without a token are perturbed: {', '.join(lost[:20])}. "
            "Leave them out with -a allow_missing=true."
        )
    pairs = sorted(pair for pair in both if pair[0] not in lost)
    rng = np.random.default_rng(seed)
    chosen = np.flatnonzero(control)
    n_cells = int(arguments.get("cells", 50))
    chosen = np.sort(rng.choice(chosen, min(n_cells, len(chosen)), replace=False))
    cells = ranked(counts[chosen], names, known)
    embed = embedder(arguments, known, seed)
    start = embed(cells).mean(axis=0)
    differences = {}
    for label, kind in pairs:
        genes = [known.tokens[known.gene(gene) or ""] for gene in label.split(",")]
        changed = [perturbed(c, genes, activate=kind == ACTIVATION) for c in cells]
        differences[label, kind] = embed(changed).mean(axis=0) - start
    expression = _dense(train.X)
    base = expression[control].mean(axis=0)
    labels = train.obs[columns].astype(str).to_numpy()
    learnt = [pair for pair in map(tuple, seen.to_numpy().tolist()) if pair in differences]
    if len(learnt) < 2:
        raise SystemExit("A regression needs two training perturbations whose genes have tokens.")
    changes = [expression[~control & (labels == pair).all(axis=1)].mean(axis=0) - base
               for pair in learnt]  # fmt: skip
    wanted = [pair for pair in map(tuple, asked.to_numpy().tolist()) if pair in differences]
    found = regressed(
        np.stack([differences[pair] for pair in learnt]),
        np.stack(changes),
        np.stack([differences[pair] for pair in wanted]),
    )
    forecasts = {pair: base + change for pair, change in zip(wanted, found, strict=True)}
    nothing = np.full(train.n_vars, np.nan)
    rows = [forecasts.get(tuple(pair), nothing) for pair in requests[columns].to_numpy().tolist()]
    answers = anndata.AnnData(np.stack(rows), obs=requests, var=train.var[[]])
    answers.write_h5ad(folder / "predictions.h5ad")


def without_token(labels: Iterable[str], known: Dictionaries) -> list[str]:
    """Return the perturbations of which a gene has no token."""
    return sorted(
        {label for label in labels if any(known.gene(g) is None for g in label.split(","))}
    )


def _dense(matrix: Any) -> Any:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=float)


def embedder(arguments: Mapping[str, Any], known: Dictionaries, seed: int) -> Any:
    """Return what gives the mean embedding (cells, units) of cells that are lists of tokens."""
    import torch
    from transformers import AutoModel, BertConfig, BertModel

    torch.manual_seed(seed)
    if arguments["model"] == MADE:
        print("The model is made up: forecasts mean nothing.")
        model: Any = BertModel(
            BertConfig(
                vocab_size=max(known.tokens.values()) + 1,
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=32,
                max_position_embeddings=512,
            )
        )
    else:
        model = AutoModel.from_pretrained(
            arguments["model"], local_files_only=True, trust_remote_code=False
        )
    device = arguments.get("device") or ("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    longest = int(model.config.max_position_embeddings)
    layer, size = int(arguments.get("layer", -2)), int(arguments.get("batch_size", 16))

    def embed(cells: Sequence[Sequence[int]]) -> Any:
        parts = []
        for i in range(0, len(cells), size):
            tokens, present, is_gene = padded(cells[i : i + size], known, longest)
            with torch.no_grad():
                out = model(
                    input_ids=torch.tensor(tokens, device=device),
                    attention_mask=torch.tensor(present.astype(int), device=device),
                    output_hidden_states=True,
                )
            parts.append(mean_of_genes(out.hidden_states[layer].cpu().numpy(), is_gene))
        return np.concatenate(parts)

    return embed


if __name__ == "__main__":
    main(Path(sys.argv[1]))
