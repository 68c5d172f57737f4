"""Which rows of a predictions file are of which held-out observations, and which are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from quick_scores import quick_score as score

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.evaluators.scoring import PREDICTIONS
from pereggrn_data.loaders.files import parts_in_memory
from pereggrn_data.pipelines.score import ScoreReport
from pereggrn_data.pipelines.split import SplitDataset, split
from pereggrn_data.pipelines.validation import validate
from pereggrn_data.simulate.demo_dataset import demo_dataset

Names = Any


def numbered() -> anndata.AnnData:
    """Return the demo dataset with the names that AnnData gives by default."""
    adata = demo_dataset().adata.copy()
    adata.obs_names = [str(i) for i in range(adata.n_obs)]
    return adata


@pytest.fixture(scope="module")
def made() -> SplitDataset:
    return split(numbered())


@pytest.fixture(scope="module")
def double(made: SplitDataset) -> str:
    """A held-out perturbation of two genes."""
    return next(label for label in made.split.heldout_perturbations if "," in label)


def cells(made: SplitDataset, n: int = 7) -> pd.DataFrame:
    """Predict n cells per held-out perturbation; wide, without names."""
    rng = np.random.default_rng(0)
    labels = np.repeat(made.split.heldout_perturbations, n)
    base = np.asarray(made.train.X[made.train.obs["is_control"].to_numpy()]).mean(axis=0)
    x = np.clip(base + rng.normal(0, 0.3, (len(labels), len(base))), 0, None)
    frame = pd.DataFrame(x, columns=list(made.split.genes))
    frame.insert(0, "perturbation", labels)
    return frame


def as_adata(frame: pd.DataFrame) -> anndata.AnnData:
    obs = frame[["perturbation"]].set_axis(frame.index.astype(str))
    genes = frame.columns.drop("perturbation")
    return anndata.AnnData(frame[genes].to_numpy(), obs=obs, var=pd.DataFrame(index=genes))


def targets(report: ScoreReport) -> pd.DataFrame:
    frame = report.scores.targets
    return frame[frame["method"] == PREDICTIONS].reset_index(drop=True)


def assert_equal(a: ScoreReport, b: ScoreReport) -> None:
    pd.testing.assert_frame_equal(targets(a), targets(b), atol=1e-9)
    pd.testing.assert_frame_equal(a.scores.groups, b.scores.groups, atol=1e-9)
    assert a.signature == b.signature


def permuted(n: int) -> Names:
    return np.random.default_rng(1).permutation(n)


class TestNamesThatMeanNothing:
    @pytest.mark.parametrize(
        "names",
        [lambda n: np.arange(n), lambda n: np.arange(1, n + 1), permuted],
        ids=["as AnnData", "as R", "shuffled"],
    )
    def test_counts_are_no_names(self, made: SplitDataset, tmp_path: Path, names: Names) -> None:
        frame = cells(made)
        reference = score(as_adata(frame.set_axis([f"x{i}" for i in frame.index])), split=made)
        assert set(targets(reference)["predicted_by"]) == {"group"}
        counted = frame.set_axis(names(len(frame)))
        assert_equal(score(as_adata(counted), split=made), reference)
        counted.to_parquet(tmp_path / "p.parquet")
        counted.to_csv(tmp_path / "p.csv")
        for file in ("p.parquet", "p.csv"):
            assert_equal(score(tmp_path / file, split=made), reference)

    def test_controls_among_the_rows_change_nothing(self, made: SplitDataset) -> None:
        """Names are looked at before the predicted controls are left out."""
        frame = cells(made)
        control = frame.iloc[:3].assign(perturbation="control")
        both = pd.concat([control, frame]).reset_index(drop=True)
        assert_equal(score(as_adata(both), split=made), score(as_adata(frame), split=made))

    def test_names_of_all_test_observations_are_names(self, made: SplitDataset) -> None:
        template = made.template
        template.X[:] = cells(made).iloc[0, 1:].to_numpy(float)
        assert set(targets(score(template, split=made))["predicted_by"]) == {"observation"}
        few = template[~template.obs["perturbation"].duplicated()].copy()
        assert set(targets(score(few, split=made))["predicted_by"]) == {"group"}

    def test_a_name_with_another_label_is_an_error_with_counts(self, made: SplitDataset) -> None:
        template = made.template
        template.X[:] = cells(made).iloc[0, 1:].to_numpy(float)
        kept = template[~template.obs["perturbation"].duplicated()].copy()
        kept.obs["perturbation"] = kept.obs["perturbation"].to_numpy()[::-1].copy()
        n = kept.n_obs
        with pytest.raises(InvalidDataError, match="predictions-wrong-label") as caught:
            score(kept, split=made)
        assert f"another one in {n - n % 2} of the {n} rows" in str(caught.value)

    def test_baselines_are_predicted_by_group(self, made: SplitDataset) -> None:
        frame = score(cells(made), split=made).scores.targets
        assert set(frame.loc[frame["method"] != PREDICTIONS, "predicted_by"]) == {"group"}


class TestLabels:
    def test_order_of_genes(self, made: SplitDataset, double: str) -> None:
        frame = cells(made)
        reference = score(frame, split=made)
        swapped = ", ".join(reversed(double.split(",")))
        other = score(frame.replace({"perturbation": {double: swapped}}), split=made)
        assert_equal(other, reference)
        assert any(f"{swapped!r} as {double!r}" in w and "7 rows" in w for w in other.warnings)

    def test_another_separator_is_a_near_match(self, made: SplitDataset, double: str) -> None:
        plus = "+".join(reversed(double.lower().split(",")))
        frame = cells(made).replace({"perturbation": {double: plus}})
        with pytest.raises(InvalidDataError, match="unknown-perturbation") as caught:
            score(frame, split=made)
        assert f"{plus} / {double}" in str(caught.value)

    def test_training_perturbations_are_counted_and_left_out(self, made: SplitDataset) -> None:
        frame = cells(made)
        trained = next(x for x in made.train.obs["perturbation"].unique() if x != "control")
        more = pd.concat([frame, frame.iloc[:5].assign(perturbation=trained)], ignore_index=True)
        more["is_control"] = [False] * len(frame) + [True] * 2 + [False] * 3
        other = score(more, split=made)
        assert_equal(other, score(frame, split=made))
        assert any("predictions-not-held-out" in w and "5 of" in w for w in other.warnings)

    def test_validate_says_it_of_templates(self, made: SplitDataset) -> None:
        template = made.template
        template.X[:] = 1.0
        template.obs["is_control"] = [True] * 5 + [False] * (template.n_obs - 5)
        found = {f.code: f for f in validate(template).errors}
        assert found["predictions-marked-control"].n == 5
        assert "predictions-missing-perturbation" not in found


class TestMaskedValues:
    def masked(self, x: Any) -> Any:
        values = np.ma.masked_array(np.array(x), mask=np.zeros(np.shape(x), bool))
        values[:, :10] = np.ma.masked
        values.data[:, :10] = 0
        return values

    @pytest.mark.parametrize("view", [False, True])
    def test_predictions(self, made: SplitDataset, view: bool) -> None:
        adata = as_adata(cells(made))
        adata.X = self.masked(adata.X)
        adata = adata[:, :] if view else adata
        with pytest.raises(InvalidDataError, match="predictions-not-a-number") as caught:
            score(adata, split=made)
        assert f"{10 * adata.n_obs} NaN" in str(caught.value)

    def test_frames(self, made: SplitDataset) -> None:
        frame = cells(made)
        values = self.masked(frame.drop(columns="perturbation"))
        holes = pd.DataFrame(values, columns=frame.columns[1:])
        holes.insert(0, "perturbation", frame["perturbation"])
        with pytest.raises(InvalidDataError, match="predictions-not-a-number"):
            score(holes, split=made)

    @pytest.mark.parametrize("dtype", ["float32", "int64"])
    def test_datasets(self, dtype: str) -> None:
        adata = numbered()
        adata.X = self.masked(np.asarray(adata.X).astype(dtype))
        assert "X-not-finite" in {f.code for f in validate(adata).errors}
        assert parts_in_memory(adata, raw=False).x is not None
        with pytest.raises(InvalidDataError, match="X-not-finite"):
            split(adata)
