"""Perturbation labels and the expression levels stated with them.

People write one perturbation in several ways, and write other things where a
perturbation should be named. What a label means is decided here, so that
validation and splits agree.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from pereggrn_data.core.format import SEPARATOR

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def genes_of(perturbation: str) -> tuple[str, ...]:
    """Return the genes of a perturbation label, in its order.

    Examples
    --------
    >>> genes_of("arcA,fnr")
    ('arcA', 'fnr')
    """
    return tuple(str(perturbation).split(SEPARATOR))


def levels_of(stated: object) -> tuple[float, ...]:
    """Parse a stated expression level: a number, or comma-separated numbers.

    Unknown levels (missing, or the text ``nan``) become NaN.

    Parameters
    ----------
    stated
        An entry of ``expression_level_after_perturbation`` (natural log).

    Raises
    ------
    ValueError
        If a part is not a number.

    Examples
    --------
    >>> levels_of("3.5,nan")
    (3.5, nan)
    >>> levels_of(None)
    (nan,)
    """
    # pandas.NA has no truth value, so it is not compared; it means the same as NaN.
    if stated is None or repr(stated) == "<NA>":
        return (math.nan,)
    if isinstance(stated, str):
        return tuple(float(part) if part.strip() else math.nan for part in stated.split(SEPARATOR))
    return (math.nan,) if stated != stated else (float(stated),)  # type: ignore[arg-type]


def unique_in_order(labels: Iterable[str]) -> list[str]:
    """Return distinct labels in order of first appearance.

    Examples
    --------
    >>> unique_in_order(["b", "a", "b"])
    ['b', 'a']
    """
    return list(dict.fromkeys(labels))


def is_plain(name: str) -> bool:
    r"""Say whether a name has no white space, and no character that is not seen.

    Examples
    --------
    >>> is_plain("SOX2"), is_plain("SOX2 "), is_plain("SOX2\u200b")
    (True, False, False)
    """
    return name.isprintable() and " " not in name


_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_PUNCTUATION = re.compile("[-._]")


def legible(name: str) -> str:
    r"""Return the name that a reader sees, without what is not seen and variants of Unicode.

    That is: without white space, control and zero-width characters and quotation marks around
    it, in Unicode's form NFKC, and with hyphens for other dashes.

    Examples
    --------
    >>> legible("\ufeffNKX2\u20135 "), legible('"SOX2"')
    ('NKX2-5', 'SOX2')
    """
    if not name.isascii():
        name = _DASHES.sub("-", unicodedata.normalize("NFKC", name))
    if not is_plain(name):
        name = "".join(c for c in name if is_plain(c))
    quoted = len(name) > 2 and name[0] in _QUOTES and name[-1] in _QUOTES
    return name[1:-1] if quoted else name


def _in_any_case(name: str) -> str:
    """Fold case, and the punctuation that R and others put for a hyphen (NKX2.5 for NKX2-5)."""
    return _PUNCTUATION.sub("-", unicodedata.normalize("NFKC", legible(name).casefold()))


def written_alike(names: Iterable[str]) -> frozenset[str]:
    """Return the names that differ from another one in case or punctuation only.

    Such names mean different genes, as hairy (``h``) and Hairless (``H``) of the fly.

    Examples
    --------
    >>> sorted(written_alike(["h", "H", "SOX2"]))
    ['H', 'h']
    """
    spelled: dict[str, set[str]] = {}
    for name in frozenset(names):
        spelled.setdefault(_in_any_case(name), set()).add(name)
    return frozenset(name for same in spelled.values() if len(same) > 1 for name in same)


class Spelling:
    """One form for all spellings of a perturbation: case, order, white space and guides.

    So are characters that are not seen, quotation marks, and what stands for a hyphen.

    Parameters
    ----------
    genes
        Those of the dataset. Where two of them differ in case or punctuation only, that
        counts; a name that is none of them, but a guide of one, stands for that gene.

    Examples
    --------
    >>> form = Spelling({"SOX2", "h", "H"}).form
    >>> form("Sox2, h") == form("h,SOX2_sg1"), form("h") == form("H")
    (True, False)
    """

    def __init__(self, genes: Collection[str] = ()) -> None:
        self._genes = frozenset(genes)
        self._told_apart = written_alike(self._genes)

    def form(self, label: str) -> str:
        """Return the form of a label."""
        genes = (self._gene(gene) for gene in genes_of(label))
        return SEPARATOR.join(sorted(genes))

    def _gene(self, name: str) -> str:
        if name not in self._genes:
            name = legible(name)
            gene = without_guide(name, self._genes)
            name = gene if gene in self._genes else name
        return name if name in self._told_apart else _in_any_case(name)


def spellings(labels: Iterable[str], genes: Collection[str] = ()) -> list[tuple[str, ...]]:
    """Return the perturbations that are written in several ways, each with its labels.

    Parameters
    ----------
    labels
        Of perturbations.
    genes
        Those of the dataset, see :class:`Spelling`.

    Examples
    --------
    >>> spellings(["SOX2", "MYC", "Sox2"])
    [('SOX2', 'Sox2')]
    """
    spelling = Spelling(genes)
    found: dict[str, list[str]] = {}
    for label in unique_in_order(labels):
        found.setdefault(spelling.form(label), []).append(label)
    return [tuple(same) for same in found.values() if len(same) > 1]


def same_genes(labels: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Find labels that name the genes of a known one in another order, or legibly the same.

    So do those in which a plus joins genes, and may join a control to one, as GEARS and scGPT
    write them.

    Returns
    -------
    dict
        From the labels that are not known themselves to the known ones. Case counts,
        and so does everything else that :func:`legible` leaves.

    Examples
    --------
    >>> same_genes(["KLF1,AHR", "AHR", "ahr", "AHR+ctrl"], ["AHR", "AHR,KLF1"])
    {'KLF1,AHR': 'AHR,KLF1', 'AHR+ctrl': 'AHR'}
    """
    forms: dict[tuple[str, ...], list[str]] = {}
    for label in known:
        forms.setdefault(_sorted_genes(label), []).append(label)
    pairs = {
        label: [same for form in _forms(label) for same in forms.get(form, [])] for label in labels
    }
    return {label: same[0] for label, same in pairs.items()
            if len(same) == 1 and label not in same}  # fmt: skip


