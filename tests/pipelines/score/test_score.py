"""From predictions to scores: alignment, rules, baselines, summary, signature."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from quick_scores import quick_score as score
from scipy import sparse

import pereggrn_data
from pereggrn_data.core.baselines import training_mean
from pereggrn_data.core.errors import (
    IntegrityError,
    InvalidDataError,
    UnknownNameError,
    UsageError,
)
from pereggrn_data.core.prediction_types import Predictions
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.evaluators.grouping import group_names, group_rows, key_text, time_text
from pereggrn_data.evaluators.metrics.compute import metrics_of_genes
from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.evaluators.metrics.effects import log_fold_change
from pereggrn_data.evaluators.metrics.metric import Direction, Needs
from pereggrn_data.evaluators.scoring import PREDICTIONS, Scores
from pereggrn_data.evaluators.summaries.baseline_comparison import (
    compare,
    weighted_mean,
    weighted_means,
)
from pereggrn_data.evaluators.summaries.summary import summarise
from pereggrn_data.evaluators.targets import TargetedGenes
from pereggrn_data.evaluators.task import make_task
from pereggrn_data.loaders.files.any_file.integrity import sha256_of_file
from pereggrn_data.loaders.files.datasets.anndata_files import Dataset
from pereggrn_data.loaders.files.prediction_files import read_predictions
from pereggrn_data.pipelines.compare.scored_runs import in_order
from pereggrn_data.pipelines.score.score_report import ScoreReport
from pereggrn_data.pipelines.split.split_dataset import SplitDataset
from pereggrn_data.pipelines.split.split_options import SplitOptions
from pereggrn_data.pipelines.split.splitting import split

REAL = ["papalexi_pseudobulk", "ecoli_oxygen", "yeast_tfko_chip", "dream4_net1"]


@pytest.fixture(scope="module")
def made() -> SplitDataset:
    return split("demo")


@pytest.fixture(scope="module")
def mean_prediction(made: SplitDataset) -> Any:
    train = made.train
    return training_mean(train.X, train.obs["perturbation"].to_numpy(object), train.var_names)


@pytest.fixture
def filled(made: SplitDataset) -> anndata.AnnData:
    """A template filled with something that is neither perfect nor constant."""
    template = made.template
    rng = np.random.default_rng(0)
    template.X[:] = observed(made) + rng.normal(scale=0.1, size=template.shape)
    return template


def observed(made: SplitDataset) -> Any:
    s = made.split
    x = made.dataset.adata[list(s.test_observations)][:, list(s.genes)].X
    return np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=float)


def save(adata: anndata.AnnData, path: Path) -> Path:
    adata.write_h5ad(path)
    return path


def wide(adata: anndata.AnnData) -> pd.DataFrame:
    return pd.concat([adata.obs, adata.to_df()], axis=1)


def values_of(report: ScoreReport) -> dict[str, float | None]:
    return {name: m.value for name, m in report.metrics.items()}


def assert_same_scores(a: ScoreReport, b: ScoreReport) -> None:
    first, second = values_of(a), values_of(b)
    missing = {name for name, value in first.items() if value is None}
    assert missing == {name for name, value in second.items() if value is None}
    assert {n: v for n, v in first.items() if n not in missing} == pytest.approx(
        {n: v for n, v in second.items() if n not in missing}, rel=1e-9, abs=1e-12
    )


def of_predictions(report: ScoreReport) -> pd.DataFrame:
    groups = report.scores.groups
    return groups[groups["method"] == PREDICTIONS]


class TestFormatsAndOrder:
    def test_h5ad_parquet_csv_and_memory_agree(
        self, made: SplitDataset, filled: anndata.AnnData, tmp_path: Path
    ) -> None:
        reference = score(save(filled, tmp_path / "p.h5ad"))
        made.write(tmp_path / "s")
        split_file = tmp_path / "s" / "split.json"
        frame = wide(filled)
        frame.to_parquet(tmp_path / "p.parquet")
        frame.to_csv(tmp_path / "p.csv")
        frame.rename_axis("observation").to_csv(tmp_path / "named.csv")
        frame.reset_index(drop=True).to_csv(tmp_path / "nameless.csv", index=False)
        for name in ("p.parquet", "p.csv", "named.csv", "nameless.csv"):
            report = score(tmp_path / name, dataset="demo", split=split_file)
            assert_same_scores(report, reference)
            assert report.signature == reference.signature
        again = score(tmp_path / "p.csv", dataset="demo", split_options=SplitOptions())
        assert again.signature == reference.signature
        assert_same_scores(score(read_predictions(tmp_path / "p.h5ad")), reference)

    def test_sparse_predictions(self, filled: anndata.AnnData, tmp_path: Path) -> None:
        reference = score(save(filled, tmp_path / "p.h5ad"))
        filled.X = sparse.csr_matrix(filled.X)
        assert_same_scores(score(save(filled, tmp_path / "s.h5ad")), reference)

    def test_order_of_rows_and_genes_does_not_matter_and_is_said(
        self, filled: anndata.AnnData, tmp_path: Path
    ) -> None:
        reference = score(save(filled, tmp_path / "p.h5ad"))
        rng = np.random.default_rng(1)
        shuffled = filled[rng.permutation(filled.n_obs)][:, rng.permutation(filled.n_vars)].copy()
        report = score(save(shuffled, tmp_path / "q.h5ad"))
        assert_same_scores(report, reference)
        assert sum("matched by name" in w for w in report.warnings) == 2
        assert not reference.warnings

    def test_one_row_per_perturbation_and_many_cells(
        self, made: SplitDataset, filled: anndata.AnnData, tmp_path: Path
    ) -> None:
        reference = score(save(filled, tmp_path / "p.h5ad"))
        frame = wide(filled)
        genes = list(filled.var_names)
        keys = ["perturbation", "perturbation_type", "timepoint"]
        once = frame.groupby(keys, sort=False, observed=True)[genes].mean().reset_index()
        once.to_csv(tmp_path / "once.csv", index=False)
        report = score(tmp_path / "once.csv", dataset="demo", split=made.split)
        assert_same_scores(report, reference)
        many = pd.concat([frame.assign(**{genes[0]: frame[genes[0]] + d}) for d in (-1, 0, 1)])
        many.reset_index(drop=True).to_csv(tmp_path / "many.csv", index=False)
        assert_same_scores(
            score(tmp_path / "many.csv", dataset="demo", split=made.split), reference
        )

    def test_log_fold_change(
        self, made: SplitDataset, filled: anndata.AnnData, tmp_path: Path
    ) -> None:
        reference = score(save(filled, tmp_path / "p.h5ad"))
        task = make_task(made.dataset.adata, made.split)
        filled.X = filled.X - task.control_mean
        report = score(save(filled, tmp_path / "lfc.h5ad"), scale="logfc")
        assert_same_scores(report, reference)
        assert report.signature == reference.signature

    def test_labels_that_look_like_missing_values(self, tmp_path: Path) -> None:
        frame = pd.DataFrame(
            {"perturbation": ["NA", "null"], "A": [1.0, 2.0], "nan": [0.5, np.nan]}
        )
        frame.to_csv(tmp_path / "p.csv", index=False)
        read = read_predictions(tmp_path / "p.csv")
        assert list(read.obs["perturbation"]) == ["NA", "null"]
        assert list(read.genes) == ["A", "nan"]
        assert np.isnan(read.matrix[1, 1])


class TestRules:
    def test_baseline_is_the_training_controls_never_the_predicted_ones(
        self, made: SplitDataset, filled: anndata.AnnData, tmp_path: Path
    ) -> None:
        reference = score(save(filled, tmp_path / "p.h5ad"))
        control = filled[:2].copy()
        control.obs["perturbation"] = "control"
        control.obs_names = ["fake1", "fake2"]
        control.X[:] = 7.0
        both = anndata.concat([filled, control])
        both.uns["pereggrn"] = filled.uns["pereggrn"]
        report = score(save(both, tmp_path / "q.h5ad"))
        assert_same_scores(report, reference)
        assert any("controls" in w and "drift" in w for w in report.warnings)
        by_hand = np.asarray(made.train[made.train.obs["is_control"].to_numpy()].X, float).mean(
            axis=0
        )
        np.testing.assert_allclose(make_task(made.dataset.adata, made.split).control_mean, by_hand)

    def test_targeted_genes(
        self, made: SplitDataset, filled: anndata.AnnData, tmp_path: Path
    ) -> None:
        """Only as-is lets the predicted level of a perturbed gene score."""
        task = make_task(made.dataset.adata, made.split)
        spoiled = filled.copy()
        row_groups = task.group_of
        for k, j in zip(task.targets.rows, task.targets.columns, strict=True):
            spoiled.X[np.flatnonzero(row_groups == k), j] += 3.0
        a, b = save(filled, tmp_path / "a.h5ad"), save(spoiled, tmp_path / "b.h5ad")
        for rule in TargetedGenes:
            first, second = (score(p, targeted_genes=rule, check_scale=False) for p in (a, b))
            if rule is TargetedGenes.AS_IS:
                assert (second.metrics["mse"].value or 0) > (first.metrics["mse"].value or 0) + 1
            else:
                assert_same_scores(first, second)
            assert f"targeted:{rule}" in first.signature
        excluded = of_predictions(score(a, targeted_genes="exclude"))
        n_targets = excluded["perturbation"].str.count(",") + 1
        assert (excluded["n_genes"] == len(task.genes) - n_targets).all()

    def test_reveal_sets_the_stated_level(self, made: SplitDataset, tmp_path: Path) -> None:
        """Overexpressed genes are stated as measured, so revealing them adds no error."""
        template = made.template
        template.X[:] = observed(made)
        task = make_task(made.dataset.adata, made.split)
        for k, j in zip(task.targets.rows, task.targets.columns, strict=True):
            template.X[np.flatnonzero(task.group_of == k), j] = 0.0
        report = score(save(template, tmp_path / "p.h5ad"))
        assert report.metrics["mse"].value == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(
            task.targets.stated, task.observed[task.targets.rows, task.targets.columns], atol=1e-4
        )

    def test_a_gene_without_a_stated_level_is_left_out(
        self, made: SplitDataset, filled: anndata.AnnData
    ) -> None:
        adata = made.dataset.adata.copy()
        label = made.split.heldout_perturbations[0]
        column = "expression_level_after_perturbation"
        adata.obs[column] = adata.obs[column].astype(object)
        n = label.count(",") + 1
        adata.obs.loc[adata.obs["perturbation"] == label, column] = ",".join(["nan"] * n)
        dataset = Dataset("demo", None, made.split.sha256, adata)
        groups = of_predictions(score(as_predictions(filled), dataset=dataset))
        hidden = len(made.split.genes) - groups.set_index("perturbation")["n_genes"]
        assert hidden[label] == n
        assert (hidden.drop(label) == 0).all()

    def test_allow_missing(
        self, made: SplitDataset, filled: anndata.AnnData, tmp_path: Path
    ) -> None:
        dropped = made.split.heldout_perturbations[:2]
        rest = filled[~filled.obs["perturbation"].isin(dropped)].copy()
        report = score(save(rest, tmp_path / "p.h5ad"), allow_missing=True)
        n = len(made.split.heldout_perturbations)
        assert (report.n_scored, report.n_expected) == (n - 2, n)
        assert f"|scored:{n - 2}/{n}:" in report.signature
        others = filled[~filled.obs["perturbation"].isin(made.split.heldout_perturbations[2:4])]
        other = score(save(others.copy(), tmp_path / "q.h5ad"), allow_missing=True)
        assert (other.n_scored, other.n_expected) == (n - 2, n)
        assert other.signature != report.signature
        assert any("predictions-missing-perturbation" in w for w in report.warnings)
        assert set(of_predictions(report)["perturbation"]).isdisjoint(dropped)

    def test_fill_missing(
        self, made: SplitDataset, filled: anndata.AnnData, tmp_path: Path
    ) -> None:
        holes = filled.copy()
        holes.X[3, 5:8] = np.nan
        report = score(save(holes, tmp_path / "p.h5ad"), fill_missing="control")
        assert any(w.startswith("3 missing values") for w in report.warnings)
        assert "fill:control" in report.signature
        controls = made.train[
            (made.train.obs["is_control"] & (made.train.obs["timepoint"] == 3)).to_numpy()
        ]
        by_hand = filled.copy()
        by_hand.X[3, 5:8] = np.asarray(controls.X, float).mean(axis=0)[5:8]
        assert_same_scores(report, score(save(by_hand, tmp_path / "q.h5ad")))

    def test_types_are_told_apart_whether_or_not_a_file_names_them(self) -> None:
        """Groups are the dataset's: a row without a type predicts every type of its label."""
        dataset, chosen = small_dataset()
        template = SplitDataset(dataset, chosen).template
        template.X[:] = 1.0 + np.arange(template.n_vars)
        apart = score(as_predictions(template), dataset=dataset, check_scale=False)
        assert apart.n_expected == 2
        del template.obs["perturbation_type"]
        template.obs_names = ["x", "y", "z"]
        unsaid = score(as_predictions(template), dataset=dataset, check_scale=False)
        assert unsaid.signature == apart.signature
        assert "by:perturbation+perturbation_type|" in unsaid.signature
        assert_same_scores(unsaid, apart)
        once = score(as_predictions(template[:1]), dataset=dataset, check_scale=False)
        assert_same_scores(once, apart)

    def test_step(self, filled: anndata.AnnData, tmp_path: Path) -> None:
        reference = score(save(filled, tmp_path / "p.h5ad"))
        other = filled.copy()
        other.X[:] = other.X + 0.5
        both = anndata.concat([filled, other], index_unique="-")
        both.obs["prediction_timescale"] = [1] * filled.n_obs + [3] * filled.n_obs
        both.uns["pereggrn"] = filled.uns["pereggrn"]
        path = save(both, tmp_path / "q.h5ad")
        with pytest.raises(UsageError, match="after 1, 3 steps"):
            score(path)
        assert_same_scores(score(path, step=1), reference)
        with pytest.raises(UsageError, match="--step 2"):
            score(path, step=2)


