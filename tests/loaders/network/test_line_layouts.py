"""SIF and GMT: networks of lines, where it is clear which gene regulates which."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.loaders.network import Imported, import_table

Edge = tuple[str, str, float]


def written(folder: Path, text: str, name: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def edges_of(made: Imported) -> list[Edge]:
    found = made.network.edges()
    return list(zip(found["regulator"], found["target"], found["weight"], strict=True))


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("A activates x\nB inhibits y z\nC\n", [("A", "x"), ("B", "y"), ("B", "z")]),
        ("A\tpd\tx y\tz\n\nA\tpd\tz\n", [("A", "x y"), ("A", "z")]),
        ("source\tinteraction\ttarget\nMYC\tpd\tTP53\n", [("MYC", "TP53")]),
        ("MYC(+) controls-expression-of TP53\r\nJUN pd FOS", [("JUN", "FOS"), ("MYC", "TP53")]),
        ("\ufeffMYC pd TP53\n", [("MYC", "TP53")]),
    ],
)
def test_sif(tmp_path: Path, text: str, edges: list[tuple[str, str]]) -> None:
    made = import_table(written(tmp_path, text, "n.SIF"))
    assert made.layout == "SIF"
    assert edges_of(made) == [(*edge, -1.0) for edge in edges]
    packed = tmp_path / "n.sif.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert edges_of(import_table(packed)) == edges_of(made)


def test_what_sif_says_beside_edges_is_noted(tmp_path: Path) -> None:
    text = "A activates x\nB inhibits y z\nC\n"
    made = import_table(written(tmp_path, text, "n.sif"))
    alone, kinds = made.notes
    assert alone.startswith("1 lines name a gene without edges")
    assert "inhibits (2), activates (1)" in kinds
    assert "2 of the edges lower their targets" in kinds
    numbers = written(tmp_path, "A 0.5 x\nA -2 y\n", "n.sif")
    assert "--weight 2" in import_table(numbers).notes[-1]
    weighted = import_table(numbers, {"weight": "2"})
    assert edges_of(weighted) == [("A", "x", 0.5), ("A", "y", -2.0)]


@pytest.mark.parametrize(
    ("text", "message", "insisted", "edge"),
    [
        ("A pp B\nA pd C\n", "1 of 2 edges", {"regulator": "1", "target": "3"}, ("A", "B", -1.0)),
        ("A IN-COMPLEX-WITH B\n", "1 of 1 edges", {"regulator": "1"}, ("A", "B", -1.0)),
        ("B regulated-by A\n", "name the target first", {"regulator": "3", "target": "1"},
         ("A", "B", -1.0)),
    ],
)  # fmt: skip
def test_edges_without_a_direction_are_refused(
    tmp_path: Path, text: str, message: str, insisted: dict[str, str], edge: Edge
) -> None:
    path = written(tmp_path, text, "n.sif")
    with pytest.raises(UsageError, match=message) as refused:
        import_table(path)
    assert f"--regulator {insisted['regulator']} --target" in str(refused.value.fix)
    assert edge in edges_of(import_table(path, insisted))


@pytest.mark.parametrize("name", ["MYC", "MYC(+)", "MYC (2g)", "ENSG00000136997"])
def test_gmt(tmp_path: Path, name: str) -> None:
    text = f"{name}\thttps://x.org\tTP53\tFOS\t\nJUN\t\tFOS\n"
    made = import_table(written(tmp_path, text, "n.gmt"))
    regulator = name.split("(")[0].strip()
    assert made.layout == "GMT"
    assert set(edges_of(made)) == {
        (regulator, "TP53", -1.0), (regulator, "FOS", -1.0), ("JUN", "FOS", -1.0)
    }  # fmt: skip
    assert any("named after" in note for note in made.notes)


def test_numbers_behind_genes_of_sets_are_weights(tmp_path: Path) -> None:
    path = written(tmp_path, "MYC\t\tTP53,1.5\tFOS,2\n", "n.gmt")
    assert edges_of(import_table(path)) == [("MYC", "FOS", 2.0), ("MYC", "TP53", 1.5)]
    assert edges_of(import_table(path, unweighted=True))[0] == ("MYC", "FOS", -1.0)
    path = written(tmp_path, "MYC\t\tTP53,1.0\tFOS,1.0\n", "n.gmt")
    assert edges_of(import_table(path))[0] == ("MYC", "FOS", -1.0)


@pytest.mark.parametrize(
    "name", ["HALLMARK_HYPOXIA", "Glycolysis", "MYC 19030024 ChIP-Seq", "GO:1"]
)
def test_sets_that_no_gene_gives_its_name_are_refused(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, f"{name}\tabout\tTP53\tFOS\nMYC\t\tFOS\n", "n.gmt")
    with pytest.raises(UsageError, match="1 of 2 sets") as refused:
        import_table(path)
    assert name in str(refused.value)
    assert "--regulator 1" in str(refused.value.fix)
    assert (name, "TP53", -1.0) in edges_of(import_table(path, {"regulator": "1"}))


@pytest.mark.parametrize(
    ("text", "name", "columns", "error", "message"),
    [
        ("A x\n", "n.sif", {}, InvalidDataError, "Line 1 of .* is no edge"),
        ("A\nB\n", "n.sif", {}, InvalidDataError, "holds no edges"),
        ("A\tpd\t\n", "n.sif", {}, InvalidDataError, "is no edge|without a name"),
        ("A pd x\n", "n.sif", {"weight": "2"}, InvalidDataError, "does not hold numbers"),
        ("A pd x\n", "n.sif", {"regulator": "source"}, UsageError, "cannot be chosen so"),
        ("A pd x\n", "n.sif", {"regulator": "1", "target": "1"}, UsageError, "chosen so"),
        ("A\tabout\n", "n.gmt", {}, InvalidDataError, "Line 1 of .* is no set of genes"),
        ("A,about,TP53\n", "n.gmt", {}, InvalidDataError, "separated by tabs"),
        ("", "n.gmt", {}, InvalidDataError, "is empty"),
    ],
)  # fmt: skip
def test_what_is_no_network_of_lines_is_explained(
    tmp_path: Path,
    text: str,
    name: str,
    columns: dict[str, str],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        import_table(written(tmp_path, text, name), columns)
