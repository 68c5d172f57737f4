"""Several scores side by side: agreement of signatures, pooling, ranks, submissions."""

from __future__ import annotations

import errno
import inspect
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from quick_scores import quick_score as score

import pereggrn_data
from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingFileError,
    UnknownNameError,
    UsageError,
)
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.evaluators import PREDICTIONS
from pereggrn_data.evaluators.summaries import SIGNATURE_PARTS
from pereggrn_data.pipelines.compare import (
    About,
    check_submission,
    compare,
    side_by_side,
    submissions,
    write_comparison,
    write_submission,
)
from pereggrn_data.pipelines.compare.line_up import known_parts
from pereggrn_data.pipelines.compare.scored_runs import ScoredRun
from pereggrn_data.pipelines.split import SplitDataset, split

ABOUT = About("ridge", "1.0", "https://example.org/ridge", "python ridge.py")


def scored(made: SplitDataset, folder: Path, noise: float, seed: int = 0) -> Path:
    """Write scores of the truth with noise."""
    template = made.template
    truth = made.dataset.adata[list(made.split.test_observations)][:, list(made.split.genes)].X
    rng = np.random.default_rng(seed)
    template.X[:] = np.asarray(truth, float) + rng.normal(scale=noise, size=template.shape)
    score(template, dataset=made.dataset, draws=300).write(folder)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    first, second = split("demo"), split("demo", seed=1)
    return {
        "good": scored(first, folder / "good", 0.05),
        "bad": scored(first, folder / "bad", 0.4),
        "again": scored(first, folder / "again", 0.05, seed=9),
        "good_seed1": scored(second, folder / "good_seed1", 0.05),
        "bad_seed1": scored(second, folder / "bad_seed1", 0.4),
    }


def altered(run: Path, folder: Path, old: str, new: str) -> Path:
    folder.mkdir()
    summary = json.loads((run / "summary.json").read_text())
    assert old in summary["signature"]
    summary["signature"] = summary["signature"].replace(old, new)
    (folder / "summary.json").write_text(dumps(summary))
    (folder / "scores.parquet").write_bytes((run / "scores.parquet").read_bytes())
    return folder


def named(**paths: Path) -> list[str]:
    return [f"{name}={path}" for name, path in paths.items()]


class TestLinedUp:
    def test_values_are_those_of_the_summaries(self, runs: dict[str, Path]) -> None:
        table = compare(named(good=runs["good"], bad=runs["bad"]))  # by their own draws
        assert list(dict.fromkeys(table["method"])) == ["good", "bad", "mean", "median"]
        for name in ("good", "bad"):
            metrics = json.loads((runs[name] / "summary.json").read_text())["metrics"]
            mine = table[table["method"] == name].set_index("metric")
            for metric, m in metrics.items():
                if m["value"] is not None:
                    assert mine.loc[metric, "value"] == pytest.approx(m["value"])
                if m["interval"] is not None:
                    assert list(mine.loc[metric, ["low", "high"]]) == pytest.approx(m["interval"])
        of_mean = table[table["method"] == "mean"].set_index("metric")
        assert of_mean.loc["mae", "value"] == pytest.approx(metrics["mae"]["mean_baseline"])
        assert of_mean.loc["mae", "percent_change_from_mean"] == 0
        assert of_mean["beats_baselines"].isna().all()

    @pytest.mark.parametrize(
        "stated",
        [{"draws": 1, "seed": 0}, {"draws": 300, "seed": -1}, {"draws": "300", "seed": 0}],
    )
    def test_draws_that_no_score_has_are_not_drawn(
        self, runs: dict[str, Path], tmp_path: Path, stated: dict[str, Any]
    ) -> None:
        run = tmp_path / "run"
        shutil.copytree(runs["good"], run)
        summary = json.loads((run / "summary.json").read_text())
        summary["intervals"] |= stated
        (run / "summary.json").write_text(dumps(summary))
        usual = compare([f"good={runs['good']}"], draws=2000, draws_seed=0)
        pd.testing.assert_frame_equal(compare([f"good={run}"]), usual)

    def test_ranks_tie_where_intervals_overlap(self, runs: dict[str, Path]) -> None:
        paths = named(good=runs["good"], bad=runs["bad"], twin=runs["again"])
        table = compare(paths, draws=300)
        mae = table[table["metric"] == "mae"].set_index("method")
        assert mae.loc["good", "rank"] == mae.loc["twin", "rank"] == 1
        assert mae.loc["bad", "low"] > mae.loc["good", "high"]
        assert mae.loc["bad", "rank"] > 2
        for _, of_metric in table.dropna(subset=["rank", "low"]).groupby("metric"):
            assert of_metric["rank"].min() == 1
        assert table[table["metric"] == "pvalue_effect_direction"]["rank"].isna().all()

    def test_one_run_and_summaries_alone(self, runs: dict[str, Path], tmp_path: Path) -> None:
        alone = tmp_path / "alone.json"
        alone.write_bytes((runs["good"] / "summary.json").read_bytes())
        table = compare([alone, f"other={runs['bad']}"], draws=300)
        both = compare(named(alone=runs["good"], other=runs["bad"]), draws=300)
        pick = ["value", "low", "high", "percent_change_from_mean"]
        mine, theirs = (
            t[t["method"] == "alone"].set_index("metric")[pick].astype(float)
            for t in (table, both)
        )
        pd.testing.assert_frame_equal(mine, theirs)
        with pytest.raises(UsageError, match="no scores of groups"):
            compare([f"a={alone}", f"a={alone}"])