def as_predictions(adata: anndata.AnnData) -> Predictions:
    from pereggrn_data.core.prediction_types import Origin

    origin = Origin.from_dict(json.loads(adata.uns["pereggrn"]), source="test")
    return Predictions("test", adata.obs, adata.var_names, np.asarray(adata.X), origin)


def small_dataset() -> tuple[Dataset, Any]:
    """Six observations of one gene, knocked out and overexpressed, and three controls."""
    obs = pd.DataFrame(
        {
            "perturbation": ["ctrl"] * 3 + ["G0"] * 3,
            "is_control": [True] * 3 + [False] * 3,
            "perturbation_type": ["knockout"] * 5 + ["overexpression"],
            "expression_level_after_perturbation": [np.nan] * 3 + [0, 0, 5.0],
        },
        index=[f"o{i}" for i in range(6)],
    )
    genes = [f"G{i}" for i in range(5)]
    var = pd.DataFrame({"highly_variable_rank": range(5)}, index=genes)
    x = np.random.default_rng(0).uniform(0.5, 2, size=(6, 5))
    x[5, 0] = 5.0  # as stated
    uns = {"perturbed_and_measured_genes": np.array(["G0"], dtype=object)}
    adata = anndata.AnnData(X=x, obs=obs, var=var, uns=uns)
    dataset = Dataset("small", None, "0" * 64, adata)
    return dataset, split(dataset).split


