"""What a program is told: choices that have been checked, under the names of the original."""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError, MissingFileError, PereggrnError, UsageError
from pereggrn_data.loaders.program.commands import split_command
from pereggrn_data.pipelines.predict.model_options import Program
from pereggrn_data.simulate.demo_dataset import demo_dataset


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def told(tmp_path: Path) -> Any:
    """Return the folder that a program is given."""

    def call(data: Any = "demo", **choices: Any) -> Path:
        keep = tmp_path / "kept"
        with pytest.raises(InvalidDataError, match="wrote no"):
            pereggrn_data.predict(
                data, program=Program(command="true {dir}", keep=keep), **choices
            )
        return keep

    return call


def grammar(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "ggrn_args.json").read_text())
    return read


def test_without_choices(told: Any) -> None:
    args = grammar(told())
    assert "low_dimensional_value" not in args  # else images take null for a number
    assert args["network_prior"] == "ignore"
    assert args["pruning_strategy"] == "none"
    assert args["matching_method"] == "steady_state"
    assert args["prediction_timescale"] == [1]
    assert (args["exclusion"], args["control_subtype"]) == ("gene", None)


def test_all_choices(told: Any, tmp_path: Path) -> None:
    edges = pd.DataFrame({"regulator": ["DEMOTF01"], "target": ["DEMO001"]})
    args = grammar(
        told(
            network=edges,
            matching="closest",
            exclusion="label",
            control_subtype="cont",
            low_dimensional="dynamics",
            dimensions="5",
            prune=100,
            predict_self=True,
            seed=4,
            steps=(2, 3),
        )
    )
    assert args["network_prior"] == "restrictive"
    assert (args["low_dimensional_value"], args["low_dimensional_training"]) == (5, "svd")
    assert (args["exclusion"], args["control_subtype"]) == ("label", "cont")
    assert (args["pruning_strategy"], args["pruning_parameter"]) == ("prune_and_refit", 100)
    assert (args["predict_self"], args["seed"]) == (True, 4)
    assert args["prediction_timescale"] == [2, 3]


@pytest.mark.parametrize("dense", [None, "dense"])
def test_the_dense_network_is_none(told: Any, dense: str | None) -> None:
    folder = told(network=dense)
    assert grammar(folder)["network_prior"] == "ignore"
    assert not (folder / "network.parquet").exists()


def test_a_matrix_is_read(told: Any, tmp_path: Path) -> None:
    n = len(pereggrn_data.split("demo").split.genes)
    matrix = np.arange(2.0 * n).reshape(2, n)
    np.save(tmp_path / "m.npy", matrix)
    args = grammar(told(low_dimensional="dynamics", dimensions=str(tmp_path / "m.npy")))
    np.testing.assert_array_equal(args["low_dimensional_value"], matrix)
    assert args["low_dimensional_training"] == "fixed"


@pytest.mark.parametrize(
    ("choice", "kind"),
    [
        ({"matching": "nonsense"}, UsageError),
        ({"network_prior": "nonsense"}, UsageError),
        ({"network_prior": "restrictive"}, UsageError),
        ({"cell_type_sharing": "nonsense"}, UsageError),
        ({"low_dimensional": "bla"}, UsageError),
        ({"dimensions": 5}, UsageError),
        ({"exclusion": "nonsense"}, UsageError),
        ({"eligible_regulators": "nonsense"}, PereggrnError),
        ({"low_dimensional": "dynamics", "dimensions": "/no/file.npy"}, MissingFileError),
        ({"matching": "user"}, InvalidDataError),
    ],
)
def test_choices_that_are_none(choice: dict[str, Any], kind: type[PereggrnError]) -> None:
    """Before the program starts."""
    data = demo_dataset().adata.copy()
    data.obs = data.obs.drop(columns="matched_control")
    with pytest.raises(kind) as caught:
        pereggrn_data.predict(data, program=Program(command="true {dir}"), **choice)
    assert "wrote no" not in str(caught.value)


def test_the_table_of_requests(told: Any) -> None:
    folder = told(steps=(1, 3))
    with (folder / "predictions_metadata.csv").open() as file:
        rows = list(csv.DictReader(file))
        header = (folder / "predictions_metadata.csv").read_text().splitlines()[0].split(",")
    assert len(header) == len(set(header)) == len(rows[0])
    assert len({row["observation"] for row in rows}) == len(rows)
    names = list(pereggrn_data.split("demo").test_perturbations.index)
    assert [row["test_observation"] for row in rows] == names * 2
    assert {row["is_control"] for row in rows} == {"False"}


