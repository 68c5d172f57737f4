"""Do the rows and genes of a predictions file fit what was asked for?"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.util import hash_array

from pereggrn_data.core.arrays import Bools, Ints
from pereggrn_data.core.errors import EXAMPLES_SHOWN, near_matches, or_list
from pereggrn_data.core.format import IS_CONTROL, OPTIONAL_GROUP_COLUMNS, PERTURBATION
from pereggrn_data.core.labels import looks_like_control, written_otherwise
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.core.rows.row_blocks import dense_values, each_block
from pereggrn_data.validators.distinct import Distinct
from pereggrn_data.validators.parts import column_with
from pereggrn_data.validators.rules import RULES


def check_rows(
    given: pd.MultiIndex,
    n_rows: Ints,
    expected: pd.MultiIndex,
    known: pd.MultiIndex,
    *,
    allow_missing: bool = False,
) -> Iterator[Finding]:
    """Compare the groups that were predicted with those that are held out.

    Parameters
    ----------
    given
        The groups that were predicted; the first level is the perturbation.
    n_rows
        (given,) how many rows predict each of them.
    expected
        The held-out groups.
    known
        All groups of the dataset.
    allow_missing
        Whether missing groups are only a warning.
    """
    surplus: list[Any] = list(given[~given.isin(expected)])
    labels, everyone = (set(groups.get_level_values(0)) for groups in (expected, known))
    there = set(known)
    unknown = [k for k in surplus if k[0] not in everyone]
    spare = [k for k in surplus if k[0] in everyone and (k in there or k[0] not in labels)]
    other = [k for k in surplus if k[0] in labels and k not in there]
    if unknown:
        names = [str(k[0]) for k in unknown]
        yield _surplus(
            *("predictions-unknown-perturbation", unknown, len(given)),
            fix=" ".join(
                filter(None, (_suggestion(names, sorted(labels)), _controls_among(names)))
            )
            or None,
        )
    if spare:
        rows = int(n_rows[given.isin(spare)].sum())
        yield RULES["predictions-not-held-out"].found(
            f"{rows} of {n_rows.sum()} rows, of {len(spare)} groups that are not held out; they "
            "are not scored",
            column=PERTURBATION,
            n=rows,
            examples=_shown(spare),
        )
    if other:
        yield _surplus("predictions-unknown-group", other, len(given))
    missing = expected[~expected.isin(given)]
    if len(missing):
        yield RULES["predictions-missing-perturbation"].found(
            f"none for {len(missing)} of {len(expected)} held-out groups",
            column=PERTURBATION,
            n=len(missing),
            examples=_shown(list(missing)),
            # Nothing at all is no part of what was asked for.
            severity=Severity.WARNING if allow_missing and len(missing) < len(expected) else None,
        )


def _controls_among(labels: Sequence[str]) -> str:
    named = [label for label in labels if looks_like_control(label)]
    if not named:
        return ""
    return f"If {or_list(named[:3])} are controls, mark them by is_control or remove them."


def check_flags(labels: Sequence[Any], n_of_these: int) -> Iterator[Finding]:
    """Report predictions of held-out perturbations that are marked as controls.

    Parameters
    ----------
    labels
        Of the rows that are marked.
    n_of_these
        How many rows predict these labels, marked or not.
    """
    if len(labels):
        yield RULES["predictions-marked-control"].found(
            f"is_control is True in {len(labels)} of the {n_of_these} rows that predict them",
            column=IS_CONTROL,
            n=len(labels),
            examples=list(dict.fromkeys(map(str, labels))),
        )


def check_row_names(
    names: Sequence[Any], labels: Sequence[Any], true: Sequence[Any], n_named: int
) -> Iterator[Finding]:
    """Report rows that are named after a test observation and have another label.

    Parameters
    ----------
    names, labels, true
        Of these rows: their names, their labels, and the labels of the observations.
    n_named
        How many rows are named after a test observation.
    """
    wrong = [f"{n}: {a} is {b}" for n, a, b in zip(names, labels, true, strict=True)]
    if wrong:
        yield RULES["predictions-wrong-label"].found(
            f"another one in {len(wrong)} of the {n_named} rows that are named after a test "
            "observation",
            column=PERTURBATION,
            n=len(wrong),
            examples=wrong,
        )


def rows_without_group(obs: pd.DataFrame, rows: Bools) -> dict[str, Bools]:
    """Find the columns that group predictions and are not filled in.

    Parameters
    ----------
    obs
        Of the predictions.
    rows
        (n,) which of them count.

    Returns
    -------
    dict
        Column to which of these rows lack it, (sum of `rows`,); only of columns that some lack.
    """
    found = {}
    for column in OPTIONAL_GROUP_COLUMNS:
        if column in obs:
            values = Distinct.of(obs.loc[rows, column])
            blank = [not str(value).strip() for value in values.values[:-1]]
            empty = np.array([*blank, True])[values.codes]
            if empty.any():
                found[column] = empty
    return found


def gaps_in(observed: Iterable[pd.DataFrame]) -> tuple[str, ...]:
    """Return the columns that group predictions and in which observations lack values.

    Parameters
    ----------
    observed
        ``obs`` of a dataset, and of a separate training file.
    """
    lacking = [rows_without_group(obs, np.ones(len(obs), dtype=bool)) for obs in observed]
    return tuple(c for c in OPTIONAL_GROUP_COLUMNS if any(c in of_one for of_one in lacking))


def check_grouped(obs: pd.DataFrame, rows: Bools, gaps: Collection[str] = ()) -> Iterator[Finding]:
    """Report columns that group predictions and are filled in for some rows only.

    Parameters
    ----------
    obs, rows
        As for :func:`rows_without_group`.
    gaps
        Columns in which the dataset lacks values, too: these are a group of their own.
    """
    for column, empty in rows_without_group(obs, rows).items():
        if not empty.all() and column not in gaps:
            yield RULES["predictions-partly-grouped"].found(
                f"none in {int(empty.sum())} of {len(empty)} rows",
                column=column,
                n=int(empty.sum()),
                examples=[str(name) for name in obs.index[rows][empty][:EXAMPLES_SHOWN]],
            )


def check_genes(
    given: pd.Index[Any],
    expected: Sequence[str],
    columns: Iterable[tuple[Any, Iterable[Any]]] = (),
) -> Iterator[Finding]:
    """Compare gene names with those of the split.

    Parameters
    ----------
    given
        Gene names of the predictions, duplicates included.
    expected
        The genes that are scored.
    columns
        Columns of the predictions' ``var`` by name, one of which may hold the names of genes.
    """
    twice = given[given.duplicated()].unique()
    if len(twice):
        yield RULES["predictions-duplicate-gene"].found(
            f"{len(twice)} names that occur more than once", n=len(twice), examples=twice
        )
    wanted = pd.Index(list(expected), dtype=object)
    missing = wanted[~wanted.isin(given)]
    extra = given[~given.isin(wanted)].unique()
    if len(missing):
        got = f"{len(wanted) - len(missing)} of {len(wanted)}"
        column = column_with(list(missing), columns)
        if column:
            got += f"; var[{column!r}] holds the names of genes"
            fix = f"adata.var_names = adata.var[{column!r}] (made unique)."
        else:
            fix = _suggestion(list(missing), [str(g) for g in extra])
        yield RULES["predictions-missing-gene"].found(
            got, n=len(missing), examples=missing, fix=fix or None
        )
    if len(extra):
        yield RULES["predictions-extra-gene"].found(
            f"{len(extra)} more", n=len(extra), examples=extra
        )


def _digests(matrix: Any, rows: npt.NDArray[np.intp]) -> list[bytes]:
    """Hash the values of some rows."""
    found = [b""] * len(rows)
    if not len(rows):
        return found
    for block in each_block(matrix[rows]):
        for i, row in zip(block.positions, range(block.values.shape[0]),
                          strict=True):  # fmt: skip
            part: Any = block.values[row : row + 1]
            content = np.ascontiguousarray(dense_values(part)).tobytes()
            found[int(i)] = hashlib.sha256(content).digest()
    return found


def _surplus(code: str, keys: list[Any], total: int, *, fix: str | None = None) -> Finding:
    return RULES[code].found(
        f"{len(keys)} of {total} predicted groups",
        column=PERTURBATION,
        n=len(keys),
        examples=_shown(keys),
        fix=fix,
    )


def _shown(keys: Sequence[Any]) -> tuple[str, ...]:
    return tuple(" / ".join(map(str, key)) for key in keys[:EXAMPLES_SHOWN])


def _suggestion(wanted: Sequence[str], available: Sequence[str]) -> str:
    """Pair the first few names with near matches among others."""
    pairs = []
    available = [name for name in available if not str(name).isdigit()]  # mere positions
    for name in wanted[:EXAMPLES_SHOWN]:
        near = written_otherwise(str(name), available) or near_matches(str(name), available, n=1)
        if near:
            pairs.append(f"{name} / {near[0]}")
    return f"near matches: {', '.join(pairs)}." if pairs else ""


def check_repeated(
    of_row: Ints,
    keys: pd.MultiIndex,
    observed: pd.MultiIndex,
    matrix: Any,
    rows: npt.NDArray[np.intp],
    named: npt.NDArray[np.bool_],
    prints: npt.NDArray[np.uint64] | None = None,
) -> Iterator[Finding]:
    """Count rows that repeat another row of the same key, value by value.

    A file with one row per test observation may have equal rows in all of them, as a model
    that forecasts a perturbation once does; these are no repetitions.

    Parameters
    ----------
    of_row
        (rows,) number of the key of each prediction row.
    keys
        The distinct keys.
    observed
        One key per test observation, of the same levels.
    matrix
        (predictions, genes) values, as in :func:`~pereggrn_data.core.rows.row_blocks.each_block`.
    rows
        (rows,) which predictions the keys are of.
    named
        (rows,) which rows are the first that is named after its test observation.
    prints
        (rows,) hashes that are equal for equal rows, so that only rows with equal hashes are
        looked at.
    """
    predicted = np.bincount(of_row, minlength=len(keys))
    of_observation = keys.get_indexer(observed)
    observations = np.bincount(of_observation[of_observation >= 0], minlength=len(keys))
    suspect = np.flatnonzero((predicted != observations)[of_row] & ~named)
    if prints is not None and len(suspect):
        own = prints[suspect] ^ hash_array(of_row[suspect])
        # Sorting a million numbers takes less time than a table of them, which few files need.
        in_order = np.sort(own)
        alike = in_order[1:][in_order[1:] == in_order[:-1]]
        suspect = suspect[np.isin(own, alike)] if len(alike) else suspect[:0]
    seen: set[tuple[int, bytes]] = set()
    repeated = []
    digests = _digests(matrix, rows[suspect])
    for row, digest in zip(suspect, digests, strict=True):
        content = (int(of_row[row]), digest)
        if content in seen:
            repeated.append(row)
        seen.add(content)
    if repeated:
        labels = dict.fromkeys(str(keys[int(of_row[row])][0]) for row in repeated)
        yield RULES["predictions-repeated"].found(
            f"{len(repeated)} of {len(of_row)} rows repeat another row of their perturbation",
            n=len(repeated),
            examples=list(labels)[:EXAMPLES_SHOWN],
        )
