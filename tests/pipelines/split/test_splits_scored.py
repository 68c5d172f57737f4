"""Splits of small datasets, made, written, read, checked and scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quick_scores import quick_score as score
from scipy import sparse

import pereggrn_data
from pereggrn_data.core.baselines import additive
from pereggrn_data.core.errors import IntegrityError, InvalidDataError, UsageError
from pereggrn_data.core.options import options_of
from pereggrn_data.core.prediction_types import Predictions
from pereggrn_data.core.splits import Split
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.evaluators.splits.replicates import merge_replicates
from pereggrn_data.evaluators.splits.types import SPLIT_TYPES
from pereggrn_data.evaluators.task import make_task
from pereggrn_data.loaders.files.any_file.integrity import sha256_of_file
from pereggrn_data.loaders.files.datasets.anndata_files import (
    Dataset,
    read_h5ad,
    write_h5ad,
)
from pereggrn_data.loaders.files.split_files import read_split, read_test_set, write_split
from pereggrn_data.pipelines.predict.model_store import provenance
from pereggrn_data.pipelines.split import SplitOptions
from pereggrn_data.pipelines.split.split_check import check_split
from pereggrn_data.pipelines.split.split_dataset import SplitDataset
from pereggrn_data.pipelines.split.splitting import split
from pereggrn_data.validators import CAN_INSIST

GENES = ["A", "B", "C", "D", "E"]


def dataset(
    labels: list[str], *, controls: set[str] = frozenset({"ctrl"}), seed: int = 0, **obs: Any
) -> anndata.AnnData:
    """Return random expression of five genes, perturbed ones at 0."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(1, 3, (len(labels), len(GENES))).astype(np.float32)
    control = np.isin(labels, list(controls))
    for i, label in enumerate(labels):
        for gene in label.split(","):
            if gene in GENES and not control[i]:
                x[i, GENES.index(gene)] = 0
    levels = [
        np.nan if c else ",".join("0" if g in GENES else "nan" for g in label.split(","))
        for label, c in zip(labels, control, strict=True)
    ]
    frame = pd.DataFrame(
        {
            "perturbation": labels,
            "is_control": control,
            "perturbation_type": "knockout",
            "expression_level_after_perturbation": np.array(levels, dtype=object).astype(str),
            **obs,
        },
        index=[f"cell{i}" for i in range(len(labels))],
    )
    hit = {g for label, c in zip(labels, control, strict=True) for g in label.split(",") if not c}
    adata = anndata.AnnData(
        X=x,
        obs=frame,
        var=pd.DataFrame({"highly_variable_rank": np.arange(5.0)}, index=GENES),
        uns={
            "perturbed_and_measured_genes": np.array(sorted(hit & set(GENES)), dtype=object),
            "perturbed_but_not_measured_genes": np.array(sorted(hit - set(GENES)), dtype=object),
        },
    )
    adata.raw = adata.copy()
    return adata


def opened(adata: anndata.AnnData) -> Dataset:
    return Dataset("small", None, "0" * 64, adata)


def predictions(made: SplitDataset, values: Any) -> Predictions:
    template = made.template
    return Predictions("p", template.obs, template.var_names, np.array(values), made.origin)


PAIRS = ["ctrl", "ctrl", "A", "A", "B", "C", "A,B", "A,B", "B,C", "A,D", "A,B,C", "X,A"]


