"""What people do to scores: each is told, or has no effect, and the cohort is the truth's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from quick_scores import quick_score as score

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.evaluators import make_task
from pereggrn_data.evaluators.metrics import METRICS
from pereggrn_data.pipelines.score import ScoreReport
from pereggrn_data.pipelines.split import SplitDataset, split


@pytest.fixture(scope="module")
def made() -> SplitDataset:
    return split("demo")


@pytest.fixture(scope="module")
def truth(made: SplitDataset) -> Any:
    s = made.split
    return np.asarray(made.dataset.adata[list(s.test_observations)][:, list(s.genes)].X, float)


@pytest.fixture(scope="module")
def task(made: SplitDataset) -> Any:
    return make_task(made.dataset.adata, made.split)


@pytest.fixture
def honest(made: SplitDataset, truth: Any) -> anndata.AnnData:
    """A forecast with an error of its own in every gene."""
    template = made.template
    rng = np.random.default_rng(0)
    groups = template.obs["perturbation"].astype(str) + template.obs["timepoint"].astype(str)
    noise = {g: rng.normal(scale=0.1, size=template.n_vars) for g in dict.fromkeys(groups)}
    template.X[:] = truth + np.vstack([noise[g] for g in groups])
    return template


def said(report: ScoreReport, code: str) -> bool:
    return any(code in warning for warning in report.warnings)


CODES = (
    "predictions-mixed-scales", "predictions-clipped", "predictions-of-another",
    "predictions-of-training", "predictions-alike", "predictions-controls-drift",
    "predictions-log-twice", "predictions-repeated",
)  # fmt: skip


def test_an_honest_forecast_is_told_nothing(honest: anndata.AnnData) -> None:
    report = score(honest)
    assert not [code for code in CODES if said(report, code)]
    changes = score(shifted(honest), scale="logfc")
    assert not [code for code in CODES if said(changes, code)]


def shifted(adata: anndata.AnnData) -> anndata.AnnData:
    adata = adata.copy()
    made = split("demo")
    adata.X = adata.X - make_task(made.dataset.adata, made.split).control_mean
    return adata


def some_in_base_2(a: anndata.AnnData) -> None:
    rows = a.obs["perturbation"].isin(a.obs["perturbation"].unique()[:5]).to_numpy()
    a.X[rows] = a.X[rows] / np.log(2)


def cut(a: anndata.AnnData) -> None:
    a.X = np.minimum(a.X, np.quantile(a.X, 0.97))


def log_twice(a: anndata.AnnData) -> None:
    a.X = np.log1p(a.X)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (some_in_base_2, "predictions-mixed-scales"),
        (cut, "predictions-clipped"),
        (log_twice, "predictions-log-twice"),
    ],
)
def test_values(
    honest: anndata.AnnData, change: Callable[[anndata.AnnData], None], code: str
) -> None:
    change(honest)
    report = score(honest)
    assert [c for c in CODES if said(report, c)] == [code]


def test_clipped_fold_changes(honest: anndata.AnnData) -> None:
    changes = shifted(honest)
    changes.X = np.clip(changes.X, -0.3, 0.3)
    report = score(changes, scale="logfc")
    assert sum("predictions-clipped" in w for w in report.warnings) == 2


def test_profiles_of_other_held_out_perturbations(honest: anndata.AnnData, task: Any) -> None:
    honest.X[:] = np.roll(task.observed, 1, axis=0)[task.group_of]
    report = score(honest)
    assert said(report, "predictions-of-another")
    assert not said(report, "predictions-of-training")
    # A copy that was touched up is a copy all the same.
    honest.X[:, :2] = 0.5
    assert said(score(honest), "predictions-of-another")


def test_profiles_of_training_perturbations(
    honest: anndata.AnnData, made: SplitDataset, task: Any
) -> None:
    train = made.train[~made.train.obs["is_control"].to_numpy(bool)]
    label = str(train.obs["perturbation"].iloc[0])
    mine = np.asarray(train[train.obs["perturbation"] == label].X, float)
    honest.X[task.group_of < 3] = mine.mean(axis=0)
    report = score(honest)
    assert said(report, "predictions-of-training")
    assert any(label in w for w in report.warnings)
    assert not said(report, "predictions-of-another")


def test_profiles_that_ignore_the_perturbation(honest: anndata.AnnData, task: Any) -> None:
    honest.X[:] = honest.X.mean(axis=0)
    assert said(score(honest), "predictions-alike")
    # Setting the perturbed gene is no forecast.
    for k, j in zip(task.targets.rows, task.targets.columns, strict=True):
        honest.X[np.flatnonzero(task.group_of == k), j] = k / 10
    report = score(honest)
    assert said(report, "predictions-alike")
    assert report.metrics["discrimination_cosine"].value == pytest.approx(0.5)


def test_predicted_controls_that_drift(honest: anndata.AnnData) -> None:
    """A model could choose its own baseline of fold changes; it is not asked."""
    control = honest[:3].copy()
    control.obs["perturbation"] = "control"
    control.obs_names = ["c1", "c2", "c3"]
    control.X = control.X + 1
    both = anndata.concat([honest, control])
    both.uns["pereggrn"] = honest.uns["pereggrn"]
    report, alone = score(both), score(honest)
    assert said(report, "predictions-controls-drift")
    assert {n: m.value for n, m in report.metrics.items()} == {
        n: m.value for n, m in alone.metrics.items()
    }


def test_repeating_rows_weighs_nothing(honest: anndata.AnnData, truth: Any) -> None:
    """The easy perturbation, given twenty times, counts as often as it was observed."""
    easy = honest.obs["perturbation"].iloc[0]
    rows = (honest.obs["perturbation"] == easy).to_numpy()
    honest.X[rows] = truth[rows]
    frame = pd.concat([honest.obs, honest.to_df()], axis=1).reset_index(drop=True)
    many = pd.concat([frame, *[frame[frame["perturbation"] == easy]] * 20], ignore_index=True)
    once, often = (score(f, dataset="demo", split=split("demo").split) for f in (frame, many))
    for name, m in once.metrics.items():
        if m.value is not None:
            assert often.metrics[name].value == pytest.approx(m.value, rel=1e-9), name
            assert often.metrics[name].n == m.n
    assert not said(once, "predictions-repeated")
    (told,) = [w for w in often.warnings if "predictions-repeated" in w]
    # All rows of the file that was joined to it are repetitions of the first one's.
    n = 20 * int(rows.sum())
    assert f"{n} of {len(many)} rows" in told
    assert easy in told


def test_one_forecast_for_all_observations_is_no_repetition(
    honest: anndata.AnnData, task: Any
) -> None:
    """A model that forecasts a perturbation once gives each of its observations that."""
    honest.X[:] = task.observed[task.group_of] + 0.01
    frame = pd.concat([honest.obs, honest.to_df()], axis=1).reset_index(drop=True)
    for given in (honest, frame, frame.drop_duplicates("perturbation")):
        report = score(given, dataset="demo", split=split("demo").split)
        assert not said(report, "predictions-repeated")
    few = frame.drop_duplicates("perturbation")
    both = pd.concat([few, few.iloc[:3]], ignore_index=True)
    report = score(both, dataset="demo", split=split("demo").split)
    # Where two observations are held out, two equal rows are one for each.
    n = int((task.groups["n_observations"][:3] != 2).sum())
    assert said(report, "predictions-repeated") == (n > 0)


class TestCohort:
    """Which groups a metric is about is fixed by the truth alone."""

    def hard(self, report: ScoreReport) -> list[str]:
        groups = report.scores.groups.query("method == 'predictions'")
        return list(groups.sort_values("pearson")["perturbation"][:5])

    def test_nothing_for_hard_groups(self, honest: anndata.AnnData) -> None:
        full = score(honest)
        assert full.metrics["pearson"].beats_baselines is True
        hard = self.hard(full)
        rest = honest[~honest.obs["perturbation"].isin(hard)].copy()
        report = score(rest, allow_missing=True)
        n = full.n_expected - report.n_scored
        assert n >= 5
        for name, m in report.metrics.items():
            if METRICS[name].direction is not None:
                assert m.beats_baselines is None, name
                assert f"no value in {n} of {full.n_expected} groups" in (m.verdict_reason or "")
        assert report.summary.overall.counts.better == 0
        # It is said once, not as if every metric were undefined for a reason of its own.
        about = [w for w in report.summary.warnings if "no verdict" in w]
        assert len(about) == 1
        assert f"by any metric: {n} of {full.n_expected} groups are not predicted" in about[0]
        assert "cannot be told" in report.sentence

    def test_no_change_for_hard_groups(self, honest: anndata.AnnData, task: Any) -> None:
        """A correlation is then missing, and the mean over the others looks better."""
        full = score(honest, targeted_genes="exclude")
        hard = self.hard(full)
        rows = honest.obs["perturbation"].isin(hard).to_numpy()
        honest.X[rows] = task.control_mean
        report = score(honest, targeted_genes="exclude")
        pearson = report.metrics["pearson"]
        assert pearson.value is not None
        assert pearson.n < full.metrics["pearson"].n
        assert pearson.beats_baselines is None
        assert "no value in" in (pearson.verdict_reason or "")
        assert report.metrics["mae"].n == full.metrics["mae"].n

    def test_not_a_number_for_hard_groups(self, honest: anndata.AnnData) -> None:
        honest.X[:4] = np.nan
        with pytest.raises(InvalidDataError, match="predictions-not-a-number"):
            score(honest)
        with pytest.raises(InvalidDataError, match="predictions-not-a-number"):
            score(honest, allow_missing=True)

    def test_where_the_truth_has_none_nobody_lacks_one(self, made: SplitDataset) -> None:
        """A group that did not change has no correlation, whatever is predicted."""
        adata = made.dataset.adata.copy()
        label = made.split.heldout_perturbations[0]
        rows = (adata.obs["perturbation"] == label).to_numpy()
        first = make_task(adata, made.split)
        genes = adata.var_names.get_indexer(list(made.split.genes))
        x = np.asarray(adata.X, float).copy()
        x[np.ix_(np.flatnonzero(rows), genes)] = first.control_mean
        adata.X = x
        again = make_task(adata, made.split)
        from pereggrn_data.evaluators import Aligned, TargetedGenes
        from pereggrn_data.evaluators import score as score_task
        from pereggrn_data.evaluators.summaries import summarise

        rng = np.random.default_rng(0)
        profiles = again.observed + rng.normal(scale=0.05, size=again.observed.shape)
        aligned = Aligned(np.ones(len(again.groups), bool), profiles, None)
        summary = summarise(score_task(again, aligned, targeted=TargetedGenes.EXCLUDE))
        pearson = summary.metrics["pearson"]
        n_flat = int((again.groups["perturbation"] == label).sum())
        assert pearson.n == len(again.groups) - n_flat
        assert pearson.beats_baselines is True
