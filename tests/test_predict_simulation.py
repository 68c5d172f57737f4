"""Simulate, split, predict and score: the true network serves best (the paper's Fig. S8)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import pereggrn_data
from pereggrn_data.loaders.datasets import Dataset, content_sha256
from pereggrn_data.simulate import simulate

N_GENES = 40
GENES = [f"G{j:02}" for j in range(N_GENES)]


def random_edges(seed: int, per_target: int = 4) -> pd.DataFrame:
    """Return edges in which every gene is a target, and every gene a regulator."""
    rng = np.random.default_rng(seed)
    pairs = {
        (int(rng.permutation(N_GENES)[0]), j) for j in range(N_GENES) for _ in range(per_target)
    }
    pairs |= {(j, (j + 1) % N_GENES) for j in range(N_GENES)}
    named = [(GENES[r], GENES[t]) for r, t in sorted(pairs) if r != t]
    return pd.DataFrame(named, columns=["regulator", "target"])


def errors_with_networks(seed: int, matching: str) -> dict[str, float]:
    """Return the mean squared error with each network (RidgeCV, restricted to it)."""
    edges = random_edges(seed)
    # The paper's simulation: one step, largest eigenvalue 0.1.
    adata = simulate(edges, GENES, n_initial_states=4, noise_sd=0.02, seed=seed)
    dataset = Dataset("simulated", None, content_sha256(adata), adata)
    networks: dict[str, Any] = {
        "true": edges, "dense": "dense", "empty": "empty", "wrong": random_edges(seed + 100)
    }  # fmt: skip
    errors = {}
    for name, network in networks.items():
        made = pereggrn_data.predict(dataset, "RidgeCV", network=network, matching=matching)
        value = pereggrn_data.score(made.adata, dataset=dataset).metrics["mse"].value
        assert value is not None
        errors[name] = value
    return errors


@pytest.mark.parametrize("seed", [0, 1])
def test_matched_to_its_initial_state_the_true_network_beats_all_others(seed: int) -> None:
    errors = errors_with_networks(seed, "user")
    assert errors["true"] == min(errors.values()), errors
    assert errors["true"] < 0.97 * errors["empty"], errors
    assert errors["true"] < 0.97 * errors["wrong"], errors


def test_in_a_steady_state_it_beats_dense_and_wrong_ones() -> None:
    """The empty one is best here: after one step from random states, no state is steady."""
    errors = errors_with_networks(1, "steady_state")
    assert errors["true"] < min(errors["dense"], errors["wrong"]), errors
