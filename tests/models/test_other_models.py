"""Regulon, the linear embedding baseline, stored models, and the registry's table."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.models.grammar.choices import Grammar
from pereggrn_data.models.grammar.ggrn import fit
from pereggrn_data.models.grammar.prior_network import Network
from pereggrn_data.models.inputs import Perturbations, TrainingData
from pereggrn_data.models.linear_embedding import LinearEmbedding, fit_linear_embedding
from pereggrn_data.models.methods import METHODS, get_method, methods_table
from pereggrn_data.models.plain_arrays import can_become_arrays, from_arrays, to_arrays
from pereggrn_data.models.regression_task import RegressionTask
from pereggrn_data.models.regulon import forecast_regulon

GENES = ("A", "B", "C", "D", "E", "F")


def embedding_data(seed: int = 0) -> TrainingData:
    rng = np.random.default_rng(seed)
    labels = ("ctl",) * 3 + ("A", "A", "B", "C,D", "Z", "A,Z", "E", "F")
    return TrainingData(
        expression=rng.normal(size=(11, 6)) + 1,
        genes=GENES,
        perturbations=Perturbations(labels, (np.nan,) * 11, cell_types=("x", "y") * 5 + ("x",)),
        is_control=np.arange(11) < 3,
    )


def test_no_kernel_is_made_of_many_observations(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.kernel_ridge import KernelRidge

    rows = []
    fit_as_before = KernelRidge.fit

    def noting(self: Any, x: Any, y: Any) -> Any:
        rows.append(len(x))
        return fit_as_before(self, x, y)

    monkeypatch.setattr(KernelRidge, "fit", noting)
    x = np.random.default_rng(4).normal(size=(60, 9))
    task = RegressionTask(x, x, tuple("ABCDEFGHI"), np.arange(9), {}, None)
    get_method("KernelRidge").fit(task)
    assert set(rows) == {1}


def test_linear_kernel_ridge_is_that_of_scikit_learn() -> None:
    """Also where there are more observations than features, and no kernel is made of them."""
    from sklearn.kernel_ridge import KernelRidge

    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 9)) + 2
    for n in (5, 9, 10, 60):
        task = RegressionTask(x[:n], x[:n], tuple("ABCDEFGHI"), np.arange(9), {}, None)
        model = get_method("KernelRidge").fit(task)
        for j in range(9):
            others = np.delete(np.arange(9), j)
            expected = KernelRidge().fit(x[:n, others], x[:n, j]).predict(x[:, others])
            np.testing.assert_allclose(model.predict(x)[:, j], expected, rtol=1e-9)


def test_regulon_by_hand() -> None:
    network = Network.from_edges(["A", "A", "B", "B", "A"], ["B", "C", "C", "Q", "A"])
    start = np.array([1.0, 2, 3, 4, 5, 6])
    requests = Perturbations(
        ("A", "A,B", "ctl", "Z", "D", "B"), (3.0, "0.0,2.5", np.nan, 7.0, 1.0, "nan")
    )
    forecast = forecast_regulon(network, GENES, requests, start)
    expected = np.tile(start, (6, 1))
    expected[0] = [3, 4, 5, 4, 5, 6]
    expected[1] = [0, 2.5, 3 - 1 + 0.5, 4, 5, 6]
    expected[4, 3] = 1.0
    np.testing.assert_allclose(forecast.expression[1], expected)
    assert "1 of 3 perturbed genes have no targets in the network" in forecast.notes[0]
    assert forecast.notes[0].endswith(": D.")
    assert "1 measured perturbed genes have no stated level" in forecast.notes[1]


def test_linear_embedding_by_its_formula() -> None:
    data = embedding_data()
    model = fit_linear_embedding(data, dimension=2, ridge_penalty=0.5)
    x, labels = np.asarray(data.expression), np.array(data.perturbations.labels)
    control = x[:3].mean(axis=0)
    names = ["A", "B", "C,D", "E", "F"]
    z = np.stack([x[labels == name].mean(axis=0) for name in names]) - control
    centred = z - z.mean(axis=0)
    g = np.linalg.svd(centred)[2][:2]
    p = np.stack([g[:, [GENES.index(q) for q in n.split(",")]].mean(axis=1) for n in names], 1)
    i = 0.5 * np.eye(2)
    w = np.linalg.inv(p @ p.T + i) @ p @ z @ g.T @ np.linalg.inv(g @ g.T + i)
    found = model.predict(Perturbations(("B", "A,F"), (np.nan, "nan,0.25"))).expression[1]
    p_test = np.stack([g[:, 1], g[:, [0, 5]].mean(axis=1)], 1)
    expected = p_test.T @ w @ g + control
    expected[1, 5] = 0.25
    np.testing.assert_allclose(found, expected)


@given(st.permutations(range(6)), st.integers(1, 4))
def test_linear_embedding_does_not_depend_on_the_order_of_genes(order: list[int], k: int) -> None:
    data = embedding_data(1)
    shuffled = replace(
        data,
        expression=np.asarray(data.expression)[:, order],
        genes=tuple(GENES[j] for j in order),
    )
    requests = Perturbations(("B", "A,F"), (np.nan, "nan,0.25"))
    expected = fit_linear_embedding(data, k).predict(requests).expression[1]
    found = fit_linear_embedding(shuffled, k).predict(requests).expression[1]
    np.testing.assert_allclose(found, expected[:, order], atol=1e-9)


def test_linear_embedding_needs_measured_perturbations() -> None:
    with pytest.raises(InvalidDataError, match="too few perturbations"):
        fit_linear_embedding(embedding_data(), dimension=6)
    with pytest.raises(UsageError, match="must be positive"):
        fit_linear_embedding(embedding_data(), dimension=0)
    with pytest.raises(UsageError, match="must be positive"):
        fit_linear_embedding(embedding_data(), ridge_penalty=-1)
    wrong: Any
    for wrong in ("abc", None, [1], 2.5, True, np.nan):
        with pytest.raises(UsageError, match="must be positive"):
            fit_linear_embedding(embedding_data(), dimension=wrong)
    for wrong in ("abc", None, [1], np.nan, np.inf, True, 1j):
        with pytest.raises(UsageError, match="must be positive"):
            fit_linear_embedding(embedding_data(), ridge_penalty=wrong)
    model = fit_linear_embedding(embedding_data(), dimension=2)
    with pytest.raises(InvalidDataError, match="1 perturbations to forecast have genes that"):
        model.predict(Perturbations(("A", "B,Z"), (1.0, "1.0,2.0")))


def test_linear_embedding_forecasts_controls_not_to_change() -> None:
    model = fit_linear_embedding(embedding_data(), dimension=2)
    requests = Perturbations(
        ("control_GFP", "B", "control_GFP"),
        (np.nan,) * 3,
        is_control=np.array([True, False, True]),
    )
    found = model.predict(requests).expression[1]
    np.testing.assert_array_equal(found[[0, 2]], np.tile(model.control_mean, (2, 1)))
    alone = model.predict(Perturbations(("B",), (np.nan,))).expression[1][0]
    np.testing.assert_allclose(found[1], alone)
    start = np.arange(18.0).reshape(3, 6)
    moved = model.predict(requests, start).expression[1]
    np.testing.assert_array_equal(moved[[0, 2]], start[[0, 2]])
    np.testing.assert_array_equal(start, np.arange(18.0).reshape(3, 6))
    np.testing.assert_allclose(moved[1] - start[1], alone - model.control_mean)
    with pytest.raises(InvalidDataError, match="1 perturbations to forecast have genes that"):
        model.predict(replace(requests, is_control=None))


def through_a_file(arrays: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        return dict(stored)


@pytest.mark.parametrize(
    ("grammar", "network"),
    [
        (Grammar("RidgeCV"), None),
        (Grammar("mean"), None),
        (Grammar("KernelRidge"), None),
        (Grammar("RidgeCV"), Network.from_edges(["A", "B"], ["C", "C"])),
        (Grammar("RidgeCV", {"alphas": [1.0]}, cell_type_sharing_strategy="distinct"), None),
        (Grammar(low_dimensional_structure="dynamics", low_dimensional_value=2), None),
        (
            Grammar(
                low_dimensional_structure="postprocessing", low_dimensional_value=np.eye(6)[:3]
            ),
            None,
        ),
    ],
)
def test_stored_models_forecast_the_same(grammar: Grammar, network: Network | None) -> None:
    fitted = fit(embedding_data(), grammar, network=network)
    assert can_become_arrays(fitted)
    again = from_arrays(through_a_file(to_arrays(fitted)))
    requests = Perturbations(("A", "C,D"), (0.0, "1.0,2.0"), cell_types=("x", "y"))
    for subtype in (None, "ctl"):
        np.testing.assert_array_equal(
            fitted.predict(requests, steps=[2], control_subtype=subtype).expression[2],
            again.predict(requests, steps=[2], control_subtype=subtype).expression[2],
        )


def test_stored_linear_embedding_forecasts_the_same() -> None:
    model = fit_linear_embedding(embedding_data(), dimension=2)
    again = from_arrays(through_a_file(to_arrays(model)))
    assert isinstance(again, LinearEmbedding)
    requests = Perturbations(("A",), (0.0,))
    np.testing.assert_array_equal(
        model.predict(requests).expression[1], again.predict(requests).expression[1]
    )


def test_trees_are_not_stored_as_arrays() -> None:
    fitted = fit(embedding_data(), Grammar("ExtraTreesRegressor", {"n_estimators": 2}))
    assert not can_become_arrays(fitted)
    with pytest.raises(UsageError, match="not linear"):
        to_arrays(fitted)


def test_damaged_arrays_are_refused() -> None:
    arrays = to_arrays(fit(embedding_data(), Grammar("RidgeCV")))
    for name in arrays:
        with pytest.raises(InvalidDataError, match="not a stored model"):
            from_arrays({key: value for key, value in arrays.items() if key != name})
    for name in ("model_0_coefficients", "model_0_intercepts", "control_means"):
        with pytest.raises(InvalidDataError, match="not a stored model"):
            from_arrays({**arrays, name: arrays[name][:-1]})
    for header in ("[]", "{}", "nonsense", '{"format_version": 99}'):
        with pytest.raises(InvalidDataError, match="not a stored model"):
            from_arrays({**arrays, "header": np.array(header)})


def test_names_are_unique_and_referenced() -> None:
    names = [name for method in METHODS for name in (method.name, *method.aliases)]
    assert len(set(names)) == len(names)
    for method in METHODS:
        assert method.reference
        assert method.summary.endswith(".")
        assert get_method(method.name) is method


def test_the_documented_table_is_the_registry() -> None:
    page = Path(__file__).parents[2] / "docs" / "models.md"
    assert methods_table() in page.read_text(encoding="utf-8")


def test_the_paper_compares_nine_and_the_issue_names_fifteen_regressions() -> None:
    assert sum(method.in_paper for method in METHODS) == 9
    assert sum(method.is_regression for method in METHODS) == 15


@pytest.mark.parametrize("name", [m.name for m in METHODS if m.is_regression])
def test_every_regression_fits_and_forecasts(name: str) -> None:
    arguments: dict[str, Any] = {"n_estimators": 3} if "Regressor" in name else {}
    rng = np.random.default_rng(5)
    data = TrainingData(
        expression=rng.normal(size=(30, 5)) + 2,
        genes=GENES[:5],
        perturbations=Perturbations(("A",) * 3 + ("ctl",) * 27, (0.0,) * 3 + (np.nan,) * 27),
        is_control=np.arange(30) >= 3,
    )
    forecast = fit(data, Grammar(name, arguments)).predict(Perturbations(("B",), (1.0,)))
    assert forecast.expression[1].shape == (1, 5)
    assert np.isfinite(forecast.expression[1]).all()
    assert forecast.expression[1][0, 1] == 1.0