class TestAdditive:
    def test_by_hand(self) -> None:
        x = np.array([[1.0, 1], [3, 1], [2, 5], [4, 5], [0, 0]])
        values = additive(x, [None, None, "A", "A", "B"], [["A", "B"], ["A", "Z"]], x[:2].mean(0))
        # controls: 2, 1; A: 3, 5 (effect 1, 4); B: 0, 0 (effect -2, -1)
        assert values[0].tolist() == [2 + 1 - 2, 1 + 4 - 1]
        assert np.isnan(values[1]).all()

    @pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
    def test_in_a_task(self, kind: Any) -> None:
        adata = dataset(PAIRS)
        x = np.asarray(adata.X, float)
        adata.X = kind(adata.X)
        made = split(opened(adata), "genetic_interaction")
        task = make_task(made.prepared.adata, made.split)
        assert list(task.groups["perturbation"]) == ["A,B", "B,C", "A,D", "A,B,C", "X,A"]
        control, a, b, c = x[:2].mean(0), x[2:4].mean(0), x[4], x[5]
        expected = [a + b - control, b + c - control, a + b + c - 2 * control]
        np.testing.assert_allclose(task.baselines["additive"][[0, 1, 3]], expected, atol=1e-6)
        assert np.isnan(task.baselines["additive"][[2, 4]]).all()
        assert "no value for 2 of 5 groups" in task.notes[0]
        assert "D, X" in task.notes[0]

    def test_types_are_told_apart(self) -> None:
        """A knockout pair is no sum of an overexpression and a knockout."""
        adata = dataset(PAIRS)
        adata.obs["perturbation_type"] = ["knockout"] * 4 + ["overexpression"] + ["knockout"] * 7
        made = split(opened(adata), "genetic_interaction")
        apart = make_task(made.prepared.adata, made.split)
        assert np.isnan(apart.baselines["additive"]).all()
        pooled = make_task(made.prepared.adata, made.split, shared_columns=())
        assert np.isfinite(pooled.baselines["additive"][0]).all()

    def test_scored(self) -> None:
        adata = dataset(PAIRS)
        made = split(opened(adata), "genetic_interaction")
        task = make_task(made.prepared.adata, made.split)
        mean = np.tile(task.baselines["mean"], (len(made.test_perturbations), 1))
        report = score(predictions(made, mean), dataset=made.dataset)
        frame = report.scores.groups.set_index(["method", "perturbation"])
        assert frame.loc[("additive", "A,D")]["mae"] != frame.loc[("additive", "A,D")]["mae"]
        assert np.isfinite(frame.loc[("predictions", "A,D")]["mae"])
        assert any("no value for 2 of 5 groups" in w for w in report.warnings)
        summary = report.metrics["mae"]
        assert summary.baselines["additive"] == pytest.approx(
            np.average(
                frame.loc["additive"]["mae"].dropna(),
                weights=frame.loc["additive"]["n_observations"][
                    frame.loc["additive"]["mae"].notna()
                ],
            )
        )
        assert "additive_baseline" in report.to_dict()["metrics"]["mae"]
        assert "additive" in str(summary.reason)
        targets = report.scores.targets.query("method == 'additive'").set_index("gene")
        assert targets["n_observations"].max() == 4  # A,B twice, B,C, A,B,C
        assert np.isfinite(targets["mae"]).all()

    def test_must_be_beaten(self) -> None:
        """Better than the mean and the median, but not than the sum of single effects."""
        labels = ["ctrl"] * 4 + ["A", "B", "C"] * 3 + ["A,B", "B,C", "A,C"]
        adata = dataset(labels)
        x = adata.X.copy()
        adata.X[13:] = [x[4] + x[5], x[5] + x[6], x[4] + x[6]]
        single = {g: adata.X[k:13:3].mean(0) for g, k in (("A", 4), ("B", 5), ("C", 6))}
        control = adata.X[:4].mean(0)
        pairs = [("A", "B"), ("B", "C"), ("A", "C")]
        adata.X[13:] = [single[a] + single[b] - control for a, b in pairs]
        made = split(opened(adata), "genetic_interaction")
        task = make_task(made.prepared.adata, made.split)
        close = 0.1 * task.baselines["mean"] + 0.9 * np.asarray(adata.X[13:])
        options: Any = {"dataset": made.dataset, "targeted_genes": "exclude", "check_scale": False}
        report = score(predictions(made, close), **options)
        assert report.metrics["mae"].percent_change_from_mean > 50
        mae = report.metrics["mae"]
        assert mae.better_baseline == "additive"
        assert mae.differences["mean"].value > 0 > mae.differences["additive"].value
        same = score(predictions(made, task.baselines["additive"]), **options)
        assert same.metrics["mae"].differences["additive"].interval == (0, 0)
        # Three pairs are too few to say more.
        assert mae.beats_baselines is same.metrics["mae"].beats_baselines is None


