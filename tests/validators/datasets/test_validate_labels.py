"""Labels that mean something else than they say are found, and good ones are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from pereggrn_data import split, validate
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.labels import Spelling
from pereggrn_data.core.reports import Finding

GENES = ["AHR", "KLF1", "GATA1", "SPI1", "MYC", "SOX2", "JUN", "FOS", "STAT1", "TP53"]
RULES_OF_LABELS = {
    *("perturbation-order", "perturbation-spelling", "perturbation-unknown"),
    *("perturbation-like-control", "perturbation-names-control", "perturbation-separator"),
    *("perturbed-names-of-another-kind", "is-control-contradicts-label"),
}


def dataset(rename: Callable[[str], str] = str, genes: list[str] | None = None) -> AnnData:
    """Make 4 controls, 3 replicates of each gene, and one combination."""
    import anndata

    rng = np.random.default_rng(0)
    plain = ["control"] * 4 + [g for g in GENES for _ in range(3)] + ["AHR,KLF1"] * 2
    labels = [label if label == "control" else rename(label) for label in plain]
    names = GENES if genes is None else genes
    counts = rng.poisson(rng.gamma(2, 20, len(names)), (len(plain), len(names))).astype(float)
    x = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    obs = pd.DataFrame(
        {
            "perturbation": labels,
            "is_control": [label == "control" for label in plain],
            "perturbation_type": "knockout",
            "expression_level_after_perturbation": [
                ",".join("nan" for _ in label.split(",")) for label in labels
            ],
        },
        index=[f"cell_{i}" for i in range(len(plain))],
    )
    var = pd.DataFrame({"highly_variable_rank": range(len(names))}, index=names)
    adata = anndata.AnnData(x, obs=obs, var=var)
    adata.raw = anndata.AnnData(counts, obs=obs[[]], var=var[[]])
    fill_lists(adata)
    return adata


def fill_lists(adata: AnnData) -> None:
    flagged = zip(adata.obs["perturbation"], adata.obs["is_control"], strict=True)
    hit = sorted({g for label, control in flagged if not control for g in label.split(",")})
    adata.uns["perturbed_and_measured_genes"] = [g for g in hit if g in adata.var_names]
    adata.uns["perturbed_but_not_measured_genes"] = [g for g in hit if g not in adata.var_names]


def of_labels(adata: Any) -> list[Finding]:
    return [f for f in validate(adata).findings if f.code in RULES_OF_LABELS]


def relabel(adata: AnnData, old: str, new: str, n: int) -> AnnData:
    labels = adata.obs["perturbation"].astype(object).tolist()
    for i in [i for i, label in enumerate(labels) if label == old][:n]:
        labels[i] = new
    adata.obs["perturbation"] = labels
    fill_lists(adata)
    return adata


def test_good_labels_have_no_finding() -> None:
    assert validate(dataset()).findings == ()


@pytest.mark.parametrize("new", ["Sox2", "sox2", "SOX2 ", "SOX2_sg1"])
def test_spellings_are_found_and_never_torn_apart(new: str) -> None:
    for seed in range(6):
        adata = relabel(dataset(), "SOX2", new, 2)
        if seed == 0:
            (finding,) = of_labels(adata)
            assert (finding.code, finding.severity, finding.n) == (
                "perturbation-spelling",
                "error",
                3,
            )
            assert "SOX2" in finding.got
            assert new in finding.got
        made = split(adata, seed=seed, heldout_fraction=0.6)
        held = set(map(Spelling(GENES).form, made.split.heldout_perturbations))
        assert held.isdisjoint(map(Spelling(GENES).form, made.train.obs["perturbation"]))


def test_orders_are_held_out_together_or_not_at_all() -> None:
    sides = set()
    for seed in range(8):
        made = split(relabel(dataset(), "AHR,KLF1", "KLF1,AHR", 1), seed=seed)
        held = set(made.split.heldout_perturbations)
        sides.add(len(held & {"AHR,KLF1", "KLF1,AHR"}))
    assert sides <= {0, 2}


def test_genes_that_differ_in_case_only_are_no_spellings() -> None:
    genes = [*GENES[:-1], "sox2"]
    assert of_labels(dataset(lambda x: x.replace("TP53", "sox2"), genes)) == []


@pytest.mark.parametrize(
    ("new", "code", "severity"),
    [
        ("nan", "perturbation-unknown", "error"),
        ("None", "perturbation-unknown", "error"),
        ("Multiplet", "perturbation-unknown", "error"),
        ("non-targeting", "perturbation-like-control", "warning"),
        ("GFP", "perturbation-like-control", "warning"),
        ("ctrl", "perturbation-like-control", "warning"),
        ("SOX2,control", "perturbation-names-control", "error"),
        ("SOX2,ctrl", "perturbation-names-control", "error"),
        ("SOX2+ctrl", "perturbation-names-control", "error"),
        ("SOX2+MYC", "perturbation-separator", "warning"),
        ("SOX2_MYC", "perturbation-separator", "warning"),
        ("SOX2|MYC", "perturbation-separator", "warning"),
    ],
)
def test_each_label_has_its_finding(tmp_path: Path, new: str, code: str, severity: str) -> None:
    adata = dataset(lambda label: new if label == "SOX2" else label)
    adata.write_h5ad(tmp_path / "d.h5ad")
    for given in (adata, tmp_path / "d.h5ad"):
        (finding,) = of_labels(given)
        assert (finding.code, finding.severity, finding.n) == (code, severity, 3)
        assert new in finding.got


@pytest.mark.parametrize("gene", ["CTRL", "GFP", "nan", "A-B"])
def test_what_is_measured_is_a_gene(gene: str) -> None:
    genes = [gene, *GENES[1:]]
    assert of_labels(dataset(lambda label: label.replace("AHR", gene), genes)) == []


def test_controls_may_be_called_anything() -> None:
    adata = relabel(dataset(), "control", "NA", 4)
    assert of_labels(adata) == []


def test_contradictory_flags() -> None:
    adata = dataset()
    row = int(np.flatnonzero(adata.obs["perturbation"] == "SPI1")[0])
    flags = adata.obs["is_control"].to_numpy(copy=True)
    flags[row] = True
    adata.obs["is_control"] = flags
    (finding,) = of_labels(adata)
    assert (finding.code, finding.severity, finding.n) == (
        "is-control-contradicts-label",
        "error",
        1,
    )
    assert "1 controls and 2 perturbed" in finding.got


def ensembl(n: int) -> list[str]:
    return [f"ENSG{i:011d}" for i in range(n)]


@pytest.mark.parametrize("in_file", [False, True])
def test_symbols_and_accessions(tmp_path: Path, in_file: bool) -> None:
    adata = dataset(genes=ensembl(10))
    adata.var["gene_name"] = GENES
    given: Any = adata
    if in_file:
        given = tmp_path / "d.h5ad"
        adata.write_h5ad(given)
    (finding,) = of_labels(given)
    assert finding.code == "perturbed-names-of-another-kind"
    assert "none of 10" in finding.got
    assert "'gene_name'" in finding.got
    assert "adata.var['gene_name']" in finding.fix
    with pytest.raises(InvalidDataError, match="gene_name"):
        split(given if not in_file else str(given))


@pytest.mark.parametrize("new", ["sox2", "SOX2_sg1"])
def test_single_names_that_var_has_otherwise(new: str) -> None:
    adata = dataset(lambda label: label.replace("SOX2", new))
    (finding,) = of_labels(adata)
    assert (finding.code, finding.severity) == ("perturbed-names-of-another-kind", "warning")
    assert f"{new!r}, and var has 'SOX2'" in finding.got
    assert any(new in warning for warning in split(adata).warnings)


def test_guides() -> None:
    count = iter(range(1000))
    adata = dataset(lambda label: label if "," in label else f"{label}_sg{next(count) % 2 + 1}")
    spelling, finding = of_labels(adata)
    assert spelling.code == "perturbation-spelling"
    assert any("SOX2_sg1" in same and "SOX2_sg2" in same for same in spelling.examples)
    assert finding.code == "perturbed-names-of-another-kind"
    assert "guides" in finding.got
    assert "2 of 22" in finding.got
    assert any("guides" in warning for warning in split(adata).warnings)


def test_predictions_with_two_spellings_are_valid() -> None:
    adata = relabel(dataset(), "SOX2", "Sox2", 1)
    report = validate(adata, kind="predictions")
    (finding,) = [f for f in report.findings if f.code == "perturbation-spelling"]
    assert finding.severity == "warning"


@pytest.mark.parametrize("name", ["n.csv", "n.tsv", "n.txt", "n.CSV"])
def test_a_text_table_of_edges_looks_like_a_network(tmp_path: Path, name: str) -> None:
    separator = "\t" if name.endswith("tsv") else ","
    table = pd.DataFrame({"TF": ["MYC"], "target": ["TP53"], "importance": [1.0]})
    table.to_csv(tmp_path / name, index=False, sep=separator)
    report = validate(tmp_path / name)
    (finding,) = report.findings
    assert (report.kind, finding.code) == ("network", "network-not-parquet")
    assert "networks import" in finding.fix


def test_a_wide_table_with_genes_named_tf_and_tg_holds_predictions(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    pd.DataFrame({"perturbation": ["A"], "TF": [1.0], "TG": [1.0]}).to_csv(path, index=False)
    assert validate(path).kind == "predictions"


def test_ranks_as_scanpy_leaves_them() -> None:
    adata = dataset()
    adata.var["highly_variable_rank"] = [0.0, 1.0, *[np.nan] * 8]
    (finding,) = validate(adata).findings
    assert finding.code == "rank-missing"
    assert "n_top_genes=adata.n_vars" in finding.fix
    assert "fillna" in finding.fix
