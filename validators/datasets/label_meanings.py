"""Rules about what labels mean: spellings, controls, missing labels, names of another kind.

What a label looks like is decided in `pereggrn_data.core.labels`; here labels
are compared with each other, with the flags of controls and with the genes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.format import IS_CONTROL, PERTURBATION
from pereggrn_data.core.labels import (
    Spelling,
    genes_of,
    looks_like_control,
    looks_missing,
    names_of_another_kind,
    separated_otherwise,
    spellings,
)
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.validators.distinct import Distinct
from pereggrn_data.validators.parts import ExpressionParts, column_with
from pereggrn_data.validators.rules import RULES

_AT_LEAST = 2
"""Perturbed genes, of which none is measured, before that is worth a word."""


@dataclass(frozen=True)
class Labels:
    """The labels of a file, and what is needed to understand them.

    Parameters
    ----------
    column
        All labels.
    perturbed
        (n,) rows that are not controls; all, where no flag can be understood.
    genes
        Names of the measured genes.
    """

    column: Distinct
    perturbed: npt.NDArray[np.bool_]
    genes: frozenset[str]

    @classmethod
    def of(
        cls, column: Distinct, is_control: npt.NDArray[np.bool_] | None, genes: pd.Index[Any]
    ) -> Labels:
        """Join labels, flags and genes."""
        flags = np.zeros(len(column.codes), bool) if is_control is None else is_control
        return cls(column, ~flags, frozenset(map(str, genes)))

    def texts(self, rows: npt.NDArray[np.bool_]) -> list[str]:
        """Return the labels of some rows, in the order of their codes; text only."""
        used = Distinct(self.column.codes[rows], self.column.values).used()
        return [label for label in used if isinstance(label, str)]

    def finding(
        self, code: str, what: str, labels: Sequence[str], *, examples: Iterable[str] = ()
    ) -> list[Finding]:
        """Make a finding about perturbed rows with some labels, if there are any."""
        if not labels:
            return []
        wanted = set(labels)
        n = int(
            (self.column.rows(lambda v: isinstance(v, str) and v in wanted) & self.perturbed).sum()
        )
        shown = list(examples) or [repr(label) for label in labels]
        got = f"{what}: {', '.join(shown[:3])}{', ...' if len(shown) > 3 else ''}, in {n} rows"
        return [RULES[code].found(got, column=PERTURBATION, n=n, examples=shown)]


def spelling_findings(labels: Labels, severity: Severity | None = None) -> list[Finding]:
    """Find perturbations that several labels name, by :class:`Spelling`.

    Parameters
    ----------
    labels
        Of a dataset or of predictions.
    severity
        Instead of that of the rules.
    """
    used = labels.texts(labels.perturbed)
    order: dict[tuple[str, ...], list[str]] = {}
    for label in used:
        order.setdefault(tuple(sorted(genes_of(label))), []).append(label)
    in_order = [tuple(same) for same in order.values() if len(same) > 1]
    known = {frozenset(same) for same in in_order}
    # Where genes differ in case only, their names are no spellings of one gene.
    in_case = [same for same in spellings(used, labels.genes) if frozenset(same) not in known]
    found: list[Finding] = []
    for code, groups in (("perturbation-order", in_order), ("perturbation-spelling", in_case)):
        shown = [" and ".join(map(repr, same)) for same in groups]
        what = f"{len(groups)} perturbations with several labels"
        every = [label for same in groups for label in same]
        found += labels.finding(code, what, every, examples=shown)
    if severity is None:
        return found
    return [RULES[f.code].found(f.got, column=f.column, n=f.n, examples=f.examples,
                                severity=severity) for f in found]  # fmt: skip


def flag_findings(labels: Labels) -> list[Finding]:
    """Find labels that have controls and perturbed observations."""
    controls = set(labels.texts(~labels.perturbed))
    both = [label for label in labels.texts(labels.perturbed) if label in controls]
    if not both:
        return []
    shown, fewer = [], 0
    for label in both:
        rows = labels.column.rows(lambda v, label=label: v == label)  # type: ignore[misc]
        flagged, plain = (
            int((rows & ~labels.perturbed).sum()),
            int((rows & labels.perturbed).sum()),
        )
        shown.append(f"{label!r}: {flagged} controls and {plain} perturbed")
        fewer += min(flagged, plain)
    got = f"{len(both)} labels with both: {'; '.join(shown[:3])}{'; ...' if len(both) > 3 else ''}"
    rule = RULES["is-control-contradicts-label"]
    return [rule.found(got, column=IS_CONTROL, n=fewer, examples=shown)]


def meaning_findings(labels: Labels) -> list[Finding]:
    """Find labels of perturbed observations that name something else than genes."""
    controls = set(labels.texts(~labels.perturbed))
    used = [label for label in labels.texts(labels.perturbed) if label not in controls]
    known = labels.genes.union(used)

    def is_control(name: str) -> bool:
        return name not in labels.genes and (name in controls or looks_like_control(name))

    found: list[Finding] = []
    left = used
    for code, what, test in (
        ("perturbation-unknown", "labels that say that nothing is known",
         lambda x: x not in labels.genes and bool(x.strip()) and looks_missing(x)),
        ("perturbation-like-control", "labels that controls are commonly given", is_control),
        ("perturbation-names-control", "labels that name a gene and a control",
         lambda x: _names_control(x, is_control)),
        ("perturbation-separator", "labels of several genes that no comma joins",
         lambda x: x not in labels.genes and bool(separated_otherwise(x, known))),
    ):  # fmt: skip
        hits = [label for label in left if test(label)]
        found += labels.finding(code, what, hits)
        left = [label for label in left if label not in set(hits)]
    return found


def _names_control(label: str, is_control: Callable[[str], bool]) -> bool:
    for separator in (",", "+", "|", ";"):
        parts = [part.strip() for part in label.split(separator)]
        if len(parts) > 1 and any(map(is_control, parts)):
            return True
    return False


def parts_of(name: str) -> list[str]:
    """Return the names that the usual signs join in one."""
    return [part.strip() for part in re.split(r"[+|;]", name)]


def may_be_gene(name: str) -> bool:
    """Say whether a name that `var` lacks can be a gene, and belongs in a list of genes."""
    alone = len(parts_of(name)) == 1
    return alone and not looks_missing(name) and not looks_like_control(name)


def kind_findings(labels: Labels, parts: ExpressionParts) -> list[Finding]:
    """Say, once, that labels and genes are named differently, and where the other names are."""
    controls = set(labels.texts(~labels.perturbed))
    used = [x for x in labels.texts(labels.perturbed) if x not in controls]
    perturbed = list(
        dict.fromkeys(
            gene
            for label in used
            for gene in genes_of(label)
            if gene and not looks_missing(gene) and not looks_like_control(gene)
        )
    )
    lacking = [gene for gene in perturbed if gene not in labels.genes]
    if not lacking or 2 * len(lacking) < len(perturbed):
        return _near_names(lacking, perturbed, labels.genes)
    way = names_of_another_kind(perturbed, labels.genes)
    column = column_with(lacking, parts.columns_of_var())
    none = len(lacking) == len(perturbed) >= _AT_LEAST
    if not (way or column or none):
        return []
    measured = len(perturbed) - len(lacking)
    got = f"{measured or 'none'} of {len(perturbed)} perturbed genes in var"
    got += f"; {way}" if way else ""
    got += f"; var[{column!r}] holds the names of the labels" if column else ""
    fix = None
    if column:
        fix = f"adata.var_names = adata.var[{column!r}] (made unique), and fill both lists anew."
    elif "guides" in way:
        fix = (
            "label observations with the gene, keep the guide in another column of obs, "
            "and fill both lists anew."
        )
    rule = RULES["perturbed-names-of-another-kind"]
    return [rule.found(got, column=PERTURBATION, n=len(lacking), examples=lacking, fix=fix)]


def _near_names(
    lacking: Sequence[str], perturbed: Sequence[str], genes: frozenset[str]
) -> list[Finding]:
    """Find single genes that var has in another case, or of which a label names a guide.

    Where labels name the gene as var does, too, they are spellings of one perturbation, which
    is a finding of its own.
    """
    if not lacking:
        return []  # before all genes are spelled in one way
    form = Spelling(genes).form
    measured = {form(gene): gene for gene in genes}
    near = {name: measured[form(name)] for name in lacking if form(name) in measured}
    near = {name: gene for name, gene in near.items() if gene not in set(perturbed)}
    if not near:
        return []
    shown = [f"{name!r}, and var has {gene!r}" for name, gene in near.items()]
    got = f"{len(near)} of {len(perturbed)} perturbed genes are written otherwise in var: "
    got += "; ".join(shown[:3]) + ("; ..." if len(shown) > 3 else "")
    rule = RULES["perturbed-names-of-another-kind"]
    return [
        rule.found(
            got,
            column=PERTURBATION,
            n=len(near),
            examples=shown,
            fix="name these genes in labels as in var, and fill both lists anew.",
        )
    ]
