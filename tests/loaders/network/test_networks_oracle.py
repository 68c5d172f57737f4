"""Every answer of a network equals the same computation in pandas."""

from __future__ import annotations

import gc
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pereggrn_data
from pereggrn_data import Network, open_network
from pereggrn_data.core.errors import InvalidDataError, UnknownNameError, UsageError

KEY = ["regulator", "target", "cell_type"]
ANSWER = ["regulator", "target", "weight", "cell_type", "subnetwork"]
NAMES = ["A", "B", "a", "O'Neil", "x; DROP TABLE edges", "é", "e\u0301", "基因", "", " A"]
REAL = ["trrust_human", "encode-nets_human", "regulondb6.1_ecoli", "dorothea_human"]

SLOW = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

names = st.sampled_from(NAMES)
weights = st.sampled_from([-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, float("nan"), float("inf")])
cell_types = st.sampled_from([None, "T", "b"])
edge = st.tuples(names, names, weights, cell_types, st.sampled_from(["s1", "s2"]))
tables = st.lists(edge, max_size=25).map(lambda rows: pd.DataFrame(rows, columns=ANSWER))


def kept(weights: pd.Series) -> float:
    """The rule of union, written down a second time."""
    known = weights.dropna()
    if known.empty:
        return np.nan
    return known[known.abs() == known.abs().max()].max()


