"""The commands `split` and `score` with all types of split, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from pereggrn_data.core.options import options_of
from pereggrn_data.evaluators.splits.types import SPLIT_TYPES
from pereggrn_data.pipelines.split import SplitOptions


def fill(folder: str | Path) -> Path:
    """Predict the training mean."""
    template = anndata.read_h5ad(Path(folder) / "predictions_template.h5ad")
    train = anndata.read_h5ad(Path(folder) / "train.h5ad")
    template.X[:] = np.asarray(train.X.mean(axis=0)).ravel()
    path = Path(folder) / "filled.h5ad"
    template.write_h5ad(path)
    return path


ALSO = {
    "stratified": ("--stratify-controls",),
    "genetic_interaction": ("--merge-replicates", "--keep-apart", "timepoint"),
    "demultiplexing": ("--rank-on-train",),
    "k_fold": ("--fold", "2", "--folds", "3"),
    "cell_type": ("--cell-type", "late", "--validation-fraction", "0.2"),
}
"""Options that are tried with some types; the others are split as they are."""

NAMED = options_of(SplitOptions)["test_set"].applies_to
MADE_BY = {
    kind.name: (
        *ALSO.get(kind.name, ()),
        *(("--test-set", "names.json") if kind.name in NAMED else ()),
    )
    for kind in SPLIT_TYPES.values()
    if not kind.separate_training
}


def test_help_names_every_type(run: Any) -> None:
    code, out, _ = run("split", "--help")
    assert code == 0
    for name in SPLIT_TYPES:
        assert name in out


@pytest.mark.parametrize("kind", MADE_BY)
def test_split_check_and_score(run: Any, kind: str) -> None:
    demo = anndata.read_h5ad(write_demo(Path("mine/test.h5ad")), backed="r")
    perturbed = demo.obs_names[~demo.obs["is_control"].to_numpy(bool)]
    Path("names.json").write_text(json.dumps(list(perturbed[::3])))
    demo.file.close()
    if kind == "cell_type":
        with_cell_types(Path("mine/test.h5ad"))
    code, out, err = run("split", "mine/test.h5ad", "--type", kind, "-o", "task", "--json",
                         *MADE_BY[kind])  # fmt: skip
    assert code == 0, err
    printed = json.loads(out)
    assert printed["type"] == kind
    to_predict = pd.read_csv("task/test_perturbations.csv", index_col=0)
    assert len(to_predict) == printed["n_test_observations"]
    train = anndata.read_h5ad("task/train.h5ad", backed="r")
    assert train.n_obs == printed["n_train_observations"]
    train.file.close()
    for warning in printed["warnings"]:
        assert f"warning: {warning}" in err
    code, out, _ = run("split", "--check", "task/split.json", "mine/test.h5ad")
    assert code == 0
    assert "valid" in out
    code, out, err = run("score", fill("task"), "--json", "--no-calibration", "--draws", "300")
    assert code == 0, err
    summary = json.loads(out)
    assert summary["n_scored"] == summary["n_expected"] > 0
    baselines = {key for key in summary["metrics"]["mae"] if key.endswith("_baseline")}
    wanted = ("mean", "median", *SPLIT_TYPES[kind].extra_baselines)
    assert baselines == {f"{name}_baseline" for name in wanted}
    assert summary["metrics"]["mae"]["percent_change_from_mean"] is not None


def with_cell_types(path: Path) -> None:
    """Call every other observation of a perturbation late, the others early."""
    adata = anndata.read_h5ad(path)
    nth = adata.obs.groupby("perturbation", observed=True).cumcount()
    adata.obs["cell_type"] = ["late" if n % 2 else "early" for n in nth]
    adata.write_h5ad(path)


def write_demo(path: Path) -> Path:
    from pereggrn_data.loaders.files.datasets.anndata_files import write_h5ad
    from pereggrn_data.pipelines.collection import load

    path.parent.mkdir(exist_ok=True)
    write_h5ad(load("demo"), path)
    return path


def test_all_folds_are_written_and_scored_as_one(run: Any) -> None:
    options = ("--type", "k_fold", "--folds", "2", "--num-genes", "30", "-o", "folds")
    code, out, err = run("split", "demo", *options, "--json")
    assert code == 0, err
    assert [f["rules"]["fold"] for f in json.loads(out)["folds"]] == [0, 1]
    files = [fill(f"folds/fold_{k}") for k in (0, 1)]
    code, out, err = run("score", *files, "--json", "--no-calibration", "--draws", "200")
    assert code == 0, err
    summary = json.loads(out)
    assert len(summary["pooled"]) == 2
    assert summary["n_scored"] == sum(p["n_scored"] for p in summary["pooled"])
    assert Path("pooled_scores/scores.parquet").is_file()


def test_score_makes_the_split_again(run: Any) -> None:
    """A file without uns['pereggrn'] is scored on the split that the options describe."""
    options = ("--seed", "3", "--merge-replicates", "--keep-apart", "timepoint",
               "--type", "simple")  # fmt: skip
    assert run("split", "demo", "-o", "task", *options)[0] == 0
    path = fill("task")
    stated = json.loads(run("score", path, "--json", "--name", "mine")[1])
    predictions = anndata.read_h5ad(path)
    del predictions.uns["pereggrn"]
    predictions.write_h5ad("bare.h5ad")
    code, out, err = run(
        "score", "bare.h5ad", "--dataset", "demo", "--json", "--name", "mine", *options
    )
    assert code == 0, err
    again = json.loads(out)
    for key in ("file", "file_checksum", "asked"):
        assert again.pop(key) != stated.pop(key)
    assert again == stated
    code, _, err = run("score", "bare.h5ad", "--split", "task/split.json", "--rank-on-train")
    assert code == 2
    assert "either read or made" in err


def test_check_tells_what_is_wrong(run: Any) -> None:
    run("split", "demo", "-o", "task")
    values = json.loads(Path("task/split.json").read_text())
    control = "control-1"
    names = anndata.read_h5ad("task/train.h5ad", backed="r")
    control = str(names.obs_names[names.obs["is_control"].to_numpy(bool)][0])
    names.file.close()
    values["test_observations"].append(control)
    Path("wrong.json").write_text(json.dumps(values))
    code, out, _ = run("split", "--check", "wrong.json", "demo")
    assert code == 1
    assert "split-heldout-control" in out
    assert control in out
    code, out, _ = run("split", "--check", "wrong.json", "demo", "--json")
    assert code == 1
    assert json.loads(out)["valid"] is False
    values["dataset"]["sha256"] = "f" * 64
    Path("wrong.json").write_text(json.dumps(values))
    code, _, err = run("split", "--check", "wrong.json", "demo")
    assert code == 4
    assert "f" * 64 in err
    assert json.loads(Path("task/split.json").read_text())["dataset"]["sha256"] in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--type", "stratifed"), 2, "did you mean stratified"),
        (("--stratify-controls",), 2, "--type stratified"),
        (("--allowed-regulators", "union"), 2, "belong together"),
        (("--network", "nowhere.parquet", "--allowed-regulators", "union"), 2, "nowhere.parquet"),
        (("--type", "custom"), 2, "--test-set"),
        (("--type", "custom", "--test-set", "none.json"), 2, "none.json"),
        (("--keep-apart", "timepoint"), 2, "--merge-replicates"),
        (("--type", "timeseries"), 2, "no separate training file"),
        (("--type", "stratified", "--merge-replicates"), 1, "at most 1 observations each"),
    ],
)
def test_what_cannot_be_done(
    run: Any, arguments: tuple[str, ...], code: int, message: str
) -> None:
    given, _, err = run("split", "demo", *arguments)
    assert given == code
    assert message in err
    assert "Traceback" not in err


def test_allowed_regulators(run: Any) -> None:
    demo = anndata.read_h5ad(write_demo(Path("mine/test.h5ad")), backed="r")
    genes = sorted(map(str, demo.uns["perturbed_and_measured_genes"]))
    demo.file.close()
    Path("nets/networks").mkdir(parents=True)
    for name, regulators in (("a", genes[:6]), ("b", genes[4:8])):
        edges = pd.DataFrame({"regulator": regulators, "target": "x", "weight": -1.0})
        edges.to_parquet(f"nets/networks/{name}.parquet")
    for rule, allowed in (("union", genes[:8]), ("intersection", genes[4:6])):
        code, out, err = run(
            "split", "mine/test.h5ad", "--allowed-regulators", rule, "--network",
            "nets/networks/a.parquet", "--network", "nets/networks/b.parquet", "--json",
        )  # fmt: skip
        assert code == 0, err
        printed = json.loads(out)
        held_out = {g for label in printed["heldout_perturbations"] for g in label.split(",")}
        assert held_out
        assert held_out <= set(allowed)
        assert printed["rules"]["allowed_regulators"] == rule
        assert len(printed["rules"]["networks"]) == 2


def test_another_dataset_than_the_one_of_the_predictions(run: Any) -> None:
    """It is a file other than promised, whichever command finds that out."""
    run("split", "demo", "-o", "task")
    path = fill("task")
    other = anndata.read_h5ad("task/train.h5ad")
    other.write_h5ad("other.h5ad")
    codes = [
        run("score", path, "--dataset", "other.h5ad")[0],
        run("split", "--check", "task/split.json", "other.h5ad")[0],
        run("predict", "other.h5ad", "--split", "task/split.json", "-m", "mean")[0],
    ]
    assert codes == [4, 4, 4]


def test_split_checks_where_it_writes_before_it_computes(run: Any, monkeypatch: Any) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed in vain")

    monkeypatch.setattr("pereggrn_data.pipelines.split.splitting.split", never)
    Path("file").touch()
    code, _, err = run("split", "demo", "-o", "file/task")
    assert code == 2, err
    assert "cannot be written" in err
