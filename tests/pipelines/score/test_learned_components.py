"""What is learned of a training side is kept for the next scores, and never of another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pereggrn_data import SplitDataset, calibrate, score, split
from pereggrn_data.evaluators.metrics import profile_metrics


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what other tests have learned out."""
    folder = tmp_path / "own"
    monkeypatch.setenv("PEREGGRN_CACHE", str(folder))
    return folder


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how often components are computed, by the number of their genes."""
    found: list[int] = []
    whole = profile_metrics.principal_components

    def counting(train: object) -> object:
        result = whole(train)  # type: ignore[arg-type]
        found.append(result.shape[1])
        return result

    monkeypatch.setattr(profile_metrics, "principal_components", counting)
    return found


def distances(made: SplitDataset, **options: object) -> object:
    """Score a forecast, and return the distances between components."""
    template = made.template
    template.X[:] = 1.0
    scored = score(template, calibrate=False, **options)  # type: ignore[arg-type]
    return scored.scores.groups["distance_in_pca"].to_numpy()


@pytest.mark.parametrize("threads", [1, 2])
def test_once_for_all_scores(own_cache: Path, computed: list[int], threads: int) -> None:
    first = distances(split("demo"), threads=threads)
    again = distances(split("demo"), threads=threads)
    assert len(computed) == 1
    np.testing.assert_array_equal(first, again)
    assert len(list((own_cache / "components").iterdir())) == 1


def test_calibrations_take_and_keep_them_too(own_cache: Path, computed: list[int]) -> None:
    calibrate(split("demo"))
    assert len(computed) == 1
    distances(split("demo"))
    calibrate(split("demo"), targeted_genes="exclude")
    assert len(computed) == 1
    calibrate(split("demo"), use_cache=False)
    assert len(computed) == 2


@pytest.mark.parametrize("options", [{"seed": 1}, {"num_genes": 50}, {"type": "simple"}])
def test_other_training_sides_have_their_own(
    own_cache: Path, computed: list[int], options: dict[str, object]
) -> None:
    before = distances(split("demo"))
    distances(split("demo", **options))  # type: ignore[arg-type]
    assert len(computed) == 2
    np.testing.assert_array_equal(before, distances(split("demo")))
    assert len(computed) == 2


def test_genes_in_another_order_have_their_own(own_cache: Path, computed: list[int]) -> None:
    """Such a split is the same one, and its genes are columns of the components."""
    made = split("demo")
    turned = SplitDataset(made.dataset, replace(made.split, genes=made.split.genes[::-1]))
    assert turned.split.is_same_as(made.split)
    np.testing.assert_allclose(distances(turned), distances(made), rtol=1e-6)
    assert len(computed) == 2


@pytest.mark.parametrize("damage", [b"", b"\0" * 4000, None])
def test_what_is_damaged_is_computed_anew_and_replaced(
    own_cache: Path, computed: list[int], damage: bytes | None
) -> None:
    first = distances(split("demo"))
    (kept,) = (own_cache / "components").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if damage is None else damage)
    np.testing.assert_array_equal(first, distances(split("demo")))
    assert len(computed) == 2
    assert kept.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("no folder", "utf-8")
    monkeypatch.setenv("PEREGGRN_CACHE", str(file))
    made = split("demo")
    template = made.template
    template.X[:] = 1.0
    for calibrated in (False, True):
        report = score(template, calibrate=calibrated)
        assert sum("not kept for the next score" in said for said in report.warnings) == 1
