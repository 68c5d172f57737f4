"""Every transform but the natural logarithm is named, and the natural one is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pereggrn_data import validate
from pereggrn_data.core.reports import Finding
from pereggrn_data.validators.predictions.prediction_values import Scale, check_scale
from pereggrn_data.validators.scales.scale import (
    LINEAR,
    LOG2,
    LOG_TWICE,
    NATURAL,
    SQRT,
    SQRT_OF_LOG,
    TRANSFORMS,
    is_natural_base,
    stated_base,
)

OF_SCALE = {"X-not-log", "X-other-log", "X-outliers", "X-z-scores"}
OTHERS = [t for t in TRANSFORMS if t is not NATURAL]
DATASET_CODES = {
    "log2": "X-other-log",
    "log10": "X-other-log",
    "log-twice": "X-other-log",
    "sqrt": "X-other-log",
    "sqrt-of-log": "X-other-log",
    "raw-counts": "X-not-log",
}


def counts(seed: int, n: int = 24, genes: int = 60, spread: float = 1.2) -> Any:
    """Draw counts around lognormal means, in observations of different depth."""
    rng = np.random.default_rng(seed)
    means = rng.lognormal(3, spread, genes)
    depth = rng.lognormal(0, 0.4, (n, 1))
    return rng.poisson(means * depth * rng.lognormal(0, 0.2, (n, genes))).astype(float)


def natural(raw: Any, size: float = 1e4) -> Any:
    return np.log1p(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1) * size)


def dataset(x: Any, raw: Any) -> AnnData:
    n, genes = x.shape
    labels = ["control"] * (n // 3) + [f"G{i % 5}" for i in range(n - n // 3)]
    obs = pd.DataFrame(
        {
            "perturbation": labels,
            "is_control": [label == "control" for label in labels],
            "perturbation_type": "knockout",
            "expression_level_after_perturbation": "nan",
        },
        index=[f"cell_{i}" for i in range(n)],
    )
    names = [f"G{i}" for i in range(genes)]
    var = pd.DataFrame({"highly_variable_rank": range(genes)}, index=names)
    adata = anndata.AnnData(x, obs=obs, var=var)
    adata.raw = anndata.AnnData(raw, obs=obs[[]], var=var[[]])
    adata.uns["perturbed_and_measured_genes"] = [f"G{i}" for i in range(5)]
    adata.uns["perturbed_but_not_measured_genes"] = []
    return adata


def of_scale(adata: Any) -> list[Finding]:
    return [f for f in validate(adata).findings if f.code in OF_SCALE]


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10**6),
    spread=st.floats(0.7, 1.8),
    size=st.sampled_from([1e3, 1e4, 1e6]),
    kept=st.sampled_from(["dense", "csr", "csc"]),
)
def test_any_dataset(seed: int, spread: float, size: float, kept: str) -> None:
    raw = counts(seed, spread=spread)
    x = natural(raw, size)
    as_kept = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix}[kept]
    assert of_scale(dataset(as_kept(x), as_kept(raw))) == []
    for transform in OTHERS:
        (finding,) = of_scale(dataset(as_kept(transform.of_log(x)), as_kept(raw)))
        assert finding.code == DATASET_CODES[transform.name], (transform.name, finding)
        assert finding.severity == "error"
        if finding.code == "X-other-log":
            assert transform.text in finding.got
            assert transform.fix in finding.fix


def with_scale(x: Any, matrix: Any = None) -> Scale:
    return Scale.of(x if matrix is None else matrix, np.asarray(x.mean(axis=0)))


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), spread=st.floats(0.7, 1.8), size=st.sampled_from([1e3, 1e4]))
def test_any_predictions(seed: int, spread: float, size: float) -> None:
    x = natural(counts(seed, spread=spread), size)
    scale = with_scale(x[:12])
    rows = [f"r{i}" for i in range(12)]
    assert list(check_scale(x[12:], scale, row_names=rows)) == []
    for transform in OTHERS:
        found = list(check_scale(transform.of_log(x[12:]), scale, row_names=rows))
        codes = {f.code for f in found}
        assert f"predictions-{transform.name}" in codes, found
        # Roots that are too large for logarithms are an error, too.
        assert len(codes) == 1 or (transform, codes) == (
            SQRT,
            {"predictions-sqrt", "predictions-raw-counts"},
        )
        assert all(any(c.isdigit() for c in f.got) for f in found)


@pytest.mark.parametrize("factor", [0.03, 0.1, 0.3, 4.0, 20.0, 100.0])
@pytest.mark.parametrize("shallow", [False, True])
def test_cells_of_another_total_are_named(factor: float, shallow: bool) -> None:
    """Such as log1p of counts per million, where the dataset has counts per 10,000."""
    raw = counts(11, n=200)
    x = natural(np.random.default_rng(1).binomial(raw.astype(int), 0.2) if shallow else raw)
    scale = with_scale(x[:100])
    other = np.log1p(factor * np.expm1(x[100:]))
    means = other.mean(axis=0) * np.random.default_rng(0).normal(1, 0.02, (12, 60))
    # Means of much less, or of little more, bend as other transforms do.
    for forecast in (other, means) if factor >= 20 and not shallow else (other,):
        rows = [f"r{i}" for i in range(len(forecast))]
        (found,) = check_scale(forecast, scale, row_names=rows)
        assert (found.code, found.severity) == ("predictions-other-total", "warning"), found
        told = float(found.got.split("ln(1 + ")[1].split(" x)")[0])
        assert 0.6 * factor < told < 1.6 * factor
        assert f"by about {told:.2g}," in found.fix


@pytest.mark.parametrize("bias", [-0.9, -0.3, 0.3, 0.9])
def test_forecasts_with_a_bias_are_not_of_another_total(bias: float) -> None:
    x = natural(counts(12, n=40))
    forecast = np.maximum(x[20:] + bias, 0)
    rows = [f"r{i}" for i in range(20)]
    codes = {f.code for f in check_scale(forecast, with_scale(x[:20]), row_names=rows)}
    assert "predictions-other-total" not in codes


@pytest.mark.parametrize("factor", [0.87, 1.0, 1.15])
def test_forecasts_that_shrink_or_stretch_are_fine(factor: float) -> None:
    x = natural(counts(1))
    rows = [f"r{i}" for i in range(12)]
    assert list(check_scale(x[12:] * factor, with_scale(x[:12]), row_names=rows)) == []


def test_one_extreme_forecast_is_a_note() -> None:
    x = natural(counts(2, n=312))
    forecast = x[12:].copy()
    forecast[3, 7] = 17.5
    (finding,) = check_scale(forecast, with_scale(x[:12]), row_names=[f"r{i}" for i in range(300)])
    assert (finding.code, finding.severity, finding.n) == ("predictions-outliers", "warning", 1)
    assert "1 of 18000" in finding.got


def test_whole_numbers_below_15_are_no_logarithms() -> None:
    raw = np.minimum(counts(3, spread=0.5) // 8, 14)
    (finding,) = of_scale(dataset(raw, raw))
    assert finding.code == "X-not-log"
    assert "100% of the values that are not 0 are whole numbers" in finding.got


def test_one_extreme_value_is_a_warning() -> None:
    raw = counts(4)
    x = natural(raw)
    x[20, 50] = 40.0
    (finding,) = of_scale(dataset(x, raw))
    assert (finding.code, finding.severity, finding.n) == ("X-outliers", "warning", 1)
    assert "cell_20 x G50 = 40" in finding.examples


def test_z_scores_are_named_and_log_ratios_are_not() -> None:
    raw = counts(5)
    x = natural(raw)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    (finding,) = of_scale(dataset(scaled, raw))
    assert finding.code == "X-z-scores"
    assert of_scale(dataset(x - x.mean(axis=0), raw)) == []


def test_the_base_that_scanpy_states(tmp_path: Path) -> None:
    raw = counts(6)
    x = natural(raw)
    for base in (None, np.e, 2.718):
        adata = dataset(x, raw)
        adata.uns["log1p"] = {"base": base}
        assert of_scale(adata) == []
    adata = dataset(LOG2.of_log(x), raw)
    adata.uns["log1p"] = {"base": 2}
    adata.write_h5ad(tmp_path / "d.h5ad")
    for given_as in (adata, tmp_path / "d.h5ad"):
        (finding,) = of_scale(given_as)
        assert (finding.code, finding.severity) == ("X-other-log", "error")
        assert "says 2" in finding.got
    disagreeing = dataset(x, raw)
    disagreeing.uns["log1p"] = {"base": 2}
    (finding,) = of_scale(disagreeing)
    assert (finding.code, finding.severity) == ("X-other-log", "warning")
    unknown = dataset(LOG2.of_log(x), raw + 0.5)
    unknown.uns["log1p"] = {"base": 2}
    (finding,) = of_scale(unknown)
    assert finding.severity == "error"
    assert "ln(2) = 0.6931" in finding.fix


@pytest.mark.parametrize("stored", [None, {}, {"base": None}, {"base": "two"}, {"base": True}, 3])
def test_no_base_is_stated(stored: Any) -> None:
    assert stated_base(stored) is None


def test_bases() -> None:
    assert stated_base({"base": np.array([10])}) == 10
    assert not is_natural_base(2)
    assert is_natural_base(2.718)


@pytest.mark.parametrize("transform", OTHERS, ids=lambda t: t.name)
def test_who_insists_is_not_judged(transform: Any) -> None:
    raw = counts(7)
    adata = dataset(transform.of_log(natural(raw)), raw)
    adata.uns["skip_log_check"] = True
    assert of_scale(adata) == []


def test_another_normalisation_is_not_judged() -> None:
    raw = counts(8)
    ranks = np.argsort(np.argsort(raw, axis=1), axis=1)
    assert of_scale(dataset(np.sqrt(ranks + 0.3), raw)) == []


def test_shallow_cells_are_fine() -> None:
    rng = np.random.default_rng(9)
    raw = rng.poisson(rng.lognormal(-2, 1, 60), (300, 60)).astype(float)
    raw[:, 0] += 1
    x = natural(raw)
    assert of_scale(dataset(sparse.csr_matrix(x), sparse.csr_matrix(raw))) == []
    rows = [f"r{i}" for i in range(150)]
    assert list(check_scale(x[150:], with_scale(x[:150]), row_names=rows)) == []


@pytest.mark.parametrize("seed", range(4))
def test_transforms_are_seen_where_all_expression_is_small(seed: int) -> None:
    """Of shallow cells log1p bends gene means by a few hundredths only."""
    rng = np.random.default_rng(seed)
    means = rng.lognormal(-2, 1, 60)
    x = np.log1p(rng.poisson(means * 4, (300, 60)) / 4)
    forecast = x[:200].mean(axis=0) + rng.normal(0, 0.002, (20, 60))
    assert forecast.max() < 2
    scale, rows = with_scale(x[:100], x[:200]), [f"r{i}" for i in range(20)]
    for shrunk in (0.75, 1.0, 1.15):
        assert list(check_scale(shrunk * forecast, scale, row_names=rows)) == []
    assert f"predictions-{SQRT.name}" == "predictions-sqrt"
    codes = ("predictions-log-twice", "predictions-sqrt-of-log")
    for transform, code in zip((LOG_TWICE, SQRT_OF_LOG), codes, strict=True):
        changed = transform.of_log(np.maximum(forecast, 0))
        (found,) = check_scale(changed, scale, row_names=rows)
        assert found.code == code
        assert found.severity == "warning"


def files(shared: Path) -> list[Path]:
    golden = shared / "golden/inputs/perturbation_data/perturbations"
    return [*shared.glob("data/perturbations/*/*.h5ad"), *golden.glob("*/*.h5ad")]


@pytest.mark.shared
def test_real_data_have_no_finding_and_their_transforms_have(shared: Path) -> None:
    """Where raw holds counts; ratios and intensities are not judged."""
    named = 0
    for file in files(shared):
        adata = anndata.read_h5ad(file)
        assert of_scale(adata) == [], file
        raw = adata.raw.X.data if sparse.issparse(adata.raw.X) else adata.raw.X
        if not (raw == np.rint(raw)).all():
            continue
        for transform in (LOG2, LOG_TWICE, SQRT_OF_LOG, LINEAR):
            changed = adata[:200].copy()
            dense = changed.X.toarray() if sparse.issparse(changed.X) else changed.X
            changed.X = transform.of_log(np.asarray(dense, dtype=float))
            found = of_scale(changed)
            codes = {f.code for f in found}
            assert codes <= {DATASET_CODES[transform.name]}, (file, transform.name, found)
            named += bool(found)
    assert named >= 15