class TestMergedReplicates:
    LABELS = ("ctrl", "B", "A", "B", "ctrl", "A,B", "A", "A,B")

    def test_by_hand(self) -> None:
        adata = dataset(list(self.LABELS), louvain=list("12212312"), batch=list("aaaabbbb"))
        x = np.asarray(adata.X, float)
        merged, notes = merge_replicates(adata)
        assert not notes
        assert list(merged.obs_names) == ["ctrl", "B", "A", "A,B"]
        rows = [[0, 4], [1, 3], [2, 6], [5, 7]]
        np.testing.assert_allclose(merged.X, [x[r].mean(0) for r in rows], rtol=1e-6)
        np.testing.assert_allclose(merged.raw.X, [x[r].sum(0) for r in rows], rtol=1e-6)
        assert merged.obs["is_control"].tolist() == [True, False, False, False]
        assert merged.obs["n_replicates"].tolist() == [2, 2, 2, 2]
        # Of equally frequent labels the first; "batch" differs within groups and goes.
        assert list(merged.obs["louvain"]) == ["1", "1", "1", "2"]
        assert "batch" not in merged.obs
        assert merged.obs["expression_level_after_perturbation"]["A,B"] == "0.0,0.0"

    def test_keeping_cell_types_apart(self) -> None:
        labels, types = ["ctrl", "A", "A", "B", "ctrl"], ["k", "k", "l", "l", "l"]
        adata = dataset(labels, cell_type=types, timepoint=[1, 1, 2, 2, 2])
        merged, notes = merge_replicates(adata, ["cell_type"])
        assert list(merged.obs_names) == ["ctrl/k", "ctrl/l", "A/k", "A/l", "B"]
        np.testing.assert_array_equal(merged.X, adata.X[[0, 4, 1, 2, 3]])
        assert "timepoint" in merged.obs  # constant within every group
        assert not notes
        pooled, notes = merge_replicates(adata)
        assert list(pooled.obs_names) == ["ctrl", "A", "B"]
        assert [n.split(" ")[0] for n in notes] == ["cell_type", "timepoint"]
        with pytest.raises(InvalidDataError, match="timepoint"):
            merge_replicates(dataset(["A", "ctrl"]), ["timepoint"])

    @given(
        rows=st.lists(
            st.tuples(
                st.sampled_from(["A", "B", "A,B", "ctrl"]),
                st.sampled_from(["knockout", "overexpression"]),
                st.sampled_from(["k", "l"]),
            ),
            min_size=1,
            max_size=20,
        ),
        as_sparse=st.booleans(),
    )
    @settings(max_examples=60, deadline=None)
    def test_every_average_is_of_its_own_rows(self, rows: list[Any], as_sparse: bool) -> None:
        labels, types, cells = map(list, zip(*rows, strict=True))
        adata = dataset(labels, cell_type=cells)
        adata.obs["perturbation_type"] = types
        x = np.asarray(adata.X, float)
        if as_sparse:
            adata.X = sparse.csr_matrix(adata.X)
        merged, _ = merge_replicates(adata, ["cell_type"])
        values = merged.X.toarray() if as_sparse else np.asarray(merged.X)
        assert merged.obs_names.is_unique
        assert list(dict.fromkeys(merged.obs["perturbation"])) == list(dict.fromkeys(labels))
        assert merged.n_obs == len(set(rows))
        for k in range(merged.n_obs):
            obs = merged.obs.iloc[k]
            key = (obs["perturbation"], obs["perturbation_type"], obs["cell_type"])
            mine = [i for i, row in enumerate(rows) if row == key]
            np.testing.assert_allclose(values[k], x[mine].mean(0), rtol=1e-5, atol=1e-6)

    def test_levels_of_different_numbers_of_genes(self) -> None:
        adata = dataset(["A,B", "A,B", "ctrl"])
        adata.obs["expression_level_after_perturbation"] = ["0,0", "0", "nan"]
        with pytest.raises(InvalidDataError, match="different numbers of genes"):
            merge_replicates(adata)

    @pytest.mark.parametrize("kind", ["genetic_interaction", "demultiplexing", "interventional"])
    def test_scored_from_what_the_file_says(self, kind: str) -> None:
        made = split(opened(dataset([*PAIRS, "ctrl"])), kind, merge_replicates=True)
        assert made.split.rules.merge_replicates
        assert set(made.template.obs_names) == set(made.split.heldout_perturbations)
        report = score(predictions(made, np.ones(made.template.shape) * 2), dataset=made.dataset)
        assert report.n_scored == len(made.split.test_observations)

    def test_averages_with_the_names_of_observations_are_another_task(self) -> None:
        """Only the controls have replicates, which make another mean of the training data."""
        adata = dataset(["A", "B", "C", "D", "ctrl", "ctrl", "ctrl"])
        adata.obs_names = ["A", "B", "C", "D", "ctrl", "ctrl-1", "ctrl-2"]
        each, averaged = (
            split(opened(adata), merge_replicates=merged) for merged in (False, True)
        )
        assert each.split.test_observations == averaged.split.test_observations
        signatures = []
        for made in (each, averaged):
            given = predictions(made, np.ones(made.template.shape) * 2)
            report = score(given, dataset=made.dataset, check_scale=False)
            signatures.append(report.signature)
        assert signatures[0] != signatures[1]
        assert provenance(each) != provenance(averaged)