class TestSmallTaskByHand:
    def test_groups_observed_and_baselines(self) -> None:
        dataset, chosen = small_dataset()
        task = make_task(dataset.adata, chosen)
        x = np.asarray(dataset.adata.X)
        assert task.groups["perturbation"].tolist() == ["G0", "G0"]
        assert task.groups["n_observations"].tolist() == [2, 1]
        np.testing.assert_allclose(task.observed, [x[3:5].mean(axis=0), x[5]])
        np.testing.assert_allclose(task.control_mean, x[:3].mean(axis=0))
        np.testing.assert_allclose(task.baselines["median"], np.median(x[:3], axis=0))
        assert task.targets.rows.tolist() == [0, 1]
        assert task.targets.columns.tolist() == [0, 0]
        assert task.targets.stated.tolist() == [0.0, 5.0]
        assert "2 groups" in repr(task)

    def test_scores_by_hand(self) -> None:
        dataset, chosen = small_dataset()
        x = np.asarray(dataset.adata.X)
        template = SplitDataset(dataset, chosen).template
        template.X[:] = x[:3].mean(axis=0)  # "nothing changes"
        report = score(
            as_predictions(template), dataset=dataset, targeted_genes="as-is", check_scale=False
        )
        o = np.array([x[3:5].mean(axis=0), x[5]]) - x[:3].mean(axis=0)
        expected = (2 * np.abs(o[0]).mean() + np.abs(o[1]).mean()) / 3
        assert report.metrics["mae"].value == pytest.approx(expected)
        assert report.metrics["mse"].value == pytest.approx(
            (2 * (o[0] ** 2).sum() + (o[1] ** 2).sum()) / 3
        )
        assert report.metrics["spearman"].value is None
        assert report.metrics["spearman"].n == 0
        assert "constant" in (report.metrics["spearman"].reason or "")
        assert report.metrics["proportion_correct_direction"].value == 0
        targets = report.scores.targets.query("method == 'predictions'").set_index("gene")
        errors = np.abs(x[3:] - x[:3].mean(axis=0))
        np.testing.assert_allclose(targets["mae"], errors.mean(axis=0))
        np.testing.assert_allclose(targets["mse"], (errors**2).mean(axis=0))
        np.testing.assert_allclose(targets["standard_deviation"], 0, atol=1e-9)


