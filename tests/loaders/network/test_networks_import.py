"""Converters: edge lists with other headers, and CellOracle's base GRN."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError, MissingFileError, UsageError
from pereggrn_data.loaders.network import import_table


def edges_of(path: Path, **how: object) -> list[tuple[object, ...]]:
    made = import_table(path, **how)  # type: ignore[arg-type]
    frame = made.network.edges()[["regulator", "target", "weight"]]
    return list(frame.itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("decoupler.csv", "source,target,mor\nA,x,1\nB,y,-0.5\n"),
        ("grnboost.tsv", "TF\ttarget\timportance\nA\tx\t1\nB\ty\t-0.5\n"),
        ("ours.csv", "target,weight,regulator\nx,1,A\ny,-0.5,B\n"),
        ("dorothea.csv", "tf,confidence,target,mor\nA,A,x,1\nB,E,y,-0.5\n"),
        ("excel.csv", "\ufeffSource;Target;Weight\nA;x;1\nB;y;-0.5\n"),
        ("quoted.txt", '"from","to","score"\n"A","x","1e0"\n"B","y","-.5"\n'),
        ("genie3.csv", "regulatoryGene,targetGene,weight\nA,x,1\nB,y,-0.5\n"),
        ("web.csv", "\n,,\nsource,target,mor\nA\u200b,x\u00a0,1\nB,\ufeffy,-0.5\n"),
        ("celloracle_links.csv", ",source,target,coef_mean\n0,A,x,1\n1,B,y,-0.5\n"),
    ],
)
def test_headers_are_recognised(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert edges_of(path) == [("A", "x", 1.0), ("B", "y", -0.5)]
    zipped = tmp_path / f"{name}.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    assert edges_of(zipped) == [("A", "x", 1.0), ("B", "y", -0.5)]


def test_parquet_and_cell_types(tmp_path: Path) -> None:
    path = tmp_path / "net.parquet"
    pd.DataFrame(
        {"source": ["A", "A"], "target": ["x", "x"], "weight": [1, 2], "celltype": ["T", None]}
    ).to_parquet(path)
    frame = import_table(path).network.edges()
    assert frame["cell_type"].tolist()[1] == "T"
    assert frame["weight"].tolist() == [2.0, 1.0]


def test_names_stay_names(tmp_path: Path) -> None:
    """What other readers take for missing values, numbers and truths are genes here."""
    path = tmp_path / "n.csv"
    genes = ["NA", "nan", "None", "1E5", "007", "true", "O'Neil", "null"]
    path.write_text("source,target\n" + "".join(f"{g},x\n" for g in genes))
    made = import_table(path)
    assert made.network.regulators() == sorted(genes)
    assert made.network.edges()["weight"].unique().tolist() == [-1.0]
    assert made.ignored == ()


def test_duplicates_are_merged_and_oddities_noted(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("source,target,mor,note\nA,x,1,a\nA,x,-2,b\n A,y ,1,c\n1-Mar,x,1,d\n")
    made = import_table(path)
    assert edges_of(path) == [("1-Mar", "x", 1.0), ("A", "x", -2.0), ("A", "y", 1.0)]
    assert (made.n_rows, made.ignored) == (4, ("note",))
    assert any("1-Mar" in note for note in made.notes)
    assert any(note.startswith("1 rows repeat an edge") for note in made.notes)
    assert any("white space" in note and "2 names" in note for note in made.notes)


@pytest.mark.parametrize(
    ("text", "how", "error", "message"),
    [
        ("a,b,c\nA,x,1\n", {}, UsageError, "no column that could be the regulator"),
        ("source,tf,target\nA,B,x\n", {}, UsageError, "several columns that could be the reg"),
        ("tf,target,mor,score\nA,x,1,2\n", {}, UsageError, "several columns that could be the w"),
        ("tf,target,mor\nA,x,up\n", {}, InvalidDataError, "mor of .* does not hold numbers"),
        ("tf,target,mor\nA,x,\n", {}, InvalidDataError, "1 of 1 weights .* missing or not"),
        ("tf,target,mor\nA,x,nan\n", {}, InvalidDataError, "1 of 1 weights"),
        ("tf,target,mor\nA,x,inf\n", {}, InvalidDataError, "not finite"),
        ("tf,target\nA,x\n,y\n", {}, InvalidDataError, "1 rows without a name in tf"),
        ("tf,target\n", {}, InvalidDataError, "holds no edges"),
        ("just one\nA\n", {}, InvalidDataError, "no header"),
        ("", {}, InvalidDataError, "is empty"),
        ("tf,target,target\nA,x,y\n", {}, InvalidDataError, "several columns with one name"),
        ("tf,target\nA,x,1\n", {}, InvalidDataError, "cannot be read"),
        ("tf,target\nA,x\n", {"columns": {"weight": "w"}}, UsageError, "which --weight names"),
        ("tf,b\nA,x\n", {"columns": {"target": "tf"}}, UsageError, "regulator|named twice"),
    ],
)
def test_what_cannot_be_converted_is_explained(
    tmp_path: Path, text: str, how: dict[str, object], error: type[Exception], message: str
) -> None:
    path = tmp_path / "n.csv"
    path.write_text(text)
    with pytest.raises(error, match=message):
        import_table(path, **how)  # type: ignore[arg-type]


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("a,b,c,d\nA,x,1,up\n")
    columns = {"regulator": "a", "target": "b", "weight": "c"}
    assert edges_of(path, columns=columns) == [("A", "x", 1.0)]
    assert edges_of(path, columns=columns, unweighted=True) == [("A", "x", -1.0)]


def test_files_that_are_not_tables(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        import_table(tmp_path / "none.csv")
    (tmp_path / "n.xlsx").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"format of .* is not known"):
        import_table(tmp_path / "n.xlsx")
    (tmp_path / "n.graphml").write_text("<graphml/>")
    with pytest.raises(UsageError, match=r"format of .* is not known"):
        import_table(tmp_path / "n.graphml")
    (tmp_path / "n.txt").write_text("A activates x\nB inhibits y\n")
    columns = {"regulator": "1", "target": "3"}
    assert edges_of(tmp_path / "n.txt", columns=columns, header=False) == [
        ("A", "x", -1.0),
        ("B", "y", -1.0),
    ]
    (tmp_path / "n.parquet").write_bytes(b"not parquet")
    with pytest.raises(InvalidDataError, match="is a text file, not a parquet file"):
        import_table(tmp_path / "n.parquet")
    (tmp_path / "n.csv").write_bytes(b"tf,target\n\xff\xfe,x\n")
    with pytest.raises(InvalidDataError, match="cannot be read") as unreadable:
        import_table(tmp_path / "n.csv")
    assert "UTF-8" in str(unreadable.value.fix)
    (tmp_path / "n.csv.gz").write_bytes(gzip.compress(b"tf,target\nA,x\n" * 99)[:-20])
    with pytest.raises(InvalidDataError, match="cannot be read"):
        import_table(tmp_path / "n.csv.gz")


motifs = st.lists(
    st.tuples(
        st.sampled_from(["g1", "g2", "NA"]), st.lists(st.integers(0, 1), min_size=3, max_size=3)
    ),
    min_size=1,
    max_size=8,
).filter(lambda rows: any(any(row[1]) for row in rows))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(motifs, st.sampled_from(["csv", "parquet", "indexed.csv"]))
def test_a_base_grn_is_the_union_of_its_peaks(
    tmp_path: Path, rows: list[tuple[str, list[int]]], kind: str
) -> None:
    factors = ["TF1", "9430076C15Rik", "Nkx2-1"]
    frame = pd.DataFrame([hits for _, hits in rows], columns=factors)
    frame.insert(0, "gene_short_name", [gene for gene, _ in rows])
    frame.insert(0, "peak_id", [f"chr1_{i}_{i + 1}" for i in range(len(rows))])
    path = tmp_path / f"base.{kind}"
    if kind == "parquet":
        frame.astype(dict.fromkeys(factors, float)).to_parquet(path)
    else:
        frame.to_csv(path, index=kind == "indexed.csv")
    made = import_table(path)
    expected = {
        (f, gene) for gene, hits in rows for f, hit in zip(factors, hits, strict=True) if hit
    }
    found = made.network.edges()
    assert made.layout == "base GRN"
    assert set(zip(found["regulator"], found["target"], strict=True)) == expected
    assert len(found) == len(expected)
    assert set(found["weight"]) == {-1.0}


def test_a_base_grn_with_scores_keeps_the_largest(tmp_path: Path) -> None:
    path = tmp_path / "base.csv"
    path.write_text("peak_id,gene_short_name,T,U\np1,g,0.5,0\np2,g,-2,0\np3,h,0,1\n")
    assert edges_of(path) == [("T", "g", -2.0), ("U", "h", 1.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("peak_id,gene_short_name\np,g\n", "no columns beside"),
        ("peak_id,gene_short_name,T\np,g,yes\n", "does not say for every peak"),
        ("peak_id,gene_short_name,T\np,g,1\nq,h,\n", "does not say for every peak"),
        ("peak_id,gene_short_name,T\np,,1\n", "without a name in gene_short_name"),
        ("peak_id,gene_short_name,T\np,g,0\n", "holds no edges"),
    ],
)
def test_a_broken_base_grn_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "base.csv"
    path.write_text(text)
    with pytest.raises(InvalidDataError, match=message):
        import_table(path)


@pytest.mark.shared
def test_a_real_network_survives_the_way_through_csv(shared: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(shared / "data/networks/trrust_human/networks/all.parquet")
    path = tmp_path / "trrust.csv"
    frame.rename(columns={"regulator": "TF", "weight": "mor"}).to_csv(path, index=False)
    found = import_table(path).network.edges()
    expected = frame.sort_values(["regulator", "target"], ignore_index=True)
    for column in ("regulator", "target", "weight"):
        np.testing.assert_array_equal(found[column], expected[column].to_numpy())


def written(tmp_path: Path, text: str, name: str = "n.tsv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


TRRUST = "AATF\tBAX\tRepression\t22909821\nAATF\tCDKN1A\tUnknown\t1;2\nMYC\tTP53\tActivation\t1\n"
HEADERLESS = {
    "trrust": TRRUST,
    "pairs, sorted": "AATF,BAX\nAATF,CDKN1A\n",
    "pairs": "AATF,BAX\nMYC,TP53\n",
    "grnboost": "AATF\tBAX\t0.5\nMYC\tTP53\t0.25\n",
    "mouse pairs": "Aatf\tBax\nMyc\tTrp53\nNkx2-1\tSftpc\n",
    "bacteria": "crp\tlacZ\nfnr\tnarG\n",
    "mouse": "Aatf\tBax\t5e-1\nMyc\tTrp53\t2\n",
    "itself": "MYC\tMYC\t1.5\nMYC\tTP53\t2\n",
    "decimal commas": "AATF;BAX;0,5\nMYC;TP53;0,25\n",
}


@pytest.mark.parametrize("kind", HEADERLESS)
def test_an_edge_is_never_lost_as_a_header(tmp_path: Path, kind: str) -> None:
    text = HEADERLESS[kind]
    path = written(tmp_path, text)
    with pytest.raises((UsageError, InvalidDataError), match="--no-header"):
        import_table(path)
    first = text.splitlines()[0].replace(";", "\t").replace(",", "\t").split("\t")
    if first[0] != first[1]:
        with pytest.raises(UsageError, match="--no-header"):
            import_table(path, {"regulator": first[0], "target": first[1]})
    made = import_table(path, header=False)
    assert made.network.n_edges == made.n_rows == len(text.splitlines())
    assert (made.used["regulator"], made.used["target"]) == ("1", "2")
    assert first[0] in made.network.regulators()


def test_columns_without_a_header_have_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, HEADERLESS["decimal commas"])
    assert edges_of(path, header=False, columns={"weight": "3"}) == [
        ("AATF", "BAX", 0.5),
        ("MYC", "TP53", 0.25),
    ]
    (note,) = import_table(path, header=False).notes
    assert "--weight 3" in note


def test_a_header_that_looks_like_an_edge_can_be_insisted_on(tmp_path: Path) -> None:
    path = written(tmp_path, "KO1\tHIT\nMYC\tTP53\n")
    columns = {"regulator": "KO1", "target": "HIT"}
    with pytest.raises(UsageError, match="--header"):
        import_table(path, columns)
    assert edges_of(path, columns=columns, header=True) == [("MYC", "TP53", -1.0)]


@pytest.mark.parametrize("header", ["0,1,2", "V1,V2,V3", "a,b,c", "Cause,Outcome,Size"])
def test_headers_without_meaning_are_headers(tmp_path: Path, header: str) -> None:
    path = written(tmp_path, f"{header}\nMYC,TP53,0.5\n", "n.csv")
    regulator, target, weight = header.split(",")
    columns = {"regulator": regulator, "target": target, "weight": weight}
    assert edges_of(path, columns=columns) == [("MYC", "TP53", 0.5)]


def test_symbols_are_preferred_to_accessions(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "source\ttarget\tsource_genesymbol\ttarget_genesymbol\tis_directed\n"
        "P01106\tP04637\tMYC\tTP53\t1\nP15976\tQ13351\tGATA1\tKLF1\t1\n",
    )
    made = import_table(path)
    assert made.network.regulators() == ["GATA1", "MYC"]
    assert made.network.targets() == ["KLF1", "TP53"]
    assert made.notes == ()
    named = import_table(path, {"regulator": "source", "target": "target"})
    assert "UniProt" in named.notes[0]


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (("P01106", "P04637"), "UniProt"),
        (("COMPLEX:P01106_P61244", "A0A024R1R8"), "UniProt"),
        (("ENSG00000136997", "ENSG00000141510.18"), "Ensembl"),
        (("4609", "7157"), "Entrez"),
    ],
)
def test_names_that_match_no_symbol_are_noted(
    tmp_path: Path, names: tuple[str, str], word: str
) -> None:
    path = written(tmp_path, f"tf\ttarget\n{names[0]}\t{names[1]}\n")
    (note,) = import_table(path).notes
    assert word in note
    assert "2 of 2" in note


@pytest.mark.parametrize(
    ("header", "row", "weight"),
    [
        ("Regulator\tTarget\tMI\tpvalue", "MYC\tTP53\t0.33\t0.001", "MI"),
        ("tf\ttarget\testimate\tstd_err", "MYC\tTP53\t-0.33\t0.001", "estimate"),
        (
            "target\tregulator\tcombined_confidences\tgold",
            "TP53\tMYC\t0.9\tyes",
            "combined_confidences",
        ),
        ("TF\tGene\tlog FC", "MYC\tTP53\t0,5", "'log FC'"),
    ],
)
def test_numbers_that_are_left_out_are_named(
    tmp_path: Path, header: str, row: str, weight: str
) -> None:
    path = written(tmp_path, f"{header}\n{row}\n")
    (note,) = import_table(path).notes
    assert f"--weight {weight}" in note
    assert import_table(path, unweighted=True).notes == ()
    named = import_table(path, {"weight": weight.strip("'")})
    assert named.notes == ()
    assert named.network.edges()["weight"].tolist() != [-1.0]


def test_factors_are_not_called_as_regulons(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "TF\ttarget\timportance\nMYC(+)\tTP53\t1\nMYC(-)\tTP53\t2\nJUN (12g)\tFOS\t3\n"
        "FOS_extended (7g)\tJUN\t4\nSOX2\tA\t5\n",
    )
    made = import_table(path)
    assert edges_of(path) == [
        ("FOS", "JUN", 4.0),
        ("JUN", "FOS", 3.0),
        ("MYC", "TP53", 2.0),
        ("SOX2", "A", 5.0),
    ]
    note, merged = made.notes
    assert merged.startswith("1 rows repeat an edge")
    assert "4 regulators" in note
    assert "1 of them are repressed" in note


REGULONS = """\
,,Enrichment,Enrichment,Enrichment,Enrichment
,,AUC,Context,TargetGenes,RankAtMax
TF,MotifID,,,,
MYC,m1,0.1,"frozenset({'activating', 'w'})","[('TP53', 1.5), (""O'Neil"", 2.0)]",9
MYC,m2,0.1,"frozenset({'activating', 'w'})","[('TP53', np.float64(2.5e0))]",9
JUN,m3,0.1,"frozenset({'repressing', 'w'})","[('FOS', 0.25)]",9
"""


@pytest.mark.parametrize("flat", [False, True])
def test_regulons_of_pyscenic(tmp_path: Path, flat: bool) -> None:
    text = REGULONS
    if flat:
        rows = REGULONS.splitlines(keepends=True)[3:]
        text = "TF,MotifID,AUC,Context,TargetGenes,RankAtMax\n" + "".join(rows)
    path = written(tmp_path, text, "regulons.csv")
    made = import_table(path)
    assert made.layout == "regulons"
    assert edges_of(path) == [("JUN", "FOS", 0.25), ("MYC", "O'Neil", 2.0), ("MYC", "TP53", 2.5)]
    assert any("1 of 3 rows are of repressed" in note for note in made.notes)


def test_targets_that_cannot_be_read_are_shown(tmp_path: Path) -> None:
    path = written(tmp_path, REGULONS.replace("('TP53', 1.5)", "('TP53', up)"), "regulons.csv")
    with pytest.raises(InvalidDataError, match=r"row 4 .* cannot be read"):
        import_table(path)


def test_regulons_may_be_long(tmp_path: Path) -> None:
    targets = [(f"GENE{i}", 1.0) for i in range(20_000)]
    path = tmp_path / "regulons.csv"
    pd.DataFrame({"TF": ["MYC"], "TargetGenes": [str(targets)]}).to_csv(path, index=False)
    assert import_table(path).network.n_edges == len(targets)


@pytest.mark.parametrize(
    "date",
    [
        *("1-Mar", "01-Mar", "Mar-01", "1-Mrz", "01. Mrz", "1-mars", "2-sept.", "1-dic", "1-dez"),
        *("2001-03-01", "2001-03-01 00:00:00", "01.03.2001", "3/1/2001", "Sep-02", "2-Mär"),
    ],
)
def test_dates_of_spreadsheets_are_found(tmp_path: Path, date: str) -> None:
    path = written(tmp_path, f"tf\ttarget\n{date}\tTP53\n")
    (note,) = import_table(path).notes
    assert "dates" in note
    assert date in note


@pytest.mark.parametrize("gene", ["MARCH1", "SEPT2", "HLA-A", "NKX2-1", "DEC1", "1-2", "Mar1"])
def test_genes_are_not_taken_for_dates(tmp_path: Path, gene: str) -> None:
    assert import_table(written(tmp_path, f"tf\ttarget\n{gene}\tTP53\n")).notes == ()


def test_hidden_files_are_no_networks(tmp_path: Path) -> None:
    from pereggrn_data import open_network

    folder = tmp_path / "mine" / "networks"
    folder.mkdir(parents=True)
    pd.DataFrame({"regulator": ["A"], "target": ["x"]}).to_parquet(folder / "all.PARQUET")
    (folder / "._all.parquet").write_bytes(b"\x00\x05\x16\x07")
    assert open_network(tmp_path / "mine").n_edges == 1


@pytest.mark.parametrize(
    ("names", "is_read"),
    [
        (pa.array([b"A", b"B"]), True),
        (pa.array([b"A", b"B"]).dictionary_encode(), True),
        (pa.array([b"A", b"B"], pa.binary(1)), True),
        (pa.array([1, 2]), True),
        (pa.array([["A"], ["B"]]), False),
    ],
    ids=["bytes", "categories-of-bytes", "fixed-bytes", "numbers", "lists"],
)
def test_names_of_another_type_are_read_by_the_import_that_errors_name(
    tmp_path: Path, names: pa.Array, *, is_read: bool
) -> None:
    path = tmp_path / "n.parquet"
    pq.write_table(pa.table({"regulator": names, "target": ["x", "y"]}), path)
    with pytest.raises(InvalidDataError, match=r"regulator .* does not hold text") as error:
        pereggrn_data.open_network(path)
    assert "networks import" in str(error.value.fix)
    assert "networks import" in str(pereggrn_data.validate(path))
    if is_read:
        assert len(import_table(path).network.regulators()) == 2
        return
    with pytest.raises(InvalidDataError, match="holds neither text nor numbers") as error:
        import_table(path)
    assert error.value.got == "the type list<element: string>"


def test_columns_of_other_names_are_read_by_the_import_that_validation_names(
    tmp_path: Path,
) -> None:
    path = tmp_path / "n.parquet"
    pq.write_table(pa.table({"TF": ["A"], "gene": ["x"]}), path)
    assert str(pereggrn_data.validate(path)).count("networks import") == 2
