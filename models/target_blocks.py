"""Fit some of a model's targets in one process, and the others in other ones.

Where targets are fitted one by one, it makes no difference which process fits one, as long
as all give it the same numbers. So a block is fitted by the same code that fits everything,
which passes over the targets of other blocks; and what blocks have fitted is known by a hash
of all numbers that a fit is made from. A target whose hash nobody knows is fitted where it
is needed. No result depends on who has fitted what.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import dense
from pereggrn_data.models.regression import RegressionTask

DIGEST = 16
"""Bytes of a hash."""

AT_ONCE = 256
"""Targets whose responses are made dense at a time."""


@dataclass(frozen=True)
class TargetBlock:
    """What a process fits, and what others have fitted.

    Parameters
    ----------
    number, count
        Fit only each `count`-th target, from target `number` on.
    known
        Fitted targets, by their hash.
    made
        Those that are fitted here, by their hash.
    """

    number: int = 0
    count: int = 1
    known: Mapping[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)

    def is_of(self, target: int) -> bool:
        """Say whether a target is one of the block's."""
        return target % self.count == self.number


_BLOCK: ContextVar[TargetBlock | None] = ContextVar("target block", default=None)


def current_block() -> TargetBlock | None:
    """Return the block that is to be fitted; None if all is fitted here, and nobody asks."""
    return _BLOCK.get()


@contextmanager
def fitting_block(number: int, count: int) -> Iterator[Mapping[str, Any]]:
    """Fit only some targets of each model from now on, and gather them by their hashes.

    The models that are made meanwhile lack the others, and are of no use.

    Parameters
    ----------
    number
        Of the block, from 0.
    count
        How many blocks there are.
    """
    block = TargetBlock(number, count)
    token = _BLOCK.set(block)
    try:
        yield block.made
    finally:
        _BLOCK.reset(token)


@contextmanager
def with_fitted(known: Mapping[str, Any]) -> Iterator[None]:
    """Take targets from what blocks have fitted, as far as they have.

    Parameters
    ----------
    known
        All that :func:`fitting_block` gathered, of one method with the same arguments.
    """
    token = _BLOCK.set(TargetBlock(known=known) if known else None)
    try:
        yield
    finally:
        _BLOCK.reset(token)


def target_hashes(
    task: RegressionTask,
    features: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64] | None = None,
) -> list[str]:
    """Return, for each target, a hash of all numbers that its fit is made from.

    The method and its arguments are not in it.

    Parameters
    ----------
    task
        The regressions.
    features
        The task's, as they are fitted.
    weights
        Of the observations, if they have any.
    """
    shared = hashlib.blake2b(repr(features.shape).encode(), digest_size=DIGEST)
    shared.update(_bytes_of(features))
    if weights is not None:
        shared.update(_bytes_of(weights))
    hashes = []
    for start in range(0, task.n_targets, AT_ONCE):
        responses = dense(task.responses, columns=slice(start, start + AT_ONCE))
        for i in range(responses.shape[1]):
            own = shared.copy()
            own.update(_bytes_of(responses[:, i]))
            own.update(_bytes_of(task.features_of(start + i).astype(np.int64)))
            own.update(_bytes_of(task.rows_of(start + i)))
            hashes.append(own.hexdigest())
    return hashes


def _bytes_of(numbers: npt.NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(numbers).reshape(-1).data
