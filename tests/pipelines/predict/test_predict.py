"""Predict: from a dataset and a model's name to a file that is scored without options."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from quick_scores import quick_score
from scipy import sparse

import pereggrn_data
from pereggrn_data.adapters import adapters
from pereggrn_data.cli.output import at_home
from pereggrn_data.core.errors import InvalidDataError, UnknownNameError, UsageError
from pereggrn_data.core.format import MODEL_UNS, ORACLE_UNS
from pereggrn_data.loaders.files.datasets.anndata_files import read_h5ad, write_h5ad
from pereggrn_data.loaders.files.model_files import read_model_file, write_arrays
from pereggrn_data.loaders.files.prediction_files import read_predictions
from pereggrn_data.models import METHODS, MethodKind, choices_of, get_method
from pereggrn_data.pipelines.predict.model_options import ModelOptions
from pereggrn_data.pipelines.predict.model_store import load_model
from pereggrn_data.simulate.demo_dataset import demo_network

FEW = {"eligible_regulators": "perturbed"}
SLOW = (
    *("ARDRegression", "ElasticNetCV", "ExtraTreesRegressor", "GradientBoostingRegressor"),
    *("LassoCV", "LassoLarsIC"),
)


@pytest.fixture(scope="module")
def network() -> pd.DataFrame:
    made: pd.DataFrame = demo_network()
    return made[["regulator", "target"]]


def test_predict_then_score_without_options(run: Any, tmp_path: Path) -> None:
    code, out, err = run("predict", "demo", "--model", "RidgeCV", "-o", "p.h5ad")
    assert code == 0
    assert "84 rows x 232 genes" in out
    assert "pereggrn-eval score p.h5ad" in err
    template = pereggrn_data.split("demo").template
    made = anndata.read_h5ad("p.h5ad")
    assert made.obs_names.tolist() == template.obs_names.tolist()
    assert made.obs.columns.tolist() == template.obs.columns.tolist()
    assert made.var_names.tolist() == template.var_names.tolist()
    assert made.uns["pereggrn"] == template.uns["pereggrn"]
    assert ORACLE_UNS not in made.uns
    assert json.loads(made.uns[MODEL_UNS])["matching"] == "steady_state"
    code, out, err = run("score", "p.h5ad")
    assert code == 0
    assert "28 of 28 groups scored" in out
    assert "oracle" not in err


@pytest.mark.parametrize("method", [m.name for m in METHODS if m.name not in SLOW])
def test_every_method_predicts_what_score_accepts(method: str, network: pd.DataFrame) -> None:
    heeded = choices_of(get_method(method))
    choices: dict[str, Any] = dict(FEW)
    if heeded is not None:
        choices = {"network": network} if "network" in heeded else {}
        if get_method(method).kind is MethodKind.GRAPH:
            few = (
                {"factors": 3} if "factors" in signature(get_method(method).fit).parameters else {}
            )
            choices["arguments"] = {"penalty": 1.0, "epochs": 3, **few}
    options = pereggrn_data.SplitOptions(num_genes=40)
    made = pereggrn_data.predict("demo", method, split_options=options, **choices)
    assert made.model == method
    assert np.isfinite(made.adata.X).all()
    assert quick_score(made.adata).n_scored == 28


@pytest.mark.parametrize("method", [m.name for m in METHODS if choices_of(m) is not None])
def test_choices_that_a_method_does_not_heed_are_refused(method: str) -> None:
    """All of them, by what the method's entry says."""
    heeded = choices_of(get_method(method))
    others: dict[str, Any] = {
        "arguments": {"k": 3},
        "network": "empty",
        "network_prior": "ignore",
        "eligible_regulators": "perturbed",
        "tf_list": ["A"],
        "species": "human",
        "matching": "closest",
        "steps": 2,
        "exclusion": "label",
        "predict_self": True,
        "cell_type_sharing": "distinct",
        "prune": 3,
        "low_dimensional": "dynamics",
        "dimensions": 2,
        "control_subtype": "c",
        "starting_expression": "heldout",
        "hold_output": False,
    }
    assert {*others, "model", "seed"} == {f.name for f in fields(ModelOptions)}
    made = pereggrn_data.split("demo", num_genes=20)
    for name, value in others.items():
        if name not in (heeded or ()):
            with pytest.raises(UsageError, match="no difference") as caught:
                pereggrn_data.predict(model=method, split=made, **{name: value})
            assert caught.value.got == name


