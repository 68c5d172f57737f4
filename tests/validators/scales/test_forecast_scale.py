"""Every transform of every kind of forecast is named, and no natural logarithm is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

import pereggrn_data
from pereggrn_data.core.errors import PereggrnError
from pereggrn_data.evaluators import observations_named, place_rows
from pereggrn_data.pipelines.score import ScoreOptions
from pereggrn_data.pipelines.score.checked_predictions import PlacedRows, scale_of
from pereggrn_data.validators.predictions import PredictionScan, Scale, check_scale, outlier_limit
from pereggrn_data.validators.scales.forecast_scale import FACTORS
from pereggrn_data.validators.scales.scale import NATURAL, TRANSFORMS, Transform

Array = npt.NDArray[Any]

PARTS = {
    "papalexi": slice(None, None, 25),
    "hill": slice(None, None, 3),
    "papalexi_pseudobulk": slice(None),
    "ecoli_oxygen": slice(None),
    "dream4_net1": slice(None, None, 4),
}
"""Datasets of logarithms, and which of their observations are enough; yeast_tfko_chip has ratios,
whose scale is not judged."""

GENES = 40
MODELS: dict[str, dict[str, Any]] = {
    "mean": {},
    "median": {},
    "RidgeCV": {},
    "KernelRidge": {},
}
MORE_MODELS: dict[str, dict[str, Any]] = {
    **MODELS,
    "RidgeCVExtraPenalty": {},
    "BayesianRidge": {"eligible_regulators": "perturbed"},
    "ElasticNetCV": {"eligible_regulators": "perturbed"},
    "OrthogonalMatchingPursuitCV": {"eligible_regulators": "perturbed"},
    "ExtraTreesRegressor": {"eligible_regulators": "perturbed"},
    "linear_embedding": {},
    "dcdfg": {},
    "notears_lr": {},
}

OWN_WAY = 0.15
"""Forecasts further than this from every multiple of the training mean, as a share of the spread
of their gene means, go their own way: a transform may be named as the one beside it."""


NEAR = 0.1
"""Forecasts that are no further from the training means than this are judged with a bias, too."""


def dense(matrix: Any) -> Array:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=float)


class Case:
    """A split dataset, and what is needed to judge forecasts of it."""

    def __init__(self, adata: Any, genes: int) -> None:
        self.made = pereggrn_data.split(adata, num_genes=genes)
        self.task = self.made.task
        self.scale = scale_of(self.task)
        self.train = dense(self.task.train_matrix)
        self.base = self.train.mean(axis=0)
        self.obs = self.made.template.obs
        at = observations_named(self.obs, self.task, all_names=self.obs.index, has_row_names=True)
        self.placement = place_rows(self.obs, self.task, at)
        self.limit = outlier_limit(self.scale)

    def forecasts(self, models: dict[str, dict[str, Any]]) -> dict[str, Array]:
        """Return (test, genes) expression by what made it: models, and samples of cells."""
        found = {}
        for name, choices in models.items():
            try:
                made = pereggrn_data.predict(self.made, name, **choices)
            except PereggrnError:
                continue
            found[name] = dense(made.adata.X)
        rng = np.random.default_rng(0)
        found["observed"] = dense(self.task.test_matrix)
        found["training cells"] = self.train[rng.integers(0, len(self.train), len(self.obs))]
        # Cells around the forecasts of a model.
        noise = self.train[rng.integers(0, len(self.train), len(self.obs))] - self.base
        found["noisy"] = np.maximum(found["RidgeCV"] + noise, 0)
        return found

    def placed(self, values: Array) -> PlacedRows:
        return PlacedRows(
            values[self.placement.rows], self.obs, self.placement, self.task, ScoreOptions()
        )

    def named(self, values: Array) -> set[str]:
        """Return the transforms that are named, as codes of findings."""
        placed = self.placed(values)
        read = placed.read(self.limit)
        names = [str(name) for name in self.obs.index]
        found = check_scale(
            read.scan, self.scale, row_names=names, untouched=placed.untouched(read)
        )
        return {f.code.removeprefix("predictions-") for f in found} - {"constant"}

    def distance(self, values: Array) -> float:
        """Return how far gene means are from every natural-log multiple of the training means."""
        placed = self.placed(values)
        mean = placed.untouched(placed.read(self.limit)).mean
        known = np.isfinite(mean)
        mean, bases = mean[known], [self.base[known], self.task.control_mean[known]]
        if "median" in self.task.baselines:
            bases.append(self.task.baselines["median"][known])
        spread = np.linalg.norm(mean - mean.mean())
        return min(float(np.linalg.norm(mean - f * b)) for f in FACTORS for b in bases) / spread


def transformed(transform: Transform, values: Array) -> Array:
    return values if transform is NATURAL else transform.of_log(np.maximum(values, 0))


def problems(case: Case, forecasts: dict[str, Array]) -> list[str]:
    """Say which verdicts are wrong."""
    wrong = []
    for name, values in forecasts.items():
        own = case.distance(values)
        for transform in TRANSFORMS:
            changed = transformed(transform, values)
            found = case.named(changed)
            if transform is NATURAL:
                if found:
                    wrong.append(f"{name}: natural logarithms are called {sorted(found)}")
                continue
            if transform.name in found:
                continue
            moved = case.distance(changed)
            if not found and moved <= max(own / 0.6, 0.08):
                continue
            if found and own > OWN_WAY:
                continue
            wrong.append(
                f"{name}, {transform.name}: {sorted(found)}; {moved:.2f} from the training data, "
                f"and {own:.2f} before"
            )
    return wrong


BIASES = {
    **{f"{shift:+g}": (1.0, shift) for shift in (0.1, 0.2, 0.3)},
    **{f"x {factor:g}": (factor, 0.0) for factor in (0.8, 0.9, 1.1, 1.2, 1.3)},
}
"""Factor and number by which forecasts may be wrong on the right scale."""


def called_otherwise(case: Case, forecasts: dict[str, Array]) -> list[str]:
    """Say which biased forecasts are called something else than natural logarithms."""
    wrong = []
    for name, values in forecasts.items():
        for bias, (factor, shift) in BIASES.items():
            if found := case.named(factor * values + shift):
                wrong.append(f"{name} {bias}: {sorted(found)}")
    return wrong


def test_a_bias_is_no_other_scale() -> None:
    case = Case(pereggrn_data.load("demo"), GENES)
    low = case.train / 20
    case.scale = Scale.of(low, low[:9].mean(axis=0))
    mean = np.tile(low.mean(axis=0), (len(case.obs), 1))
    assert case.named(np.sqrt(np.expm1(mean))) == {"sqrt"}
    assert called_otherwise(case, {"mean": mean}) == []


@pytest.mark.parametrize("rows", [0, 1, 5, 31, 33, 500])
def test_rows_that_are_kept_are_of_all_parts(rows: int) -> None:
    values = np.arange(1.0, rows * 6 + 1).reshape(rows, 6)
    scan = PredictionScan.of(sparse.csr_array(values) if rows > 32 else values)
    at, kept = scan.kept_rows
    assert len(at) == min(rows, 32)
    assert np.array_equal(kept, values[at])
    assert not rows or {0, rows - 1} <= set(at)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: t.name)
def test_a_median_with_one_gene_is_known_by_its_value(transform: Transform) -> None:
    """Where all other genes are 0, no shape tells; equality with the training median does."""
    train = np.zeros((9, 8))
    train[:, 2], train[:4, 5] = np.linspace(0.4, 0.8, 9), 1.5
    median = np.median(train, axis=0)
    scale = Scale.of(train, train[:3].mean(axis=0), {"median of the training data": median})
    forecast = np.tile(transform.of_log(median), (5, 1))
    names = [f"r{i}" for i in range(5)]
    found = [f.code for f in check_scale(forecast, scale, row_names=names)]
    assert found == ([] if transform is NATURAL else [f"predictions-{transform.name}"])


@pytest.mark.shared
@pytest.mark.parametrize("name", PARTS)
def test_forecasts_of_real_data(shared: Path, name: str) -> None:
    """Group means by models, and cells: all transforms are named where they matter."""
    file = shared / f"data/perturbations/{name}/test.h5ad"
    case = Case(anndata.read_h5ad(file)[PARTS[name]].copy(), GENES)
    assert case.scale.can_decide
    forecasts = case.forecasts(MODELS)
    assert problems(case, forecasts) == []
    alike = {name: v for name, v in forecasts.items() if case.distance(v) < NEAR}
    assert called_otherwise(case, alike) == []


@pytest.mark.shared
@pytest.mark.trial
@pytest.mark.parametrize("name", PARTS)
def test_forecasts_of_whole_datasets(shared: Path, name: str) -> None:
    """The same of 300 genes and all observations (a quarter of the cells), by more models."""
    file = shared / f"data/perturbations/{name}/test.h5ad"
    rows = slice(None, None, 4 if name == "papalexi" else 1)
    case = Case(anndata.read_h5ad(file)[rows].copy(), 300)
    assert problems(case, case.forecasts(MORE_MODELS)) == []


def test_a_bias_is_judged_without_a_sample_of_cells() -> None:
    control = np.linspace(0.01, 0.3, 12)
    scale = Scale.of(np.zeros((0, 12)), control)
    found = check_scale(np.tile(control + 0.3, (3, 1)), scale, row_names=["a", "b", "c"])
    assert {f.code for f in found} <= {"predictions-constant"}
