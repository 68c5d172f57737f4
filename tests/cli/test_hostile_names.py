"""Names that files hold cannot write a line that looks like ours, whoever prints them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from quick_scores import quick_score

import pereggrn_data

NAME = "evil\x1b[2J\r\nerror: forged"
SHOWN = r"evil\x1b[2J\r\nerror: forged"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write files of each kind with that name in them, wherever one may be."""
    folder = tmp_path_factory.mktemp("hostile")
    networks = folder / "collection/networks/n/networks"
    networks.mkdir(parents=True)
    edges = pd.DataFrame({"regulator": [NAME, "A"], "target": [NAME, "B"], "weight": 1.0})
    edges.assign(cell_type=NAME).to_parquet(networks / f"{NAME}.parquet")
    datasets = folder / "collection/perturbations"
    datasets.mkdir()
    listed = {"name": "d", "is_ready": "yes", "summary": NAME, "cell_type": NAME, "species": NAME}
    pd.DataFrame([listed]).to_csv(datasets / "perturbations.csv", index=False)
    (datasets / "d").mkdir()
    made = pereggrn_data.split("demo")
    adata = made.train.copy()
    adata.obs["cell_type"] = NAME
    adata.write_h5ad(datasets / "d/test.h5ad")
    adata.obs["perturbation"] = NAME
    adata.write_h5ad(folder / "wrong.h5ad")
    filled = made.template
    filled.X = np.full(filled.shape, 1.0, np.float32)
    filled.write_h5ad(folder / "predictions.h5ad")
    report = quick_score(folder / "predictions.h5ad")
    report.write(folder / "run")
    summary = json.loads((folder / "run/summary.json").read_text())
    summary |= {"name": NAME, "file": NAME}
    (folder / "run/summary.json").write_text(json.dumps(summary))
    genes = pd.DataFrame({"gene": list(filled.var_names), NAME: range(filled.n_vars)})
    genes.to_csv(folder / "genes.csv", index=False)
    return folder


COMMANDS = (
    "data list --collection collection",
    "data info d --collection collection",
    "data info n --collection collection",
    "data path n --collection collection",
    "data validate wrong.h5ad",
    "data validate wrong.h5ad --suggest",
    "data networks info n --collection collection",
    "data networks edges n --collection collection",
    "data networks degree n --collection collection",
    "data networks regulators n B --collection collection",
    "data networks sql 'SELECT * FROM edges' --network n --collection collection",
    "eval split d --collection collection --type cell_type --cell-type 'evil'",
    "eval compare run",
    "eval strata run --dataset demo --features genes.csv",
)


@pytest.mark.parametrize("line", COMMANDS)
def test_no_command_obeys_them(
    line: str, files: Path, run: Any, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    program, *arguments = shlex.split(line)
    if program == "data":
        done = command(*arguments)
        shown = done.out + done.err
    else:
        _, out, err = run(*arguments)
        shown = out + err
    assert SHOWN in shown
    assert not OBEYED.search(shown)
    assert not any(line.startswith("error: forged") for line in shown.split("\n"))
