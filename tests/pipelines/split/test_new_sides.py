"""Folds, a validation side, transfer between cell types and labels of combinations, as files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from quick_scores import quick_score

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.splits import Split
from pereggrn_data.evaluators import Contexts, make_task
from pereggrn_data.loaders.files import read_split
from pereggrn_data.loaders.files.datasets import Dataset
from pereggrn_data.pipelines.predict import predict
from pereggrn_data.pipelines.split import SplitDataset, check_split, split, split_folds
from pereggrn_data.validators import CAN_INSIST

GENES = ["A", "B", "C", "D", "E"]


def dataset(labels: list[str], cell_types: str | None = None, seed: int = 0) -> anndata.AnnData:
    """Return random expression of five genes, perturbed ones at 0."""
    rng = np.random.default_rng(seed)
    control = np.array([label == "ctrl" for label in labels])
    x = rng.uniform(1, 3, (len(labels), len(GENES))).astype(np.float32)
    levels = []
    for i, label in enumerate(labels):
        hit = [] if control[i] else [g for g in label.split(",") if g in GENES]
        x[i, [GENES.index(g) for g in hit]] = 0
        levels.append(",".join("0" for _ in label.split(",")) if hit else "nan")
    import pandas as pd

    obs = pd.DataFrame(
        {
            "perturbation": labels,
            "is_control": control,
            "perturbation_type": "knockout",
            "expression_level_after_perturbation": levels,
        },
        index=[f"cell{i}" for i in range(len(labels))],
    )
    if cell_types is not None:
        obs["cell_type"] = list(cell_types)
    hit = sorted({g for label in labels for g in label.split(",") if g in GENES})
    adata = anndata.AnnData(
        X=x,
        obs=obs,
        var=pd.DataFrame({"highly_variable_rank": np.arange(5.0)}, index=GENES),
        uns={
            "perturbed_and_measured_genes": np.array(hit, dtype=object),
            "perturbed_but_not_measured_genes": np.array([], dtype=object),
        },
    )
    adata.raw = adata.copy()
    return adata


def opened(adata: anndata.AnnData) -> Dataset:
    return Dataset("small", None, "0" * 64, adata)


SINGLES = ["ctrl", "ctrl", *"AABBCCDD", "A,B", "C,E", "C,E"]


class TestFolds:
    def test_written_as_normal_splits(self, tmp_path: Path) -> None:
        data = opened(dataset(SINGLES))
        folds = split_folds(data, folds=3, seed=2, num_genes=5)
        files = folds.write(tmp_path)
        assert len(files) == 12
        held = []
        for k, fold in enumerate(folds):
            read = read_split(tmp_path / f"fold_{k}")
            assert read == fold.split == split(data, "k_fold", folds=3, fold=k, seed=2,
                                               num_genes=5).split  # fmt: skip
            assert read.rules.fold == k
            assert check_split(tmp_path / f"fold_{k}" / "split.json", data).valid
            held += read.heldout_perturbations
        assert sorted(held) == sorted(set(SINGLES) - {"ctrl"})

    def test_says_what_it_needs(self) -> None:
        data = opened(dataset(SINGLES))
        with pytest.raises(UsageError, match="which fold"):
            split(data, "k_fold")
        with pytest.raises(UsageError, match="no fold 5"):
            split(data, "k_fold", fold=5)
        with pytest.raises(UsageError, match="All folds are made at once"):
            split_folds(data, options=pereggrn_data.SplitOptions(type="k_fold", fold=0))
        with pytest.raises(UsageError, match="means nothing"):
            split(data, "simple", fold=1)

    def test_a_fold_without_its_number_breaks_a_promise(self) -> None:
        data = opened(dataset(SINGLES))
        made = split(data, "k_fold", folds=3, fold=1).split
        plain = made.to_dict()
        del plain["rules"]
        codes = [f.code for f in check_split(Split.from_dict(plain), data).findings]
        assert codes == ["split-fold"]


class TestValidation:
    @pytest.mark.parametrize("kind", ["interventional", "stratified", "genetic_interaction"])
    def test_the_test_side_stays_and_the_file_is_part_of_the_folder(
        self, kind: str, tmp_path: Path
    ) -> None:
        data = opened(dataset([*SINGLES, *"ABCD", "ctrl"]))
        options: dict[str, Any] = {"seed": 1, "insist": CAN_INSIST}
        without = split(data, kind, **options)
        made = split(data, kind, validation_fraction=0.4, **options)
        assert made.split.test_observations == without.split.test_observations
        assert made.validation is not None
        assert without.validation is None
        names = set(made.validation.obs_names)
        assert names
        assert names | set(made.train.obs_names) == set(without.train.obs_names)
        assert not names & set(made.train.obs_names)
        files = made.write(tmp_path)
        assert files[-1].name == "validation.h5ad"
        assert "validation.h5ad" in json.loads((tmp_path / "split.json").read_text())["files"]
        read = anndata.read_h5ad(files[-1])
        np.testing.assert_array_equal(read.X, made.validation.X)
        assert read_split(tmp_path) == made.split
        assert made.split.digest() != without.split.digest()
        # A split without it takes the place of both.
        without.write(tmp_path)
        assert not (tmp_path / "validation.h5ad").exists()

    def test_signatures_differ(self) -> None:
        made = [split("demo", num_genes=30, validation_fraction=f) for f in (0.0, 0.3)]
        reports = [quick_score(predict(m, "mean"), calibrate=False) for m in made]
        parts = [set(r.signature.split("|")) for r in reports]
        assert [p.split(":")[0] for p in parts[1] - parts[0]] == ["train"]

    def test_nothing_to_spare(self) -> None:
        data = opened(dataset(["ctrl", "ctrl", "A", "B", "C"]))
        with pytest.raises(InvalidDataError, match="No perturbation can be set aside"):
            split(data, validation_fraction=0.5, heldout_fraction=0.7)
        with pytest.raises(InvalidDataError, match="No observation can be set aside"):
            split(data, "simple", validation_fraction=0.5, seed=1)
        with pytest.raises(UsageError, match="out of range"):
            split(data, validation_fraction=1.0)

    def test_what_is_moved_into_it_is_found(self) -> None:
        data = opened(dataset([*SINGLES, "D"]))
        made = split(data, validation_fraction=0.3, heldout_fraction=0.4, seed=3).split
        values = made.to_dict()
        values["validation_observations"] = [*made.validation_observations, "cell0"]
        found = {f.code for f in check_split(Split.from_dict(values), data).findings}
        assert {"split-validation", "split-heldout-control"} <= found


TYPES = "kklklkllkkllkk"
CELLS = ["ctrl", "ctrl", "ctrl", *"AABBCCAA", "ctrl", "B", "D"]


class TestCellType:
    def test_baselines_are_of_the_cell_type(self) -> None:
        """Controls of the type are the mean, and effects elsewhere are carried over to them."""
        adata = dataset(CELLS, TYPES)
        made = split(opened(adata), "cell_type", cell_type="k", insist=CAN_INSIST)
        x, kinds = np.asarray(adata.X, float), np.array(list(TYPES))
        labels = np.array(CELLS)

        def mean(label: str, kind: str) -> Any:
            return x[(labels == label) & (kinds == kind)].mean(axis=0)

        task = make_task(made.prepared.adata, made.split)
        assert list(task.groups["perturbation"]) == ["A", "B", "C", "D"]
        for k, label in enumerate("ABCD"):
            control = mean("ctrl", "k")
            np.testing.assert_allclose(task.reference()[k], control)
            np.testing.assert_allclose(task.baselines["mean"][k], control)
            if label == "D":
                assert np.isnan(task.baselines["transferred"][k]).all()
            else:
                expected = control + mean(label, "l") - mean("ctrl", "l")
                np.testing.assert_allclose(task.baselines["transferred"][k], expected)
        assert "no value for 1 of 4 groups" in task.notes[0]
        assert "D" in made.warnings[-1]

    def test_forecasts_start_from_its_controls_and_are_scored(self) -> None:
        made = split(
            opened(dataset(CELLS * 3, TYPES * 3, seed=4)), "cell_type", cell_type="k",
            insist=CAN_INSIST,
        )  # fmt: skip
        forecast = predict(made, "RidgeCV")
        report = quick_score(forecast)
        assert report.n_scored == report.n_expected == 4
        assert set(report.metrics["mae"].baselines) == {"mean", "median", "transferred"}
        columns = Contexts(made.test_perturbations, np.zeros(1, int), 1, ["cell_type"]).columns
        assert columns == ("cell_type",)

    def test_the_same_observations_with_other_controls_are_another_task(self) -> None:
        """Else scores would compare that do not, and share one kept calibration."""
        data = opened(dataset(CELLS * 3, TYPES * 3, seed=4))
        own = split(data, "cell_type", cell_type="k", insist=CAN_INSIST)
        other = SplitDataset(data, replace(own.split, type="custom"))
        signatures = [
            pereggrn_data.calibrate(made, use_cache=False).signature for made in (own, other)
        ]
        assert signatures[0] != signatures[1]
        assert "|controls:cell_type|" in signatures[0]

    def test_averages_keep_cell_types_only_if_told(self) -> None:
        data = opened(dataset(CELLS, TYPES))
        options: dict[str, Any] = {"cell_type": "k", "merge_replicates": True,
                                   "insist": CAN_INSIST}  # fmt: skip
        with pytest.raises(InvalidDataError, match="--keep-apart cell_type"):
            split(data, "cell_type", **options)
        made = split(data, "cell_type", keep_apart="cell_type", **options)
        assert sorted(made.split.test_observations) == ["A/k", "B/k", "C/k", "D"]


class TestSeen:
    def test_written_checked_and_the_strata_of_scores(self, tmp_path: Path) -> None:
        data = opened(dataset(["ctrl", "ctrl", "A", "A", "B", "A,B", "A,D", "D,E", "C"]))
        made = split(data, "genetic_interaction")
        assert dict(made.split.seen) == {"A,B": "seen2", "A,D": "seen1", "D,E": "seen0"}
        made.write(tmp_path)
        written = json.loads((tmp_path / "split.json").read_text())
        assert written["seen"] == dict(made.split.seen)
        report = quick_score(predict(made, "mean"))
        strata = {s["stratum"] for s in report.strata if s["by"] == "targets"}
        assert strata == {f"double {seen}" for seen in written["seen"].values()}
        written["seen"]["A,D"] = "seen2"
        found = check_split(Split.from_dict(written), data)
        assert [f.code for f in found.findings] == ["split-seen"]
        # It follows from the rest, so that files without it say the same.
        del written["seen"]
        assert Split.from_dict(written).is_same_as(made.split)
        assert check_split(Split.from_dict(written), data).valid
        with pytest.raises(InvalidDataError, match="a text for each"):
            Split.from_dict({**written, "seen": {"A,B": 2}})
