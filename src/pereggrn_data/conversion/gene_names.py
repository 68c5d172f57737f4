"""Names of genes as files have them: ids, prefixes, duplicates, and what spreadsheets do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.core.spoiled_names import spoiled_candidates

SYMBOL_COLUMNS = (
    "gene_symbols", "gene_symbol", "gene_name", "gene_names", "feature_name",
    "gene_short_name", "symbol", "symbols", "hgnc_symbol", "SYMBOL",
)  # fmt: skip
"""Columns of var that usually hold symbols."""

_ENSEMBL = re.compile(r"(ENS[A-Z]*G\d{11})(\.\d+)?(_PAR_Y)?")
_PREFIX = re.compile(r"(GRCh3[78]|GRCm3[89]|hg19|hg38|mm9|mm10|mm39)[_-]+")

_TODAY = {
    "MARCH": "MARCHF", "MARC": "MTARC", "SEPT": "SEPTIN", "SEP": "SELENOF", "DEC": "DELEC",
}  # fmt: skip
"""What these families are called now, since spreadsheets kept spoiling them."""


def is_ensembl(name: str) -> bool:
    """Say whether a name is an Ensembl gene id, with or without a version."""
    return _ENSEMBL.fullmatch(name) is not None


def mostly_ensembl(names: Sequence[str]) -> bool:
    """Say whether more than half of the names are Ensembl gene ids."""
    return bool(names) and sum(map(is_ensembl, names)) * 2 > len(names)


@dataclass(frozen=True)
class ReadNames:
    """Names of genes, cleaned.

    Parameters
    ----------
    names
        One per gene of the input.
    keep
        Whether the gene stays.
    decided, assumed
        What was done on demand, and what without.
    renamed
        Old and new names of mended genes, for labels that have them too.
    """

    names: tuple[str, ...]
    keep: npt.NDArray[np.bool_]
    decided: dict[str, object] = field(default_factory=dict)
    assumed: dict[str, object] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)


def clean_names(
    names: Sequence[str],
    *,
    ids: Sequence[str] | None = None,
    prefix: str | None = None,
    mend: bool = False,
    hints: Collection[str] = (),
) -> ReadNames:
    """Clean the names of genes.

    Parameters
    ----------
    names
        As the file has them; an empty one is replaced by its id.
    ids
        Names in the index, where `names` come from a column.
    prefix
        Keep only names that begin so, without it.
    mend
        Whether names that a spreadsheet spoiled are replaced where one gene fits.
    hints
        Names in labels: they tell apart what an old name may be called now.

    Raises
    ------
    UsageError
        If no name has the prefix, or names of several genomes are mixed.
    """
    decided: dict[str, object] = {}
    assumed: dict[str, object] = {}
    out = [str(name).strip() for name in names]
    if ids is not None:
        absent = [i for i, name in enumerate(out) if name.casefold() in ("", "nan", "none")]
        for i in absent:
            out[i] = str(ids[i])
        if absent:
            assumed["genes without a symbol, named by their id"] = [out[i] for i in absent]
    out, keep = _without_prefix(out, prefix, decided, assumed)
    versioned = [name for name in out if (m := _ENSEMBL.fullmatch(name)) and m[2]]
    if versioned:
        # PAR_Y genes are others than those on X, so that they keep their suffix.
        out = [_ENSEMBL.sub(r"\1\3", n) if _ENSEMBL.fullmatch(n) else n for n in out]
        assumed["versions of Ensembl ids taken away"] = versioned
    renamed = _mended(out, mend, hints, decided, assumed)
    out = [renamed.get(name, name) for name in out]
    return ReadNames(tuple(out), keep, decided, assumed, renamed)


def _without_prefix(
    names: list[str], prefix: str | None, decided: dict[str, object], assumed: dict[str, object]
) -> tuple[list[str], npt.NDArray[np.bool_]]:
    keep = np.ones(len(names), bool)
    if prefix is not None:
        keep = np.array([name.startswith(prefix) for name in names], bool)
        if not keep.any():
            raise UsageError(f"No gene's name begins with {prefix!r}.", got=first_few(names))
        decided["prefix of genes taken away"] = prefix
        return [name.removeprefix(prefix).lstrip("_-") for name in names], keep
    found = Counter(m[1] for name in names if (m := _PREFIX.match(name)))
    if len(found) > 1:
        shown = ", ".join(f"{name} ({n} genes)" for name, n in found.items())
        raise UsageError(
            "The genes are of several genomes.",
            expected="genes of one species",
            got=shown,
            fix=f"keep one of them: --gene-prefix {found.most_common(1)[0][0]}_",
        )
    if found:
        assumed["prefix of genes taken away"] = next(iter(found))
        return [_PREFIX.sub("", name, count=1) for name in names], keep
    return names, keep


def _mended(
    names: list[str],
    mend: bool,
    hints: Collection[str],
    decided: dict[str, object],
    assumed: dict[str, object],
) -> dict[str, str]:
    """Return what spoiled names are replaced by, and note what was found."""
    taken, wanted = set(names), set(hints)
    renamed, unclear = {}, {}
    for name in dict.fromkeys([*names, *hints]):
        fitting = spoiled_candidates(name)
        if fitting is None:
            continue
        free = [c for c in fitting if not _forms(c) & taken]
        if len(free) == 1:
            renamed[name] = next((f for f in _forms(free[0]) if f in wanted), free[0])
        else:
            unclear[name] = " or ".join(free or fitting) or "(no gene is known to become this)"
    twice = {new for new, n in Counter(renamed.values()).items() if n > 1}
    unclear |= {old: new for old, new in renamed.items() if new in twice}
    renamed = {old: new for old, new in renamed.items() if new not in twice}
    if unclear:
        assumed["names spoiled by a spreadsheet, left as they are"] = unclear
    if renamed and mend:
        decided["names spoiled by a spreadsheet, mended"] = dict(renamed)
    elif renamed:
        assumed["names spoiled by a spreadsheet, left as they are; --mend-genes proposes"] = (
            renamed
        )
    return renamed if mend else {}


def _forms(gene: str) -> set[str]:
    """Return a gene's old and present name."""
    found = re.fullmatch(r"([A-Z]+)(\d+)", gene)
    family = _TODAY.get(found[1]) if found else None
    if found is None or family is None:
        return {gene}
    return {gene, family if family == "SELENOF" else f"{family}{found[2]}"}


