"""Run an experiment: every condition once, whatever was interrupted, and its tables."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pereggrn_data.core.errors import PereggrnError, UsageError
from pereggrn_data.core.foreign_reading import trusts_files
from pereggrn_data.core.options import one_of, options_of, takes
from pereggrn_data.core.safe_names import is_safe_file_name
from pereggrn_data.loaders.files.any_file import check_writable, user_path
from pereggrn_data.models import share_decompositions
from pereggrn_data.pipelines.experiment.condition_options import work_of
from pereggrn_data.pipelines.experiment.conditions import Conditions, lay_out
from pereggrn_data.pipelines.experiment.doing_conditions import (
    FAILED,
    ConditionTask,
    Outcome,
    SharedWork,
    do_condition,
)
from pereggrn_data.pipelines.experiment.experiment_folder import CONDITIONS_CSV, ExperimentFolder
from pereggrn_data.pipelines.experiment.metadata import Experiment, read_experiment
from pereggrn_data.pipelines.experiment.run_options import RunOptions
from pereggrn_data.pipelines.experiment.run_tables import scored_folders, write_tables
from pereggrn_data.pipelines.experiment.work_keys import ContentHashes

if TYPE_CHECKING:
    import pandas as pd

    from pereggrn_data.pipelines.score import ScoreOptions

TO_DO = "to do"
TRIES = 3
"""How often a condition is begun whose process is ended from outside."""

Scheduler: TypeAlias = Callable[[Sequence[ConditionTask]], Iterator[Outcome]]
"""What does tasks, in whatever order and process, and gives the outcome of each."""

Told: TypeAlias = Callable[[Outcome, int, int], None]
"""Called with each outcome, how many conditions are done, and how many there are."""


@dataclass(frozen=True)
class ExperimentRun:
    """A run of an experiment, or what one would do.

    Parameters
    ----------
    name
        Of the experiment.
    folder
        Where it is written.
    conditions
        All of them, of which some may not have been asked for.
    outcomes
        Of those that were asked for, in their order.
    changes
        What has changed in the table of conditions since the last run in this folder.
    notes
        What the user should know.
    files
        What was written for the run as a whole.
    """

    name: str
    folder: Path
    conditions: Conditions
    outcomes: tuple[Outcome, ...]
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = field(default_factory=tuple)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The conditions that failed."""
        return tuple(outcome for outcome in self.outcomes if outcome.state == FAILED)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per condition: what became of it, and what it is."""
        import pandas as pd

        states = {o.index: (o.state, o.key, o.seconds, o.error) for o in self.outcomes}
        table = self.conditions.to_pandas().loc[list(states)]
        rows = list(states.values())
        return pd.DataFrame(
            rows, columns=["state", "key", "seconds", "error"], index=table.index
        ).join(table)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        from dataclasses import asdict

        return {
            "experiment": self.name,
            "folder": str(self.folder),
            "conditions": [asdict(outcome) for outcome in self.outcomes],
            "changes": list(self.changes),
            "notes": list(self.notes),
            "files": [str(file) for file in self.files],
        }

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for outcome in self.outcomes:
            counts[outcome.state] = counts.get(outcome.state, 0) + 1
        shown = ", ".join(f"{n} {state}" for state, n in counts.items()) or "nothing to do"
        return f"Experiment {self.name}, {len(self.outcomes)} conditions: {shown} ({self.folder})"


@takes(RunOptions)
def run(
    experiment: str | Path | Experiment,
    output: str | Path | None = None,
    *,
    options: RunOptions | None = None,
    score_options: ScoreOptions | None = None,
    force: bool = False,
    insist: str | Collection[str] = (),
    collection: str | None = None,
    say: Callable[[str], None] = lambda _: None,
    told: Told | None = None,
    scheduler: Scheduler | None = None,
    report: str | Path | None = None,
    **choices: Any,
) -> ExperimentRun:
    """Run an experiment: all of its conditions, or those that are missing.

    Parameters
    ----------
    experiment
        A ``.json`` or ``.yaml`` file, a folder with a ``metadata.json``, or what
        ``read_experiment`` returned.
    output
        Folder; by default the experiment's name followed by ``_run``. What is finished
        there is kept, also by other versions of the experiment.
    options
        All options in one object, instead of the names below.
    score_options
        How conditions are scored.
    force
        Whether an experiment that is not active is run all the same.
    insist
        Codes of findings that keep a dataset from being used, to go on all the same.
    collection
        Folder of the local collection.
    say
        Told what has changed since the last run, before anything is done.
    told
        Told the outcome of each condition.
    scheduler
        What does the conditions, instead of processes on this machine.
    report
        An ``.html`` file to which the finished conditions are written as a report, which
        needs the extra ``report``. Where they have no table in common, each split has a
        file of its own, whose name tells it.
    {options}

    Returns
    -------
    ExperimentRun
        Conditions that fail are among its outcomes; the others have gone on.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If the metadata cannot be run, naming every problem.
    MissingExtraError
        If a report is asked for, and the extra ``report`` is not installed.
    UsageError
        If the folder or the report cannot be written, or a condition is asked for that
        there is not.
    """
    wanted = one_of(RunOptions, options, choices)
    if wanted.blocks is not None and scheduler is None:
        raise UsageError(
            "Blocks of genes make no difference on this machine.",
            expected="--jobs N, for conditions at once",
            got=f"--blocks {wanted.blocks}",
            fix="leave it out, or name a --scheduler.",
        )
    page = None if report is None else _report_path(report, wanted)
    if not isinstance(experiment, Experiment):
        experiment = read_experiment(experiment, force=force, collection=collection)
    conditions = lay_out(experiment, collection=collection)
    numbers = wanted.asked_for(len(conditions))
    folder = _folder(experiment, output)
    notes = tuple(str(f) for f in (*experiment.warnings, *conditions.notes))
    changes = tuple(_changes(folder, conditions.to_csv()))
    for line in changes:
        say(line)
    tasks, unplanned = _plan(
        conditions,
        numbers,
        folder,
        wanted,
        score=_score_options(score_options, wanted),
        insist=(insist,) if isinstance(insist, str) else tuple(insist),
        collection=collection,
    )
    if wanted.dry_run:
        planned = [_state(task) for task in tasks]
        outcomes = sorted((*planned, *unplanned), key=lambda o: o.index)
        return ExperimentRun(experiment.name, folder, conditions, tuple(outcomes), changes, notes)
    check_writable(folder)
    done = list(unplanned)
    for outcome in unplanned:
        if told is not None:
            told(outcome, len(done), len(numbers))
    for outcome in (scheduler or _scheduler(wanted.jobs))(tasks):
        done.append(outcome)
        if told is not None:
            told(outcome, len(done), len(numbers))
    outcomes = sorted(done, key=lambda o: o.index)
    files = write_tables(
        ExperimentFolder(folder),
        conditions,
        {task.work.index: task for task in tasks},
        outcomes,
        whole=len(numbers) == len(conditions),
        collection=collection,
    )
    if page is not None:
        from pereggrn_data.pipelines.experiment.report_of_run import write_report_of_run

        folders = scored_folders(ExperimentFolder(folder), conditions)
        pages, said = write_report_of_run(folders, page, name=experiment.name)
        files += pages
        notes += tuple(said)
    return ExperimentRun(
        experiment.name, folder, conditions, tuple(outcomes), changes, notes, tuple(files)
    )


def _report_path(report: str | Path, options: RunOptions) -> Path:
    """Check, before the work, that a report can be written."""
    if options.dry_run:
        raise UsageError(
            "A dry run has no scores to report.", expected="--report, or --dry-run", got="both"
        )
    from pereggrn_data.pipelines.report import check_report_path

    return check_report_path(user_path(report))


def _folder(experiment: Experiment, output: str | Path | None) -> Path:
    if output is not None:
        return user_path(output)
    name = experiment.name if is_safe_file_name(experiment.name) else "experiment"
    return Path(f"{name}_run")


def _score_options(given: ScoreOptions | None, options: RunOptions) -> dict[str, Any]:
    from pereggrn_data.pipelines.score import ScoreOptions

    known = options_of(ScoreOptions)
    given = given or ScoreOptions()
    said = {n: getattr(given, n) for n, o in known.items() if o.differs(getattr(given, n))}
    if options.as_original:
        said.setdefault("targeted_genes", "as-is")
    return said


def _plan(
    conditions: Conditions,
    numbers: Sequence[int],
    folder: Path,
    options: RunOptions,
    *,
    score: dict[str, Any],
    insist: tuple[str, ...],
    collection: str | None,
) -> tuple[list[ConditionTask], list[Outcome]]:
    """Return what is to be done, in the order of data and splits, and what cannot be."""
    hashes = ContentHashes()
    tasks: list[ConditionTask] = []
    unplanned: list[Outcome] = []
    for i in numbers:
        try:
            work = work_of(
                conditions.rows[i],
                i,
                file=conditions.experiment.file,
                arguments=conditions.arguments[i],
                networks=conditions.networks,
                score=score,
                as_original=options.as_original,
                limit_genes=options.limit_genes,
                collection=collection,
                insist=insist,
            )
            keys = hashes.keys(work)
        except PereggrnError as error:
            unplanned.append(Outcome(i, "", FAILED, error=str(error)))
            continue
        tasks.append(
            ConditionTask(
                work,
                keys,
                folder,
                threads=options.threads,
                redo=options.redo,
                blocks=options.blocks,
                memory=options.memory,
                trusts_files=trusts_files(),
            )
        )
    order = {key: n for n, key in enumerate(dict.fromkeys(t.keys.split for t in tasks))}
    return sorted(tasks, key=lambda t: (order[t.keys.split], t.work.index)), unplanned


def _state(task: ConditionTask) -> Outcome:
    """Say what a run would do with a condition."""
    run_folder, key = ExperimentFolder(task.folder), task.keys.condition
    said = run_folder.done(key)
    if said is not None and task.redo == "missing":
        return Outcome(task.work.index, key, "kept", notes=tuple(said.get("notes", ())))
    return Outcome(task.work.index, key, TO_DO)


def _changes(folder: Path, new: str) -> Iterator[str]:
    """Yield what has changed in the table of conditions since the last run in a folder."""
    try:
        old = (folder / CONDITIONS_CSV).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return
    if old == new:
        return
    yield f"The conditions are others than those of the last run in {folder}:"
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), "before", "now", lineterm="", n=0
    )
    yield from lines


def _scheduler(jobs: int) -> Scheduler:
    return _in_this_process if jobs == 1 else lambda tasks: _in_processes(tasks, jobs)


def _in_this_process(tasks: Sequence[ConditionTask]) -> Iterator[Outcome]:
    # What conditions share goes with the run, where other work follows in the process.
    shared = SharedWork()
    try:
        for task in tasks:
            yield do_condition(task, shared)
    finally:
        share_decompositions(0)


def _in_processes(tasks: Sequence[ConditionTask], jobs: int) -> Iterator[Outcome]:
    """Do tasks in processes; those whose process is ended from outside are begun again."""
    left = {task.work.index: task for task in tasks}
    tries = dict.fromkeys(left, 0)
    while left:
        for index in left:
            tries[index] += 1
        with ProcessPoolExecutor(min(jobs, len(left)), mp_context=get_context("spawn")) as pool:
            futures: dict[Future[Outcome], int] = {}
            try:
                futures = {pool.submit(do_condition, t): i for i, t in left.items()}
                waiting = set(futures)
                while waiting:
                    finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in finished:
                        outcome = future.result()
                        del left[futures[future]]
                        yield outcome
            except BrokenProcessPool:
                pass
            except BaseException:
                for future in futures:
                    future.cancel()
                raise
        for index in [i for i in left if tries[i] >= TRIES]:
            del left[index]
            yield Outcome(index, "", FAILED, error=_ENDED)
        if left:
            time.sleep(0.1)


_ENDED = (
    "Its process was ended from outside, or another one that ran at the same time, "
    f"{TRIES} times: there may be too little memory for so many --jobs."
)
