"""The files of a split, and of a score, appear together, and are refused where they do not fit."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import anndata
import numpy as np
import pytest
from quick_scores import quick_score as score

from pereggrn_data.core.errors import IntegrityError
from pereggrn_data.loaders.files.any_file import sha256_of_file, write_text, written_together
from pereggrn_data.pipelines.predict import predict
from pereggrn_data.pipelines.split import SplitDataset, check_split, split
from pereggrn_data.pipelines.split import split_dataset as writing

PARTS = ("train.h5ad", "test_perturbations.csv", "predictions_template.h5ad")


@pytest.fixture(scope="module")
def splits() -> tuple[SplitDataset, SplitDataset]:
    return split("demo", seed=0), split("demo", seed=1)


def content(folder: Path) -> dict[str, str]:
    return {file.name: sha256_of_file(file) for file in folder.iterdir() if file.is_file()}


def test_the_manifest_names_the_others(
    splits: tuple[SplitDataset, SplitDataset], tmp_path: Path
) -> None:
    first, _ = splits
    first.write(tmp_path)
    said = json.loads((tmp_path / "split.json").read_text())["files"]
    assert said == {name: {"sha256": sha256_of_file(tmp_path / name)} for name in PARTS}
    train = anndata.read_h5ad(tmp_path / "train.h5ad")
    assert train.uns["pereggrn_split_sha256"] == first.split.digest()
    assert first.split.digest() != splits[1].split.digest()


@pytest.mark.parametrize("fails_at", ["write_h5ad", "write_text", "write_unfilled_h5ad"])
def test_an_interrupted_second_split_changes_nothing(
    splits: tuple[SplitDataset, SplitDataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails_at: str,
) -> None:
    splits[0].write(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    before = content(tmp_path)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, fails_at, interrupt)
    with pytest.raises(KeyboardInterrupt):
        splits[1].write(tmp_path)
    assert content(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == len(before)


def test_killed_while_the_files_are_moved_there_is_no_manifest(
    splits: tuple[SplitDataset, SplitDataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits[0].write(tmp_path)
    moved: list[Path] = []
    real = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if Path(target).parent == tmp_path and moved:
            raise KeyboardInterrupt
        moved.extend([target] if Path(target).parent == tmp_path else [])
        return real(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        splits[1].write(tmp_path)
    assert not (tmp_path / "split.json").exists()


@pytest.mark.parametrize("part", ["train.h5ad", "test_perturbations.csv"])
def test_parts_of_another_split_are_refused(
    splits: tuple[SplitDataset, SplitDataset], tmp_path: Path, part: str
) -> None:
    splits[0].write(tmp_path / "a")
    splits[1].write(tmp_path / "b")
    check_split(tmp_path / "a")
    shutil.copy(tmp_path / "b" / part, tmp_path / "a" / part)
    for use in (
        lambda: check_split(tmp_path / "a"),
        lambda: predict("demo", "mean", split=tmp_path / "a"),
        lambda: score(splits[0].template, split=tmp_path / "a"),
    ):
        with pytest.raises(IntegrityError, match=part):
            use()


def test_a_template_that_was_filled_in_still_belongs_to_its_split(
    splits: tuple[SplitDataset, SplitDataset], tmp_path: Path
) -> None:
    splits[0].write(tmp_path / "a")
    splits[1].write(tmp_path / "b")
    template = tmp_path / "a" / "predictions_template.h5ad"
    filled = anndata.read_h5ad(template)
    filled.X = np.ones(filled.shape)
    filled.write_h5ad(template)
    check_split(tmp_path / "a")
    shutil.copy(tmp_path / "b" / template.name, template)
    with pytest.raises(IntegrityError, match="predictions_template"):
        check_split(tmp_path / "a")


def test_predictions_beside_the_training_data_of_another_split_are_not_scored(
    splits: tuple[SplitDataset, SplitDataset], tmp_path: Path
) -> None:
    """What a killed second split can leave: new training data, and the old template."""
    splits[0].write(tmp_path)
    filled = splits[0].template
    filled.X = np.ones(filled.shape)
    filled.write_h5ad(tmp_path / "mine.h5ad")
    score(tmp_path / "mine.h5ad", check_scale=False)
    splits[1].write(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "train.h5ad", tmp_path / "train.h5ad")
    with pytest.raises(IntegrityError, match="training part of another split"):
        score(tmp_path / "mine.h5ad", check_scale=False)


def test_files_of_an_earlier_run_go_with_their_manifest_and_no_others(tmp_path: Path) -> None:
    from pereggrn_data.loaders.files.any_file.writing import with_parts

    def write(*names: str) -> None:
        with written_together(tmp_path, "all.json", optional=("extra.txt",)) as place:
            for name in names:
                write_text(name, place / name)
            write_text(json.dumps(with_parts({}, place.iterdir())), place / "all.json")

    write("a.txt", "extra.txt")
    write("a.txt")
    assert set(content(tmp_path)) == {"a.txt", "all.json"}
    write("a.txt", "extra.txt")
    (tmp_path / "extra.txt").write_text("changed by hand")
    write("a.txt")
    assert set(content(tmp_path)) == {"a.txt", "all.json", "extra.txt"}


def test_what_killed_runs_left_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    left, linked, other = (tmp_path / f".x.txt.{n}.part" for n in ("abcd1234", "link1234", "x"))
    left.mkdir()
    other.mkdir()
    (left / "x.txt").write_text("half")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    linked.symlink_to(elsewhere)
    os.utime(left, (0, 0))
    with written_together(tmp_path, "x.txt") as place:
        os.utime(place, (0, 0))
        write_text("whole", tmp_path / "x.txt")  # finds the folder in use
        assert place.is_dir()
        write_text("whole", place / "x.txt")
    assert not left.exists()
    assert elsewhere.is_dir()
    assert other.is_dir()
    assert (tmp_path / "x.txt").read_text() == "whole"


def test_the_files_of_a_score_appear_together(
    splits: tuple[SplitDataset, SplitDataset], tmp_path: Path
) -> None:
    report = score(predict(splits[0], "mean"))
    report.write(tmp_path)
    said = json.loads((tmp_path / "summary.json").read_text())["files"]
    assert set(said) == {"scores.parquet", "scores.csv", "targets.parquet", "effects.parquet"}
    assert all(sha256_of_file(tmp_path / n) == f["sha256"] for n, f in said.items())
