"""`convert` from files of many kinds to datasets that `validate` accepts."""

from __future__ import annotations

import gzip
import json
import re
import tomllib
import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.io import mmwrite

import pereggrn_data
from pereggrn_data import convert, validate
from pereggrn_data.conversion import LAYOUTS, ConvertOptions
from pereggrn_data.core.errors import InvalidDataError, PereggrnError, UsageError
from pereggrn_data.core.format import LEVEL, MEASURED, NOT_MEASURED, OVERLAP
from pereggrn_data.core.options import options_of
from pereggrn_data.loaders.files import open_counts, sample_of
from pereggrn_data.pipelines.convert.recipe_files import read_recipe, recipe_text
from pereggrn_data.pipelines.convert.suggesting import suggest

GENES = ["MYC", "KLF1", "GATA1", "STAT1", "TP53", "ACTB", "GAPDH", "SOX2", "NANOG", "FOS"]
LABELS = ["NT", "MYC", "KLF1", "STAT1"]
PLAIN = {"perturbation": "gene", "control": "NT", "type": "knockout", "rank": "variance"}


def screen(n: int = 80, labels: list[str] | None = None, seed: int = 0) -> anndata.AnnData:
    """Counts of some cells, in CSR, with guides and replicates in obs."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(20, (n, len(GENES))).astype(np.float32)
    given = labels or LABELS
    obs = pd.DataFrame(
        {
            "gene": [given[i % len(given)] for i in range(n)],
            "rep": [f"r{(i // len(given)) % 2}" for i in range(n)],
        },
        index=[f"cell{i}" for i in range(n)],
    )
    return anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=GENES))


def sums(adata: anndata.AnnData, label: str, column: str = "gene") -> np.ndarray:
    return np.asarray(adata.X[(adata.obs[column] == label).to_numpy()].sum(axis=0)).ravel()


def test_counts_are_summed_per_perturbation_and_replicate() -> None:
    adata = screen()
    made = convert(adata, replicate="rep", **PLAIN)
    out = made.adata
    assert made.validation.valid
    assert not made.validation.findings
    assert out.n_obs == 8
    assert out.obs["n_cells"].sum() == 80
    one = ((adata.obs["gene"] == "MYC") & (adata.obs["rep"] == "r1")).to_numpy()
    row = ((out.obs["perturbation"] == "MYC") & (out.obs["replicate"] == "r1")).to_numpy()
    np.testing.assert_array_equal(
        out.raw.X[row].ravel(), np.asarray(adata.X[one].sum(axis=0)).ravel()
    )
    assert list(out.obs_names[:2]) == ["KLF1__r0", "KLF1__r1"]
    assert list(out.uns[MEASURED]) == ["KLF1", "MYC", "STAT1"]
    assert not out.uns[OVERLAP]


def test_size_factors_and_logs() -> None:
    made = convert(screen(), size_factors="total", **PLAIN)
    counts = made.adata.raw.X.astype(float)
    target = np.median(counts.sum(axis=1))
    expected = np.log1p(counts / counts.sum(axis=1, keepdims=True) * target)
    np.testing.assert_allclose(made.adata.X, expected, rtol=1e-5)


def test_cells_stay_sparse_and_keep_their_names() -> None:
    made = convert(screen(), cells=True, **PLAIN)
    assert sparse.issparse(made.adata.X)
    assert list(made.adata.obs_names) == [f"cell{i}" for i in range(80)]
    np.testing.assert_allclose(np.expm1(made.adata.X.toarray()).sum(axis=1), 10_000, rtol=1e-4)
    assert made.options.size_factors == "total"
    assert made.validation.valid


def test_the_input_is_not_changed() -> None:
    adata = screen()
    before = adata.copy()
    convert(adata, **PLAIN)
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert (adata.X != before.X).nnz == 0


def test_counts_are_the_same_however_they_are_stored() -> None:
    adata = screen()
    expected = convert(adata, min_umis=150, max_top50=1, **PLAIN)
    dense = adata.X.toarray()
    kinds = ("f2", ">f4", ">i4", "u2")  # of which SciPy lacks all but the last
    for stored in (dense, sparse.csc_matrix(adata.X), *map(dense.astype, kinds)):
        other = anndata.AnnData(stored, obs=adata.obs, var=adata.var)
        found = convert(other, min_umis=150, max_top50=1, **PLAIN)
        np.testing.assert_array_equal(found.adata.raw.X, expected.adata.raw.X)
        assert found.report.dropped == expected.report.dropped


def test_filters_of_cells_and_genes() -> None:
    adata = screen()
    adata.X[:3] = 1
    adata.X[:, 5] = 0
    adata.X[0, 5] = 1
    adata.X.eliminate_zeros()
    made = convert(adata, min_umis=50, min_cells_per_gene=5, **PLAIN)
    assert [(d.what, d.n, d.of) for d in made.report.dropped] == [
        ("fewer counts than 50", 3, "cells"),
        ("detected in fewer than 5 cells", 1, "genes"),
    ]
    assert "ACTB" not in made.adata.var_names


def test_unmoved_samples_are_removed_and_counted() -> None:
    labels = ["NT", "NT", "MYC", "KLF1"]
    adata = screen(labels=labels)
    dense = adata.X.toarray()
    dense[(adata.obs["gene"] == "MYC").to_numpy(), 0] = 1  # falls
    dense[(adata.obs["gene"] == "KLF1").to_numpy(), 1] = 90  # rises
    adata.X = sparse.csr_matrix(dense)
    down = convert(adata, **{**PLAIN, "type": "knockdown"})
    assert set(down.adata.obs["perturbation"]) == {"control", "MYC"}
    assert down.report.n_dropped() == 20
    assert down.adata.obs["n_cells"].sum() + down.report.n_dropped() == 80
    up = convert(adata, cells=True, **{**PLAIN, "type": "overexpression"})
    assert set(up.adata.obs["perturbation"]) == {"control", "KLF1"}
    both = convert(adata, unmoved="keep", **{**PLAIN, "type": "knockdown"})
    assert both.adata.n_obs == 3
    row = both.adata[both.adata.obs["perturbation"] == "KLF1"]
    assert row.obs[LEVEL].iloc[0] == pytest.approx(row[:, "KLF1"].X.item())


def test_types_from_a_column() -> None:
    adata = screen(labels=["NT", "MYC", "KLF1"])
    words = {"NT": "control", "MYC": "CRISPRi", "KLF1": "ORF"}
    adata.obs["how"] = adata.obs["gene"].map(words)
    made = convert(adata, unmoved="keep", **{**PLAIN, "type": "how"})
    found = dict(zip(made.adata.obs["perturbation"], made.adata.obs["perturbation_type"],
                     strict=True))  # fmt: skip
    assert (found["MYC"], found["KLF1"]) == ("knockdown", "overexpression")
    adata.obs["how"] = "drug"
    with pytest.raises(InvalidDataError, match="does not say how"):
        convert(adata, **{**PLAIN, "type": "how"})


def test_pairs_have_a_level_per_gene() -> None:
    made = convert(screen(labels=["NT", "MYC+NT", "MYC+KLF1", "KLF1+XYZ"]), **PLAIN)
    levels = dict(zip(made.adata.obs["perturbation"], made.adata.obs[LEVEL], strict=True))
    assert levels == {"control": "nan", "MYC": "0.0", "KLF1,MYC": "0.0,0.0", "KLF1,XYZ": "0.0,nan"}
    assert made.adata.uns[OVERLAP]
    assert list(made.adata.uns[NOT_MEASURED]) == ["XYZ"]


def test_where_the_counts_are() -> None:
    adata = screen()
    adata.layers["counts"] = adata.X.copy()
    with pytest.raises(UsageError, match="several matrices"):
        convert(adata, **PLAIN)
    adata.X = sparse.csr_matrix(np.log1p(adata.X.toarray() * 0.37))
    made = convert(adata, **PLAIN)
    assert made.report.assumed["counts"].startswith("layer:counts")
    with pytest.raises(InvalidDataError, match="does not hold counts"):
        convert(adata, counts="X", **PLAIN)
    with pytest.raises(UsageError, match="no matrix 'layer:c'"):
        convert(adata, counts="layer:c", **PLAIN)


def test_normalised_values_keep_their_rows() -> None:
    adata = screen()
    logs = np.log2(1 + adata.X.toarray() * 0.37)
    other = anndata.AnnData(logs, obs=adata.obs, var=adata.var, uns={"log1p": {"base": 2}})
    made = convert(other, **PLAIN)
    assert made.options.normalised == "log2"
    assert "log1p" in made.report.assumed["values"]
    np.testing.assert_allclose(made.adata.X, np.log1p(adata.X.toarray() * 0.37), rtol=1e-5)
    assert made.adata.n_obs == 80
    assert made.validation.valid
    with pytest.raises(UsageError, match="another scale"):
        convert(other, normalised="natural-log", **PLAIN)
    with pytest.raises(UsageError, match="needs counts"):
        convert(other, normalised="log2", size_factors="total", **PLAIN)


def test_targets_of_cells_without_counts_are_judged_together() -> None:
    adata = screen()
    x = adata.X.toarray()
    for gene in LABELS[1:]:
        at = (adata.obs["gene"] == gene).to_numpy()
        x[at, GENES.index(gene)] = np.where(np.arange(at.sum()) % 5, 2, 60)
    cells = anndata.AnnData(np.log1p(x / 3), obs=adata.obs, var=adata.var)
    knockdown = {**PLAIN, "type": "knockdown", "normalised": "natural-log"}
    made = convert(cells, **knockdown)
    assert made.adata.n_obs == 80
    assert "20 a perturbation" in str(made.report)
    few = cells[:16]  # four of a perturbation, as replicated samples are
    made = convert(few, **knockdown)
    assert made.adata.n_obs == 13
    (dropped,) = (line for line in made.report.to_lines() if "did not move as intended" in line)
    assert dropped.count("cell1,") == 1


def test_a_late_value_that_is_no_count_is_found() -> None:
    adata = screen(n=900)
    adata.X[899, 3] = 0.5
    with pytest.raises(InvalidDataError, match="does not hold counts"):
        convert(adata, counts="X", **PLAIN)
    assert convert(adata, counts="X", estimated_counts=True, **PLAIN).adata.n_obs == 4


def test_ensembl_ids_with_symbols_in_var() -> None:
    adata = screen()
    adata.var["gene_symbols"] = GENES
    adata.var_names = [f"ENSG{i:011d}.{i}" for i in range(len(GENES))]
    made = convert(adata, **PLAIN)
    assert list(made.adata.var_names) == GENES
    assert "symbols" in made.report.assumed
    adata.var["feature_name"] = GENES
    with pytest.raises(UsageError, match="several columns of var"):
        convert(adata, **PLAIN)
    assert convert(adata, symbols="var:feature_name", **PLAIN).validation.valid
    del adata.var["feature_name"], adata.var["gene_symbols"]
    with pytest.raises(InvalidDataError, match="named differently"):
        convert(adata, **PLAIN)


def test_genes_of_one_name_are_summed_on_demand() -> None:
    adata = screen()
    adata.var_names = [*GENES[:-1], "MYC"]
    with pytest.raises(InvalidDataError, match="one name"):
        convert(adata, **PLAIN)
    for cells in (False, True):
        made = convert(adata, duplicates="sum", cells=cells, **PLAIN)
        assert made.adata.n_vars == 9
        column = list(made.adata.var_names).index("MYC")
        found = np.asarray(made.adata.raw.X[:, [column]].sum())
        assert found == adata.X[:, [0, 9]].sum()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"perturbation": None}, None),
        ({"perturbation": "nope"}, "no column 'nope'"),
        ({"control": "ctrl"}, "No row is a control"),
        ({"type": None}, "not said how the genes were perturbed"),
        ({"type": "crispr"}, "no column 'crispr'"),
        ({"replicate": "nope"}, "no column 'nope'"),
        ({"max_top50": 2.0}, "out of range"),
        ({"size_factors": "deseq"}, "no kind of size factors named 'deseq'"),
        ({"symbols": "gene_name"}, "not said where the symbols are"),
        ({"normalised": "natural-log"}, "holds counts rather than"),
        ({"counts": "X", "normalised": "log2"}, "both named"),
    ],
)
def test_what_cannot_be_meant_is_an_error(change: dict, error: str | None) -> None:
    options = {**PLAIN, **change}
    if error is None:
        assert convert(screen(), **options).report.assumed["perturbation"] == "obs['gene']"
        return
    with pytest.raises(PereggrnError, match=error):
        convert(screen(), **options)


@pytest.mark.parametrize(
    "more",
    [{"by": "n_cells"}, {"by": "is_control"}, {"by": LEVEL},
     {"by": "replicate", "replicate": "rep"}],
)  # fmt: skip
def test_no_column_takes_the_name_of_another(more: dict) -> None:
    adata = screen()
    for column in ("n_cells", "is_control", LEVEL, "replicate"):
        adata.obs[column] = 1
    with pytest.raises(UsageError, match="cannot be kept under its name"):
        convert(adata, **PLAIN, **more)


def test_what_is_empty_is_said_to_be() -> None:
    for empty in (screen()[:0], screen()[:, :0]):
        with pytest.raises(InvalidDataError, match="is empty"):
            convert(empty, **PLAIN)


def test_unknown_options_have_near_matches() -> None:
    with pytest.raises(UsageError, match="did you mean size_factors"):
        convert(screen(), size_factor="tmm")


# Files


@pytest.fixture
def expected() -> np.ndarray:
    return convert(screen(), **PLAIN).adata.raw.X


def test_h5ad_and_zarr(tmp_path: Path, expected: np.ndarray) -> None:
    adata = screen()
    adata.write_h5ad(tmp_path / "in.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which version of zarr is written is anndata's choice
        adata.write_zarr(tmp_path / "in.zarr")
    for name in ("in.h5ad", "in.zarr"):
        made = convert(tmp_path / name, **PLAIN)
        np.testing.assert_array_equal(made.adata.raw.X, expected)


@pytest.mark.parametrize("kept", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
def test_every_matrix_of_a_zarr_store(tmp_path: Path, kept) -> None:
    adata = screen()
    counts = adata.X.toarray()
    adata.X = kept(counts)
    adata.layers["counts"] = kept(counts)
    adata.raw = adata
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which version of zarr is written is anndata's choice
        adata.write_zarr(tmp_path / "in.zarr")
    for slot in ("X", "raw", "layer:counts"):
        made = convert(tmp_path / "in.zarr", counts=slot, **PLAIN)
        expected = convert(adata, counts=slot, **PLAIN)
        np.testing.assert_array_equal(made.adata.raw.X, expected.adata.raw.X)
        assert made.report.read["matrices"] == expected.report.read["matrices"]


def cell_ranger(path: Path, adata: anndata.AnnData, *, guides: bool = True) -> None:
    """Write what Cell Ranger 3 writes: genes by cells in columns, guides beside the genes."""
    n = int(guides)
    ids = [*(f"ENSG{i:011d}" for i in range(len(GENES))), "guide1"][: len(GENES) + n]
    names = [*GENES, "MYC_g1"][: len(GENES) + n]
    kinds = [*(["Gene Expression"] * len(GENES)), "CRISPR Guide Capture"][: len(GENES) + n]
    counts = adata.X.toarray()
    counts = np.hstack([counts, np.ones((len(counts), n))]).astype(int)
    stored = sparse.csr_matrix(counts)
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            group = file.create_group("matrix")
            group["data"], group["indices"] = stored.data, stored.indices
            group["indptr"], group["shape"] = stored.indptr, np.array(counts.shape[::-1])
            group["barcodes"] = np.array([s.encode() for s in adata.obs_names])
            for key, values in (("id", ids), ("name", names), ("feature_type", kinds)):
                group[f"features/{key}"] = np.array([v.encode() for v in values])
        return
    path.mkdir()
    mmwrite(path / "matrix.mtx", stored.T.tocoo())
    (path / "matrix.mtx.gz").write_bytes(gzip.compress((path / "matrix.mtx").read_bytes()))
    (path / "matrix.mtx").unlink()
    table = pd.DataFrame([ids, names, kinds]).T
    table.to_csv(path / "features.tsv.gz", sep="\t", header=False, index=False)
    pd.Series(list(adata.obs_names)).to_csv(path / "barcodes.tsv.gz", header=False, index=False)


@pytest.mark.parametrize("name", ["raw.h5", "filtered_feature_bc_matrix"])
def test_cell_ranger_with_calls_of_guides(tmp_path: Path, expected: np.ndarray, name: str) -> None:
    adata = screen()
    cell_ranger(tmp_path / name, adata)
    calls = pd.DataFrame(
        {
            "num_features": 1,
            "feature_call": [f"{g}_g{i % 2}" for i, g in enumerate(adata.obs.gene)],
        },
        index=pd.Index(adata.obs_names, name="cell_barcode"),
    )
    calls.iloc[2, 1] = "MYC_g1|KLF1_g2"
    calls = calls.drop(index="cell1")  # MYC; nothing was called
    calls.to_csv(tmp_path / "calls.csv")
    made = convert(tmp_path / name, layout="10x", obs=tmp_path / "calls.csv", control="NT",
                   type="knockout", rank="variance")  # fmt: skip
    assert set(made.adata.obs["perturbation"]) == {"control", "MYC", "KLF1", "STAT1", "KLF1,MYC"}
    assert made.report.n_dropped() == 1
    assert made.report.n_dropped("genes") == 1  # the guide
    assert made.adata.obs["n_cells"].sum() == 79
    row = (made.adata.obs["perturbation"] == "STAT1").to_numpy()
    np.testing.assert_array_equal(made.adata.raw.X[row].ravel(), sums(adata, "STAT1"))


def test_tables(tmp_path: Path, expected: np.ndarray) -> None:
    adata = screen()
    frame = pd.DataFrame(adata.X.toarray().astype(int), index=adata.obs_names, columns=GENES)
    frame.to_csv(tmp_path / "in.csv")
    frame.T.to_csv(tmp_path / "genes.tsv.gz", sep="\t")
    frame.reset_index(names="cell").to_parquet(tmp_path / "in.parquet")
    adata.obs.to_csv(tmp_path / "obs.csv")
    for name, rows in (("in.csv", False), ("genes.tsv.gz", True), ("in.parquet", False)):
        made = convert(tmp_path / name, obs=tmp_path / "obs.csv", genes_in_rows=rows, **PLAIN)
        np.testing.assert_array_equal(made.adata.raw.X, expected)
    adata.obs.rename(index=lambda name: f"{name}-1").to_csv(tmp_path / "other.csv")
    with pytest.raises(InvalidDataError, match="names none of the cells"):
        convert(tmp_path / "in.csv", obs=tmp_path / "other.csv", **PLAIN)
    with pytest.raises(InvalidDataError, match="say --genes-in-rows"):
        convert(tmp_path / "genes.tsv.gz", obs=tmp_path / "obs.csv", **PLAIN)
    with pytest.raises(InvalidDataError, match="not numbers"):
        convert(tmp_path / "obs.csv", **PLAIN)


def test_tables_as_spreadsheets_write_them(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(
        ";MYC;KLF1;MYC\nc1;1,5;2;3\nc2;4;5;6\nc3;4;4;4\n", encoding="utf-8-sig"
    )
    (tmp_path / "obs.csv").write_text("cell;gene\nc1;NT\nc2;NA\nc3;2024-03-08\n")
    made = convert(tmp_path / "in.csv", obs=tmp_path / "obs.csv", duplicates="sum",
                   counts="X", estimated_counts=True, missing_label=["x"], size_factors="total",
                   **PLAIN)  # fmt: skip
    assert list(made.adata.obs["perturbation"]) == ["2024-03-08", "NA", "control"]
    np.testing.assert_array_equal(made.adata.raw.X, [[8, 4], [10, 5], [4.5, 2]])


def test_what_is_no_file_of_counts(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "page.h5ad").write_text("<html>")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1]
    for name in ("empty", "page.h5ad", "other.h5", "absent.h5ad"):
        with pytest.raises(PereggrnError):
            convert(tmp_path / name, **PLAIN)


# Layouts


def layout_scperturb() -> tuple[anndata.AnnData, dict]:
    adata = screen(labels=["control", "MYC", "MYC_KLF1", "RP_1"])
    adata.obs = adata.obs.rename(columns={"gene": "perturbation"})
    numbers = {"control": 0, "MYC": 1, "MYC_KLF1": 2, "RP_1": 1}
    adata.obs["nperts"] = adata.obs["perturbation"].map(numbers)
    adata.obs["perturbation_type"] = "CRISPR"  # scPerturb's word for a kind of assay
    adata.var_names = [*GENES[:-1], "SOX2"]
    return adata, {"control", "MYC", "KLF1,MYC", "RP_1"}


def layout_gears() -> tuple[anndata.AnnData, dict]:
    adata = screen(labels=["ctrl", "MYC+ctrl", "ctrl+MYC", "MYC+KLF1"])
    adata.obs = adata.obs.rename(columns={"gene": "condition"})
    adata.layers["counts"] = adata.X.copy()
    adata.X = np.log1p(adata.X.toarray() / 3)
    adata.var["gene_name"] = GENES
    adata.var_names = [f"ENSG{i:011d}" for i in range(len(GENES))]
    return adata, {"control", "MYC", "KLF1,MYC"}


def layout_cell_eval() -> tuple[anndata.AnnData, dict]:
    adata = screen(labels=["non-targeting", "MYC", "KLF1"])
    adata.obs = adata.obs.rename(columns={"gene": "target_gene", "rep": "batch"})
    return adata, {"control", "MYC", "KLF1"}


def layout_pertpy() -> tuple[anndata.AnnData, dict]:
    adata = screen(labels=["NT", "MYC", "KLF1"])
    adata.obs = adata.obs.rename(columns={"gene": "gene_target", "rep": "replicate"})
    adata.obs["perturbation"] = "Perturbed"  # Mixscape's two classes, not the genes
    return adata, {"control", "MYC", "KLF1"}


def layout_cellxgene() -> tuple[anndata.AnnData, dict]:
    adata = screen(labels=["non-targeting", "MYC", "KLF1", "unknown"])
    adata.obs = adata.obs.rename(columns={"gene": "perturbation"})
    adata.obs["cell_type"] = "erythroblast"
    adata.var["feature_name"] = GENES
    adata.var_names = [f"ENSG{i:011d}" for i in range(len(GENES))]
    adata.raw = adata.copy()
    adata.X = np.log1p(adata.X.toarray() / 3)
    return adata, {"control", "MYC", "KLF1"}


@pytest.mark.parametrize("name", [n for n in LAYOUTS if n != "10x"])
def test_layouts(name: str) -> None:
    adata, labels = globals()[f"layout_{name.replace('-', '_')}"]()
    made = convert(adata, layout=name, type="knockout", rank="variance")
    assert made.validation.valid
    assert set(made.adata.obs["perturbation"]) == labels
    assert made.adata.obs["n_cells"].sum() + made.report.n_dropped() == adata.n_obs
    assert made.report.decided["layout"] == name
    assert "MYC" in made.adata.var_names
    again = convert(adata, options=made.options)
    np.testing.assert_array_equal(again.adata.X, made.adata.X)


def test_what_is_said_goes_before_a_layout() -> None:
    adata, _ = layout_scperturb()
    made = convert(adata, layout="scperturb", type="knockout", rank="variance",
                   duplicates="suffix", separator=["+"])  # fmt: skip
    assert made.adata.n_vars == 10
    assert "MYC_KLF1" in set(made.adata.obs["perturbation"])


# Recipes, files written


def test_a_recipe_repeats_the_conversion(tmp_path: Path) -> None:
    adata = screen(labels=["NT", "MYC", "KLF1_g1", "nan"])
    adata.write_h5ad(tmp_path / "in.h5ad")
    made = convert(tmp_path / "in.h5ad", perturbation="gene", type="knockout", rank="variance",
                   strip_guide_suffix=True, by=["rep"])  # fmt: skip
    files = made.write(tmp_path / "out.h5ad")
    assert [f.name for f in files] == ["out.h5ad", "out.recipe.toml"]
    assert validate(files[0]).valid
    stored = tomllib.loads(files[1].read_text())
    assert stored["made"]["input"] == str(tmp_path / "in.h5ad")
    assert len(stored["made"]["sha256"]) == 64
    again = convert(tmp_path / "in.h5ad", recipe=files[1])
    np.testing.assert_array_equal(again.adata.X, made.adata.X)
    pd.testing.assert_frame_equal(again.adata.obs, made.adata.obs)
    with pytest.raises(UsageError, match="nothing is overwritten"):
        made.write(tmp_path / "out.h5ad")


def test_a_recipe_says_what_was_found_too() -> None:
    adata = screen()
    adata.var["gene_symbol"] = GENES
    adata.var_names = [f"ENSG{i:011d}" for i in range(len(GENES))]
    adata.obs["perturbation_type"] = "knockout"
    stored = tomllib.loads(convert(adata, rank="variance").recipe)
    found = {"perturbation": "gene", "control": ["NT"], "type": "perturbation_type",
             "symbols": "var:gene_symbol", "counts": "X"}  # fmt: skip
    assert found.items() <= stored.items()


@pytest.mark.parametrize(
    ("text", "error"),
    [("perturbatoin = 'x'", "options that do not exist"), ("cells = 'yes'", "wrong type"),
     ("control = 'NT'", "wrong type"), ("x = [", "is not TOML")],
)  # fmt: skip
def test_recipes_that_are_wrong(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(PereggrnError, match=error):
        read_recipe(tmp_path / "r.toml")


_VALUES = {
    bool: st.booleans(),
    int: st.integers(0, 2**40),
    float: st.floats(allow_nan=False, allow_infinity=False),
    list: st.lists(st.text(st.characters(codec="utf-8"))),
    str: st.text(st.characters(codec="utf-8")),
}


@given(st.data())
@settings(max_examples=30)
def test_every_option_survives_a_recipe(data: st.DataObject) -> None:
    about = options_of(ConvertOptions)
    values = {name: data.draw(_VALUES[option.kind]) for name, option in about.items()}
    read = tomllib.loads(recipe_text(values, {"by": "x"}))
    assert read.pop("made") == {"by": "x"}
    assert read == values


# Nothing is done silently


def test_names_that_may_be_several_genes_or_guides_are_noted() -> None:
    adata = screen(labels=["NT", "MYC", "KLF1_GATA1", "STAT1_g1", "XYZ"])
    report = convert(adata, **PLAIN).report
    assert report.decided["perturbed genes"] == "1 measured, 3 not: KLF1_GATA1, STAT1_g1, XYZ"
    noted = {k: v for k, v in report.assumed.items() if k.startswith("one gene each")}
    assert list(noted.values()) == [
        "KLF1_GATA1; --separator _ divides them",
        "STAT1_g1; --strip-guide-suffix takes their suffixes away",
    ]


def test_cells_of_one_name_are_noted() -> None:
    adata = screen()
    adata.obs_names = ["same", "same", *adata.obs_names[2:]]
    made = convert(adata, cells=True, **PLAIN)
    assert list(made.adata.obs_names[:2]) == ["same", "same-1"]
    assert ["same"] in made.report.assumed.values()


# Nothing is lost


@given(
    st.lists(st.sampled_from([*LABELS, "MYC+KLF1", "MYC_KLF1", "nan", "", "NT+NT", "KLF1;", "+",
                              "NA+MYC", "MYC_g1", "XYZ"]) | st.text(max_size=4),
             min_size=1, max_size=15),
    st.lists(st.sampled_from(["+", "_", ";", "g", "++"]), max_size=3),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=25)
def test_no_cell_is_lost_that_the_report_does_not_count(
    labels: list[str], separators: list[str], strip: bool
) -> None:
    adata = screen(n=len(labels) + 2, labels=["NT", "MYC", *labels])
    made = convert(adata, separator=separators, strip_guide_suffix=strip, **PLAIN)
    out = made.adata
    assert out.obs["n_cells"].sum() + made.report.n_dropped() == adata.n_obs
    if not made.report.n_dropped():
        assert out.raw.X.sum() == adata.X.sum()
    cells = convert(adata, separator=separators, strip_guide_suffix=strip, cells=True, **PLAIN)
    assert cells.adata.n_obs + cells.report.n_dropped() == adata.n_obs
    assert sum(d.n for d in made.report.dropped) == made.report.n_dropped()


# Real data


@pytest.mark.shared
def test_papalexi_is_the_stored_pseudo_bulk_up_to_normalisation(shared: Path) -> None:
    """Sums are equal. The stored X differs by its size factors alone: it was divided by
    the counts of all genes, of which the file has 299, to 10,000 in all."""
    data = shared / "data/perturbations"
    made = convert(data / "papalexi/test.h5ad", perturbation="perturbation", control="control",
                   type="knockout", replicate="bio_rep", counts="raw",
                   rank="variance")  # fmt: skip
    stored = anndata.read_h5ad(data / "papalexi_pseudobulk/test.h5ad")
    out = made.adata[list(stored.obs_names), list(stored.var_names)]
    assert made.validation.valid
    np.testing.assert_array_equal(out.raw[:, list(stored.raw.var_names)].X, stored.raw.X)
    np.testing.assert_array_equal(out.obs["n_cells"], stored.obs["n_cells"])
    np.testing.assert_array_equal(out.obs[LEVEL], stored.obs[LEVEL])
    for key in (MEASURED, NOT_MEASURED):
        assert set(out.uns[key]) == set(stored.uns[key])
    ours, theirs = np.expm1(out.X.astype(float)), np.expm1(np.asarray(stored.X, float))
    ratio = np.where(theirs > 0, ours / np.where(theirs > 0, theirs, 1), np.nan)
    np.testing.assert_allclose(np.nanmax(ratio, axis=1), np.nanmin(ratio, axis=1), rtol=1e-5)


@pytest.mark.shared
def test_papalexi_cells(shared: Path) -> None:
    path = shared / "data/perturbations/papalexi/test.h5ad"
    made = convert(path, perturbation="perturbation", control="control", type="knockout",
                   counts="raw", cells=True, by="bio_rep", rank="variance")  # fmt: skip
    stored = anndata.read_h5ad(path)
    assert made.validation.valid
    assert made.adata.n_obs + made.report.n_dropped() == stored.n_obs
    kept = stored[list(made.adata.obs_names)]
    assert (made.adata.raw.X != kept.raw.X).nnz == 0
    assert list(made.adata.obs["bio_rep"].astype(str)) == list(kept.obs["bio_rep"].astype(str))


def test_public_names() -> None:
    assert pereggrn_data.convert is convert
    report = convert(screen(), **PLAIN).report
    assert set(json.loads(json.dumps(report.to_dict()))) == {
        "read",
        "dropped",
        "decided",
        "assumed",
    }


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("barcodes.tsv.gz", b"0" * 200_000_000, "unpacks to far more"),
        ("matrix.mtx.gz", "{genes} 1000000000000 1", "genes and 1000000000000 cells"),
        ("matrix.mtx.gz", "{genes} {cells} 100000000000000", "100000000000000 values for"),
    ],
)
def test_what_a_folder_of_counts_claims_is_looked_at_first(
    tmp_path: Path, file: str, content: str | bytes, said: str
) -> None:
    adata = screen()
    folder = tmp_path / "counts"
    cell_ranger(folder, adata)
    if isinstance(content, str):
        names = gzip.decompress((folder / "features.tsv.gz").read_bytes()).splitlines()
        claims = content.format(genes=len(names), cells=adata.n_obs)
        first = "%%MatrixMarket matrix coordinate integer general\n"
        content = f"{first}{claims}\n1 1 5\n".encode()
    (folder / file).write_bytes(gzip.compress(content))
    with pytest.raises(InvalidDataError, match=said):
        convert(folder, **PLAIN)


def test_folders_of_counts_may_be_packed_or_not(tmp_path: Path) -> None:
    folder = tmp_path / "counts"
    cell_ranger(folder, screen())
    with open_counts(folder) as packed:
        expected = sample_of(packed.matrices["X"], 80)
    for file in folder.iterdir():
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    with open_counts(folder) as plain:
        found = sample_of(plain.matrices["X"], 80)
    assert (found != expected).nnz == 0
    matrix = folder / "matrix.mtx"
    matrix.write_text(matrix.read_text().replace("integer", "complex", 1))
    with pytest.raises(InvalidDataError, match="complex"), open_counts(folder):
        pass


@pytest.mark.parametrize("other", [{"n_counts": 1}, {}])
def test_labels_in_the_names_of_cells_are_said_to_need_a_column(
    other: dict[str, int], tmp_path: Path
) -> None:
    adata = screen()
    adata.obs = pd.DataFrame(other, index=adata.obs["gene"].astype(str))
    adata.obs_names_make_unique()
    with pytest.raises(UsageError) as refused:
        convert(adata)
    fix = str(refused.value.fix)
    found = re.search(r"in Python, (adata.obs.*regex=True\)) makes a column", fix)
    assert found is not None
    adata.write_h5ad(tmp_path / "x.h5ad")
    assert found[1] in "".join(suggest(tmp_path / "x.h5ad").notes)
    exec(found[1], {"adata": adata})  # noqa: S102
    assert convert(adata, type="knockout", rank="variance").adata.n_obs == len(LABELS)


@pytest.mark.parametrize(
    "names", [[f"AAAC{i}-1" for i in range(80)], [f"s-{i}" for i in range(80)]]
)
def test_names_of_cells_are_not_taken_for_labels(names: list[str]) -> None:
    adata = screen()
    adata.obs = pd.DataFrame({"n_counts": 1}, index=names)
    with pytest.raises(UsageError) as refused:
        convert(adata)
    assert refused.value.fix == "name one with --perturbation."
