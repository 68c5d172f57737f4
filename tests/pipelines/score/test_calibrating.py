"""Calibrations: made once, kept, read only for what they were made for, and shown in scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pereggrn_data.core.errors import InvalidDataError, MissingFileError, UsageError
from pereggrn_data.pipelines.score import calibrating
from pereggrn_data.pipelines.score.calibrating import calibrate
from pereggrn_data.pipelines.score.calibration_file import read_calibration
from pereggrn_data.pipelines.score.score_predictions import score
from pereggrn_data.pipelines.split.split_dataset import SplitDataset
from pereggrn_data.pipelines.split.splitting import split


@pytest.fixture(scope="module")
def made() -> SplitDataset:
    return split("demo")


@pytest.fixture
def filled(made: SplitDataset) -> Any:
    template = made.template
    rng = np.random.default_rng(0)
    template.X[:] = 2 + rng.normal(scale=0.1, size=template.shape)
    return template


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PEREGGRN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often a task is really calibrated."""
    times: list[int] = []
    really = calibrating.calibrate_task

    def count(*args: Any, **more: Any) -> Any:
        times.append(1)
        return really(*args, **more)

    monkeypatch.setattr(calibrating, "calibrate_task", count)
    return times


@pytest.mark.usefixtures("own_cache")
def test_it_is_made_once(made: SplitDataset, filled: Any, counted: list[int]) -> None:
    first = score(filled)
    assert len(counted) == 1
    assert not any("too few for Holm" in w for w in first.warnings)
    again = score(filled)
    assert len(counted) == 1
    assert again.to_dict() == first.to_dict()
    calibrate(made)
    assert len(counted) == 1
    calibrate(made, use_cache=False)
    assert len(counted) == 2
    # Another rule for targeted genes is another calibration.
    score(filled, targeted_genes="exclude")
    assert len(counted) == 3
    without = score(filled, calibrate=False)
    assert without.metrics["mse"].ceiling.discriminates is None
    # What is null has a reason, here too.
    assert "no duplicate of the experiment was scored" in (without.metrics["mse"].reason or "")
    assert "All metrics: no duplicate of the experiment was scored." in without.reasons()
    assert len(counted) == 3


@pytest.mark.usefixtures("own_cache")
def test_every_interval_is_of_as_many_draws_as_asked_for(
    made: SplitDataset, filled: Any, counted: list[int]
) -> None:
    usual, again = score(filled), score(filled)
    few, other = score(filled, draws=200), score(filled, draws_seed=1)
    assert len(counted) == 1
    scaled = [r.metrics["mae"].ceiling.scaled_interval for r in (usual, again, few, other)]
    assert scaled[0] == scaled[1]
    assert len({*scaled}) == 3
    values = {r.metrics["mae"].ceiling.scaled for r in (usual, few, other)}
    assert len(values) == 1
    drawn = calibrate(made, draws=200).calibration
    assert len(counted) == 1
    assert (drawn.label_draws, drawn.resampling.draws, drawn.resampling.seed) == (200, 200, 0)
    assert drawn.discriminates.keys() == calibrate(made).calibration.discriminates.keys()


def test_what_is_kept_and_broken_is_made_anew(
    made: SplitDataset, own_cache: Path, counted: list[int]
) -> None:
    calibrate(made)
    (kept,) = (own_cache / "calibrations").iterdir()
    kept.write_text("{", "utf-8")
    calibrate(made)
    assert len(counted) == 2
    assert json.loads(kept.read_text("utf-8"))["dataset"] == "demo"


