"""Do one condition: split, fit, forecast, score, and write, all in the condition's folder.

Conditions that one process does share what is the same: the dataset, the split and what
scores know of it, and the decompositions of ridge regressions. Another process finds
finished work by its hash in the run's folder, and need know nothing else.
"""

from __future__ import annotations

import resource
import sys
import time
import traceback
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import PereggrnError
from pereggrn_data.core.foreign_reading import trusting
from pereggrn_data.core.resources import DEFAULT_MEMORY, Resources, using
from pereggrn_data.pipelines.experiment.condition_options import ConditionWork
from pereggrn_data.pipelines.experiment.experiment_folder import (
    PREDICTIONS,
    ExperimentFolder,
    place,
)
from pereggrn_data.pipelines.experiment.work_keys import WorkKeys

if TYPE_CHECKING:
    from pereggrn_data.loaders.files.datasets import Dataset
    from pereggrn_data.pipelines.predict import ModelOptions, PredictedExpression
    from pereggrn_data.pipelines.split import SplitDataset

SPLITS_KEPT = 2
"""Splits that are kept in memory; conditions come in the order of their splits."""

GENES_FILE, GROUPS_FILE, SPLIT_FILE = "genes.parquet", "groups.parquet", "split.json"
DONE, KEPT, FAILED = "done", "kept", "failed"


@dataclass(frozen=True)
class ConditionTask:
    """One condition that is to be done, in values that another process can be given.

    Parameters
    ----------
    work
        What is asked for.
    keys
        Its hashes.
    folder
        Of the run.
    threads
        Of linear algebra and scores: the same number everywhere, so that results are
        the same to the last bit.
    redo
        ``models`` or ``scores`` to do these again, ``missing`` for what is not finished.
    blocks
        Into how many blocks a scheduler divides its genes; None leaves it to the scheduler.
    memory
        Of each process.
    trusts_files
        Whether files are read without a look through them before, as in the process that asks.
    """

    work: ConditionWork
    keys: WorkKeys
    folder: Path
    threads: int = 1
    redo: str = "missing"
    blocks: int | None = None
    memory: str | int = DEFAULT_MEMORY
    trusts_files: bool = False

    @property
    def is_to_do(self) -> bool:
        """Whether something is to be done, and not all is finished and kept."""
        run = ExperimentFolder(self.folder)
        return self.redo != "missing" or run.done(self.keys.condition) is None

    @property
    def can_be_divided(self) -> bool:
        """Whether there is something to fit, gene by gene.

        Pruning refits all genes after it has seen all of them, and is not divided.
        """
        from pereggrn_data.models import get_method

        model = self.work.method.model
        if model is None or not get_method(model).by_gene or self.work.model.get("prune"):
            return False
        return self.is_to_do and _reusable(self, ExperimentFolder(self.folder)) is None


@dataclass(frozen=True)
class Outcome:
    """What became of a condition.

    Parameters
    ----------
    index
        Its number.
    key
        Its hash; empty where it could not be planned.
    state
        ``done``, ``kept`` from before, or ``failed``.
    seconds
        That it took.
    error
        Why it failed.
    notes
        What the user should know.
    """

    index: int
    key: str
    state: str
    seconds: float = 0.0
    error: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class SharedWork:
    """What conditions of one process share."""

    _datasets: OrderedDict[tuple[str, str | None], Dataset] = field(default_factory=OrderedDict)
    _splits: OrderedDict[str, SplitDataset] = field(default_factory=OrderedDict)

    def divided(self, work: ConditionWork, key: str) -> SplitDataset:
        """Return the dataset of a condition, divided."""
        from pereggrn_data.pipelines.split import SplitOptions, split

        if key not in self._splits:
            options = SplitOptions(**work.split)
            made = split(
                self._dataset(work),
                options=options,
                insist=work.insist,
                collection=work.collection,
            )
            self._splits[key] = made
            while len(self._splits) > SPLITS_KEPT:
                self._splits.popitem(last=False)
        self._splits.move_to_end(key)
        return self._splits[key]

    def _dataset(self, work: ConditionWork) -> Dataset:
        from pereggrn_data.pipelines.collection import open_dataset

        name = (work.dataset, work.collection)
        if name not in self._datasets:
            self._datasets.clear()  # two datasets may not fit into memory
            self._datasets[name] = open_dataset(work.dataset, collection=work.collection)
        return self._datasets[name]


_SHARED = SharedWork()
"""Of this process."""


