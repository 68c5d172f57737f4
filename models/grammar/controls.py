"""The state that forecasts start from: the mean of the controls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Floats, column_means
from pereggrn_data.core.errors import UsageError, first_few
from pereggrn_data.models.inputs import TrainingData


@dataclass(frozen=True)
class ControlMeans:
    """Mean expression of the controls, by label, so that subtypes can be chosen later.

    Parameters
    ----------
    labels
        Labels of the controls.
    counts
        How many observations have each.
    means
        Labels x genes.
    """

    labels: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    means: Floats

    @classmethod
    def of(cls, data: TrainingData) -> ControlMeans:
        """Compute them from training data."""
        controls = data.controls()
        labels = np.array(data.perturbations.labels, dtype=object)
        names = tuple(dict.fromkeys(labels[controls]))
        rows = [controls & (labels == name) for name in names]
        return cls(
            labels=names,
            counts=np.array([r.sum() for r in rows], dtype=np.int64),
            means=np.stack([column_means(data.expression, r) for r in rows]),
        )

    def mean(self, subtype: str | None = None) -> Floats:
        """Return the mean over all controls, or over those whose label begins with `subtype`.

        Raises
        ------
        UsageError
            If there are none.
        """
        chosen = np.array([subtype is None or name.startswith(subtype) for name in self.labels])
        if not chosen.any():
            raise UsageError(
                f"No control's label begins with {subtype!r}.",
                expected=f"the beginning of one of: {first_few(self.labels)}",
            )
        return np.asarray(np.average(self.means[chosen], axis=0, weights=self.counts[chosen]))
