"""Do the conditions of a run on a Dask cluster: one that is there, or one that Slurm starts.

Workers write into the run's folder, which they must see under the same path, and hand back
what became of each condition. What is finished is known from the files, never from the
cluster, so that a run goes on after anything that ends it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pereggrn_data.core.errors import InvalidDataError, MissingExtraError, UsageError, or_list
from pereggrn_data.core.version import software
from pereggrn_data.loaders.files import read_mapping
from pereggrn_data.loaders.files.any_file import required_file, user_path
from pereggrn_data.loaders.program import last_lines, run_limited
from pereggrn_data.pipelines.experiment.doing_conditions import (
    FAILED,
    ConditionTask,
    Outcome,
    do_condition,
    fit_block_of,
)
from pereggrn_data.pipelines.experiment.run_experiment import Scheduler

LOCAL, SLURM = "local", "slurm"
ADDRESSES = ("tcp://", "tls://")
SECONDS_TO_WAIT = 60
"""For Slurm to say whether it takes a job, and for a scheduler and a worker that are there."""
OURS = "PEREGGRN_"
"""Beginning of the variables of the environment that workers are told."""

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class AskingProcess:
    """What a worker needs to do a condition as the process would that asks for it.

    Parameters
    ----------
    folder
        Working directory, which relative paths start from.
    token
        A file in the run's folder, by which a worker finds out that it sees the same folder.
    software
        Name and version; another version computes other things.
    variables
        Of the environment, those that begin with ``PEREGGRN_``.
    """

    folder: str
    token: str
    software: str
    variables: Mapping[str, str]


def on_cluster(where: str, options: str | Path | None = None) -> Scheduler | None:
    """Return what does conditions on a cluster, as ``run(scheduler=...)`` takes it.

    Parameters
    ----------
    where
        ``tcp://HOST:PORT`` (or ``tls://``) of a Dask scheduler; ``slurm`` to start workers as
        jobs of Slurm; ``local`` for processes of this machine, without Dask.
    options
        A YAML or JSON file. For ``slurm``: the arguments of ``dask_jobqueue.SLURMCluster``
        (``cores`` and ``memory`` at least), and ``jobs``, how many jobs are submitted. For an
        address: the arguments of ``distributed.Security``.

    Returns
    -------
    Scheduler or None
        None for ``local``.

    Raises
    ------
    UsageError
        If there is no such scheduler, or options make no difference or cannot be understood.
    MissingExtraError
        If Dask is not installed.
    """
    if where == LOCAL:
        if options is not None:
            raise UsageError(
                "Options of a scheduler make no difference on this machine.",
                expected="--jobs N",
                got=f"--scheduler-options {options}",
                fix="leave them out, or name another --scheduler.",
            )
        return None
    if where != SLURM and not where.startswith(ADDRESSES):
        raise UsageError(
            "There is no such scheduler.",
            expected=or_list([LOCAL, SLURM, "tcp://HOST:PORT"]),
            got=repr(where),
        )
    _require_dask(where)
    settings = {} if options is None else read_mapping(required_file(user_path(options)))
    if where == SLURM and shutil.which("sbatch") is None:
        raise UsageError(
            "There is no Slurm on this machine.",
            expected="the command sbatch",
            fix="run on a login node; or print a script for one: --plan slurm-array.",
        )
    return lambda tasks: _outcomes(where, settings, tasks)


def _require_dask(where: str) -> None:
    try:
        import distributed  # noqa: F401

        if where == SLURM:
            import dask_jobqueue  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"A cluster needs the package {error.name}, which is not installed.",
            fix="pip install 'pereggrn-data[cluster]', here and where the workers run.",
        ) from error


def _outcomes(
    where: str, settings: Mapping[str, Any], tasks: Sequence[ConditionTask]
) -> Iterator[Outcome]:
    if not tasks:
        return
    from distributed import as_completed

    folder = tasks[0].folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / f".{uuid.uuid4().hex}"
    token.touch()
    around = AskingProcess(
        str(Path.cwd()),
        str(token),
        software(),
        {k: v for k, v in os.environ.items() if k.startswith(OURS)},
    )
    try:
        with _client(where, settings) as (client, n_workers):
            there = [replace(task, folder=folder) for task in tasks]
            asked: dict[Any, tuple[ConditionTask, list[Any]]] = {}
            for task, count in zip(there, blocks_of(there, n_workers), strict=True):
                blocks = [
                    client.submit(fit_block_there, task, around, k, count, pure=False)
                    for k in range(count)
                ]
                future = client.submit(do_there, task, around, blocks, pure=False)
                asked[future] = task, blocks
            try:
                for future in as_completed(list(asked), loop=client.loop):
                    # With its blocks, which workers hold in memory as long as they are wanted.
                    task, _ = asked.pop(future)
                    yield _outcome(future, task)
            finally:
                client.cancel([f for future, (_, its) in asked.items() for f in (future, *its)])
    finally:
        token.unlink(missing_ok=True)


def blocks_of(tasks: Sequence[ConditionTask], n_workers: int) -> list[int]:
    """Say into how many blocks the genes of each condition are divided; 0 leaves them together.

    Parameters
    ----------
    tasks
        The conditions.
    n_workers
        Processes that do them. Unless a task says how many blocks it wants, genes are
        divided only where there are more workers than conditions to fit, in as many blocks
        as give each worker something to do.
    """
    to_do = sum(task.is_to_do for task in tasks)
    by_itself = -(-n_workers // to_do) if 0 < to_do < n_workers else 1
    wanted = [by_itself if task.blocks is None else task.blocks for task in tasks]
    return [
        count if count > 1 and task.can_be_divided else 0
        for task, count in zip(tasks, wanted, strict=True)
    ]


def _outcome(future: Any, task: ConditionTask) -> Outcome:
    """Return what became of a condition, also where its worker did not survive it."""
    from distributed import KilledWorker

    index, key = task.work.index, task.keys.condition
    if future.status == "cancelled":
        raise UsageError(
            "The cluster has gone away.",
            expected="a scheduler that answers until the end",
            fix="run again: what is finished is kept.",
        )
    try:
        outcome: Outcome = future.result()
    except KilledWorker:
        text = (
            "The workers that tried it were ended from outside: they may have too little memory."
        )
        return Outcome(index, key, FAILED, error=text)
    except Exception as error:
        # A worker that cannot even begin: without this package, or with another Python.
        text = f"No worker could begin it: {type(error).__name__}: {error}"
        return Outcome(index, key, FAILED, error=text)
    return outcome


@contextlib.contextmanager
def _client(where: str, settings: Mapping[str, Any]) -> Iterator[tuple[Any, int]]:
    """Give a client of the cluster, and how many workers it has or will have."""
    from distributed import Client

    if where == SLURM:
        with (
            slurm_cluster(settings) as (cluster, n_workers),
            Client(cluster, set_as_default=False) as client,
        ):
            yield client, n_workers
        return
    from distributed import Security

    try:
        security = Security(**settings) if settings else None
        client = Client(where, timeout=SECONDS_TO_WAIT, security=security, set_as_default=False)
    except (OSError, TimeoutError, TypeError, ValueError) as error:
        raise UsageError(
            f"The scheduler {where} does not answer.",
            expected="a Dask scheduler, as `dask scheduler` starts one",
            got=" ".join(str(error).split()) or type(error).__name__,
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=SECONDS_TO_WAIT)
        except TimeoutError as error:
            raise UsageError(
                f"The scheduler {where} has no worker.",
                expected="one or more, as `dask worker ADDRESS --nthreads 1` starts one",
                got=f"none within {SECONDS_TO_WAIT} s",
            ) from error
        yield client, len(client.nthreads())


@contextlib.contextmanager
def slurm_cluster(settings: Mapping[str, Any]) -> Iterator[tuple[Any, int]]:
    """Start a cluster whose workers are jobs of Slurm, and say how many workers it will have.

    Parameters
    ----------
    settings
        Arguments of ``dask_jobqueue.SLURMCluster``, and ``jobs``. By default there are as
        many processes as cores, since a process does one condition at a time.

    Raises
    ------
    InvalidDataError
        If they cannot be understood, or Slurm would refuse such a job.
    """
    from dask_jobqueue import SLURMCluster

    given = dict(settings)
    jobs = given.pop("jobs", 1)
    if type(jobs) is not int or jobs < 1:
        raise InvalidDataError(
            "The options of the scheduler cannot be understood.",
            expected="jobs: a whole number, 1 or more",
            got=repr(jobs),
        )
    if "cores" in given:
        given.setdefault("processes", given["cores"])
    try:
        cluster = SLURMCluster(**given)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(
            "The options of the scheduler cannot be understood.",
            expected="arguments of dask_jobqueue.SLURMCluster, cores and memory among them",
            got=" ".join(str(error).split()),
        ) from error
    with cluster:
        _check_job(cluster.job_script())
        cluster.scale(jobs=jobs)
        yield cluster, jobs * int(given.get("processes") or 1)


def _check_job(script: str) -> None:
    """Ask Slurm whether it would take a job: Dask would submit it again and again."""
    with tempfile.TemporaryDirectory() as made:
        job, log = Path(made, "job.sh"), Path(made, "log")
        job.write_text(script, "utf-8")
        tried = run_limited(["sbatch", "--test-only", str(job)], log, seconds=SECONDS_TO_WAIT)
        if tried.timed_out:
            raise UsageError(
                "Slurm does not answer.",
                expected=f"an answer to `sbatch --test-only` within {SECONDS_TO_WAIT} s",
                fix="try again when it is less busy.",
            )
        if tried.returncode != 0:
            raise InvalidDataError(
                "Slurm does not take the jobs.",
                expected="options of the scheduler that `sbatch --test-only` is content with",
                got=" ".join(last_lines(log).split()),
                fix="mend --scheduler-options: queue, account, walltime, memory.",
            )


def do_there(
    task: ConditionTask, around: AskingProcess, blocks: Sequence[Mapping[str, Any]] = ()
) -> Outcome:
    """Do a condition in this process, which is a worker, one at a time.

    Conditions share what they have read, and set what linear algebra and warnings do in the
    whole process; so the threads of a worker wait for each other.
    """
    with _ONE_AT_A_TIME, _as_there(around):
        problem = _unfit(around)
        if problem:
            return Outcome(task.work.index, task.keys.condition, FAILED, error=problem)
        fitted = {k: fit for block in blocks for k, fit in block.items()}
        return do_condition(task, fitted=fitted)


def fit_block_there(
    task: ConditionTask, around: AskingProcess, number: int, count: int
) -> Mapping[str, Any]:
    """Fit a block of a condition's genes in this process, which is a worker."""
    with _ONE_AT_A_TIME, _as_there(around):
        return {} if _unfit(around) else fit_block_of(task, number, count)


def _unfit(around: AskingProcess) -> str:
    """Say why this worker cannot do conditions of that run; empty if it can."""
    host = socket.gethostname()
    if software() != around.software:
        return f"A worker on {host} has {software()}, and the run is of {around.software}."
    if not Path(around.token).is_file():
        return (
            f"A worker on {host} does not see the folder {Path(around.token).parent}: a cluster "
            "needs a file system that all of its machines share."
        )
    return ""


@contextlib.contextmanager
def _as_there(around: AskingProcess) -> Iterator[None]:
    """Be where the asking process is, with its variables, as far as that is possible here."""
    before = {k: v for k, v in os.environ.items() if k.startswith(OURS)}
    here = Path(around.folder)
    place: Any = contextlib.chdir(here) if here.is_dir() else contextlib.nullcontext()
    try:
        for name in before:
            del os.environ[name]
        os.environ.update(around.variables)
        with place:
            yield
    finally:
        for name in around.variables:
            os.environ.pop(name, None)
        os.environ.update(before)