def test_the_mean_is_the_mean_baseline() -> None:
    report = quick_score(pereggrn_data.predict("demo", "mean").adata)
    for metric in report.metrics.values():
        if metric.value is not None and metric.baselines["mean"] is not None:
            assert metric.value == pytest.approx(metric.baselines["mean"], rel=1e-6)


def test_nothing_held_out_reaches_the_forecast(tmp_path: Path) -> None:
    """Other held-out expression, the same forecast."""
    task = pereggrn_data.split("demo")
    adata = task.dataset.adata.copy()
    held_out = adata.obs_names.isin(task.split.test_observations)
    made = []
    for shift in (0.0, 1.0):
        changed = adata.copy()
        x = np.asarray(changed.X).copy()
        x[held_out] += shift
        changed.X = x
        path = tmp_path / f"shift{shift:.0f}.h5ad"
        write_h5ad(changed, path)
        insist = "level-differs-from-X"
        made.append(pereggrn_data.predict(path, insist=insist, **FEW).adata)
    np.testing.assert_array_equal(made[0].X, made[1].X)


def test_a_split_that_somebody_made(tmp_path: Path) -> None:
    task = pereggrn_data.split("demo", seed=3, num_genes=80)
    file = task.write(tmp_path)[3]
    by_file = pereggrn_data.predict("demo", "mean", split=file)
    assert by_file.split == task.split
    by_options = pereggrn_data.predict(
        "demo", "mean", split_options=pereggrn_data.SplitOptions(seed=3, num_genes=80)
    )
    np.testing.assert_array_equal(by_file.adata.X, by_options.adata.X)
    in_memory = pereggrn_data.predict(model="mean", split=task)
    np.testing.assert_array_equal(by_file.adata.X, in_memory.adata.X)
    with pytest.raises(UsageError, match="what to predict"):
        pereggrn_data.predict(model="mean", split=task.split)
    with pytest.raises(UsageError, match="read or made"):
        pereggrn_data.predict("demo", split=file, split_options=pereggrn_data.SplitOptions(seed=3))


def test_the_same_seed_makes_the_split_and_the_model(run: Any) -> None:
    def split_of(*arguments: str) -> dict[str, Any]:
        assert run("predict", "demo", "-m", "mean", "-o", "p.h5ad", *arguments)[0] == 0
        uns = anndata.read_h5ad("p.h5ad").uns
        return {
            "split": json.loads(uns["pereggrn"])["split"]["seed"],
            "model": json.loads(uns[MODEL_UNS])["seed"],
        }

    assert split_of("--seed", "5") == {"split": 5, "model": 5}
    assert split_of("--seed", "5", "--model-seed", "6") == {"split": 5, "model": 6}
    assert run("split", "demo", "-o", "task", "--seed", "7")[0] == 0
    assert split_of("--split", "task/split.json", "--seed", "2") == {"split": 7, "model": 2}
    code, _, err = run("predict", "demo", "--split", "task/split.json", "--num-genes", "50")
    assert code == 2
    assert "read or made" in err


def test_several_steps_are_told_apart_and_each_is_as_by_itself(tmp_path: Path) -> None:
    both = pereggrn_data.predict("demo", steps=(3, 1), **FEW)
    assert both.adata.obs["prediction_timescale"].unique().tolist() == [1, 3]
    assert both.adata.obs_names.is_unique
    alone = pereggrn_data.predict("demo", steps=(3,), **FEW)
    np.testing.assert_array_equal(both.adata.X[84:], alone.adata.X)
    path = both.write(tmp_path / "p.h5ad")
    with pytest.raises(UsageError, match="--step"):
        quick_score(path)
    one = quick_score(path, step=3)
    other = quick_score(alone.adata)
    pd.testing.assert_frame_equal(one.scores.groups, other.scores.groups)
    pd.testing.assert_frame_equal(one.scores.targets, other.scores.targets)
    assert one.warnings == other.warnings


