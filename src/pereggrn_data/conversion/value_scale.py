"""What the numbers of a matrix are: counts, logs, or something that is neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.errors import InvalidDataError, UsageError

SAMPLE_ROWS = 500
"""Rows that are looked at to tell what values are; counts are checked one by one besides."""


@dataclass(frozen=True)
class ValueScale:
    """A scale on which normalised values may be.

    Parameters
    ----------
    about
        What it is.
    to_natural
        From stored values to natural logs; zeros stay zeros.
    base
        Of the logarithm, as ``uns["log1p"]["base"]`` has it; NaN where there is none.
    """

    about: str
    to_natural: Callable[[Any], Any]
    base: float


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda values: values * factor


SCALES: Mapping[str, ValueScale] = {
    "natural-log": ValueScale("natural log of 1 + x", lambda values: values, np.e),
    "log2": ValueScale("log2 of 1 + x", _times(float(np.log(2))), 2.0),
    "log10": ValueScale("log10 of 1 + x", _times(float(np.log(10))), 10.0),
    "none": ValueScale("normalised, no logarithm yet", np.log1p, np.nan),
}


def scale_of_base(stored: object) -> str | None:
    """Return the scale that ``uns["log1p"]`` tells of; None if it is none of ours.

    Parameters
    ----------
    stored
        What is in ``uns["log1p"]``: by scanpy's habit a mapping with `base`, which
        is missing or None for natural logs.
    """
    base = stored.get("base") if isinstance(stored, Mapping) else None
    if base is None:
        return "natural-log"
    try:
        number = float(np.asarray(base).reshape(-1)[0])
    except (TypeError, ValueError, IndexError):
        return None
    return next((n for n, s in SCALES.items() if abs(s.base - number) < 1e-6), None)


_REAL = "biuf"
"""NumPy's kinds of truth values, integers and floating-point numbers."""


def is_whole(values: Any) -> bool:
    """Say whether there are values, and all are whole and not negative."""
    data = _stored(values)
    return bool(
        data.size
        and data.dtype.kind in _REAL
        and np.isfinite(data).all()
        and (data >= 0).all()
        and (data == np.rint(data)).all()
        and data.any()
    )


def check_counts(values: Any, where: str, *, fractions: bool = False) -> None:
    """Check that values are counts.

    Raises
    ------
    InvalidDataError
        With the first value that gives them away.
    """
    data = _stored(values)
    check_real(values, where)
    for value, what in _no_counts(data):
        if fractions and what == _NOT_WHOLE:
            continue
        raise InvalidDataError(
            f"{where} does not hold counts.",
            expected="whole numbers of 0 or more",
            got=f"{value:g}, which is {what}",
            fix="say where the counts are (--counts layer:NAME, raw or X), or which scale "
            "normalised values are on (--normalised natural-log)."
            + (" For estimated counts: --estimated-counts." if what == _NOT_WHOLE else ""),
        )


def check_real(values: Any, where: str) -> None:
    """Check that values are real numbers: neither complex ones, nor Python's objects.

    Raises
    ------
    InvalidDataError
        With their type.
    """
    data = _stored(values)
    if data.dtype.kind not in _REAL:
        raise InvalidDataError(
            f"{where} does not hold real numbers.",
            expected="floating-point numbers or integers",
            got=f"values of type {data.dtype}",
            fix=f"convert {where} to floating-point numbers.",
        )


_NOT_WHOLE = "not whole"


def _no_counts(data: npt.NDArray[Any]) -> Iterator[tuple[float, str]]:
    """Yield the first value of each kind that counts do not have, and what it is."""
    if data.size == 0 or data.dtype.kind not in "if":
        return
    for wrong, what in (
        (~np.isfinite(data), "not a finite number"),
        (data < 0, "negative"),
        (np.isfinite(data) & (data != np.rint(data)), _NOT_WHOLE),
    ):
        if wrong.any():
            yield float(data[int(np.argmax(wrong))]), what


