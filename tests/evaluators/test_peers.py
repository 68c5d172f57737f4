"""Our metrics equal those of other evaluators; `benchmarks/peers_equality.py` made the files.

What differs by intent differs in a named convention, and is equal once that is set.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pereggrn_data.evaluators import METRICS
from pereggrn_data.evaluators.metrics.compute import compute_metrics
from pereggrn_data.evaluators.metrics.discrimination import (
    DISTANCES,
    Among,
    Conventions,
    Ties,
    discrimination,
)
from pereggrn_data.evaluators.metrics.effects import log_fold_change
from pereggrn_data.evaluators.metrics.metric_surroundings import Surroundings, t_scores

STORED = Path(__file__).parent / "peers"


def stored(name: str) -> Any:
    return json.loads((STORED / f"{name}.json").read_text("utf-8"))


class Case:
    """The inputs, and what we make of them."""

    def __init__(self) -> None:
        values = stored("inputs")
        self.labels = values["perturbations"]
        self.genes = values["genes"]
        base = np.mean(values["controls"], axis=0)
        observed = np.array(values["observed"])
        self.o = log_fold_change(observed.mean(axis=1), base)
        # The prediction of one perturbation is the control mean up to rounding: no effect.
        self.e = log_fold_change(np.array(values["predicted"]).mean(axis=1), base)
        n, cells, genes = observed.shape
        nowhere = np.zeros(n, dtype=np.intp)
        t = t_scores(observed.reshape(-1, genes), np.repeat(np.arange(n), cells), n, nowhere)
        around = Surroundings(base, base, None, t)
        self.ours = compute_metrics(self.o, {"p": self.e}, around=around, threads=1)["p"]
        self.panel = np.isin(self.genes, self.labels)
        self.own = np.array([[gene == label for gene in self.genes] for label in self.labels])

    def values(self, peer: str, name: str) -> Any:
        found = stored(peer)["values"][name]
        return np.array([found[label] for label in self.labels], dtype=float)

    def discrimination(self, left_out: Any = None, **conventions: Any) -> Any:
        rows = np.arange(len(self.labels))
        return discrimination(
            self.e, self.o, rows, left_out=left_out, conventions=Conventions(**conventions)
        )


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


NOTHING = 4
"""The perturbation that is predicted to do nothing: no correlation is defined."""
GENES = 30


@pytest.mark.parametrize("peer", ["cell-eval", "cell-eval2"])
def test_effects_as_in_cell_eval(case: Case, peer: str) -> None:
    np.testing.assert_allclose(case.ours["mse"] / GENES, case.values(peer, "mse_delta"), rtol=1e-6)
    np.testing.assert_allclose(case.ours["mae"], case.values(peer, "mae_delta"), rtol=1e-6)
    defined = np.arange(len(case.labels)) != NOTHING
    theirs = case.values(peer, "pearson_delta")
    np.testing.assert_allclose(case.ours["pearson"][defined], theirs[defined])
    assert np.isnan(case.ours["pearson"][NOTHING])


@pytest.mark.parametrize("distance", DISTANCES)
def test_discrimination_as_in_cell_eval2(case: Case, distance: str) -> None:
    ours = case.discrimination(case.panel, distance=distance)
    theirs = case.values("cell-eval2", f"pds_{distance}")
    if distance == "cosine":
        # Rounding gives the prediction of no effect a direction there; here it has none.
        assert ours[NOTHING] == 0.5
        ours, theirs = np.delete(ours, NOTHING), np.delete(theirs, NOTHING)
    np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("distance", DISTANCES)
def test_discrimination_as_in_cell_eval(case: Case, distance: str) -> None:
    """Its own gene is left out row by row, and the count divided by n; ties go by order."""
    ours = case.discrimination(case.own, distance=distance, ties=Ties.ORDER, of_others=False)
    theirs = case.values("cell-eval", f"discrimination_{distance}")
    if distance == "cosine":
        ours, theirs = np.delete(ours, NOTHING), np.delete(theirs, NOTHING)
    np.testing.assert_allclose(ours, theirs)


def test_ranks_as_in_scperteval(case: Case) -> None:
    """No gene is left out; the other direction is another question."""
    nearest = case.discrimination(distance="l2")
    np.testing.assert_allclose(nearest, case.values("scperteval", "nir"))
    other = case.discrimination(distance="l2", among=Among.PREDICTED)
    np.testing.assert_allclose(1 - other, case.values("scperteval", "rank_retrieval"))
    assert not np.allclose(nearest, other)


def test_systema_loses_ties_and_equals_ours_without(case: Case) -> None:
    """Its centroid accuracy is the share of others that are strictly farther (its definition)."""
    lost = case.discrimination(distance="l2", ties=Ties.LOST)
    distances = np.linalg.norm(case.e[:, None] - case.o[None], axis=2)
    farther = (distances > np.diag(distances)[:, None]).sum(axis=1) / (len(case.labels) - 1)
    np.testing.assert_allclose(lost, farther)


def test_other_metrics_as_in_scperteval(case: Case) -> None:
    for name in ("weighted_mse", "weighted_r2", "r2"):
        theirs = case.values("scperteval", name)
        np.testing.assert_allclose(case.ours[name], theirs, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(
        case.ours["mse"] / GENES, case.values("scperteval", "mse"), rtol=1e-6
    )
    np.testing.assert_allclose(
        case.ours["l2_expressed_1000"], case.values("scperteval", "l2"), rtol=1e-6
    )
    overlap = case.values("scperteval", "de_overlap_20")
    defined = np.arange(len(case.labels)) != NOTHING
    np.testing.assert_allclose(case.ours["overlap_top_20"][defined], overlap[defined])
    for name in ("pearson", "weighted_pearson"):
        theirs = case.values("scperteval", name)
        np.testing.assert_allclose(case.ours[name][defined], theirs[defined], err_msg=name)
        assert np.isnan(case.ours[name][NOTHING])


@pytest.mark.parametrize(
    ("peer", "version"),
    [("cell-eval", "0.8.2"), ("cell-eval2", "0.20.0"), ("scperteval", "0.2.0")],
)
def test_versions_are_stored(peer: str, version: str) -> None:
    assert stored(peer)["version"] == version
    assert stored(peer)["package"] == peer


@pytest.fixture(scope="module")
def comparisons() -> dict[str, Any]:
    """Compare counts of a common pair; cell-eval2 did so with the backend pdex."""
    pytest.importorskip("illico")
    from pereggrn_data.evaluators.metrics import rank_tests
    from pereggrn_data.evaluators.metrics.cell_comparison import CellComparison
    from pereggrn_data.evaluators.metrics.cell_groups import CellGroups
    from pereggrn_data.evaluators.metrics.distribution_metrics import CellDistances

    cells = stored("inputs")["cells"]
    labels = np.array(cells["labels"])
    sides = []
    for side in ("observed", "predicted"):
        counts = np.array(cells[side], dtype=np.float64)
        sides.append(np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4))
    perturbed = list(dict.fromkeys(labels[40:]))
    codes = np.array([-1] * 40 + [perturbed.index(label) for label in labels[40:]])
    controls = sides[0][:40]
    tested = rank_tests.tested_genes(controls)
    assert len(tested) == len(cells["genes"])
    found: list[dict[int, Any]] = []
    for x in sides:
        groups = CellGroups.numbered(x, codes, len(perturbed))
        tests = rank_tests.differential_expression(
            groups, range(len(perturbed)), controls, tested, threads=1
        )
        made = rank_tests.DifferentialExpression
        found.append({k: made.of(p, change) for k, p, change in tests})
    observed, predicted = sides
    return {
        label: CellComparison(
            found[0][k],
            found[1][k],
            CellDistances(observed[codes == k], predicted[codes == k]),
        )
        for k, label in enumerate(perturbed)
    }


@pytest.mark.parametrize("name", [m.name for m in METRICS.values() if m.of_cells])
def test_cells_as_in_cell_eval2_and_scperteval(comparisons: dict[str, Any], name: str) -> None:
    named = [p for p in ("cell-eval2", "scperteval") if name in stored(p)["values"]]
    assert len(named) == 1
    theirs = stored(named[0])["values"][name]
    assert sorted(theirs) == sorted(comparisons)
    ours = {label: METRICS[name].compute_cells(c) for label, c in comparisons.items()}
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)
    assert len(set(theirs.values())) > 1  # they can tell perturbations apart