def unique_groups(
    names: Sequence[str], how: str | None, *, summable: bool
) -> tuple[list[str], npt.NDArray[np.intp], dict[str, int]]:
    """Give genes of one name one place, or names of their own.

    Parameters
    ----------
    names
        One per gene.
    how
        ``"sum"``, ``"suffix"``, or None to refuse duplicates.
    summable
        Whether the values are counts.

    Returns
    -------
    genes
        Distinct names in order of first appearance.
    place
        Position in `genes` of every name.
    repeated
        The names that occur several times, and how often.

    Raises
    ------
    InvalidDataError
        If there are duplicates and nobody said what becomes of them.
    UsageError
        If values that are no counts were to be summed.
    """
    repeated = {name: n for name, n in Counter(names).items() if n > 1}
    if repeated and how is None:
        spoiled = [name for name in repeated if spoiled_candidates(name) is not None]
        if spoiled:
            raise InvalidDataError(
                "Several genes have one name that a spreadsheet made of theirs.",
                expected="unique names of genes",
                got=first_few(spoiled),
                fix="name a column of var with their ids (--symbols var:COLUMN), or tell them "
                "apart with --duplicates suffix: a sum would mix different genes.",
            )
        raise InvalidDataError(
            "Several genes have one name.",
            expected="unique names of genes",
            got=f"{len(repeated)} names of several genes: {first_few(repeated)}",
            fix="sum their counts with --duplicates sum, or tell them apart with "
            "--duplicates suffix.",
        )
    if repeated and how == "sum" and not summable:
        raise UsageError(
            "Values that are no counts cannot be summed.",
            got=f"--duplicates sum, and {len(repeated)} names of several genes",
            fix="--duplicates suffix",
        )
    if repeated and how == "suffix":
        names = _suffixed(names)
    genes = list(dict.fromkeys(names))
    position = {gene: j for j, gene in enumerate(genes)}
    return genes, np.array([position[name] for name in names], dtype=np.intp), repeated


def _suffixed(names: Iterable[str]) -> list[str]:
    listed = list(names)
    taken, seen, out = set(listed), Counter[str](), []
    for name in listed:
        new = name
        while seen[name] and new in taken:
            new = f"{name}-{seen[name]}"
            seen[name] += new in taken
        seen[name] += 1
        taken.add(new)
        out.append(new)
    return out