class TestStratifiedControls:
    def test_held_out_controls_are_scored(self) -> None:
        adata = dataset(["ctrl"] * 4 + ["A", "A", "B", "B"])
        made = split(opened(adata), "stratified", stratify_controls=True)
        assert "ctrl" in made.split.heldout_perturbations
        assert list(made.test_perturbations.index) == list(made.split.test_observations)
        task = make_task(made.prepared.adata, made.split)
        mean = np.tile(task.baselines["mean"], (len(made.test_perturbations), 1))
        report = score(predictions(made, mean), dataset=made.dataset)
        assert report.n_scored == report.n_expected == 3
        assert "train:" not in report.signature

    def test_a_smaller_training_side_shows_in_the_signature(self) -> None:
        made = split(opened(dataset(["ctrl", "ctrl", "A", "B"])), "interventional", seed=1)
        everyone = Split(**{**vars(made.split), "type": "custom"})
        less = Split(**{**vars(everyone), "train_observations": ("cell0",)})
        template = SplitDataset(made.dataset, less).template
        assert SplitDataset(made.dataset, less).train.n_obs == 1
        given = Predictions("p", template.obs, template.var_names, np.ones(template.shape), None)
        options: Any = {"dataset": made.dataset, "check_scale": False}
        assert "|train:" in score(given, split=less, **options).signature
        assert "|train:" not in score(given, split=everyone, **options).signature
        broken = Split(**{**vars(less), "type": "interventional"})
        with pytest.raises(InvalidDataError, match="All controls train"):
            score(given, split=broken, **options)

    def test_training_order_is_that_of_the_draw(self) -> None:
        made = split(opened(dataset(["ctrl", "A", "ctrl", "A", "B", "B", "A"])), "stratified")
        assert list(made.train.obs_names) == list(made.split.train_observations)


@pytest.mark.parametrize("kind", ["interventional", "simple", "stratified"])
def test_one_gene(kind: str) -> None:
    adata = dataset(["ctrl", "A", "A", "ctrl", "A", "A"])[:, ["A"]].copy()
    made = split(opened(adata), kind, heldout_fraction=0.5)
    assert made.split.genes == ("A",)
    options: Any = {"targeted_genes": "as-is", "check_scale": False}
    values = np.full(made.template.shape, 1.5)
    report = score(predictions(made, values), dataset=made.dataset, **options)
    assert report.n_scored == 1
    assert report.metrics["mae"].value is not None
    assert report.metrics["pearson"].value is None