def test_an_oracle_is_marked_and_score_warns(run: Any) -> None:
    code, _, _ = run(
        "predict", "demo", "--starting-expression", "heldout", "-o", "o.h5ad",
        "--eligible-regulators", "perturbed",
    )  # fmt: skip
    assert code == 0
    assert "heldout" in anndata.read_h5ad("o.h5ad").uns[ORACLE_UNS]
    code, _, err = run("score", "o.h5ad")
    assert code == 0
    assert "is an oracle" in err
    honest = pereggrn_data.predict("demo", **FEW).adata
    assert not np.allclose(honest.X, anndata.read_h5ad("o.h5ad").X)


def test_a_network_restricts_and_says_what_it_covers(network: pd.DataFrame) -> None:
    made = pereggrn_data.predict("demo", network=network)
    regulated = network["target"].isin(made.adata.var_names) & network["regulator"].isin(
        made.adata.var_names
    )
    n = network["target"][regulated].nunique()
    assert f"regulators for {n} of 232 genes" in made.notes[0]
    dense = pereggrn_data.predict("demo", network="dense")
    assert not np.allclose(made.adata.X, dense.adata.X)
    np.testing.assert_array_equal(dense.adata.X, pereggrn_data.predict("demo").adata.X)
    empty = pereggrn_data.predict("demo", network="empty").adata.X
    mean = pereggrn_data.predict("demo", "mean").adata.X
    np.testing.assert_allclose(empty, mean, rtol=1e-6)
    foreign = pd.DataFrame({"regulator": ["ENSG1"], "target": ["ENSG2"]})
    assert (
        "no edge between modelled genes" in pereggrn_data.predict("demo", network=foreign).notes[0]
    )


def test_cell_types_of_edges_are_kept_for_distinct_models(tmp_path: Path) -> None:
    from pereggrn_data.pipelines.predict.model_choices import network_among

    edges = pd.DataFrame(
        {
            "regulator": ["A", "B", "C"],
            "target": ["D", "D", "D"],
            "weight": [1.0, 1.0, 1.0],
            "cell_type": ["x", "y", None],
        }
    )
    stored = pereggrn_data.open_network(edges)
    typed, _ = network_among(stored, ["A", "B", "C", "D"], by_cell_type=True)
    assert typed is not None
    assert typed.of("x") == {"D": frozenset({"A", "C"})}
    assert typed.of("y") == {"D": frozenset({"B", "C"})}
    together, _ = network_among(stored, ["A", "B", "D"], by_cell_type=False)
    assert together is not None
    assert together.regulators == {"D": frozenset({"A", "B"})}