def scores_of(**pearson: list[float]) -> Scores:
    """Ten labels of two groups each, with 3 and 1 observations, scored by one metric."""
    frames = [
        pd.DataFrame(
            {
                "method": m,
                "perturbation": [f"G{i // 2}" for i in range(20)],
                "n_observations": [3, 1] * 10,
                "pearson": values * 10,
            }
        )
        for m, values in pearson.items()
    ]
    return Scores(pd.concat(frames), pd.DataFrame(), 20)


class TestSummary:
    def test_undefined_predictions_get_no_verdict(self) -> None:
        """Predicting no change on the hard ones must not pay."""
        nan = float("nan")
        scores = scores_of(predictions=[nan, 0.9], mean=[0.1, 0.5], median=[0.1, 0.2])
        summary = summarise(scores)
        pearson = summary.metrics["pearson"]
        assert (pearson.value, pearson.n) == (pytest.approx(0.9), 10)
        assert pearson.baselines["mean"] == pytest.approx(0.2)
        assert pearson.percent_change_from_mean == pytest.approx(80)
        assert pearson.beats_baselines is None
        assert pearson.verdict_reason == "the predictions have no value in 10 of 20 groups"
        assert len(summary.warnings) == 1
        assert "undefined for the predictions in 10 of 20 groups" in summary.warnings[0]

    def test_undefined_baselines_do_not_count(self) -> None:
        nan = float("nan")
        scores = scores_of(predictions=[0.1, 0.9], mean=[nan, 0.5], median=[nan, nan])
        summary = summarise(scores)
        pearson = summary.metrics["pearson"]
        assert pearson.percent_change_from_mean == pytest.approx(80)
        assert pearson.baselines["median"] is None
        assert pearson.beats_baselines is None
        assert "median baseline" in (pearson.verdict_reason or "")
        assert not summary.warnings
        summary = summarise(scores_of(predictions=[1, 1], mean=[nan, 0.5], median=[0, 0]))
        assert summary.metrics["pearson"].beats_baselines is True

    def test_an_interval_that_is_missing_has_a_reason(self) -> None:
        scores = scores_of(predictions=[0.5, 0.9], mean=[0.1, 0.5], median=[0.1, 0.2])
        one = replace(scores, groups=scores.groups[scores.groups["perturbation"] == "G0"])
        pearson = summarise(replace(one, n_expected=2)).metrics["pearson"]
        assert pearson.interval is None
        assert "no interval: one label says nothing of others" in (pearson.reason or "")

    def test_no_percentage_of_zero(self) -> None:
        pearson = summarise(scores_of(predictions=[0.5, 0.5], mean=[0, 0], median=[0, 0])).metrics[
            "pearson"
        ]
        assert pearson.percent_change_from_mean is None
        assert pearson.percent_change_interval is None
        assert "0" in (pearson.reason or "")
        assert pearson.beats_baselines is True

    def test_weighted_mean(self) -> None:
        assert weighted_mean(np.array([np.nan]), np.array([1.0])) is None
        rng = np.random.default_rng(0)
        rows, weights = rng.normal(size=(9, 300)), rng.integers(1, 9, 300).astype(float)
        rows[1, 5], rows[2] = np.nan, np.nan
        # To the last bit, which depends on the order of sums.
        assert weighted_means(rows, weights) == [weighted_mean(row, weights) for row in rows]

    def test_a_draw_is_no_win(self) -> None:
        one = np.ones(1)
        assert compare(one * (1 + 1e-9), one, one).gain(1) == 0.0
        assert compare(one * 1.1, one, one).gain(1) == pytest.approx(0.1)
        assert compare(one * 1.1, one, one).gain(-1) == pytest.approx(-0.1)
        assert compare(one * np.nan, one, one).gain(1) is None

    def test_float32_files_draw_with_the_mean(
        self, made: SplitDataset, mean_prediction: Any, tmp_path: Path
    ) -> None:
        template = made.template
        template.X = np.broadcast_to(mean_prediction, template.shape).astype(np.float32)
        report = score(save(template, tmp_path / "p.h5ad"))
        for m in report.metrics.values():
            assert m.percent_change_from_mean in (0, None)
            assert not m.beats_baselines

    def test_verdicts_and_nulls(self, filled: anndata.AnnData) -> None:
        report = score(as_predictions(filled), dataset="demo")
        for name, m in report.metrics.items():
            if METRICS[name].direction is None:
                assert (m.percent_change_from_mean, m.beats_baselines, m.higher_is_better) == (
                    None,
                ) * 3
                assert m.differences == {}
            else:
                assert m.beats_baselines is True, name
                assert (m.percent_change_from_mean or 0) > 0
                assert m.higher_is_better == (METRICS[name].direction is Direction.HIGHER)
        n_judged = sum(m.direction is not None and not m.of_cells for m in METRICS.values())
        overall = report.summary.overall
        assert (overall.counts.better, overall.counts.undecided) == (n_judged, 0)
        assert f"better in {n_judged}" in report.sentence

    def test_layout_of_the_summary(self, filled: anndata.AnnData, tmp_path: Path) -> None:
        report = score(as_predictions(filled), dataset="demo")
        files = report.write(tmp_path / "out")
        assert [f.name for f in files] == [
            "scores.parquet", "scores.csv", "targets.parquet", "effects.parquet", "summary.json",
        ]  # fmt: skip
        summary = json.loads(files[-1].read_text())
        parts = summary.pop("files")
        assert parts == {f.name: {"sha256": sha256_of_file(f)} for f in files[:-1]}
        assert summary == json.loads(dumps(report.to_dict()))
        assert list(summary) == [
            "signature", "dataset", "name", "file", "file_checksum", "asked", "targets_by",
            "n_scored", "n_expected", "warnings", "verdict", "intervals", "strata",
            "calibration", "metrics",
        ]  # fmt: skip
        for m in summary["metrics"].values():
            assert set(m) >= {
                "value", "mean_baseline", "median_baseline", "percent_change_from_mean",
                "n", "higher_is_better", "beats_baselines", "interval", "difference_interval",
                "percent_change_interval", "p_value", "duplicate", "scaled", "scaled_interval",
                "discriminates", "verdict_reason",
            }  # fmt: skip
        table = pd.read_parquet(files[0])
        assert set(table["method"]) == {"predictions", "mean", "median"}
        assert {n for n, m in METRICS.items() if not m.of_cells} <= set(table.columns)
        assert {"perturbation", "perturbation_type", "timepoint", "n_observations"} <= set(
            table.columns
        )
        assert table["timepoint"].dtype.kind in "if"
        numbers = table.select_dtypes("number")
        pd.testing.assert_frame_equal(pd.read_csv(files[1])[list(numbers)], numbers)
        assert len(pd.read_parquet(files[2])) == 3 * filled.n_vars
        assert "28 of 28 groups" in repr(report)
        assert len(report.to_pandas()) == len(summary["metrics"])

    def test_value_is_weighted_by_observations(self, filled: anndata.AnnData) -> None:
        report = score(as_predictions(filled), dataset="demo")
        frame = of_predictions(report)
        for name in ("mae", "pearson_top_20"):
            expected = np.average(frame[name], weights=frame["n_observations"])
            assert report.metrics[name].value == pytest.approx(expected)


