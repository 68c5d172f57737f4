"""What a file says of its cells, its genes and its values, by the options of a conversion."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.conversion import (
    PERTURBATION_COLUMNS,
    SAMPLE_ROWS,
    SYMBOL_COLUMNS,
    ConversionReport,
    ConvertOptions,
    LabelReader,
    LabelRules,
    ReadLabel,
    check_counts,
    check_normalised,
    check_real,
    choose_column,
    choose_control,
    choose_scale,
    clean_names,
    is_whole,
    mostly_ensembl,
    required_column,
    type_of,
    unique_groups,
)
from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.core.format import (
    CELL_TYPE,
    IS_CONTROL,
    LEVEL,
    PERTURBATION,
    PERTURBATION_TYPE,
    TIMEPOINT,
    PerturbationType,
)
from pereggrn_data.core.labels import without_guide
from pereggrn_data.loaders.files import CountSource, sample_of
from pereggrn_data.validators import Matrix

CONTROL = "control"
"""Label of controls in the output."""
REPLICATE = "replicate"
N_CELLS = "n_cells"
RESERVED = (PERTURBATION, PERTURBATION_TYPE, IS_CONTROL, LEVEL, N_CELLS)
"""Columns of the output that are no groups."""
GENE_FEATURES = "Gene Expression"


@dataclass(frozen=True)
class ChosenValues:
    """The matrix that is converted.

    Parameters
    ----------
    slot
        ``X``, ``raw`` or ``layer:NAME``.
    matrix
        Cells by genes, still unread.
    scale
        Scale of normalised values; None for counts.
    """

    slot: str
    matrix: Matrix
    scale: str | None

    @property
    def are_counts(self) -> bool:
        """Whether the values are counts."""
        return self.scale is None


def choose_values(
    source: CountSource, options: ConvertOptions, report: ConversionReport
) -> ChosenValues:
    """Find the counts, or check that normalised values are what the user says.

    Raises
    ------
    UsageError
        If nothing, or more than one thing, can be meant.
    InvalidDataError
        If the values are something else.
    """
    for where, matrix in source.matrices.items():
        if 0 in matrix.shape:
            raise InvalidDataError(
                f"{where} of {source.name} is empty.",
                expected="at least one cell and one gene",
                got=f"{matrix.shape[0]} cells x {matrix.shape[1]} genes",
            )
    if options.normalised is not None:
        return _normalised(source, options.normalised, report)
    slot = options.counts
    if slot is not None:
        if slot not in source.matrices:
            raise UsageError(
                f"There is no matrix {slot!r} in {source.name}.",
                expected=f"one of {', '.join(source.matrices)}",
                fix="name the counts with --counts, or the scale with --normalised.",
            )
        sample = sample_of(source.matrices[slot], SAMPLE_ROWS)
        check_counts(sample, slot, fractions=options.estimated_counts)
        report.decided["counts"] = slot
        return ChosenValues(slot, source.matrices[slot], None)
    whole = [n for n, m in source.matrices.items() if is_whole(sample_of(m, SAMPLE_ROWS))]
    if len(whole) > 1:
        raise UsageError(
            "It is not said where the counts are, and several matrices hold whole numbers.",
            expected="--counts with one of them",
            got=", ".join(whole),
            fix=f"--counts {whole[-1]}",
        )
    if not whole:
        return _normalised(source, None, report)
    report.assumed["counts"] = f"{whole[0]}: it holds whole numbers, and nothing else does"
    return ChosenValues(whole[0], source.matrices[whole[0]], None)


def _normalised(source: CountSource, given: str | None, report: ConversionReport) -> ChosenValues:
    if "X" not in source.matrices:
        raise UsageError(f"{source.name} has no X.", got=", ".join(source.matrices) or "nothing")
    sample = sample_of(source.matrices["X"], SAMPLE_ROWS)
    check_real(sample, "X")
    scale, read = choose_scale(given, source.log1p, "X", sample)
    check_normalised(sample, scale, "X")
    noted = report.assumed if read else report.decided
    noted["values"] = f"X, {scale}" + (", as uns['log1p'] says" if read else "")
    return ChosenValues("X", source.matrices["X"], scale)


@dataclass(frozen=True)
class ChosenGenes:
    """Genes of the output, and where each column of the input goes.

    Parameters
    ----------
    names
        Distinct names.
    place
        Position in `names` by column of the input; -1 for columns that are dropped.
    columns
        Cleaned name of every column.
    renamed
        Mended names, for labels that have the spoiled ones too.
    symbols
        ``var:COLUMN`` where the names come from, unless from the index.
    """

    names: list[str]
    place: npt.NDArray[np.intp]
    columns: tuple[str, ...]
    renamed: dict[str, str]
    symbols: str | None = None


def choose_genes(
    source: CountSource,
    values: ChosenValues,
    hints: set[str],
    options: ConvertOptions,
    report: ConversionReport,
) -> ChosenGenes:
    """Give every column of the matrix the name of its gene.

    Parameters
    ----------
    source, values
        The input, and which of its matrices is converted.
    hints
        Names in the labels of perturbations.
    options, report
        What was asked for, and where it is noted what was done.
    """
    table = source.tables[values.slot]
    index = [str(name) for name in table.index]
    names, symbols = _symbols(table, index, hints, options, report)
    ids = index if symbols else None
    read = clean_names(
        names, ids=ids, prefix=options.gene_prefix, mend=options.mend_genes, hints=hints
    )
    report.decided |= read.decided
    report.assumed |= read.assumed
    keep = read.keep.copy()
    report.drop("of another prefix", [n for n, k in zip(index, keep, strict=True) if not k],
                of="genes")  # fmt: skip
    keep &= _is_gene(table, index, keep, report)
    kept = np.flatnonzero(keep)
    listed = [read.names[j] for j in kept]
    genes, at, repeated = unique_groups(listed, options.duplicates, summable=values.are_counts)
    if repeated:
        report.decided["genes of one name"] = f"{options.duplicates}: {first_few(repeated)}"
    place = np.full(len(index), -1, dtype=np.intp)
    place[kept] = at
    return ChosenGenes(genes, place, read.names, read.renamed, symbols)


def _symbols(
    table: pd.DataFrame,
    index: list[str],
    hints: set[str],
    options: ConvertOptions,
    report: ConversionReport,
) -> tuple[list[str], str | None]:
    columns = list(map(str, table.columns))
    if options.symbols is not None:
        column = required_column(options.symbols.removeprefix("var:"), columns, "--symbols var:")
        return _texts(table[column]), options.symbols
    if not mostly_ensembl(index) or mostly_ensembl(sorted(hints)):
        return index, None
    fitting = [c for c in SYMBOL_COLUMNS if c in columns]
    if not fitting:
        return index, None
    if len(fitting) > 1:
        raise UsageError(
            "The genes are Ensembl ids, and several columns of var may hold their symbols.",
            expected="--symbols var:COLUMN",
            got=", ".join(fitting),
            fix=f"--symbols var:{fitting[0]}",
        )
    report.assumed["symbols"] = f"var[{fitting[0]!r}], as the index holds Ensembl ids"
    return _texts(table[fitting[0]]), f"var:{fitting[0]}"


def _texts(column: pd.Series[Any]) -> list[str]:
    return ["" if v is None or v != v else str(v) for v in column.astype(object)]


def _is_gene(
    table: pd.DataFrame, index: list[str], keep: npt.NDArray[np.bool_], report: ConversionReport
) -> npt.NDArray[np.bool_]:
    """Say which features are genes: Cell Ranger's files have guides and antibodies beside them."""
    for column in ("feature_type", "feature_types"):
        if column in table and (table[column] == GENE_FEATURES).any():
            genes = (table[column] == GENE_FEATURES).to_numpy(dtype=bool)
            others = [index[j] for j in np.flatnonzero(keep & ~genes)]
            report.drop(f"features that are not {GENE_FEATURES}", others, of="genes")
            return genes
    return np.ones(len(index), bool)


