"""What people do to predictions, knowingly or not, that scores alone do not show.

Nothing here changes a score; each finding is a warning that stands beside it. Scores
themselves are proof against the worst: log fold changes are never taken over predicted
controls, rows of one group are averaged, so that repeating them weighs nothing, and the
groups of a metric are fixed by the observed data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Bools, Floats, Ints
from pereggrn_data.core.errors import EXAMPLES_SHOWN
from pereggrn_data.core.reports import Finding
from pereggrn_data.validators.predictions.prediction_scan import PredictionScan
from pereggrn_data.validators.rules import RULES

_OTHER_SCALE = 1.25
"""Factor between the typical row and one on another scale: base 2 is 1.44 times base e,
base 10 is 0.43 times, and a logarithm taken twice about half."""

_SAME = 1e-5
"""Relative difference of values that are taken for equal: more than float32 needs."""

_ALMOST_ALL = 0.99
"""Share of the genes that are equal in a copy; some may have been set to stated levels."""

_PILED = 0.001
_FEWEST_PILED = 20
"""Values that lie exactly on the largest one: a share of all, and a number of genes."""

_PROBED = 64


def check_mixed_scales(
    profiles: Floats, observed: Floats, control_mean: Floats, names: Sequence[str]
) -> Iterator[Finding]:
    """Note predictions of some groups on another scale than the others.

    Parameters
    ----------
    profiles, observed
        (groups, genes) predicted and observed natural-log expression.
    control_mean
        (genes,) mean of the training controls.
    names
        Of the groups.
    """
    size = float(control_mean @ control_mean)
    if len(profiles) < 3 or size == 0:
        return
    slopes, own = profiles @ control_mean / size, observed @ control_mean / size
    if min(np.median(slopes), own.min()) <= 0:
        return
    # As far as real profiles differ among each other, predicted ones may.
    limit = max(np.log(_OTHER_SCALE), 1.5 * np.abs(np.log(own / np.median(own))).max())
    with np.errstate(invalid="ignore", divide="ignore"):
        far = ~(np.abs(np.log(slopes / np.median(slopes))) <= limit)
    if far.any():
        rows = np.flatnonzero(far)
        yield RULES["predictions-mixed-scales"].found(
            f"{len(rows)} of {len(profiles)} groups at {slopes[rows[0]]:.2f} times the controls "
            f"and the like, the others at {np.median(slopes):.2f} times",
            n=len(rows),
            examples=[f"{names[i]}: {slopes[i]:.2f} times" for i in rows[:EXAMPLES_SHOWN]],
        )


def check_clipped(values: Floats | PredictionScan) -> Iterator[Finding]:
    """Note that many values lie exactly on the largest or, below 0, on the smallest one.

    Parameters
    ----------
    values
        (groups, genes) predictions as the file has them: expression or fold changes; or
        what a reading of them found.
    """
    scan = values if isinstance(values, PredictionScan) else PredictionScan.of(values)
    if not scan.n_values or scan.largest == scan.smallest:
        return
    for end, n, genes in scan.at_ends():
        if end != 0 and genes >= _FEWEST_PILED and n >= _PILED * scan.n_values:
            yield RULES["predictions-clipped"].found(
                f"{n} values in {genes} genes are exactly {end:.4g}", n=n
            )


def check_copies(
    profiles: Floats,
    own: Ints,
    others: Floats,
    other_of: Ints,
    names: Sequence[str],
    other_names: Sequence[str],
    code: str,
) -> Iterator[Finding]:
    """Note predictions that are observed profiles of another perturbation.

    Parameters
    ----------
    profiles
        (groups, genes) predictions.
    own
        (groups,) number of the perturbation of each.
    others
        (candidates, genes) observed profiles.
    other_of
        (candidates,) number of the perturbation of each; that of a group itself is no
        copy of another one.
    names, other_names
        For messages.
    code
        Of the rule.
    """
    if not len(profiles) or not len(others):
        return
    # A few genes in which candidates differ most tell nearly all of them apart.
    probed = np.argsort(-others.var(axis=0), kind="stable")[:_PROBED]
    few = np.ascontiguousarray(others[:, probed])
    copies = []
    for k, profile in enumerate(profiles):
        near = _equal_share(profile[probed], few) >= 1 - 2 * (1 - _ALMOST_ALL) - 0.05
        for c in np.flatnonzero(near & (other_of != own[k])):
            if _equal_share(profile, others[c : c + 1])[0] >= _ALMOST_ALL:
                copies.append((k, int(c)))
                break
    if copies:
        yield RULES[code].found(
            f"{len(copies)} of {len(profiles)} predicted groups",
            n=len(copies),
            examples=[f"{names[k]}: {other_names[c]}" for k, c in copies[:EXAMPLES_SHOWN]],
        )


def check_alike(profiles: Floats, contexts: Ints, targeted: Bools) -> Iterator[Finding]:
    """Note predictions that are the same for every perturbation.

    Parameters
    ----------
    profiles
        (groups, genes) predictions.
    contexts
        (groups,) number of the cell type and time point of each.
    targeted
        (groups, genes) genes that a group perturbs itself, which do not count.
    """
    compared, varied = 0, False
    for context in np.unique(contexts):
        rows = np.flatnonzero(contexts == context)
        if len(rows) < 2:
            continue
        compared += len(rows)
        shown = np.where(targeted[rows], np.nan, profiles[rows])
        seen = ~np.isnan(shown).all(axis=0)
        spread = np.nanmax(shown[:, seen], axis=0) - np.nanmin(shown[:, seen], axis=0)
        size = np.nanmax(np.abs(shown[:, seen]), axis=0)
        varied |= bool((spread > _SAME * np.maximum(size, _SAME)).any())
    if compared and not varied:
        yield RULES["predictions-alike"].found(
            f"one profile for all {compared} groups, but for the perturbed genes themselves",
            n=compared,
        )


def _equal_share(profile: npt.NDArray[Any], others: npt.NDArray[Any]) -> Floats:
    equal = np.abs(others - profile) <= _SAME * np.maximum(np.abs(others), _SAME)
    return np.asarray(equal.mean(axis=1), dtype=np.float64)
