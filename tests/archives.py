"""Archives in the original's layout, made from the real data where present."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

RECORD = "15048156"
SIMULATION = "simulation_TrueNetwork=gtex_rna_S=1_NoiseSD=0.001"
HDF5_HEAD = b"\x89HDF\r\n\x1a\n"
DATASETS = {
    "nakatake": "papalexi_pseudobulk",
    "norman": "hill",
    "freimer": "ecoli_oxygen",
    "dixit": "yeast_tfko_chip",
    SIMULATION: "dream4_net1",
}
"""From names of the catalog to the real datasets that stand in for them."""


def stand_in(name: str, size: int = 2_000) -> bytes:
    """Bytes that begin as an HDF5 file does, different for each name."""
    return HDF5_HEAD + random.Random(name).randbytes(size)  # noqa: S311


def small_h5ad(seed: int = 0) -> bytes:
    """A small dataset in the uniform format."""
    rng = np.random.default_rng(seed)
    genes = [f"G{i}" for i in range(30)]
    labels = ["Control"] * 6 + [g for g in genes[:8] for _ in range(2)]
    x = np.log1p(rng.poisson(20, (len(labels), len(genes))).astype(float))
    x[[i for i, g in enumerate(labels) if g != "Control"], [int(g[1:]) for g in labels[6:]]] = 0
    control = [g == "Control" for g in labels]
    obs = pd.DataFrame(
        {
            "perturbation": labels,
            "is_control": control,
            "perturbation_type": "knockout",
            "expression_level_after_perturbation": [np.nan if c else 0.0 for c in control],
        },
        index=[f"cell{i}" for i in range(len(labels))],
    ).astype({"perturbation": object, "perturbation_type": object})
    var = pd.DataFrame({"highly_variable_rank": np.arange(len(genes))}, index=genes)
    for frame in (obs, var):
        frame.index = pd.Index(list(frame.index), dtype=object)
    raw = anndata.AnnData(np.round(np.expm1(x)), obs=obs.copy(), var=var.copy())
    adata = anndata.AnnData(x, obs=obs, var=var)
    adata.raw = raw
    adata.uns["perturbed_and_measured_genes"] = np.array(genes[:8], dtype=object)
    adata.uns["perturbed_but_not_measured_genes"] = np.array([], dtype=object)
    return _as_bytes(adata)


def small_parquet(seed: int = 0) -> bytes:
    """Fifty different edges."""
    pairs = [(f"G{i}", f"G{10 + j + seed}") for i in range(10) for j in range(5)]
    frame = pd.DataFrame(pairs, columns=["regulator", "target"]).assign(weight=-1.0)
    out = io.BytesIO()
    frame.to_parquet(out, index=False)
    return out.getvalue()


def make_archives(folder: Path, shared: Path | None) -> dict[str, Path]:
    """Write the three archives and return them by file name."""
    networks = {
        "encode-nets_human": ["gerstein2012_enets2"],
        "regulatorynetworks.org_human": ["K562-DS9767", "fLung-DS14724", "NB4-DS12543"],
        "gtex_rna": ["Adipose - Subcutaneous", "Brain (cortex)"],
    }
    paths = {}
    with _archive(folder, "perturbation_data", paths) as out:
        for i, (name, real) in enumerate(DATASETS.items()):
            path = shared and shared / "data" / "perturbations" / real / "test.h5ad"
            data = path.read_bytes() if path and path.exists() else small_h5ad(i)
            method = zipfile.ZIP_STORED if i % 2 else zipfile.ZIP_DEFLATED
            out.writestr(f"perturbation_data/perturbations/{name}/test.h5ad", data, method)
        # Older releases have this folder name.
        out.writestr("perturbation_data/perturbations/replogle/test.h5ad", small_h5ad(9))
        for file in ("screen.csv", "test.h5ad", "train.h5ad"):
            data = b"gene,effect\nG1,0.5\n" if file.endswith("csv") else small_h5ad(len(file))
            out.writestr(f"perturbation_data/perturbations/fantom4/{file}", data)
        out.writestr("__MACOSX/perturbation_data/perturbations/norman/test.h5ad", b"no")
    with _archive(folder, "network_collection", paths) as out:
        for i, (name, parts) in enumerate(networks.items()):
            for part in parts:
                path = shared and shared / "data/networks" / name / f"networks/{part}.parquet"
                data = path.read_bytes() if path and path.exists() else small_parquet(i)
                out.writestr(f"network_collection/networks/{name}/networks/{part}.parquet", data)
    with _archive(folder, "accessory_data", paths) as out:
        out.writestr("accessory_data/tf_lists/human.txt", "MYC\nSOX2\n")
        out.writestr("accessory_data/tf_lists/mouse.txt", "Myc\nSox2\n")
    return paths


def _archive(folder: Path, name: str, paths: dict[str, Path]) -> zipfile.ZipFile:
    paths[f"{name}.zip"] = folder / f"{name}.zip"
    return zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED)


def _as_bytes(adata: anndata.AnnData) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5ad"
        adata.write_h5ad(path)
        return path.read_bytes()
