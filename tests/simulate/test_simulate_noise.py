"""Noise that looks like a forecast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from pereggrn_data.core.errors import UsageError
from pereggrn_data.simulate import noise_only
from pereggrn_data.simulate.noise import PAPER, expected_pearson


def test_by_hand() -> None:
    rng = np.random.default_rng(7)
    known, heldout = rng.standard_normal((5, 50)), rng.standard_normal((3, 50)).mean(axis=0)
    control = known[:2].mean(axis=0)
    row = noise_only([7], genes=50, controls=2, training=3, replicates=3).iloc[0]
    expected = np.corrcoef(heldout - control, known.mean(axis=0) - control)[0, 1]
    assert row["pearson"] == pytest.approx(expected)
    ranks = stats.spearmanr(heldout - control, known[2:].mean(axis=0) - control).statistic
    # Controls in the mean scale all changes alike.
    assert row["spearman"] == pytest.approx(ranks)


@pytest.mark.parametrize(("controls", "training", "replicates"), [(1, 10, 1), (4, 2, 3)])
def test_means_over_seeds_are_the_limits(controls: int, training: int, replicates: int) -> None:
    table = noise_only(range(40), controls=controls, training=training, replicates=replicates)
    assert len(table) == table["seed"].nunique() == 40
    for kind in ("pearson", "spearman"):
        error = table[kind].std() / np.sqrt(40)
        assert abs(table[kind].mean() - table[f"expected_{kind}"].iloc[0]) < 4 * error + 0.005


def test_the_papers_value_is_within_what_seeds_give() -> None:
    spearman = noise_only(range(20))["spearman"]
    assert spearman.min() < PAPER < spearman.max()
    assert expected_pearson(10, 10, 1) < PAPER / 2


@pytest.mark.parametrize("options", [{"genes": 2}, {"controls": 0}, {"training": 1.5}])
def test_numbers(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no number of"):
        noise_only([0], **options)
    with pytest.raises(UsageError, match="no seed"):
        noise_only([-1])
