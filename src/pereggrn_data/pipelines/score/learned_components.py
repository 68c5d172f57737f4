"""Principal components of a training side: computed once, and kept for the next scores of it.

With a million training cells they take longer than all other metrics of profiles together,
and they are the same for every file of predictions.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.version import software
from pereggrn_data.evaluators import Task
from pereggrn_data.loaders.cache import open_cache
from pereggrn_data.pipelines.split import SplitDataset

_FORMAT = "pereggrn-data components 1"
_DIGEST = 32
"""Bytes before the numbers: their sha256, by which a damaged file is told."""

_NUMBER = np.dtype("<f8")


def learn(task: Task, divided: SplitDataset) -> tuple[str, ...]:
    """Learn of the training side what metrics need of it, or take what the cache has.

    Parameters
    ----------
    task
        What was held out.
    divided
        The dataset and its split.

    Returns
    -------
    tuple of str
        Why it cannot be kept for the next score, if so.
    """
    training = task.training
    if training.too_many_genes is not None or training.is_learned:
        return ()
    place = open_cache().components(_key(task, divided))
    before = _read(place, len(task.genes))
    training.learn(before)
    if before is not None:
        return ()
    data = training.components.astype(_NUMBER).tobytes()
    try:
        open_cache().write_bytes(hashlib.sha256(data).digest() + data, place)
    except (UsageError, OSError) as error:
        return (not_kept(error),)
    return ()


def _read(place: Path, genes: int) -> Floats | None:
    """Return (components, genes) that are kept, if there are some and they are whole."""
    try:
        found = place.read_bytes()
    except OSError:
        # A cache that cannot be used is told of when it is written to.
        return None
    data = found[_DIGEST:]
    if hashlib.sha256(data).digest() != found[:_DIGEST]:
        return None  # they are computed anew, and replaced
    return np.frombuffer(data, dtype=_NUMBER).astype(np.float64).reshape(-1, genes)


def not_kept(error: Exception) -> str:
    """Say why what was learned of a dataset is not in the cache."""
    said = str(error).splitlines()[0]
    return f"What was learned of the dataset is not kept for the next score: {said}"


def _key(task: Task, divided: SplitDataset) -> str:
    """Hash what the training side is, and the order of its genes; (64,) hexadecimal digits."""
    # Two splits that are the same may name their genes in different orders.
    parts = (_FORMAT, software(), divided.split.digest(), *map(str, task.genes))
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