class TestFinding:
    def test_of_the_dataset(self, filled: anndata.AnnData, tmp_path: Path) -> None:
        frame = wide(filled)
        frame.to_csv(tmp_path / "p.csv")
        with pytest.raises(UsageError, match="does not say which dataset"):
            score(tmp_path / "p.csv")
        with pytest.raises(UsageError, match="no file"):
            score(tmp_path / "none.csv", dataset="demo")
        (tmp_path / "p.doc").write_text("x")
        with pytest.raises(UsageError, match="cannot be read"):
            score(tmp_path / "p.doc", dataset="demo")

    def test_at_the_path_it_was_read_from(self, tmp_path: Path) -> None:
        made = split("demo")
        path = tmp_path / "mine.h5ad"
        made.dataset.adata.write_h5ad(path)
        mine = split(path)
        template = mine.template
        template.X[:] = 2.0
        predictions = save(template, tmp_path / "p.h5ad")
        assert score(predictions).dataset == "mine"
        moved = tmp_path / "moved.h5ad"
        path.rename(moved)
        with pytest.raises(UsageError, match="name the file by --dataset") as caught:
            score(predictions)
        assert mine.split.sha256 in str(caught.value)
        assert score(predictions, dataset=moved).dataset == "moved"
        with pytest.raises(IntegrityError) as caught:
            score(predictions, dataset="demo")
        assert made.split.sha256 in str(caught.value)
        assert mine.split.sha256 in str(caught.value)

    def test_of_the_split(
        self, made: SplitDataset, filled: anndata.AnnData, tmp_path: Path
    ) -> None:
        predictions = save(filled, tmp_path / "p.h5ad")
        with pytest.raises(UsageError, match="another split"):
            score(predictions, split=replace(made.split, seed=5))
        with pytest.raises(UsageError, match="carries its own split"):
            score(predictions, split_options=SplitOptions(seed=1))
        assert score(predictions, split=made.split).n_scored == len(
            made.split.heldout_perturbations
        )

    def test_unknown_rules(self, filled: anndata.AnnData) -> None:
        for options in (
            {"targeted_genes": "revael"},
            {"scale": "log"},
            {"fill_missing": "controls"},
        ):
            with pytest.raises(UnknownNameError):
                score(as_predictions(filled), dataset="demo", **options)  # type: ignore[arg-type]

    def test_python_name(self) -> None:
        from pereggrn_data.pipelines.score import score_predictions

        assert inspect.unwrap(pereggrn_data.score) is inspect.unwrap(score_predictions.score)


