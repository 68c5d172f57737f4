"""Calibration: what a metric can tell apart on a dataset, before any prediction is scored.

Controls and technical duplicates go through the same code as predictions. From
their values per group follow the dynamic range of a metric, how often a duplicate
beats the training mean, and scaled scores: 0 is the training mean, 1 a duplicate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.core.prediction_types import CellSettings
from pereggrn_data.evaluators.cell_scores import CellMeasure, CellSource
from pereggrn_data.evaluators.controls import CONTROLS
from pereggrn_data.evaluators.metrics.definitions import METRICS
from pereggrn_data.evaluators.metrics.effects import log_fold_change
from pereggrn_data.evaluators.metrics.metric import Direction, Metric
from pereggrn_data.evaluators.replicate_halves import (
    DUPLICATE,
    HALF,
    INTERPOLATED,
    draws,
)
from pereggrn_data.evaluators.scoring import measure, observed_truth
from pereggrn_data.evaluators.summaries import (
    DRAWS,
    FEWEST_LABELS,
    Ceiling,
    Estimate,
    Resampling,
    weighted_mean,
)
from pereggrn_data.evaluators.targets import TargetedGenes, with_targets
from pereggrn_data.evaluators.task import Task

N_OBSERVATIONS = "n_observations"


@dataclass(frozen=True)
class Calibration:
    """Values of all controls, group by group.

    Parameters
    ----------
    groups
        (groups,) rows: the grouping columns, and ``n_observations``.
    values
        Per method and metric, (groups,) values, NaN where there is none: the
        :data:`~pereggrn_data.evaluators.controls.CONTROLS` against all that was
        observed; ``duplicate``, ``interpolated``, ``half_mean``, ``half_control``
        and ``half_observed`` against one half of it, as means of five draws.
    notes
        What could not be computed, and why.
    draws
        Per metric, (draws, groups) values of the duplicate, one row per way of halving;
        NaN where there is none.
    label_draws, label_seed
        Of the draws of perturbation labels from which intervals are made. Values do not
        depend on them.
    """

    groups: pd.DataFrame
    values: Mapping[str, Mapping[str, Floats]]
    notes: tuple[str, ...] = ()
    draws: Mapping[str, Floats] = field(default_factory=dict)
    label_draws: int = DRAWS
    label_seed: int = 0

    def resampled(self, draws: int, seed: int) -> Calibration:
        """Return the same values, with intervals from as many draws of labels as asked for."""
        return replace(self, label_draws=draws, label_seed=seed)

    @property
    def n_replicated(self) -> int:
        """Number of groups of which there is a duplicate."""
        of_duplicate = self.values.get(DUPLICATE, {})
        found = [np.isfinite(values) for values in of_duplicate.values()]
        return int(np.any(found, axis=0).sum()) if found else 0

    def frame(self) -> pd.DataFrame:
        """Return one row per method, group and metric: ``method, group, metric, value``.

        ``group`` is the position of the group in :attr:`groups`.
        """
        parts = [
            pd.DataFrame(
                {"method": method, "group": np.arange(len(self.groups)), "metric": metric,
                 "value": values}
            )
            for method, of_method in self.values.items()
            for metric, values in of_method.items()
        ]  # fmt: skip
        return pd.concat(parts, ignore_index=True)

    def of(self, method: str, metric: str) -> Floats:
        """Return (groups,) values of one method, NaN where it has none."""
        nothing = np.full(len(self.groups), np.nan)
        return self.values.get(method, {}).get(metric, nothing)

    @property
    def weights(self) -> Floats:
        """(groups,) number of observations."""
        return self.groups[N_OBSERVATIONS].to_numpy(np.float64)

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that were computed and are better one way."""
        computed = {name for of_method in self.values.values() for name in of_method}
        return [m for m in METRICS.values() if m.name in computed and m.direction is not None]

    def room(self, metric: Metric) -> Floats:
        """Return (groups,) how much better the duplicate is than the training mean.

        Both are scored against the same half of what was observed. Positive where
        the duplicate is better, NaN where one of them has no value.
        """
        return sign_of(metric) * (
            self.of(DUPLICATE, metric.name) - self.of(HALF["mean"], metric.name)
        )

    @cached_property
    def resampling(self) -> Resampling:
        """Draws of the labels of the groups."""
        labels = self.groups[PERTURBATION].to_numpy(dtype=object)
        return Resampling(labels, draws=self.label_draws, seed=self.label_seed)

    @cached_property
    def discriminates(self) -> dict[str, tuple[bool | None, str | None]]:
        """Whether the duplicate beats the training mean beyond the interval, or why none knows."""
        rooms = np.column_stack([self.room(m) for m in self.metrics])
        estimates = self.resampling.mean(rooms, self.weights)
        return {m.name: _beyond(e) for m, e in zip(self.metrics, estimates, strict=True)}

    def summaries(self) -> dict[str, MetricCalibration]:
        """Summarise every metric that is better one way."""
        return {metric.name: self._summary(metric) for metric in self.metrics}

    def _summary(self, metric: Metric) -> MetricCalibration:
        room = self.room(metric)
        known = np.isfinite(room)
        ranges = dynamic_range(
            self.of(HALF[metric.negative], metric.name),
            self.of(DUPLICATE, metric.name),
            self.of(HALF["observed"], metric.name),
            sign_of(metric),
        )
        found, reason = self.discriminates[metric.name]
        if weighted_mean(self.of("observed", metric.name), self.weights) is None:
            reason = f"it has no value here: {metric.undefined_when}"
        return MetricCalibration(
            name=metric.name,
            values={
                method: weighted_mean(self.of(method, metric.name), self.weights)
                for method in (*CONTROLS, DUPLICATE, INTERPOLATED, *HALF.values())
            },
            dynamic_range=weighted_mean(ranges, self.weights),
            duplicate_wins=float((room[known] > 0).mean()) if known.any() else None,
            discriminates=found,
            n=int(known.sum()),
            reason=reason,
        )

    def ceilings(
        self, predictions: Mapping[str, Floats], mean: Mapping[str, Floats]
    ) -> dict[str, Ceiling]:
        """Put scores between the training mean (0) and a duplicate of the experiment (1).

        Parameters
        ----------
        predictions, mean
            Per metric, (groups,) values of the predictions u and of the training mean
            b, both against all that was observed; NaN where there is none.

        Returns
        -------
        dict
            Per metric ``(u - b) / (r - b')`` over groups in which all four are
            defined, with the duplicate r and the training mean b' against the same
            half of what was observed. Not clipped; missing unless the duplicate
            beats the mean beyond its interval.
        """
        known = [m for m in self.metrics if m.name in predictions and m.name in mean]
        gains = [sign_of(m) * (predictions[m.name] - mean[m.name]) for m in known]
        if not known:
            return {}
        weights = self.weights[:, None]
        rooms = np.column_stack([self.room(m) for m in known])
        ratios = self.resampling.ratio(np.column_stack(gains) * weights, rooms * weights)
        result = {}
        for metric, ratio in zip(known, ratios, strict=True):
            found, reason = self.discriminates[metric.name]
            duplicate = weighted_mean(self.of(DUPLICATE, metric.name), self.weights)
            if found:
                result[metric.name] = Ceiling(
                    duplicate, ratio.value, ratio.interval, found, ratio.reason
                )
            else:
                result[metric.name] = Ceiling(duplicate, discriminates=found, reason=reason)
        return result


