"""The regression problem that every method solves: one response per gene, shared features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import AnyFloats, Ints, Matrix

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many targets are done, and how many there are."""


@dataclass(frozen=True)
class RegressionTask:
    """Many regressions on the same observations and features.

    Parameters
    ----------
    features
        Observations x features.
    responses
        Observations x targets; dense or CSR.
    targets
        Names of the targets, for messages.
    own
        For each target, the feature that is the target itself and must not
        predict it; -1 where there is none.
    excluded
        For some targets, the observations that must not train them.
    allowed
        For each target, the only features that may predict it (without its
        own); None means all.
    arguments
        Keyword arguments for the method.
    seed
        Of methods with random elements.
    jobs
        How many targets to work on at once.
    progress
        Told how far the work is.
    """

    features: AnyFloats
    responses: Matrix
    targets: tuple[str, ...]
    own: Ints
    excluded: Mapping[int, Ints] = field(default_factory=dict)
    allowed: tuple[Ints, ...] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    jobs: int = 1
    progress: Progress | None = None

    @property
    def n_targets(self) -> int:
        """Number of regressions."""
        return len(self.targets)

    def features_of(self, target: int) -> Ints:
        """Return the features that may predict a target."""
        if self.allowed is not None:
            return self.allowed[target]
        every: Ints = np.arange(self.features.shape[1], dtype=np.intp)
        return np.delete(every, self.own[target]) if self.own[target] >= 0 else every

    def rows_of(self, target: int) -> npt.NDArray[np.bool_]:
        """Return which observations train a target."""
        kept = np.ones(self.features.shape[0], dtype=bool)
        kept[self.excluded.get(target, [])] = False
        return kept

    def subset(self, targets: Ints) -> RegressionTask:
        """Return the task for some of the targets."""
        back = {int(j): i for i, j in enumerate(targets)}
        return replace(
            self,
            responses=self.responses[:, targets],
            targets=tuple(self.targets[j] for j in targets),
            own=self.own[targets],
            excluded={back[j]: rows for j, rows in self.excluded.items() if j in back},
            allowed=None if self.allowed is None else tuple(self.allowed[j] for j in targets),
        )

    def report(self, done: int) -> None:
        """Tell whoever listens that `done` targets are finished."""
        if self.progress is not None:
            self.progress(done, self.n_targets)
