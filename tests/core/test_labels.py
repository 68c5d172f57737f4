"""What a label means: spellings, controls, missing labels, separators, guides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pereggrn_data.core.labels import (
    CONTROL_WORDS,
    MISSING_WORDS,
    Spelling,
    looks_like_control,
    looks_missing,
    names_of_another_kind,
    same_genes,
    separated_otherwise,
    spellings,
    without_guide,
    written_alike,
)

canonical = Spelling().form
GENES = st.text("ABCdef123", min_size=1, max_size=5)


@given(genes=st.lists(GENES, min_size=1, max_size=4), data=st.data())
def test_spellings_have_one_form(genes: list[str], data: st.DataObject) -> None:
    other = data.draw(st.permutations(genes))
    spelled = " , ".join(g.swapcase() for g in other)
    assert canonical(spelled) == canonical(",".join(genes)) == canonical(canonical(spelled))


@given(first=st.lists(GENES, min_size=1, max_size=3), second=st.lists(GENES, min_size=1))
def test_other_perturbations_have_other_forms(first: list[str], second: list[str]) -> None:
    same = sorted(g.casefold() for g in first) == sorted(g.casefold() for g in second)
    assert (canonical(",".join(first)) == canonical(",".join(second))) is same


def test_case_that_matters_is_kept() -> None:
    fly = written_alike(["h", "H", "SOX2", "N"])
    assert fly == {"h", "H"}
    assert spellings(["h", "H", "SOX2", "sox2"], fly) == [("SOX2", "sox2")]


def test_guides_of_one_gene_are_spellings_of_it() -> None:
    genes = ["SOX2", "MYC", "YBL005W", "NKX2-1", "GENE_1"]
    labels = ["SOX2", "SOX2_sg1", "sox2", "MYC-1,SOX2_2", "SOX2,MYC"]
    assert spellings(labels, genes) == [tuple(labels[:3]), tuple(labels[3:])]
    others = ["YBL005W", "YBL005W-A", "NKX2-1", "NKX2-2", "GENE_1", "GENE_2", "FOS_1", "FOS_2"]
    assert spellings(others, genes) == []


@pytest.mark.parametrize(
    "spelled",
    ["NKX2-5\u200b", "\ufeffNKX2-5", "NKX2-5\u00a0", "NKX2\u20135", "NKX2.5", "NKX2_5", '"NKX2-5"',
     "\uff2eKX2-5", "nkx2.5"],
)  # fmt: skip
def test_what_is_not_seen_and_punctuation_make_no_other_perturbation(spelled: str) -> None:
    genes = ["NKX2-5", "SO\u0308X2", "MYC"]
    assert spellings(["NKX2-5", "MYC", spelled], genes) == [("NKX2-5", spelled)]
    assert spellings(["S\u00d6X2", "SO\u0308X2"], genes) == [("S\u00d6X2", "SO\u0308X2")]
    assert spellings(["NKX2-5", "NKX2.5"], [*genes, "NKX2.5"]) == []


def test_labels_that_read_the_same_are_understood() -> None:
    known = ["AHR", "AHR,KLF1"]
    found = same_genes(["KLF1\u200b,AHR", "\ufeffAHR", '"AHR"', "ahr", "A.HR"], known)
    assert found == {"KLF1\u200b,AHR": "AHR,KLF1", "\ufeffAHR": "AHR", '"AHR"': "AHR"}


def test_labels_with_a_plus_are_understood() -> None:
    known = ["AHR", "AHR,KLF1", "A+1"]
    written = ["AHR+ctrl", "ctrl+AHR", "KLF1+AHR", "A+1", "KLF1+ctrl", "ctrl", "ctrl+ctrl"]
    assert same_genes(written, known) == {
        "AHR+ctrl": "AHR", "ctrl+AHR": "AHR", "KLF1+AHR": "AHR,KLF1",
    }  # fmt: skip
    assert same_genes(["AHR+CTRL"], ["AHR", "AHR,CTRL"]) == {}, "CTRL may be a gene"


def test_genes_may_have_a_plus_in_their_names() -> None:
    known = ["A+1", "A+1,B", "C,D", "C+D", "E+ctrl", "E"]
    found = same_genes(["B,A+1", "A+1\u200b", '"A+1"', "D+C", "C+D", "E+ctrl"], known)
    assert found == {"B,A+1": "A+1,B", "A+1\u200b": "A+1", '"A+1"': "A+1", "D+C": "C,D"}


@pytest.mark.parametrize("word", CONTROL_WORDS)
def test_control_words(word: str) -> None:
    assert looks_like_control(word)
    assert looks_like_control(word.upper())


@pytest.mark.parametrize(
    "label",
    [
        *("Non-Targeting", "non_targeting_0012", "NT-3", "NTC", "sgNTC", "siCtrl", "shGFP"),
        *("Safe-Targeting", "safe_targeting_4", "scrambled", "Scramble 2", "control_rtTA"),
        *("DMSO", "WT", "wild-type", "AAVS1", "lacZ", "Luciferase", "Vehicle", "mock", "neg_ctrl"),
    ],
)
def test_what_controls_are_called(label: str) -> None:
    assert looks_like_control(label)


@pytest.mark.parametrize(
    "gene",
    [
        *("WT1", "LUC7L", "LUC7", "SCRIB", "SCR1", "GFPT1", "NTRK1", "NT5E", "NTCP", "CTRB1"),
        *("CTL1", "MOCOS", "PBSN", "EMP1", "CTCF", "CONTROLLIN", "AHR", "NEGR1", "SCRT1"),
        *("NANOG", "NAT1", "NULL1", "UNK", "DOUBLESEX"),
    ],
)
def test_genes_are_neither_controls_nor_missing(gene: str) -> None:
    assert not looks_like_control(gene)
    assert not looks_missing(gene)


@pytest.mark.parametrize("word", [*MISSING_WORDS, "", " ", "NaN", "not assigned", "Multiplet"])
def test_missing_words(word: str) -> None:
    assert looks_missing(word)


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        ("A1+B2", ("A1", "B2")),
        ("A1_B2", ("A1", "B2")),
        ("A1|B2", ("A1", "B2")),
        ("A1;B2", ("A1", "B2")),
        ("A1/B2", ("A1", "B2")),
        ("A1-B2", ("A1", "B2")),
        ("A1-C", ()),
        ("A1,B2", ()),
    ],
)
def test_other_separators(label: str, parts: tuple[str, ...]) -> None:
    assert separated_otherwise(label, {"A1", "B2"}) == parts


@pytest.mark.parametrize(
    ("label", "gene"),
    [
        ("SOX2_sg1", "SOX2"),
        ("SOX2-2", "SOX2"),
        ("SOX2g1", "SOX2"),
        ("sgSOX2", "SOX2"),
        ("SOX2_guide_3", "SOX2"),
        ("HLA-A_sg1", "HLA-A"),
        ("SOX2", "SOX2"),
        ("SOX21", "SOX21"),
        ("MYC_sg1", "MYC"),
        ("MYC-2", "MYC-2"),
    ],
)
def test_guides(label: str, gene: str) -> None:
    assert without_guide(label, {"SOX2", "HLA", "HLA-A"}) == gene


ENSEMBL = [f"ENSG{i:011d}" for i in range(5)]


@pytest.mark.parametrize(
    ("perturbed", "genes", "says"),
    [
        (["SOX2", "MYC"], ENSEMBL, "symbols"),
        (ENSEMBL[:2], ["SOX2", "MYC"], "accessions"),
        (ENSEMBL[:2], [f"{e}.3" for e in ENSEMBL], "versions"),
        (["Sox2", "Myc"], ["SOX2", "MYC"], "case"),
        (["SOX2_sg1", "SOX2_sg2", "MYC_sg1"], ["SOX2", "MYC"], "guides"),
        (["SOX2", "MYC", "Z"], ["SOX2", "MYC"], ""),
        (["Q1", "Q2"], ["SOX2", "MYC"], ""),
    ],
)
def test_names_of_another_kind(perturbed: list[str], genes: list[str], says: str) -> None:
    found = names_of_another_kind(perturbed, genes)
    assert says in found
    assert bool(found) is bool(says)
