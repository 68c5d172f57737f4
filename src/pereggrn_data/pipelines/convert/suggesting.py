"""The command that converts a file, as far as the file itself tells."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pereggrn_data.conversion import (
    PERTURBATION_COLUMNS,
    RANKS,
    SAMPLE_ROWS,
    SYMBOL_COLUMNS,
    ConvertOptions,
    check_normalised,
    check_rank,
    choose_scale,
    hint_of_labels_in_names,
    is_whole,
    mostly_ensembl,
    names_controls,
    type_of,
)
from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingExtraError,
    PereggrnError,
    UsageError,
    first_few,
)
from pereggrn_data.core.format import PERTURBATION_TYPE, PerturbationType
from pereggrn_data.core.labels import looks_missing, without_guide
from pereggrn_data.core.options import options_of
from pereggrn_data.loaders.archive import is_record_file
from pereggrn_data.loaders.files import CountSource, open_counts, sample_of
from pereggrn_data.pipelines.collection import path_of_record_file

_GROUPS = {
    "replicate": ("replicate", "rep", "biological_replicate", "donor"),
    "cell_type": ("cell_type", "celltype", "cell_line", "CellType"),
    "timepoint": ("timepoint", "time_point", "time", "hours"),
}
"""Columns that usually say within what counts are summed, by option."""
_OTHERWISE_JOINED = "_"
"""Joins genes only if asked, as it also stands before the number of a guide."""


@dataclass(frozen=True)
class Suggestion:
    """The command that converts a file.

    Parameters
    ----------
    source
        The file.
    options
        Value of each option of `convert` that was found out.
    open_options
        Options that have to be said, and that nothing in the file tells: a word for the
        value.
    notes
        What speaks for them, and what else may be meant.
    """

    source: str
    options: dict[str, Any] = field(default_factory=dict)
    open_options: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        """Name of the file that the command writes."""
        if is_record_file(self.source):
            return f"{Path(re.split('[/#]', self.source)[-1]).stem}_uniform.h5ad"
        name = Path(self.source).name
        stem = re.sub(r"\.(h5ad|h5|zarr|csv|tsv|txt|parquet)(\.gz)?$", "", name)
        return str(Path(self.source).with_name(f"{stem}_uniform.h5ad"))

    @property
    def words(self) -> list[str]:
        """The command, word by word."""
        found = ["pereggrn-data", "convert", self.source, "-o", self.output]
        for name, about in options_of(ConvertOptions).items():
            if name in self.open_options:
                found += [about.flags[0], self.open_options[name]]
            if name not in self.options:
                continue
            value = self.options[name]
            if value is True:
                found.append(about.flags[0])
                continue
            for one in value if isinstance(value, tuple) else (value,):
                found += [about.flags[0], str(one)]
        return found

    @property
    def command(self) -> str:
        """The command as a shell takes it."""
        return shlex.join(self.words)


def suggest(source: str | os.PathLike[str]) -> Suggestion:
    """Find out with which options `convert` can read a file; nothing is converted.

    Parameters
    ----------
    source
        Path of a file as `convert` takes it.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it cannot be read.
    UsageError
        If it is of no known kind.
    """
    found = Suggestion(str(source))
    with open_counts(path_of_record_file(source) or source) as opened:
        slot = _values(opened, found)
        genes = _genes(opened, slot, found)
        column = _labels(opened, genes, found)
        _type(opened, column, found)
        _groups(opened, found)
    return found


def _values(opened: CountSource, found: Suggestion) -> str:
    """Choose the matrix of counts; else the scale of X."""
    whole = [n for n, m in opened.matrices.items() if is_whole(sample_of(m, SAMPLE_ROWS))]
    if whole:
        # A layer called counts was named so by somebody; X is what others make of it.
        best = min(whole, key=lambda n: (n != "layer:counts", n != "raw", n != "X"))
        found.options["counts"] = best
        if len(whole) > 1:
            found.notes.append(f"--counts: whole numbers are in {', '.join(whole)}.")
        _rank(found)
        return best
    if "X" not in opened.matrices:
        found.open_options["counts"] = "SLOT"
        found.notes.append("--counts: no matrix holds whole numbers, and there is no X.")
        return next(iter(opened.matrices), "X")
    try:
        scale, _ = choose_scale(None, opened.log1p, "X")
        check_normalised(sample_of(opened.matrices["X"], SAMPLE_ROWS), scale, "X")
    except UsageError:
        found.open_options["normalised"] = "SCALE"
        found.notes.append("--normalised: there are no counts, and nothing says on which scale "
                           "X is: natural-log, log2, log10 or none.")  # fmt: skip
    except InvalidDataError as error:
        found.open_options["counts"] = "SLOT"
        found.notes.append(f"--counts: {error.what} {error.got or ''}. Counts are nowhere: take "
                           "them from the file that this one was made of.")  # fmt: skip
    else:
        found.options["normalised"] = scale
        found.notes.append("--normalised: there are no counts; uns['log1p'] tells the scale.")
    return "X"


def _rank(found: Suggestion) -> None:
    usual = next(name for name, rank in RANKS.items() if rank.on_counts)
    try:
        check_rank(usual)
    except MissingExtraError:
        found.options["rank"] = next(n for n, rank in RANKS.items() if not rank.on_counts)
        found.notes.append(f"--rank: {usual}, as in the paper, needs the extra `convert`.")


def _genes(opened: CountSource, slot: str, found: Suggestion) -> set[str]:
    """Return the names of genes that labels may use."""
    table = opened.tables.get(slot, pd.DataFrame())
    names = list(map(str, table.index))
    columns = [c for c in SYMBOL_COLUMNS if c in table.columns]
    texts = [str(v) for column in _text_columns(opened.obs) for v in opened.obs[column].unique()]
    if mostly_ensembl(names) and columns and not any(t in set(names) for t in texts):
        found.options["symbols"] = f"var:{columns[0]}"
        if len(columns) > 1:
            found.notes.append(f"--symbols: symbols may be in var columns {', '.join(columns)}.")
        names = [str(v) for v in table[columns[0]]]
    if len(set(names)) < len(names):
        found.options["duplicates"] = "sum" if "counts" in found.options else "suffix"
        found.notes.append("--duplicates: several genes have one name.")
    return set(names)


def _text_columns(obs: pd.DataFrame) -> list[str]:
    return [str(c) for c in obs.columns if not pd.api.types.is_numeric_dtype(obs[c].dtype)]


def _labels(opened: CountSource, genes: set[str], found: Suggestion) -> str | None:
    """Choose the column of labels: the one that names most genes, or has a usual name."""
    obs = opened.obs
    share = {c: _share_of_genes(_distinct(obs[c]), genes) for c in _text_columns(obs)}
    usual = [c for c in PERTURBATION_COLUMNS if c in share]
    fitting = sorted((c for c in share if share[c] > 0), key=lambda c: (-share[c], c not in usual))
    column = next(iter(fitting or usual), None)
    if column is None:
        found.open_options.update(perturbation="COLUMN", control="LABEL")
        found.notes.append("--perturbation: no column of obs names genes; columns "
                           f"{first_few(list(obs.columns)) or '(none)'}."
                           + hint_of_labels_in_names(list(map(str, obs.index))))  # fmt: skip
        return None
    found.options["perturbation"] = column
    others = [c for c in dict.fromkeys([*fitting, *usual]) if c != column]
    if others:
        found.notes.append(
            f"--perturbation: columns that may be meant as well: {first_few(others)}."
        )
    labels = _distinct(obs[column])
    _controls(labels, column, found)
    _spelling(labels, genes, found)
    return column


def _distinct(column: pd.Series[Any]) -> list[str]:
    return [str(v) for v in column.astype(object).dropna().unique()]


def _parts(label: str, separators: Iterable[str]) -> list[str]:
    pattern = "|".join(map(re.escape, separators))
    return [part.strip() for part in re.split(pattern, label) if part.strip()]


def _share_of_genes(labels: Sequence[str], genes: set[str]) -> float:
    if not labels:
        return 0.0
    separators = (*ConvertOptions().separator, _OTHERWISE_JOINED)
    named = sum(
        any(p in genes or without_guide(p, genes) in genes for p in (*_parts(x, separators), x))
        for x in labels
    )
    return named / len(labels)


def _controls(labels: Sequence[str], column: str, found: Suggestion) -> None:
    controls = [label for label in labels if names_controls(label)]
    if controls:
        found.options["control"] = tuple(controls)
        return
    found.open_options["control"] = "LABEL"
    found.notes.append(f"--control: no label in obs[{column!r}] looks like that of controls: "
                       f"{first_few(labels, 5)}.")  # fmt: skip


def _spelling(labels: Sequence[str], genes: set[str], found: Suggestion) -> None:
    """Say how labels are divided and shortened, where the defaults do not do."""
    defaults = ConvertOptions()
    usual = {text.casefold() for text in defaults.missing_label}
    unknown = [
        label for label in labels
        if looks_missing(label) and label not in genes and label.strip().casefold() not in usual
    ]  # fmt: skip
    if unknown:
        found.options["missing_label"] = (*defaults.missing_label, *unknown)
    left = [x for x in labels if x not in genes and not names_controls(x)]
    parts = [p for label in left for p in _parts(label, defaults.separator) if p not in genes]
    if any(without_guide(p, genes) in genes for p in parts):
        found.options["strip_guide_suffix"] = True
        found.notes.append("--strip-guide-suffix: labels name guides of measured genes.")
    joined = [p for p in parts if _OTHERWISE_JOINED in p and without_guide(p, genes) not in genes]
    if any(all(q in genes for q in _parts(p, _OTHERWISE_JOINED)) for p in joined):
        found.options["separator"] = (*defaults.separator, _OTHERWISE_JOINED)
        found.notes.append(f"--separator: {_OTHERWISE_JOINED} stands between measured genes.")


def _type(opened: CountSource, labels: str | None, found: Suggestion) -> None:
    obs = opened.obs
    words = list(PerturbationType)
    controls = set(found.options.get("control", ()))
    rows = obs if labels is None else obs[~obs[labels].astype(str).isin(controls)]
    telling = [
        c for c in sorted(_text_columns(obs), key=lambda c: c != PERTURBATION_TYPE)
        if len(rows) and c != labels and all(type_of(v) for v in rows[c].astype(object).unique())
    ]  # fmt: skip
    if telling:
        found.options["type"] = telling[0]
        return
    found.open_options["type"] = "TYPE"
    found.notes.append(f"--type: nothing in the file tells it: {', '.join(words)}.")


def _groups(opened: CountSource, found: Suggestion) -> None:
    for name, usual in _GROUPS.items():
        column = next((c for c in usual if c in opened.obs.columns), None)
        if column is not None and opened.obs[column].notna().all():
            found.options[name] = column


def suggestion_lines(path: str | os.PathLike[str]) -> tuple[str | None, list[str]]:
    """Return the command for a file, or None, and the lines that explain it."""
    try:
        found = suggest(path)
    except PereggrnError as error:
        return None, [f"no command for {path}: {error.what}"]
    lines = list(found.notes)
    if found.open_options:
        lines.append(f"Replace {', '.join(found.open_options.values())} before you run it.")
    return found.command, lines
