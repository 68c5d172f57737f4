"""Results of one verb are what the next one takes; scores say of which file they are."""

from __future__ import annotations

import inspect
import json
import shutil
import typing
from pathlib import Path
from typing import Any

import anndata
import pandas as pd
import pytest
from quick_scores import quick_score as score

import pereggrn_data
from pereggrn_data import SplitOptions, check_split, load, predict, split, validate
from pereggrn_data.cli.evaluate import evaluate_app
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.loaders.files.datasets import read_dataset
from pereggrn_data.pipelines.predict import PredictedExpression
from pereggrn_data.pipelines.score import ScoreReport
from pereggrn_data.pipelines.split import SplitDataset


@pytest.fixture(scope="module")
def made() -> SplitDataset:
    """Of data in memory, which no file names."""
    return split(load("demo"), num_genes=40)


@pytest.fixture(scope="module")
def table(made: SplitDataset) -> pd.DataFrame:
    """One row of predictions per perturbation."""
    frame = pd.DataFrame(1.0, made.template.obs_names, made.template.var_names)
    return frame.groupby(made.template.obs["perturbation"].astype(str), sort=False).mean()


@pytest.mark.parametrize(
    ("change", "way_on"),
    [
        (lambda t: t.rename_axis("condition").reset_index(), "rename 'condition'"),
        (lambda t: t.rename_axis("Perturbation").reset_index(), "rename 'Perturbation'"),
        (lambda t: t.rename_axis(None), "are the labels, call their column 'perturbation'"),
        (lambda t: t.rename_axis(None).T, "if they are genes, transpose the table"),
        (
            lambda t: t.reset_index().melt("perturbation", var_name="gene", value_name="x"),
            "frame.pivot(index='perturbation', columns='gene', values='x')",
        ),
    ],
    ids=["condition", "case", "row names", "genes in rows", "long"],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_tables_of_other_shapes_are_told_the_way(
    change: Any,
    way_on: str,
    in_file: bool,
    made: SplitDataset,
    table: pd.DataFrame,
    tmp_path: Path,
) -> None:
    given: Any = change(table)
    if in_file:
        given.to_csv(tmp_path / "p.csv", index=not isinstance(given.index, pd.RangeIndex))
        given = tmp_path / "p.csv"
    with pytest.raises(InvalidDataError) as refused:
        score(given, split=made)
    assert way_on in str(refused.value.fix)


@pytest.fixture(scope="module")
def predicted(made: SplitDataset) -> PredictedExpression:
    return predict(split=made, model="median")


def values(report: ScoreReport) -> dict[str, Any]:
    return {name: m.value for name, m in report.metrics.items()}


class TestTogether:
    def test_score_of_predict(self, made: SplitDataset, predicted: PredictedExpression) -> None:
        report = score(predicted)
        assert report.name == "median"
        assert report.file is None
        for again in (
            score(predicted.adata, split=made),
            score(predicted.adata, dataset=made),
            score(predicted, dataset=made.dataset),
            score(predicted.to_pandas(), split=made),
        ):
            assert values(again) == pytest.approx(values(report), nan_ok=True)
            assert again.signature == report.signature

    def test_predict_of_split(self, made: SplitDataset, predicted: PredictedExpression) -> None:
        again = predict(made, "median")
        pd.testing.assert_frame_equal(again.to_pandas(), predicted.to_pandas())
        other = predict(made, "median", split_options=SplitOptions(seed=1, num_genes=40))
        assert other.split.seed == 1

    def test_score_of_a_template_says_that_it_is_empty(self, made: SplitDataset) -> None:
        with pytest.raises(InvalidDataError, match="predictions-not-filled-in"):
            score(made.template, split=made)

    def test_split_of_split(self, made: SplitDataset) -> None:
        assert split(made, num_genes=40).split.is_same_as(made.split)
        assert check_split(made).valid
        assert check_split(made.split, made.dataset).valid

    def test_validate_of_everything(
        self, made: SplitDataset, predicted: PredictedExpression
    ) -> None:
        assert validate(made.dataset).kind == "dataset"
        assert validate(made).valid
        for result in (predicted, predicted.adata, predicted.to_pandas()):
            report = validate(result)
            assert report.kind == "predictions"
            assert report.valid
        with pytest.raises(UsageError, match="cannot be validated"):
            validate(3)  # type: ignore[arg-type]

    def test_what_verbs_return_is_public(self) -> None:
        for verb in ("split", "check_split", "predict", "score", "validate", "open_network"):
            returned = inspect.signature(getattr(pereggrn_data, verb)).return_annotation
            assert returned in pereggrn_data.__all__, verb
        parts = {**typing.get_type_hints(ScoreReport), **typing.get_type_hints(SplitDataset)}
        for kind in (parts["scores"], parts["dataset"], parts["split"]):
            assert getattr(pereggrn_data, kind.__name__) is kind
        for name in pereggrn_data.__all__:
            assert getattr(pereggrn_data, name) is not None


@pytest.fixture
def on_disk(tmp_path: Path, made: SplitDataset) -> Path:
    """A folder with a dataset and, beside it, its task."""
    made.dataset.adata.write_h5ad(tmp_path / "study.h5ad")
    return tmp_path


def filled(folder: Path, name: str = "pred.h5ad") -> Path:
    template = anndata.read_h5ad(folder / "predictions_template.h5ad")
    template.X[:] = 1.5
    template.X[:, ::2] = 0.5
    template.write_h5ad(folder / name)
    return folder / name


class TestWhereTheDatasetIs:
    def task(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(folder)
        made = split("study.h5ad", num_genes=40)
        made.write(folder / "task")
        return filled(folder / "task")

    def test_from_another_folder(self, on_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = self.task(on_disk, monkeypatch)
        (on_disk / "elsewhere").mkdir()
        monkeypatch.chdir(on_disk / "elsewhere")
        says = json.loads(anndata.read_h5ad(file).uns["pereggrn"])["dataset"]
        assert says["path"] == "study.h5ad"
        assert says["absolute_path"] == str(on_disk / "study.h5ad")
        assert score(file, check_scale=False).dataset == "study"

    @pytest.mark.parametrize("beside", ["task", "."])
    def test_moved_along(
        self, on_disk: Path, monkeypatch: pytest.MonkeyPatch, beside: str
    ) -> None:
        file = self.task(on_disk, monkeypatch)
        moved = on_disk / "moved"
        shutil.copytree(on_disk / "task", moved / "task")
        shutil.move(on_disk / "study.h5ad", moved / beside / "study.h5ad")
        monkeypatch.chdir("/")
        assert score(moved / "task" / file.name, check_scale=False).dataset == "study"

    def test_only_with_its_hash(self, on_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = self.task(on_disk, monkeypatch)
        other = read_dataset(on_disk / "study.h5ad").adata
        other.X = other.X * 0.5
        other.write_h5ad(on_disk / "study.h5ad")
        monkeypatch.chdir("/")
        with pytest.raises(UsageError, match="is not here") as caught:
            score(file)
        assert f"{on_disk / 'study.h5ad'}, which is not the promised file" in str(caught.value)


class TestWhatScoresSayOfThemselves:
    def test_equal_predictions_of_every_kind(self, on_disk: Path) -> None:
        study = split(on_disk / "study.h5ad", num_genes=40)
        study.write(on_disk / "task")
        h5ad = filled(on_disk / "task")
        template = anndata.read_h5ad(h5ad)
        once = template.to_df().assign(perturbation=list(template.obs["perturbation"]))
        once = once.drop_duplicates("perturbation").reset_index(drop=True)
        once.to_csv(on_disk / "task" / "pred.csv", index=False)
        once.to_parquet(on_disk / "task" / "pred.parquet")
        reference = score(h5ad, check_scale=False)
        for ending in ("csv", "parquet"):
            report = score(h5ad.with_suffix(f".{ending}"), split=study, check_scale=False)
            assert report.signature == reference.signature
            assert values(report) == pytest.approx(values(reference), nan_ok=True)
            assert report.scores.groups["perturbation"].equals(
                reference.scores.groups["perturbation"]
            )

    def test_names_in_summary_and_tables(
        self, predicted: PredictedExpression, made: SplitDataset, tmp_path: Path
    ) -> None:
        file = predicted.write(tmp_path / "a.h5ad")
        report = score(file, split=made)
        report.write(tmp_path / "out")
        says = json.loads((tmp_path / "out" / "summary.json").read_text())
        assert says["name"] == "median"
        assert says["file"] == str(file)
        assert says["targets_by"] == "observation"
        from pereggrn_data.loaders.files.any_file import sha256_of_file

        assert says["file_checksum"] == f"sha256:{sha256_of_file(file)}"
        table = pd.read_csv(tmp_path / "out" / "scores.csv")
        assert set(table["file"]) == {str(file)}
        named = dict(zip(table["method"], table["name"], strict=True))
        assert named == {"predictions": "median", "mean": "mean", "median": "median"}
        assert score(file, split=made, name="mine").to_dict()["name"] == "mine"
        frame = predicted.to_pandas()
        frame.to_csv(tmp_path / "b.csv")
        assert score(tmp_path / "b.csv", split=made).name == "b"
        assert score(frame, split=made).name == "predictions"

    def test_scores_of_another_file_are_not_replaced_without_a_word(
        self, predicted: PredictedExpression, made: SplitDataset, tmp_path: Path
    ) -> None:
        file = predicted.write(tmp_path / "a.h5ad")
        report = score(file, split=made)
        report.write(tmp_path / "out")
        report.write(tmp_path / "out")  # of the same file
        predicted.to_pandas().to_csv(tmp_path / "b.csv")
        other = score(tmp_path / "b.csv", split=made)
        with pytest.warns(UserWarning, match=r"a\.h5ad; they are replaced"):
            other.write(tmp_path / "out")
        with pytest.warns(UserWarning, match=r"b\.csv; they are replaced"):
            score(predicted).write(tmp_path / "out")
        # Without checksums, nothing says that two are the same.
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "summary.json").write_text('{"file": "c.h5ad"}')
        with pytest.warns(UserWarning, match=r"c\.h5ad; they are replaced"):
            score(predicted).write(tmp_path / "old")

    def test_on_the_command_line(self, on_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from typer.testing import CliRunner

        study = split(on_disk / "study.h5ad", num_genes=40)
        study.write(on_disk)
        monkeypatch.chdir(on_disk)
        a, b = filled(on_disk).name, filled(on_disk, "b.h5ad").name
        anndata.read_h5ad(b).to_df().mul(1.01).assign(
            perturbation=list(study.template.obs["perturbation"])
        ).to_csv("pred.csv")
        run = CliRunner()
        options = ["--dataset", "study.h5ad", "--split", "split.json", "--no-scale-check"]
        for file in (a, "pred.csv"):
            assert run.invoke(evaluate_app.app, ["score", file, *options]).exit_code == 0
        assert Path(f"{a}_scores/summary.json").exists()
        assert Path("pred.csv_scores/summary.json").exists()
        again = run.invoke(
            evaluate_app.app, ["score", "pred.csv", *options, "-o", f"{a}_scores", "--name", "x"]
        )
        assert again.exit_code == 0
        assert f"held scores of {a}" in again.output
        assert json.loads(Path(f"{a}_scores/summary.json").read_text())["name"] == "x"
