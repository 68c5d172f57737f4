"""Matching: which observation's features each training observation is explained by."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Ints, Matrix, dense
from pereggrn_data.core.errors import InvalidDataError, MissingExtraError, first_few
from pereggrn_data.models.grammar.choices import Matching
from pereggrn_data.models.inputs import TrainingData

UNMATCHED = -1
"""In place of a matched observation: this one does not train."""

ROWS = 1024


def match(data: TrainingData, method: Matching, seed: int = 0) -> Ints:
    """Match each training observation with the one that its features come from.

    Parameters
    ----------
    data
        Training data.
    method
        ``steady_state``: itself. ``closest``: the control with the least
        Euclidean distance over all genes, and a control itself.
        ``closest_with_unmatched_controls``: the same, but controls do not
        train. ``random``: a control drawn at random, and a control itself.
        ``optimal_transport``: the control to which most of its mass goes when
        perturbed observations are transported to controls at the least
        squared distance, and a control itself. ``user``: as the data say.
    seed
        Of random matching.

    Returns
    -------
    ndarray of int, shape (observations,)
        Positions; -1 where there is none.

    Raises
    ------
    InvalidDataError
        If there is no control, or only one timepoint in a time series, or if a
        user's match does not exist.
    MissingExtraError
        If optimal transport is asked for without POT.

    Notes
    -----
    In a time series (data with timepoints), not controls are matched to but
    observations of the previous timepoint, controls or not, of any cell type;
    those of the first timepoint do not train, and neither do controls with
    ``closest_with_unmatched_controls``.

    Transport is balanced (each observation of either side has the same mass) and
    exact; that of the original software is unbalanced and regularised by an
    entropy of 0.05, so that their matches may differ.
    """
    every = np.arange(data.n_observations, dtype=np.intp)
    if method is Matching.STEADY_STATE:
        return every
    if method is Matching.USER:
        return _user(data)
    is_series = data.timepoints is not None
    matched = np.full_like(every, UNMATCHED) if is_series else every
    generator = np.random.default_rng(seed)
    for queries, candidates in _sides(data):
        if queries.size == 0:
            continue
        if method is Matching.RANDOM:
            matched[queries] = generator.choice(candidates, queries.size, replace=True)
        elif method is Matching.OPTIMAL_TRANSPORT:
            matched[queries] = candidates[_transported(data.expression, queries, candidates)]
        else:
            matched[queries] = candidates[nearest(data.expression, queries, candidates)]
    if method is Matching.CLOSEST_WITH_UNMATCHED_CONTROLS:
        matched[data.controls()] = UNMATCHED
    return matched


def notes_on_matches(data: TrainingData, method: Matching, matched: Ints) -> tuple[str, ...]:
    """Say which observations of a time series do not train for want of an earlier one.

    Parameters
    ----------
    data
        Training data.
    method, matched
        How :func:`match` matched, and what it returned.
    """
    if data.timepoints is None or method in (Matching.STEADY_STATE, Matching.USER):
        return ()
    first = data.timepoints.min()
    left = (data.timepoints == first) & (matched == UNMATCHED)
    return (
        f"{np.count_nonzero(left)} of {data.n_observations} training observations do not train: "
        f"they are of the first timepoint ({first:g}), and matching {method} explains each "
        "observation by one of the previous timepoint.",
    )


def _sides(data: TrainingData) -> Iterator[tuple[Ints, Ints]]:
    """Yield observations that are matched, and those that they are matched with."""
    times = data.timepoints
    if times is None:
        is_control = data.controls()
        yield np.flatnonzero(~is_control), np.flatnonzero(is_control)
        return
    distinct = np.unique(times)
    if distinct.size == 1:
        raise InvalidDataError(
            "The training observations of this time series are all of one timepoint.",
            expected="several timepoints: observations are matched with those of the previous one",
            got=f"timepoint {distinct[0]:g} only",
            fix="use matching steady_state.",
        )
    for earlier, later in pairwise(distinct):
        yield np.flatnonzero(times == later), np.flatnonzero(times == earlier)


def nearest(expression: Matrix, queries: Ints, candidates: Ints) -> Ints:
    """Return the nearest candidate of each query, as a position among the candidates.

    Parameters
    ----------
    expression
        Observations x genes.
    queries, candidates
        Rows of it.

    Notes
    -----
    Distances are found with one matrix product, which loses the last digits,
    and computed again without it for all candidates that could be nearest.
    The first of equally near candidates is taken.
    """
    to = dense(expression, candidates)
    centre = to.mean(axis=0)
    to = to - centre
    to_squared = np.einsum("ij,ij->i", to, to)
    found = np.empty(queries.size, dtype=np.intp)
    for start in range(0, queries.size, ROWS):
        part = slice(start, min(start + ROWS, queries.size))
        x = dense(expression, queries[part]) - centre
        x_squared = np.einsum("ij,ij->i", x, x)
        rough = x_squared[:, None] + to_squared - 2.0 * (x @ to.T)
        # Rounding errors of the product are of this order.
        doubt = 1e-12 * (x_squared + to_squared.max())
        close = rough <= (rough.min(axis=1) + doubt)[:, None]
        found[part] = np.argmax(close, axis=1)
        for i in np.flatnonzero(close.sum(axis=1) > 1):
            options = np.flatnonzero(close[i])
            exact = np.sum((x[i] - to[options]) ** 2, axis=1)
            found[start + i] = options[np.argmin(exact)]
    return found


def _transported(expression: Matrix, queries: Ints, candidates: Ints) -> Ints:
    try:
        import ot  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise MissingExtraError(
            "Matching by optimal transport needs the package POT.",
            fix="install it: python -m pip install POT",
        ) from None
    cost = ot.dist(dense(expression, queries), dense(expression, candidates))
    plan: npt.NDArray[np.float64] = ot.emd(
        np.full(queries.size, 1.0 / queries.size),
        np.full(candidates.size, 1.0 / candidates.size),
        cost,
        numItermax=10_000_000,
    )
    return np.asarray(np.argmax(plan, axis=1), dtype=np.intp)


def _user(data: TrainingData) -> Ints:
    names = data.perturbations.observations
    if data.matched_controls is None or names is None:
        raise InvalidDataError(
            "User matching needs to know which observations are matched.",
            expected="obs['matched_control']: the name of an observation, or missing",
        )
    where = {name: i for i, name in enumerate(names)}
    unknown = [m for m in data.matched_controls if m is not None and m not in where]
    if unknown:
        raise InvalidDataError(
            f"{len(unknown)} matched controls are not training observations.",
            expected="names of training observations in obs['matched_control']",
            got=first_few(unknown),
            fix="a control on the test side of a split cannot train; match to another one.",
        )
    return np.array(
        [UNMATCHED if m is None else where[m] for m in data.matched_controls], dtype=np.intp
    )
