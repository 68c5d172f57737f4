"""Several predictions files as one: the folds of a cross-validation, each scored on its split.

Metrics are computed within each fold, against the baselines of its own training side; what
is averaged, and what intervals are made over, are the groups of all folds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Bools
from pereggrn_data.core.errors import UsageError, first_few
from pereggrn_data.core.prediction_types import Predictions
from pereggrn_data.evaluators import PREDICTED_BY, Calibration, Scores
from pereggrn_data.pipelines.score.calibration_file import CalibrationReport
from pereggrn_data.pipelines.split import FOLDED, SplitDataset, repeatedly_held_out

if TYPE_CHECKING:
    from pereggrn_data.pipelines.score.score_options import ScoreOptions

OF_A_FOLD = ("heldout", "train", "genes", "scored")
"""Parts of the signature in which folds may differ."""


@dataclass(frozen=True)
class ScoredFile:
    """One predictions file that was scored on its split, or several pooled.

    Parameters
    ----------
    given
        The predictions.
    divided
        The dataset and its split.
    scores
        Of the predictions and of the baselines.
    kept
        (held-out groups,) which of them were predicted.
    strata
        One row per scored group.
    calibration
        Of the split, where it is wanted.
    warnings
        What the reader should know.
    n_scored, n_expected
        Number of groups that were scored, and that were held out.
    signature
        What was scored.
    """

    given: Predictions
    divided: SplitDataset
    scores: Scores
    kept: Bools
    strata: pd.DataFrame
    calibration: CalibrationReport | None
    warnings: tuple[str, ...]
    n_scored: int
    n_expected: int
    signature: str

    def described(self) -> dict[str, Any]:
        """Return what ``summary.json`` says of one of several files."""
        return {
            "file": self.given.path if self.given.is_file else None,
            "file_checksum": self.given.checksum,
            "signature": self.signature,
            "n_scored": self.n_scored,
            "n_expected": self.n_expected,
        }


def require_foldable(n: int, *, one_split: bool, options: ScoreOptions) -> None:
    """Check, before the work, that several files can be scored as one.

    Raises
    ------
    UsageError
        If there is none, or a single split or calibration is named for all of them.
    """
    if n == 0:
        raise UsageError("There are no predictions to score.", expected="one file, or several")
    if n > 1 and (one_split or options.calibration is not None):
        raise UsageError(
            "Several predictions files are of several splits.",
            expected="files that carry their splits, as filled-in templates do",
            got="a calibration of one split" if options.calibration else "one split for all",
            fix="leave the option out; score files that carry no split one by one, and compare "
            "the results as NAME=FOLDER NAME=FOLDER.",
        )


def name_of_several(files: Sequence[ScoredFile]) -> str | None:
    """Return the method that made all of the files, where they say it.

    Raises
    ------
    UsageError
        If several methods made them.
    """
    names = list(dict.fromkeys(f.given.model for f in files))
    if len(names) > 1:
        raise UsageError(
            "Predictions of several methods are not one.",
            expected="files of one method",
            got=first_few(name or "files that name none" for name in names),
            fix="score them apart and compare; or say --name, if they are one method's.",
        )
    return names[0]


def pooled(files: Sequence[ScoredFile]) -> ScoredFile:
    """Put the scores of several files below each other.

    Raises
    ------
    UsageError
        If two files predict the same observation, or were scored otherwise than each other.
    """
    _require_apart(files)
    first = files[0]
    reports = [f.calibration for f in files]
    paths = [f.given.path for f in files]
    hashes = [f.given.checksum for f in files]
    return ScoredFile(
        given=replace(
            first.given,
            path=", ".join(paths),
            hashed=None if None in hashes else f"sha256:{_hash(*map(str, hashes))}",
        ),
        divided=first.divided,
        scores=_pooled_scores([f.scores for f in files]),
        kept=np.concatenate([f.kept for f in files]),
        strata=pd.concat([f.strata for f in files], ignore_index=True),
        calibration=_pooled_calibration([r for r in reports if r is not None]),
        warnings=(*_missing_folds(files), *_said(files)),
        n_scored=sum(f.n_scored for f in files),
        n_expected=sum(f.n_expected for f in files),
        signature=_pooled_signature(files),
    )


def _require_apart(files: Sequence[ScoredFile]) -> None:
    repeated = repeatedly_held_out([f.divided.split.test_observations for f in files])
    if repeated:
        raise UsageError(
            "Files that are pooled predict different observations.",
            expected="each held-out observation in one file, as in the folds of one seed",
            got=f"{len(repeated)} in several: {first_few(repeated)}",
            fix="score files of repeated splits one by one, and compare the results as "
            "NAME=FOLDER NAME=FOLDER.",
        )


def _missing_folds(files: Sequence[ScoredFile]) -> tuple[str, ...]:
    """Say which folds were not scored, where the files are folds."""
    splits = [f.divided.split for f in files]
    if any(s.type != FOLDED for s in splits):
        return ()
    wanted = set(range(splits[0].rules.folds))
    missing = sorted(wanted - {s.rules.fold for s in splits})
    if not missing:
        return ()
    shown = ", ".join(map(str, missing))
    return (f"{len(missing)} of {len(wanted)} folds are not scored: {shown}.",)


def _said(files: Sequence[ScoredFile]) -> tuple[str, ...]:
    """Return every warning once; of those that not all files have, with its file."""
    told: dict[str, list[str]] = {}
    for f in files:
        for warning in dict.fromkeys(f.warnings):
            told.setdefault(warning, []).append(f.given.path)
    return tuple(
        warning if len(paths) == len(files) else f"{first_few(paths)}: {warning}"
        for warning, paths in told.items()
    )


def _pooled_scores(scores: Sequence[Scores]) -> Scores:
    lost: dict[str, int] = {}
    for one in scores:
        for metric, n in one.lost.items():
            lost[metric] = lost.get(metric, 0) + n
    groups = pd.concat([s.groups for s in scores], ignore_index=True)
    # Methods stay together, as in the scores of one file.
    order = pd.Categorical(groups["method"], categories=scores[0].methods).codes
    return Scores(
        groups=groups.iloc[np.argsort(order, kind="stable")].reset_index(drop=True),
        targets=_pooled_targets([s.targets for s in scores]),
        n_expected=sum(s.n_expected for s in scores),
        notes=tuple(dict.fromkeys(note for s in scores for note in s.notes)),
        lost=lost,
        effects=_pooled_effects([s.effects for s in scores]),
    )


def _pooled_effects(tables: Sequence[pd.DataFrame | None]) -> pd.DataFrame | None:
    """Put the log fold changes that each file keeps below each other."""
    kept = [table for table in tables if table is not None]
    return pd.concat(kept, ignore_index=True) if kept else None


def _pooled_targets(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Average the scores of each gene over all test observations.

    The standard deviation of the predictions is that within folds, since each fold has a
    training side of its own.
    """
    frame = pd.concat(tables, ignore_index=True)
    n = frame["n_observations"].to_numpy(float)
    sums = frame[["method", "gene"]].assign(
        n_observations=frame["n_observations"],
        standard_deviation=n * frame["standard_deviation"].to_numpy(float) ** 2,
        mae=n * frame["mae"].to_numpy(float),
        mse=n * frame["mse"].to_numpy(float),
    )
    by = sums.groupby(["method", "gene"], sort=False)
    total = by.sum()
    count = total["n_observations"].to_numpy(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        averaged = {c: total[c].to_numpy(float) / count for c in ("mae", "mse")}
        spread = np.sqrt(total["standard_deviation"].to_numpy(float) / count)
    own = frame.groupby(["method", "gene"], sort=False)[PREDICTED_BY].agg(
        lambda said: said.iloc[0] if said.nunique() == 1 else "group"
    )
    pooled = total.index.to_frame(index=False)
    pooled[PREDICTED_BY] = own.to_numpy()
    pooled["n_observations"] = total["n_observations"].to_numpy(int)
    pooled["standard_deviation"] = spread
    for column, values in averaged.items():
        pooled[column] = values
    order = pd.Categorical(pooled["method"], categories=list(dict.fromkeys(frame["method"])))
    return pooled.iloc[np.argsort(order.codes, kind="stable")][
        list(tables[0].columns)
    ].reset_index(drop=True)


def _pooled_calibration(reports: Sequence[CalibrationReport]) -> CalibrationReport | None:
    """Put the controls of several splits below each other."""
    if not reports:
        return None
    made = [report.calibration for report in reports]
    groups = pd.concat([c.groups for c in made], ignore_index=True)
    known: dict[str, dict[str, None]] = {}
    for c in made:
        for method, of_method in c.values.items():
            known.setdefault(method, {}).update(dict.fromkeys(of_method))
    values: Mapping[str, Mapping[str, Any]] = {
        method: {name: np.concatenate([c.of(method, name) for c in made]) for name in metrics}
        for method, metrics in known.items()
    }
    return replace(
        reports[0],
        calibration=Calibration(groups, values, draws=_pooled_draws(made)),
        remarks=tuple(dict.fromkeys(r for report in reports for r in report.remarks)),
    )


def _pooled_draws(made: Sequence[Calibration]) -> dict[str, Any]:
    """Put the duplicates of the k-th draws of all splits into one row, NaN where one has none."""
    n = max((len(rows) for c in made for rows in c.draws.values()), default=0)
    found = {}
    for metric in dict.fromkeys(name for c in made for name in c.draws):
        sides = []
        for c in made:
            side = np.full((n, len(c.groups)), np.nan)
            rows = c.draws.get(metric)
            if rows is not None:
                side[: len(rows)] = rows
            sides.append(side)
        found[metric] = np.concatenate(sides, axis=1)
    return found


def _pooled_signature(files: Sequence[ScoredFile]) -> str:
    """Join signatures: what folds have in common, and hashes of what is their own.

    Raises
    ------
    UsageError
        If they differ in something else.
    """
    lines = [dict(part.split(":", 1) for part in f.signature.split("|")) for f in files]
    names = list(dict.fromkeys(name for line in lines for name in line))
    parts = [f"pooled:{len(files)}"]
    for name in names:
        found = [line.get(name, "") for line in lines]
        if len(set(found)) == 1:
            parts.append(f"{name}:{found[0]}")
        elif name == "scored":
            scored, expected = sum(f.n_scored for f in files), sum(f.n_expected for f in files)
            more = "" if scored == expected else f":{_hash(*sorted(found))[:8]}"
            parts.append(f"scored:{scored}/{expected}{more}")
        elif name in OF_A_FOLD:
            parts.append(f"{name}:{_hash(*sorted(found))[:12]}")
        else:
            raise UsageError(
                "The files cannot be pooled: they were not made for folds of one dataset.",
                expected=f"one {name}",
                got=first_few(dict.fromkeys(text or "(none)" for text in found)),
            )
    return "|".join(parts)


def _hash(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
