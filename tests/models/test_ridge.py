"""Ridge regression of all genes at once against scikit-learn, one gene at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeCV

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.models import sums
from pereggrn_data.models.regression import RegressionTask
from pereggrn_data.models.ridge import dual, primal, small
from pereggrn_data.models.ridge.ridge_cv import (
    SHARED_BY,
    _alone,
    fit_ridge_cv,
    fit_ridge_cv_extra_penalty,
)

ALPHAS = (0.01, 0.1, 1.0, 10.0, 100.0)


def random_task(
    seed: int,
    n: int,
    p: int,
    n_targets: int,
    *,
    network: bool = False,
    most_excluded: int = 4,
    scale: float = 1.0,
) -> RegressionTask:
    """Return a task with own columns and excluded rows, as perturbation data have them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * scale + 3.0
    y = x @ rng.normal(size=(p, n_targets)) * rng.uniform(0, 0.5) + rng.normal(size=(n, n_targets))
    own = np.full(n_targets, -1)
    m = min(p, n_targets) // 2
    own[:m] = rng.permutation(p)[:m]
    y[:, :m] = x[:, own[:m]]
    excluded = {
        j: np.sort(rng.permutation(n)[: rng.integers(1, most_excluded + 1)])
        for j in range(0, n_targets, 2)
    }
    allowed = None
    if network:
        sizes = rng.integers(0, p, n_targets)
        allowed = tuple(
            np.setdiff1d(rng.permutation(p)[:k], own[j]).astype(np.intp)
            for j, k in enumerate(sizes)
        )
    names = tuple(f"G{j}" for j in range(n_targets))
    return RegressionTask(x, y, names, own, excluded, allowed)


def by_scikit_learn(task: RegressionTask, alphas: tuple[float, ...] = ALPHAS) -> list[Any]:
    x, y = np.asarray(task.features, float), task.responses
    fitted = []
    for j in range(task.n_targets):
        rows, columns = task.rows_of(j), task.features_of(j)
        features = x[rows][:, columns] if columns.size else np.ones((rows.sum(), 1))
        fitted.append((columns, RidgeCV(alphas=alphas).fit(features, y[rows, j])))
    return fitted


def assert_the_same(task: RegressionTask, model: Any, expected: list[Any], atol: float) -> None:
    x = np.asarray(task.features, float)
    found = model.predict(x)
    for j, (columns, one) in enumerate(expected):
        features = x[:, columns] if columns.size else np.ones((x.shape[0], 1))
        np.testing.assert_allclose(found[:, j], one.predict(features), rtol=0, atol=atol)
        if columns.size:
            assert model.alphas[j] == one.alpha_
            dense = model.dense_coefficients()[j]
            np.testing.assert_allclose(dense[columns], one.coef_, rtol=0, atol=atol)
            assert not np.delete(dense, columns).any()


@pytest.mark.parametrize(
    ("n", "p", "solver"), [(25, 40, "dual"), (30, 30, "dual"), (60, 15, "primal")]
)
@pytest.mark.parametrize("scale", [0.05, 1.0, 10.0])
def test_dense_is_scikit_learn(n: int, p: int, solver: str, scale: float) -> None:
    task = random_task(1, n, p, 24, scale=scale)
    assert_the_same(task, fit_ridge_cv(task), by_scikit_learn(task), atol=1e-9)