def check_normalised(sample: Any, scale: str, where: str) -> None:
    """Check that values can be what somebody says they are.

    Parameters
    ----------
    sample
        Some whole rows, dense or sparse.
    scale
        One of :data:`SCALES`.
    where
        For messages.

    Raises
    ------
    InvalidDataError
        For counts, z-scores and logs of logs, with what gave them away.
    """
    if is_whole(sample):
        largest = float(_stored(sample).max())
        raise InvalidDataError(
            f"{where} holds counts rather than normalised values.",
            expected=SCALES[scale].about,
            got=f"whole numbers throughout, up to {largest:g}",
            fix=f"--counts {where.replace(' ', ':')} instead of --normalised {scale}",
        )
    dense = _dense(sample)
    _refuse_z_scores(dense, where)
    if scale != "none":
        _refuse_double_logs(np.asarray(SCALES[scale].to_natural(dense)), where)


def _refuse_z_scores(dense: npt.NDArray[np.float64], where: str) -> None:
    if not (dense < 0).any() or len(dense) < 20:
        return
    mean, spread = np.nanmean(dense, axis=0), np.nanstd(dense, axis=0)
    varies = spread > 0
    # Rows are a sample, so that means and spreads of it are not exactly 0 and 1.
    near = (np.abs(mean[varies]) < 5 / np.sqrt(len(dense))) & (np.abs(spread[varies] - 1) < 0.5)
    if varies.any() and near.mean() > 0.8:
        raise InvalidDataError(
            f"{where} holds z-scores.",
            expected="values that were not scaled gene by gene",
            got=f"negative values, and {near.mean():.0%} of the genes with mean about 0 and "
            "standard deviation about 1",
            fix="name the matrix from before sc.pp.scale, for example --counts layer:counts.",
        )


def _refuse_double_logs(natural: npt.NDArray[np.float64], where: str) -> None:
    """Refuse log1p of log1p: undone twice, rows have one sum, or whole numbers come out."""
    if (natural < 0).any() or natural.size == 0 or natural.max() > 4 or not natural.any():
        return
    once = np.expm1(natural)
    if _one_sum(once) or _whole_within(once):
        return
    twice = np.expm1(once)
    evidence = (
        "undone twice, all rows have one sum"
        if _one_sum(twice)
        else "undone twice, the values are whole"
        if _whole_within(twice)
        else None
    )
    if evidence:
        raise InvalidDataError(
            f"{where} holds logs of logs.",
            expected="values whose logarithm was taken once",
            got=f"{evidence}; undone once, they are not so",
            fix="name the matrix from before, for example --counts layer:counts.",
        )


def _one_sum(dense: npt.NDArray[np.float64]) -> bool:
    totals = dense.sum(axis=1)
    return len(totals) > 2 and float(totals.std()) < 1e-3 * float(totals.mean())


def _whole_within(dense: npt.NDArray[np.float64]) -> bool:
    return bool((np.abs(dense - np.rint(dense)) < 1e-3 * np.maximum(dense, 1)).all())


def choose_scale(
    given: str | None, stored: object | None, where: str, sample: Any = None
) -> tuple[str, bool]:
    """Return the scale of normalised values, and whether it was read from the file.

    Parameters
    ----------
    given
        What the user said.
    stored
        ``uns["log1p"]``, where there is one and the values are `X`.
    where
        For messages.
    sample
        Some of the values, to say why they are no counts.

    Raises
    ------
    UsageError
        If nothing says it, or the file contradicts the user.
    """
    read = None if stored is None else scale_of_base(stored)
    if given is None:
        if read is None:
            odd = [] if sample is None else [f"{v:g}" for v, _ in _no_counts(_stored(sample))]
            raise UsageError(
                f"It is not said what {where} holds, and no counts were found.",
                expected="--counts X, raw or layer:NAME; or --normalised SCALE",
                got="no matrix of whole numbers"
                + (f": {where} holds {' and '.join(odd)}" if odd else ""),
                fix="say --normalised natural-log if scanpy's log1p made the values, or "
                "--counts X --estimated-counts if they are estimates of counts.",
            )
        return read, True
    # scanpy leaves the note in uns also where X is something else since, so only a
    # base that is written down contradicts.
    base = stored.get("base") if isinstance(stored, Mapping) else None
    if base is not None and read is not None and read != given:
        raise UsageError(
            f"The file says that {where} is on another scale.",
            expected=f"--normalised {read}, as uns['log1p']['base'] has it",
            got=f"--normalised {given}",
        )
    return given, False


def _stored(values: Any) -> npt.NDArray[Any]:
    return np.asarray(values.data if sparse.issparse(values) else values).ravel()


def _dense(values: Any) -> npt.NDArray[np.float64]:
    return np.asarray(values.toarray() if sparse.issparse(values) else values, dtype=np.float64)