def test_a_cache_that_cannot_be_written_is_said(
    made: SplitDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("no folder", "utf-8")
    monkeypatch.setenv("PEREGGRN_CACHE", str(file))
    assert any("not kept" in said for said in calibrate(made).remarks)


def test_written_and_read_again(made: SplitDataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="number of draws"):
        calibrate(made, draws=3)
    report = calibrate(made, draws=300, draws_seed=7)
    (file,) = report.write(tmp_path)
    for path in (file, tmp_path):
        again = read_calibration(path)
        assert again.key == report.key
        assert (again.calibration.label_draws, again.calibration.label_seed) == (300, 7)
        assert again.calibration.summaries() == report.calibration.summaries()
        np.testing.assert_array_equal(
            again.calibration.frame()["value"], report.calibration.frame()["value"]
        )
    assert "one half of the replicates of demo" in report.sentence()
    assert len(report.rows()[0]) == len(report.headings)


@pytest.mark.usefixtures("own_cache")
def test_a_file_is_taken_only_where_it_belongs(
    made: SplitDataset, filled: Any, tmp_path: Path, counted: list[int]
) -> None:
    calibrate(made, use_cache=False).write(tmp_path)
    with_file = score(filled, calibration=tmp_path / "calibration.json")
    assert len(counted) == 1
    assert with_file.metrics["mse"].ceiling.duplicate is not None
    with pytest.raises(UsageError, match="something else than what is scored"):
        score(filled, calibration=tmp_path, targeted_genes="exclude")
    with pytest.raises(MissingFileError):
        score(filled, calibration=tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "something"},
        {"values": {"mean": {"mse": [1.0]}}},
        {"signature": "other"},
        {"groups": None},
        {"values": [1]},
    ],
)
def test_what_is_no_calibration_is_refused(
    made: SplitDataset, tmp_path: Path, change: dict[str, Any]
) -> None:
    (file,) = calibrate(made).write(tmp_path)
    values = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(values | change), "utf-8")
    with pytest.raises(InvalidDataError, match="is no calibration"):
        read_calibration(file)
    file.write_text("[1, 2", "utf-8")
    with pytest.raises(InvalidDataError, match="is not JSON"):
        read_calibration(file)


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("change", ["fewer", "another order", "no weights"])
def test_groups_that_were_changed_are_refused(
    made: SplitDataset, filled: Any, own_cache: Path, tmp_path: Path, change: str
) -> None:
    """Values are taken by position, and the key does not tell of them."""
    (file,) = calibrate(made).write(tmp_path)
    values = json.loads(file.read_text("utf-8"))
    if change == "no weights":
        del values["groups"]["n_observations"]
    elif change == "another order":
        values["groups"]["perturbation"].reverse()
    else:
        values["groups"] = {c: v[:9] for c, v in values["groups"].items()}
        for of_method in values["values"].values():
            of_method.update({m: v[:9] for m, v in of_method.items()})
        values["duplicate_draws"] = {
            m: [row[:9] for row in rows] for m, rows in values["duplicate_draws"].items()
        }
    file.write_text(json.dumps(values), "utf-8")
    with pytest.raises(InvalidDataError, match=r"changed since|do not say"):
        score(filled, calibration=file)
    # One that is kept is made anew.
    (kept,) = (own_cache / "calibrations").iterdir()
    kept.write_text(json.dumps(values), "utf-8")
    report = score(filled, draws=200)
    assert report.metrics["mse"].ceiling.duplicate is not None
    # So few draws cannot give a p-value that a correction leaves.
    assert any("too few for Holm" in w for w in report.warnings)
    assert json.loads(kept.read_text("utf-8")) != values


def test_scores_say_how_far_a_duplicate_is(made: SplitDataset) -> None:
    """The truth is above a duplicate, the training mean is 0, by every metric that can tell."""
    template = made.template
    template.X[:] = np.asarray(made.held_out_expression)
    ceilings = {n: m.ceiling for n, m in score(template).metrics.items()}
    able = {n: c for n, c in ceilings.items() if c.discriminates}
    assert able
    for name, ceiling in able.items():
        assert ceiling.scaled is not None, name
        assert ceiling.scaled > 0, name
        assert ceiling.scaled_interval is not None, name
    assert all(c.scaled is None for c in ceilings.values() if not c.discriminates)


class TestSharedGenes:
    def test_scores_are_of_the_genes_that_both_have(self, made: SplitDataset, filled: Any) -> None:
        part = filled[:, ::2].copy()
        with pytest.raises(InvalidDataError):
            score(part, calibrate=False)
        report = score(part, genes="intersection", calibrate=False)
        n, all_of_them = part.n_vars, filled.n_vars
        assert f"|genes:{n}/{all_of_them}:" in report.signature
        assert set(report.scores.targets["gene"]) == set(part.var_names)
        assert any(f"{n} of {all_of_them} genes are scored" in w for w in report.warnings)
        # Other genes that the model has do not matter.
        more = filled[:, ::2].copy()
        wide = more.to_df().assign(another=1.0)
        wide.insert(0, "perturbation", list(more.obs["perturbation"]))
        wide.insert(0, "perturbation_type", list(more.obs["perturbation_type"]))
        again = score(wide, split=made, genes="intersection", calibrate=False)
        assert again.signature == report.signature
        assert again.metrics["mae"].value == pytest.approx(report.metrics["mae"].value)

    def test_with_all_genes_it_changes_nothing(self, filled: Any) -> None:
        both = score(filled), score(filled, genes="intersection")
        assert both[0].signature == both[1].signature

    def test_no_gene_is_an_error(self, made: SplitDataset, filled: Any) -> None:
        other = filled.copy()
        other.var_names = [f"no{i}" for i in range(other.n_vars)]
        with pytest.raises(InvalidDataError, match="none of the genes"):
            score(other, split=made, genes="intersection")