def merged(frame: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    if frame.empty:
        return frame
    plain = frame.assign(
        cell_type=frame["cell_type"].astype(object).where(frame["cell_type"].notna())
    )
    return plain.groupby(key, dropna=False, sort=False)["weight"].agg(kept).reset_index()


def stacked(*frames: pd.DataFrame) -> pd.DataFrame:
    rows = [row for frame in frames for row in frame.itertuples(index=False, name=None)]
    return pd.DataFrame(rows, columns=ANSWER)


def as_set(frame: pd.DataFrame, columns: list[str]) -> set[tuple[object, ...]]:
    rows = [
        tuple(None if isinstance(v, float) and np.isnan(v) else v for v in row)
        for row in frame[columns].itertuples(index=False)
    ]
    assert len(rows) == len(set(rows)), "an edge counts once"
    return set(rows)


def network_of(frame: pd.DataFrame, how: str, folder: Path) -> Network:
    if how == "table":
        return Network.from_table(frame.astype({"weight": float}))
    if how == "arrow":
        return Network.from_table(pa.Table.from_pandas(_typed(frame), preserve_index=False))
    path = folder / "n"
    path.mkdir(exist_ok=True)
    for old in path.glob("*"):
        old.unlink()
    for part, rows in frame.groupby("subnetwork"):
        _typed(rows.drop(columns="subnetwork")).to_parquet(path / f"{part}.parquet")
    return Network.from_parquet(path) if len(frame) else Network.empty()


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(cell_type=pd.array(frame["cell_type"], dtype="string"))


@SLOW
@given(tables, st.sampled_from(["table", "arrow", "files"]), st.lists(names, max_size=3))
def test_small_networks_equal_pandas(
    tmp_path: Path, frame: pd.DataFrame, how: str, genes: list[str]
) -> None:
    net = network_of(frame, how, tmp_path)
    expected = merged(frame, [*KEY, "subnetwork"])
    found = net.edges()
    assert as_set(found, ANSWER) == as_set(expected, ANSWER)
    assert net.n_edges == len(found)
    assert net.regulators() == sorted(set(frame["regulator"]))
    assert net.targets() == sorted(set(frame["target"]))
    assert net.cell_types() == sorted(set(frame["cell_type"].dropna()))
    assert net.subnetworks == sorted(set(frame["subnetwork"])) or frame.empty

    into = net.regulators_of(genes)
    assert as_set(into, ANSWER) == as_set(expected[expected["target"].isin(genes)], ANSWER)
    out = net.targets_of(genes)
    assert as_set(out, ANSWER) == as_set(expected[expected["regulator"].isin(genes)], ANSWER)
    lists = net.regulator_lists(genes)
    assert lists == {
        g: sorted(set(frame["regulator"][frame["target"] == g])) for g in dict.fromkeys(genes)
    }
    heavy = net.edges(weight_range=(0.5, None), cell_type="T")
    rows = expected[(expected["weight"] >= 0.5) & (expected["cell_type"] == "T")]
    assert as_set(heavy, ANSWER) == as_set(rows, ANSWER)


@SLOW
@given(tables, tables)
def test_algebra_equals_pandas(a: pd.DataFrame, b: pd.DataFrame) -> None:
    x, y = (Network.from_table(f.astype({"weight": float})) for f in (a, b))
    columns = [*KEY, "weight"]
    both = merged(stacked(a, b), KEY)
    assert as_set(x.union(y).edges(), columns) == as_set(both, columns)
    assert as_set(y.union(x).edges(), columns) == as_set(both, columns)
    assert as_set(x.unique().edges(), columns) == as_set(merged(a, KEY), columns)

    keys_a, keys_b = (as_set(merged(f, KEY), KEY) for f in (a, b))
    common = as_set(x.intersect(y).edges(), columns)
    assert {row[:3] for row in common} == keys_a & keys_b
    assert common <= as_set(both, columns)

    turned = a.rename(columns={"regulator": "target", "target": "regulator"})
    expected = merged(stacked(a, turned[ANSWER]), [*KEY, "subnetwork"])
    assert as_set(x.symmetrise().edges(), ANSWER) == as_set(expected, ANSWER)
    target = a["target"].iloc[0] if len(a) else "A"
    assert as_set(x.symmetrise().regulators_of(target), ANSWER) == as_set(
        expected[expected["target"] == target], ANSWER
    )
    pairs_a, pairs_b = (set(zip(f["regulator"], f["target"], strict=True)) for f in (a, b))
    shared = x.overlap(y).edges
    assert (shared.a, shared.b, shared.shared) == (
        len(pairs_a),
        len(pairs_b),
        len(pairs_a & pairs_b),
    )
    if pairs_a | pairs_b:
        assert shared.jaccard == len(pairs_a & pairs_b) / len(pairs_a | pairs_b)
    else:
        assert shared.jaccard is None


@SLOW
@given(tables)
def test_matrix_and_degree_equal_pandas(frame: pd.DataFrame) -> None:
    net = Network.from_table(frame.astype({"weight": float}))
    rows, columns = ["B", "nobody", "A"], ["é", "A", "O'Neil"]
    matrix = net.matrix(rows, columns)
    assert matrix.shape == (3, 3)
    expected = merged(frame, ["regulator", "target"])
    expected = expected[expected["regulator"].isin(rows) & expected["target"].isin(columns)]
    assert matrix.nnz == len(expected)
    for regulator, target, weight in expected[["regulator", "target", "weight"]].itertuples(
        index=False
    ):
        assert matrix[rows.index(regulator), columns.index(target)] == pytest.approx(
            weight, nan_ok=True
        )
    pairs = frame[["regulator", "target"]].drop_duplicates()
    degree = net.degree().set_index("gene")
    assert list(degree.index) == sorted({*frame["regulator"], *frame["target"]})
    assert degree["out_degree"].sum() == degree["in_degree"].sum() == len(pairs)
    for gene, counts in degree.iterrows():
        assert counts["out_degree"] == (pairs["regulator"] == gene).sum()
        assert counts["in_degree"] == (pairs["target"] == gene).sum()


@pytest.mark.shared
@pytest.mark.parametrize("name", REAL)
def test_real_networks_equal_pandas(shared: Path, name: str) -> None:
    folder = shared / "data" / "networks" / name / "networks"
    frame = pd.concat(
        [pd.read_parquet(f).assign(subnetwork=f.stem) for f in sorted(folder.glob("*.parquet"))]
    )
    net = pereggrn_data.open_network(name, collection=str(shared / "data"))
    assert net.n_edges == len(frame)
    assert net.targets() == sorted(frame["target"].unique())
    assert net.regulators() == sorted(frame["regulator"].unique())
    genes = [*net.targets()[:: max(1, len(net.targets()) // 40)], "not a gene", "' OR '1'='1"]
    found = net.regulators_of(genes)
    rows = frame[frame["target"].isin(genes)]
    pd.testing.assert_frame_equal(
        found[["regulator", "target", "weight", "subnetwork"]],
        rows.sort_values(["target", "regulator", "subnetwork"], ignore_index=True)[
            ["regulator", "target", "weight", "subnetwork"]
        ].astype(dict.fromkeys(("regulator", "target", "subnetwork"), object)),
    )
    by_target = rows.groupby("target")["regulator"].agg(lambda r: sorted(set(r))).to_dict()
    lists = net.regulator_lists(genes)
    assert lists == {gene: by_target.get(gene, []) for gene in genes}
    assert lists["' OR '1'='1"] == []
    pairs = frame[["regulator", "target"]].drop_duplicates()
    assert net.unique().n_edges == len(pairs)
    degree = net.degree().set_index("gene")["out_degree"]
    assert degree[degree > 0].to_dict() == pairs["regulator"].value_counts().to_dict()


@pytest.mark.shared
def test_all_lists_of_a_large_network_equal_pandas(shared: Path) -> None:
    path = shared / "data/networks/marbach2016_human/networks/all.parquet"
    frame = pd.read_parquet(path, columns=["regulator", "target"]).drop_duplicates()
    lists = Network.from_parquet(path).regulator_lists()
    assert len(lists) == 13_090
    assert sum(map(len, lists.values())) == len(frame)
    counts = frame["target"].value_counts()
    assert {t: len(r) for t, r in lists.items()} == counts.to_dict()
    chosen = list(lists)[::500]
    rows = frame[frame["target"].isin(chosen)]
    for target in chosen:
        assert lists[target] == sorted(rows["regulator"][rows["target"] == target])


@pytest.mark.shared
def test_cell_types_of_the_golden_collection(shared: Path) -> None:
    net = pereggrn_data.open_network("ctNet", collection=str(shared / "golden/inputs"))
    alpha = pereggrn_data.open_network(
        "ctNet", subnetworks="alpha", collection=str(shared / "golden/inputs")
    )
    folder = shared / "golden/inputs/network_collection/networks/ctNet/networks"
    frame = pd.read_parquet(folder / "alpha.parquet")
    assert net.subnetworks == ["alpha", "beta"]
    assert alpha.n_edges == len(frame)
    assert alpha.cell_types() == sorted(frame["cell_type"].unique())
    pd.testing.assert_series_equal(
        alpha.edges()["weight"],
        frame.sort_values(["regulator", "target"], ignore_index=True)["weight"],
    )


def test_an_edge_counts_once_wherever_it_is_stored(tmp_path: Path) -> None:
    """The cases of the original (golden/unit/lightnetwork), where the count depends on storage."""
    twice = pd.DataFrame(
        [("A", "x", 1.0), ("A", "x", 1.0), ("A", "y", 3.0), ("B", "x", 2.0)],
        columns=["regulator", "target", "weight"],
    )
    other = pd.DataFrame(
        [("A", "x", 9.0), ("C", "x", 5.0)], columns=["regulator", "target", "weight"]
    )
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    twice.to_parquet(one)
    other.to_parquet(two)
    for source in (one, twice, pa.Table.from_pandas(twice)):
        net = pereggrn_data.open_network(source)
        assert net.n_edges == 3
        assert net.regulators_of("x")["regulator"].tolist() == ["A", "B"]
    for sources in ([one, two], [one, other], [twice, two], [twice, other], [one, one, two]):
        net = pereggrn_data.open_network(sources)
        found = net.regulators_of("x")
        assert found["regulator"].tolist() == ["A", "B", "C"]
        assert found["weight"].tolist() == [9.0, 2.0, 5.0]
        assert net.n_edges == 4
    assert pereggrn_data.open_network(one).regulators_of("O'Neil").empty


def test_of_opposite_weights_the_positive_one_is_kept() -> None:
    frame = pd.DataFrame({"regulator": "A", "target": "x", "weight": [-2.0, 2.0, 1.0]})
    for rows in (frame, frame[::-1]):
        assert Network.from_table(rows).edges()["weight"].tolist() == [2.0]
    assert Network.from_table(frame[:1]).union(Network.from_table(frame[2:])).edges()[
        "weight"
    ].tolist() == [-2.0]


def test_files_with_different_columns_mix(tmp_path: Path) -> None:
    edges = {"regulator": ["A"], "target": ["x"]}
    pd.DataFrame(edges).to_parquet(tmp_path / "two.parquet")
    pd.DataFrame({"weight": [5], **edges}).to_parquet(tmp_path / "three.parquet")
    pd.DataFrame({**edges, "weight": [2.5], "cell_type": ["T"], "note": ["?"]}).to_parquet(
        tmp_path / "four.parquet"
    )
    categories = pd.DataFrame(edges).astype("category").assign(weight=np.float32(0.5))
    categories.to_parquet(tmp_path / "five.parquet")
    net = Network.from_parquet(tmp_path, name="mixed")
    found = net.edges().set_index("subnetwork")
    assert found["weight"].to_dict() == {"two": -1.0, "three": 5.0, "four": 2.5, "five": 0.5}
    assert found["cell_type"].dropna().to_dict() == {"four": "T"}
    once = net.unique().edges()
    assert once["weight"].tolist() == [5.0, 2.5]
    assert once["subnetwork"].tolist() == ["three", "four"]


def test_text_is_plain_and_order_is_fixed(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"regulator": ["b", "a", "B"], "target": ["x", "x", "w"], "cell_type": ["t", None, None]}
    )
    frame.to_parquet(tmp_path / "n.parquet")
    found = Network.from_parquet(tmp_path / "n.parquet").edges()
    assert found["regulator"].tolist() == ["B", "a", "b"]
    text = [c for c in ANSWER if c != "weight"]
    assert [found[c].dtype for c in text] == [np.dtype(object)] * 4
    assert all(type(v) is str for c in ("regulator", "target", "subnetwork") for v in found[c])
    shuffled = Network.from_table(frame.sample(frac=1, random_state=0)).edges()
    pd.testing.assert_frame_equal(
        found.drop(columns="subnetwork"), shuffled.drop(columns="subnetwork")
    )


def test_answers_as_arrow_and_as_a_lazy_relation() -> None:
    net = Network.from_table(pd.DataFrame({"regulator": ["A", "B"], "target": ["x", "x"]}))
    arrow = net.regulators_of("x", to="arrow")
    assert arrow.column_names == ANSWER
    relation = Network.from_table(arrow).edges(to="relation", targets=["x"])
    assert relation.filter("regulator = 'B'").count("*").fetchall() == [(1,)]
    assert [c[0] for c in relation.limit(1).fetchall()] == ["A"]
    with pytest.raises(UsageError, match="cannot be returned as 'polars'"):
        net.edges(to="polars")  # type: ignore[arg-type]


def test_a_relation_holds_what_it_needs_and_nothing_longer() -> None:
    table = pa.table({"regulator": ["A", "B"], "target": ["x", "x"]})
    net = Network.from_table(table)
    held = weakref.ref(net.sources[0].table)
    relation = net.edges(to="relation")
    del net, table
    gc.collect()
    derived = relation.filter("regulator = 'B'").project("target")
    del relation
    gc.collect()
    assert derived.fetchall() == [("x",)]
    assert held() is not None
    del derived
    gc.collect()
    assert held() is None


def test_what_is_written_in_batches_is_released(tmp_path: Path) -> None:
    net = Network.from_table(pa.table({"regulator": ["A", "B"], "target": ["x", "x"]}))
    held = weakref.ref(net.sources[0].table)
    assert net.write_table(tmp_path / "edges.csv") == 2
    net.to_parquet(tmp_path / "edges.parquet")
    del net
    gc.collect()
    assert held() is None


def test_match_case_reports_what_it_changed(caplog: pytest.LogCaptureFixture) -> None:
    net = Network.from_table(
        pd.DataFrame({"regulator": ["A", "B", "C"], "target": ["Myc", "MYC", "p53"]})
    )
    assert net.regulators_of("myc").empty
    found = net.regulators_of(["myc", "p53", "none"], match_case=False)
    assert found["target"].tolist() == ["MYC", "Myc", "p53"]
    assert found.attrs["names_changed"] == {"myc": ["MYC", "Myc"]}
    assert "myc is MYC or Myc" in caplog.text
    lists = net.regulator_lists(["myc", "p53", "none"], match_case=False)
    assert lists == {"myc": ["A", "B"], "p53": ["C"], "none": []}


def test_names_must_be_text() -> None:
    net = Network.from_table(pd.DataFrame({"regulator": ["A"], "target": ["x"]}))
    with pytest.raises(UsageError, match="is not text"):
        net.regulators_of([1])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="not valid Unicode"):
        net.regulators_of("\ud800")
    assert net.regulators_of("x\x00").empty
    with pytest.raises(UsageError, match="No weight can be in the range"):
        net.edges(weight_range=(1, 0))
    with pytest.raises(UsageError, match="not a number"):
        net.edges(weight_range=(float("nan"), None))
    with pytest.raises(UnknownNameError, match="no subnetwork of table named 'b'"):
        net.edges(subnetwork="b")


def test_special_networks() -> None:
    empty = Network.empty()
    assert empty.n_edges == 0
    assert empty.edges().columns.tolist() == ANSWER
    assert empty.regulator_lists(["x"]) == {"x": []}
    assert empty.subnetworks == []
    assert empty.matrix(["A"], ["x"]).nnz == 0
    assert empty.degree().empty

    factors, genes = [f"T{i:04}" for i in range(1600)], [f"G{i:05}" for i in range(20_000)]
    dense = Network.dense(factors, genes)
    assert dense.regulators_of("G00007")["regulator"].tolist() == factors
    assert dense.targets_of("nobody").empty
    assert dense.edges(regulators="T0001", targets="G00001")["weight"].tolist() == [-1.0]
    lists = dense.regulator_lists([*genes, "elsewhere"])
    assert len(lists) == 20_001
    assert lists["G19999"] == factors
    assert lists["elsewhere"] == []
    with pytest.raises(KeyError):
        lists["never asked"]
    assert dense.degree().set_index("gene").loc["T0000"].tolist() == [20_000, 0]
    small = Network.dense(["A", "B"], ["x", "A"])
    assert small.n_edges == 4
    assert small.union(empty).n_edges == 4
    assert small.matrix().toarray().tolist() == [[-1, -1], [-1, -1]]
    assert dict(small.regulator_lists()) == {"A": ["A", "B"], "x": ["A", "B"]}


def test_random_networks_depend_on_seed_and_genes_only() -> None:
    factors, genes = [f"T{i}" for i in range(50)], [f"G{i}" for i in range(400)]
    net = Network.random(factors, genes, density=0.1, seed=3)
    again = Network.random(factors[::-1], [*genes[200:], *genes[:200]], density=0.1, seed=3)
    pd.testing.assert_frame_equal(net.edges(), again.edges())
    assert not net.edges().equals(Network.random(factors, genes, density=0.1, seed=4).edges())
    # Binomial: 20,000 pairs, standard deviation 42.
    assert abs(net.n_edges - 2000) < 5 * 42.5
    assert Network.random(factors, genes, density=1, seed=0).n_edges == 20_000
    assert Network.random(factors, [], density=0.5, seed=0).n_edges == 0
    with pytest.raises(UsageError, match="probability"):
        Network.random(factors, genes, density=1.5, seed=0)


def test_networks_can_be_sent_to_another_process(tmp_path: Path) -> None:
    pd.DataFrame({"regulator": ["A"], "target": ["x"]}).to_parquet(tmp_path / "n.parquet")
    net = Network.from_parquet(tmp_path / "n.parquet")
    assert net.n_edges == 1
    assert pickle.loads(pickle.dumps(net)).regulators_of("x")["regulator"].tolist() == ["A"]  # noqa: S301


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda net: net.regulators_of(None), "None does not name a target"),
        (lambda net: net.targets_of(None), "None does not name a regulator"),
        (lambda net: net.regulators_of(5), "5 does not name a target"),
        (lambda net: net.targets_of(["A", None]), "regulator None is not text"),
        (lambda net: net.regulators_of([["A"]]), "is not text"),
        (lambda net: net.regulator_lists(5), "5 does not name a target"),
        (lambda net: net.matrix(["A", "A"], ["B"]), "regulator is named more than once"),
        (lambda net: net.matrix(["A"], (g for g in "BCB")), "target is named more than once"),
        (lambda net: net.matrix(5), "regulator 5 is not text"),
        (lambda net: net.edges(weight_range=(1,)), "not two limits"),
        (lambda net: net.edges(weight_range=()), "not two limits"),
        (lambda net: net.edges(weight_range=5), "not two limits"),
        (lambda net: net.edges(weight_range=0), "not two limits"),
        (lambda net: net.edges(weight_range="12"), "not two limits"),
        (lambda net: net.edges(weight_range=("a", None)), "not two limits"),
        (lambda net: net.subset(cell_type=5), "5 does not name a cell type"),
        (lambda net: net.edges(subnetwork=5), "5 does not name a subnetwork"),
        (lambda net: net.union(5), "not a network"),
        (lambda net: net.intersect("x"), "not a network"),
        (lambda net: net.overlap(None), "not a network"),
        (lambda _: open_network(5), "cannot be opened as a network"),
        (lambda _: open_network(None), "cannot be opened as a network"),
        (lambda _: open_network({"regulator": ["A"], "target": ["x"]}), "opened as a network"),
        (lambda _: Network.from_table({"regulator": ["A"]}), "not a table of edges"),
        (lambda _: Network.random(["A"], ["x"], density="x", seed=0), "is a probability"),
        (lambda _: Network.random(["A"], ["x"], density=0.5, seed=-1), "seed"),
        (lambda _: Network.random(["A"], ["x"], density=0.5, seed="x"), "seed"),
        (lambda _: Network.dense(None, ["x"]), "None does not name a regulator"),
    ],
)
def test_what_is_of_the_wrong_kind_is_a_usage_error(wrong: Any, message: str) -> None:
    net = Network.from_table(pd.DataFrame({"regulator": ["A"], "target": ["x"]}))
    with pytest.raises(UsageError, match=message):
        wrong(net)


def test_numbers_of_numpy_are_numbers() -> None:
    net = Network.from_table(pd.DataFrame({"regulator": ["A"], "target": ["x"]}))
    assert len(net.edges(weight_range=np.array([-1.5, 0]))) == 1
    assert len(net.edges(weight_range=[None, np.float32(-2)])) == 0
    assert Network.random(["A"], ["x"], density=np.float32(1), seed=np.int64(0)).n_edges == 1


@pytest.mark.parametrize("kind", [object, float, "datetime64[ns]", bool])
def test_a_table_without_rows_is_a_network_without_edges(kind: Any) -> None:
    frame = pd.DataFrame({"regulator": [], "target": [], "weight": []}).astype(kind)
    net = open_network(frame)
    assert (net.n_edges, net.regulators(), net.subnetworks) == (0, [], ["all"])
    assert net.union(Network.empty()).edges().empty
    with pytest.raises(InvalidDataError, match="no column target"):
        open_network(frame[["regulator"]])
