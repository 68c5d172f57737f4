"""What labels and names of genes are read as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pereggrn_data.conversion import LabelReader, LabelRules, clean_names, unique_groups
from pereggrn_data.conversion.conversion_options import MISSING_LABELS, SEPARATORS
from pereggrn_data.conversion.guide_labels import (
    choose_column,
    choose_control,
    names_controls,
    type_of,
)
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.labels import without_guide
from pereggrn_data.core.spoiled_names import spoiled_candidates


def reader(*controls: str, **rules) -> LabelReader:
    rules = {"separators": SEPARATORS, "missing": MISSING_LABELS, **rules}
    return LabelReader(LabelRules(controls=controls, **rules))


@pytest.mark.parametrize(
    ("label", "genes"),
    [
        ("STAT1", ("STAT1",)),
        ("STAT1+ctrl", ("STAT1",)),
        ("ctrl+STAT1", ("STAT1",)),
        ("KLF1+GATA1", ("GATA1", "KLF1")),
        ("GATA1, KLF1", ("GATA1", "KLF1")),
        (" STAT1 ", ("STAT1",)),
        ("MYC|MYC", ("MYC",)),
        ("MYC+", ("MYC",)),
        ("NKX2-1", ("NKX2-1",)),
        ("MYC_g1", ("MYC_g1",)),
        ("ctrl", ()),
        ("ctrl+ctrl", ()),
    ],
)
def test_labels(label: str, genes: tuple[str, ...]) -> None:
    read = reader("ctrl").read(label)
    assert read.genes == genes
    assert not read.missing


@pytest.mark.parametrize("label", [None, float("nan"), "nan", "NaN", "unassigned", "", "  ", "+",
                                   "MYC+nan"])  # fmt: skip
def test_labels_that_say_nothing(label: object) -> None:
    assert reader("ctrl").read(label).missing


def test_a_control_may_have_a_name_that_otherwise_says_nothing() -> None:
    read = reader("None").read("None")
    assert read.is_control
    assert not read.missing


def test_stars_stand_for_any_text_and_other_signs_for_themselves() -> None:
    assert reader("NegCtrl*").read("NegCtrl12").is_control
    assert not reader("N.T").read("NAT").is_control
    assert reader("a[1]*").read("a[1]b").is_control


def test_measured_genes_are_neither_divided_nor_shortened() -> None:
    rules = {"separators": ("_",), "genes": {"MT_A", "NKX2_1"}}
    assert reader("ctrl", **rules).read("MT_A").genes == ("MT_A",)
    stripped = reader("ctrl", genes={"NKX2_1"}, strip_guides=True)
    assert stripped.read("NKX2_1").genes == ("NKX2_1",)
    assert stripped.read("MYC_1").genes == ("MYC",)
    known = reader("ctrl", genes={"MYC"}, strip_guides=True)
    assert known.read("sgMYC").genes == known.read("MYC-2").genes == ("MYC",)


def test_the_number_of_genes_decides_where_it_is_known() -> None:
    rules = {"separators": ("_",)}
    assert reader("control", **rules).read("AC_1", 1).genes == ("AC_1",)
    assert reader("control", **rules).read("MYC_KLF1", 2).genes == ("KLF1", "MYC")
    unnamed = reader("control", **rules).read("whatever", 0)
    assert unnamed.is_control
    assert unnamed.notes == ("taken for a control, as the column of numbers has 0",)
    assert reader("control", **rules).read("control", 0).notes == ()
    assert reader("control", **rules).read("unassigned", 0).missing
    assert reader("control", **rules).read("A_B_C", 2).notes


@pytest.mark.parametrize(
    ("guide", "gene"),
    [("MYC_g1", "MYC"), ("MYC_sg2", "MYC"), ("MYC-sgRNA3", "MYC"), ("MYC_1", "MYC"),
     ("STAT2g2", "STAT2"), ("MYC_ACGTACGTACGTACGTACGT", "MYC"), ("NKX2-1", "NKX2-1"),
     ("MEG3", "MEG3"), ("HLA-DRB1", "HLA-DRB1"), ("C1orf5", "C1orf5"), ("_1", "_1")],
)  # fmt: skip
def test_suffixes_of_guides(guide: str, gene: str) -> None:
    assert without_guide(guide) == gene


@pytest.mark.parametrize("label", ["NT", "non-targeting", "ctrl", "control", "safe-targeting",
                                   "scramble", "GFP", "DMSO", "WT", "AAVS1", "empty", "NTg4",
                                   "NegCtrl10", "non-targeting_00123"])  # fmt: skip
def test_what_looks_like_a_control(label: str) -> None:
    assert names_controls(label)


@pytest.mark.parametrize("label", ["WT1", "KLF1", "STAT1+ctrl", "CTRB1", "EMP1", ""])
def test_what_does_not(label: str) -> None:
    assert not names_controls(label)


def test_one_control_is_proposed_and_several_are_asked_about() -> None:
    assert choose_control({"NT": 5, "MYC": 9}, "gene") == "NT"
    with pytest.raises(UsageError, match="several labels look like it") as several:
        choose_control({"NT": 5, "AAVS1": 3, "MYC": 9}, "gene")
    assert "--control 'NT' --control 'AAVS1'" in str(several.value)
    with pytest.raises(UsageError, match="no label looks like it"):
        choose_control({"KLF1": 5, "MYC": 9}, "gene")


def test_many_numbered_controls_are_proposed_as_one_pattern() -> None:
    numbered = {f"non-targeting_{i}": 2 for i in range(9)}
    with pytest.raises(UsageError, match=r"say --control 'non-targeting_\*'\.") as asked:
        choose_control({**numbered, "MYC": 9}, "gene")
    assert "..." not in str(asked.value.fix)
    with pytest.raises(UsageError, match="'NT_0' --control 'NT_1'"):  # NT_MYC is none
        choose_control({**{f"NT_{i}": 2 for i in range(9)}, "NT_MYC": 9}, "gene")


def test_without_columns_a_table_of_cells_is_asked_for() -> None:
    with pytest.raises(UsageError, match="--obs FILE"):
        choose_column(None, [], ("gene",), "--perturbation", "the perturbed genes")


def test_two_columns_that_fit_are_asked_about() -> None:
    usual = ("perturbation", "gene")
    assert choose_column(None, ["gene", "x"], usual, "--perturbation", "it") == ("gene", True)
    with pytest.raises(UsageError, match="several may"):
        choose_column(None, ["gene", "perturbation"], usual, "--perturbation", "it")
    with pytest.raises(UsageError, match="no column 'Gene'"):
        choose_column("Gene", ["gene"], usual, "--perturbation", "it")


def test_words_for_types() -> None:
    words = ["CRISPRi", "KO", "CRISPR-cas9", "CRISPRa", "ORF", "drug"]
    assert [type_of(w) for w in words] == [
        "knockdown", "knockout", "knockout", "overexpression", "overexpression", None
    ]  # fmt: skip


@given(
    st.text(max_size=20),
    st.lists(st.text(min_size=1, max_size=2), max_size=3),
    st.lists(st.text(max_size=4), max_size=3),
)
def test_any_label_is_a_control_or_missing_or_names_genes(
    label: str, separators: list[str], controls: list[str]
) -> None:
    """Every part of a label is a gene, a control or nothing; what is read twice is the same."""
    rules = {"separators": tuple(separators), "strip_guides": True}
    read = reader(*controls, **rules).read(label)
    assert [read.missing, read.is_control, bool(read.genes)].count(True) == 1
    assert list(read.genes) == sorted(set(read.genes))
    assert all(gene and gene == gene.strip() for gene in read.genes)
    if not separators and read.genes:
        assert without_guide(label.strip()) == read.genes[0]


def test_versions_prefixes_and_empty_symbols() -> None:
    read = clean_names(["ENSG00000136997.19", "ENSG00000002586.20_PAR_Y"])
    assert read.names == ("ENSG00000136997", "ENSG00000002586_PAR_Y")
    assert clean_names(["GRCh38_MYC", "GRCh38_KLF1"]).names == ("MYC", "KLF1")
    read = clean_names(["MYC", ""], ids=["E1", "E2"])
    assert read.names == ("MYC", "E2")
    assert "genes without a symbol, named by their id" in read.assumed
    with pytest.raises(UsageError, match="several genomes"):
        clean_names(["GRCh38_MYC", "mm10_Myc"])
    read = clean_names(["GRCh38_MYC", "mm10_Myc"], prefix="GRCh38_")
    assert read.names[0] == "MYC"
    assert list(read.keep) == [True, False]


@pytest.mark.parametrize(
    ("spoiled", "genes"),
    [("5-Mar", ["MARCH5"]), ("1-Mar", ["MARCH1", "MARC1"]), ("Mar-08", ["MARCH8"]),
     ("9-Sep", ["SEPT9"]), ("15-Sep", ["SEP15"]), ("1-Dec", ["DEC1"]),
     ("1-Mrz", ["MARCH1", "MARC1"]),
     ("2024-03-08", ["MARCH8"]), ("2024-09-02 00:00:00", ["SEPT2"]), ("2.31E+13", []),
     ("2008-03-01", ["MARCH1", "MARC1", "MARCH8"]), ("MYC", None), ("MARCH1", None),
     ("NKX2-1", None), ("1-Xyz", None), ("2024-13-01", None)],
)  # fmt: skip
def test_names_spoiled_by_spreadsheets(spoiled: str, genes: list[str] | None) -> None:
    assert spoiled_candidates(spoiled) == genes


def test_spoiled_names_are_mended_only_on_demand_and_where_one_gene_fits() -> None:
    names = ["MYC", "8-Mar", "1-Mar", "2-Mar", "MTARC2"]
    kept = clean_names(names)
    assert kept.names == tuple(names)
    assert kept.assumed  # found, and said
    mended = clean_names(names, mend=True, hints={"MARCHF8"})
    # MARC2 is there under today's name, so that 2-Mar can only be MARCH2.
    assert mended.names == ("MYC", "MARCHF8", "1-Mar", "MARCH2", "MTARC2")
    # Two columns that would become one gene are left alone.
    assert clean_names(["8-Mar", "Mar-08"], mend=True).names == ("8-Mar", "Mar-08")


def test_genes_of_one_name() -> None:
    with pytest.raises(InvalidDataError, match="one name"):
        unique_groups(["A", "B", "A"], None, summable=True)
    with pytest.raises(InvalidDataError, match="a sum would mix different genes"):
        unique_groups(["1-Mar", "B", "1-Mar"], None, summable=True)
    genes, place, repeated = unique_groups(["A", "B", "A"], "sum", summable=True)
    assert (genes, list(place), repeated) == (["A", "B"], [0, 1, 0], {"A": 2})
    genes, place, _ = unique_groups(["A", "A-1", "A", "A"], "suffix", summable=False)
    assert len(set(genes)) == 4
    assert genes[:2] == ["A", "A-1"]
    assert list(place) == [0, 1, 2, 3]
    with pytest.raises(UsageError, match="cannot be summed"):
        unique_groups(["A", "A"], "sum", summable=False)
