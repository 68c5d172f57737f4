"""`validate --suggest`: the command that it prints converts the file."""

from __future__ import annotations

import shlex
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from pereggrn_data import validate
from pereggrn_data.cli.data import data_app
from pereggrn_data.cli.output import run
from pereggrn_data.conversion import ConvertOptions
from pereggrn_data.core.options import options_of
from pereggrn_data.pipelines.convert import suggest
from pereggrn_data.validators import FORMAT_COLUMNS, RULES

GENES = ["MYC", "KLF1", "GATA1", "STAT1", "TP53", "ACTB"]
IDS = [f"ENSG{i:011d}" for i in range(len(GENES))]


def scanpy_object(labels: list[str], **obs: list[str]) -> anndata.AnnData:
    rng = np.random.default_rng(0)
    n = 20 * len(labels)
    counts = rng.poisson(9, (n, len(GENES))).astype(np.float32)
    table = pd.DataFrame({"gene": labels * 20}, index=[f"c{i}" for i in range(n)])
    for name, values in obs.items():
        table[name] = [values[i % len(values)] for i in range(n)]
    logs = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    var = pd.DataFrame({"gene_name": GENES}, index=IDS)
    adata = anndata.AnnData(sparse.csr_matrix(logs), obs=table, var=var)
    adata.layers["counts"] = sparse.csr_matrix(counts)
    return adata


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def type_in(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", list(words))
        try:
            run(data_app.app, "pereggrn-data")
            code = 0
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return type_in


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["NT", "MYC", "KLF1"], {"control": ("NT",)}),
        (["NT_1", "NT_2", "MYC_g1", "KLF1_g2"],
         {"control": ("NT_1", "NT_2"), "strip_guide_suffix": True}),
        (["ctrl", "MYC+ctrl", "MYC+KLF1"], {"control": ("ctrl",)}),
        (["control", "MYC_KLF1", "GATA1"], {"separator": (*ConvertOptions().separator, "_")}),
        (["NT", "MYC", "unknown"], {"control": ("NT",)}),
    ],
)  # fmt: skip
def test_what_is_printed_converts_the_file(
    typed, tmp_path: Path, labels: list[str], expected: dict[str, object]
) -> None:
    file = tmp_path / "in.h5ad"
    scanpy_object(labels, donor=["a", "b"], tech=["CRISPR"]).write_h5ad(file)
    found = suggest(file)
    assert expected.items() <= found.options.items()
    assert found.options["counts"] == "layer:counts"
    assert found.options["symbols"] == "var:gene_name"
    assert found.open_options == {}
    code, said, _ = typed("pereggrn-data", "validate", str(file), "--suggest")
    assert code == 1
    words = shlex.split(said.splitlines()[-1])
    assert words == found.words
    # Too few genes for the ranks that are the default, where those can be had.
    ranked = () if "--rank" in words else ("--rank", "variance")
    code, _, error = typed(*words, *ranked)
    assert code == 0, error
    made = anndata.read_h5ad(found.output)
    assert validate(made).valid
    assert not {x.upper() for x in made.obs["perturbation"]} - {
        "CONTROL", *GENES, "KLF1,MYC",
    }  # fmt: skip


def test_what_nothing_tells_is_left_open_and_said(typed, tmp_path: Path) -> None:
    file = tmp_path / "in.h5ad"
    scanpy_object(["mystery", "MYC"]).write_h5ad(file)
    _, said, told = typed("pereggrn-data", "validate", str(file), "--suggest")
    assert "--control LABEL --type TYPE" in said.splitlines()[-1]
    assert "Replace LABEL, TYPE before you run it." in told
    assert "'mystery'" in told or "mystery" in told


def test_z_scores_without_counts_are_no_input(tmp_path: Path) -> None:
    adata = scanpy_object(["NT", "MYC", "KLF1"])
    dense = adata.X.toarray()
    adata.X = (dense - dense.mean(axis=0)) / dense.std(axis=0)
    del adata.layers["counts"]
    adata.uns["log1p"] = {}
    adata.write_h5ad(tmp_path / "z.h5ad")
    found = suggest(tmp_path / "z.h5ad")
    assert found.open_options["counts"] == "SLOT"
    assert any("z-scores" in note for note in found.notes)


def test_a_file_that_needs_no_conversion(typed, tmp_path: Path) -> None:
    file = tmp_path / "net.parquet"
    pd.DataFrame({"regulator": ["A"], "target": ["B"], "weight": [1.0]}).to_parquet(file)
    code, _, told = typed("pereggrn-data", "validate", str(file), "--suggest")
    assert code == 0
    assert "nothing that `pereggrn-data convert` mends" in told


def test_rules_and_columns_name_options_that_there_are() -> None:
    known = set(options_of(ConvertOptions))
    named = {name for rule in RULES.values() for name in rule.mended_by or ()}
    named |= {c.convert_option for c in FORMAT_COLUMNS if c.convert_option}
    assert named
    assert named <= known


def test_findings_of_a_dataset_name_the_option() -> None:
    fixes = {f.column: f.fix for f in validate(scanpy_object(["NT", "MYC"])).findings}
    assert fixes["is_control"].endswith("Or let `pereggrn-data convert` do it (--control).")
    assert fixes["perturbation_type"].endswith("(--type).")


def test_findings_of_predictions_do_not(tmp_path: Path) -> None:
    table = pd.DataFrame({"perturbation": ["A B"], "G1": [1.0], "G2": [2.0]})
    table.to_csv(tmp_path / "p.csv", index=False)
    found = validate(tmp_path / "p.csv").findings
    assert any(f.code == "perturbation-white-space" for f in found)
    assert not any("convert`" in f.fix for f in found)
