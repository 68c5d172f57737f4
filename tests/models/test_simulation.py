"""With data simulated from a network, that network serves best (the paper's Fig. S8)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.models.grammar.choices import Grammar
from pereggrn_data.models.grammar.ggrn import fit
from pereggrn_data.models.grammar.prior_network import RegulatorySets
from pereggrn_data.models.inputs import Perturbations, TrainingData
from pereggrn_data.simulate import simulate

N_GENES = 40
GENES = tuple(f"G{j:02}" for j in range(N_GENES))


def random_edges(seed: int, per_target: int = 4) -> pd.DataFrame:
    """Return edges in which every gene is a target, and every gene a regulator."""
    rng = np.random.default_rng(seed)
    pairs = {(rng.permutation(N_GENES)[k], j) for j in range(N_GENES) for k in range(per_target)}
    pairs |= {(j, (j + 1) % N_GENES) for j in range(N_GENES)}
    named = [(GENES[r], GENES[t]) for r, t in sorted(pairs) if r != t]
    return pd.DataFrame(named, columns=["regulator", "target"])


def split_in_two(adata: Any, seed: int) -> tuple[TrainingData, Perturbations, Any, Any]:
    """Hold out half of the perturbations; return also their starts and their ends."""
    obs, x = adata.obs, np.asarray(adata.X, dtype=np.float64)
    labels = obs["perturbation"].astype(str).to_numpy()
    names = [name for name in dict.fromkeys(labels) if name in GENES]
    heldout = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2])
    test = np.array([label in heldout for label in labels])
    matched = obs["matched_control"].to_numpy()
    start = adata.obs_names.get_indexer(matched[test])
    levels = obs["expression_level_after_perturbation"].to_numpy()
    is_start = obs["timepoint"].to_numpy() == 0
    data = TrainingData(
        expression=x[~test],
        genes=tuple(adata.var_names),
        perturbations=Perturbations(
            tuple(labels[~test]),
            tuple(levels[~test]),
            observations=tuple(adata.obs_names[~test]),
        ),
        is_control=obs["is_control"].to_numpy().astype(bool)[~test],
        # An initial state comes from nowhere, and so does not train.
        matched_controls=tuple(
            None if s else str(m) for s, m in zip(is_start[~test], matched[~test], strict=True)
        ),
    )
    requests = Perturbations(tuple(labels[test]), tuple(levels[test]))
    return data, requests, x[start], x[test]


def errors_with_networks(seed: int) -> dict[str, float]:
    """Return the mean squared error with each network."""
    edges, wrong = random_edges(seed), random_edges(seed + 100)
    adata = simulate(edges, list(GENES), n_initial_states=4, noise_sd=0.02, seed=seed)
    data, requests, start, end = split_in_two(adata, seed)
    networks = {
        "true": RegulatorySets.from_edges(edges["regulator"], edges["target"]),
        "dense": None,
        "empty": RegulatorySets.empty(),
        "wrong": RegulatorySets.from_edges(wrong["regulator"], wrong["target"]),
    }
    errors = {}
    for name, network in networks.items():
        fitted = fit(data, Grammar(matching_method="user"), network=network)
        found = fitted.predict(requests, starting_expression=start).expression[1]
        errors[name] = float(np.mean((found - end) ** 2))
    return errors


def test_from_the_initial_state_the_true_network_serves_as_well_or_better() -> None:
    """The mean over twenty simulations; there is enough to train on for a dense network."""
    errors = pd.DataFrame([errors_with_networks(seed) for seed in range(20)]).mean()
    assert errors["true"] < 1.02 * errors["dense"], errors
    assert errors["true"] < 0.9 * errors["empty"], errors
    assert errors["true"] < 0.9 * errors["wrong"], errors