def test_transcription_factors_by_file_and_by_species(tmp_path: Path) -> None:
    names = [f"DEMOTF{i:02d}" for i in range(1, 11)]
    lists = tmp_path / "collection" / "tf_lists"
    lists.mkdir(parents=True)
    (lists / "unicorn.txt").write_text("\n".join([*names, "ABSENT", ""]))
    collection = str(tmp_path / "collection")
    choices: dict[str, Any] = {"eligible_regulators": "tf", "collection": collection}
    by_species = pereggrn_data.predict("demo", species="unicorn", **choices)
    by_file = pereggrn_data.predict("demo", tf_list=lists / "unicorn.txt", **choices)
    by_names = pereggrn_data.predict("demo", tf_list=names, **choices)
    np.testing.assert_array_equal(by_species.adata.X, by_file.adata.X)
    np.testing.assert_array_equal(by_species.adata.X, by_names.adata.X)
    with pytest.raises(UsageError, match=r"no list .* 'dragon'") as caught:
        pereggrn_data.predict("demo", species="dragon", **choices)
    assert "unicorn" in str(caught.value)
    with pytest.raises(UsageError, match="species of demo is not known"):
        pereggrn_data.predict("demo", **choices)
    with pytest.raises(UsageError, match="not used"):
        pereggrn_data.predict("demo", tf_list=names)
    with pytest.raises(InvalidDataError, match="among the genes"):
        pereggrn_data.predict("demo", tf_list=["ENSG1"], **choices)
    (lists / "table.txt").write_text("gene,score\nA,1\n")
    with pytest.raises(InvalidDataError, match="one gene name per line"):
        pereggrn_data.predict("demo", species="table", **choices)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"matching": "nearest"}, "no matching method named"),
        ({"steps": (0,)}, "timescale"),
        ({"prune": 0}, "keep"),
        ({"dimensions": 3}, "low-dimensional"),
        ({"starting_expression": "test"}, "starting expression"),
        ({"network_prior": "restrictive"}, "needs a network"),
        ({"model": "regulon"}, "--network"),
        ({"model": "regulon", "network": "empty", "matching": "closest"}, "no difference"),
        ({"model": "linear_embedding", "steps": (2,)}, "no difference"),
        ({"model": "linear_embedding", "arguments": {"k": 3}}, "no argument 'k'"),
        ({"cell_type_sharing": "distinct"}, "cell type"),
    ],
)
def test_choices_that_do_not_go_together(choices: dict[str, Any], message: str) -> None:
    with pytest.raises((UsageError, InvalidDataError), match=message):
        pereggrn_data.predict("demo", **choices)


def test_low_dimensional_structure_by_number_and_by_file(tmp_path: Path) -> None:
    made = pereggrn_data.predict("demo", low_dimensional="postprocessing", dimensions="3", **FEW)
    assert np.linalg.matrix_rank(made.adata.X - made.adata.X.mean(axis=0)) <= 84
    genes = list(made.adata.var_names)
    matrix = np.random.default_rng(0).normal(size=(3, len(genes)))
    np.save(tmp_path / "m.npy", matrix)
    pd.DataFrame(matrix, columns=genes).iloc[:, ::-1].to_csv(tmp_path / "m.csv", index=False)
    results = [
        pereggrn_data.predict("demo", low_dimensional="postprocessing", dimensions=d, **FEW)
        for d in (matrix, str(tmp_path / "m.npy"), tmp_path / "m.csv")
    ]
    for other in results[1:]:
        np.testing.assert_allclose(results[0].adata.X, other.adata.X, rtol=1e-6)
    (tmp_path / "bad.csv").write_text("x\n1\n")
    with pytest.raises(InvalidDataError, match="no matrix"):
        pereggrn_data.predict("demo", low_dimensional="postprocessing",
                              dimensions=tmp_path / "bad.csv", **FEW)  # fmt: skip


def test_the_result_in_python(tmp_path: Path) -> None:
    made = pereggrn_data.predict("demo", "median")
    assert isinstance(made, pereggrn_data.PredictedExpression)
    frame = made.to_pandas()
    assert frame.shape == (84, made.adata.n_obs // 84 * 232 + made.adata.obs.shape[1])
    report = quick_score(frame, dataset="demo", split=made.split)
    assert report.n_scored == 28
    assert "median" in repr(made)
    with pytest.raises(UsageError, match="h5ad"):
        made.write(tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("weight", float("nan"), "1 without a weight"),
        ("weight", None, "1 without a weight"),
        ("weight", float("-inf"), "1 with an infinite weight"),
        ("regulator", " ", "1 with an empty regulator"),
        ("target", None, "1 without a target"),
        ("cell_type", "", "1 with an empty cell type"),
    ],
)
def test_networks_that_validate_refuses_are_not_used(
    tmp_path: Path, column: str, value: object, said: str
) -> None:
    """Files, also without statistics in the footer, and what is computed of them."""
    path = tmp_path / "odd.parquet"
    edges = {"regulator": "X", "target": "Y", "weight": 1.0, "cell_type": "T"}
    rows = [edges, edges | {"target": "Z", column: value}]
    kinds = {name: pa.float64() if name == "weight" else pa.string() for name in edges}
    table = pa.Table.from_pylist(rows, pa.schema(kinds))
    pq.write_table(table, path, write_statistics=False)
    assert not pereggrn_data.validate(path).valid
    with pytest.raises(InvalidDataError, match=r"has edges that cannot be used") as caught:
        pereggrn_data.predict("demo", network=[str(path), table.slice(0, 1)])
    assert said in str(caught.value)


