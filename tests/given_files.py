"""Small files that stand for a reader's own: what blocks of README and docs are run on.

Each is made by one function; :data:`GIVEN` says which file of which name is made by which.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

import pereggrn_data

GENES = ["GATA1", "KLF1", "SPI1", "MYC", "STAT1", *(f"GENE{i}" for i in range(55))]


def screen(path: Path) -> None:
    """Counts of single cells with the labels of a screen, Ensembl ids and symbols."""
    rng = np.random.default_rng(0)
    labels = np.array((["NT"] * 6 + GENES[:5] * 4) * 2)
    means = rng.lognormal(3, 1, len(GENES))
    x = rng.poisson(means * rng.lognormal(0, 0.3, (len(labels), len(GENES)))).astype(float)
    for row, label in enumerate(labels):
        if label in GENES:
            x[row, GENES.index(label)] //= 4
    obs = pd.DataFrame(
        {"gene": labels, "donor": ["d1"] * (len(labels) // 2) + ["d2"] * (len(labels) // 2)},
        index=[f"cell_{i}" for i in range(len(labels))],
    )
    var = pd.DataFrame(
        {"gene_name": GENES}, index=[f"ENSG{i:011d}" for i in range(1, len(GENES) + 1)]
    )
    logs = np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))
    anndata.AnnData(logs, obs=obs, var=var, layers={"counts": x}).write_h5ad(path)


def white_space(path: Path) -> None:
    """A dataset with white space in two labels."""
    adata = pereggrn_data.load("demo")[:80].copy()
    hit = [*map(str, adata.uns["perturbed_and_measured_genes"])][:2]
    labels = adata.obs["perturbation"].astype(str).to_numpy(object)
    spoiled = np.flatnonzero(~adata.obs["is_control"].to_numpy(bool))[:2]
    labels[spoiled] = ", ".join(hit)
    adata.obs["perturbation"] = labels
    adata.write_h5ad(path)


def mended(path: Path) -> None:
    """Predictions of the demo dataset, as a program writes them."""
    pereggrn_data.predict("demo", "mean").write(path)


def cells(path: Path) -> None:
    """Predictions of the demo dataset with the labels of GEARS and scGPT, and control cells."""
    task = pereggrn_data.split("demo")
    written = task.template
    written.X[:] = task.train.X.mean(axis=0)
    labels = written.obs["perturbation"].astype(str)
    written.obs = pd.DataFrame(
        {"condition": [x.replace(",", "+") if "," in x else f"{x}+ctrl" for x in labels]},
        index=written.obs_names,
    )
    controls = task.train[task.train.obs["is_control"].to_numpy(bool)][:2]
    of_controls = pd.DataFrame({"condition": "ctrl"}, index=controls.obs_names)
    measured = anndata.AnnData(controls.X, of_controls, pd.DataFrame(index=controls.var_names))
    written.uns.clear()
    anndata.concat([written, measured]).write_h5ad(path)


def text(content: str) -> Callable[[Path], None]:
    """Return a function that writes a text."""

    def write(path: Path) -> None:
        path.write_text(content, "utf-8")

    return write


def base_grn(path: Path) -> None:
    """CellOracle's base GRN: one row per peak, one column per transcription factor."""
    frame = {"peak_id": ["chr1_1_9", "chr2_1_9"], "gene_short_name": ["KLF1", "MYC"]}
    pd.DataFrame({**frame, "GATA1": [1.0, 0.0], "SPI1": [1.0, 1.0]}).to_parquet(path)


REGULONS = (
    ",,Enrichment,Enrichment,Enrichment\n"
    ",,AUC,TargetGenes,RankAtMax\n"
    "TF,MotifID,,,\n"
    "GATA1,m1,0.1,\"[('KLF1', 1.5), ('MYC', 0.5)]\",10\n"
)

GIVEN: dict[str, Callable[[Path], None]] = {
    "screen.h5ad": screen,
    "test.h5ad": white_space,
    "mended.h5ad": mended,
    "cells.h5ad": cells,
    "collectri.csv": text("source,target,mor\nGATA1,KLF1,1\nGATA1,MYC,-1\n"),
    "adjacencies.tsv": text("TF\ttarget\timportance\nGATA1\tKLF1\t2.5\nMYC\tSPI1\t0.5\n"),
    "base_GRN_dataframe.parquet": base_grn,
    "odd.csv": text("symbol,TF name,note\nKLF1,GATA1,seen\nMYC,SPI1,seen\n"),
    "trrust_rawdata.human.tsv": text("GATA1\tKLF1\tActivation\t12\nMYC\tSPI1\tRepression\t34\n"),
    "aracne.tsv": text("Regulator\tTarget\tMI\tpvalue\nGATA1\tKLF1\t0.4\t0\nMYC\tSPI1\t0.2\t0\n"),
    "regulons.csv": text(REGULONS),
}
