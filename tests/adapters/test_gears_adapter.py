"""What the program for GEARS does before and after GEARS: gene sets, graph, names."""

from __future__ import annotations

import pickle
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pereggrn_data.adapters import gears_adapter as gears

SETS = {"A": {"t1", "t2"}, "B": {"t1"}, "C": {"t3"}, "D": {"t2", "t3"}}


def edges(graph: gears.Graph) -> dict[tuple[str, str], float]:
    names = np.array(graph.genes)
    found = zip(names[graph.source], names[graph.target], graph.importance, strict=True)
    return {(str(a), str(b)): float(w) for a, b, w in found}


def test_the_packages_of_its_environment_are_not_imported_before_it_runs() -> None:
    assert "torch" not in sys.modules
    assert not hasattr(gears, "torch")


def test_graph_by_hand() -> None:
    graph = gears.jaccard_graph(SETS, ["A", "B", "C", "D", "not there"])
    assert graph.genes == ("A", "B", "C", "D")
    half, third = 1 / 2, 1 / 3
    assert edges(graph) == pytest.approx(
        {
            **{(g, g): 1.0 for g in "ABCD"},
            **{("A", "B"): half, ("B", "A"): half, ("C", "D"): half, ("D", "C"): half},
            **{("A", "D"): third, ("D", "A"): third},
        }
    )


@given(
    st.dictionaries(
        st.integers(0, 60).map(lambda i: f"g{i:02}"),
        st.sets(st.integers(0, 5).map(str), max_size=4),
        min_size=1,
        max_size=45,
    )
)
def test_graph_is_that_of_the_definition(sets: dict[str, set[str]]) -> None:
    found = edges(gears.jaccard_graph(sets, sets))
    for target in sets:
        near = [
            (-len(sets[a] & sets[target]) / len(sets[a] | sets[target]), a)
            for a in sets
            if sets[a] and sets[target]
        ]
        best = sorted((w, a) for w, a in near if -w > gears.LEAST_JACCARD)[: gears.NEIGHBOURS]
        assert {a: w for (a, b), w in found.items() if b == target} == pytest.approx(
            {a: -w for w, a in best}
        )


def files(folder: Path) -> dict[str, Path]:
    texts = {
        "sets.gmt": "t1\tx\tA\tB,1.0\n\nt2\t\tA\tD\nt3\t\tC\tD\n",
        "sets.csv": "A,t1\nA,t2\nB,t1\nC,t3\nD,t2\nD,t3\n",
        "sets.tsv": "term\tgene\nt1\tA\nt2\tA\nt1\tB\nt3\tC\nt2\tD\nt3\tD\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    for protocol in (0, 2, 4):
        with (folder / f"{protocol}.pkl").open("wb") as file:
            pickle.dump(SETS, file, protocol=protocol)
    return {path.name: path for path in folder.iterdir()}


def test_gene_sets_of_every_kind_give_one_graph(tmp_path: Path) -> None:
    expected = edges(gears.jaccard_graph(SETS, SETS))
    found = files(tmp_path)
    assert len(found) == 6
    for path in found.values():
        assert edges(gears.read_graph(path, SETS)) == pytest.approx(expected)


def test_edges_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    path.write_text("importance,source,target\n0.5,A,B\n0.05,B,A\n0.9,A,Z\n")
    graph = gears.read_graph(path, ["A", "B", "C"])
    assert graph.genes == ("A", "B")
    assert edges(graph) == {("A", "B"): 0.5, ("B", "A"): 0.05}


class Opens:
    def __reduce__(self) -> object:
        return (open, ("opened", "w"))


@pytest.mark.parametrize("what", [{"A": Opens()}, {"A": Counter("x")}, Opens(), {"A": "t1"}, 3])
def test_pickles_that_are_no_gene_sets_are_refused_and_call_nothing(
    what: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "sets.pkl"
    path.write_bytes(pickle.dumps(what))
    with pytest.raises(SystemExit, match=r"sets\.pkl cannot be read"):
        gears.read_graph(path, ["A"])
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.gmt", "t1\tA\n"),
        ("a.csv", "A,t1\nB\n"),
        ("a.csv", "a,b,c\n1,2,3\n"),
        ("a.csv", "source,target,importance\nA,B,x\n"),
        ("a.csv", "source,target,importance\nA,B,nan\n"),
        ("a.csv", ""),
        ("a.pkl", ""),
        ("a.gmt", "t1\t\tX\tY\n"),
        ("absent.gmt", None),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, name: str, text: str | None) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit, match=name):
        gears.read_graph(tmp_path / name, ["A", "B"])


def test_perturbations_are_named_as_gears_names_them() -> None:
    labels, controls = ["A", "B,A", "any", "A,B"], [False, False, True, False]
    assert gears.conditions_of(labels, controls) == ["A+ctrl", "A+B", "ctrl", "A+B"]
    for label in ("A+B", "ctrl", "A,", "ctrl,A"):
        with pytest.raises(SystemExit, match="GEARS cannot take"):
            gears.condition(label)


def test_what_is_outside_the_graph_is_named_or_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    graph = gears.jaccard_graph(SETS, SETS)
    lost = gears.outside(["A", "A,Z", "Y", "B,C"], graph)
    assert lost == ["A,Z", "Y"]
    with pytest.raises(SystemExit, match="Are not in the graph: A,Z, Y"):
        gears.refuse_or_note(lost, "Are not in the graph", allowed=False)
    gears.refuse_or_note(lost, "Are not in the graph", allowed=True)
    gears.refuse_or_note([], "Are not in the graph", allowed=False)
    assert "left out, because they are not in the graph: A,Z, Y" in capsys.readouterr().out


def test_perturbations_are_set_aside_by_the_seed() -> None:
    names = ["ctrl", *(f"g{i:02}+ctrl" for i in range(20))] * 2
    drawn = gears.validation_conditions(names, 0)
    assert drawn == gears.validation_conditions(reversed(names), 0)
    assert len(drawn) == 2
    assert set(drawn) < set(names) - {"ctrl"}
    assert any(gears.validation_conditions(names, seed) != drawn for seed in range(1, 5))
    assert len(gears.validation_conditions(["a+ctrl", "b+ctrl"], 0)) == 1
    with pytest.raises(SystemExit, match="two perturbations"):
        gears.validation_conditions(["ctrl", "a+ctrl"], 0)