def test_networks_whose_edges_have_no_cell_type_are_used(tmp_path: Path) -> None:
    path = tmp_path / "plain.parquet"
    edges = pd.DataFrame({"regulator": ["X"], "target": ["Y"], "cell_type": [None]})
    edges.astype({"cell_type": object}).to_parquet(path)
    notes = pereggrn_data.predict("demo", network=str(path)).notes
    assert "no edge between modelled genes" in notes[0]


def test_linear_models_are_saved_without_pickle(tmp_path: Path, network: pd.DataFrame) -> None:
    for k, (method, choices) in enumerate(
        [("RidgeCV", FEW), ("RidgeCV", {"network": network}), ("linear_embedding", {}),
         ("mean", {})]
    ):  # fmt: skip
        file = tmp_path / f"{k}.npz"
        fitted = pereggrn_data.predict("demo", method, save_model=file, **choices)
        np.load(file, allow_pickle=False).close()
        again = pereggrn_data.predict("demo", model_file=file)
        np.testing.assert_array_equal(fitted.adata.X, again.adata.X)
        assert again.model == method
    more = pereggrn_data.predict("demo", model_file=tmp_path / "0.npz", steps=(1, 2))
    assert more.adata.n_obs == 168


def test_other_models_are_saved_with_joblib_and_say_so(tmp_path: Path) -> None:
    options = pereggrn_data.SplitOptions(num_genes=60)
    with pytest.raises(UsageError, match="not linear") as caught:
        pereggrn_data.predict("demo", "ExtraTreesRegressor", save_model=tmp_path / "m.npz")
    assert "trust" in str(caught.value)
    file, radial = tmp_path / "m.joblib", {"kernel": "rbf"}
    fitted = pereggrn_data.predict(
        "demo", "KernelRidge", arguments=radial, save_model=file, split_options=options, **FEW
    )
    assert any("trust" in note for note in fitted.notes)
    again = pereggrn_data.predict("demo", model_file=file, split_options=options)
    np.testing.assert_array_equal(fitted.adata.X, again.adata.X)


def test_a_pickle_is_warned_of_before_it_is_read(run: Any, tmp_path: Path) -> None:
    """Even one that holds no model, and even where one wants quiet."""
    (tmp_path / "m.joblib").write_bytes(b"not a model")
    code, _, err = run("predict", "demo", "--model-file", "m.joblib", "--quiet")
    assert code == 1
    assert err.index("warning: m.joblib is a pickle") < err.index("holds no model")


def test_a_stored_model_says_how_it_was_fitted(tmp_path: Path, network: pd.DataFrame) -> None:
    file = tmp_path / "m.npz"
    choices: dict[str, Any] = {"matching": "closest", "arguments": {"alphas": [5.0]}, **FEW}
    pereggrn_data.predict("demo", save_model=file, **choices)
    again = pereggrn_data.predict("demo", model_file=file, steps=[1, 2])
    said = json.loads(again.adata.uns[MODEL_UNS])
    assert said["matching"] == "closest"
    assert said["eligible_regulators"] == "perturbed"
    assert said["arguments"] == {"alphas": [5.0]}
    assert said["steps"] == [1, 2]
    assert said["model_file"]["name"] == "m.npz"
    assert said["model_file"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_damaged_models_hold_no_model(tmp_path: Path) -> None:
    """Every byte in turn, and every length: what is broken is said, whatever breaks."""
    file = tmp_path / "m.npz"
    write_arrays(file, {"a": np.tile(np.arange(9.0), 40)}, {"dataset": "d"})
    whole = file.read_bytes()
    refused = 0
    for at in range(len(whole)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 21]) + whole[at + 1 :]):
            file.write_bytes(damaged)
            try:
                read_model_file(file)
            except InvalidDataError:
                refused += 1
    assert refused > len(whole)


