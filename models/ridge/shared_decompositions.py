"""Eigendecompositions of Gram matrices, which ridge regressions of the same features share.

What is kept is looked up by the bytes of the matrix, so that no fit can get another one's.
Nothing is kept unless :func:`share_decompositions` was called, as runs of many conditions
do: a single fit has no use for it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
import scipy.linalg

from pereggrn_data.core.arrays import Floats

MOST_VALUES = 32_000_000
"""Values of all vectors that are kept (256 MB); larger matrices are not kept."""

_KEPT: OrderedDict[bytes, tuple[Floats, Floats]] = OrderedDict()
_LIMIT = [0]


def share_decompositions(most_values: int = MOST_VALUES) -> None:
    """Keep decompositions of this process from now on.

    Parameters
    ----------
    most_values
        How many values of eigenvectors are kept; 0 to keep none again.
    """
    _LIMIT[0] = most_values
    _forget()


def decomposed(gram: Floats) -> tuple[Floats, Floats]:
    """Return eigenvalues, in ascending order, and eigenvectors (columns).

    Parameters
    ----------
    gram
        (n, n) symmetric; it may be overwritten.

    Returns
    -------
    ndarray, ndarray
        Not to be written to, as others may have them too.
    """
    if gram.size > _LIMIT[0]:
        # By columns, as LAPACK has it, so that nothing is copied.
        values, vectors = scipy.linalg.eigh(gram.T, overwrite_a=True, check_finite=False)
        return np.asarray(values), np.asarray(vectors)
    key = hashlib.blake2b(np.ascontiguousarray(gram).data, digest_size=20).digest()
    if key not in _KEPT:
        values, vectors = scipy.linalg.eigh(gram.T, overwrite_a=True, check_finite=False)
        values.flags.writeable = vectors.flags.writeable = False
        _KEPT[key] = (values, vectors)
        _forget()
    _KEPT.move_to_end(key)
    return _KEPT[key]


def _forget() -> None:
    """Drop what was used longest ago, until the rest is small enough."""
    while _KEPT and sum(vectors.size for _, vectors in _KEPT.values()) > _LIMIT[0]:
        _KEPT.popitem(last=False)
