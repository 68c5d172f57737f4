"""Exact ridge regression where a network gives each target its own few features.

Each target is a small primal problem. Targets with equally many features go
through LAPACK and BLAS together, and their cross-products are cut out of one
Gram matrix, so that hardly any time is spent outside of them. Targets that
share their features are solved together by the dense solvers, and a target
with more features than observations by the dual one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from pereggrn_data.models.inputs import IntArray, Matrix, dense
from pereggrn_data.models.ridge_problem import Float64Array

BATCH_VALUES = 400_000
"""Values of one batch of features (3 MB): small enough for the processor's cache."""


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

    targets: IntArray
    coefficients: Float64Array
    intercepts: Float64Array
    errors: Float64Array


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

    features: Float64Array
    responses: Matrix
    alphas: tuple[float, ...]


def fit_small(
    problem: SmallProblem,
    allowed: dict[int, IntArray],
    excluded: dict[int, IntArray],
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
    gram = xt @ problem.features
    by_size: dict[int, list[int]] = defaultdict(list)
    for j, columns in allowed.items():
        by_size[columns.size].append(j)
    batches = []
    for size, targets in sorted(by_size.items()):
        step = max(1, BATCH_VALUES // (size * xt.shape[1]))
        batches += [targets[i : i + step] for i in range(0, len(targets), step)]

    def fit(batch: list[int]) -> SmallFit:
        columns = np.stack([allowed[j] for j in batch])
        y = dense(problem.responses, columns=batch).T
        without = [excluded.get(j) for j in batch]
        return _fit_batch(xt, x_mean, gram, y, columns, without, batch, problem.alphas)

    with threadpool_limits(limits=1, user_api="blas"):
        yield from _in_threads(fit, batches, jobs)


def _in_threads(
    fit: Callable[[list[int]], SmallFit], batches: list[list[int]], jobs: int
) -> Iterator[SmallFit]:
    if jobs == 1:
        yield from map(fit, batches)
        return
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(fit, batches)


def _fit_batch(
    xt: Float64Array,
    x_mean: Float64Array,
    gram: Float64Array,
    y: Float64Array,
    columns: IntArray,
    without: list[IntArray | None],
    batch: list[int],
    alphas: tuple[float, ...],
) -> SmallFit:
    """Fit targets with equally many features; `xt` is centred, features x observations."""
    x = xt[columns]
    crossed = gram[columns[:, :, None], columns[:, None, :]]
    n = np.full(len(batch), float(xt.shape[1]))
    shift = np.zeros(columns.shape)
    y_mean = y.mean(axis=1)
    y = y - y_mean[:, None]
    for i, rows in enumerate(without):
        if rows is None or rows.size == 0:
            continue
        # Centre on the remaining rows, and let the others count for nothing.
        n[i] -= rows.size
        shift[i] = -x[i][:, rows].sum(axis=1) / n[i]
        y_shift = -y[i, rows].sum() / n[i]
        x[i] -= shift[i][:, None]
        y[i] -= y_shift
        y_mean[i] += y_shift
        x[i][:, rows], y[i, rows] = 0.0, 0.0
        crossed[i] = x[i] @ x[i].T
    values, vectors = np.linalg.eigh(crossed)
    rotated = vectors.swapaxes(1, 2) @ x
    products = rotated @ y[:, :, None]
    scale = 1.0 / (np.maximum(values, 0.0)[:, None, :] + np.asarray(alphas)[:, None])
    residuals = (scale * products.swapaxes(1, 2)) @ rotated
    np.subtract(y[:, None, :], residuals, out=residuals)
    np.multiply(rotated, rotated, out=rotated)
    remainder = scale @ rotated
    np.subtract(1.0 - 1.0 / n[:, None, None], remainder, out=remainder)
    np.divide(residuals, remainder, out=residuals)
    # Excluded rows were set to zero, and so add nothing to the sum.
    errors = np.einsum("jai,jai->aj", residuals, residuals) / n
    best = np.argmin(errors, axis=0)
    chosen = np.take_along_axis(scale, best[:, None, None], axis=1)[:, 0, :, None]
    coefficients = (vectors @ (chosen * products))[:, :, 0]
    centre = x_mean[columns] + shift
    intercepts = y_mean - np.einsum("jk,jk->j", centre, coefficients)
    return SmallFit(np.array(batch, dtype=np.intp), coefficients, intercepts, errors)