def test_rounding_is_no_change() -> None:
    baseline = np.array([2.3, 0.0, 1.0])
    as_stored = baseline.astype(np.float32).astype(float)
    assert (log_fold_change(as_stored[None], baseline) == 0).all()
    assert (log_fold_change(baseline[None] + 1e-5, baseline) != 0).all()


@pytest.mark.parametrize(
    ("value", "text", "as_time"),
    [
        (1, "1", "1"),
        (1.0, "1", "1"),
        ("1", "1", "1"),
        ("1.0", "1", "1"),
        (0.5, "0.5", "0.5"),
        ("0.50", "0.50", "0.5"),
        ("a", "a", "a"),
        (np.int64(3), "3", "3"),
        ("1_0", "1_0", "1_0"),
        ("01", "01", "1"),
        ("1e3", "1e3", "1000"),
        ("Infinity", "Infinity", "Infinity"),
    ],
)
def test_key_text(value: object, text: str, as_time: str) -> None:
    assert key_text(value) == text
    assert time_text(value) == as_time


def test_cell_types_that_look_like_numbers_stay_apart() -> None:
    obs = pd.DataFrame({"perturbation": "A", "cell_type": ["10", "1_0", "1e1", "10"]})
    codes, keys, groups = group_rows(obs, ["perturbation", "cell_type"])
    assert codes.tolist() == [0, 1, 2, 0]
    assert list(groups["cell_type"]) == ["10", "1_0", "1e1"]
    assert groups["n_observations"].tolist() == [2, 1, 1]
    assert keys.names == ["perturbation", "cell_type"]


