"""`pereggrn-data convert` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from pereggrn_data.cli.data import data_app
from pereggrn_data.cli.output import run


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    genes = ["MYC", "KLF1", "GATA1", "STAT1", "TP53", "ACTB"]
    labels = ["NT", "MYC_g1", "KLF1_g2", "unassigned"]
    obs = pd.DataFrame({"gene": labels * 10}, index=[f"c{i}" for i in range(40)])
    adata = anndata.AnnData(
        sparse.csr_matrix(rng.poisson(9, (40, 6)).astype(np.float32)),
        obs=obs,
        var=pd.DataFrame(index=genes),
    )
    adata.write_h5ad(tmp_path / "in.h5ad")
    return tmp_path / "in.h5ad"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def type_in(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pereggrn-data", *map(str, words)])
        try:
            run(data_app.app, "pereggrn-data")
            code = 0
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return type_in


OPTIONS = ("--type", "knockout", "--rank", "variance", "--strip-guide-suffix")


def test_convert_validate_split(typed, counts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.h5ad"
    report = tmp_path / "report.json"
    code, said, _ = typed("convert", counts, "-o", out, "--report", report, *OPTIONS)
    assert code == 0
    assert "10 cells: cells of which it is not known what was perturbed" in said
    assert said.splitlines()[-2:] == [str(out), str(tmp_path / "out.recipe.toml")]
    stored = json.loads(report.read_text())
    assert stored["dropped"][0]["n"] == 10
    assert stored["assumed"]["controls"] == "NT"
    assert typed("validate", out)[0] == 0
    recipe = tmp_path / "out.recipe.toml"
    code, said, _ = typed("convert", counts, "-o", tmp_path / "again.h5ad", "--recipe", recipe,
                          "--json")  # fmt: skip
    assert code == 0
    assert json.loads(said)["decided"]["output"] == stored["decided"]["output"]


def test_nothing_is_overwritten(typed, counts: Path, tmp_path: Path) -> None:
    before = counts.read_bytes()
    code, _, said = typed("convert", counts, "-o", counts, *OPTIONS)
    assert code == 2
    assert "nothing is overwritten" in said
    assert counts.read_bytes() == before


def test_an_invalid_result_is_not_written(typed, counts: Path, tmp_path: Path) -> None:
    adata = anndata.read_h5ad(counts)
    adata.obs["gene"] = adata.obs["gene"].astype(str).replace("MYC_g1", "MYC gene")
    adata.write_h5ad(tmp_path / "white.h5ad")
    out = tmp_path / "out.h5ad"
    code, said, err = typed("convert", tmp_path / "white.h5ad", "-o", out, *OPTIONS)
    assert code == 1
    assert "perturbation-white-space" in err
    assert "dropped:" in said
    assert not out.exists()


def test_what_is_missing_is_said_with_its_option(typed, counts: Path, tmp_path: Path) -> None:
    code, _, said = typed("convert", counts, "-o", tmp_path / "out.h5ad", "--rank", "variance")
    assert code == 2
    assert "--type" in said
    code, _, said = typed("convert", counts, "-o", tmp_path / "out.txt", *OPTIONS)
    assert code == 2
    assert ".h5ad" in said
