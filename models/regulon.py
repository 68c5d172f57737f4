"""Forecasts from a network alone: targets follow their regulator's log fold change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.errors import first_few
from pereggrn_data.models.grammar.dynamics import Forecast, start_from
from pereggrn_data.models.grammar.prior_network import RegulatorySets
from pereggrn_data.models.inputs import Perturbations


def forecast_regulon(
    network: RegulatorySets,
    genes: tuple[str, ...],
    perturbations: Perturbations,
    start: npt.NDArray[np.float64],
) -> Forecast:
    """Shift the targets of each perturbed gene by as much as the gene itself was shifted.

    Parameters
    ----------
    network
        Weights and signs are not used, as most networks have none.
    genes
        Names of the genes.
    perturbations
        What to forecast.
    start
        Mean of the training controls (genes,), or one profile per
        perturbation; natural log.

    Returns
    -------
    Forecast
        One step. Where several genes are perturbed, their shifts add up; the
        perturbed genes themselves are at their stated levels. A perturbed
        gene that is not measured, or whose level is not stated, moves nothing.

    Notes
    -----
    The original software leaves the perturbed gene at the control mean, takes
    no pairs, and stops at controls and unmeasured genes.
    """
    state = start_from(start, len(perturbations), len(genes))
    levels = perturbations.levels(genes)
    where = {gene: j for j, gene in enumerate(genes)}
    targets = {
        regulator: np.array([where[t] for t in found if t in where], dtype=np.intp)
        for regulator, found in network.targets_of().items()
    }
    nothing = np.empty(0, dtype=np.intp)
    baseline = state.copy()
    perturbed, silent = set(), set()
    for row, column, level in zip(levels.rows, levels.columns, levels.values, strict=True):
        moved = targets.get(genes[column], nothing)
        moved = moved[moved != column]
        state[row, moved] += level - baseline[row, column]
        perturbed.add(genes[column])
        if moved.size == 0:
            silent.add(genes[column])
    levels.hold(state)
    notes = []
    if silent:
        notes.append(
            f"{len(silent)} of {len(perturbed)} perturbed genes have no targets in the network, "
            f"so nothing follows them: {first_few(sorted(silent))}."
        )
    if levels.n_unknown:
        notes.append(f"{levels.n_unknown} measured perturbed genes have no stated level.")
    return Forecast({1: state}, tuple(notes))
