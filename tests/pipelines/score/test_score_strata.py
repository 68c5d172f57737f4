"""Which perturbations are forecast well: lists, and kinds of perturbation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from pereggrn_data.core.errors import UnknownNameError
from pereggrn_data.evaluators import PREDICTIONS, Scores, summarise_strata
from pereggrn_data.evaluators.summaries import summarise
from pereggrn_data.loaders.files.datasets import Dataset
from pereggrn_data.pipelines.score import ScoreReport, score
from pereggrn_data.pipelines.split import split

pytestmark = pytest.mark.whole_strata


@pytest.fixture(scope="module")
def report() -> ScoreReport:
    made = split("demo")
    template = made.template
    s = made.split
    truth = np.asarray(made.dataset.adata[list(s.test_observations)][:, list(s.genes)].X, float)
    rng = np.random.default_rng(0)
    template.X[:] = truth + rng.normal(scale=0.2, size=template.shape)
    return score(template)


def test_perturbations_are_sorted_by_the_advantage(report: ScoreReport) -> None:
    frame = report.perturbations("mae")
    groups = report.scores.groups
    mine = groups[groups["method"] == PREDICTIONS].set_index("perturbation")["mae"]
    mean = groups[groups["method"] == "mean"].set_index("perturbation")["mae"]
    assert len(frame) == report.n_scored
    assert frame["advantage"].is_monotonic_increasing
    for row in frame.to_dict("records"):
        assert row["value"] == mine[row["perturbation"]]
        assert row["advantage"] == pytest.approx(mean[row["perturbation"]] - row["value"])
    assert np.isfinite(frame["duplicate"]).all()
    assert report.perturbations("pearson").iloc[0]["advantage"] <= 0.5
    with pytest.raises(UnknownNameError):
        report.perturbations("pvalue_effect_direction")


@pytest.mark.parametrize("noise", [0.15, 0.25, 0.3, 0.4])
def test_percent_changes_and_differences_say_the_same(noise: float) -> None:
    made = split("demo")
    template, s = made.template, made.split
    truth = np.asarray(made.dataset.adata[list(s.test_observations)][:, list(s.genes)].X, float)
    template.X[:] = truth + np.random.default_rng(1).normal(scale=noise, size=template.shape)
    found = 0
    for m in score(template, calibrate=False, draws=400).metrics.values():
        if m.percent_change_interval is not None:
            difference = m.differences["mean"].interval
            assert difference is not None
            assert np.sign(m.percent_change_interval).tolist() == np.sign(difference).tolist()
            found += 1
    assert found > 20


def test_a_network_divides_the_groups() -> None:
    """By hand: a target is a regulator where the table has an edge from it."""
    made = split("demo")
    template = made.template
    template.X[:] = np.asarray(
        made.dataset.adata[list(made.split.test_observations)][:, list(made.split.genes)].X
    )
    labels = sorted(set(made.split.heldout_perturbations))
    edges = pd.DataFrame({"regulator": labels[:3], "target": [made.split.genes[0]] * 3})
    report = score(template, network=edges, draws=200)
    sizes = {s["stratum"]: s["n_groups"] for s in report.strata if "regulators" in s["by"]}
    groups = report.scores.groups
    mine = groups.loc[groups["method"] == PREDICTIONS, "perturbation"]
    n = int(mine.isin(labels[:3]).sum())
    assert sizes == {"yes": n, "no": len(mine) - n}
    assert n >= 3
    foreign = pd.DataFrame({"regulator": ["ENSG1"], "target": ["ENSG2"]})
    told = score(template, network=foreign, draws=200)
    assert not [s for s in told.strata if "regulators" in s["by"]]
    assert any("tells no perturbations apart" in w and "another kind" in w for w in told.warnings)


def test_strata_divide_the_groups(report: ScoreReport) -> None:
    by: dict[str, list[dict[str, Any]]] = {}
    for stratum in report.strata:
        by.setdefault(stratum["by"], []).append(stratum)
    assert "effect size" in by
    for parts in by.values():
        assert len(parts) > 1
        assert sum(p["n_groups"] for p in parts) == report.n_scored
    sizes = {p["stratum"]: p["n_groups"] for p in by["effect size"]}
    assert set(sizes) == {"smallest third", "middle third", "largest third"}
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert report.to_dict()["strata"] == list(report.strata)


def test_kinds_have_intervals_over_their_own_labels(report: ScoreReport) -> None:
    for stratum in report.strata:
        m = stratum["metrics"]["mae"]
        ends = [m[f"{of}interval"] for of in ("", "difference_", "percent_change_")]
        if stratum["n_labels"] < 2:
            assert ends == [None] * 3
            continue
        assert ends[0][0] < m["value"] < ends[0][1]
        assert ends[1][0] < m["difference"] < ends[1][1]
        # What is positive is better, and the three say the same.
        assert (m["difference"] > 0) == (m["percent_change_from_mean"] > 0)
    assert any(s["n_labels"] > 2 for s in report.strata)
    of_all = report.metrics["mae"].interval
    assert of_all is not None
    third = next(s for s in report.strata if s["stratum"] == "middle third")
    low, high = third["metrics"]["mae"]["interval"]
    assert high - low != of_all[1] - of_all[0]


def test_a_stratum_is_the_summary_of_its_groups(report: ScoreReport) -> None:
    """To the last bit, also where a metric has no value in some groups, or in none."""
    groups = report.scores.groups[report.scores.groups["method"].isin([PREDICTIONS, "mean"])]
    groups = groups.sample(frac=1, random_state=0).sort_values("method", kind="stable")
    groups = groups.sort_values("perturbation", kind="stable", ignore_index=True)
    groups.loc[groups.index % 5 == 0, "mae"] = np.nan
    groups["spearman"] = np.nan
    n = len(groups) // 2
    strata = pd.DataFrame({"by": np.random.default_rng(0).choice(["one", "two", None], n)})
    found = summarise_strata(replace(report.scores, groups=groups), strata, draws=200)
    assert [s["stratum"] for s in found] == ["one", "two"]
    for stratum in found:
        inside = np.repeat((strata["by"] == stratum["stratum"]).to_numpy(), 2)
        alone = summarise(Scores(groups[inside], report.scores.targets, n), draws=200)
        assert stratum["n_groups"] == inside.sum() / 2
        for name, m in stratum["metrics"].items():
            whole = alone.metrics[name]
            assert m["value"] == whole.value
            assert m["mean_baseline"] == whole.baselines["mean"]
            assert m["percent_change_from_mean"] == whole.percent_change_from_mean
            assert tuple(m["interval"] or ()) == (whole.interval or ())
            ends = whole.differences["mean"].interval, whole.percent_change_interval
            assert tuple(m["difference_interval"] or ()) == (ends[0] or ())
            assert tuple(m["percent_change_interval"] or ()) == (ends[1] or ())
        assert stratum["metrics"]["spearman"]["value"] is None


def test_kinds_of_targets_by_hand() -> None:
    """Singles of a gene that never trained, pairs with one and with two trained genes."""
    labels = ["ctrl"] * 4 + ["A", "B", "C", "D"] * 2 + ["A,B", "A,D"]
    rng = np.random.default_rng(0)
    genes = [*"ABCD", "E", "F"]
    adata = anndata.AnnData(
        X=rng.uniform(1, 3, size=(len(labels), len(genes))),
        obs=pd.DataFrame(
            {
                "perturbation": labels,
                "is_control": [x == "ctrl" for x in labels],
                "perturbation_type": "knockout",
                "expression_level_after_perturbation": [
                    ",".join(["nan"] * (1 + x.count(","))) for x in labels
                ],
            },
            index=[f"o{i}" for i in range(len(labels))],
        ),
        var=pd.DataFrame({"highly_variable_rank": range(len(genes))}, index=genes),
        uns={"perturbed_and_measured_genes": np.array(list("ABCD"), dtype=object),
             "perturbed_but_not_measured_genes": np.array([], dtype=object)},
    )  # fmt: skip
    dataset = Dataset("pairs", None, "0" * 64, adata)
    held = [f"o{i}" for i, label in enumerate(labels) if label in ("D", "A,B", "A,D")]
    made = split(dataset, type="custom", test_set=held)
    template = made.template
    template.X[:] = rng.uniform(1, 3, size=template.shape)
    found = score(template, dataset=dataset, check_scale=False, targeted_genes="exclude")
    kinds = {s["stratum"]: s for s in found.strata if s["by"] == "targets"}
    assert {name: s["n_groups"] for name, s in kinds.items()} == {
        "single seen0": 1, "double seen1": 1, "double seen2": 1,
    }  # fmt: skip
    groups = found.scores.groups.query("method == 'predictions'").set_index("perturbation")
    assert kinds["double seen2"]["metrics"]["mae"]["value"] == groups.loc["A,B", "mae"]
    mean = found.scores.groups.query("method == 'mean'").set_index("perturbation")
    base = mean.loc["A,B", "mae"]
    assert kinds["double seen2"]["metrics"]["mae"]["percent_change_from_mean"] == pytest.approx(
        100 * (base - groups.loc["A,B", "mae"]) / base
    )


def test_command(run: Any) -> None:
    template = split("demo").template
    template.X[:] = 1.0 + np.arange(template.n_vars) / 100
    template.write_h5ad("p.h5ad")
    plain = ("score", "p.h5ad", "--no-scale-check", "--no-calibration", "--draws", "300")
    code, out, _ = run(*plain, "--show", "2", "--show-metric", "mse")
    assert code == 0
    assert "worst by mse" in out
    assert "best by mse" in out
    code, out, _ = run(*plain, "--show", "worst")
    assert ("worst by mae" in out, "best by mae" in out) == (True, False)
    code, out, _ = run(*plain, "--show", "strata")
    assert "effect size: largest third" in out
    assert run(*plain, "--show", "wrst")[0] == 2
    assert run(*plain, "--show", "best", "--show-metric", "maee")[0] == 2