class TestRowNames:
    """Numbers as names of test observations must not be mixed up with counts of rows."""

    @pytest.fixture
    def numbered(self) -> tuple[Dataset, SplitDataset]:
        made = split("demo")
        adata = made.dataset.adata.copy()
        adata.obs_names = [f"{i:03d}" for i in range(adata.n_obs)]
        dataset = Dataset("numbered", None, "1" * 64, adata)
        return dataset, split(dataset)

    def test_rows_without_names(self, numbered: Any, tmp_path: Path) -> None:
        dataset, made = numbered
        dataset.adata.obs_names = [str(i) for i in range(dataset.adata.n_obs)]
        made = split(dataset)
        template = made.template
        template.X[:] = observed(made)
        frame = wide(template).iloc[::-1].reset_index(drop=True)
        for name in ("p.csv", "p.parquet"):
            if name.endswith("csv"):
                frame.to_csv(tmp_path / name, index=False)
            else:
                frame.to_parquet(tmp_path / name)
            report = score(tmp_path / name, dataset=dataset, split=made.split)
            assert report.metrics["mse"].value == pytest.approx(0, abs=1e-8)
            assert not report.warnings

    def test_names_are_text(self, numbered: Any, tmp_path: Path) -> None:
        dataset, made = numbered
        template = made.template
        template.X[:] = observed(made)
        wide(template).iloc[::-1].rename_axis("observation").to_csv(tmp_path / "p.csv")
        report = score(tmp_path / "p.csv", dataset=dataset, split=made.split)
        targets = report.scores.targets
        assert targets[targets["method"] == PREDICTIONS]["mae"].max() < 1e-9


class TestPythonObjects:
    def test_predictions_in_memory(self, made: SplitDataset, filled: anndata.AnnData) -> None:
        reference = score(as_predictions(filled))
        assert_same_scores(score(filled), reference)
        assert score(filled).signature == reference.signature
        frame = wide(filled)
        assert_same_scores(score(frame, dataset="demo", split=made.split), reference)
        with pytest.raises(UsageError, match="no predictions"):
            score(7)  # type: ignore[arg-type]

    def test_complex_numbers_are_refused(self, filled: anndata.AnnData) -> None:
        filled.X = filled.X.astype(complex) + 1j
        with pytest.raises(InvalidDataError, match="real numbers"):
            score(filled)


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
class TestRealData:
    def test_the_mean_is_no_better_than_the_mean(self, shared: Path, name: str) -> None:
        made = split(name, collection=str(shared / "data"))
        train = made.train
        template = made.template
        labels = train.obs["perturbation"].to_numpy(object)
        template.X[:] = training_mean(train.X, labels, train.var_names)
        report = score(as_predictions(template), dataset=made.dataset)
        changes = {
            n: m.percent_change_from_mean
            for n, m in report.metrics.items()
            if METRICS[n].direction is not None and m.value is not None
        }
        assert set(changes.values()) == {0.0}
        assert {m.name for m in metrics_of_genes() if m.direction is not None} <= set(changes)
        few = [w for w in report.warnings if w.startswith("Only ")]
        assert ["predictions-alike" in w for w in report.warnings if w not in few] == [True]

    def test_the_truth_reaches_the_best_value(self, shared: Path, name: str) -> None:
        made = split(name, collection=str(shared / "data"))
        template = made.template
        template.X[:] = observed(made)
        report = score(as_predictions(template), dataset=made.dataset, targeted_genes="exclude")
        frame = of_predictions(report)
        compared = set()
        for metric_name in report.metrics:
            best = METRICS[metric_name].best
            if best is not None:
                # What needs replicates or other perturbations cannot have a value everywhere.
                defined = frame[frame[metric_name].notna()]
                expected = [best(int(n)) for n in defined["n_genes"]]
                np.testing.assert_allclose(
                    defined[metric_name], expected, atol=1e-9, err_msg=metric_name
                )
                if METRICS[metric_name].needs is Needs.GENES:
                    assert len(defined) == len(frame)
                compared.add(metric_name)
        assert {m.name for m in metrics_of_genes() if m.best is not None} <= compared
        assert not [w for w in report.warnings if not w.startswith("Only ")]  # of few labels


class TestSplitsThatAreTheSame:
    def test_who_made_it_and_the_order_do_not_matter(
        self, made: SplitDataset, filled: anndata.AnnData
    ) -> None:
        own = made.split
        other = replace(own, software="another 9.9", genes=own.genes[::-1])
        assert own.is_same_as(other)
        assert not own.is_same_as(replace(own, seed=3))
        assert score(filled, split=other).signature == score(filled).signature
        assert score(filled, split_options=SplitOptions(seed=0)).n_scored == 28
        with pytest.raises(UsageError, match="carries its own split"):
            score(filled, split_options=SplitOptions(seed=1))
        with pytest.raises(UsageError, match="either read or made"):
            score(filled, split=own, split_options=SplitOptions())

    def test_what_split_returns_is_enough(
        self, made: SplitDataset, filled: anndata.AnnData
    ) -> None:
        reference = score(filled)
        assert_same_scores(score(wide(filled), split=made), reference)

    def test_a_dataset_in_memory(self, filled: anndata.AnnData) -> None:
        adata = pereggrn_data.load("demo")
        mine = split(adata)
        assert mine.dataset.name == "in memory"
        assert mine.split.sha256 == split("demo").split.sha256
        template = mine.template
        template.X[:] = filled.X
        assert_same_scores(score(template, dataset=adata), score(filled))
        with pytest.raises(UsageError, match="no dataset"):
            split(7)  # type: ignore[arg-type]

    def test_a_split_that_leaks_is_refused(
        self, made: SplitDataset, filled: anndata.AnnData
    ) -> None:
        leaky = replace(made.split, test_observations=made.split.test_observations[1:])
        frame = wide(filled).iloc[1:]
        with pytest.raises(InvalidDataError):
            score(frame, dataset="demo", split=leaky)
        renamed = replace(made.split, heldout_perturbations=("zzz",))
        with pytest.raises(InvalidDataError):
            score(wide(filled), dataset="demo", split=renamed)


