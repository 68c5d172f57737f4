"""Noise only: how well the training mean seems to forecast where nothing is to be forecast.

After the paper's "Simulated data (noise only)". Its R code is not part of its text; what is
drawn here follows the argument that the text gives: observed and predicted log fold changes
are over the same controls, and share their noise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from pereggrn_data.core.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

PAPER = 0.649
"""The correlation that the paper reports of its one seed."""


def noise_only(
    seeds: Iterable[int] = range(100),
    *,
    genes: int = 1000,
    controls: int = 1,
    training: int = 10,
    replicates: int = 1,
) -> pd.DataFrame:
    """Correlate observed with predicted log fold changes where expression is noise only.

    Parameters
    ----------
    seeds
        One simulation each, drawn by ``numpy.random.default_rng(seed)``.
    genes
        Number of genes.
    controls, training
        Number of control and of perturbed profiles that train.
    replicates
        Number of observations of the held-out perturbation, which are averaged.

    Returns
    -------
    DataFrame
        One row per seed: ``seed``, ``spearman`` and ``pearson`` over the genes, between the
        observed log fold change of the held-out perturbation and that which the mean of all
        training profiles predicts; ``expected_spearman`` and ``expected_pearson``, their
        limits for many genes.

    Raises
    ------
    UsageError
        If a number is too small, or a seed is none.

    Notes
    -----
    Every value is standard normal, so no perturbation has an effect. With c the mean of the
    controls, t that of the training perturbations and x that of the held-out one, the mean of
    all training data forecasts a log fold change in proportion to t - c, and x - c is
    observed. Both have -c in common: their correlation tends to
    ``(1/n_c) / sqrt((1/n_c + 1/n_t) (1/n_c + 1/n_x))``, and Spearman's to 6/pi times the
    arcsine of its half, as in any bivariate normal distribution.

    Source: Kernfeld et al. 2025, Results (the bias-variance hypothesis) and Methods,
    "Simulated data (noise only)".

    Examples
    --------
    >>> noise_only([0], genes=2000).round(2)[["spearman", "expected_spearman"]].values.tolist()
    [[0.66, 0.66]]
    """
    import pandas as pd
    from scipy import stats

    least = {"genes": (genes, 3), "controls": (controls, 1), "training": (training, 1),
             "replicates": (replicates, 1)}  # fmt: skip
    for name, (value, minimum) in least.items():
        if type(value) is not int or value < minimum:
            raise UsageError(
                f"That is no number of {name}.", expected=f"{minimum} or more", got=repr(value)
            )
    pearson = expected_pearson(controls, training, replicates)
    rows = []
    for seed in seeds:
        if type(seed) is not int or seed < 0:
            raise UsageError("That is no seed.", expected="a whole number, 0 or more",
                             got=repr(seed))  # fmt: skip
        rng = np.random.default_rng(seed)
        known = rng.standard_normal((controls + training, genes))
        heldout = rng.standard_normal((replicates, genes)).mean(axis=0)
        reference = known[:controls].mean(axis=0)
        observed, predicted = heldout - reference, known.mean(axis=0) - reference
        rows.append(
            {
                "seed": seed,
                "spearman": float(stats.spearmanr(observed, predicted).statistic),
                "pearson": float(stats.pearsonr(observed, predicted).statistic),
                "expected_spearman": 6 / np.pi * np.arcsin(pearson / 2),
                "expected_pearson": pearson,
            }
        )
    columns = ["seed", "spearman", "pearson", "expected_spearman", "expected_pearson"]
    return pd.DataFrame(rows, columns=columns)


def expected_pearson(controls: int, training: int, replicates: int) -> float:
    """Return the limit of the correlation for many genes; see :func:`noise_only`.

    Examples
    --------
    >>> round(expected_pearson(1, 10, 1), 3)
    0.674
    """
    of_controls = 1 / controls
    both = (of_controls + 1 / training) * (of_controls + 1 / replicates)
    return float(of_controls / np.sqrt(both))
