"""Exact ridge regression where a network gives each target its own few features.

Each target is a small primal problem. Targets with equally many features go
through LAPACK and BLAS together, and their cross-products are cut out of one
Gram matrix, so that hardly any time is spent outside of them. Targets that
share their features are solved together by the dense solvers, and a target
with more features than observations by the dual one.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints, Matrix, dense
from pereggrn_data.models.one_thread import one_thread
from pereggrn_data.models.ridge.problem import check_condition

BATCH_VALUES = 200_000
"""Values of one batch of features (1.6 MB): small enough for the processor's cache."""


@dataclass(frozen=True)
class SmallFit:
    """Fits of some targets, each with as many features as the others.

    Parameters
    ----------
    targets
        Which targets.
    coefficients
        Targets x features of each.
    intercepts
        One per target.
    errors
        Mean squared leave-one-out residual, penalties x targets.
    """

    targets: Ints
    coefficients: Floats
    intercepts: Floats
    errors: Floats


@dataclass(frozen=True)
class SmallProblem:
    """Ridge regressions in which each target has features of its own.

    Parameters
    ----------
    features
        Observations x features, float64.
    responses
        Observations x targets; dense or CSR.
    alphas
        Positive penalties to choose from.
    """

    features: Floats
    responses: Matrix
    alphas: tuple[float, ...]


@dataclass(frozen=True)
class _Shared:
    """What all batches share; `xt` is centred, features x observations."""

    xt: Floats
    x_mean: Floats
    gram: Floats | None
    alphas: tuple[float, ...]
    workspace: _Workspace