def test_primal_with_many_excluded_rows_fits_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets that leave out much are fitted by themselves, and the rest together."""
    found = []
    apart = primal._apart
    monkeypatch.setattr(primal, "_apart", lambda task: found.extend(apart(task)) or found)
    task = random_task(2, 80, 12, 20, most_excluded=30)
    task.excluded[3] = np.array([7])
    task.excluded[5] = task.excluded[0]
    task.excluded[7] = np.setdiff1d(np.arange(80), np.arange(30, 50))
    assert_the_same(task, fit_ridge_cv(task), by_scikit_learn(task), atol=1e-9)
    groups = [group.targets.tolist() for group in found]
    assert [7] in groups
    assert [0, 5] in groups
    assert 1 < len(groups) < len(task.excluded) - 1
    assert not any(3 in group for group in groups)


@pytest.mark.parametrize(("n", "p"), [(40, 25), (12, 25)])
@pytest.mark.parametrize("jobs", [1, 2])
def test_network_is_scikit_learn(n: int, p: int, jobs: int) -> None:
    task = replace(random_task(3, n, p, 60, network=True), jobs=jobs)
    assert_the_same(task, fit_ridge_cv(task), by_scikit_learn(task), atol=1e-9)


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    for n, p in [(25, 40), (60, 15)]:
        task = random_task(4, n, p, 150)
        whole = fit_ridge_cv(task)
        monkeypatch.setattr(dual, "BLOCK_VALUES", 1)
        monkeypatch.setattr(dual, "CACHED_VALUES", 1)
        for module in (primal, sums):
            monkeypatch.setattr(module, "TARGETS", 11)
        monkeypatch.setattr(primal, "ROWS", 7)
        monkeypatch.setattr(primal, "EXCLUDED_ROWS", 9)
        parts = fit_ridge_cv(task)
        monkeypatch.undo()
        np.testing.assert_array_equal(whole.alphas, parts.alphas)
        np.testing.assert_allclose(whole.coefficients, parts.coefficients, rtol=0, atol=1e-11)
    task = random_task(5, 40, 25, 60, network=True)
    whole = fit_ridge_cv(task)
    monkeypatch.setattr(small, "BATCH_VALUES", 1)
    parts = fit_ridge_cv(task)
    np.testing.assert_allclose(whole.predict(task.features), parts.predict(task.features))


def test_a_full_network_is_the_dense_one() -> None:
    task = random_task(6, 25, 40, 24)
    full = replace(task, allowed=tuple(task.features_of(j) for j in range(24)))
    dense, restricted = fit_ridge_cv(task), fit_ridge_cv(full)
    np.testing.assert_allclose(restricted.coefficients, dense.coefficients, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(restricted.alphas, dense.alphas)


def test_sparse_and_float32_responses() -> None:
    for n, p in [(25, 40), (60, 15)]:
        task = random_task(7, n, p, 24)
        y = np.where(task.responses > 0, task.responses, 0).astype(np.float32)
        small = replace(task, features=task.features.astype(np.float32))
        dense = fit_ridge_cv(replace(small, responses=y))
        sparse = fit_ridge_cv(replace(small, responses=scipy.sparse.csr_array(y)))
        np.testing.assert_allclose(sparse.coefficients, dense.coefficients, rtol=0, atol=1e-12)
        wide = replace(small, features=small.features.astype(float), responses=y.astype(float))
        np.testing.assert_allclose(dense.coefficients, fit_ridge_cv(wide).coefficients, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(6, 30),
    p=st.integers(1, 30),
    network=st.booleans(),
    scale=st.sampled_from([0.1, 1.0, 5.0]),
)
def test_any_shape_is_scikit_learn(seed: int, n: int, p: int, network: bool, scale: float) -> None:
    task = random_task(seed, n, p, 8, network=network, most_excluded=3, scale=scale)
    model, expected = fit_ridge_cv(task), by_scikit_learn(task)
    x = np.asarray(task.features, float)
    found = model.predict(x)
    for j, (columns, one) in enumerate(expected):
        features = x[:, columns] if columns.size else np.ones((n, 1))
        if columns.size and model.alphas[j] != one.alpha_:
            # The winner is a tie to the last digits.
            scores = leave_one_out(task, j)
            assert scores[model.alphas[j]] == pytest.approx(scores[one.alpha_], rel=1e-6)
            continue
        np.testing.assert_allclose(found[:, j], one.predict(features), rtol=0, atol=1e-6)


def leave_one_out(task: RegressionTask, j: int) -> dict[float, float]:
    """Mean squared error over really leaving out each observation in turn."""
    from sklearn.linear_model import Ridge

    rows = np.flatnonzero(task.rows_of(j))
    x, y = np.asarray(task.features)[:, task.features_of(j)], task.responses[:, j]
    scores = {}
    for alpha in ALPHAS:
        errors = []
        for i in rows:
            others = rows[rows != i]
            one = Ridge(alpha=alpha, solver="cholesky").fit(x[others], y[others])
            errors.append((one.predict(x[[i]])[0] - y[i]) ** 2)
        scores[alpha] = float(np.mean(errors))
    return scores


@pytest.mark.parametrize(("n", "p"), [(12, 20), (20, 8)])
def test_the_penalty_is_that_of_really_leaving_one_out(n: int, p: int) -> None:
    task = random_task(8, n, p, 8)
    model = fit_ridge_cv(task)
    for j in range(8):
        scores = leave_one_out(task, j)
        assert model.alphas[j] == min(scores, key=scores.__getitem__)


@pytest.mark.parametrize(("n", "p"), [(20, 30), (40, 12)])
def test_duplicate_and_constant_columns(n: int, p: int) -> None:
    task = random_task(9, n, p, 10)
    x = np.asarray(task.features).copy()
    x[:, 1] = x[:, 0]
    x[:, 2] = 5.0
    y = task.responses.copy()
    y[:, 9] = 1.5
    task = replace(task, features=x, responses=y)
    model = fit_ridge_cv(task)
    found = model.predict(x)
    np.testing.assert_allclose(found[:, 9], 1.5, atol=1e-9)
    for j, (columns, one) in enumerate(by_scikit_learn(task)[:9]):
        assert model.alphas[j] == one.alpha_
        np.testing.assert_allclose(found[:, j], one.predict(x[:, columns]), rtol=0, atol=1e-6)


def test_too_few_observations_and_no_features_give_the_mean() -> None:
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(3, 4)), rng.normal(size=(3, 3))
    own, names = np.full(3, -1), ("a", "b", "c")
    excluded = {0: np.array([0, 1])}
    allowed = (np.arange(4), np.empty(0, dtype=np.intp), np.arange(4))
    for network in (None, allowed):
        model = fit_ridge_cv(RegressionTask(x, y, names, own, excluded, network))
        found = model.predict(rng.normal(size=(5, 4)))
        np.testing.assert_allclose(found[:, 0], y[2, 0])
        assert np.ptp(found[:, 2]) > 0
        if network is not None:
            np.testing.assert_allclose(found[:, 1], y[:, 1].mean())
            assert np.isnan(model.alphas[1])
    lonely = RegressionTask(x[:, :1], y, names, np.array([0, -1, -1]), {})
    np.testing.assert_allclose(fit_ridge_cv(lonely).predict(x[:, :1])[:, 0], y[:, 0].mean())


@pytest.mark.parametrize("network", [False, True])
def test_extra_penalty_refits_where_the_largest_won(network: bool) -> None:
    rng = np.random.default_rng(11)
    task = random_task(11, 25, 40, 24, network=network)
    y = task.responses.copy()
    y[:, 12:] = rng.normal(size=(25, 12))
    task = replace(task, responses=y)
    model = fit_ridge_cv_extra_penalty(task)
    x = np.asarray(task.features)
    found = model.predict(x)
    refitted = 0
    first = by_scikit_learn(task)
    larger = by_scikit_learn(task, tuple(100 * 10.0**k for k in range(-1, 6)))
    for j, (columns, one) in enumerate(first):
        if not columns.size:
            continue
        expected = larger[j][1] if one.alpha_ == 100 else one
        refitted += one.alpha_ == 100
        if model.alphas[j] != expected.alpha_:
            # With hardly any signal left, all large penalties do equally well.
            assert min(model.alphas[j], expected.alpha_) >= 1e4
            continue
        np.testing.assert_allclose(found[:, j], expected.predict(x[:, columns]), atol=1e-7)
    assert 0 < refitted < 24


def test_arguments_are_checked() -> None:
    task = random_task(12, 10, 5, 4)
    one = fit_ridge_cv(replace(task, arguments={"alphas": 3.0}))
    assert set(one.alphas) == {3.0}
    with pytest.raises(UsageError, match="no argument 'scoring'"):
        fit_ridge_cv(replace(task, arguments={"scoring": "r2"}))
    for wrong in ([], [0.0], [1.0, -1.0], [np.nan]):
        with pytest.raises(UsageError, match="must be positive"):
            fit_ridge_cv(replace(task, arguments={"alphas": wrong}))


def test_progress_reaches_the_end() -> None:
    seen: list[tuple[int, int]] = []
    task = replace(random_task(13, 20, 12, 30, network=True), progress=lambda *a: seen.append(a))
    fit_ridge_cv(task)
    assert seen[-1] == (30, 30)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize(("n", "p"), [(20, 30), (60, 15)])
@pytest.mark.parametrize("size", [1e9, 1e200])
@pytest.mark.parametrize("network", [False, True])
def test_values_too_large_to_solve_are_an_error(
    n: int, p: int, size: float, *, network: bool
) -> None:
    """One such value makes the rest indistinguishable, or the numbers overflow."""
    task = random_task(5, n, p, 12)
    x = np.asarray(task.features).copy()
    x[2, 3], x[:, 5] = size, x[:, 4]
    allowed = None
    if network:
        allowed = tuple(np.array([3, 4, 5, 6 + j], dtype=np.intp) for j in range(8))
        task = task.subset(np.arange(8, dtype=np.intp))
    excluded = {0: np.array([2]), 1: np.array([4])}
    own = np.full(task.n_targets, -1)
    task = replace(task, features=x, allowed=allowed, excluded=excluded, own=own)
    with pytest.raises(InvalidDataError, match="no accurate solution"):
        fit_ridge_cv(task)


@pytest.mark.parametrize("given", ["abc", "1", None, [1, None], [], [[1]], [True], 0, [1, np.nan]])
def test_penalties_of_a_wrong_kind_are_refused(given: Any) -> None:
    task = replace(random_task(6, 20, 5, 4), arguments={"alphas": given})
    with pytest.raises(UsageError, match="must be positive"):
        fit_ridge_cv(task)


@pytest.mark.parametrize(("n", "p", "network"), [(25, 40, False), (60, 15, False), (60, 15, True)])
def test_progress_is_told_on_the_way(
    monkeypatch: pytest.MonkeyPatch, n: int, p: int, *, network: bool
) -> None:
    monkeypatch.setattr(dual, "BLOCK_VALUES", 1)
    monkeypatch.setattr(primal, "ROWS", 20)
    monkeypatch.setattr(primal, "TARGETS", 50)
    seen: list[tuple[int, int]] = []
    task = random_task(7, n, p, 150, network=network, most_excluded=30 if n == 60 else 4)
    fit_ridge_cv(replace(task, progress=lambda *at: seen.append(at)))
    done = [at for at, _ in seen]
    assert seen[-1] == (150, 150)
    assert done == sorted(done)
    assert len(set(done)) > 4


def test_penalties_beyond_all_numbers_are_an_error() -> None:
    x = np.random.default_rng(0).normal(size=(8, 20))
    task = RegressionTask(
        x, x[:, :3], ("a", "b", "c"), np.full(3, -1), {}, None, arguments={"alphas": [1e300]}
    )
    with pytest.raises(InvalidDataError, match="not a number"):
        fit_ridge_cv(task)


@given(seed=st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_who_shares_features_is_counted_rightly(seed: int) -> None:
    """Own columns counted in, whether they are among the features or not."""
    rng = np.random.default_rng(seed)
    n_targets, p = 30, 4
    own = rng.integers(-1, p, n_targets)
    allowed = tuple(np.flatnonzero(rng.random(p) < 0.5).astype(np.intp) for _ in range(n_targets))
    targets = np.array([j for j in range(n_targets) if allowed[j].size], dtype=np.intp)
    x = rng.normal(size=(5, p))
    names = tuple(map(str, range(n_targets)))
    task = RegressionTask(x, rng.normal(size=(5, n_targets)), names, own, {}, allowed)
    sets = [frozenset(allowed[j]) | ({own[j]} - {-1}) for j in targets]
    expected = [sets.count(one) < SHARED_BY for one in sets]
    assert _alone(task, allowed, targets).tolist() == expected