class TestNoLeak:
    @pytest.mark.parametrize("merged", [False, True])
    @pytest.mark.parametrize("kind", SPLIT_TYPES)
    def test_training_output_does_not_know_the_held_out_expression(
        self, kind: str, merged: bool, tmp_path: Path
    ) -> None:
        """Changing held-out expression changes neither train.h5ad, template nor genes."""
        options: dict[str, Any] = {"rank_on_train": True, "num_genes": 4, "insist": CAN_INSIST}
        apart = SPLIT_TYPES[kind].separate_training
        file = series(tmp_path / "series") if apart else None
        adata = dataset([*PAIRS, "B", "C"]) if file is None else read_h5ad(file)
        if merged:
            if apart or kind == "stratified":
                pytest.skip("a time series is not merged, and one average has no replicates")
            options["merge_replicates"] = True
        if kind in options_of(SplitOptions)["test_set"].applies_to:
            options["test_set"] = ["A", "A,B"] if merged else ["cell2", "cell6"]
        if kind == "k_fold":
            options |= {"folds": 3, "fold": 1}
        if kind == "cell_type":
            adata.obs["cell_type"] = (["k", "l"] * len(adata))[: len(adata)]
            options |= {"cell_type": "k"} | ({"keep_apart": "cell_type"} if merged else {})
        if SPLIT_TYPES[kind].holds_out_labels and not merged:
            options["validation_fraction"] = 0.3

        def divided(data: anndata.AnnData) -> SplitDataset:
            if file is None:
                return split(opened(data), kind, **options)
            return split(Dataset("series", str(file), "0" * 64, data), kind, **options)

        made = divided(adata)
        changed = adata.copy()
        names = set(made.split.test_observations)
        rows = adata.obs_names.isin(names) | adata.obs["perturbation"].isin(names)
        changed.X[rows.to_numpy()] += 50 * np.arange(5, dtype=np.float32)
        changed.raw = changed.copy()
        again = divided(changed)
        assert again.split == made.split
        np.testing.assert_array_equal(again.train.X, made.train.X)
        np.testing.assert_array_equal(again.train.raw.X, made.train.raw.X)
        if made.validation is not None:
            assert again.validation is not None
            np.testing.assert_array_equal(again.validation.X, made.validation.X)
        pd.testing.assert_frame_equal(again.train.var, made.train.var)
        pd.testing.assert_frame_equal(again.train.obs, made.train.obs)
        pd.testing.assert_frame_equal(again.template.obs, made.template.obs)
        assert "highly_variable_rank" not in made.train.raw.var

    def test_rank_on_train_is_written(self) -> None:
        adata = dataset(["ctrl"] * 5 + ["A", "B"])
        adata.X[:5, 3] = [1, 9, 1, 9, 1]
        adata.raw = adata.copy()
        made = split(opened(adata), rank_on_train=True, num_genes=3)
        assert list(made.split.genes) == ["A", "B", "D"]
        assert made.train.var["highly_variable_rank"]["D"] == 0
        assert list(split(opened(adata), num_genes=3).split.genes) == ["A", "B"]


def series(folder: Path) -> Path:
    """Write a time series: controls of three stages train, two stages are perturbed."""
    train = dataset(["ctrl"] * 6, seed=1, cell_type=list("kkllmm"), timepoint=[1, 1, 2, 2, 3, 3])
    test = dataset(
        ["ctrl", "A", "ctrl", "A", "B", "ctrl", "B", "A"],
        seed=2,
        cell_type=list("kkkllllm"),
        timepoint=[1, 1, 1, 2, 2, 2, 2, 3],
    )
    folder.mkdir(exist_ok=True)
    write_h5ad(train, folder / "train.h5ad")
    write_h5ad(test, folder / "test.h5ad")
    return folder / "test.h5ad"