class TestAgreement:
    @pytest.mark.parametrize(
        ("old", "new", "part"),
        [("targeted:reveal", "targeted:as-is", "targeted"), ("metrics:1", "metrics:9", "metrics")],
    )
    def test_the_part_that_differs_is_named(
        self, runs: dict[str, Path], tmp_path: Path, old: str, new: str, part: str
    ) -> None:
        other = altered(runs["bad"], tmp_path / "other", old, new)
        paths = named(good=runs["good"], other=other)
        with pytest.raises(InvalidDataError, match=f"differ in {part}\\.") as caught:
            compare(paths)
        assert f"--allow {part}" in str(caught.value)
        assert len(compare(paths, allow=[part], draws=200)) > 0
        with pytest.raises(InvalidDataError):
            compare(paths, allow=["fill"])

    @pytest.mark.parametrize("allow", [["nonsense"], "filll", ["fill", "heldout,train"], [""]])
    def test_no_part_is_allowed_that_signatures_cannot_have(
        self, runs: dict[str, Path], allow: Any
    ) -> None:
        with pytest.raises(UnknownNameError, match="no part of a signature named") as caught:
            compare([runs["good"]], allow=allow, draws=200)
        assert "the parts are software, metrics, dataset" in str(caught.value)
        if allow == "filll":
            assert "did you mean fill?" in str(caught.value)

    def test_any_part_of_a_signature_is_allowed(self, runs: dict[str, Path]) -> None:
        assert len(compare([runs["good"]], allow=[*SIGNATURE_PARTS], draws=200)) > 0
        run = ScoredRun("somewhere", "m", {"signature": "pooled:2|fill:none"}, None)
        assert known_parts({"pooled", "controls"}, [run]) == {"pooled", "controls"}
        assert len(compare([runs["good"]], allow="fill", draws=200)) > 0

    def test_a_seed_that_others_lack(self, runs: dict[str, Path]) -> None:
        paths = [*named(good=runs["good"], bad=runs["bad"]), f"good={runs['good_seed1']}"]
        with pytest.raises(InvalidDataError, match="heldout"):
            compare(paths)

    def test_what_is_no_run(self, runs: dict[str, Path], tmp_path: Path) -> None:
        with pytest.raises(MissingFileError):
            compare([tmp_path / "none"])
        with pytest.raises(UsageError, match="nothing to compare"):
            compare([])
        score: Any = object()  # as score() returns it
        for in_memory in (score, [score]):
            with pytest.raises(UsageError, match="compared by their files"):
                compare(in_memory)
        one = next(iter(runs.values()))
        assert len(compare(one)) == len(compare(str(one))) == len(compare([one]))
        nothing = ("{", "[]", "{}", '{"signature": "a", "dataset": "b"}')
        wrong = '{"signature": "a", "dataset": "b", "metrics": {"mae": 3}}'
        for k, text in enumerate((*nothing, wrong)):
            file = tmp_path / f"{k}.json"
            file.write_text(text)
            with pytest.raises(InvalidDataError, match=r"no summary of scores|not JSON"):
                compare([file])
        broken = altered(runs["good"], tmp_path / "broken", "fill:none", "fill:none")
        frame = pd.read_parquet(broken / "scores.parquet")
        frame[frame["method"] != "mean"].to_parquet(broken / "scores.parquet")
        with pytest.raises(InvalidDataError, match="does not hold the methods"):
            compare([broken])
        frame.iloc[1:].to_parquet(broken / "scores.parquet")
        with pytest.raises(InvalidDataError, match="same groups"):
            compare([broken])