def fit_small(
    problem: SmallProblem,
    allowed: dict[int, Ints],
    excluded: dict[int, Ints],
    jobs: int = 1,
) -> Iterator[SmallFit]:
    """Fit targets that have features of their own, in batches of equal size.

    Parameters
    ----------
    problem
        Shared arrays and penalties.
    allowed
        The features of each target that is to be fitted; at least one.
    excluded
        The observations left out of the training of some of them.
    jobs
        Number of threads.

    Yields
    ------
    SmallFit
        Fits, in no particular order of targets.
    """
    x_mean = problem.features.mean(axis=0)
    xt = np.ascontiguousarray((problem.features - x_mean).T)
    # One Gram matrix for all pays only where targets use much of it; by itself, it takes
    # a quarter of the time per number that many small ones take.
    pays = 4 * sum(columns.size**2 for columns in allowed.values()) > xt.shape[0] ** 2
    gram = xt @ xt.T if pays else None
    shared = _Shared(xt, x_mean, gram, problem.alphas, _Workspace())
    responses = _by_target(problem.responses)
    by_size: dict[int, list[int]] = defaultdict(list)
    for j, columns in allowed.items():
        by_size[columns.size].append(j)
    batches = []
    for size, targets in sorted(by_size.items()):
        step = max(1, BATCH_VALUES // (size * xt.shape[1]))
        batches += [targets[i : i + step] for i in range(0, len(targets), step)]

    def fit(batch: list[int]) -> SmallFit:
        columns = np.stack([allowed[j] for j in batch])
        y = dense(responses, batch)
        return _fit_batch(shared, y, columns, [excluded.get(j) for j in batch], batch)

    with one_thread():
        yield from _in_threads(fit, batches, jobs)


def _by_target(responses: Matrix) -> Matrix:
    """Return responses as targets x observations, for quick access to single targets."""
    if isinstance(responses, np.ndarray):
        return np.ascontiguousarray(responses.T)
    return responses.T.tocsr()


def _in_threads(
    fit: Callable[[list[int]], SmallFit], batches: list[list[int]], jobs: int
) -> Iterator[SmallFit]:
    if jobs == 1:
        yield from map(fit, batches)
        return
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(fit, batches)


class _Workspace(threading.local):
    """Memory that a thread uses again for every batch.

    Fresh memory costs more than the arithmetic on it: the system must first
    provide its pages.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Floats] = {}

    def array(self, name: str, *shape: int) -> Floats:
        """Return an uninitialised array; the last one of this name becomes invalid."""
        size = math.prod(shape)
        if self._buffers.get(name, np.empty(0)).size < size:
            self._buffers[name] = np.empty(size)
        return self._buffers[name][:size].reshape(shape)


def _fit_batch(
    shared: _Shared,
    y: Floats,
    columns: Ints,
    without: list[Ints | None],
    batch: list[int],
) -> SmallFit:
    """Fit targets with equally many features.

    Parameters
    ----------
    shared
        What all batches share.
    y
        Responses, targets x observations; changed in place.
    columns
        Features, targets x features of each.
    without
        Observations left out, per target.
    batch
        Positions of the targets.
    """
    n_targets, k = columns.shape
    n_rows, array = y.shape[1], shared.workspace.array
    x = array("x", n_targets, k, n_rows)
    np.take(shared.xt, columns, axis=0, out=x, mode="clip")
    crossed = array("crossed", n_targets, k, k)
    if shared.gram is None:
        np.matmul(x, x.swapaxes(1, 2), out=crossed)
    else:
        cells = columns[:, :, None] * shared.xt.shape[0] + columns[:, None, :]
        np.take(shared.gram.ravel(), cells, out=crossed, mode="clip")
    y_mean = y.mean(axis=1)
    y -= y_mean[:, None]
    n = np.full(n_targets, float(n_rows))
    shift = np.zeros(columns.shape)
    for i, rows in enumerate(without):
        if rows is not None and rows.size:
            n[i] -= rows.size
            shift[i], y_shift = _leave_rows_out(x[i], y[i], rows, crossed[i])
            y_mean[i] += y_shift
    values, vectors = np.linalg.eigh(crossed)
    check_condition(values, shared.alphas)
    rotated = np.matmul(vectors.swapaxes(1, 2), x, out=array("rotated", n_targets, k, n_rows))
    products = rotated @ y[:, :, None]
    scale = 1.0 / (np.maximum(values, 0.0)[:, None, :] + np.asarray(shared.alphas)[:, None])
    errors = _errors(shared, y, rotated, scale, products, n)
    best = np.argmin(errors, axis=0)
    chosen = np.take_along_axis(scale, best[:, None, None], axis=1)[:, 0, :, None]
    coefficients = (vectors @ (chosen * products))[:, :, 0]
    centre = shared.x_mean[columns] + shift
    intercepts = y_mean - np.einsum("jk,jk->j", centre, coefficients)
    return SmallFit(np.array(batch, dtype=np.intp), coefficients, intercepts, errors)


def _leave_rows_out(x: Floats, y: Floats, rows: Ints, crossed: Floats) -> tuple[Floats, float]:
    """Centre on the remaining rows, in place, and let the others count for nothing.

    Returns how far the means of the features and of the response have moved.
    """
    kept = y.size - rows.size
    x_shift, y_shift = -x[:, rows].sum(axis=1) / kept, -float(y[rows].sum()) / kept
    x -= x_shift[:, None]
    y -= y_shift
    x[:, rows], y[rows] = 0.0, 0.0
    np.matmul(x, x.T, out=crossed)
    return x_shift, y_shift


def _errors(
    shared: _Shared,
    y: Floats,
    rotated: Floats,
    scale: Floats,
    products: Floats,
    n: Floats,
) -> Floats:
    """Return mean squared leave-one-out residuals (penalties x targets); `rotated` is used up."""
    shape = (y.shape[0], scale.shape[1], y.shape[1])
    residuals = shared.workspace.array("residuals", *shape)
    remainder = shared.workspace.array("remainder", *shape)
    np.matmul(scale * products.swapaxes(1, 2), rotated, out=residuals)
    np.subtract(y[:, None, :], residuals, out=residuals)
    np.multiply(rotated, rotated, out=rotated)
    np.matmul(scale, rotated, out=remainder)
    np.subtract(1.0 - 1.0 / n[:, None, None], remainder, out=remainder)
    np.divide(residuals, remainder, out=residuals)
    # Excluded rows were set to zero, and so add nothing to the sum.
    np.multiply(residuals, residuals, out=residuals)
    sums: Floats = residuals.sum(axis=2).T
    return sums / n
