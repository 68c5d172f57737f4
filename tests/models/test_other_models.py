"""Regulon, the linear embedding baseline, stored models, and the registry's table."""

from __future__ import annotations

import inspect
import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import threadpoolctl
from hypothesis import given
from hypothesis import strategies as st
from sklearn import linear_model

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.models import one_thread, target_fits
from pereggrn_data.models.families import (
    FAMILIES,
    ModelTask,
    Storage,
    choices_of,
    fit_model,
    from_arrays,
    storage_of,
)
from pereggrn_data.models.fit_warnings import noting_warnings
from pereggrn_data.models.grammar.choices import Grammar
from pereggrn_data.models.grammar.ggrn import fit
from pereggrn_data.models.grammar.prior_network import RegulatorySets
from pereggrn_data.models.inputs import Perturbations, TrainingData
from pereggrn_data.models.linear_embedding import LinearEmbedding, fit_linear_embedding
from pereggrn_data.models.methods import METHODS, Method, MethodKind, get_method
from pereggrn_data.models.regression import RegressionTask
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


class TestHowScikitLearnIsAsked:
    """Numbers are those of its defaults, which take longer."""

    @pytest.mark.parametrize("name", ["LassoCV", "ElasticNetCV"])
    def test_descent_goes_by_a_gram_matrix(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kind, asked = getattr(linear_model, name), []
        path = kind.path

        def noting(*data: Any, **settings: Any) -> Any:
            asked.append(settings["precompute"])
            return path(*data, **settings)

        monkeypatch.setattr(kind, "path", staticmethod(noting))
        x = np.random.default_rng(4).normal(size=(30, 62))
        y = np.random.default_rng(5).normal(size=(30, 4))
        y[:, 0] += x[:, 5] - x[:, 9]

        def fit(columns: int, **more: Any) -> Any:
            own, arguments = np.full(4, -1), {"alphas": 10, **more}
            task = RegressionTask(x[:, :columns], y, tuple("ABCD"), own, arguments=arguments)
            with noting_warnings():
                return get_method(name).fit(task)  # type: ignore[misc]

        found, usual = fit(60), fit(60, precompute=False)
        assert [found is True for found in asked] == [True] * 20 + [False] * 20
        np.testing.assert_array_equal(found.alphas, usual.alphas)
        # A gene that nothing tells has no coefficient, however small.
        assert not found.dense_coefficients().any(axis=1).all()
        np.testing.assert_array_equal(found.dense_coefficients(), usual.dense_coefficients())
        del asked[:]
        fit(61)
        assert True not in asked

    def test_threads_do_not_wait_for_each_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        kind, threads = linear_model.BayesianRidge, []
        fit_as_before = kind.fit

        def noting(self: Any, x: Any, y: Any) -> Any:
            found = threadpoolctl.threadpool_info()
            threads.append({lib["num_threads"] for lib in found if lib["user_api"] == "blas"})
            return fit_as_before(self, x, y)

        monkeypatch.setattr(kind, "fit", noting)
        x = np.random.default_rng(4).normal(size=(20, 3))
        task = RegressionTask(x, x, ("A", "B", "C"), np.arange(3), {})
        with threadpoolctl.threadpool_limits(2, "blas"):
            get_method("BayesianRidge").fit(task)  # type: ignore[misc]
            monkeypatch.setattr(target_fits, "FEW_VALUES", 60)
            get_method("BayesianRidge").fit(task)  # type: ignore[misc]
        assert threads == [{1}] * 3 + [{2}] * 3

    def test_fits_at_once_leave_threads_as_they_were(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kind, threads = linear_model.BayesianRidge, [2]
        fit_as_before, first_is_done, fits = kind.fit, threading.Event(), []

        @contextmanager
        def limits(number: int, of: str) -> Iterator[None]:
            """As threadpoolctl's, whatever number of threads the tests have."""
            before, threads[:] = threads[0], [number]
            yield
            threads[:] = [before]

        def fit() -> None:
            x = np.random.default_rng(4).normal(size=(20, 2))
            task = RegressionTask(x, x[:, :1], ("A",), np.zeros(1, np.intp), {})
            get_method("BayesianRidge").fit(task)  # type: ignore[misc]

        def overlapping(self: Any, x: Any, y: Any) -> Any:
            fits.append(threads[0])
            if len(fits) == 1:
                other.start()
                other.join(0.1)  # until it fits, too, or waits for its turn
            else:
                first_is_done.wait()
            return fit_as_before(self, x, y)

        other = threading.Thread(target=fit)
        monkeypatch.setattr(one_thread, "threadpool_limits", limits)
        monkeypatch.setattr(kind, "fit", overlapping)
        fit()
        first_is_done.set()
        other.join()
        assert (fits, threads) == ([1, 1], [2])


class TestNotesOfFits:
    """Files of forecasts hold them, and are the same wherever forecasts are made."""

    def test_say_what_the_method_warns_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from sklearn.linear_model import LassoCV

        fit_as_before = LassoCV.fit

        def elsewhere() -> None:
            warnings.warn("of another thread", UserWarning, stacklevel=1)

        def noisily(self: Any, x: Any, y: Any) -> Any:
            # As of a file that the garbage collector finds open, at whatever moment.
            warnings.warn("unclosed file", ResourceWarning, stacklevel=1)
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            warnings.warn("of the data", RuntimeWarning, stacklevel=1)
            return fit_as_before(self, x, y)

        monkeypatch.setattr(LassoCV, "fit", noisily)
        x = np.random.default_rng(4).normal(size=(20, 3))
        task = RegressionTask(x, x, ("A", "B", "C"), np.arange(3), {}, None)
        with pytest.warns(UserWarning, match="of another thread") as shown:
            notes = get_method("LassoCV").fit(task).notes
        assert {str(w.message) for w in shown} == {"of another thread"}
        assert notes == (
            "scikit-learn warned about 3 of 3 genes (A, B, C); the first warning: of the data",
        )

    def test_with_those_of_all_threads(self) -> None:
        with noting_warnings(of_all_threads=True) as noted:
            thread = threading.Thread(target=warnings.warn, args=("elsewhere",))
            thread.start()
            thread.join()
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        assert [str(said) for said in noted] == ["elsewhere"]

    def test_where_gatherings_of_threads_overlap(self) -> None:
        """The first of two ends while the second goes on; all is as before when both ended."""
        begun, may_end = threading.Event(), threading.Event()
        of_the_other: list[str] = []

        def other() -> None:
            with noting_warnings() as noted:
                begun.set()
                may_end.wait(60)
                warnings.warn("of the other", UserWarning, stacklevel=1)
            of_the_other.extend(map(str, noted))

        before = (warnings.showwarning, list(warnings.filters))
        thread = threading.Thread(target=other)
        with noting_warnings() as noted:
            thread.start()
            begun.wait(60)
            warnings.warn("of this one", UserWarning, stacklevel=1)
        may_end.set()
        thread.join()
        assert (list(map(str, noted)), of_the_other) == (["of this one"], ["of the other"])
        assert (warnings.showwarning, list(warnings.filters)) == before

    def test_of_a_gathering_in_another(self) -> None:
        with noting_warnings(of_all_threads=True) as outer:
            with noting_warnings() as inner:
                warnings.warn("within", UserWarning, stacklevel=1)
            warnings.warn("without", UserWarning, stacklevel=1)
        assert (list(map(str, inner)), list(map(str, outer))) == (["within"], ["without"])


def test_regulon_by_hand() -> None:
    network = RegulatorySets.from_edges(["A", "A", "B", "B", "A"], ["B", "C", "C", "Q", "A"])
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
    moved = model.predict(requests, starting_expression=start).expression[1]
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
        (Grammar("RidgeCV"), RegulatorySets.from_edges(["A", "B"], ["C", "C"])),
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
def test_stored_models_forecast_the_same(grammar: Grammar, network: RegulatorySets | None) -> None:
    fitted = fit(embedding_data(), grammar, network=network)
    assert fitted.is_plain
    again = from_arrays(through_a_file(fitted.to_arrays()))
    requests = Perturbations(("A", "C,D"), (0.0, "1.0,2.0"), cell_types=("x", "y"))
    for subtype in (None, "ctl"):
        np.testing.assert_array_equal(
            fitted.predict(requests, steps=[2], control_subtype=subtype).expression[2],
            again.predict(requests, steps=[2], control_subtype=subtype).expression[2],
        )


def test_stored_linear_embedding_forecasts_the_same() -> None:
    model = fit_linear_embedding(embedding_data(), dimension=2)
    again = from_arrays(through_a_file(model.to_arrays()))
    assert isinstance(again, LinearEmbedding)
    requests = Perturbations(("A",), (0.0,))
    np.testing.assert_array_equal(
        model.predict(requests).expression[1], again.predict(requests).expression[1]
    )


def test_trees_are_not_stored_as_arrays() -> None:
    fitted = fit(embedding_data(), Grammar("ExtraTreesRegressor", {"n_estimators": 2}))
    assert not fitted.is_plain
    with pytest.raises(UsageError, match="not linear"):
        fitted.to_arrays()


def test_damaged_arrays_are_refused() -> None:
    arrays = fit(embedding_data(), Grammar("RidgeCV")).to_arrays()
    for name in arrays:
        with pytest.raises(InvalidDataError, match="not a stored model"):
            from_arrays({key: value for key, value in arrays.items() if key != name})
    for name in ("model_0_coefficients", "model_0_intercepts", "control_means"):
        with pytest.raises(InvalidDataError, match="not a stored model"):
            from_arrays({**arrays, name: arrays[name][:-1]})
    for header in ("[]", "{}", "nonsense", '{"format_version": 99}'):
        with pytest.raises(InvalidDataError, match=r"not a stored model|not JSON"):
            from_arrays({**arrays, "header": np.array(header)})


def test_names_are_unique_and_referenced() -> None:
    names = [name for method in METHODS for name in (method.name, *method.aliases)]
    assert len(set(names)) == len(names)
    for method in METHODS:
        assert method.reference
        assert method.summary.endswith(".")
        assert get_method(method.name) is method


def test_an_entry_has_what_its_kind_needs() -> None:
    about = {"summary": "Something.", "reference": "Nobody 2000"}
    for kind in MethodKind:
        assert kind in FAMILIES
        with pytest.raises(TypeError, match="not complete"):
            Method(name="something", kind=kind, **about)
    with pytest.raises(TypeError, match="not complete"):
        Method("something", MethodKind.NETWORK, **about, fit=fit, forecast=forecast_regulon)


def some_arguments(method: Method) -> dict[str, Any]:
    """Arguments with which a method is fast, and fits few genes."""
    if method.kind is MethodKind.EMBEDDING:
        return {"dimension": 2}
    if method.kind is MethodKind.GRAPH:
        rank = {"factors": 2} if "factors" in inspect.signature(method.fit).parameters else {}
        return {"penalty": 1.0, "epochs": 4, **rank}
    return {"n_estimators": 3} if method.is_random else {}


def task_for(method: Method) -> ModelTask:
    rng = np.random.default_rng(5)
    labels = ("A",) * 3 + ("B",) * 3 + ("D",) * 3 + ("ctl",) * 27
    data = TrainingData(
        expression=rng.normal(size=(36, 5)) + 2,
        genes=GENES[:5],
        perturbations=Perturbations(labels, (0.0,) * 9 + (np.nan,) * 27),
        is_control=np.arange(36) >= 9,
    )
    network = RegulatorySets.from_edges(["A", "B", "B"], ["B", "C", "D"])
    choices = choices_of(method)
    takes_network = choices is None or "network" in choices
    return ModelTask(data, some_arguments(method), network=network if takes_network else None)


REQUESTS = Perturbations(
    labels=("B", "ctl", "A,B"),
    stated_levels=(1.0, np.nan, "0.5,1.5"),
    is_control=np.array([False, True, False]),
)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_fits_and_forecasts(method: Method) -> None:
    task = task_for(method)
    model = fit_model(method, task)
    assert model.method == method.name
    assert model.genes == task.data.genes
    before = np.array(task.data.expression)
    forecast = model.predict(REQUESTS)
    found = forecast.expression[1]
    assert found.shape == (3, 5)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[[0, 2, 2], [1, 0, 1]], [1.0, 0.5, 1.5])
    np.testing.assert_array_equal(model.predict(REQUESTS).expression[1], found)
    np.testing.assert_array_equal(task.data.expression, before)
    again = fit_model(method, task).predict(REQUESTS).expression[1]
    np.testing.assert_array_equal(again, found)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_takes_a_start_and_leaves_it_as_it_is(method: Method) -> None:
    model = fit_model(method, task_for(method))
    start = np.tile(np.linspace(0.0, 4.0, 5), (3, 1))
    kept = start.copy()
    found = model.predict(REQUESTS, starting_expression=start).expression[1]
    np.testing.assert_array_equal(start, kept)
    # These add changes to the start, and controls do not change.
    if not method.is_regression and method.kind is not MethodKind.GRAPH:
        np.testing.assert_array_equal(found[1], start[1])


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_is_stored_as_its_entry_says(method: Method) -> None:
    task = task_for(method)
    storage = storage_of(method, task.arguments)
    model = fit_model(method, task)
    assert model.is_plain == (storage is Storage.ARRAYS)
    if storage is not Storage.ARRAYS:
        with pytest.raises(UsageError, match=r"not linear|fits nothing"):
            model.to_arrays()
        return
    again = from_arrays(through_a_file(model.to_arrays()))
    assert (again.method, again.genes, again.notes) == (model.method, model.genes, model.notes)
    np.testing.assert_array_equal(
        again.predict(REQUESTS).expression[1], model.predict(REQUESTS).expression[1]
    )


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_refuses_arguments_and_steps_that_it_has_not(method: Method) -> None:
    task = task_for(method)
    with pytest.raises(UsageError, match="argument 'no_such_argument'"):
        fit_model(method, replace(task, arguments={"no_such_argument": 1}))
    choices = choices_of(method)
    model = fit_model(method, task)
    if choices is not None and "steps" not in choices:
        with pytest.raises(UsageError, match="forecasts in one step"):
            model.predict(REQUESTS, steps=(1, 2))
    if choices is not None and "control_subtype" not in choices:
        with pytest.raises(UsageError, match="forecasts in one step"):
            model.predict(REQUESTS, control_subtype="ctl")
    if choices is not None and "network" in choices:
        with pytest.raises(UsageError, match="forecasts from a network"):
            fit_model(method, replace(task, network=None))


@pytest.mark.parametrize("method", ["RidgeCV", "regulon"])
def test_perturbed_genes_can_be_left_as_the_model_has_them(method: str) -> None:
    rng = np.random.default_rng(0)
    genes = tuple("ABCD")
    labels = ("ctrl", "ctrl", "A", "B", "C", "A", "B", "C")
    expression = rng.normal(5, 1, (8, 4))
    data = TrainingData(
        expression=expression,
        genes=genes,
        perturbations=Perturbations(labels, (np.nan, np.nan, *(0.0,) * 6)),
        is_control=np.array([True, True, *(False,) * 6]),
    )
    network = RegulatorySets.from_edges(["A", "B"], ["B", "B"]) if method == "regulon" else None
    model = fit_model(get_method(method), ModelTask(data=data, network=network, regulators=genes))
    wanted = Perturbations(("A", "B"), (9.0, 9.0))
    held = model.predict(wanted).expression[1]
    free = model.predict(wanted, hold_output=False).expression[1]
    assert held[0, 0] == held[1, 1] == 9.0
    assert free[0, 0] != 9.0
    # B is among its own targets in the network.
    assert (free[1, 1] == 9.0) == (method == "regulon")
    elsewhere = np.ones((2, 4), dtype=bool)
    elsewhere[[0, 1], [0, 1]] = False
    np.testing.assert_array_equal(held[elsewhere], free[elsewhere])