def fit_block_of(
    task: ConditionTask, number: int, count: int, shared: SharedWork | None = None
) -> Mapping[str, Any]:
    """Fit a block of a condition's genes, for whoever does the condition.

    Parameters
    ----------
    task
        The condition, which `can_be_divided`.
    number, count
        Of the block, from 0, and how many blocks there are.
    shared
        What conditions share; by default, with all others of this process.

    Returns
    -------
    mapping
        What was fitted, by hashes of what it was fitted to. Nothing, where that failed:
        whoever does the condition will come upon the same error, and says so.
    """
    from pereggrn_data.pipelines.predict import Work, fit_block

    try:
        with _as_everywhere(task):
            made = (shared or _SHARED).divided(task.work, task.keys.split)
            options = _model_options(task.work, made)
            return fit_block(Work(made, options, collection=task.work.collection), number, count)
    except Exception:
        return {}


def do_condition(
    task: ConditionTask,
    shared: SharedWork | None = None,
    fitted: Mapping[str, Any] | None = None,
) -> Outcome:
    """Do a condition, unless it is finished; what goes wrong is in the outcome.

    This is what a run calls for each condition, in this process or in another one. Its
    files are whole when ``done.json`` is there, and nothing is kept elsewhere, so that
    it may be killed at any moment and called again.

    Parameters
    ----------
    task
        The condition.
    shared
        What conditions share; by default, with all others of this process.
    fitted
        What `fit_block_of` has fitted of it elsewhere.
    """
    from pereggrn_data.models import with_fitted

    began = time.monotonic()
    place_of = ExperimentFolder(task.folder)
    index, key = task.work.index, task.keys.condition
    try:
        with place_of.locked(key):
            said = place_of.done(key)
            if said is not None and task.redo == "missing":
                return Outcome(index, key, KEPT, notes=tuple(said.get("notes", ())))
            with with_fitted(fitted or {}):
                notes = _do(task, place_of, shared or _SHARED)
    except Exception as error:
        text = str(error) if isinstance(error, PereggrnError) else _unexpected(error)
        # The end of what a program said, for example.
        text = "\n".join([text, *(f"  {note}" for note in getattr(error, "__notes__", ()))])
        said = {"condition": index, "error": text}
        if not isinstance(error, PereggrnError):
            said["traceback"] = traceback.format_exc().splitlines()
        with suppress(PereggrnError):
            place_of.fail(key, said)
        return Outcome(index, key, FAILED, time.monotonic() - began, text)
    return Outcome(index, key, DONE, time.monotonic() - began, notes=notes)