def test_reasons_are_told_once(filled: anndata.AnnData, made: SplitDataset) -> None:
    flat = filled.copy()
    task = make_task(made.dataset.adata, made.split)
    flat.X[:] = task.control_mean
    report = score(flat, targeted_genes="exclude")
    told = report.reasons()
    assert any(line.startswith("spearman, pearson: undefined in 28 of 28") for line in told)
    assert all(line in repr(report) for line in told)


def test_partly_filled_columns_are_refused(filled: anndata.AnnData) -> None:
    frame = wide(filled)
    frame.loc[frame.index[3], "timepoint"] = np.nan
    with pytest.raises(InvalidDataError, match="1 of 84 rows have no timepoint"):
        score(frame, dataset="demo", split_options=SplitOptions())


def test_groups_that_lack_something_are_told_from_all_others_by_their_names() -> None:
    """Also where text stays missing when it is made text, as in pandas from version 3 on."""
    texts = ["nan", "None", "<NA>", None]
    obs = pd.DataFrame({"perturbation": ["A"] * 4, "cell_type": texts})
    expected = ["A / nan", "A / None", "A / <NA>", "A / (missing)"]
    for future in (False, True):
        with pd.option_context("future.infer_string", future):
            assert group_names(obs, ["perturbation", "cell_type"]) == expected
            frame = obs.assign(method="m", n_observations=1)
            assert in_order(frame).index.tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1, None], [1.0, np.nan]),
        ([True, None], ["True", np.nan]),
        (["a", None], ["a", np.nan]),
        ([2, 1], [2, 1]),
    ],
)
def test_categories_become_what_they_are_of(values: list[Any], found: list[Any]) -> None:
    obs = pd.DataFrame({"perturbation": ["A", "B"], "timepoint": pd.Categorical(values)})
    groups = group_rows(obs, ["perturbation", "timepoint"])[2]
    expected = pd.Series(found, name="timepoint")
    pd.testing.assert_series_equal(groups["timepoint"], expected, check_dtype=False)


@pytest.mark.parametrize(
    ("column", "known"),
    [
        ("cell_type", ["K562"]),
        ("cell_type", ["nan", "None"]),
        ("timepoint", [1, 2]),
        ("timepoint", []),
    ],
)
def test_what_the_dataset_lacks_is_a_group(
    column: str, known: list[object], tmp_path: Path
) -> None:
    """Its template can be scored, as validate says no more than that it is odd."""
    demo = pereggrn_data.load("demo")
    values = [None, *known, *known][:3] if known else [None]
    demo.obs[column] = pd.Categorical((values * demo.n_obs)[: demo.n_obs], known or ["K562"])
    demo.write_h5ad(tmp_path / "gaps.h5ad")
    assert pereggrn_data.validate(tmp_path / "gaps.h5ad").valid
    made = pereggrn_data.split(tmp_path / "gaps.h5ad")
    made.write(tmp_path / "task")
    template = anndata.read_h5ad(tmp_path / "task" / "predictions_template.h5ad")
    template.X = np.tile(np.asarray(made.train.X).mean(axis=0), (template.n_obs, 1))
    template.write_h5ad(tmp_path / "filled.h5ad")
    assert pereggrn_data.validate(tmp_path / "filled.h5ad").valid
    report = score(tmp_path / "filled.h5ad", calibrate=False)
    labels = len(made.split.heldout_perturbations)
    assert report.n_scored == report.n_expected >= labels
    assert (report.n_expected > labels) == bool(known)
    assert report.scores.groups[column].isna().any()
    wide(template).to_csv(tmp_path / "filled.csv")
    of_text = score(tmp_path / "filled.csv", split=made, calibrate=False)
    pd.testing.assert_frame_equal(of_text.scores.groups, report.scores.groups)


def test_nothing_predicted_is_an_error(filled: anndata.AnnData) -> None:
    control = filled[:2].copy()
    control.obs["perturbation"] = "control"
    with pytest.raises(InvalidDataError, match="predictions-missing-perturbation"):
        score(control, allow_missing=True)