def _forms(label: str) -> set[tuple[str, ...]]:
    """Return what genes a label may name: one may have a plus, or be called as controls are."""
    if "+" not in label:
        return {_sorted_genes(label)}
    genes = genes_of(label)
    parts = [part for gene in genes for part in gene.split("+")]
    named = [part for part in parts if not looks_like_control(part)]
    return {_sorted_genes(SEPARATOR.join(some)) for some in (genes, parts, named) if some}


def _sorted_genes(label: str) -> tuple[str, ...]:
    return tuple(sorted(legible(gene) for gene in genes_of(label)))


def written_otherwise(label: str, known: Collection[str]) -> list[str]:
    """Return the known labels that name the same genes in another case or with another separator.

    Examples
    --------
    >>> written_otherwise("klf1+ahr", ["AHR,KLF1", "AHR"])
    ['AHR,KLF1']
    """
    form = Spelling().form
    forms = {
        form(SEPARATOR.join(part.strip() for part in label.split(separator)))
        for separator in (SEPARATOR, *_OTHER_SEPARATORS)
    }
    return [other for other in known if other != label and form(other) in forms]


_NOT_IN_WORDS = re.compile(r"[\W_]+")

_NUMBERED_CONTROLS = (
    *("control", "ctrl", "nontargeting", "nontarget", "nontargetingcontrol", "nt", "ntc"),
    *("ntcontrol", "negctrl", "negcontrol", "negativecontrol", "safetargeting", "safetarget"),
    *("safeharbor", "scramble", "scrambled", "nontargetingguide", "nontargetinggrna"),
)
_OTHER_CONTROLS = (
    *("ctl", "controls", "scr", "gfp", "egfp", "rfp", "mcherry", "dsred"),
    *("dmso", "wt", "wildtype", "aavs1", "rosa26", "luciferase", "luc", "fluc", "lacz"),
    *("vehicle", "mock", "pbs", "untreated", "unperturbed", "unstimulated", "untransduced"),
    *("untransfected", "nontransduced", "nontransfected", "nonperturbed", "parental"),
    *("emptyvector", "empty", "plentiempty", "baseline"),
)

CONTROL_WORDS = (*_NUMBERED_CONTROLS, *_OTHER_CONTROLS)
"""What controls are called, without case, spaces, hyphens and underscores."""

