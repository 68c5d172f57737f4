"""From what people write beside a cell to the genes that were perturbed in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pereggrn_data.core.errors import UsageError, first_few
from pereggrn_data.core.format import SEPARATOR
from pereggrn_data.core.labels import looks_like_control, without_guide

PERTURBATION_COLUMNS = (
    "perturbation", "target_gene", "gene_target", "perturbation_name", "condition", "gene",
    "guide_identity", "guide_target", "target", "feature_call", "sgRNA_target",
)  # fmt: skip
"""Columns that usually say what was perturbed."""


@dataclass(frozen=True)
class LabelRules:
    """How labels are read.

    Parameters
    ----------
    controls
        Labels of controls; ``*`` stands for any text.
    separators
        What joins the genes of a label.
    missing
        Labels that say nothing, compared without regard to case.
    strip_guides
        Whether the suffixes of guides are taken away.
    genes
        Names of the measured genes: none of them is divided or shortened.
    rename
        Names that are replaced, for example by mended ones.
    """

    controls: tuple[str, ...]
    separators: tuple[str, ...]
    missing: tuple[str, ...]
    strip_guides: bool = False
    genes: Collection[str] = frozenset()
    rename: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadLabel:
    """What a label says.

    Parameters
    ----------
    genes
        Perturbed genes in alphabetical order; empty for controls.
    missing
        Whether it says nothing.
    notes
        What had to be done to read it.
    """

    genes: tuple[str, ...] = ()
    missing: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_control(self) -> bool:
        """Whether nothing was perturbed."""
        return not self.genes and not self.missing

    def text(self, control: str) -> str:
        """Return the label in the uniform format."""
        return SEPARATOR.join(self.genes) if self.genes else control


class LabelReader:
    """Reads labels by one set of rules."""

    def __init__(self, rules: LabelRules) -> None:
        self._rules = rules
        self._exact = set(rules.controls)
        self._patterns = [_pattern(c) for c in rules.controls if "*" in c]
        self._missing = {text.strip().casefold() for text in rules.missing}
        # Longest first: "++" is not two "+".
        joined = "|".join(map(re.escape, sorted(rules.separators, key=len, reverse=True)))
        self._between: re.Pattern[str] | None = re.compile(joined) if joined else None

    def read(self, label: object, n_genes: int | None = None) -> ReadLabel:
        """Read one label.

        Parameters
        ----------
        label
            Text; None and NaN say nothing.
        n_genes
            How many genes it names, where that is known; 0 for controls.
        """
        if label is None or label != label or repr(label) == "<NA>":
            return ReadLabel(missing=True)
        text = str(label).strip()
        # A control may have a name that otherwise says nothing, such as "None".
        if self._is_control(text):
            return ReadLabel()
        if text.casefold() in self._missing:
            return ReadLabel(missing=True)
        if n_genes == 0:
            return ReadLabel(notes=("taken for a control, as the column of numbers has 0",))
        return self._parts(text, n_genes)

    def _parts(self, text: str, n_genes: int | None) -> ReadLabel:
        whole = n_genes == 1 or (text in self._rules.genes and SEPARATOR not in text)
        parts = [text] if whole or self._between is None else self._between.split(text)
        notes: list[str] = []
        genes: list[str] = []
        for part in (part.strip() for part in parts):
            if not part:
                notes.append("an empty name beside a separator was left out")
                continue
            if self._is_control(part):
                notes.append("a control beside genes was left out of the label")
                continue
            if part.casefold() in self._missing:
                return ReadLabel(missing=True)
            genes.append(self._gene(part, notes))
        if not genes and notes and "control" not in " ".join(notes):
            return ReadLabel(missing=True)  # separators and nothing else
        if len(set(genes)) < len(genes):
            notes.append("a gene that a label names twice is named once")
        found = tuple(sorted(set(genes)))
        if n_genes is not None and len(found) != n_genes:
            notes.append("the number of genes is not the one in the column of numbers")
        return ReadLabel(genes=found, notes=tuple(dict.fromkeys(notes)))

    def _gene(self, part: str, notes: list[str]) -> str:
        name = without_guide(part, self._rules.genes) if self._rules.strip_guides else part
        if name != part and part not in self._rules.genes:
            notes.append("the suffix of a guide was taken away")
            part = name
        if part in self._rules.rename:
            notes.append("the name of a gene was mended")
            part = self._rules.rename[part]
        return part

    def _is_control(self, text: str) -> bool:
        forms = (
            {text, without_guide(text, self._rules.genes)} if self._rules.strip_guides else {text}
        )
        return any(f in self._exact or any(p.fullmatch(f) for p in self._patterns) for f in forms)


def _pattern(control: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, control.split("*"))), re.DOTALL)


def names_controls(label: object) -> bool:
    """Say whether a label is one that controls usually have, also one guide or two of them.

    Examples
    --------
    >>> [names_controls(x) for x in ("NT", "AAVS1_g2", "ctrl+ctrl", "WT1", "KLF1+ctrl")]
    [True, True, True, False, False]
    """
    parts = re.split(r"[+,;|&]", str(label))
    return all(
        looks_like_control(part) or looks_like_control(without_guide(part)) for part in parts
    )


def choose_control(counted: Mapping[str, int], column: str) -> str:
    """Return the one label that looks like that of controls.

    Parameters
    ----------
    counted
        Number of rows of each label.
    column
        Where they come from, for messages.

    Raises
    ------
    UsageError
        If there is none, or more than one.
    """
    found = [label for label in counted if names_controls(label)]
    if len(found) == 1:
        return found[0]
    commonest = [f"{label} ({n} rows)" for label, n in Counter(dict(counted)).most_common(5)]
    if not found:
        raise UsageError(
            "It is not said which rows are controls, and no label looks like it.",
            expected="--control LABEL",
            got=f"{len(counted)} labels in obs[{column!r}]; most frequent: {', '.join(commonest)}",
            fix="name the controls' label with --control.",
        )
    named = [f"{label} ({counted[label]} rows)" for label in found]
    pattern = _common_pattern(found, counted)
    flags = " ".join(f"--control {label!r}" for label in pattern or found[:3])
    raise UsageError(
        "It is not said which rows are controls, and several labels look like it.",
        expected="--control LABEL, once for each; `*` stands for any text",
        got=first_few(named),
        fix=f"if all of them are, say {flags}{' ...' if len(found) > 3 and not pattern else ''}.",
    )


def _common_pattern(found: Sequence[str], labels: Iterable[str]) -> list[str]:
    """Return one pattern for many labels of controls, if it fits no other label."""
    starts = {re.sub(r"\d+$", "", label) for label in found}
    start = min(starts)
    others = set(labels) - set(found)
    fits = len(found) > 3 and len(starts) == 1 and not any(o.startswith(start) for o in others)
    return [f"{start}*"] if fits else []


_NUMBERED = r"[-_.]\d+$"
"""What tells rows of one label apart, behind it."""


def hint_of_labels_in_names(names: Sequence[str]) -> str:
    """Return how to make a column of the names of rows, where few are told apart by numbers.

    Parameters
    ----------
    names
        Names of rows; those of cells are barcodes as a rule, and all different.

    Returns
    -------
    str
        A sentence with a blank in front; empty if they do not look like labels.

    Examples
    --------
    >>> hint_of_labels_in_names(["GATA1-1", "GATA1-2", "NT", "NT-1"])[:45]
    ' Names of rows look like labels such as GATA1'
    >>> hint_of_labels_in_names(["AAAC-1", "AAAG-1", "AACC-1"])
    ''
    """
    found = list(dict.fromkeys(re.sub(_NUMBERED, "", name) for name in names))
    if not 1 < len(found) <= len(names) / 2:
        return ""
    return (
        f" Names of rows look like labels such as {first_few(found, 3)}: in Python, "
        f"adata.obs['perturbation'] = adata.obs_names.str.replace(r'{_NUMBERED}', '', regex=True) "
        "makes a column of them."
    )


def choose_column(
    given: str | None,
    columns: Sequence[str],
    usual: Sequence[str],
    flag: str,
    what: str,
    names: Sequence[str] = (),
) -> tuple[str, bool]:
    """Return the column that was named, or the only one that usually holds this.

    Parameters
    ----------
    given
        The column that was named.
    columns
        Those that there are.
    usual
        Those that usually hold this.
    flag, what
        The option that names it, and what it holds.
    names
        Names of rows, which may be what no column has.

    Returns
    -------
    column, assumed
        Its name, and whether nobody named it.

    Raises
    ------
    UsageError
        If it is not there, or several or none fit.
    """
    if given is not None:
        return required_column(given, columns, flag), False
    fitting = [name for name in usual if name in columns]
    if len(fitting) == 1:
        return fitting[0], True
    if not columns:
        raise UsageError(
            f"No column of obs has {what}: there is no column.",
            expected="a table of cells beside the counts",
            got="no column in obs",
            fix="give a table whose first column has the names of the cells: --obs FILE."
            + hint_of_labels_in_names(names),
        )
    raise UsageError(
        f"It is not said which column of obs has {what}"
        + (", and several may." if fitting else "."),
        expected=f"{flag} COLUMN",
        got=f"columns {first_few(fitting or columns)}",
        fix=f"{flag} {fitting[0]}"
        if fitting
        else f"name one with {flag}.{hint_of_labels_in_names(names)}",
    )


def required_column(name: str, columns: Iterable[str], flag: str) -> str:
    """Return a column's name if there is such a column.

    Raises
    ------
    UsageError
        With the columns that there are.
    """
    listed = list(columns)
    if name in listed:
        return name
    raise UsageError(
        f"There is no column {name!r}.",
        expected=f"{flag} with one of {first_few(listed, 20)}",
        fix="check the name; capital letters count.",
    )


_TYPES: Mapping[str, str] = {
    **dict.fromkeys(("knockout", "ko", "crispr", "crisprko", "crisprcas9", "cas9", "deletion"),
                    "knockout"),
    **dict.fromkeys(("knockdown", "kd", "crispri", "rnai", "sirna", "shrna"), "knockdown"),
    **dict.fromkeys(("overexpression", "oe", "crispra", "orf", "activation"), "overexpression"),
}  # fmt: skip


def type_of(word: object) -> str | None:
    """Return the perturbation type that a word stands for; None if it stands for none.

    Examples
    --------
    >>> type_of("CRISPRi"), type_of("CRISPR-cas9"), type_of("drug")
    ('knockdown', 'knockout', None)
    """
    return _TYPES.get(re.sub(r"[^a-z0-9]", "", str(word).casefold()))