def _unexpected(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


@contextmanager
def _as_everywhere(task: ConditionTask) -> Iterator[list[Warning]]:
    """Compute as every process does that has to do with the run, and gather its warnings."""
    from threadpoolctl import threadpool_limits

    from pereggrn_data.models import noting_warnings, share_decompositions

    share_decompositions()
    _load_threaded_libraries()
    with (
        using(Resources(task.memory)),
        trusting(task.trusts_files),
        threadpool_limits(limits=task.threads),
        noting_warnings(of_all_threads=True) as told,
    ):
        yield told


def _do(task: ConditionTask, run: ExperimentFolder, shared: SharedWork) -> tuple[str, ...]:
    work, keys = task.work, task.keys
    folder = run.condition(keys.condition)
    with _as_everywhere(task) as told:
        made = shared.divided(work, keys.split)
        _describe(made, run.split(keys.split))
        before = _reusable(task, run)
        run.undo(keys.condition)
        if before is None:
            memory = _PeakMemory()
            predicted = _forecast(work, made)
            resources = {"seconds": predicted.seconds, "peak_bytes": memory.peak()}
            predicted.write(folder / PREDICTIONS)
            given: Any = predicted
            notes = predicted.notes
        else:
            source, resources, notes = before
            if source != folder / PREDICTIONS:
                place(source, folder / PREDICTIONS)
            given = folder / PREDICTIONS
        for step in work.model.get("steps", [1]):
            notes += _score(task, made, given, run.step(folder, step), step)
    said = dict.fromkeys([*notes, *(f"{type(w).__name__}: {w}" for w in told)])
    run.finish(
        keys.condition,
        {
            "split": keys.split,
            "fit": keys.fit,
            "method": work.method.name,
            "steps": list(work.model.get("steps", [1])),
            "resources": resources,
            "notes": list(said),
        },
    )
    return tuple(said)


def _load_threaded_libraries() -> None:
    """Load those whose threads are to be limited: a limit does not reach what comes later.

    They are the BLAS libraries of NumPy and SciPy and the OpenMP of scikit-learn.
    """
    import scipy.linalg  # noqa: F401
    import sklearn.linear_model  # noqa: F401


def _reusable(
    task: ConditionTask, run: ExperimentFolder
) -> tuple[Path, dict[str, Any], tuple[str, ...]] | None:
    """Return predictions of the same fit, what they took, and their notes; None if none."""
    if task.redo == "models":
        return None
    source = run.with_same_fit(task.keys.fit)
    if source is None:
        return None
    said = run.done(source.parent.name) or {}
    return source, said.get("resources", {}), tuple(said.get("notes", ()))


def _forecast(work: ConditionWork, made: SplitDataset) -> PredictedExpression:
    from pereggrn_data.pipelines.predict import Program, predict

    program = None
    if work.method.image is not None:
        program = Program(container=work.method.image, runtime=str(work.method.runtime))
    return predict(
        made, options=_model_options(work, made), program=program, collection=work.collection
    )


def _model_options(work: ConditionWork, made: SplitDataset) -> ModelOptions:
    from pereggrn_data.pipelines.predict import ModelOptions

    options = {name: value for name, value in work.model.items() if name != "model"}
    if work.network is not None:
        options["network"] = _network(work, made)
    if work.method.image is None:
        options["model"] = work.method.model
    return ModelOptions(**options)


def _network(work: ConditionWork, made: SplitDataset) -> Any:
    from pereggrn_data.loaders.network import Network

    chosen = work.network
    if chosen is None:
        return None
    if chosen.density is not None:
        genes = list(map(str, made.split.genes))
        return Network.random(genes, genes, density=chosen.density, seed=0)
    return list(work.parts) or chosen.source


def _score(
    task: ConditionTask, made: SplitDataset, given: Any, folder: Path, step: int
) -> tuple[str, ...]:
    from pereggrn_data.pipelines.score import ScoreOptions, score

    options = ScoreOptions(**{**task.work.score, "step": step, "name": task.work.method.name})
    report = score(
        given,
        split=made,
        options=options,
        collection=task.work.collection,
        threads=task.threads,
    )
    report.write(folder, replace=True)
    return tuple(report.warnings)


def _describe(made: SplitDataset, folder: Path) -> None:
    """Write what the conditions of one split share: the split, its genes and its groups."""
    if (folder / SPLIT_FILE).is_file():
        return
    from pereggrn_data.core.format import IS_CONTROL, OPTIONAL_GROUP_COLUMNS, PERTURBATION
    from pereggrn_data.evaluators import group_keys
    from pereggrn_data.loaders.files import write_split
    from pereggrn_data.loaders.files.any_file import write_table

    var = made.prepared.adata.var
    numeric = var.select_dtypes(["number", "bool"]).loc[list(made.split.genes)]
    numeric.columns = numeric.columns.map(str)
    write_table(numeric.rename_axis(index="gene").reset_index(), folder / GENES_FILE)
    wanted = made.test_perturbations.assign(**{IS_CONTROL: made.test_is_control})
    by = [PERTURBATION, *(c for c in OPTIONAL_GROUP_COLUMNS if c in wanted)]
    keys = group_keys(wanted, by)
    # As text, with a text for what is missing: levels may be numbers or lists of them.
    groups = wanted.astype(object).astype(str).assign(**{c: keys.get_level_values(c) for c in by})
    groups[IS_CONTROL] = wanted[IS_CONTROL]
    groups = groups[~keys.duplicated()]
    write_table(groups.reset_index(drop=True), folder / GROUPS_FILE)
    # Last, as it says that the others are there.
    write_split(made.split, folder / SPLIT_FILE)


class _PeakMemory:
    """The most memory that this process had from now on, or ever, where that is not known."""

    def __init__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    @staticmethod
    def peak() -> int:
        with suppress(OSError, ValueError, StopIteration):
            lines = Path("/proc/self/status").read_text().splitlines()
            found = next(line for line in lines if line.startswith("VmHWM:"))
            return int(found.split()[1]) * 1024
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(used) * (1 if sys.platform == "darwin" else 1024)


def plain_outcome(outcome: Outcome) -> Mapping[str, Any]:
    """Return an outcome as plain values."""
    from dataclasses import asdict

    return asdict(outcome)
