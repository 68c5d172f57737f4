"""Regressions of rows that are not in memory are those of the rows, and scikit-learn's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import sklearn.kernel_ridge
import sklearn.linear_model
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.model_selection import KFold

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.resources import Resources
from pereggrn_data.core.rows.row_blocks import RowSource, StoredMatrix
from pereggrn_data.models.fit_warnings import noting_warnings
from pereggrn_data.models.grammar.choices import Grammar
from pereggrn_data.models.grammar.fitting import learns_in_blocks, what_learns_in_blocks
from pereggrn_data.models.inputs import HeldLevels
from pereggrn_data.models.methods import METHODS, Method, get_method
from pereggrn_data.models.moments import by_moments
from pereggrn_data.models.moments.stand_ins import StandIns
from pereggrn_data.models.regression import RegressionTask
from pereggrn_data.models.stored_columns import StoredColumns
from pereggrn_data.models.sums import Sums
from pereggrn_data.models.target_blocks import fitting_block, with_fitted

BY_MOMENTS = [m for m in METHODS if m.in_blocks is not None and m.by_gene]
GENES = 6

ARGUMENTS: dict[str, tuple[dict[str, Any], ...]] = {
    "Lasso": (
        {"alpha": 0.05},
        {},
        {"alpha": 0.02, "fit_intercept": False},
        {"alpha": 0.1, "positive": True, "precompute": True},
        {"alpha": 0.05, "selection": "random", "tol": 1e-9, "max_iter": 5000},
    ),
    "LassoCV": (
        {"alphas": 8},
        {"cv": 5, "alphas": 5, "fit_intercept": False},
        {"alphas": [0.3, 0.01, 0.1], "selection": "random"},
        {"alphas": 7, "eps": 0.1, "positive": True, "precompute": False},
    ),
    "ElasticNetCV": (
        {"alphas": 8},
        {"l1_ratio": [0.2, 0.9], "alphas": 4},
        {"l1_ratio": 0.01, "alphas": 5},
    ),
    "BayesianRidge": ({}, {"fit_intercept": False}, {"max_iter": 3, "lambda_2": 1.0}),
    "KernelRidge": ({}, {"alpha": 0.3}),
}


def stored_matrix(values: Any) -> StoredMatrix:
    """Return a matrix that is read in blocks."""

    @contextmanager
    def reading() -> Any:
        yield lambda start, stop: values[start:stop]

    is_sparse = bool(sparse.issparse(values))
    return StoredMatrix(RowSource(values.shape, values.dtype, is_sparse, reading))


def both(
    values: Any,
    columns: Any,
    excluded: Mapping[int, Any],
    *,
    is_sparse: bool = False,
    order: Any = None,
    **more: Any,
) -> tuple[RegressionTask, RegressionTask]:
    """Return a task in memory, and the same one not in memory."""
    n, genes = values.shape
    own = np.full(genes, -1)
    own[columns] = np.arange(columns.size)
    at = np.array(
        [(i, own[j]) for j, rows in excluded.items() if own[j] >= 0 for i in rows], dtype=np.intp
    ).reshape(-1, 2)
    at = at[np.lexsort((at[:, 1], at[:, 0]))]
    levels = HeldLevels(at[:, 0], at[:, 1], np.linspace(-1, 1, len(at)), 0)
    features = values[:, columns].astype(np.float64)
    levels.hold(features)
    names = tuple(f"G{j}" for j in range(genes))
    held = RegressionTask(features, values, names, own, dict(excluded), **more)
    order = np.arange(n) if order is None else order
    placed = np.empty_like(values)
    placed[order] = values
    matrix = stored_matrix(sparse.csr_array(placed) if is_sparse else placed)[order]
    x, y = StoredColumns(matrix, columns, levels), StoredColumns(matrix, np.arange(genes))
    return held, replace(held, features=x, responses=y)


def expression(rng: np.random.Generator, n: int, genes: int = GENES, offset: float = 5.0) -> Any:
    """Return expression that depends on that of other genes."""
    factors = rng.normal(size=(n, 3)) @ rng.normal(size=(3, genes))
    return factors * np.linspace(0, 1, genes) + rng.normal(size=(n, genes)) + offset


def at_a_time(rows: int, memory: int) -> Any:
    """Read so many rows at once, and work on as few targets as fit into the memory."""
    return mock.patch.multiple(Resources, values_in_a_block=rows * GENES, memory_bytes=memory)


def quietly(method: Method, task: RegressionTask) -> Any:
    with noting_warnings():
        return method.fit(task)  # type: ignore[misc]


def or_failure(method: Method, task: RegressionTask) -> tuple[Any, Any]:
    try:
        return quietly(method, task), None
    except InvalidDataError as error:
        return None, error.got


def by_scikit_learn(method: Method, task: RegressionTask, j: int) -> Any:
    """Fit a target as anybody would who has the rows."""
    given = dict(task.arguments)
    if "selection" in given:
        given["random_state"] = task.seed
    module = sklearn.kernel_ridge if method.name == "KernelRidge" else sklearn.linear_model
    x = np.asarray(task.features)[:, task.features_of(j)]
    kept = task.rows_of(j)
    with noting_warnings():
        made = getattr(module, method.name)(**given).fit(x[kept], task.responses[kept, j])
        return made.predict(x), getattr(made, "alpha_", np.nan)


@st.composite
def tasks(draw: st.DrawFn) -> tuple[RegressionTask, RegressionTask]:
    """Draw data of all sorts, and rows that some genes leave out."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p, n = draw(st.integers(1, 4)), draw(st.integers(12, 120))
    values = expression(rng, n, offset=draw(st.sampled_from([0.0, 5.0, 30.0])))
    is_sparse = draw(st.booleans())
    if is_sparse:
        values = np.maximum(values - values.mean(axis=0), 0)
    columns = rng.permutation(GENES)[:p]
    if draw(st.booleans()):  # a feature that says hardly more than another one, and a constant
        values[:, columns[-1]] = values[:, columns[0]] * 3 + 1e-3 * rng.normal(size=n)
        values[:, rng.integers(GENES)] = draw(st.sampled_from([0.0, 2.3]))
    if draw(st.booleans()):
        values[:, columns[0]] *= draw(st.sampled_from([1e-3, 10.0]))
    excluded = {}
    bounds = [k * n // 5 for k in range(6)]
    for j in draw(st.lists(st.integers(0, GENES - 1), unique=True, max_size=5)):
        kind = draw(st.sampled_from(["bound", "some", "most", "same", "fold"]))
        near = draw(st.sampled_from(bounds)) + draw(st.integers(-2, 2))
        rows = {
            "bound": np.arange(near - draw(st.integers(0, 3)), near + 2),
            "some": rng.integers(0, n, draw(st.integers(1, 6))),
            "most": rng.permutation(n)[: n - draw(st.integers(2, 9))],
            "same": np.arange(3, 8),
            "fold": np.arange(bounds[1], bounds[3]),
        }[kind]
        excluded[j] = np.unique(rows[(rows >= 0) & (rows < n)]).astype(np.intp)
    order = rng.permutation(n) if draw(st.booleans()) else None
    return both(values, columns, excluded, is_sparse=is_sparse, order=order)


@pytest.mark.parametrize("method", BY_MOMENTS, ids=lambda method: method.name)
@settings(
    max_examples=100 if os.environ.get("PEREGGRN_TRIALS") == "1" else 20,
    # What rounding may change is told from what is wrong by limits, which trials explore.
    derandomize=os.environ.get("PEREGGRN_TRIALS") != "1",
)
@given(data=st.data())
def test_rows_in_blocks_are_fitted_as_rows_in_memory_and_as_scikit_learn_does(
    method: Method, data: st.DataObject
) -> None:
    held, stored = data.draw(tasks())
    n, p = stored.features.shape
    arguments = data.draw(st.sampled_from(ARGUMENTS[method.name]))
    held, stored = replace(held, arguments=arguments), replace(stored, arguments=arguments)
    assume(n > p)
    rows = data.draw(st.sampled_from([4, 17, 1000]))
    memory = data.draw(st.sampled_from([1, 10**6]))
    expected, failure = or_failure(method, held)
    with at_a_time(rows, memory):
        found, told = or_failure(method, stored)
    assert told == failure
    if failure is not None:
        return
    x = np.asarray(held.features)
    spread = np.std(held.responses, axis=0) + 1e-6 * np.abs(held.responses).max()
    # Of a response that does not vary, penalties are as good as each other.
    decided = [j for j in range(GENES) if np.ptp(held.responses[held.rows_of(j), j]) > 1e-6]
    # Features that do not vary leave penalties of rounding.
    alike: Any = {"rtol": 1e-6, "atol": 1e-14}
    np.testing.assert_allclose(found.alphas[decided], expected.alphas[decided], **alike)
    error = (found.predict(x) - expected.predict(x)) / spread
    np.testing.assert_allclose(error[:, decided], 0.0, atol=1e-6)
    for j in data.draw(st.sets(st.sampled_from(decided or [0]), max_size=2)):
        if j in decided and held.features_of(j).size and held.rows_of(j).sum() >= 5:
            predicted, alpha = by_scikit_learn(method, held, j)
            if not np.isnan(found.alphas[j]):
                np.testing.assert_allclose(found.alphas[j], alpha, **alike)
            error = (found.predict(x)[:, j] - predicted) / spread[j]
            np.testing.assert_allclose(error, 0.0, atol=1e-6)


@given(n=st.integers(5, 60), without=st.sets(st.integers(0, 59)))
def test_folds_are_those_of_the_rows_that_are_left(n: int, without: set[int]) -> None:
    left_out = np.array(sorted(i for i in without if i < n), dtype=np.intp)
    kept = np.delete(np.arange(n), left_out)
    assume(kept.size >= 5)
    expected = np.full(n, -1)
    for k, (_, test) in enumerate(KFold(5).split(kept)):
        expected[kept[test]] = k
    assert by_moments._numbers(n, 5, left_out).tolist() == expected.tolist()


@given(data=st.data(), n=st.integers(1, 40), p=st.integers(0, 6))
def test_a_few_rows_have_the_sums_of_many(data: st.DataObject, n: int, p: int) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = rng.normal(size=(n, p)) * 10.0 ** rng.integers(-4, 4, p) + rng.choice([0.0, 100.0], p)
    y = rng.normal(size=(n, 2)) + x.sum(axis=1, keepdims=True)
    if p > 1 and data.draw(st.booleans()):
        x[:, 0], x[:, 1] = 1.7, x[:, -1] * 2
    sums, cut = Sums(p, 2), data.draw(st.integers(0, n))
    sums.add(x[:cut], y[:cut])
    sums.add(x[cut:], y[cut:])
    made = StandIns(sums)
    few_x, few_y = made.features, made.responses(np.array([1, 0]))[:, ::-1]
    assert few_x.shape == (p + 2, p)
    assert made.weight * (p + 2) == pytest.approx(n)
    many, few = np.column_stack([x, y]), np.column_stack([few_x, few_y])
    size = np.abs(many).max(axis=0)
    np.testing.assert_allclose(few.mean(axis=0) / size, many.mean(axis=0) / size, atol=1e-13)
    spread = np.sqrt(np.square(many - many.mean(axis=0)).sum(axis=0))
    size = np.maximum(spread, 1e-6 * np.abs(many).max(axis=0))
    scaled = [(a - a.mean(axis=0)) / size for a in (many, few)]
    products = [scaled[0].T @ scaled[0], made.weight * scaled[1].T @ scaled[1]]
    # Of two responses with each other, nothing is kept.
    products[0][p, p + 1] = products[0][p + 1, p] = products[1][p, p + 1] = products[1][
        p + 1, p
    ] = 0
    np.testing.assert_allclose(products[1], products[0], atol=1e-9)


def some_task(seed: int = 0, **more: Any) -> tuple[RegressionTask, RegressionTask]:
    """Return a task whose genes leave out rows of each kind, and the same not in memory."""
    rng = np.random.default_rng(seed)
    excluded = {
        0: np.arange(17, 22),
        1: np.array([0, 19, 20, 99]),
        2: np.arange(17, 22),
        3: np.arange(60),
        4: np.arange(6, 100),
    }
    return both(expression(rng, 100), np.array([1, 5, 0]), excluded, **more)


def assert_the_same(found: Any, expected: Any, rtol: float = 1e-8) -> None:
    np.testing.assert_allclose(found.alphas, expected.alphas, rtol=rtol)
    coefficients = expected.dense_coefficients()
    np.testing.assert_allclose(
        found.dense_coefficients(), coefficients, rtol=rtol, atol=rtol * np.abs(coefficients).max()
    )
    np.testing.assert_allclose(found.intercepts, expected.intercepts, rtol=rtol)


@pytest.mark.parametrize("method", BY_MOMENTS, ids=lambda method: method.name)
def test_rows_that_dwarf_all_others_leave_no_trace_where_they_are_left_out(method: Method) -> None:
    """A gene that is expressed only where another one is perturbed: what remains is 0."""
    arguments = ARGUMENTS[method.name][0]
    rng = np.random.default_rng(5)
    values = expression(rng, 200)
    rows = np.arange(90, 99)
    values[:, 1] = 0.0
    values[rows, 1] = 1e4 + np.arange(9)
    values[rows, 5] = 1e7
    held, stored = both(values, np.array([1, 5, 0]), {3: rows, 2: rows[:-1]}, arguments=arguments)
    expected = quietly(method, held.subset(np.array([3])))
    found = quietly(method, stored.subset(np.array([3])))
    assert_the_same(found, expected)
    careless = StandIns(without(stored, rows))
    # The test can fail: sums from which the large ones were taken away are not accurate.
    kept = np.delete(held.features, rows, axis=0)
    true = np.var(kept[:, 1])
    assert abs(np.var(careless.features[:, 1]) * careless.weight * 5 / 191 / true - 1) > 1e-6


def without(stored: RegressionTask, rows: Any) -> Sums:
    x, y = by_moments._read(
        stored.features,
        stored.responses,
        np.arange(200),
        np.arange(GENES),  # type: ignore[arg-type]
    )
    sums = Sums(x.shape[1], GENES)
    sums.add(x, y)
    sums.add(x[rows], y[rows], -1)
    return sums


@pytest.mark.parametrize("method", BY_MOMENTS, ids=lambda method: method.name)
def test_processes_that_share_targets_fit_them_once(method: Method) -> None:
    held, stored = some_task(arguments=ARGUMENTS[method.name][0])
    made: dict[str, Any] = {}
    for number in range(3):
        with fitting_block(number, 3) as part:
            quietly(method, stored)
        assert not set(part) & set(made)
        made.update(part)
    assert len(made) == GENES
    with (
        with_fitted(made),
        mock.patch("pereggrn_data.models.estimators.fit_block", return_value=[]),
    ):
        found = quietly(method, stored)
    assert_the_same(found, quietly(method, held))


def test_jobs_share_targets() -> None:
    held, stored = some_task(arguments={"alphas": 10}, jobs=2)
    method = get_method("LassoCV")
    assert_the_same(quietly(method, stored), quietly(method, replace(held, jobs=1)))


def test_how_far_it_is_is_told() -> None:
    told: list[tuple[int, int]] = []
    _, stored = some_task(progress=lambda done, of: told.append((done, of)))
    quietly(get_method("BayesianRidge"), stored)
    assert told == sorted(told)
    assert told[-1] == (GENES, GENES)


def test_genes_without_features_get_their_means() -> None:
    values = expression(np.random.default_rng(1), 103)
    held, stored = both(values, np.array([2]), {2: np.arange(3), 3: np.arange(20, 27)})
    for name in ("LassoCV", "BayesianRidge"):
        found = quietly(get_method(name), stored)
        assert found.intercepts[2] == pytest.approx(values[3:, 2].mean(), rel=1e-12)
        assert_the_same(found, quietly(get_method(name), held))
    held, stored = both(values, np.empty(0, dtype=np.intp), {3: np.arange(20, 27)})
    found = quietly(get_method("LassoCV"), stored)
    np.testing.assert_allclose(found.intercepts, quietly(get_method("LassoCV"), held).intercepts)


def test_what_scikit_learn_warns_of_is_noted() -> None:
    held, stored = some_task(arguments={"max_iter": 1, "alpha": 0.01})
    expected, found = (get_method("Lasso").fit(task) for task in (held, stored))  # type: ignore[misc]
    assert found.notes[0].split(" Duality gap")[0] == expected.notes[0].split(" Duality gap")[0]
    assert "did not converge" in found.notes[0]


def test_too_few_rows_for_the_folds_fail_as_in_memory() -> None:
    values = expression(np.random.default_rng(1), 100)
    held, stored = both(values, np.array([1, 5, 0]), {4: np.arange(3, 100)})
    errors = []
    for task in (held, stored):
        with pytest.raises(InvalidDataError, match="cannot be fitted to 1 of 6 genes") as caught:
            quietly(get_method("LassoCV"), task)
        errors.append(caught.value.got)
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Lasso", {"alpha": "much"}),
        ("LassoCV", {"eps": -1}),
        ("BayesianRidge", {"alpha": 1.0}),
        ("KernelRidge", {"alpha": -1.0}),
        ("ElasticNetCV", {"precompute": [[1.0]]}),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_read(
    name: str, arguments: dict[str, Any]
) -> None:
    held, stored = some_task(arguments=arguments)
    with pytest.raises(UsageError) as expected:
        quietly(get_method(name), held)
    unread = mock.patch.object(StoredColumns, "each_part", side_effect=AssertionError)
    with unread, pytest.raises(UsageError) as found:
        quietly(get_method(name), stored)
    assert str(found.value) == str(expected.value)


def test_arguments_decide_whether_it_goes_in_blocks() -> None:
    def goes(method: str, **arguments: Any) -> bool:
        grammar = Grammar(method=method, method_arguments=arguments)
        return learns_in_blocks(grammar, None, 1000, 10)

    for method in METHODS:
        if method.is_regression:
            assert goes(method.name) == (method.in_blocks is not None)
    assert goes("LassoCV", cv=5)
    assert goes("LassoCV", cv=None)
    assert goes("KernelRidge", kernel="linear", alpha=3)
    assert not any(goes("LassoCV", cv=cv) for cv in (4, 5.0, True, "5", [[1], [2]]))
    assert not goes("KernelRidge", kernel="rbf")
    assert not goes("KernelRidge", alpha=[1.0])
    assert "KernelRidge (with kernel linear and alpha one number)" in what_learns_in_blocks()


@pytest.mark.parametrize("method", BY_MOMENTS, ids=lambda method: method.name)
def test_a_batch_of_genes_is_read_once(method: Method) -> None:
    _, stored = some_task(arguments=ARGUMENTS[method.name][0])
    stored = replace(stored, excluded={j: stored.excluded[j] for j in range(3)})
    readings = []
    each = StoredColumns.each_part

    def counted(columns: StoredColumns) -> Any:
        readings.append(columns.shape[0])
        return each(columns)

    with mock.patch.object(StoredColumns, "each_part", counted):
        quietly(method, stored)
    # Once all rows, and once those by which genes differ from the others.
    assert len(readings) == 2
    assert readings[1] < readings[0] == 100