class TestTimeSeries:
    def test_files(self, tmp_path: Path) -> None:
        file = series(tmp_path / "s")
        made = split(file, "timeseries")
        assert made.split.test_observations == ("cell1", "cell3", "cell4", "cell6", "cell7")
        assert made.split.given_observations == ("cell0", "cell2", "cell5")
        assert made.split.train_sha256 == sha256_of_file(file.with_name("train.h5ad"))
        written = made.write(tmp_path / "out")
        assert [p.name for p in written] == [
            "train.h5ad", "test_perturbations.csv", "predictions_template.h5ad", "split.json",
            "given_controls.h5ad",
        ]  # fmt: skip
        np.testing.assert_array_equal(
            read_h5ad(written[0]).X, read_h5ad(file.with_name("train.h5ad")).X
        )
        assert read_h5ad(written[4]).obs["is_control"].all()
        assert read_split(written[3]) == made.split

    def test_the_baseline_is_of_the_same_cell_type_and_timepoint(self, tmp_path: Path) -> None:
        made = split(series(tmp_path / "s"), "timeseries")
        task = make_task(made.prepared.adata, made.split, train=made.prepared.train)
        x = np.asarray(made.prepared.adata.X, float)
        t = np.asarray(made.prepared.train.X, float)
        assert [tuple(r) for r in task.groups[["perturbation", "cell_type"]].to_numpy()] == [
            ("A", "k"), ("A", "l"), ("B", "l"), ("A", "m")
        ]  # fmt: skip
        # No control was measured with A in m: those that train are all there is.
        expected = [x[[0, 2]].mean(0), x[5], x[5], t[4:].mean(0)]
        np.testing.assert_allclose(task.reference(), expected, rtol=1e-6)
        known = [np.vstack([t[:2], x[[0, 2]]]), np.vstack([t[2:4], x[5]])]
        np.testing.assert_allclose(task.baselines["mean"][0], known[0].mean(0), rtol=1e-6)
        np.testing.assert_allclose(task.baselines["median"][1], np.median(known[1], 0), rtol=1e-6)

    def test_pooled_groups_have_the_mean_of_their_baselines(self, tmp_path: Path) -> None:
        """Predictions that tell no cell types apart are compared with the same mixture."""
        made = split(series(tmp_path / "s"), "timeseries")
        both = make_task(made.prepared.adata, made.split, train=made.prepared.train)
        task = make_task(
            made.prepared.adata, made.split, train=made.prepared.train, shared_columns=()
        )
        np.testing.assert_allclose(task.reference()[0], both.reference()[[0, 1, 3]].mean(0))

    @pytest.mark.parametrize("scale", ["expression", "logfc"])
    def test_scored(self, tmp_path: Path, scale: str) -> None:
        made = split(series(tmp_path / "s"), "timeseries")
        task = make_task(made.prepared.adata, made.split, train=made.prepared.train)
        truth = np.asarray(task.test_matrix, float)
        values = truth if scale == "expression" else truth - task.reference(task.group_of)
        options: Any = {"targeted_genes": "exclude", "check_scale": False, "scale": scale}
        report = score(predictions(made, values), **options)
        assert report.n_scored == 4
        assert report.metrics["mae"].value == pytest.approx(0, abs=1e-6)
        assert report.metrics["mae"].baselines["mean"] > 0.01
        assert report.scores.targets.query("method == 'predictions'")["mae"].max() < 1e-6
        nothing = np.tile(task.reference()[0], (5, 1)) if scale == "expression" else truth * 0
        report = score(predictions(made, nothing), **options)
        frame = report.scores.groups.query("method == 'predictions'")
        by_hand = np.abs(task.observed[0] - task.reference()[0])[1:].mean()
        assert frame["mae"].iloc[0] == pytest.approx(by_hand, rel=1e-5)

    def test_fill_with_matching_controls(self, tmp_path: Path) -> None:
        made = split(series(tmp_path / "s"), "timeseries")
        values = np.full(made.template.shape, 2.0)
        values[0, 1] = np.nan
        report = score(predictions(made, values), fill_missing="control", check_scale=False)
        x = np.asarray(made.prepared.adata.X, float)
        t = np.asarray(made.prepared.train.X, float)
        values[0, 1] = np.mean([*t[:2, 1], *x[[0, 2], 1]])
        other = score(predictions(made, values), check_scale=False)
        pd.testing.assert_frame_equal(report.scores.groups, other.scores.groups)

    def test_refuses(self, tmp_path: Path) -> None:
        file = series(tmp_path / "s")
        made = split(file, "timeseries")
        write_split(made.split, tmp_path / "split.json")
        with pytest.raises(UsageError, match="no separate training file"):
            split("demo", "timeseries")
        lonely = dataset(["A", "ctrl"], cell_type=["k", "l"], timepoint=[1, 2])
        write_h5ad(lonely, file)
        train = dataset(["ctrl"], cell_type=["l"], timepoint=[2])
        write_h5ad(train, file.with_name("train.h5ad"))
        with pytest.raises(InvalidDataError, match="split-no-matching-control"):
            split(file, "timeseries")
        write_h5ad(dataset(["A", "ctrl"]), file)
        with pytest.raises(InvalidDataError, match="none named cell_type, timepoint"):
            split(file, "timeseries")

    def test_another_training_file_is_refused(self, tmp_path: Path) -> None:
        file = series(tmp_path / "s")
        made = split(file, "timeseries")
        write_split(made.split, tmp_path / "split.json")
        assert check_split(tmp_path / "split.json", file).valid
        other = dataset(["ctrl"] * 3, seed=9, cell_type=list("klm"), timepoint=[1, 2, 3])
        write_h5ad(other, file.with_name("train.h5ad"))
        with pytest.raises(IntegrityError, match=made.split.train_sha256):
            check_split(tmp_path / "split.json", file)
        with pytest.raises(IntegrityError, match="training file"):
            score(predictions(made, np.ones(made.template.shape)), check_scale=False)

    def test_genes_of_both_files(self, tmp_path: Path) -> None:
        file = series(tmp_path / "s")
        train = read_h5ad(file.with_name("train.h5ad"))[:, ["E", "C", "A", "B"]].copy()
        write_h5ad(train, file.with_name("train.h5ad"))
        made = split(file, "timeseries", rank_on_train=True)
        assert made.split.genes == ("A", "B", "C", "E")
        assert list(made.train.var_names) == ["A", "B", "C", "E"]
        x = np.asarray(train[:, "C"].X).ravel()
        np.testing.assert_array_equal(np.asarray(made.train[:, "C"].X).ravel(), x)