class TestPooled:
    def test_seeds_are_blocks(self, runs: dict[str, Path]) -> None:
        paths = [
            *named(good=runs["good"], bad=runs["bad"]),
            *named(good=runs["good_seed1"], bad=runs["bad_seed1"]),
        ]
        table = compare(paths, draws=300)
        good = table[table["method"] == "good"].set_index("metric").loc["mae"]
        frames = [pd.read_parquet(runs[n] / "scores.parquet") for n in ("good", "good_seed1")]
        own = pd.concat([f[~f["method"].isin(["mean", "median"])] for f in frames])
        assert good["value"] == pytest.approx(
            np.average(own["mae"], weights=own["n_observations"])
        )
        assert good["n_groups"] == len(own)
        # A perturbation that both seeds hold out is one, not two.
        assert good["n_perturbations"] == own["perturbation"].nunique() < len(own)
        assert good["runs"] == 2

    def test_repeats_are_averaged(self, runs: dict[str, Path]) -> None:
        table = compare([f"m={runs['good']}", f"m={runs['again']}"], draws=300)
        own = table[table["method"] == "m"].set_index("metric")
        values = [
            json.loads((runs[n] / "summary.json").read_text())["metrics"]["mae"]["value"]
            for n in ("good", "again")
        ]
        assert own.loc["mae", "value"] == pytest.approx(np.mean(values))
        assert own.loc["mae", "n_groups"] == own.loc["mae", "n_perturbations"]

    def test_datasets_are_rows(self, runs: dict[str, Path], tmp_path: Path) -> None:
        other = altered(runs["good"], tmp_path / "other", "dataset:demo", "dataset:two")
        summary = json.loads((other / "summary.json").read_text())
        (other / "summary.json").write_text(dumps({**summary, "dataset": "two"}))
        table = compare([f"m={runs['good']}", f"m={other}"], draws=200)
        assert list(table["dataset"].unique()) == ["demo", "two"]
        assert set(side_by_side(table)) == {"demo", "two"}


class TestWritten:
    def test_every_kind(self, runs: dict[str, Path], tmp_path: Path) -> None:
        table = compare(named(good=runs["good"], bad=runs["bad"]), draws=200)
        for ending in ("csv", "json", "md"):
            assert write_comparison(table, tmp_path / f"t.{ending}").stat().st_size > 0
        assert len(pd.read_csv(tmp_path / "t.csv")) == len(table)
        assert len(json.loads((tmp_path / "t.json").read_text())) == len(table)
        assert "| metric | good | bad | mean | median |" in (tmp_path / "t.md").read_text()
        with pytest.raises(UsageError, match="cannot be written"):
            write_comparison(table, tmp_path / "t.xlsx")

    def test_python_name(self) -> None:
        assert inspect.unwrap(pereggrn_data.compare) is inspect.unwrap(compare)


