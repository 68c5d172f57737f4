"""Simulate, split, predict and score: the true network serves best (the paper's Fig. S8)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import pereggrn_data
from pereggrn_data.loaders.files.datasets.anndata_files import Dataset, content_sha256
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
    task = pereggrn_data.split(dataset)
    networks: dict[str, Any] = {
        "true": edges, "dense": "dense", "empty": "empty", "wrong": random_edges(seed + 100)
    }  # fmt: skip
    errors = {}
    for name, network in networks.items():
        made = pereggrn_data.predict(
            model="RidgeCV", split=task, network=network, matching=matching
        )
        # Nothing but the value is looked at, so intervals need few draws.
        scored = pereggrn_data.score(made.adata, dataset=dataset, calibrate=False, draws=200)
        value = scored.metrics["mse"].value
        assert value is not None
        errors[name] = value
    return errors


def mean_errors(matching: str) -> pd.Series:
    """Return the mean over ten simulations, splits and wrong networks, none of them chosen."""
    table = pd.DataFrame([errors_with_networks(seed, matching) for seed in range(10)])
    return table.mean()


@pytest.mark.slow
def test_matched_to_its_initial_state_the_true_network_serves_best() -> None:
    """As in Fig. S8, where training samples are matched with their own controls.

    One simulation alone may come out otherwise, as each forecasts few perturbations.
    """
    errors = mean_errors("user")
    others = errors.drop("true")
    assert (errors["true"] < 0.97 * others).all(), errors


@pytest.mark.slow
def test_in_a_steady_state_no_network_is_best() -> None:
    """After one step from random states no state is steady, so regulators say little.

    The true network then serves better than the dense one, about as well as a
    wrong one, and far worse than none.
    """
    errors = mean_errors("steady_state")
    assert errors["true"] < 0.97 * errors["dense"], errors
    assert errors["true"] < 1.05 * errors["wrong"], errors
    assert errors["empty"] < 0.1 * errors["true"], errors