# A number may follow only words that no gene begins with: WT1, LUC7 and SCR1 are genes.
_CONTROL = re.compile(
    rf"(?:sg|si|sh)?(?:(?:{'|'.join(_NUMBERED_CONTROLS)})(?:sg|g|guide)?\d*"
    rf"|(?:{'|'.join(_OTHER_CONTROLS)}))"
)
_BEGINS_AS_CONTROL = re.compile(
    r"(?:control|ctrl|non[-_. ]?targeting|scrambled?|safe[-_. ]?targeting|neg[-_. ]?ctrl|ntc)"
    r"(?:[-_. |:]|$)",
    re.IGNORECASE,
)

MISSING_WORDS = (
    *("nan", "na", "n/a", "none", "null", "<na>", "nil", "-", "--", "?", "missing", "unknown"),
    *("unassigned", "notassigned", "undefined", "undetermined", "unmapped", "ambiguous"),
    *("multiplet", "doublet", "multiple", "negative", "noguide", "nosgrna", "nogrna"),
)
"""What stands where no perturbation is known, without case, spaces, hyphens and underscores."""


def looks_like_control(label: str) -> bool:
    """Say whether a label is what controls are commonly called, such as ``non-targeting``.

    A gene may have such a name (CTRL is one): look whether it is measured first.

    Examples
    --------
    >>> looks_like_control("Non-Targeting_12"), looks_like_control("WT1")
    (True, False)
    """
    word = _NOT_IN_WORDS.sub("", label).casefold()
    return bool(_CONTROL.fullmatch(word) or _BEGINS_AS_CONTROL.match(label.strip()))


def looks_missing(label: str) -> bool:
    """Say whether a label says that the perturbation is not known, such as ``unassigned``.

    Examples
    --------
    >>> looks_missing("NaN"), looks_missing("not assigned"), looks_missing("NANOG")
    (True, True, False)
    """
    plain = label.strip().casefold()
    return plain in MISSING_WORDS or _NOT_IN_WORDS.sub("", plain) in MISSING_WORDS or not plain


_OTHER_SEPARATORS = ("+", "|", ";", "/", "&", "_", ":", "-")