@dataclass(frozen=True)
class ChosenCells:
    """What was done to each row of the input.

    Parameters
    ----------
    table
        A row per row of the input: labels, types, and the columns that group.
    keep
        Rows that are converted.
    grouping
        Columns within whose values counts are summed.
    """

    table: pd.DataFrame
    keep: npt.NDArray[np.bool_]
    grouping: list[str]


class CellReader:
    """Reads what the table of cells says."""

    def __init__(
        self, source: CountSource, options: ConvertOptions, report: ConversionReport
    ) -> None:
        self._obs = source.obs
        self._options = options
        self._report = report
        columns = list(map(str, self._obs.columns))
        self._columns = columns
        self._column, assumed = choose_column(
            options.perturbation, columns, PERTURBATION_COLUMNS, "--perturbation",
            "the perturbed genes", list(map(str, self._obs.index)),
        )  # fmt: skip
        noted = report.assumed if assumed else report.decided
        noted["perturbation"] = f"obs[{self._column!r}]"
        self._labels = self._obs[self._column].astype(object)
        counted = Counter(str(v) for v in self._labels if not _is_missing(v))
        if options.control:
            self._controls = options.control
            report.decided["controls"] = list(options.control)
        else:
            self._controls = (choose_control(counted, self._column),)
            report.assumed["controls"] = self._controls[0]
        self._type = options.type

    @property
    def found(self) -> dict[str, Any]:
        """Options of labels as they were found, for the recipe; types once they were read."""
        return {"perturbation": self._column, "control": self._controls, "type": self._type}

    @property
    def hints(self) -> set[str]:
        """Names of genes in the labels, roughly: to tell which names genes should have."""
        between = "|".join(map(re.escape, self._options.separator)) or r"(?!)"
        texts = {str(v) for v in self._labels.unique() if not _is_missing(v)}
        return {part.strip() for text in texts for part in re.split(between, text)}

    def read(self, genes: ChosenGenes) -> ChosenCells:
        """Read labels, types and groups.

        Parameters
        ----------
        genes
            Measured genes, which are not divided.
        """
        options, n = self._options, len(self._obs)
        rules = LabelRules(
            self._controls, options.separator, options.missing_label,
            options.strip_guide_suffix, frozenset(genes.names), genes.renamed,
        )  # fmt: skip
        read = self._read_labels(LabelReader(rules))
        keep = np.ones(n, bool)
        self._drop(keep, np.array([label.missing for label in read], bool),
                   "cells of which it is not known what was perturbed")  # fmt: skip
        table = pd.DataFrame(index=self._obs.index)
        table[PERTURBATION] = [label.text(CONTROL) for label in read]
        table[IS_CONTROL] = np.array([label.is_control for label in read], bool)
        self._check_controls(table, keep)
        grouping = self._group(table, keep)
        table[PERTURBATION_TYPE] = self._types(table[IS_CONTROL].to_numpy(bool), keep)
        self._check_names(table, keep, genes)
        return ChosenCells(table, keep, [PERTURBATION, PERTURBATION_TYPE, *grouping])

    def _read_labels(self, reader: LabelReader) -> list[ReadLabel]:
        numbers: Sequence[int | None] = [None] * len(self._labels)
        if self._options.n_perturbations is not None:
            name = required_column(self._options.n_perturbations, self._columns,
                                   "--n-perturbations")  # fmt: skip
            found = pd.to_numeric(self._obs[name].astype(object), errors="coerce")
            numbers = [None if v != v else int(v) for v in found]
        known: dict[tuple[str, bool, int | None], ReadLabel] = {}
        read, notes = [], Counter[str]()
        examples: dict[str, list[str]] = {}
        for label, number in zip(self._labels, numbers, strict=True):
            key = (str(label), _is_missing(label), number)
            if key not in known:
                known[key] = reader.read(None if key[1] else label, number)
                for note in known[key].notes:
                    examples.setdefault(note, []).append(str(label))
            notes.update(known[key].notes)
            read.append(known[key])
        for note, count in notes.items():
            self._report.assumed[note] = f"{count} cells: {first_few(examples[note], 5)}"
        return read

    def _check_controls(self, table: pd.DataFrame, keep: npt.NDArray[np.bool_]) -> None:
        is_control = table[IS_CONTROL].to_numpy(bool) & keep
        if not is_control.any():
            labels = list(dict.fromkeys(str(v) for v in self._labels))
            raise UsageError(
                "No row is a control.",
                expected=f"rows whose obs[{self._column!r}] is {' or '.join(self._controls)}",
                got=first_few(labels),
                fix="name the controls' label with --control; capital letters count.",
            )
        if not (keep & ~is_control).any():
            raise InvalidDataError(
                "Every row is a control, or has no label.",
                got=f"{int(is_control.sum())} controls among {len(keep)} rows",
            )
        self._report.decided["label of controls"] = f"{CONTROL}, {int(is_control.sum())} cells"

    def _group(self, table: pd.DataFrame, keep: npt.NDArray[np.bool_]) -> list[str]:
        options = self._options
        named: dict[str, tuple[str | None, str]] = {
            REPLICATE: (options.replicate, "--replicate"),
            CELL_TYPE: (options.cell_type, "--cell-type"),
            TIMEPOINT: (options.timepoint, "--timepoint"),
        }
        for name in options.by:
            if name in RESERVED or named.get(name, (None, ""))[0] is not None:
                raise UsageError(
                    f"--by {name} cannot be kept under its name.",
                    expected="columns other than those that the output has anyway",
                    fix="leave it out, or rename the column.",
                )
            named[name] = (name, "--by")
        grouping = []
        for output, (column, flag) in named.items():
            if column is None:
                continue
            required_column(column, self._columns, flag)
            values = self._obs[column].astype(object)
            self._drop(keep, values.isna().to_numpy(dtype=bool),
                       f"cells without a value in obs[{column!r}]")  # fmt: skip
            table[output] = _plain(values)
            grouping.append(output)
            self._report.decided[output] = f"obs[{column!r}]"
        return grouping

    def _types(self, is_control: npt.NDArray[np.bool_], keep: npt.NDArray[np.bool_]) -> list[str]:
        given = self._options.type
        words = list(PerturbationType)
        if given in words:
            self._report.decided["type"] = given
            return [str(given)] * len(keep)
        if given is None:
            given = self._type = self._type_column(keep & ~is_control)
        column = required_column(given, self._columns, f"--type {', '.join(words)}, or")
        read = [type_of(word) for word in self._obs[column].astype(object)]
        wrong = [i for i in np.flatnonzero(keep & ~is_control) if read[i] is None]
        if wrong:
            found = dict.fromkeys(str(self._obs[column].iloc[i]) for i in wrong)
            raise InvalidDataError(
                f"obs[{column!r}] does not say how genes were perturbed.",
                expected=", ".join(words),
                got=f"{first_few(found)} in {len(wrong)} rows",
                fix=f"if all are of one type, say so, for example --type {words[0]}.",
            )
        usual = Counter(read[i] for i in np.flatnonzero(keep & ~is_control)).most_common(1)[0][0]
        if len({t for t in read if t}) > 1:
            self._report.assumed["type of controls"] = usual
        # Controls are in one group whatever stands beside them: nothing was done to them.
        return [str(usual if control else kind or usual)
                for kind, control in zip(read, is_control, strict=True)]  # fmt: skip

    def _type_column(self, rows: npt.NDArray[np.bool_]) -> str:
        if PERTURBATION_TYPE in self._columns:
            found = {str(v) for v in self._obs[PERTURBATION_TYPE].astype(object)[rows]}
            if found <= set(PerturbationType):
                self._report.assumed["type"] = f"obs[{PERTURBATION_TYPE!r}]"
                return PERTURBATION_TYPE
        raise UsageError(
            "It is not said how the genes were perturbed.",
            expected="--type knockout, knockdown or overexpression, or the column that says it",
            fix="for example --type knockdown for CRISPRi.",
        )

    def _check_names(
        self, table: pd.DataFrame, keep: npt.NDArray[np.bool_], genes: ChosenGenes
    ) -> None:
        rows = keep & ~table[IS_CONTROL].to_numpy(bool)
        targets = {g for label in set(table[PERTURBATION][rows]) for g in label.split(",")}
        measured = targets & set(genes.names)
        self._note_targets(targets - measured, len(measured), set(genes.names))
        if measured or not targets:
            return
        are_ids = mostly_ensembl(genes.names) != mostly_ensembl(sorted(targets))
        if are_ids:
            raise InvalidDataError(
                "Genes and labels are named differently, so that no perturbed gene is found.",
                expected="symbols in both, or Ensembl ids in both",
                got=f"genes such as {first_few(genes.names, 3)}, labels such as "
                f"{first_few(sorted(targets), 3)}",
                fix="name the column of var with the labels' kind of names: --symbols var:COLUMN.",
            )
        self._report.assumed["perturbed genes"] = (
            "none of them is measured; nothing can be held out"
        )

    def _note_targets(self, lacking: set[str], n_measured: int, genes: set[str]) -> None:
        """Note which perturbed genes are not measured, and what else their names may be."""
        shown = f": {first_few(sorted(lacking))}" if lacking else ""
        self._report.decided["perturbed genes"] = (
            f"{n_measured} measured, {len(lacking)} not{shown}"
        )
        several = [n for n in sorted(lacking) if "_" in n and set(n.split("_")) <= genes]
        guides = [n for n in sorted(lacking) if without_guide(n, genes) in genes]
        for names, what, flag in (
            (several, "several genes", "--separator _ divides them"),
            (guides, "guides", "--strip-guide-suffix takes their suffixes away"),
        ):
            if names:
                self._report.assumed[f"one gene each, though they look like {what}"] = (
                    f"{first_few(names)}; {flag}"
                )

    def _drop(self, keep: npt.NDArray[np.bool_], gone: npt.NDArray[np.bool_], what: str) -> None:
        """Drop rows that were kept so far, and count them once."""
        self._report.drop(what, self._obs.index[keep & gone])
        keep &= ~gone


def _is_missing(value: object) -> bool:
    return value is None or value != value or repr(value) == "<NA>"


def _plain(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return numbers where all are, and text otherwise: a mixture cannot be stored."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().equals(values.notna()) and not any(isinstance(v, bool) for v in values):
        return numbers
    return values.map(lambda v: v if _is_missing(v) else str(v))
