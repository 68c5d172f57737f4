"""Vector autoregression on a regulatory network, with genes held at a level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.errors import UsageError
from pereggrn_data.simulate.influence import Influence, NetworkLike, influence_of, scaled
from pereggrn_data.simulate.perturbations import Levels, Perturbation, parse_perturbations
from pereggrn_data.simulate.runs import UNPERTURBED, Array, Run, Setting

if TYPE_CHECKING:
    from anndata import AnnData


def simulate(
    network: NetworkLike,
    perturbations: Iterable[str | Sequence[str]] | None = None,
    n_initial_states: int = 10,
    steps: int = 1,
    level: Levels = 1.0,
    noise_sd: float = 0.0,
    seed: int = 0,
    *,
    n_replicates: int | None = None,
    basal: float | Sequence[float] | Array = 0.0,
    initial_range: tuple[float, float] = (0.0, 1.0),
    largest_eigenvalue: float = 0.1,
    control_label: str = "control",
) -> AnnData:
    """Simulate perturbation data by a vector autoregression on a network.

    Expression follows X(t) = M X(t-1), where M[i, j] is 1 if gene j regulates
    gene i, scaled to a small largest eigenvalue. Perturbed genes are set to
    their level in the initial state and after every step. All perturbations
    start from the same initial states, as do the controls.

    Parameters
    ----------
    network
        A table with columns ``regulator`` and ``target`` (a ``weight`` is
        ignored: an edge counts 1), of which the genes that are both regulators
        and targets are simulated, sorted by name. Or a pair of a square matrix
        (targets in rows, regulators in columns; its values are M before
        scaling) and the names of its genes, all of which are simulated.
    perturbations
        Labels (``"A"``, or ``"A,B"`` for two genes at once) or sequences of
        genes. By default, each gene by itself.
    n_initial_states
        Number of initial states, each gene independently uniform; also the
        number of controls.
    steps
        Number of steps.
    level
        What perturbed genes are set to, in the units of X: one number for
        all, or one entry per perturbation (a mapping from labels, or a
        sequence in their order), each a number or one number per gene.
    noise_sd
        Standard deviation of the normal noise that is added to every gene at
        every step, before perturbed genes are set to their level.
    seed
        Of ``numpy.random.default_rng``, which draws the initial states
        first, then the noise.
    n_replicates
        Each perturbation starts from the first so many initial states; by
        default from all of them.
    basal
        Expression around which genes move, one number or one per gene
        (natural log): X(t) = basal + M (X(t-1) - basal). 0 in the paper.
    initial_range
        Bounds of the uniform initial states, relative to `basal`. (0, 1) in
        the paper.
    largest_eigenvalue
        What the largest absolute eigenvalue of M is scaled to. A network
        without cycles has eigenvalues of 0 only: the largest row sum of
        absolute values is scaled to this instead, and
        ``uns["simulation"]["scaled_by"]`` says so.
    control_label
        Perturbation label of the controls.

    Returns
    -------
    AnnData
        In the uniform format. Rows: each perturbation at the last time-point
        (one row per replicate), each control at the last time-point, each
        control's initial state. ``obs["timepoint"]`` is 0 for initial states
        and `steps` for the others; ``obs["matched_control"]`` names the row
        of the initial state that a row started from; ``raw`` holds counts,
        round(100 (exp(X) - 1)) and 0 where X is negative.

    Raises
    ------
    InvalidDataError
        If the network is malformed, empty, or leaves no edge to simulate.
    UnknownNameError
        If a gene is not simulated.
    UsageError
        If another argument is out of range, if levels do not fit the
        perturbations, or if expression leaves the range of log expression.

    References
    ----------
    Kernfeld et al., Genome Biology 2025, "Simulated data (based on real
    networks)", with two corrections that the documentation explains
    (docs/explain/simulation.md).

    Examples
    --------
    >>> import pandas as pd
    >>> loop = pd.DataFrame({"regulator": ["A", "B"], "target": ["B", "A"]})
    >>> adata = simulate(loop, ["A"], n_initial_states=1)
    >>> adata.to_df().round(3)
                           A      B
    A_0                1.000  0.100
    control_0          0.027  0.064
    control_0_initial  0.637  0.270
    """
    from pereggrn_data.simulate.layout import uniform_format

    setting = Setting(
        n_initial_states,
        n_replicates,
        steps,
        noise_sd,
        seed,
        basal,
        initial_range,
        largest_eigenvalue,
    )
    return uniform_format(run(network, perturbations, level, setting), control_label)


def run(
    network: NetworkLike,
    perturbations: Iterable[str | Sequence[str]] | None,
    level: Levels,
    setting: Setting,
) -> Run:
    """Simulate; see :func:`simulate` for what the arguments mean."""
    setting.check()
    influence = scaled(influence_of(network), setting.largest_eigenvalue)
    parsed = parse_perturbations(perturbations, level, influence.genes)
    basal = _basal(setting, influence.genes)
    rng = np.random.default_rng(setting.seed)
    n_starts = setting.n_initial_states
    low, high = setting.initial_range
    drawn = rng.random((n_starts, len(influence.genes)))
    initial = basal + low + (high - low) * drawn
    replicates = np.arange(n_starts if setting.n_replicates is None else setting.n_replicates)
    start_of = np.concatenate([np.tile(replicates, len(parsed)), np.arange(n_starts)])
    perturbation_of = np.concatenate(
        [np.repeat(np.arange(len(parsed)), len(replicates)), np.full(n_starts, UNPERTURBED)]
    )
    final = _final_states(
        initial[start_of],
        influence,
        basal,
        held=_held(parsed, perturbation_of, influence.genes),
        setting=setting,
        rng=rng,
    )
    return Run(influence, parsed, setting, initial, final, perturbation_of, start_of)


def _basal(setting: Setting, genes: Sequence[str]) -> Array:
    given = np.asarray(setting.basal, dtype=np.float64)
    if given.shape not in ((), (len(genes),)) or not np.isfinite(given).all():
        raise UsageError(
            "basal does not fit the simulated genes.",
            expected=f"one finite number, or one for each of {len(genes)} genes",
            got=f"shape {given.shape}" if given.ndim else repr(setting.basal),
        )
    return np.broadcast_to(given, (len(genes),))


def _held(
    perturbations: Sequence[Perturbation],
    perturbation_of: npt.NDArray[np.intp],
    genes: Sequence[str],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    """Say which rows hold which genes at which level."""
    position = {gene: j for j, gene in enumerate(genes)}
    rows: list[int] = []
    columns: list[int] = []
    levels: list[float] = []
    for row, k in enumerate(perturbation_of):
        if k != UNPERTURBED:
            hit = perturbations[k]
            rows.extend([row] * len(hit.genes))
            columns.extend(position[gene] for gene in hit.genes)
            levels.extend(hit.levels)
    return np.asarray(rows, dtype=np.intp), np.asarray(columns, dtype=np.intp), np.asarray(levels)


def _final_states(
    initial: Array,
    influence: Influence,
    basal: Array,
    *,
    held: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array],
    setting: Setting,
    rng: np.random.Generator,
) -> Array:
    """Run all rows at once.

    The sparse product adds in a fixed order, unlike BLAS: equal input gives
    equal output to the last bit, however many rows there are.
    """
    rows, columns, levels = held
    state = initial.copy()
    # In the initial state too: set after the steps only, a perturbation would
    # reach no other gene within the first step.
    state[rows, columns] = levels
    for _ in range(setting.steps):
        moved: Any = influence.matrix @ np.ascontiguousarray((state - basal).T)
        state = basal + np.asarray(moved).T
        if setting.noise_sd > 0:
            state += rng.normal(0.0, setting.noise_sd, size=state.shape)
        state[rows, columns] = levels
    return state