class TestFiles:
    def test_a_plain_file_is_as_it_was(self) -> None:
        """Optional fields appear only where they say something."""
        made = split("demo").split
        assert list(made.to_dict()) == [
            "format_version", "dataset", "type", "seed", "heldout_fraction", "num_genes",
            "software", "heldout_perturbations", "test_observations", "genes", "seen",
        ]  # fmt: skip
        assert set(dict(made.seen)) == {p for p in made.heldout_perturbations if "," in p}
        assert Split.from_dict(made.to_dict()) == made

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("simple", {}),
            ("stratified", {"stratify_controls": True}),
            ("custom", {"test_set": ("cell2", "cell6")}),
            ("genetic_interaction", {"merge_replicates": True}),
            ("interventional", {"rank_on_train": True}),
        ],
    )
    def test_written_and_read(self, kind: str, options: Any, tmp_path: Path) -> None:
        made = split(opened(dataset(PAIRS)), kind, **options)
        paths = made.write(tmp_path)
        assert read_split(paths[3]) == made.split
        text = read_h5ad(paths[2]).uns["pereggrn"]
        assert Split.from_dict(json.loads(text)["split"]) == made.split
        assert list(read_h5ad(paths[0]).obs_names) == list(made.train.obs_names)

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("rules", {"merged": True}, "rules of"),
            ("train_observations", ["a", "a"], "once"),
            ("given_observations", "cell1", "another type"),
            ("train_dataset", {}, "sha256"),
            ("train_dataset", {"sha256": 5}, "another type"),
        ],
    )
    def test_wrong_fields_are_refused(self, field: str, value: object, message: str) -> None:
        values = {**split("demo").split.to_dict(), field: value}
        with pytest.raises(InvalidDataError, match=message):
            Split.from_dict(values)

    def test_check(self, tmp_path: Path) -> None:
        file = tmp_path / "small.h5ad"
        write_h5ad(dataset([*PAIRS, "B", "C"]), file)
        made = split(file, "demultiplexing")
        path = tmp_path / "split.json"
        write_split(made.split, path)
        checked = check_split(path, file)
        assert checked.valid
        assert "valid" in repr(checked)
        assert pereggrn_data.check_split(path, file).to_dict()["findings"] == []
        values = made.split.to_dict()
        broken = {
            "split-combination-in-test": {"test_observations": ["cell2", "cell6"]},
            "split-heldout-control": {"test_observations": ["cell2", "cell0"]},
            "split-shared-perturbation": {"test_observations": ["cell2"]},
            "split-single-in-training": {"test_observations": ["cell2"]},
            "split-no-control": {"test_observations": ["cell0", "cell1", "cell2"]},
            "split-labels": {"heldout_perturbations": ["A"]},
            "split-overlap": {"train_observations": ["cell0", "cell2"]},
        }
        for code, change in broken.items():
            path.write_text(dumps({**values, **change}))
            checked = check_split(path, file)
            assert not checked.valid
            assert code in {finding.code for finding in checked.findings}
            assert code in repr(checked)
            with pytest.raises(InvalidDataError, match=code):
                score(
                    Predictions("p", made.template.obs, made.template.var_names,
                                np.ones(made.template.shape), None),
                    dataset=file, split=path,
                )  # fmt: skip
        path.write_text(dumps({**values, "test_observations": ["nobody"]}))
        with pytest.raises(InvalidDataError, match="nobody"):
            check_split(path, file)

    def test_check_of_another_dataset_shows_both_hashes(self, tmp_path: Path) -> None:
        file, other = tmp_path / "small.h5ad", tmp_path / "other.h5ad"
        write_h5ad(dataset(PAIRS), file)
        write_h5ad(dataset(PAIRS, seed=5), other)
        write_split(split(file, "genetic_interaction").split, tmp_path / "split.json")
        with pytest.raises(IntegrityError) as caught:
            check_split(tmp_path / "split.json", other)
        for hashed in (file, other):
            assert sha256_of_file(hashed) in str(caught.value)


