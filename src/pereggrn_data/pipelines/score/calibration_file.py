"""``calibration.json``: what the metrics can tell apart on a dataset, and where it is kept.

A calibration belongs to a dataset, a split, a rule for targeted genes and the
definitions of all metrics. Its key says all of it, so that one that was made for
something else is never used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.evaluators import CONTROLS, DUPLICATE, HALF, INTERPOLATED, METRICS, Calibration
from pereggrn_data.evaluators.summaries import DRAWS, MOST_DRAWS
from pereggrn_data.loaders.cache import open_cache
from pereggrn_data.loaders.files import read_json
from pereggrn_data.loaders.files.any_file import required_file, write_text
from pereggrn_data.pipelines.score.learned_components import not_kept

if TYPE_CHECKING:
    import pandas as pd

CALIBRATION_FILE = "calibration.json"
_FORMAT = "pereggrn-data calibration 2"
_OBSERVATIONS = "n_observations"
_COLUMNS = (*CONTROLS, DUPLICATE, INTERPOLATED, HALF["mean"])
"""Values that are shown, in this order."""

UNSHOWN = tuple(name for name in HALF.values() if name not in _COLUMNS)
"""Values that only the file has: dynamic ranges follow from them."""


@dataclass(frozen=True)
class CalibrationReport:
    """What the metrics can tell apart on one dataset and split.

    Parameters
    ----------
    dataset
        Its name.
    signature
        What was scored, as in the signature of scores.
    calibration
        Values of all controls, group by group.
    warnings
        What the reader of the split should know.
    remarks
        What the reader of scores should know, too.
    """

    dataset: str
    signature: str
    calibration: Calibration
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Hash of what it belongs to: the signature, and the version of every metric."""
        return calibration_key(self.signature)

    def resampled(self, draws: int, seed: int) -> CalibrationReport:
        """Return the same values, with intervals from as many draws of labels as asked for."""
        return replace(self, calibration=self.calibration.resampled(draws, seed))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, in the layout of ``calibration.json``."""
        made = self.calibration
        return {
            "format": _FORMAT,
            "key": self.key,
            "signature": self.signature,
            "dataset": self.dataset,
            "n_groups": len(made.groups),
            "n_replicated": made.n_replicated,
            "warnings": [*self.warnings, *self.calibration.notes, *self.remarks],
            "intervals": {"draws": made.label_draws, "seed": made.label_seed},
            "metrics": {name: m.to_dict() for name, m in made.summaries().items()},
            "groups": {c: made.groups[c].tolist() for c in made.groups},
            "values": made.values,
            "duplicate_draws": made.draws,
            "notes": list(made.notes),
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per metric."""
        import pandas as pd

        rows = {name: m.to_dict() for name, m in self.calibration.summaries().items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")

    def rows(self) -> list[tuple[str, ...]]:
        """Return what a table shows, one row per metric: see :attr:`headings`."""
        return [
            (
                name,
                *(_shown(m.values.get(column)) for column in _COLUMNS),
                _shown(m.dynamic_range, "{:z.2f}"),
                _shown(m.duplicate_wins, "{:.0%}"),
                {True: "yes", False: "no", None: "not known"}[m.discriminates],
            )
            for name, m in self.calibration.summaries().items()
        ]

    @property
    def headings(self) -> tuple[str, ...]:
        """What the columns of :meth:`rows` are called."""
        return (
            "metric", *(name.replace("_", " ") for name in _COLUMNS), "range", "duplicate wins",
            "discriminates",
        )  # fmt: skip

    def sentence(self) -> str:
        """Say in plain words what can be told apart."""
        found = self.calibration.discriminates
        able = [name for name, (yes, _) in found.items() if yes]
        unknown = [name for name, (yes, _) in found.items() if yes is None]
        groups = len(self.calibration.groups)
        if len(unknown) == len(found):
            reasons = dict.fromkeys(reason for _, reason in found.values() if reason)
            return (
                f"Nothing is known of what metrics can tell apart on {self.dataset}: "
                f"{'; '.join(reasons)}."
            )
        return (
            f"By {len(able)} of {len(found) - len(unknown)} metrics, one half of the replicates "
            f"of {self.dataset} forecasts the other better than the training mean does "
            f"({self.calibration.n_replicated} of {groups} groups are replicated)."
        )

    def write(self, folder: str | Path) -> list[Path]:
        """Write ``calibration.json``."""
        path = Path(folder) / CALIBRATION_FILE
        write_text(dumps(self.to_dict(), indent=None) + "\n", path)
        return [path]

    def __repr__(self) -> str:
        return f"{self.sentence()}\n{self.to_pandas().to_string(na_rep='-')}\n{self.signature}"


def calibration_key(signature: str) -> str:
    """Hash what a calibration belongs to, (64,) hexadecimal digits."""
    versions = ",".join(f"{m.name}:{m.version}" for m in METRICS.values())
    return hashlib.sha256(f"{_FORMAT}|{signature}|{versions}".encode()).hexdigest()


def read_calibration(path: str | Path) -> CalibrationReport:
    """Read ``calibration.json``: a file, or the one in a folder.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it is no calibration.
    """
    path = Path(path)
    file = required_file(path / CALIBRATION_FILE if path.is_dir() else path)
    values = read_json(file, expected=f"a {CALIBRATION_FILE}")
    try:
        return _parsed(values)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise InvalidDataError(
            f"{path} is no calibration: {error}.",
            expected=f"a {CALIBRATION_FILE} as written by `pereggrn-eval calibrate`",
        ) from error


def _parsed(values: Any) -> CalibrationReport:
    import pandas as pd

    if not isinstance(values, Mapping) or values.get("format") != _FORMAT:
        raise ValueError(f"it does not say that its format is {_FORMAT!r}")
    groups = pd.DataFrame(values["groups"])
    for column in (PERTURBATION, _OBSERVATIONS):
        if column not in groups:
            raise ValueError(f"its groups do not say {column}")
    groups[PERTURBATION] = groups[PERTURBATION].astype(str)
    groups[_OBSERVATIONS] = groups[_OBSERVATIONS].astype(np.int64)
    by_method = {
        str(method): {
            str(metric): _numbers(of_metric, len(groups)) for metric, of_metric in of.items()
        }
        for method, of in values["values"].items()
    }
    made = CalibrationReport(
        dataset=str(values["dataset"]),
        signature=str(values["signature"]),
        calibration=Calibration(
            groups,
            by_method,
            tuple(map(str, values["notes"])),
            {
                str(metric): np.array([_numbers(row, len(groups)) for row in rows])
                for metric, rows in values["duplicate_draws"].items()
            },
            *_label_draws(values.get("intervals", {})),
        ),
        warnings=(),
    )
    if values["key"] != made.key:
        raise ValueError("it was made by other definitions of metrics, or changed since")
    return made


def _label_draws(stated: Any) -> tuple[int, int]:
    """Return number and seed of the draws of labels; older files were made by the default."""
    draws, seed = stated.get("draws", DRAWS), stated.get("seed", 0)
    if not isinstance(draws, int) or not isinstance(seed, int) or seed < 0:
        raise ValueError("its intervals do not say how they were drawn")
    if not 0 < draws <= MOST_DRAWS:
        raise ValueError(f"its intervals are from {draws} draws, and not 1 to {MOST_DRAWS}")
    return draws, seed


def _numbers(values: Any, n: int) -> Any:
    """Return (n,) floats, NaN for null."""
    array = np.asarray([np.nan if v is None else v for v in values], dtype=np.float64)
    if array.shape != (n,):
        raise ValueError(f"a metric has {len(array)} values, and there are {n} groups")
    return array


def require_same(
    report: CalibrationReport, signature: str, groups: pd.DataFrame, source: str
) -> None:
    """Check that a calibration was made for what is scored.

    Parameters
    ----------
    report
        The calibration.
    signature
        Of what is scored.
    groups
        Those that are held out, in their order: values are taken by position.
    source
        What the calibration is called in messages.

    Raises
    ------
    UsageError
        If it was made for something else.
    InvalidDataError
        If its groups are not those that its signature stands for.
    """
    if report.key != calibration_key(signature):
        raise UsageError(
            f"{source} was made for something else than what is scored.",
            expected=signature,
            got=report.signature,
            fix="calibrate again, or leave out --calibration.",
        )
    own, held_out = (
        [(str(label), int(n)) for label, n in zip(g[PERTURBATION], g[_OBSERVATIONS], strict=True)]
        for g in (report.calibration.groups, groups)
    )
    if own != held_out:
        raise InvalidDataError(
            f"{source} has other groups than its signature stands for; it was changed since.",
            expected=f"the {len(held_out)} held-out groups in their order",
            got=f"{len(own)} groups" if len(own) != len(held_out) else "others",
            fix="calibrate again, or leave out --calibration.",
        )


def kept(signature: str, groups: pd.DataFrame) -> CalibrationReport | None:
    """Return the calibration of these groups that the cache has, if it can be read."""
    try:
        report = read_calibration(_place(signature))
        require_same(report, signature, groups, "The kept calibration")
    except (InvalidDataError, UsageError, OSError):
        # It is made anew, and replaced; a cache that cannot be used is told of then.
        return None
    return report


def keep(report: CalibrationReport) -> tuple[str, ...]:
    """Keep a calibration in the cache.

    Returns
    -------
    tuple of str
        Why it cannot be kept, if so.
    """
    place = _place(report.signature)
    try:
        open_cache().write_text(dumps(report.to_dict(), indent=None), place)
    except (UsageError, OSError) as error:
        return (not_kept(error),)
    return ()


def _place(signature: str) -> Path:
    return open_cache().calibration(calibration_key(signature))


def _shown(value: float | None, form: str = "{:.3g}") -> str:
    return "-" if value is None else form.format(value)
