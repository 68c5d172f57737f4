"""`pereggrn-data networks`: what is printed, written and returned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import pereggrn_data
from pereggrn_data import Network
from pereggrn_data.cli.data.data_app import app
from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingFileError,
    PereggrnError,
    UnknownNameError,
    UsageError,
)

EDGES = pd.DataFrame(
    {
        "regulator": ["GATA1", "SPI1", "O'Neil", "GATA1"],
        "target": ["TAL1", "TAL1", "x", "MYC"],
        "weight": [0.5, -2.0, 1.0, 1.0],
    }
)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    for layout, name, parts in (
        ("networks", "alpha", {"all": EDGES}),
        ("networks", "beta", {"s1": EDGES[:2], "s 2=b": EDGES[1:]}),
        ("network_collection/networks", "gamma", {"all": EDGES[["regulator", "target"]][:1]}),
    ):
        folder = tmp_path / "collection" / layout / name / "networks"
        folder.mkdir(parents=True)
        for part, frame in parts.items():
            frame.to_parquet(folder / f"{part}.parquet")
    return tmp_path / "collection"


def run(collection: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        app, ["networks", *arguments], env={"PEREGGRN_COLLECTION": str(collection)}
    )


def rows(collection: Path, *arguments: str) -> Any:
    result = run(collection, *arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def error_of(result: Result) -> PereggrnError:
    assert isinstance(result.exception, PereggrnError), (result.output, result.exception)
    return result.exception


def test_list_and_info(collection: Path) -> None:
    listed = rows(collection, "list")
    assert [(r["network"], r["subnetworks"], r["stored_edges"]) for r in listed] == [
        ("alpha", 1, 4),
        ("beta", 2, 5),
        ("gamma", 1, 1),
    ]
    described = rows(collection, "info", "beta")
    assert described["n_edges"] == 5
    assert [s["subnetwork"] for s in described["subnetworks"]] == ["s 2=b", "s1"]
    assert described["subnetworks"][1]["min_weight"] == -2.0
    assert "s 2=b" in run(collection, "info", "beta").stdout


def test_list_shows_broken_networks_and_fails(collection: Path) -> None:
    (collection / "networks/alpha/networks/all.parquet").write_bytes(b"PAR1")
    result = run(collection, "list", "--json")
    assert result.exit_code == 1
    assert [r["stored_edges"] for r in json.loads(result.stdout)] == [None, 5, 1]
    assert "cannot be read as parquet" in result.stderr


def test_list_without_a_collection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PEREGGRN_CACHE", str(tmp_path))
    result = CliRunner().invoke(app, ["networks", "list"])
    assert result.exit_code == 0
    assert "pereggrn-data list --kind network" in result.stderr


def test_regulators_and_targets(collection: Path) -> None:
    found = rows(collection, "regulators", "alpha", "TAL1", "x")
    assert [(r["regulator"], r["target"]) for r in found] == [
        ("GATA1", "TAL1"),
        ("SPI1", "TAL1"),
        ("O'Neil", "x"),
    ]
    assert set(found[0]) == {"regulator", "target", "weight", "cell_type", "subnetwork"}
    assert len(rows(collection, "targets", "beta", "GATA1", "--subnetwork", "s 2=b")) == 1
    assert rows(collection, "targets", "alpha", "O'Neil")[0]["target"] == "x"


@pytest.mark.parametrize(
    "gene", ["nobody", "' OR '1'='1", "x'; DROP TABLE edges; --", "基因", "%", "", "$1", "tal1"]
)
def test_a_gene_that_is_not_there_gives_no_rows(collection: Path, gene: str) -> None:
    result = run(collection, "regulators", "alpha", "--json", "--", gene)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == []
    assert "Without an edge as a target in alpha" in result.stderr
    assert ("--ignore-case would find TAL1" in result.stderr) == (gene == "tal1")


def test_ignore_case_says_what_it_changed(collection: Path) -> None:
    result = run(collection, "regulators", "alpha", "tal1", "--ignore-case", "--json")
    assert len(json.loads(result.stdout)) == 2
    assert "tal1 was matched in another case: TAL1" in result.stderr


def test_edges_filters_and_files(collection: Path, tmp_path: Path) -> None:
    assert len(rows(collection, "edges", "alpha", "--min-weight", "1")) == 2
    assert len(rows(collection, "edges", "alpha", "-r", "GATA1", "-t", "MYC")) == 1
    assert len(rows(collection, "edges", "beta")) == 5
    assert len(rows(collection, "edges", "beta", "--unique")) == 4
    for suffix in ("parquet", "csv", "tsv"):
        out = tmp_path / f"out.{suffix}"
        result = run(collection, "edges", "beta", "-o", str(out))
        assert result.exit_code == 0
        assert result.stdout == ""
        assert "Wrote 5 edges" in result.stderr
        separator = "\t" if suffix == "tsv" else ","
        frame = pd.read_parquet(out) if suffix == "parquet" else pd.read_csv(out, sep=separator)
        assert frame["regulator"].tolist() == ["GATA1", "GATA1", "O'Neil", "SPI1", "SPI1"]
    again = pereggrn_data.open_network(tmp_path / "out.parquet")
    assert again.subnetworks == ["s 2=b", "s1"]
    assert again.n_edges == 5
    bad = run(collection, "edges", "beta", "-o", str(tmp_path / "out.xlsx"))
    assert "expected" in str(error_of(bad))
    assert not list(tmp_path.glob(".*"))


def test_long_tables_say_what_they_leave_out(collection: Path) -> None:
    result = run(collection, "edges", "alpha", "--limit", "2")
    assert "2 of 4 rows" in result.stderr
    assert result.stdout.count("GATA1") == 2


def test_degree_and_overlap(collection: Path) -> None:
    assert rows(collection, "degree", "alpha")[0] == {
        "gene": "GATA1",
        "out_degree": 2,
        "in_degree": 0,
    }
    shared = rows(collection, "overlap", "alpha", "gamma")["overlap"]
    assert shared["edges"] == {"a": 4, "b": 1, "shared": 1, "jaccard": 0.25}
    assert "0.2500" in run(collection, "overlap", "alpha", "gamma").stdout
    assert rows(collection, "overlap", "empty", "empty")["overlap"]["edges"]["jaccard"] is None


def test_sql(collection: Path, tmp_path: Path) -> None:
    query = "SELECT network, count(*) AS n, sum(1) AS total FROM edges GROUP BY network ORDER BY 1"
    found = rows(collection, "sql", query, "--network", "alpha", "--network", "beta")
    assert found == [
        {"network": "alpha", "n": 4, "total": 4},
        {"network": "beta", "n": 5, "total": 5},
    ]
    refused = run(collection, "sql", "COPY edges TO 'x.csv'", "--network", "alpha")
    assert "Only one SELECT" in str(error_of(refused))
    assert error_of(refused).exit_code == 2
    twice = run(collection, "sql", "SELECT 1 AS a, 2 AS a", "--network", "alpha", "--json")
    assert "name of its own" in str(error_of(twice))
    assert "nothing to ask" in str(error_of(run(collection, "sql", "SELECT 1")))


def test_import_gives_a_network(collection: Path, tmp_path: Path) -> None:
    table, out = tmp_path / "mine.tsv", tmp_path / "net.parquet"
    table.write_text("TF\ttarget\timportance\nA\tx\t2\nA\tx\t-3\n")
    made = rows(collection, "import", str(table), "-o", str(out))
    assert made["n_edges"] == 1
    assert made["columns"] == {"regulator": "TF", "target": "target", "weight": "importance"}
    assert pd.read_parquet(out).columns.tolist() == ["regulator", "target", "weight"]
    assert rows(collection, "regulators", str(out), "x")[0]["weight"] == -3.0
    bad = run(collection, "import", str(table), "-o", str(tmp_path / "net.csv"))
    assert "name ending in .parquet" in str(error_of(bad))


def test_names_and_paths(collection: Path, tmp_path: Path) -> None:
    opened = pereggrn_data.open_network("gamma", collection=str(collection))
    assert opened.edges()["weight"].tolist() == [-1.0]
    folder = collection / "networks" / "beta"
    for path in (folder, str(folder), folder / "networks"):
        assert pereggrn_data.open_network(path).name == "beta"
        assert pereggrn_data.open_network(path).n_edges == 5
    both = pereggrn_data.open_network(["alpha", folder], collection=str(collection))
    assert both.n_edges == 4
    part = pereggrn_data.open_network("beta", subnetworks=["s1"], collection=str(collection))
    assert part.subnetworks == ["s1"]
    with pytest.raises(UnknownNameError, match="did you mean alpha") as caught:
        pereggrn_data.open_network("alhpa", collection=str(collection))
    assert caught.value.exit_code == 2
    with pytest.raises(UnknownNameError, match="s1"):
        pereggrn_data.open_network("beta", subnetworks="S1", collection=str(collection))
    with pytest.raises(MissingFileError, match="There is no file or folder"):
        pereggrn_data.open_network("no/such.parquet")
    (tmp_path / "edges.csv").write_text("regulator,target\nA,x\n")
    with pytest.raises(InvalidDataError, match="networks import"):
        pereggrn_data.open_network(tmp_path / "edges.csv")
    (tmp_path / "spark" / "all.parquet").mkdir(parents=True)
    with pytest.raises(MissingFileError, match="is not a file"):
        pereggrn_data.open_network(tmp_path / "spark")
    with pytest.raises(MissingFileError, match="holds no network"):
        pereggrn_data.open_network(collection / "networks")
    with pytest.raises(UsageError, match="needs genes"):
        pereggrn_data.open_network("dense")
    with pytest.raises(UsageError, match="No network was named"):
        pereggrn_data.open_network([])


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"source": ["A"], "target": ["x"]}), "has no column regulator"),
        (EDGES.assign(weight="heavy"), "weight of .* does not hold numbers"),
        (EDGES.assign(target=[1, 2, 3, 4]), "target of .* does not hold text"),
        (EDGES.assign(target=["TAL1", None, "x", None]), "2 edges without a target"),
    ],
)
def test_what_is_no_network_is_explained(
    tmp_path: Path, frame: pd.DataFrame, message: str
) -> None:
    path = tmp_path / "n.parquet"
    frame.to_parquet(path)
    for given in (frame, path):
        with pytest.raises(InvalidDataError, match=message):
            pereggrn_data.open_network(given)


def test_paths_are_never_patterns_or_sql(tmp_path: Path) -> None:
    folder = tmp_path / "k=1" / "it's [a] *?; DROP"
    folder.mkdir(parents=True)
    for name in ("x[1].parquet", "x1.parquet", "*.parquet"):
        EDGES.assign(regulator=name).to_parquet(folder / name)
    assert pereggrn_data.open_network(folder / "x[1].parquet").regulators() == ["x[1].parquet"]
    net = pereggrn_data.open_network(folder)
    assert net.regulators() == ["*.parquet", "x1.parquet", "x[1].parquet"]
    assert net.subnetworks == ["*", "x1", "x[1]"]
    assert net.edges(subnetwork="*")["regulator"].unique().tolist() == ["*.parquet"]


def test_to_parquet_loses_nothing(collection: Path, tmp_path: Path) -> None:
    beta = pereggrn_data.open_network("beta", collection=str(collection))
    beta.to_parquet(tmp_path / "beta.parquet")
    beta.to_parquet(tmp_path / "beta")
    for again in (tmp_path / "beta.parquet", tmp_path / "beta"):
        pd.testing.assert_frame_equal(pereggrn_data.open_network(again).edges(), beta.edges())
    beta.unique().to_parquet(tmp_path / "unique.parquet")
    typed = Network.from_table(EDGES.assign(cell_type=["T", None, None, None]))
    typed.to_parquet(tmp_path / "typed.parquet")
    assert pd.read_parquet(tmp_path / "typed.parquet").columns.tolist()[-1] == "cell_type"
    # Over its own file: what is read is not what is being written.
    own = pereggrn_data.open_network(tmp_path / "typed.parquet")
    own.to_parquet(tmp_path / "typed.parquet")
    assert pereggrn_data.open_network(tmp_path / "typed.parquet").n_edges == 4
    outside = Network.from_table(EDGES.assign(subnetwork="../outside"))
    with pytest.raises(UsageError, match="cannot be the name of a file"):
        outside.to_parquet(tmp_path / "folder")
    assert not (tmp_path / "outside.parquet").exists()


@pytest.mark.parametrize("more", [(), ("--json",), ("-o", "none.csv"), ("-o", "none.parquet")])
def test_genes_without_edges_are_noted_wherever_the_edges_go(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(collection, "edges", "alpha", "-t", "NOPE", "-t", "MYC", "-r", "nope", *more)
    assert result.exit_code == 0, result.output
    assert "Without an edge as a target in alpha: NOPE" in result.stderr
    assert "Without an edge as a regulator in alpha: nope" in result.stderr


@pytest.mark.parametrize("name", ["file/x.csv", "file/x.parquet", "file/deep/x.tsv"])
def test_outputs_that_cannot_be_written(collection: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    for limit in ((), ("-n", "1")):
        result = run(collection, "edges", "alpha", *limit, "-o", str(tmp_path / name))
        error = error_of(result)
        assert isinstance(error, UsageError)
        assert "cannot be written" in str(error)
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(UsageError, match="cannot be written"):
        pereggrn_data.open_network(EDGES).to_parquet(tmp_path / "file")


def test_limits_of_sql_that_are_none(collection: Path) -> None:
    for option, value in (("--time-limit", "inf"), ("--threads", "100000")):
        result = run(collection, "sql", "FROM edges", "--network", "alpha", option, value)
        assert isinstance(error_of(result), UsageError)