def separated_otherwise(label: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the genes that another separator than the comma joins; none if there is none.

    Parameters
    ----------
    label
        Of a perturbation.
    known
        Names of genes; every part must be one of them. That the label itself is not
        the name of a gene is for the caller to know.

    Examples
    --------
    >>> separated_otherwise("AHR+KLF1", {"AHR", "KLF1"})
    ('AHR', 'KLF1')
    >>> separated_otherwise("HLA-A", {"AHR", "KLF1"})
    ()
    """
    for separator in _OTHER_SEPARATORS:
        parts = tuple(part.strip() for part in label.split(separator))
        if len(parts) > 1 and all(part in known for part in parts):
            return parts
    return ()


_ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}(\.\d+)?|FBgn\d{7}|WBGene\d{8}")
_GUIDE_AFTER = re.compile(
    r"(?P<gene>.+?)(?:[-_.|:]+(?:[a-z]*rna|sg|sh|si|g|guide|ko|kd|oe|ds|pos|clone|rep)?"
    r"[-_.]?[\dp]*|_[iap][-_.]?[\dp]*|(?:sg|sh|si|g)\d+)",
    re.IGNORECASE,
)
_GUIDE_SUFFIX = re.compile(
    r"(?:[_.-](?:sg|g|sgrna|grna|guide)[_-]?\d+|_\d+|(?<=[A-Z0-9])g\d+|_[ACGT]{15,})$",
    re.IGNORECASE,
)
_LOWER_G = re.compile(r"(?<=[A-Z0-9])g\d+$")
_GUIDE_BEFORE = re.compile(r"(?:sg|sh|si)[-_.]?(?P<gene>.+)", re.IGNORECASE)


def is_accession(name: str) -> bool:
    """Say whether a name is a gene's accession of Ensembl, FlyBase or WormBase.

    Examples
    --------
    >>> is_accession("ENSG00000181449"), is_accession("SOX2")
    (True, False)
    """
    return bool(_ENSEMBL.fullmatch(name))


def without_guide(name: str, genes: Collection[str] = ()) -> str:
    """Return the gene of a guide's name; a name that is no guide's is returned as it is.

    Parameters
    ----------
    name
        One name, no label of several genes.
    genes
        Known genes. None of them is shortened, and what is left of a guide's name
        is one of them if it can be. Only endings that mean nothing else are taken
        away where no gene is known.

    Examples
    --------
    >>> [without_guide(n) for n in ("MYC_g1", "MYC_2", "STAT2g2", "NKX2-1", "C1ORF1")]
    ['MYC', 'MYC', 'STAT2', 'NKX2-1', 'C1ORF1']
    >>> [without_guide(n, {"SOX2", "A_1"}) for n in ("sgSOX2", "SOX2-1", "A_1", "MYC-1")]
    ['SOX2', 'SOX2', 'A_1', 'MYC-1']
    """
    if name in genes:
        return name
    # The longest gene first: "HLA-A_sg1" is a guide of HLA-A.
    for end in sorted((m.start() for m in re.finditer(r"[-_.|:]", name)), reverse=True):
        if name[:end] in genes and _GUIDE_AFTER.fullmatch(name):
            return name[:end]
    for pattern in (_GUIDE_AFTER, _GUIDE_BEFORE):
        match = pattern.fullmatch(name)
        if match and match["gene"] in genes:
            return match["gene"]
    found = _GUIDE_SUFFIX.search(name)
    if found is None or found.start() == 0:
        return name
    # MEG3 is a gene: only a small g directly behind a name is a guide's.
    if found[0][0] in "gG" and not _LOWER_G.search(name):
        return name
    return name[: found.start()]


def names_of_another_kind(perturbed: Collection[str], genes: Collection[str]) -> str:
    """Say in which way labels and genes are named differently; empty if no way is seen.

    Parameters
    ----------
    perturbed
        Genes that labels name.
    genes
        Names of the measured genes.

    Examples
    --------
    >>> names_of_another_kind(["SOX2"], ["ENSG00000181449"])
    'labels hold symbols (SOX2), var accessions (ENSG00000181449)'
    """
    lacking = [gene for gene in perturbed if gene not in set(genes)]
    if not lacking or 2 * len(lacking) < len(perturbed):
        return ""
    measured = set(genes)
    if len(lacking) > 1 or not measured.intersection(perturbed):
        accessions = (
            [g for g in measured if is_accession(g)],
            [g for g in lacking if is_accession(g)],
        )
        if 2 * len(accessions[0]) > len(measured) and 2 * len(accessions[1]) < len(lacking):
            return f"labels hold symbols ({lacking[0]}), var accessions ({min(accessions[0])})"
        if 2 * len(accessions[0]) < len(measured) and 2 * len(accessions[1]) > len(lacking):
            return f"labels hold accessions ({accessions[1][0]}), var symbols ({min(measured)})"
    folded = {gene.casefold(): gene for gene in measured}
    bare = {gene.partition(".")[0]: gene for gene in measured if is_accession(gene)}
    for ways, text in (
        ({g: _known(without_guide(g, measured), measured) for g in lacking}, "labels name guides"),
        ({g: folded.get(g.casefold()) for g in lacking}, "labels and var differ in case"),
        ({g: bare.get(g.partition(".")[0]) for g in lacking}, "versions of accessions differ"),
    ):
        hits = [(g, hit) for g, hit in ways.items() if hit is not None]
        if 2 * len(hits) > len(lacking):
            return f"{text} ({hits[0][0]}, and var has {hits[0][1]})"
    return ""


def _known(name: str, genes: Collection[str]) -> str | None:
    return name if name in genes else None


def targets_matrix(
    perturbations: Iterable[str], genes: Iterable[str]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Say which genes each observation directly perturbs.

    Parameters
    ----------
    perturbations
        One label per observation.
    genes
        Names of the measured genes.

    Returns
    -------
    rows, columns
        Positions of (observation, gene) pairs, one per directly perturbed
        gene that is measured, ordered by observation. Control labels name no
        gene, unless a gene has that very name.
    """
    import numpy as np

    position = {gene: j for j, gene in enumerate(genes)}
    parsed: dict[str, list[int]] = {}
    rows: list[int] = []
    columns: list[int] = []
    for i, label in enumerate(perturbations):
        if label not in parsed:
            parsed[label] = [position[g] for g in genes_of(label) if g in position]
        hit = parsed[label]
        rows.extend([i] * len(hit))
        columns.extend(hit)
    return np.asarray(rows, dtype=np.intp), np.asarray(columns, dtype=np.intp)