def sign_of(metric: Metric) -> int:
    """Return 1 where higher is better, else -1."""
    return 1 if metric.direction is Direction.HIGHER else -1


def _beyond(gain: Estimate) -> tuple[bool | None, str | None]:
    """Whether a gain is above 0 beyond its interval; or why that is not known."""
    if gain.value is None:
        return None, "no group has a duplicate"
    if gain.n_labels < FEWEST_LABELS:
        return None, (
            f"{gain.n_labels} replicated perturbations are too few to know "
            f"({FEWEST_LABELS} or more)"
        )
    if gain.low is None:
        return None, gain.reason
    return gain.low > 0, None


@dataclass(frozen=True)
class MetricCalibration:
    """What one metric can tell apart.

    Parameters
    ----------
    name
        Of the metric.
    values
        Per method, weighted mean over groups; None where it has no value.
    dynamic_range
        DRF: where the duplicate lies between the negative control (0) and the
        truth (1), mean over groups.
    duplicate_wins
        BDS: share of groups in which the duplicate is strictly better than the
        training mean.
    discriminates
        Whether the duplicate is better than the training mean beyond the interval;
        None where that is not known.
    n
        Number of groups with a duplicate.
    reason
        Why something is missing.
    """

    name: str
    values: dict[str, float | None]
    dynamic_range: float | None
    duplicate_wins: float | None
    discriminates: bool | None
    n: int
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, in the layout of ``calibration.json``."""
        return {
            **self.values,
            "dynamic_range": self.dynamic_range,
            "duplicate_wins": self.duplicate_wins,
            "discriminates": self.discriminates,
            "n_duplicates": self.n,
            "reason": self.reason,
        }


def calibrate(
    task: Task,
    *,
    targeted: TargetedGenes = TargetedGenes.REVEAL,
    cells: CellSettings | None = None,
    threads: int | None = None,
) -> Calibration:
    """Score every control, and what one half of the replicates says of the other.

    Parameters
    ----------
    task
        What was held out.
    targeted
        What is done with directly perturbed genes.
    cells
        How cells are compared, where metrics of cells are wanted too.
    threads
        By default one per processor.
    """
    groups, reference = len(task.groups), task.reference()
    effects, notes = {}, []
    for control in CONTROLS.values():
        expression = control.predict(task)
        if expression is None:
            notes.append(f"The control {control.name} has no value: no perturbation trains.")
            continue
        effect = log_fold_change(np.broadcast_to(expression, task.observed.shape), reference)
        effects[control.name] = with_targets(effect, reference, task.targets, targeted)
    everything = np.ones(groups, dtype=bool)
    values, said = measure(
        task, observed_truth(task), effects, everything, targeted=targeted, threads=threads
    )
    if cells is not None:
        source = CellSource.of(task, cells)
        found = CellMeasure(task, cells, threads)(source.observed(), source.controls())
        for name, of_method in values.items():
            of_method.update(found.of_groups(name, everything))
        said += found.notes
    means, of_draws = _duplicates(task, targeted, cells, threads)
    values.update(means)
    made = Calibration(task.groups, values, (*task.notes, *said))
    n = made.n_replicated
    if n < groups:
        notes.append(
            f"{groups - n} of {groups} groups have no duplicate: it takes two observations of "
            "a group, and two controls."
        )
    return Calibration(task.groups, values, (*made.notes, *notes), of_draws)


def _duplicates(
    task: Task, targeted: TargetedGenes, cells: CellSettings | None, threads: int | None
) -> tuple[dict[str, dict[str, Floats]], dict[str, Floats]]:
    """Average over the draws in which a group has a value; and the duplicate of each draw."""
    groups = len(task.groups)
    of_draws: dict[str, list[Floats]] = {}
    source = None if cells is None else CellSource.of(task, cells)
    sums: dict[str, dict[str, Floats]] = {}
    counts: dict[str, dict[str, Floats]] = {}
    for draw in draws(task):
        kept, truth = draw.kept, draw.truth
        reference = truth.reference if truth.reference.ndim == 1 else truth.reference[kept]
        targets = task.targets.of_groups(kept)
        effects = {
            name: with_targets(effect.copy(), reference, targets, targeted)
            for name, effect in draw.effects.items()
        }
        found, _ = measure(task, truth, effects, kept, targeted=targeted, threads=threads)
        if source is not None and cells is not None:
            half = CellMeasure(task, cells, threads)(*source.halves(draw))
            for name, of_method in found.items():
                of_method.update(half.of_groups(name, kept))
        for method, of_method in found.items():
            for metric, values in of_method.items():
                total = sums.setdefault(method, {}).setdefault(metric, np.zeros(groups))
                count = counts.setdefault(method, {}).setdefault(metric, np.zeros(groups))
                defined = np.isfinite(values)
                total[kept] += np.where(defined, values, 0)
                count[kept] += defined
                if method == DUPLICATE:
                    row = np.full(groups, np.nan)
                    row[kept] = values
                    of_draws.setdefault(metric, []).append(row)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = {
            method: {metric: total / counts[method][metric] for metric, total in of.items()}
            for method, of in sums.items()
        }
    return means, {metric: np.array(rows) for metric, rows in of_draws.items()}


def dynamic_range(negative: Floats, positive: Floats, perfect: Floats, sign: int) -> Floats:
    """Say where a positive control lies between a negative one (0) and the truth (1).

    Parameters
    ----------
    negative, positive, perfect
        (groups,) values.
    sign
        1 where higher is better, else -1.

    Returns
    -------
    ndarray
        (groups,) ``(neg - pos) / (neg - perfect)``, clipped to [-1, 1]; NaN where
        the negative control equals the truth or is beyond it.
    """
    room = sign * (perfect - negative)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(room > 0, np.clip(sign * (positive - negative) / room, -1, 1), np.nan)