class TestVerdicts:
    """What makes no verdict in a score makes none in a comparison."""

    @pytest.fixture
    def lacking(self, runs: dict[str, Path], tmp_path: Path) -> Path:
        """A run that has no value for hard groups, by two metrics, in two ways."""
        folder = tmp_path / "lacking"
        folder.mkdir()
        summary = json.loads((runs["good"] / "summary.json").read_text())
        summary["name"] = "lacking"
        # One is not predicted, so that scores have no row for it.
        summary["metrics"]["mae"]["n_missing"] = 1
        summary["metrics"]["mse"]["discriminates"] = False
        frame = pd.read_parquet(runs["good"] / "scores.parquet")
        own = frame.index[~frame["method"].isin(["mean", "median"])]
        frame.loc[own[:3], "pearson"] = np.nan
        summary["metrics"]["pearson"]["n_missing"] = 3
        (folder / "summary.json").write_text(dumps(summary))
        frame.to_parquet(folder / "scores.parquet")
        return folder

    @pytest.mark.parametrize("twice", [False, True])
    def test_none_is_made(self, runs: dict[str, Path], lacking: Path, twice: bool) -> None:
        more = [f"lacking={runs['again']}"] if twice else []
        table = compare([runs["bad"], f"lacking={lacking}", *more], draws=300)
        mine = table[table["method"] == "lacking"].set_index("metric")
        assert mine.loc["r2", "beats_baselines"] is True
        for metric in ("mae", "mse", "pearson"):
            assert mine.loc[metric, "beats_baselines"] is None, metric
        assert list(mine.loc[["mae", "mse", "pearson"], "n_missing"]) == [1, 0, 3]
        # Its mean is over other groups than those of the others: it has no place among them.
        others = table[(table["metric"] == "mae") & (table["method"] != "lacking")]
        assert np.isnan(mine.loc["mae", "rank"])
        assert others["rank"].min() == 1
        assert mine.loc["mse", "rank"] == 1

    def test_baselines_that_were_changed(self, runs: dict[str, Path], lacking: Path) -> None:
        """A worse mean would make any method better than it."""
        frame = pd.read_parquet(lacking / "scores.parquet")
        frame.loc[frame["method"] == "mean", "mae"] *= 2
        frame.to_parquet(lacking / "scores.parquet")
        with pytest.raises(InvalidDataError, match="other baselines") as told:
            compare([runs["good"], lacking], draws=200)
        assert "mean by mae" in str(told.value)

    def test_summaries_alone(self, lacking: Path, tmp_path: Path) -> None:
        file = tmp_path / "summary.json"
        file.write_bytes((lacking / "summary.json").read_bytes())
        alone = compare([file]).set_index("metric")
        assert alone.loc["mae", "n_missing"] == 1
        assert np.isnan(alone.loc["mae", "rank"])


