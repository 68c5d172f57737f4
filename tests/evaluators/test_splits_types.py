"""The rules of all split types: by hand, and over random datasets."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pereggrn_data.core.errors import InvalidDataError, UnknownNameError, UsageError
from pereggrn_data.core.labels import Spelling, genes_of
from pereggrn_data.core.options import options_of
from pereggrn_data.core.splits import AllowedRegulators, SplitRules
from pereggrn_data.evaluators.splits.choosing import Sides, SplitRequest
from pereggrn_data.evaluators.splits.gene_choice import rank_by_variance
from pereggrn_data.evaluators.splits.guarantees import SplitFacts
from pereggrn_data.evaluators.splits.seen_targets import seen_combinations
from pereggrn_data.evaluators.splits.types import SPLIT_TYPES, make_sides, require_applicable
from pereggrn_data.evaluators.splits.validation_side import choose_validation
from pereggrn_data.pipelines.split.split_options import SplitOptions

NAMED = options_of(SplitOptions)["test_set"].applies_to
DRAWN = [
    kind.name
    for kind in SPLIT_TYPES.values()
    if kind.name not in NAMED and not kind.separate_training
]
"""Types that divide one dataset, and need no list of observations."""

NEEDS: dict[str, dict[str, Any]] = {
    "k_fold": {"folds": 2, "fold": 0},
    "cell_type": {"cell_type": "k"},
}
"""Options that some types need."""


def needed_by(kind: str) -> dict[str, Any]:
    rules = options_of(SplitRules)
    return {n: v for n, v in NEEDS.get(kind, {}).items() if kind in rules[n].applies_to}


def request(labels: list[str], controls: set[str], **options: Any) -> SplitRequest:
    options.setdefault("heldout_fraction", 0.5)
    options.setdefault("seed", 0)
    options.setdefault("measured", frozenset(g for label in labels for g in genes_of(label)))
    options.setdefault("cell_types", np.array([*"kl"] * len(labels), object)[: len(labels)])
    return SplitRequest(
        perturbations=np.array(labels, dtype=object),
        is_control=np.isin(labels, list(controls)),
        names=np.array([f"cell{i:05}" for i in range(len(labels))], dtype=object),
        **options,
    )


def facts(
    asked: SplitRequest, sides: Sides, rules: SplitRules | None = None, aside: Any = None
) -> SplitFacts:
    obs = pd.DataFrame(
        {
            "perturbation": asked.perturbations,
            "is_control": asked.is_control,
            "cell_type": asked.cell_types,
        },
        index=asked.names,
    )
    train = np.setdiff1d(sides.train, [] if aside is None else aside)
    return SplitFacts(
        train=obs.iloc[train],
        test=obs.iloc[sides.test],
        given=obs.iloc[sides.given],
        measured=asked.measured,
        rules=rules or SplitRules(),
        everyone=obs,
        validation=None if aside is None else obs.iloc[aside],
    )


@st.composite
def requests(draw: Any) -> SplitRequest:
    """Labels with shared prefixes, pairs, single replicates, several control labels."""
    genes = draw(st.lists(st.sampled_from(["A", "A1", "A10", "AB", "B", "BA"]), min_size=1,
                          unique=True))  # fmt: skip
    pairs = [f"{a},{b}" for a in genes for b in genes if a != b]
    labels = draw(
        st.lists(st.sampled_from([*genes, *pairs, "control", "control_B"]), min_size=1,
                 max_size=40)
    )  # fmt: skip
    measured = draw(st.sets(st.sampled_from(genes)))
    allowed = draw(st.none() | st.frozensets(st.sampled_from(genes)))
    return request(
        labels,
        {"control", "control_B"},
        measured=frozenset(measured),
        allowed=allowed,
        heldout_fraction=draw(st.floats(0.01, 1)),
        seed=draw(st.integers(0, 5)),
        stratify_controls=draw(st.booleans()),
        cell_types=np.array(
            draw(st.lists(st.sampled_from("kl"), min_size=len(labels), max_size=len(labels))),
            dtype=object,
        ),
        folds=draw(st.integers(2, 4)),
        fold=draw(st.integers(0, 1)),
        cell_type="k",
    )


class TestEveryType:
    @pytest.mark.parametrize("kind", DRAWN)
    @given(asked=requests(), fraction=st.floats(0.05, 0.9))
    @settings(max_examples=120, deadline=None)
    def test_promises_hold_or_it_says_why_not(
        self, kind: str, asked: SplitRequest, fraction: float
    ) -> None:
        given = {n: getattr(asked, n) for n in options_of(SplitRules) if n in vars(asked)}
        rules = SplitRules(**given)
        try:
            sides = make_sides(kind, asked)
        except (InvalidDataError, UsageError) as error:
            named = isinstance(error, UnknownNameError)
            said = named or (error.expected and (error.got or error.fix))
        else:
            said = "made"
            self.check(kind, asked, sides, rules)
            self.check_validation(kind, asked, sides, rules, fraction)
        assert said

    def check_validation(
        self, kind: str, asked: SplitRequest, sides: Sides, rules: SplitRules, fraction: float
    ) -> None:
        """What is set aside leaves every promise as it is, or it is said why nothing can be."""
        if not len(sides.train):
            return
        labels, controls = asked.perturbations[sides.train], asked.is_control[sides.train]
        options: Any = {"measured": asked.measured, "fraction": fraction, "seed": asked.seed}
        try:
            chosen = choose_validation(SPLIT_TYPES[kind], labels, controls, **options)
        except InvalidDataError:
            return
        again = choose_validation(SPLIT_TYPES[kind], labels, controls, **options)
        np.testing.assert_array_equal(chosen, again)
        assert len(chosen)
        found = facts(asked, sides, rules, sides.train[chosen])
        broken = SPLIT_TYPES[kind].broken_promises(found)
        # Only what holds of the other training perturbations may be lost with them.
        assert {p.code for p, _ in broken} <= {"split-nothing-to-transfer"}
        left = set(labels[np.setdiff1d(np.flatnonzero(~controls), chosen)])
        assert left
        if not SPLIT_TYPES[kind].holds_out_labels:
            assert left == set(labels[~controls])

    def check(self, kind: str, asked: SplitRequest, sides: Sides, rules: SplitRules) -> None:
        broken = SPLIT_TYPES[kind].broken_promises(facts(asked, sides, rules))
        assert not broken
        everything = np.concatenate([sides.train, sides.test, sides.given])
        assert sorted(everything) == list(range(len(asked.names)))
        again = make_sides(kind, asked)
        np.testing.assert_array_equal(again.train, sides.train)
        np.testing.assert_array_equal(again.test, sides.test)

    @pytest.mark.parametrize("kind", DRAWN)
    def test_only_controls(self, kind: str) -> None:
        with pytest.raises((InvalidDataError, UsageError)) as caught:
            make_sides(kind, request(["control"] * 4, {"control"}, **needed_by(kind)))
        assert "control" in str(caught.value)

    @pytest.mark.parametrize("kind", DRAWN)
    def test_thousands_of_labels(self, kind: str) -> None:
        labels = [f"G{i}" for i in range(2500)] * 2 + [f"G{i},G{i + 1}" for i in range(2500)]
        needed = needed_by(kind)
        asked = request([*labels, "ctrl", "ctrl"], {"ctrl"}, **needed)
        sides = make_sides(kind, asked)
        assert not SPLIT_TYPES[kind].broken_promises(facts(asked, sides, SplitRules(**needed)))

    @pytest.mark.parametrize("kind", SPLIT_TYPES)
    @pytest.mark.parametrize("fraction", [0, -0.1, 1.1, math.nan])
    def test_fraction_out_of_range(self, kind: str, fraction: float) -> None:
        asked = request(["A", "ctrl"], {"ctrl"}, heldout_fraction=fraction)
        with pytest.raises(UsageError, match="out of range"):
            make_sides(kind, asked)


class TestSimple:
    def test_by_hand(self) -> None:
        labels = ["A", "ctrl", "B", "C", "D", "E"]
        asked = request(labels, {"ctrl"}, heldout_fraction=0.5, seed=3)
        drawn = set(np.random.RandomState(3).choice(6, size=3, replace=False)) | {1}
        sides = make_sides("simple", asked)
        assert set(sides.train) == drawn
        assert set(sides.test) == set(range(6)) - drawn

    def test_both_sides_are_sorted_by_name(self) -> None:
        asked = request(["A"] * 30 + ["ctrl"], {"ctrl"})
        names = np.array([f"c{i}" for i in range(31)], dtype=object)
        sides = make_sides("simple", SplitRequest(**{**vars(asked), "names": names}))
        for side in (sides.train, sides.test):
            assert list(names[side]) == sorted(names[side])

    def test_seeds_have_32_bits(self) -> None:
        with pytest.raises(UsageError, match="32 bits"):
            make_sides("simple", request(["A", "ctrl"], {"ctrl"}, seed=2**32))

    def test_nothing_left_to_hold_out(self) -> None:
        asked = request(["A", "B", "ctrl"], {"ctrl"}, heldout_fraction=0.1)
        with pytest.raises(UsageError, match="leaves the test set empty") as caught:
            make_sides("simple", asked)
        assert "3 observations, 1 of them controls, 3 drawn" in str(caught.value)


REPLICATES = ["A", "B", "ctrl", "A", "A", "ctrl", "B", "A", "C", "ctrl", "ctrl"]


class TestStratified:
    def test_by_hand(self) -> None:
        """4 of A, 2 of B, 1 of C, 4 controls: 2, 1, 1 and 2 of them are drawn for training."""
        asked = request(REPLICATES, {"ctrl"}, seed=1, stratify_controls=True)
        rows = {label: [i for i, p in enumerate(REPLICATES) if p == label] for label in REPLICATES}
        train = []
        for of_label, count in ((rows["A"], 2), (rows["B"], 1), (rows["ctrl"], 2), (rows["C"], 1)):
            draw = np.random.default_rng(1).choice(len(of_label), count, replace=False)
            train += [of_label[k] for k in draw]
        sides = make_sides("stratified", asked)
        assert sides.train.tolist() == train
        assert sides.test.tolist() == sorted(set(range(11)) - set(train))

    def test_controls_go_back_to_training(self) -> None:
        asked = request(REPLICATES, {"ctrl"}, seed=1)
        both = make_sides("stratified", SplitRequest(**{**vars(asked), "stratify_controls": True}))
        sides = make_sides("stratified", asked)
        controls = set(np.flatnonzero(asked.is_control))
        assert set(sides.test) == set(both.test) - controls
        assert controls <= set(sides.train)

    def test_single_replicates(self) -> None:
        with pytest.raises(InvalidDataError, match="at most 1 observations each") as caught:
            make_sides("stratified", request(["A", "B", "ctrl"], {"ctrl"}))
        assert "do not merge" in str(caught.value)

    def test_only_controls_held_out_is_said(self) -> None:
        labels = ["A", "A", *["ctrl"] * 20]
        asked = request(labels, {"ctrl"}, heldout_fraction=0.1, stratify_controls=True)
        assert "Only controls" in make_sides("stratified", asked).warnings[0]


COMBINATIONS = ["A", "A,B", "ctrl", "B", "A,B,C", "X,Y", "ctrl,2"]


class TestCombinations:
    def test_by_hand(self) -> None:
        """A control whose label has a comma is a control."""
        asked = request(COMBINATIONS, {"ctrl", "ctrl,2"})
        interaction = make_sides("genetic_interaction", asked)
        assert interaction.test.tolist() == [1, 4, 5]
        assert make_sides("demultiplexing", asked).test.tolist() == [0, 3]

    def test_without_combinations(self) -> None:
        for kind in ("genetic_interaction", "demultiplexing"):
            with pytest.raises(InvalidDataError, match="2 observations of one gene, 0 of several"):
                make_sides(kind, request(["A", "B", "ctrl"], {"ctrl"}))

    def test_without_singles(self) -> None:
        asked = request(["A,B", "ctrl"], {"ctrl"})
        sides = make_sides("genetic_interaction", asked)
        assert sides.warnings == ("No perturbation of a single gene trains.",)
        with pytest.raises(InvalidDataError, match="0 observations of one gene"):
            make_sides("demultiplexing", asked)


class TestCustom:
    def test_by_hand(self) -> None:
        asked = request(["A", "B", "A", "ctrl"], {"ctrl"}, test_set=("cell00002", "cell00001"))
        sides = make_sides("custom", asked)
        assert sides.test.tolist() == [1, 2]
        assert "1 of 2 held-out perturbations also occur in training: A" in sides.warnings[0]

    @pytest.mark.parametrize(
        ("test_set", "message"),
        [
            (None, "--test-set"),
            (("cell1",), "cell1"),
            (("cell00003",), "leaves observations"),
            (tuple(f"cell0000{i}" for i in range(4)), "leaves observations"),
        ],
    )
    def test_refuses(self, test_set: tuple[str, ...] | None, message: str) -> None:
        asked = request(["A", "B", "A", "ctrl"], {"ctrl"}, test_set=test_set)
        with pytest.raises((InvalidDataError, UsageError), match=message):
            make_sides("custom", asked)

    def test_a_test_set_with_all_controls_breaks_a_promise(self) -> None:
        asked = request(["A", "B", "ctrl"], {"ctrl"}, test_set=("cell00000", "cell00002"))
        broken = SPLIT_TYPES["custom"].broken_promises(facts(asked, make_sides("custom", asked)))
        assert [promise.code for promise, _ in broken] == ["split-no-control"]


LETTERS = [*"ABCDEFG", "A,B", "ctrl", "ctrl"]


class TestFolds:
    def test_by_hand(self) -> None:
        """Seven letters and one pair, permuted by the seed, in folds of 3, 3 and 2."""
        order = np.random.default_rng(4).permutation(8)
        wanted = [sorted(order[:3]), sorted(order[3:6]), sorted(order[6:])]
        for fold, rows in enumerate(wanted):
            asked = request(LETTERS, {"ctrl"}, seed=4, folds=3, fold=fold)
            assert make_sides("k_fold", asked).test.tolist() == rows

    @given(asked=requests(), folds=st.integers(2, 5))
    @settings(deadline=None, max_examples=60)
    def test_every_perturbation_that_can_be_held_out_is_so_once(
        self, asked: SplitRequest, folds: int
    ) -> None:
        asked = replace(asked, folds=folds, fold=0)
        try:
            make_sides("k_fold", asked)
        except (InvalidDataError, UsageError):
            return
        sides = [make_sides("k_fold", replace(asked, fold=k)) for k in range(folds)]
        held = [label for s in sides for label in dict.fromkeys(asked.perturbations[s.test])]
        everything = make_sides("interventional", replace(asked, heldout_fraction=1.0))
        assert sorted(held) == sorted(set(asked.perturbations[everything.test]))
        sizes = [len({Spelling().form(p) for p in asked.perturbations[s.test]}) for s in sides]
        assert max(sizes) - min(sizes) <= 1

    def test_spellings_stay_together(self) -> None:
        labels = ["A,B", "B,A", "C", "ctrl", "B,A", "Z,C", "C,Z", "D"]
        measured = frozenset("ABCD")
        held = []
        for k in range(3):
            asked = request(labels, {"ctrl"}, folds=3, fold=k, measured=measured)
            held.append(set(asked.perturbations[make_sides("k_fold", asked).test]))
        assert sorted(map(sorted, held)) == [["A,B", "B,A"], ["C"], ["D"]]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"fold": None}, "which fold"),
            ({"fold": 0, "folds": 9}, "8 perturbations cannot be dealt into 9"),
        ],
    )
    def test_refuses(self, options: Any, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            make_sides("k_fold", request(LETTERS, {"ctrl"}, **options))

    def test_a_fold_that_there_is_not(self) -> None:
        with pytest.raises(UsageError, match="no fold 5"):
            require_applicable("k_fold", SplitRules(fold=5))


CELLS = ["A", "A", "B", "ctrl", "C", "A", "ctrl"]
TYPES = np.array([*"klkklll"], dtype=object)


class TestCellType:
    def test_by_hand(self) -> None:
        """Perturbed observations of k are held out, its control trains; B is only in k."""
        asked = request(CELLS, {"ctrl"}, cell_types=TYPES, cell_type="k")
        sides = make_sides("cell_type", asked)
        assert sides.test.tolist() == [0, 2]
        assert sides.train.tolist() == [1, 3, 4, 5, 6]
        assert sides.warnings == ("1 of 2 held-out perturbations train in no other cell type: B.",)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"cell_type": None}, "2 perturbed"),
            ({"cell_type": "m"}, "m"),
            ({"cell_types": None}, "column cell_type"),
            ({"cell_type": "nan", "cell_types": np.array([*"kkkll", None, np.nan])}, "'nan'"),
            ({"cell_types": np.array([*"kkkllll"], object)}, "cannot be tested"),
            ({"cell_types": np.array([*"kkkkkkk"], object)}, "cannot be tested"),
        ],
    )
    def test_refuses(self, options: Any, message: str) -> None:
        asked = request(CELLS, {"ctrl"}, **{"cell_types": TYPES, "cell_type": "k", **options})
        with pytest.raises((InvalidDataError, UsageError, UnknownNameError), match=message):
            make_sides("cell_type", asked)

    def test_what_breaks_its_promises_is_found(self) -> None:
        asked = request(CELLS, {"ctrl"}, cell_types=TYPES, cell_type="k")
        sides = Sides(np.array([2, 6]), np.array([0, 1]))
        broken = SPLIT_TYPES["cell_type"].broken_promises(
            facts(asked, sides, SplitRules(cell_type="k"))
        )
        assert {p.code: names for p, names in broken} == {
            "split-other-cell-type": ("cell00001",),
            "split-cell-type-in-training": ("cell00002",),
            "split-heldout-control": ("cell00003",),
            "split-no-matching-control": ("k",),
            "split-nothing-to-transfer": ("no perturbed observation of another cell type",),
            "split-left-out": ("cell00003", "cell00004", "cell00005"),
        }


class TestValidation:
    def test_whole_perturbations_by_hand(self) -> None:
        labels = np.array(["A", "B", "A", "ctrl", "C", "Z"], dtype=object)
        drawn = np.random.default_rng((3, 1)).permutation(3)[:2]
        wanted = [[0, 2], [1], [4]]
        chosen = choose_validation(
            SPLIT_TYPES["interventional"], labels, labels == "ctrl",
            measured=frozenset("ABC"), fraction=0.5, seed=3,
        )  # fmt: skip
        assert chosen.tolist() == sorted(i for k in drawn for i in wanted[k])

    def test_single_observations_by_hand(self) -> None:
        """One of each label stays, however much is asked for."""
        labels = np.array(["A", "B", "A", "ctrl", "A"], dtype=object)
        chosen = choose_validation(
            SPLIT_TYPES["stratified"], labels, labels == "ctrl",
            measured=frozenset("AB"), fraction=0.9, seed=0,
        )  # fmt: skip
        order = [i for i in np.random.default_rng((0, 1)).permutation([0, 1, 2, 4]) if i != 1]
        assert chosen.tolist() == sorted(order[:2])

    def test_overlap_is_found(self) -> None:
        asked = request(CELLS, {"ctrl"}, cell_types=TYPES)
        sides = Sides(np.array([1, 2, 3, 4, 5, 6]), np.array([0]))
        found = facts(asked, sides)
        found = replace(
            found, train=found.everyone.iloc[1:], validation=found.everyone.iloc[[2, 3]]
        )
        broken = {p.code: n for p, n in SPLIT_TYPES["custom"].broken_promises(found)}
        assert broken == {"split-validation": ("cell00002", "cell00003", "cell00003")}


def test_seen_targets() -> None:
    """Each gene counts once, and only perturbations of several genes are labelled."""
    assert seen_combinations(["A,B", "C", "D,E", "A,B", "A,A", "B,Z"], ["A", "B,D"]) == (
        ("A,B", "seen2"),
        ("D,E", "seen1"),
        ("A,A", "seen1"),
        ("B,Z", "seen1"),
    )


class TestAllowed:
    @given(asked=requests())
    @settings(deadline=None)
    def test_only_allowed_genes_are_held_out(self, asked: SplitRequest) -> None:
        assume(asked.allowed is not None)
        assert asked.allowed is not None
        try:
            sides = make_sides("interventional", asked)
        except (InvalidDataError, UsageError):
            return
        for label in asked.perturbations[sides.test]:
            assert asked.allowed.issuperset(genes_of(label))

    def test_none_left(self) -> None:
        asked = request(["A", "B", "ctrl"], {"ctrl"}, allowed=frozenset({"Z"}))
        with pytest.raises(InvalidDataError, match="0 of them allowed regulators"):
            make_sides("interventional", asked)

    def test_fewer_than_wanted_is_said(self) -> None:
        asked = request(["A", "B", "C", "ctrl"], {"ctrl"}, allowed=frozenset("A"))
        sides = make_sides("interventional", asked)
        assert sides.test.tolist() == [0]
        assert "Only 1 of 4" in sides.warnings[0]

    def test_what_is_left_for_training_is_said_and_a_fraction_that_leaves_more(self) -> None:
        labels = ["ctrl", *"ABCDEFGHI"]
        sides = make_sides("interventional", request(labels, {"ctrl"}, heldout_fraction=0.95))
        assert len(sides.test) == 9
        said = sides.warnings[0]
        assert "0 other perturbations are left for training" in said
        assert "--heldout-fraction 0.4 holds out 4 and leaves 5" in said
        fewer = make_sides("interventional", request(labels, {"ctrl"}, heldout_fraction=0.4))
        assert len(fewer.test) == 4


class TestRules:
    @pytest.mark.parametrize(
        ("kind", "rules", "message"),
        [
            ("simple", SplitRules(stratify_controls=True), "--stratify-controls means nothing"),
            (
                "stratified",
                SplitRules(allowed_regulators="union", networks=("n",)),
                "--type interventional",
            ),
            ("interventional", SplitRules(allowed_regulators="union"), "belong together"),
            ("interventional", SplitRules(networks=("n",)), "belong together"),
            ("interventional", SplitRules(keep_apart=("cell_type",)), "add --merge-replicates"),
            ("timeseries", SplitRules(merge_replicates=True), "not merged"),
        ],
    )
    def test_options_that_would_be_ignored(
        self, kind: str, rules: SplitRules, message: str
    ) -> None:
        with pytest.raises(UsageError, match=message):
            require_applicable(kind, rules)

    def test_test_set_of_another_type(self) -> None:
        with pytest.raises(UsageError, match="--type custom"):
            require_applicable("simple", SplitOptions(test_set=("a",)))

    def test_unknown_names(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean union"):
            SplitRules(allowed_regulators="unoin").require_consistent()
        with pytest.raises(UnknownNameError, match="cell_type"):
            SplitRules(merge_replicates=True, keep_apart=("celltype",)).require_consistent()

    @given(
        merge=st.booleans(),
        stratify=st.booleans(),
        rank=st.booleans(),
        networks=st.lists(st.text(min_size=1), max_size=3),
        apart=st.sets(st.sampled_from(["cell_type", "timepoint"])),
    )
    def test_written_and_read(
        self, merge: bool, stratify: bool, rank: bool, networks: list[str], apart: set[str]
    ) -> None:
        rules = SplitRules(
            merge_replicates=merge,
            keep_apart=tuple(sorted(apart)) if merge else (),
            stratify_controls=stratify,
            rank_on_train=rank,
            allowed_regulators=AllowedRegulators.UNION if networks else AllowedRegulators.ALL,
            networks=tuple(networks),
        )
        assert SplitRules.from_dict(rules.to_dict(), source="x") == rules
        assert SplitRules().to_dict() == {}

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"merge_replicate": True}, "did you mean 'merge_replicates'"),
            ({"merge_replicates": "yes"}, "another type"),
            ({"networks": "n"}, "a list of names"),
            ({"networks": [1]}, "a list of names"),
            ({"allowed_regulators": True}, "another type"),
            ({"allowed_regulators": "some"}, "go together"),
            ({"keep_apart": ["cell_type"]}, "go together"),
            ([], "JSON object"),
        ],
    )
    def test_wrong_rules_are_refused(self, values: object, message: str) -> None:
        with pytest.raises(InvalidDataError, match=message):
            SplitRules.from_dict(values, source="x")


def test_rank_by_variance() -> None:
    from scipy import sparse

    x = np.array([[0.0, 1, 5, 1], [0, 2, 5, 2], [0, 9, 5, 0]])
    assert rank_by_variance(x).tolist() == [2, 0, 3, 1]
    assert rank_by_variance(sparse.csr_matrix(x)).tolist() == [2, 0, 3, 1]
    assert rank_by_variance(sparse.csc_array(x.astype(np.float32))).tolist() == [2, 0, 3, 1]