def test_columns_that_images_count_on(told: Any) -> None:
    """Those of the original: a timepoint, a cell type, and what each is matched with."""
    data = demo_dataset().adata.copy()
    data.obs = data.obs.drop(columns=["matched_control", "timepoint"])
    folder = told(data, matching="closest_with_unmatched_controls")
    train = anndata.read_h5ad(folder / "train.h5ad").obs
    wanted = pd.read_csv(folder / "predictions_metadata.csv")
    assert set(train["timepoint"]) == set(wanted["timepoint"]) == {1}
    assert set(train["cell_type"]) == set(wanted["cell_type"]) == {"unknown"}
    controls = set(train.index[train["is_control"]])
    assert set(train.loc[~train["is_control"], "matched_control"].astype(str)) <= controls
    assert train.loc[train["is_control"], "matched_control"].isna().all()


def test_steady_state_matches_with_itself_or_leaves_the_column(told: Any, tmp_path: Path) -> None:
    data = demo_dataset().adata.copy()
    given = anndata.read_h5ad(told(data) / "train.h5ad").obs["matched_control"]
    assert given.dropna().astype(str).tolist() == [
        m for m in data.obs.loc[given.index, "matched_control"] if isinstance(m, str)
    ]
    data.obs = data.obs.drop(columns="matched_control")
    (tmp_path / "kept").rename(tmp_path / "first")
    own = anndata.read_h5ad(told(data) / "train.h5ad").obs["matched_control"]
    assert own.astype(str).tolist() == own.index.tolist()


TRUE = ("--command", "true {dir}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time-limit", "5"], "--time-limit makes no difference"),
        (["--log", "x"], "--log makes no difference"),
        (["--keep", "x"], "--keep makes no difference"),
        (["--model-file", "m.npz", "--log", "x"], "--log makes no difference"),
        (["--runtime", "docker"], "--container with --runtime"),
        (["--container-argument", "x"], "--container with --container-argument"),
        ([*TRUE, "--runtime", "docker"], "--container with --runtime"),
        ([*TRUE, "--container-argument", "x"], "--container with --container-argument"),
        (["--container", "x", "--runtime", "foo"], "no container runtime named 'foo'"),
        ([*TRUE, "--memory", "nan"], "memory limit is not a size"),
        ([*TRUE, "--memory", "inf"], "memory limit is not a size"),
        ([*TRUE, "--memory", "0"], "memory limit is not a size"),
        ([*TRUE, "--time-limit", "nan"], "time limit is not positive"),
        ([*TRUE, "--log", "folder"], "a folder"),
        (["--save-model", "folder.h5ad"], "a folder"),
        ([*TRUE, "--keep", "file"], "no folder"),
    ],
)
def test_options_that_make_no_sense(
    run: Any, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.h5ad").mkdir()
    (tmp_path / "file").touch()
    code, _, err = run("predict", "demo", *arguments)
    assert code == 2, err
    assert message in err


def test_where_it_is_kept_is_said(run: Any, tmp_path: Path) -> None:
    code, _, err = run(
        "predict", "demo", "--command", "touch {dir}/predictions.h5ad", "--log", "log"
    )
    assert code == 1
    assert "is empty" in err
    assert f"its folder is kept: {tmp_path}/pereggrn-" in err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python m.py {dir} --formula=\"y > x\" --f='x < y'", ["--formula=y > x", "--f=x < y"]),
        ('python m.py {dir} --expr="a; b" -k a\\;', ["--expr=a; b", "-k", "a;"]),
        ('python m.py {dir} \'|\' "a \\" > b"', ["|", 'a " > b']),
    ],
)
def test_what_is_quoted_is_no_operator(command: str, words: list[str], tmp_path: Path) -> None:
    command = command.replace("python", f"'{sys.executable}'")
    assert split_command(command, tmp_path)[3:] == words


@pytest.mark.parametrize("operator", [">", ">>", "2>&1", "|", "&&", ";", "&", ">log", "a;"])
def test_operators_are_refused(operator: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No shell"):
        split_command(f"'{sys.executable}' m.py {{dir}} {operator} x", tmp_path)


@pytest.mark.parametrize("name", ["data.h5ad", "net.parquet", "ggrn_args.json", "m.npz"])
def test_a_log_is_no_file_of_data(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="written over"):
        Program(command="m {dir}", log=tmp_path / name)


def test_the_answers_that_are_kept_are_not_overwritten(tmp_path: Path) -> None:
    program = Program(command=[sys.executable, "-c", "", "{dir}"], keep=tmp_path / "k")
    with pytest.raises(UsageError, match="a file of the program's folder"):
        pereggrn_data.predict("demo", program=program, output=tmp_path / "k" / "predictions.h5ad")
    assert not (tmp_path / "k").exists()