class TestSubmission:
    @pytest.fixture
    def folder(self, runs: dict[str, Path], tmp_path: Path) -> Path:
        write_submission(runs["good"], tmp_path / "sub", ABOUT)
        return tmp_path / "sub"

    def test_a_good_one(self, folder: Path) -> None:
        assert check_submission(folder) == []
        assert sorted(f.name for f in folder.iterdir()) == [
            "evaluation_results.json", "method.toml", "scores.parquet", "signature.txt",
            "summary.json",
        ]  # fmt: skip
        assert not compare([folder], draws=200).empty

    def test_all_of_it_or_nothing_is_written(
        self, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(submissions, "evaluation_results", full)
        with pytest.raises(UsageError, match="cannot be written"):
            write_submission(runs["good"], tmp_path / "sub", ABOUT)
        assert not (tmp_path / "sub").exists()

    def test_results_in_the_layout_of_others(self, folder: Path) -> None:
        results = json.loads((folder / "evaluation_results.json").read_text())
        assert set(results) == {"schema_version", "suite", "statistics", "axes", "metrics"}
        labels = results["axes"]["group"]["labels"]
        assert len(set(labels)) == len(labels) == 28
        for m in results["metrics"].values():
            assert set(m["statistics"]) <= set(results["statistics"])
            assert m["headline"]["statistic"] in m["statistics"]
            assert len(m["values"]) == len(labels) == m["statistics"]["count"]
            assert isinstance(m["version"], int)

    @pytest.mark.parametrize("name", ["method.toml", "scores.parquet", "signature.txt"])
    def test_missing_files(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        assert check_submission(folder) == [f"{name} is missing."]

    def test_scores_that_do_not_add_up(self, folder: Path) -> None:
        summary = json.loads((folder / "summary.json").read_text())
        better = json.loads(json.dumps(summary))
        better["metrics"]["mae"]["value"] *= 0.9
        better["metrics"]["mse"]["interval"][1] *= 0.9
        better["metrics"]["pearson"]["mean_baseline"] -= 0.1
        (folder / "summary.json").write_text(dumps(better))
        problems = "\n".join(check_submission(folder))
        for said in (
            "mae: value",
            "mse: interval",
            "pearson: mean_baseline",
            "evaluation_results",
        ):
            assert said in problems
        (folder / "summary.json").write_text(dumps({**summary, "n_scored": 27}))
        assert any("n_scored 27" in p for p in check_submission(folder))

    def test_verdicts_that_scores_do_not_give(self, folder: Path) -> None:
        summary = json.loads((folder / "summary.json").read_text())
        text = dumps(summary)
        changed = json.loads(text)
        undecided = next(n for n, m in summary["metrics"].items() if m["p_value"] is not None)
        changed["metrics"][undecided]["beats_baselines"] = not summary["metrics"][undecided][
            "beats_baselines"
        ]
        changed["metrics"]["mae"]["p_value"] = 0.9
        changed["metrics"]["mse"]["percent_change_from_mean"] += 10
        del changed["metrics"]["r2"]["difference_interval"]
        changed["verdict"]["better"] += 1
        changed["verdict"]["sentence"] = "It is the best of all."
        (folder / "summary.json").write_text(dumps(changed))
        problems = "\n".join(check_submission(folder))
        for said in (
            f"{undecided}: beats_baselines", "mae: p_value", "mse: percent_change_from_mean",
            "r2: summary.json does not say difference_interval", "verdict: better",
            "verdict: the sentence",
        ):  # fmt: skip
            assert said in problems
        del changed["verdict"]
        (folder / "summary.json").write_text(dumps(changed))
        assert "summary.json has no verdict." in check_submission(folder)

    def test_scores_that_were_changed(self, folder: Path) -> None:
        frame = pd.read_parquet(folder / "scores.parquet")
        frame.loc[frame["method"] == PREDICTIONS, "mae"] *= 0.5
        frame.to_parquet(folder / "scores.parquet")
        assert any(p.startswith("mae: value") for p in check_submission(folder))

    def test_the_method(self, folder: Path, runs: dict[str, Path]) -> None:
        for text, said in (
            ('name = "x"', "does not say version"),
            ("name =", "no TOML"),
            (About("x", "1", "here", "c").to_toml(), "no address"),
            (About(" ", "1", "https://a.b", "c").to_toml(), "name is empty"),
        ):
            (folder / "method.toml").write_text(text)
            assert any(said in p for p in check_submission(folder))
        (folder / "signature.txt").write_text("another")
        assert any("signature.txt" in p for p in check_submission(folder))
        with pytest.raises(UsageError, match="not described"):
            write_submission(runs["good"], folder, About("x", "", "https://a.b", "c"))
        hard = About('a "quoted" \\ name\n', "1é", "https://a.b", "c {dir} | x")
        (folder / "method.toml").write_text(hard.to_toml())
        assert not [p for p in check_submission(folder) if p.startswith("method.toml")]


class TestCommands:
    def test_compare(self, run: Any, runs: dict[str, Path], tmp_path: Path) -> None:
        paths = named(good=runs["good"], bad=runs["bad"])
        code, out, err = run("compare", *paths, "-o", tmp_path / "t.csv")
        assert (code, "#1" in out, "wrote" in err) == (0, True, True)
        code, out, _ = run("compare", *paths, "--json")
        assert code == 0
        assert {row["method"] for row in json.loads(out)} == {"good", "bad", "mean", "median"}
        other = altered(runs["bad"], tmp_path / "o", "fill:none", "fill:control")
        code, _, err = run("compare", runs["good"], other)
        assert code == 1
        assert "fill" in err
        assert run("compare", runs["good"], other, "--allow", "fill")[0] == 0
        code, out, _ = run("compare", *paths, "--json", "--draws", "300", "--draws-seed", "7")
        expected = compare(paths, draws=300, draws_seed=7)
        assert (code, [row["low"] for row in json.loads(out)]) == (0, expected["low"].tolist())
        assert expected["low"].tolist() != compare(paths, draws=300)["low"].tolist()
        code, _, err = run("compare", *paths, "--draws", "3")
        assert (code, "--draws" in err) == (2, True)
        with pytest.raises(UsageError, match="draws"):
            compare(paths, draws=3)
        code, _, err = run("compare", runs["good"], "--allow", "targetted")
        assert (code, "did you mean targeted" in err) == (2, True)

    def test_submission(self, run: Any, runs: dict[str, Path], tmp_path: Path) -> None:
        folder = tmp_path / "s"
        said = ("--name", "m", "--method-version", "1", "--method-command", "c")
        code, out, _ = run(
            "submission", runs["good"], "-o", folder, *said, "--link", "https://a.b"
        )
        assert code == 0
        assert "method.toml" in out
        assert run("compare", "--check", folder)[0] == 0
        (folder / "signature.txt").write_text("x")
        code, out, _ = run("compare", "--check", folder, "--json")
        assert (code, json.loads(out)["valid"]) == (1, False)
        for useless in ((runs["good"],), ("--draws", "300")):
            assert run("compare", "--check", folder, *useless)[0] == 2
