"""The grammar's rules, steps, cell types, pruning and subspaces, by hand and by brute force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sklearn.linear_model
from sklearn.linear_model import RidgeCV

from pereggrn_data.core.baselines import training_mean, training_median
from pereggrn_data.core.errors import InvalidDataError, UnknownNameError, UsageError
from pereggrn_data.models.grammar.choices import Exclusion, Grammar
from pereggrn_data.models.grammar.dynamics import TrainingRange, check_steps
from pereggrn_data.models.grammar.eligibility import eligible_regulators, excluded_rows
from pereggrn_data.models.grammar.fitting import Fitting
from pereggrn_data.models.grammar.ggrn import fit
from pereggrn_data.models.grammar.prior_network import RegulatorySets
from pereggrn_data.models.inputs import Perturbations, TrainingData
from pereggrn_data.models.methods import get_method
from pereggrn_data.models.regression import EstimatorRegressions, LinearRegressions, RegressionTask

GENES = ("A", "B", "C", "D", "E")
LABELS = ("ctl_x", "ctl_x", "ctl_y", "A", "A", "B", "A,B", "C", "D", "Z")
LEVELS = (np.nan, np.nan, np.nan, 0.0, 0.0, 4.0, "0.0,4.5", 3.0, 2.5, 1.0)


def make_data(**changes: Any) -> TrainingData:
    rng = np.random.default_rng(0)
    values = {
        "expression": rng.normal(size=(10, 5)) + 2,
        "genes": GENES,
        "perturbations": Perturbations(
            LABELS,
            LEVELS,
            cell_types=("a", "b") * 5,
            observations=tuple(f"o{i}" for i in range(10)),
        ),
        "is_control": np.arange(10) < 3,
    }
    return TrainingData(**(values | changes))


REQUESTS = Perturbations(("A", "B,E", "Z"), (0.0, "3.0,1.0", 5.0))


def test_ridge_follows_the_rules() -> None:
    data = make_data()
    model = fit(data, Grammar()).models[None]
    x = np.asarray(data.expression).copy()
    for i, j, level in [(3, 0, 0.0), (4, 0, 0.0), (5, 1, 4.0), (6, 0, 0.0), (6, 1, 4.5)]:
        x[i, j] = level
    x[7, 2], x[8, 3] = 3.0, 2.5
    touched = {"A": [3, 4, 6], "B": [5, 6], "C": [7], "D": [8], "E": []}
    for j, gene in enumerate(GENES):
        rows = np.delete(np.arange(10), touched[gene])
        others = np.delete(np.arange(5), j)
        y = np.asarray(data.expression)[rows, j]
        one = RidgeCV(alphas=(0.01, 0.1, 1, 10, 100)).fit(x[rows][:, others], y)
        assert model.coefficients[j, j] == 0
        np.testing.assert_allclose(model.coefficients[j, others], one.coef_, atol=1e-9)


def test_exclusion_by_label_misses_doubles() -> None:
    gene = excluded_rows(LABELS, GENES, Exclusion.GENE)
    label = excluded_rows(LABELS, GENES, Exclusion.LABEL)
    assert {j: list(r) for j, r in gene.items()} == {0: [3, 4, 6], 1: [5, 6], 2: [7], 3: [8]}
    assert {j: list(r) for j, r in label.items()} == {0: [3, 4], 1: [5], 2: [7], 3: [8]}
    assert excluded_rows(("x",), GENES, Exclusion.LABEL) == {}


@pytest.mark.parametrize(
    ("method", "baseline"), [("mean", training_mean), ("median", training_median)]
)
def test_constants_are_the_baselines(method: str, baseline: Any) -> None:
    data = make_data()
    found = fit(data, Grammar(method=method)).predict(REQUESTS).expression[1]
    expected = baseline(data.expression, LABELS, GENES)
    np.testing.assert_allclose(found[2], expected)
    np.testing.assert_allclose(found[0, 1:], expected[1:])
    sparse = make_data(expression=scipy.sparse.csr_array(np.asarray(data.expression)))
    again = fit(sparse, Grammar(method=method)).predict(REQUESTS).expression[1]
    np.testing.assert_allclose(again, found)


def test_steps_feed_back_and_hold_the_perturbation() -> None:
    data = make_data()
    fitted = fit(data, Grammar())
    model = fitted.models[None]
    forecast = fitted.predict(REQUESTS, steps=[3, 1])
    assert sorted(forecast.expression) == [1, 3]
    state = np.tile(np.asarray(data.expression)[:3].mean(axis=0), (3, 1))
    for step in (1, 2, 3):
        state[0, 0], state[1, 1], state[1, 4] = 0.0, 3.0, 1.0
        state = state @ model.coefficients.T + model.intercepts
        state[0, 0], state[1, 1], state[1, 4] = 0.0, 3.0, 1.0
        if step in forecast.expression:
            np.testing.assert_allclose(forecast.expression[step], state)
    alone = fitted.predict(REQUESTS, steps=[1]).expression[1]
    np.testing.assert_allclose(forecast.expression[1], alone)


def test_starting_state_can_be_a_subtype_or_given() -> None:
    data = make_data()
    fitted = fit(data, Grammar())
    x = np.asarray(data.expression)
    np.testing.assert_allclose(fitted.controls.mean("ctl_x"), x[:2].mean(axis=0))
    np.testing.assert_allclose(fitted.controls.mean(), x[:3].mean(axis=0))
    start = np.tile(fitted.controls.mean("ctl_y"), (3, 1))
    np.testing.assert_allclose(
        fitted.predict(REQUESTS, control_subtype="ctl_y").expression[1],
        fitted.predict(REQUESTS, starting_expression=start).expression[1],
    )
    # A subtype is the beginning of a label; the original looks for it anywhere in it.
    with pytest.raises(UsageError, match="begins with 'x'"):
        fitted.predict(REQUESTS, control_subtype="x")
    with pytest.raises(InvalidDataError, match="starting expression"):
        fitted.predict(REQUESTS, starting_expression=start[:2])
    with pytest.raises(UsageError, match="exclude each other"):
        fitted.predict(REQUESTS, starting_expression=start, control_subtype="ctl_x")


@pytest.mark.parametrize(
    "steps", [[], [0], [1.5], [2, 2], [-1], None, "1", ["1"], True, [None], [np.nan], [[1]], 0]
)
def test_steps_must_be_whole_and_positive(steps: Any) -> None:
    with pytest.raises(UsageError, match="timescale"):
        fit(make_data(), Grammar(method="mean")).predict(REQUESTS, steps=steps)


def test_one_number_of_steps_may_stand_by_itself() -> None:
    fitted = fit(make_data(), Grammar())
    assert list(fitted.predict(REQUESTS, steps=2).expression) == [2]
    assert check_steps(np.int64(3)) == check_steps(3.0) == (3,)  # type: ignore[arg-type]
    assert check_steps(np.array([3, 1])) == (1, 3)  # type: ignore[arg-type]


def explosive() -> TrainingData:
    """Return data in which every gene becomes three times as high as the one before it was."""
    x = np.array([[1.0, 2, 3], [2, 1, 4], [3, 5, 1], [4, 2, 2], [5, 1, 3], [6, 4, 1]])
    after = 3 * np.roll(x, 1, axis=1)
    names = tuple(f"o{i}" for i in range(12))
    return TrainingData(
        expression=np.vstack([x, after]),
        genes=("A", "B", "C"),
        perturbations=Perturbations(("ctl",) * 12, (np.nan,) * 12, observations=names),
        is_control=np.arange(12) < 6,
        matched_controls=(None,) * 6 + names[:6],
    )


def test_forecasts_far_outside_are_said_and_infinite_ones_refused() -> None:
    fitted = fit(explosive(), Grammar(matching_method="user", method_arguments={"alphas": [1e-6]}))
    requests = Perturbations(("A", "ctl"), (2.0, np.nan))
    assert fitted.predict(requests).notes == ()
    forecast = fitted.predict(requests, steps=[1, 2, 9])
    # At step 9 the two genes that follow A settle, and those of the control do not.
    assert forecast.expression[9][1].min() > 18 + 17
    (note,) = forecast.notes
    assert "3 of 6 at step 9" in note
    assert "(1 to 18, and as much again on either side)" in note
    assert "fewer steps" in note
    with pytest.raises(InvalidDataError, match=r"not finite after step \d+ of 1000") as raised:
        fitted.predict(requests, steps=[1000])
    assert "of 1 genes: A" in str(raised.value.got)
    assert "penalty" in str(raised.value.fix)


def test_unknown_levels_are_said() -> None:
    forecast = fit(make_data(), Grammar()).predict(Perturbations(("A", "B"), ("nan", 1.0)))
    assert "1 measured perturbed genes have no stated level" in forecast.notes[0]


def test_networks_restrict_features() -> None:
    data = make_data()
    network = RegulatorySets.from_edges(["A", "B", "B", "Q", "C"], ["C", "C", "C", "C", "D"])
    assert network.n_edges == 4
    fitted = fit(data, Grammar(network_prior="restrictive"), network=network)
    coefficients = fitted.models[None].dense_coefficients()
    pattern = {(GENES[k], GENES[j]) for j, k in zip(*np.nonzero(coefficients), strict=True)}
    assert pattern == {("A", "C"), ("B", "C"), ("C", "D")}
    mean = fit(data, Grammar(method="mean")).predict(REQUESTS).expression[1]
    found = fitted.predict(REQUESTS).expression[1]
    np.testing.assert_allclose(found[:, 4], mean[:, 4])
    empty = fit(data, Grammar(), network=RegulatorySets.empty())
    np.testing.assert_allclose(empty.predict(REQUESTS).expression[1], mean)


def test_predict_self_overrides_the_network() -> None:
    data = make_data(matched_controls=(None, None, None, *["o0"] * 7))
    network = RegulatorySets.from_edges(["A", "B"], ["A", "A"])
    without = fit(data, Grammar(), network=network).models[None]
    assert np.flatnonzero(without.dense_coefficients()[0]).tolist() == [1]
    grammar = Grammar(predict_self=True)
    itself = fit(data, grammar, network=network, regulators=("B", "A")).models[None]
    assert (itself.dense_coefficients() != 0).tolist()[:2] == [[True, True], [True, False]]


def test_network_and_prior_must_fit() -> None:
    network = RegulatorySets.from_edges(["A"], ["B"])
    with pytest.raises(UsageError, match="needs a network"):
        fit(make_data(), Grammar(network_prior="restrictive"))
    for ignored in (network, RegulatorySets.from_edges(["Q"], ["R"]), RegulatorySets.empty()):
        with pytest.raises(UsageError, match="ignore it"):
            fit(make_data(), Grammar(network_prior="ignore"), network=ignored)
    with pytest.raises(UsageError, match="'G9' is not a gene"):
        fit(make_data(), Grammar(), regulators=("A", "G9"))
    with pytest.raises(UsageError, match="named twice"):
        fit(make_data(), Grammar(), regulators=("A", "A"))


def test_cell_types_can_have_their_own_models() -> None:
    data = make_data(
        perturbations=Perturbations(LABELS, LEVELS, cell_types=tuple("aaabbbabab")),
    )
    grammar = Grammar(method="mean", cell_type_sharing_strategy="distinct")
    requests = replace(REQUESTS, cell_types=("b", "a", "a"))
    found = fit(data, grammar).predict(requests).expression[1]
    x, b = np.asarray(data.expression), np.array(list("aaabbbabab")) == "b"
    np.testing.assert_allclose(found[0, 4], x[b, 4].mean())
    np.testing.assert_allclose(found[1, 2], x[~b][:, 2].mean())
    with pytest.raises(InvalidDataError, match="no model for the cell type 'c'"):
        # The original forecasts exactly 0 here (QUIRKS 8).
        fit(data, grammar).predict(replace(REQUESTS, cell_types=("a", "c", "a")))
    with pytest.raises(InvalidDataError, match="have no cell types"):
        fit(data, grammar).predict(REQUESTS)
    with pytest.raises(InvalidDataError, match="have no cell types"):
        fit(make_data(perturbations=Perturbations(LABELS, LEVELS)), grammar)


def test_networks_can_differ_between_cell_types() -> None:
    edges = RegulatorySets.from_edges(["A", "B", "C"], ["E", "E", "E"], ["a", "b", "b"])
    shared = fit(make_data(), Grammar(), network=edges).models[None]
    assert np.flatnonzero(shared.dense_coefficients()[4]).tolist() == [0, 1, 2]
    grammar = Grammar(cell_type_sharing_strategy="distinct")
    models = fit(make_data(), grammar, network=edges).models
    assert np.flatnonzero(models["a"].dense_coefficients()[4]).tolist() == [0]
    assert np.flatnonzero(models["b"].dense_coefficients()[4]).tolist() == [1, 2]
    lacking = RegulatorySets.from_edges(["A"], ["E"], ["a"])
    with pytest.raises(InvalidDataError, match="no edges for the cell type 'b'"):
        fit(make_data(), grammar, network=lacking)


def test_a_gene_that_nothing_can_train_is_an_error() -> None:
    data = make_data(
        perturbations=Perturbations(LABELS, LEVELS, cell_types=tuple("aaabbaaaaa")),
    )
    with pytest.raises(InvalidDataError, match="of cell type 'b' can train the model of 'A'"):
        fit(data, Grammar(cell_type_sharing_strategy="distinct"))


@pytest.mark.parametrize("network", [None, RegulatorySets.from_edges(list("ABCD"), list("EEEE"))])
@pytest.mark.parametrize("sharing", ["identical", "distinct"])
def test_pruning_keeps_the_largest_and_refits(
    network: RegulatorySets | None, sharing: str
) -> None:
    plain = Grammar(cell_type_sharing_strategy=sharing)
    before = fit(make_data(), plain, network=network)
    pruned = replace(plain, pruning_strategy="prune_and_refit", pruning_parameter=3)
    after = fit(make_data(), pruned, network=network)
    every = [np.abs(m.dense_coefficients()).ravel() for m in before.models.values()]
    third = np.sort(np.concatenate(every))[-3]
    for cell_type, model in after.models.items():
        old = np.abs(before.models[cell_type].dense_coefficients())
        kept = model.dense_coefficients() != 0
        np.testing.assert_array_equal(kept, old >= third)


def test_pruning_to_everything_changes_nothing() -> None:
    before = fit(make_data(), Grammar()).predict(REQUESTS).expression[1]
    grammar = Grammar(pruning_strategy="prune_and_refit", pruning_parameter=10_000)
    np.testing.assert_allclose(fit(make_data(), grammar).predict(REQUESTS).expression[1], before)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("ExtraTreesRegressor", {"n_estimators": 2}),
        ("KernelRidge", {"kernel": "rbf"}),
        ("mean", {}),
        ("median", {}),
    ],
)
def test_pruning_needs_coefficients(method: str, arguments: dict[str, Any]) -> None:
    grammar = Grammar(method, arguments, pruning_strategy="prune_and_refit", pruning_parameter=5)
    told: list[tuple[int, int]] = []
    with pytest.raises(UsageError, match=f"can be pruned: {method} fits no coefficients"):
        fit(make_data(), grammar, progress=lambda *at: told.append(at))
    assert not told, "found only after the fit"


@pytest.mark.parametrize("sharing", ["identical", "distinct"])
@pytest.mark.parametrize(
    "network", [RegulatorySets.empty(), RegulatorySets.from_edges(["Q", "A"], ["A", "R"])]
)
def test_pruning_what_has_no_regulators_gives_the_means(
    network: RegulatorySets, sharing: str
) -> None:
    plain = Grammar(method="mean", cell_type_sharing_strategy=sharing)
    pruned = replace(
        plain, method="RidgeCV", pruning_strategy="prune_and_refit", pruning_parameter=3
    )
    requests = replace(REQUESTS, cell_types=("a", "b", "a"))
    expected = fit(make_data(), plain).predict(requests).expression[1]
    found = fit(make_data(), pruned, network=network).predict(requests).expression[1]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("network", [None, RegulatorySets.from_edges(list("ABCD"), list("EEEE"))])
def test_pruning_counts_coefficients_of_genes_themselves(network: RegulatorySets | None) -> None:
    """The original lets every gene predict itself again when it refits."""
    data = make_data(matched_controls=(None, None, None, *["o0", "o1"] * 3, "o2"))
    grammar = Grammar(predict_self=True, matching_method="user")
    before = fit(data, grammar, network=network).models[None].dense_coefficients()
    pruned = replace(grammar, pruning_strategy="prune_and_refit", pruning_parameter=4)
    after = fit(data, pruned, network=network).models[None].dense_coefficients()
    assert np.count_nonzero(after) == 4
    least = np.sort(np.abs(before), axis=None)[-4]
    np.testing.assert_array_equal(after != 0, np.abs(before) >= least)


@pytest.mark.parametrize("jobs", [0, -1, 1.5, "2"])
def test_jobs_are_whole_and_positive(jobs: Any) -> None:
    with pytest.raises(UsageError, match="Jobs are a whole number"):
        fit(make_data(), Grammar(), jobs=jobs)


def test_matched_features_come_from_the_control() -> None:
    matched = ("o1", None, "o2", "o0", "o1", "o2", "o0", "o1", None, "o0")
    data = make_data(matched_controls=matched)
    fitting = Fitting(data, Grammar(matching_method="user"), ("A", "C"), None, 1, None)
    x = np.asarray(data.expression)
    assert fitting.rows.tolist() == [0, 2, 3, 4, 5, 6, 7, 9]
    expected = x[[1, 2, 0, 1, 2, 0, 1, 0]][:, [0, 2]]
    expected[[2, 3, 5], 0] = 0.0
    expected[6, 1] = 3.0
    np.testing.assert_allclose(fitting.features, expected)
    task = fitting.task(np.ones(8, dtype=bool), None, None)
    assert {j: list(rows) for j, rows in task.excluded.items()} == {
        0: [2, 3, 5],
        1: [4, 5],
        2: [6],
    }
    np.testing.assert_allclose(task.responses, x[fitting.rows])


@pytest.mark.parametrize("value", [2, np.eye(5)[:2]])
def test_postprocessing_projects_every_step(value: Any) -> None:
    data = make_data()
    grammar = Grammar(low_dimensional_structure="postprocessing", low_dimensional_value=value)
    fitted = fit(data, grammar)
    free = Perturbations(("ctl", "ctl"), (np.nan, np.nan))
    start = np.asarray(data.expression)[4:6]
    found = fitted.predict(free, starting_expression=start).expression[1]
    model, space = fitted.models[None], fitted.subspace
    raw = model.predict(start)
    assert space is not None
    np.testing.assert_allclose(found, space.decode(space.encode(raw)))
    assert np.linalg.matrix_rank(np.vstack([found - space.centre, space.decoder])) <= 2


def test_dynamics_in_a_full_subspace_lose_nothing() -> None:
    """In all five dimensions of a rotation, projecting and reconstructing is no loss."""
    data = make_data(matched_controls=(None, None, None, *["o0", "o1"] * 3, "o2"))
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    space = Grammar(
        low_dimensional_structure="dynamics",
        low_dimensional_value=rotation,
        matching_method="user",
        predict_self=True,
        method_arguments={"alphas": [1e-9]},
    )
    fitted = fit(data, space)
    assert fitted.models[None].coefficients.shape == (5, 5)
    forecast = fitted.predict(REQUESTS, steps=[2]).expression[2]
    assert forecast.shape == (3, 5)
    assert forecast[0, 0] == 0.0
    fitting = Fitting(data, space, GENES, fitted.subspace, 1, None)
    before = fitting.features @ rotation
    np.testing.assert_allclose(before[0, 0], 0.0, atol=1e-12)
    np.testing.assert_allclose(fitting.responses @ rotation, np.asarray(data.expression)[3:])


def test_dynamics_exclude_what_has_no_meaning_there() -> None:
    grammar = Grammar(low_dimensional_structure="dynamics", low_dimensional_value=2)
    with pytest.raises(UsageError, match="all genes"):
        fit(make_data(), grammar, regulators=("A",))
    with pytest.raises(UsageError, match="all genes"):
        fit(make_data(), grammar, network=RegulatorySets.empty())
    with pytest.raises(UsageError, match="predicts itself"):
        fit(make_data(), replace(grammar, predict_self=True))
    with pytest.raises(UsageError, match="11 principal components"):
        fit(make_data(), replace(grammar, low_dimensional_value=11))
    with pytest.raises(UsageError, match="cannot be used"):
        fit(make_data(), replace(grammar, low_dimensional_value=np.ones((2, 3))))
    wrong: Any
    for wrong in ("abc", [["a"] * 5], np.eye(5) * 1j, [[1], [1, 2]]):
        with pytest.raises(UsageError, match="not of numbers"):
            fit(make_data(), replace(grammar, low_dimensional_value=wrong))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "Ridge CV"}, "no method named"),
        ({"method": "regulon"}, "not a regression"),
        ({"matching_method": "nearest"}, "not a value of matching_method"),
        ({"exclusion": "none"}, "not a value of exclusion"),
        ({"pruning_strategy": "prune_and_refit"}, "go together"),
        ({"pruning_parameter": 5}, "go together"),
        ({"pruning_strategy": "prune_and_refit", "pruning_parameter": 0}, "not valid"),
        ({"pruning_strategy": "prune_and_refit", "pruning_parameter": "a"}, "not valid"),
        ({"pruning_strategy": "prune_and_refit", "pruning_parameter": 1.5}, "not valid"),
        ({"seed": -1}, "seed is not valid"),
        ({"seed": "a"}, "seed is not valid"),
        ({"seed": 2**32}, "seed is not valid"),
        ({"low_dimensional_structure": "dynamics"}, "go together"),
        ({"low_dimensional_value": 3}, "go together"),
    ],
)
def test_grammar_is_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Grammar(**changes)


def test_data_are_checked() -> None:
    with pytest.raises(InvalidDataError, match="genes does not fit"):
        make_data(genes=("A",))
    with pytest.raises(InvalidDataError, match="missing or infinite"):
        make_data(expression=np.full((10, 5), np.nan))
    with pytest.raises(InvalidDataError, match="no control"):
        fit(make_data(is_control=np.zeros(10, dtype=bool)), Grammar(method="mean"))
    with pytest.raises(InvalidDataError, match="do not fit together"):
        Perturbations(("A,B",), ("1.0,2.0,3.0",)).levels(GENES)
    with pytest.raises(InvalidDataError, match="not a number"):
        Perturbations(("A",), ("high",), observations=("o1",)).levels(GENES)
    for level in (1e8, -1e8, np.inf, "1.0,-inf"):
        label = "A,B" if isinstance(level, str) else "A"
        with pytest.raises(InvalidDataError, match="stated for observation 'o1' is too large"):
            Perturbations((label,), (level,), observations=("o1",)).levels(GENES)


def test_eligible_regulators() -> None:
    assert eligible_regulators(GENES, "all") == GENES
    assert eligible_regulators(GENES, "tf", tf_list=["D", "Q", "A", "D"]) == ("D", "A")
    assert eligible_regulators(GENES, "perturbed", perturbations=["E,Z", "A"]) == ("A", "E")
    with pytest.raises(UsageError, match="no list of transcription factors"):
        eligible_regulators(GENES, "tf")
    with pytest.raises(UsageError, match="names no eligible regulators"):
        eligible_regulators(GENES, "tfs")


def test_no_regulators_give_the_mean_with_any_method() -> None:
    mean = fit(make_data(), Grammar(method="mean")).predict(REQUESTS).expression[1]
    for method in ("LassoCV", "KernelRidge", "ExtraTreesRegressor"):
        fitted = fit(make_data(), Grammar(method=method), network=RegulatorySets.empty())
        np.testing.assert_allclose(fitted.predict(REQUESTS).expression[1], mean)


def test_methods_take_arguments_and_seeds() -> None:
    data = make_data()
    trees = {"n_estimators": 3}
    first = fit(data, Grammar("ExtraTreesRegressor", trees, seed=1))
    again = fit(data, Grammar("ExtraTreesRegressor", trees, seed=1))
    other = fit(data, Grammar("ExtraTreesRegressor", trees, seed=2))
    found = [f.predict(REQUESTS).expression[1] for f in (first, again, other)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert isinstance(first.models[None], EstimatorRegressions)
    with pytest.raises(UsageError, match="takes no argument 'depth'"):
        fit(data, Grammar("ExtraTreesRegressor", {"depth": 3}))
    with pytest.raises(UsageError, match="takes no argument 'x'"):
        fit(data, Grammar("mean", {"x": 3}))
    radial = fit(data, Grammar("KernelRidge", {"kernel": "rbf"}))
    assert isinstance(radial.models[None], EstimatorRegressions)
    assert isinstance(fit(data, Grammar("KernelRidge")).models[None], LinearRegressions)


@pytest.mark.parametrize(
    ("method", "arguments", "said"),
    [
        ("Lasso", {"alpha": "abc"}, "'alpha' parameter of Lasso"),
        ("Lasso", {"fit_intercept": "no"}, "'fit_intercept' parameter"),
        ("OrthogonalMatchingPursuitCV", {"cv": "abc"}, "cv"),
        ("KernelRidge", {"kernel": "abc"}, "'kernel' parameter"),
        ("KernelRidge", {"kernel": "rbf", "kernel_params": {"depth": 1}, "gamma": "a"}, "gamma"),
        ("ExtraTreesRegressor", {"random_state": "abc"}, "'random_state' parameter"),
    ],
)
@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_bad_values_of_arguments_are_said_once(
    method: str, arguments: dict[str, Any], said: str, jobs: int
) -> None:
    with pytest.raises(UsageError, match="with these arguments") as raised:
        fit(make_data(), Grammar(method, arguments), jobs=jobs)
    assert said in str(raised.value.got)


def test_methods_that_cannot_be_fitted_say_so() -> None:
    with pytest.raises(InvalidDataError, match="cannot be fitted to 5 of 5 genes"):
        fit(make_data(), Grammar("LarsCV", {"cv": 20}))


def test_warnings_become_notes() -> None:
    notes = fit(make_data(), Grammar("LassoCV", {"max_iter": 1, "tol": 1e-12})).notes
    assert "scikit-learn warned about 5 of 5 genes" in notes[0]


@pytest.mark.parametrize("method", ["Lasso", "LassoLarsIC"])
def test_a_shared_gram_matrix_changes_nothing(method: str) -> None:
    arguments = {"alpha": 0.05} if method == "Lasso" else {}
    rng = np.random.default_rng(3)
    data = TrainingData(
        expression=rng.normal(size=(60, 8)) @ rng.normal(size=(8, 8)) + 1,
        genes=tuple("ABCDEFGH"),
        perturbations=Perturbations(("A",) * 5 + ("c",) * 55, (0.5,) * 5 + (np.nan,) * 55),
        is_control=np.arange(60) >= 5,
    )
    shared = fit(data, Grammar(method, arguments)).models[None]
    alone = fit(data, Grammar(method, {**arguments, "precompute": False})).models[None]
    np.testing.assert_allclose(shared.coefficients, alone.coefficients, atol=1e-3)
    np.testing.assert_allclose(shared.intercepts, alone.intercepts, atol=1e-2)
    assert (shared.coefficients != 0).any()


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("Lasso", {"alpha": 0.05, "fit_intercept": False}),
        ("Lasso", {"alpha": 0.05, "fit_intercept": True, "positive": True}),
        ("Lasso", {"alpha": 0.05, "selection": "random", "random_state": 3}),
        ("Lasso", {"alpha": 0.05, "copy_X": False, "warm_start": True}),
        ("Lasso", {"alpha": 0.05, "precompute": True}),
        ("LassoLarsIC", {"fit_intercept": False}),
        ("LassoLarsIC", {"positive": True, "copy_X": False, "max_iter": 4}),
        ("LassoLarsIC", {"criterion": "bic", "precompute": False}),
    ],
)
def test_whatever_the_arguments_genes_are_fitted_as_one_by_one(
    method: str, arguments: dict[str, Any]
) -> None:
    task = lasso_task(arguments)
    regression = get_method(method)
    assert regression.fit is not None
    before = np.asarray(task.features).copy()
    model = regression.fit(task)
    np.testing.assert_array_equal(task.features, before)
    for j in range(task.n_targets):
        rows, columns = task.rows_of(j), task.features_of(j)
        x, y = np.asarray(task.features)[rows][:, columns], np.asarray(task.responses)[rows, j]
        expected = getattr(sklearn.linear_model, method)(**arguments).fit(x.copy(), y.copy())
        found = model.predict(task.features)[rows, j]
        np.testing.assert_allclose(found, expected.predict(x), atol=1e-9)


def lasso_task(arguments: dict[str, Any]) -> RegressionTask:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 8)) @ rng.normal(size=(8, 8)) + 5
    excluded = {0: np.array([1, 2])}
    return RegressionTask(
        x, x.copy(), tuple("ABCDEFGH"), np.arange(8), excluded, arguments=arguments
    )


def test_pruning_with_a_shared_gram_matrix_fits_the_same_features_twice() -> None:
    """Features that the first fit had centred would give the second one other intercepts."""
    grammar = Grammar("Lasso", {"alpha": 0.01})
    pruned = replace(grammar, pruning_strategy="prune_and_refit", pruning_parameter=10_000)
    data = make_data(perturbations=Perturbations(("ctl",) * 10, (np.nan,) * 10))
    expected = fit(data, grammar).predict(REQUESTS).expression[1]
    np.testing.assert_allclose(fit(data, pruned).predict(REQUESTS).expression[1], expected)


def test_a_gram_matrix_of_the_users_is_refused() -> None:
    with pytest.raises(UsageError, match="No single Gram matrix"):
        fit(make_data(), Grammar("Lasso", {"precompute": np.eye(4)}))


def test_aliases_and_near_names() -> None:
    assert Grammar("LASSO").method == "LASSO"
    with pytest.raises(UnknownNameError, match="RidgeCV"):
        Grammar("ridgecv")


def test_jobs_and_progress() -> None:
    seen: list[tuple[int, int]] = []
    grammar = Grammar("BayesianRidge")
    alone = fit(make_data(), grammar, progress=lambda *a: seen.append(a))
    assert seen[-1] == (5, 5)
    together = fit(make_data(), grammar, jobs=2)
    np.testing.assert_allclose(
        alone.models[None].coefficients, together.models[None].coefficients, atol=1e-9
    )


def test_perturbed_genes_are_not_forecast_and_so_not_far_outside() -> None:
    """Their stated level may be whatever it is."""
    span = TrainingRange(0.0, 1.0)
    levels = Perturbations(("A",), (50.0,)).levels(("A", "B"))
    assert span.notes({1: np.array([[50.0, 1.5]])}, levels) == ()
    (note,) = span.notes({1: np.array([[50.0, 2.5]])}, levels)
    assert "1 of 2 at step 1" in note
