"""Charts, summaries and messages follow one rule each, and writing changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from quick_scores import quick_score

import pereggrn_data
from pereggrn_data.core.errors import PereggrnError, UsageError, with_article
from pereggrn_data.evaluators.grouping import key_text
from pereggrn_data.evaluators.splits import SPLIT_TYPES
from pereggrn_data.evaluators.summaries.baseline_comparison import compare
from pereggrn_data.loaders.files.datasets.anndata_files import write_h5ad
from pereggrn_data.pipelines.collection.open_datasets import find_dataset
from pereggrn_data.pipelines.score.chart import bars_of


def test_there_is_one_zero() -> None:
    assert {key_text(value) for value in (0, 0.0, -0.0, "0", "-0.0")} == {"0"}
    assert key_text(-1.0) == "-1"


@pytest.mark.parametrize("name", SPLIT_TYPES)
def test_articles(name: str) -> None:
    assert with_article(name).startswith("an " if name == "interventional" else "a ")


@pytest.mark.parametrize("name", ["in memory", "a_file_of_mine"])
def test_only_what_is_published_is_to_be_fetched(name: str) -> None:
    with pytest.raises(PereggrnError) as raised:
        find_dataset(name, "0" * 64, None)
    assert isinstance(raised.value, UsageError)
    assert "fetch" not in str(raised.value)


def test_writing_changes_nothing_of_the_callers(tmp_path: Path) -> None:
    task = pereggrn_data.split("demo")
    given = task.train
    given.obs["text"] = pd.Categorical(["a"] * given.n_obs)
    given.obs["words"] = pd.array(["b"] * given.n_obs, dtype="string")
    given.raw = given.copy()
    before, table = given.copy(), given.obs
    raw = given.raw
    write_h5ad(given, tmp_path / "there.h5ad")
    assert given.obs is table
    assert given.raw is raw
    pd.testing.assert_frame_equal(given.obs, before.obs)
    pd.testing.assert_frame_equal(given.var, before.var)
    import anndata

    read = anndata.read_h5ad(tmp_path / "there.h5ad")
    assert np.array_equal(read.X, given.X)
    assert list(read.raw.var_names) == list(raw.var_names)
    assert list(read.obs["words"]) == ["b"] * given.n_obs


def test_the_bar_of_the_median_leaves_out_what_the_summary_leaves_out() -> None:
    task = pereggrn_data.split("demo")
    predictions = task.template
    predictions.X = np.full(predictions.shape, 0.5)
    report = quick_score(predictions, dataset="demo")
    groups = report.scores.groups
    groups = groups[groups["method"].isin(["mean", "median"])]
    for bar in bars_of(report, "mine"):
        if bar.method != "median":
            continue
        tables = dict(tuple(groups.groupby("method")))
        mean, median = (tables[m] for m in ("mean", "median"))
        both = compare(median[bar.metric].to_numpy(float), mean[bar.metric].to_numpy(float),
                       mean["n_observations"].to_numpy(float))  # fmt: skip
        gain = both.gain(1 if report.metrics[bar.metric].higher_is_better else -1)
        assert gain is not None
        assert both.baseline is not None
        assert bar.percent == pytest.approx(100 * gain / abs(both.baseline))
