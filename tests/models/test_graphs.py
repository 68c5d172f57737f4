"""Graphs: gradients, acyclicity, interventions, and small graphs that are found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.models.grammar.prior_network import RegulatorySets
from pereggrn_data.models.graphs.acyclic import (
    Multipliers,
    SpectralRadius,
    acyclic_threshold,
    is_acyclic,
)
from pereggrn_data.models.graphs.dcdfg import FactorGraph, fit_dcdfg
from pereggrn_data.models.graphs.interventions import trained_on
from pereggrn_data.models.graphs.notears import LinearGraph, fit_notears, fit_notears_lr
from pereggrn_data.models.graphs.signal_propagation import fit_signal_propagation
from pereggrn_data.models.inputs import Perturbations, TrainingData

SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("factors", [None, 2])
@pytest.mark.parametrize("term", ["likelihood", "penalty", "cycles"])
def test_gradients_are_those_of_finite_differences(factors: int | None, term: str) -> None:
    rng = np.random.default_rng(3)
    graph = LinearGraph.random(4, factors, rng)
    for values in graph.parameters.values():
        values += rng.normal(scale=0.5, size=values.shape)
    x, usable = rng.normal(size=(7, 4)), rng.random((7, 4)) < 0.7
    radius = SpectralRadius(4, rng)
    for _ in range(60):  # until the vectors are those of the matrix
        graph.cycles(radius)

    def loss() -> float:
        found = {
            "likelihood": lambda: graph.likelihood(x, usable),
            "penalty": graph.penalty,
            "cycles": lambda: graph.cycles(radius),
        }[term]()
        return found[0]

    gradients = {
        "likelihood": lambda: graph.likelihood(x, usable),
        "penalty": graph.penalty,
        "cycles": lambda: graph.cycles(radius),
    }[term]()[1]
    assert gradients
    for name, gradient in gradients.items():
        values = graph.parameters[name]
        for place in np.ndindex(values.shape):
            kept, step = values[place], 1e-5
            around = []
            for sign in (1, -1):
                values[place] = kept + sign * step
                for _ in range(20):
                    around_now = loss()
                around.append(around_now)
            values[place] = kept
            expected = (around[0] - around[1]) / (2 * step)
            assert gradient[place] == pytest.approx(expected, abs=2e-6), (name, place)


@given(seed=SEEDS, n=st.integers(2, 6))
@settings(max_examples=30)
def test_the_radius_is_the_largest_eigenvalue(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.uniform(0.1, 1.0, (n, n))
    radius = SpectralRadius(n, rng)
    for _ in range(40):
        found, _ = radius(matrix)
    assert found == pytest.approx(np.abs(np.linalg.eigvals(matrix)).max(), rel=1e-6)


@given(seed=SEEDS, n=st.integers(2, 7))
@settings(max_examples=30)
def test_an_acyclic_graph_has_radius_0_and_a_threshold_makes_one(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    acyclic = np.triu(rng.uniform(0.5, 1.0, (n, n)), 1)[np.ix_(order, order)]
    radius, gradient = SpectralRadius(n, rng)(acyclic)
    for _ in range(2):
        radius, gradient = SpectralRadius(n, rng)(acyclic)
    if n <= 5:  # so many iterations take every path to its end
        assert radius == 0
        assert not gradient.any()
    assert is_acyclic(acyclic)
    assert acyclic_threshold(acyclic) == 0
    matrix = rng.uniform(0.0, 1.0, (n, n))
    np.fill_diagonal(matrix, 0.0)
    threshold = acyclic_threshold(matrix)
    assert is_acyclic(np.where(matrix > threshold, matrix, 0.0))
    # One edge more, and there is a cycle.
    if threshold:
        less = threshold - 2e-6
        assert not is_acyclic(np.where(matrix > less, matrix, 0.0))


def test_cycles_are_punished_more_while_they_stay() -> None:
    multipliers = Multipliers()
    multipliers.raise_for(1.0)
    assert (multipliers.linear, multipliers.quadratic) == (1e-8, 1e-8)
    multipliers.raise_for(0.95)
    assert multipliers.quadratic == 2e-8
    multipliers.raise_for(0.5)
    assert multipliers.quadratic == 2e-8
    assert multipliers.slope(0.5) == pytest.approx(multipliers.linear + 1e-8)


def chain(n_each: int = 40, seed: int = 0) -> TrainingData:
    """A → B → C, and D apart; every gene is also knocked out."""
    rng = np.random.default_rng(seed)
    labels, rows = [], []
    for label in ("ctl", "A", "B", "C", "D"):
        for _ in range(n_each):
            noise = rng.normal(scale=0.3, size=4)
            a = 0.0 if label == "A" else 2 + 2 * noise[0]
            b = 0.0 if label == "B" else a + noise[1]
            c = 0.0 if label == "C" else 3 - b + noise[2]
            d = 0.0 if label == "D" else 2 + noise[3]
            rows.append((a, b, c, d))
            labels.append(label)
    return TrainingData(
        expression=np.array(rows),
        genes=("A", "B", "C", "D"),
        perturbations=Perturbations(
            tuple(labels), tuple(np.nan if x == "ctl" else 0.0 for x in labels)
        ),
        is_control=np.array([x == "ctl" for x in labels]),
    )


def test_a_value_that_was_set_is_not_learned_from() -> None:
    data = chain(2)
    usable = trained_on(data)
    assert usable[:2].all()
    np.testing.assert_array_equal((~usable).sum(axis=0), [2, 2, 2, 2])
    assert not usable[2, 0]
    # Whatever the values are: the gradient does not see them.
    graph = LinearGraph.random(4, None, np.random.default_rng(0))
    x = data.expression.copy()
    before = graph.likelihood(x, usable)[1]["b"]
    graph.parameters["W"][:] = 0
    plain = graph.likelihood(x, usable)[1]["b"].copy()
    x[~usable] += 100
    np.testing.assert_array_equal(graph.likelihood(x, usable)[1]["b"], plain)
    assert before.shape == (4,)


@pytest.mark.parametrize("fit", [fit_notears, fit_notears_lr])
def test_a_small_graph_is_found_again(fit) -> None:
    arguments = {"penalty": 0.3, "epochs": 300}
    if fit is fit_notears_lr:
        arguments["factors"] = 3
    model = fit(chain(), 0, **arguments)
    weights = model.weights
    assert is_acyclic(np.abs(weights))
    strongest = {(model.genes[i], model.genes[j]) for i, j in np.argwhere(np.abs(weights) > 0.4)}
    assert strongest == {("A", "B"), ("B", "C")}
    assert weights[0, 1] == pytest.approx(1.0, abs=0.15)
    assert weights[1, 2] == pytest.approx(-1.0, abs=0.15)
    request = Perturbations(("A",), (0.0,))
    made = model.predict(request, steps=(1, 2))
    np.testing.assert_allclose(made.expression[1][0, :2], [0.0, 0.0], atol=0.3)
    # The second step carries the change on to C.
    assert made.expression[2][0, 2] == pytest.approx(3.0, abs=0.4)
    assert made.expression[1][0, 3] == pytest.approx(2.0, abs=0.2)


def test_equal_seeds_give_equal_graphs_and_the_test_side_chooses_nothing() -> None:
    data = chain(10)
    first, again = (fit_notears(data, 4, epochs=6) for _ in range(2))
    np.testing.assert_array_equal(first.weights, again.weights)
    assert any("third of the training perturbations" in note for note in first.notes)


def test_settings_need_perturbations_to_be_chosen_by() -> None:
    data = chain(5)
    labels, levels = data.perturbations.labels, data.perturbations.stated_levels
    few = replace(
        data,
        expression=data.expression[:10],
        perturbations=Perturbations(labels[:10], levels[:10]),
        is_control=data.is_control[:10],
    )
    with pytest.raises(InvalidDataError, match="too few training perturbations"):
        fit_notears(few, 0)
    assert fit_notears(few, 0, penalty=1.0, epochs=2).genes == data.genes


@pytest.mark.parametrize(
    "arguments",
    [{"penalty": 0}, {"penalty": np.inf}, {"epochs": 0}, {"learning_rate": -1}, {"epochs": True}],
)
def test_arguments_of_graphs_are_checked(arguments: dict) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(arguments))} is a"):
        fit_notears(chain(2), 0, **arguments)


NETWORK = RegulatorySets.from_edges(["A", "B", "D", "C"], ["B", "C", "C", "C"])


def test_signals_run_along_the_edges_that_the_data_support() -> None:
    model = fit_signal_propagation(chain(), NETWORK, propagations=2)
    assert model.weights[0, 1] == pytest.approx(1.0, abs=0.1)
    assert model.weights[1, 2] == pytest.approx(-1.0, abs=0.1)
    # D does not regulate C, whatever the network says; nothing regulates itself.
    assert np.count_nonzero(model.weights) == 2
    start = model.control_mean
    once = fit_signal_propagation(chain(), NETWORK, propagations=1)
    request = Perturbations(("A", "A,C"), (start[0] - 1, f"{start[0] - 1},0.5"))
    by_hand = start.copy()
    by_hand[0] -= 1
    by_hand[1] -= once.weights[0, 1]
    np.testing.assert_allclose(once.predict(request).expression[1][0], by_hand)
    by_hand[2] -= model.weights[0, 1] * model.weights[1, 2]
    made = model.predict(request).expression[1]
    np.testing.assert_allclose(made[0], by_hand)
    assert made[1, 2] == 0.5


def test_expression_does_not_fall_below_0() -> None:
    data = chain()
    data = replace(data, expression=np.maximum(data.expression, 0.0))
    model = fit_signal_propagation(data, NETWORK)
    made = model.predict(Perturbations(("B",), (30.0,))).expression[1]
    assert made[0, 2] == pytest.approx(0, abs=1e-12)
    assert made[0, 1] == 30  # as stated


def test_only_the_largest_edges_are_kept() -> None:
    assert np.count_nonzero(fit_signal_propagation(chain(), NETWORK, n_edges=1).weights) == 1
    for arguments in ({"n_edges": 0}, {"propagations": 1.5}, {"ridge_penalty": 0.0}):
        with pytest.raises(UsageError, match=next(iter(arguments))):
            fit_signal_propagation(chain(2), NETWORK, **arguments)


@pytest.mark.parametrize("term", ["likelihood", "penalty", "cycles"])
def test_gradients_of_factors_are_those_of_finite_differences(term: str) -> None:
    """With soft edges, so that there is something to differentiate."""
    rng = np.random.default_rng(5)
    graph = FactorGraph.random(4, 2, rng)
    for values in graph.parameters.values():
        values += rng.normal(scale=0.3, size=values.shape)
    x, usable = rng.normal(size=(6, 4)), rng.random((6, 4)) < 0.7
    radius = SpectralRadius(4, rng)

    def found() -> tuple:
        if term == "likelihood":
            soft = graph.probabilities
            return graph._relaxed(x, usable, soft[..., :2], soft)
        if term == "penalty":
            return graph.penalty()
        for _ in range(30):  # until the vectors are those of the matrix
            made = graph.cycles(radius)
        return made

    for name, gradient in found()[1].items():
        values = graph.parameters[name]
        for place in np.ndindex(values.shape):
            kept, around = values[place], []
            for step in (1e-5, -1e-5):
                values[place] = kept + step
                around.append(found()[0])
            values[place] = kept
            expected = (around[0] - around[1]) / 2e-5
            assert gradient[place] == pytest.approx(expected, abs=2e-6), (name, place)


def test_factors_find_what_a_knockout_does() -> None:
    data = chain()
    model = fit_dcdfg(data, 0, penalty=0.1, factors=3, epochs=400)
    read, written = model.edges[..., 0], model.edges[..., 1]
    assert not (read * written).any()
    assert is_acyclic((read @ written.T) * (1 - np.eye(4)))
    made = model.predict(Perturbations(("A", "D"), (0.0, 0.0))).expression[1]
    assert made[0, 1] == pytest.approx(0.0, abs=0.7)
    # D regulates nothing.
    assert made[1, 1] == pytest.approx(2.0, abs=0.7)