class TestTestSets:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.json", '["x", "y z"]'),
            ("a.csv", "observation,perturbation\nx,A\ny z,B\n"),
            ("a.csv", "perturbation,observation\nA,x\nB,y z\n"),
            ("a.csv", "x\ny z\n"),
            ("a.csv", "\ufeffobs_names\nx\ny z\n"),
            ("a.csv", ",perturbation\nx,A\n\ny z,B\n"),
        ],
    )
    def test_layouts(self, name: str, text: str, tmp_path: Path) -> None:
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert read_test_set(tmp_path / name) == ("x", "y z")

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("a.json", '["x", "x"]', "1 names that occur again"),
            ("a.json", "[]", "no names"),
            ("a.json", '{"x": 1}', "not a test set"),
            ("a.json", "[1]", "not a test set"),
            ("a.json", "[", "not JSON"),
            ("a.csv", "", "no names"),
            ("a.csv", "x\nx\n", "1 names that occur again"),
        ],
    )
    def test_refuses(self, name: str, text: str, message: str, tmp_path: Path) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidDataError, match=message):
            read_test_set(tmp_path / name)

    def test_template_rows_are_a_test_set(self, tmp_path: Path) -> None:
        made = split("demo", "simple", seed=4)
        made.write(tmp_path)
        custom = split("demo", "custom", test_set=tmp_path / "test_perturbations.csv")
        assert set(custom.split.test_observations) == set(made.split.test_observations)
