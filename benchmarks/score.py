"""How fast are the metrics, against a loop of scipy calls over perturbations?

Both compute every gene-wise metric that :data:`BY_SCIPY` writes down from the same
O and E, on the same number of threads, one after the other in one run. The loop's values
are compared with ours first, so the ratio is one of equal results.

    python benchmarks/score.py [--perturbations 1000] [--genes 10000] [--threads 1]

The last line reads ``ratio: 12.3`` (loop time / our time).
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
from scipy import stats

from pereggrn_data.evaluators.metrics import METRICS, TOP_SIZES, compute_metrics


def signs(x: np.ndarray) -> np.ndarray:
    """Sign after rounding to 2 decimals."""
    return np.sign(np.round(x, 2))


def top(x: np.ndarray, n: int) -> np.ndarray:
    """Mask of the n largest changes."""
    return stats.rankdata(-np.abs(x)) <= n


def mse_top(o: np.ndarray, e: np.ndarray, n: int) -> float:
    """Sum of squared errors of the n largest observed changes."""
    return np.linalg.norm((o - e)[top(o, n)]) ** 2


def pearson_top(o: np.ndarray, e: np.ndarray, n: int) -> float:
    """Correlation over the n largest observed changes."""
    return stats.pearsonr(o[top(o, n)], e[top(o, n)])[0]


def overlap_top(o: np.ndarray, e: np.ndarray, n: int) -> float:
    """Share of the n largest changes in common."""
    return np.sum(top(o, n) & top(e, n)) / n


def classes(o: np.ndarray, e: np.ndarray) -> tuple[np.ndarray, ...]:
    """O of the genes predicted up, unchanged and down."""
    return o[signs(e) > 0], o[signs(e) == 0], o[signs(e) < 0]


# Each metric by itself, as one writes it down and as the original software has it.
BY_SCIPY = {
    "proportion_correct_direction": lambda o, e: np.mean(np.sign(o) == np.sign(e)),
    "spearman": lambda o, e: stats.spearmanr(o, e)[0],
    "pearson": lambda o, e: stats.pearsonr(o, e)[0],
    "mae": lambda o, e: np.abs(o - e).mean(),
    "mse": lambda o, e: np.linalg.norm(o - e) ** 2,
    **{f"mse_top_{n}": partial(mse_top, n=n) for n in TOP_SIZES},
    **{f"pearson_top_{n}": partial(pearson_top, n=n) for n in TOP_SIZES},
    **{f"overlap_top_{n}": partial(overlap_top, n=n) for n in TOP_SIZES},
    "pvalue_effect_direction": lambda o, e: (
        stats.chi2_contingency(stats.contingency.crosstab(signs(o), signs(e)).count).pvalue
    ),
    "pvalue_targets_vs_non_targets": lambda o, e: stats.f_oneway(*classes(o, e)).pvalue,
    "fc_targets_vs_non_targets": lambda o, e: classes(o, e)[0].mean() - classes(o, e)[2].mean(),
}


def by_scipy(o: np.ndarray, e: np.ndarray) -> dict[str, float]:
    """Compute all metrics of one perturbation."""
    return {name: metric(o, e) for name, metric in BY_SCIPY.items()}


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--perturbations", type=int, default=1000)
    parser.add_argument("--genes", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    o = rng.normal(scale=0.3, size=(options.perturbations, options.genes))
    e = 0.3 * o + rng.normal(scale=0.2, size=o.shape)
    chosen = [METRICS[name] for name in BY_SCIPY]
    compute_metrics(o[:8], {"warm": e[:8]}, metrics=chosen)
    by_scipy(o[0], e[0])

    start = time.perf_counter()
    ours = compute_metrics(o, {"p": e}, metrics=chosen, threads=options.threads)["p"]
    our_time = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    start = time.perf_counter()
    with ThreadPoolExecutor(options.threads) as pool:
        theirs = list(pool.map(by_scipy, o, e))
    loop_time = time.perf_counter() - start

    largest = 0.0
    for name, values in ours.items():
        expected = np.array([row[name] for row in theirs])
        np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12, err_msg=name)
        largest = max(largest, float(np.abs(values - expected).max()))
    size = f"{options.perturbations} perturbations x {options.genes} genes, {len(ours)} metrics"
    print(f"{size}, {options.threads} thread(s); largest difference {largest:.1e}")
    print(f"loop of scipy calls: {loop_time:.2f} s ({1e3 * loop_time / len(o):.2f} ms each)")
    print(f"pereggrn-data:       {our_time:.2f} s ({1e3 * our_time / len(o):.2f} ms each)")
    print(
        f"peak memory before the loop: {peak:.0f} MiB; O and E are {2 * o.nbytes / 2**20:.0f} MiB"
    )
    print(f"ratio: {loop_time / our_time:.1f}")


if __name__ == "__main__":
    main()
