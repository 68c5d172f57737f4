"""Rules about names, X and raw, for datasets and predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.errors import EXAMPLES_SHOWN
from pereggrn_data.core.foreign_reading import let_through
from pereggrn_data.core.format import SEPARATOR
from pereggrn_data.core.labels import is_plain
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.core.spoiled_names import looks_spoiled
from pereggrn_data.validators.findings import show
from pereggrn_data.validators.matrix import (
    COUNT_PROBLEMS,
    EXPRESSION_PROBLEMS,
    LARGEST_NUMBER,
    PREDICTED_PROBLEMS,
    Count,
    Scan,
    sample_of,
    scan,
)
from pereggrn_data.validators.parts import READ_FAILURES, Block, ExpressionParts, Matrix
from pereggrn_data.validators.rules import RULES

_NO_ROWS = np.zeros(0, np.intp)


def names_findings(parts: ExpressionParts, repeated: Severity = Severity.ERROR) -> list[Finding]:
    """Check the names of observations and genes, but not whether genes are unique.

    Parameters
    ----------
    parts
        Of the file.
    repeated
        What names of observations that occur more than once are: a split needs unique ones,
        predictions do not.
    """
    genes = parts.var.index
    empty = np.array([not str(g).strip() for g in genes], dtype=bool)
    unusable = np.array([SEPARATOR in str(g) or not is_plain(str(g)) for g in genes], dtype=bool)
    return [
        *repeated_findings("obs-names-duplicated", parts.obs.index, repeated),
        *_named("var-name-empty", genes, empty),
        *_named("var-name-unusable", genes, unusable & ~empty),
        *_named("var-name-spoiled", genes, np.array([looks_spoiled(str(g)) for g in genes], bool)),
    ]


def repeated_findings(
    code: str, names: pd.Index[Any], severity: Severity | None = None
) -> list[Finding]:
    """Find names that occur more than once."""
    mask = names.duplicated()
    if not mask.any():
        return []
    repeated = list(dict.fromkeys(names[mask]))
    got = f"{int(mask.sum())} of {len(names)} names that occur before"
    return [RULES[code].found(got, n=int(mask.sum()), examples=repeated, severity=severity)]


def _named(code: str, names: pd.Index[Any], mask: npt.NDArray[np.bool_]) -> list[Finding]:
    if not mask.any():
        return []
    few = np.flatnonzero(mask)[:EXAMPLES_SHOWN]
    got = f"{int(mask.sum())} of {len(names)} genes"
    examples = [f"gene {i + 1}: {show(names[i])}" for i in few]
    return [RULES[code].found(got, n=int(mask.sum()), examples=examples)]


def shape_findings(parts: ExpressionParts) -> list[Finding]:
    """Check that there is an X, and that it fits obs and var."""
    n_obs, n_var = len(parts.obs), len(parts.var)
    found: list[Finding] = []
    if n_obs == 0 or n_var == 0:
        found.append(RULES["X-empty"].found(f"{n_obs} observations and {n_var} genes"))
    if parts.x is None:
        if "X" not in parts.unread:
            found.append(RULES["X-missing"].found("no X"))
    elif parts.x.shape != (n_obs, n_var):
        got = f"{_by(parts.x.shape)} values, {n_obs} rows of obs and {n_var} of var"
        found.append(RULES["X-shape"].found(got))
    return found


def _by(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"


def x_findings(
    parts: ExpressionParts,
    rows: npt.NDArray[np.intp] = _NO_ROWS,
    columns: npt.NDArray[np.intp] = _NO_ROWS,
) -> tuple[list[Finding], Scan | None]:
    """Check the values of X, and read those at some positions on the way.

    Returns
    -------
    findings, result
        What was read, the values at the positions among it; None if X could not be.
    """
    found, result = _scanned(parts, "X", parts.x, EXPRESSION_PROBLEMS, rows, columns)
    if result is None:
        return found, None
    where = place(parts.obs.index, parts.var.index)
    found += finite_findings("X-not-finite", result, where)
    found += _count_finding("X-negative", result, "negative", f"down to {result.low:.6g}", where)
    return found, result


def scan_predicted(parts: ExpressionParts) -> tuple[list[Finding], Scan | None]:
    """Read X of predictions once, without rules about its values."""
    return _scanned(parts, "X", parts.x, PREDICTED_PROBLEMS, _NO_ROWS, _NO_ROWS)


def raw_findings(parts: ExpressionParts) -> tuple[list[Finding], Scan | None]:
    """Check raw counts: there, of the right shape, and what they look like."""
    if parts.raw is None:
        return ([] if "raw" in parts.unread else [RULES["raw-missing"].found("no raw")]), None
    if parts.raw_genes is None:
        return [], None  # its names could not be read, which is a finding already
    genes = parts.raw_genes
    found = _raw_gene_findings(parts.var.index, genes)
    if parts.raw.shape != (len(parts.obs), len(genes)):
        got = f"{_by(parts.raw.shape)} values, {len(parts.obs)} rows of obs and "
        found.append(RULES["raw-shape"].found(got + f"{len(genes)} of raw.var"))
        return found, None
    problems, result = _scanned(parts, "raw", parts.raw, COUNT_PROBLEMS, _NO_ROWS, _NO_ROWS)
    found += problems
    if result is None:
        return found, None
    where = place(parts.obs.index, genes)
    found += finite_findings("raw-not-finite", result, where)
    found += _count_finding("raw-negative", result, "negative", f"down to {result.low:.6g}", where)
    found += _count_finding("raw-not-integer", result, "fraction", "fractions", where)
    return found, result


def sampled_raw(parts: ExpressionParts) -> Scan | None:
    """Look at the first observations of raw only; None where there is nothing to see."""
    if parts.raw is None or parts.raw_genes is None or not parts.raw.is_numeric:
        return None
    if parts.raw.shape != (len(parts.obs), len(parts.raw_genes)):
        return None
    try:
        block = next(iter(parts.raw.blocks()), None)
        sample = None if block is None else sample_of(block)
        if sample is None:
            return None
        few = Matrix(
            sample.values.shape,
            parts.raw.dtype,
            lambda: iter([Block(0, sample.column, sample.values)]),
        )
        return scan(few, problems=COUNT_PROBLEMS)
    except READ_FAILURES as error:
        let_through(error)
        return None  # validation names it; nothing is computed with raw


def _raw_gene_findings(genes: pd.Index[Any], raw_genes: pd.Index[Any]) -> list[Finding]:
    lacking = genes[~genes.isin(raw_genes)]
    if not len(lacking):
        return []
    got = f"{len(lacking)} of {len(genes)} genes of var that raw lacks"
    return [RULES["raw-genes-missing"].found(got, n=len(lacking), examples=lacking)]


def _scanned(
    parts: ExpressionParts,
    slot: str,
    matrix: Matrix | None,
    problems: Sequence[str],
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
) -> tuple[list[Finding], Scan | None]:
    """Read a matrix, if it can be; what cannot is a finding."""
    if matrix is None:
        return [], None
    if slot == "X" and matrix.shape != (len(parts.obs), len(parts.var)):
        return [], None  # reported by shape_findings; positions would be meaningless
    if not matrix.is_numeric:
        return [RULES[f"{slot}-not-numeric"].found(f"values of type {matrix.dtype}")], None
    try:
        return [], scan(matrix, rows, columns, problems=problems)
    except READ_FAILURES as error:
        let_through(error)
        # From HDF5 for damaged chunks, from our loader for damaged sparse indices.
        got = f"{type(error).__name__}: {error}".splitlines()[0]
        return [RULES["element-unreadable"].found(got, slot=slot)], None


def finite_findings(code: str, result: Scan, where: Callable[[Count], list[str]]) -> list[Finding]:
    """Report NaN and infinite values together, and those that are absurd if they were counted."""
    kinds = {name: result.counts.get(name, Count()) for name in ("nan", "infinite", "absurd")}
    n = sum(count.n for count in kinds.values())
    if not n:
        return []
    got = f"{kinds['nan'].n} NaN and {kinds['infinite'].n} infinite among {result.n_values} values"
    if kinds["absurd"].n:
        got += f", and {kinds['absurd'].n} beyond {LARGEST_NUMBER:g}"
    every = Count(n, [at for count in kinds.values() for at in count.first])
    return [RULES[code].found(got, n=n, examples=where(every))]


def _count_finding(
    code: str, result: Scan, problem: str, got: str, where: Callable[[Count], list[str]]
) -> list[Finding]:
    count = result.counts[problem]
    if not count.n:
        return []
    got = f"{got}, {count.n} of {result.n_values} values"
    return [RULES[code].found(got, n=count.n, examples=where(count))]


def place(names: pd.Index[Any], genes: pd.Index[Any]) -> Callable[[Count], list[str]]:
    """Return a function that names the positions of a count."""

    def where(count: Count) -> list[str]:
        return [f"{names[i]} x {genes[j]} = {value:.7g}" for i, j, value in count.first]

    return where