class TestNothingIsOverwritten:
    @pytest.fixture
    def file(self, tmp_path: Path, small_dataset: Any) -> Path:
        """A dataset in the folder where the program runs."""
        adata = small_dataset()
        write_h5ad(adata, tmp_path / "train.h5ad")
        return tmp_path / "train.h5ad"

    @pytest.mark.parametrize("name", ["train.h5ad", "./train.h5ad", "link.h5ad"])
    def test_predict_does_not_replace_its_dataset(self, run: Any, file: Path, name: str) -> None:
        file.with_name("link.h5ad").symlink_to(file)
        before = file.read_bytes()
        code, _, err = run("predict", "train.h5ad", "--model", "mean", "-o", name)
        assert code == 2
        assert "would be overwritten" in err
        assert file.read_bytes() == before

    def test_in_python_neither(self, file: Path) -> None:
        made = pereggrn_data.predict(file, "mean")
        with pytest.raises(UsageError, match="would be overwritten"):
            made.write(file)
        made.write(file.with_name("p.h5ad"))
        model = file.with_name("m.npz")
        model.hardlink_to(file)
        with pytest.raises(UsageError, match="would be overwritten"):
            pereggrn_data.predict(file, "mean", save_model=model)

    def test_what_would_be_lost_is_named_before_the_work(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the dataset's name, too, whose file the command line does not know."""
        folder = file.parent / "c" / "perturbations" / "mine"
        folder.mkdir(parents=True)
        mine = file.rename(folder / "test.h5ad")
        monkeypatch.setattr("pereggrn_data.pipelines.predict.predicting.Work", None)
        with pytest.raises(UsageError, match="would be overwritten"):
            pereggrn_data.predict(
                "mine", "mean", collection=str(file.parent / "c"), output=str(mine)
            )

    def test_split_does_not_replace_its_dataset(self, run: Any, file: Path) -> None:
        """Its training part has the same name as the training file of a time series."""
        before = file.read_bytes()
        code, _, err = run("split", "train.h5ad", "-o", ".")
        assert code == 2
        assert "would be overwritten" in err
        assert file.read_bytes() == before
        assert not file.with_name("split.json").exists()


def test_steps_in_a_table_are_scored(tmp_path: Path, run: Any) -> None:
    made = pereggrn_data.predict("demo", "mean", steps=[1, 3])
    table = made.to_pandas()
    assert quick_score(table, dataset="demo", split=made.split, step=3).n_scored == 28
    table.to_csv("p.csv")
    table.to_parquet("p.parquet")
    pereggrn_data.split("demo").write("s")
    for name in ("p.csv", "p.parquet"):
        options = ("--dataset", "demo", "--split", "s", "--step", "3", "-o", "scores")
        code, _, err = run("score", name, *options)
        assert code == 0, err


def test_what_to_do_next_is_true(run: Any) -> None:
    _, _, err = run("predict", "demo", "--model", "mean", "--steps", "2,5", "-o", "p.h5ad")
    assert "pereggrn-eval score p.h5ad --step 2" in err
    _, _, err = run("predict", "demo", "--model", "mine")
    assert "pereggrn-eval models" in err
    oracle = ("--starting-expression", "heldout", "--eligible-regulators", "perturbed")
    _, _, err = run("predict", "demo", *oracle, "-o", "o.h5ad")
    assert "oracle" in err


def test_home_is_found_where_shells_do_not_look(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for k, option in enumerate((["--output=~/p0.h5ad"], ["-o", "~/p1.h5ad"])):
        code, _, err = run("predict", "demo", "--model", "mean", *option)
        assert code == 0, err
        assert (tmp_path / "home" / f"p{k}.h5ad").is_file()
    assert not (tmp_path / "~").exists()
    made = pereggrn_data.predict("demo", "mean", save_model="~/m.npz")
    made.write("~/p2.h5ad")
    again = pereggrn_data.predict("demo", model_file="~/m.npz")
    np.testing.assert_array_equal(made.adata.X, again.adata.X)
    assert (tmp_path / "home" / "p2.h5ad").is_file()
    assert not (tmp_path / "~").exists()
    assert at_home("~/m.sh {dir}") == "~/m.sh {dir}"


@pytest.mark.parametrize("what", ["X", "raw/X"])
def test_indices_of_nowhere_are_refused_and_not_followed(
    what: str, tmp_path: Path, small_dataset: Any
) -> None:
    adata = small_dataset()
    adata.X = sparse.csr_matrix(adata.X)
    adata.raw = adata.copy()
    write_h5ad(adata, tmp_path / "d.h5ad")
    with h5py.File(tmp_path / "d.h5ad", "a") as file:
        file[f"{what}/indices"][:] = 10**8
    # Of predictions nothing but X is scored, so nothing else is read.
    for read in (read_h5ad, read_predictions) if what == "X" else (read_h5ad,):
        with pytest.raises(InvalidDataError, match="cannot be read") as caught:
            read(tmp_path / "d.h5ad")
        assert "sparse indices outside" in str(caught.value)
    if what != "X":
        assert len(read_predictions(tmp_path / "d.h5ad").obs) == adata.n_obs


def test_ctrl_c_is_acknowledged(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pereggrn_data.pipelines.predict.predicting.predict", interrupt)
    code, _, err = run("predict", "demo")
    assert code == 130
    assert "interrupted" in err


def test_a_dataset_may_say_its_species(tmp_path: Path, small_dataset: Any) -> None:
    (tmp_path / "tf_lists").mkdir()
    (tmp_path / "tf_lists" / "unicorn.txt").write_text("A\nB\n")
    adata = small_dataset()
    adata.uns["species"] = "unicorn"
    choices: dict[str, Any] = {"eligible_regulators": "tf", "collection": str(tmp_path)}
    made = pereggrn_data.predict(adata, "RidgeCV", **choices)
    by_name = pereggrn_data.predict(small_dataset(), "RidgeCV", species="unicorn", **choices)
    np.testing.assert_array_equal(made.adata.X, by_name.adata.X)
    with pytest.raises(UsageError, match="unicorn"):
        pereggrn_data.predict(adata, "RidgeCV", species="Unicron", **choices)


def test_model_files_that_cannot_be_used(tmp_path: Path, network: pd.DataFrame) -> None:
    file = tmp_path / "m.npz"
    pereggrn_data.predict("demo", save_model=file, **FEW)
    with pytest.raises(UsageError, match="another split"):
        pereggrn_data.predict(
            "demo", model_file=file, split_options=pereggrn_data.SplitOptions(seed=1)
        )
    with pytest.raises(InvalidDataError, match="other genes"):
        pereggrn_data.predict(
            "demo", model_file=file, split_options=pereggrn_data.SplitOptions(num_genes=60)
        )
    with pytest.raises(UsageError, match="no difference"):
        pereggrn_data.predict("demo", model_file=file, matching="closest")
    with pytest.raises(UsageError, match="at once"):
        pereggrn_data.predict("demo", "mean", model_file=file)
    with pytest.raises(UsageError, match="nothing to save"):
        pereggrn_data.predict("demo", model_file=file, save_model=file)
    with pytest.raises(UsageError, match="fits nothing"):
        pereggrn_data.predict("demo", "regulon", network=network, save_model=file)
    with pytest.raises(UsageError, match="ends in"):
        pereggrn_data.predict("demo", save_model=tmp_path / "m.pkl")
    for name, content in (("cut.npz", file.read_bytes()[:300]), ("x.npz", b"not a model"),
                          ("x.joblib", b"not a model")):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidDataError, match="holds no model"):
            pereggrn_data.predict("demo", model_file=tmp_path / name)
    np.savez(tmp_path / "evil.npz", header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InvalidDataError, match="holds no model"):
        pereggrn_data.predict("demo", model_file=tmp_path / "evil.npz")


def test_a_model_says_how_controls_are_matched(tmp_path: Path) -> None:
    made = pereggrn_data.split("demo")
    file = tmp_path / "m.npz"
    pereggrn_data.predict(made, "mean", save_model=file)
    stored = read_model_file(file)
    assert stored.provenance["controls"] == []
    for controls, message in (([], None), (["cell_type"], "the same cell_type"), (None, None)):
        about = {**stored.provenance, "controls": controls}
        if controls is None:
            del about["controls"]
        write_arrays(file, stored.content, about)
        if message is None:
            load_model(file, made)
            continue
        with pytest.raises(UsageError, match=message) as caught:
            load_model(file, made)
        assert "expected: all controls" in str(caught.value)


def test_models_are_listed_with_references(run: Any) -> None:
    code, out, _ = run("models", "--json")
    assert code == 0
    listed = json.loads(out)
    assert [m["name"] for m in listed] == [m.name for m in (*METHODS, *adapters())]
    assert {m["kind"] for m in listed} == {*(m.kind for m in METHODS), "adapter"}
    assert all(m["reference"] and m["summary"] for m in listed)
    code, out, _ = run("models")
    assert code == 0
    assert all(m.name in out and m.reference in out for m in (*METHODS, *adapters()))


def test_mistakes_on_the_command_line(run: Any) -> None:
    for arguments, message in (
        (["-m", "RigdeCV"], "did you mean"),
        (["--steps", "1,x"], "numbers of steps"),
        (["-a", "alpha"], "NAME=VALUE"),
        (["-a", "alphas=[1]", "-a", "alphas=[2]"], "each name once"),
        (["-o", "p.csv"], ".h5ad"),
        (["--network", "no_such_network"], "no_such_network"),
        (["--command", "x {dir}", "--model", "mean"], "at once"),
    ):
        code, out, err = run("predict", "demo", *arguments)
        assert (code, out) == (2, ""), arguments
        assert message in err.replace("Did", "did"), err
    with pytest.raises(UnknownNameError):
        pereggrn_data.predict("demo", "RigdeCV")


def test_json_and_quiet(run: Any) -> None:
    code, out, err = run(
        "predict", "demo", "-m", "RidgeCV", "-a", "alphas=[1, 10]", "--json", "-q"
    )
    assert code == 0
    assert err == ""
    printed = json.loads(out)
    assert printed["file"] == "predictions_RidgeCV.h5ad"
    assert printed["n_rows"] == 84
    other = pereggrn_data.predict("demo", arguments={"alphas": [1, 10]}).adata
    np.testing.assert_array_equal(anndata.read_h5ad(printed["file"]).X, other.X)


@pytest.mark.shared
def test_a_dataset_by_path_and_a_network_by_name(run: Any, shared: Path) -> None:
    path = shared / "data" / "perturbations" / "dream4_net1" / "test.h5ad"
    code, _, err = run(
        "predict", str(path), "-m", "RidgeCV", "--network", "dream4_net1_truth",
        "--collection", str(shared / "data"), "-o", "p.h5ad",
    )  # fmt: skip
    assert code == 0, err
    assert run("score", "p.h5ad")[0] == 0


@pytest.mark.shared
def test_the_species_of_the_collection(shared: Path) -> None:
    made = pereggrn_data.predict(
        "papalexi_pseudobulk", eligible_regulators="tf", collection=str(shared / "data")
    )
    assert made.adata.n_obs > 0
    with pytest.raises(UsageError, match="no list"):
        pereggrn_data.predict(
            "ecoli_oxygen", eligible_regulators="tf", collection=str(shared / "data")
        )
