"""Runs on a Dask cluster: the same tables as on one machine, whoever is killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError, MissingExtraError, UsageError
from pereggrn_data.core.version import software
from pereggrn_data.models import estimators
from pereggrn_data.pipelines.experiment import (
    ConditionTask,
    ExperimentFolder,
    Outcome,
    do_condition,
    on_cluster,
    run,
)
from pereggrn_data.pipelines.experiment import cluster as of_clusters
from pereggrn_data.pipelines.experiment.cluster import (
    AskingProcess,
    blocks_of,
    do_there,
    slurm_cluster,
)
from pereggrn_data.pipelines.experiment.doing_conditions import fit_block_of

METADATA: dict[str, Any] = {
    "unique_id": "trial",
    "nickname": "trial",
    "readme": "A small experiment on the embedded dataset.",
    "question": "?",
    "is_active": True,
    "factor_varied": "regression_method",
    "perturbation_dataset": "demo",
    "num_genes": 30,
    "regression_method": ["mean", "RidgeCV", "LassoCV"],
    "data_split_seed": [0, 1],
}
SCORES = {"draws": 200, "calibrate": False}


def quick(
    folder: Path, *, metadata: dict[str, Any] | None = None, **options: Any
) -> pereggrn_data.ExperimentRun:
    file = folder / "trial.json"
    file.write_text(json.dumps({**METADATA, **(metadata or {})}), "utf-8")
    return run(file, folder / "out", score_options=pereggrn_data.ScoreOptions(**SCORES), **options)


def hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of all tables, but for what tells how long something took."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.startswith(".")
        and path.name != "done.json"
        and path.parent.name != "train_resources"
    }


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
        host="127.0.0.1", silence_logs=50,
    ) as cluster:  # fmt: skip
        yield cluster


@pytest.mark.slow
@pytest.mark.whole_forest  # as in the workers
@pytest.mark.whole_strata
def test_as_in_one_process_with_a_worker_killed_half_way(two_workers: Any, tmp_path: Path) -> None:
    from distributed import Client

    folders = [tmp_path / "serial", tmp_path / "cluster"]
    for folder in folders:
        folder.mkdir()
    quick(folders[0])
    killed: list[int] = []

    def kill(_: Outcome, done: int, __: int) -> None:
        """Kill a worker that is at work, once."""
        if killed or done < 2:
            return
        with Client(two_workers.scheduler_address, set_as_default=False) as client:
            busy = [address for address, keys in client.processing().items() if keys]
            killed.append(client.run(os.getpid, workers=busy[:1])[busy[0]])
        os.kill(killed[0], signal.SIGKILL)

    made = quick(folders[1], scheduler=on_cluster(two_workers.scheduler_address), told=kill)
    assert killed
    # What the killed worker had finished, and had not told of, is found and kept.
    assert {outcome.state for outcome in made.outcomes} <= {"done", "kept"}
    assert len(made.outcomes) == 6
    serial, clustered = (hashes(folder / "out") for folder in folders)
    differing = {name for name in serial | clustered if serial.get(name) != clustered.get(name)}
    assert not differing
    assert any(name.endswith("evaluationPerPert.parquet") for name in serial)
    again = quick(folders[1], scheduler=on_cluster(two_workers.scheduler_address))
    assert [outcome.state for outcome in again.outcomes] == ["kept"] * 6
    # One condition for two workers: each fits half of its genes.
    lone = {"regression_method": ["LassoCV"], "data_split_seed": [0]}
    shared = tmp_path / "shared"
    shared.mkdir()
    quick(shared, metadata=lone, scheduler=on_cluster(two_workers.scheduler_address))
    (file,) = (shared / "out").glob("conditions/*/predictions.h5ad")
    name = str(file.relative_to(shared / "out"))
    assert hashes(shared / "out")[name] == serial[name]
    with Client(two_workers.scheduler_address, set_as_default=False) as client:
        seen = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.task_prefixes))
    assert "fit_block_there" in seen


class TestBlocks:
    """Of genes, which several workers fit for one condition."""

    def tasks(
        self, folder: Path, methods: list[str], more: dict[str, Any] | None = None, **options: Any
    ) -> list[ConditionTask]:
        """Return what a run hands to its scheduler."""
        given: list[ConditionTask] = []

        def note(tasks: Sequence[ConditionTask]) -> Iterator[Outcome]:
            given.extend(tasks)
            return iter(())

        changed = {"regression_method": methods, "data_split_seed": 0, **(more or {})}
        quick(folder, scheduler=note, metadata=changed, **options)
        return given

    def test_are_as_many_as_give_each_worker_something_to_do(self, tmp_path: Path) -> None:
        methods = ["RidgeCV", "Lasso", "mean", "LassoCV"]
        tasks = self.tasks(tmp_path, methods)
        assert [blocks_of(tasks, n) for n in (1, 4, 5, 8, 9)] == [
            [0, 0, 0, 0], [0, 0, 0, 0], [0, 2, 0, 2], [0, 2, 0, 2], [0, 3, 0, 3],
        ]  # fmt: skip
        assert blocks_of(self.tasks(tmp_path, methods, blocks=3), 1) == [0, 3, 0, 3]
        assert blocks_of(self.tasks(tmp_path, methods, blocks=1), 99) == [0, 0, 0, 0]
        assert blocks_of([], 2) == []
        run_folder, keys = ExperimentFolder(tasks[1].folder), tasks[1].keys
        run_folder.condition(keys.condition).mkdir(parents=True)
        run_folder.finish(keys.condition, {"fit": keys.fit})
        assert blocks_of(tasks, 3) == [0, 0, 0, 0]
        assert blocks_of(tasks, 4) == [0, 0, 0, 2]
        again = self.tasks(tmp_path, methods, redo="scores", blocks=2)
        assert blocks_of(again, 1) == [0, 0, 0, 2]

    @pytest.mark.parametrize(
        ("method", "more"),
        [
            ("LassoCV", {"kwargs": {"cv": 2, "alphas": 10, "max_iter": 100}}),
            ("Lasso", {"matching_method": "closest", "kwargs": {"alpha": 0.01}}),
            ("ExtraTreesRegressor", {"kwargs": {"n_estimators": 1}}),
        ],
    )
    def test_make_what_one_process_makes(
        self, method: str, more: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folders = [tmp_path / "whole", tmp_path / "blocks"]
        for folder in folders:
            folder.mkdir()
        (whole,), (task,) = (
            self.tasks(folder, [method], more, limit_genes=8) for folder in folders
        )
        assert do_condition(whole).state == "done"
        blocks = [fit_block_of(task, k, 3) for k in range(3)]
        fitted = {k: fit for block in blocks for k, fit in block.items()}
        assert len(fitted) == sum(map(len, blocks)) > 3
        fit_as_before = estimators.fit_block

        def fit_nothing(x: Any, gram: Any, y: Any, *rest: Any) -> Any:
            assert y.shape[1] == 0, "all is fitted by blocks"
            return fit_as_before(x, gram, y, *rest)

        monkeypatch.setattr(estimators, "fit_block", fit_nothing)
        outcome = do_condition(task, fitted=fitted)
        assert outcome.state == "done", outcome.error
        assert hashes(folders[0] / "out") == hashes(folders[1] / "out")

    def test_that_fail_leave_the_error_to_the_condition(self, tmp_path: Path) -> None:
        changed = {"kwargs": {"cv": "none"}}
        (task,) = self.tasks(tmp_path, ["LassoCV"], more=changed)
        assert fit_block_of(task, 0, 2) == {}
        outcome = do_condition(task, fitted={})
        assert outcome.state == "failed"
        assert "cv" in outcome.error

    def test_need_a_cluster(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="make no difference on this machine"):
            quick(tmp_path, blocks=2)


class TestWorkers:
    def around(self, folder: Path, **changes: Any) -> AskingProcess:
        (folder / ".token").touch()
        given = {"folder": str(folder), "token": str(folder / ".token"), "software": software(),
                 "variables": {"PEREGGRN_COLLECTION": "there"}}  # fmt: skip
        return AskingProcess(**{**given, **changes})

    def task(self) -> Any:
        from types import SimpleNamespace as Bag

        return Bag(work=Bag(index=3), keys=Bag(condition="key"))

    def test_work_as_the_asking_process_would(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[Any] = []

        def do(task: ConditionTask, fitted: dict[str, Any]) -> Outcome:
            assert fitted == {"a": 1, "b": 2}
            seen.append((Path.cwd(), os.environ["PEREGGRN_COLLECTION"]))
            assert "PEREGGRN_OTHER" not in os.environ
            return Outcome(task.work.index, "key", "done")

        monkeypatch.setenv("PEREGGRN_OTHER", "here")
        monkeypatch.setattr(of_clusters, "do_condition", do)
        before = Path.cwd(), dict(os.environ)
        blocks = [{"a": 1}, {"b": 2}]
        assert do_there(self.task(), self.around(tmp_path), blocks).state == "done"
        assert seen == [(tmp_path.resolve(), "there")]
        assert (Path.cwd(), dict(os.environ)) == before

    def test_refuse_what_they_cannot_do(self, tmp_path: Path) -> None:
        other = do_there(self.task(), self.around(tmp_path, software="pereggrn-data 0"))
        assert (other.index, other.state) == (3, "failed")
        assert "has pereggrn-data" in other.error
        blind = do_there(self.task(), self.around(tmp_path, token=str(tmp_path / ".none")))
        assert "does not see the folder" in blind.error


class TestOptions:
    def test_local_needs_none(self, tmp_path: Path) -> None:
        assert on_cluster("local") is None
        with pytest.raises(UsageError, match="make no difference"):
            on_cluster("local", tmp_path / "options.yaml")
        with pytest.raises(UsageError, match="no such scheduler"):
            on_cluster("http://localhost")

    def test_without_dask(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import sys

        monkeypatch.setitem(sys.modules, "distributed", None)
        with pytest.raises(MissingExtraError, match="distributed") as caught:
            on_cluster("tcp://127.0.0.1:1")
        assert "pereggrn-data[cluster]" in str(caught.value)

    def test_nobody_answers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("distributed")
        monkeypatch.setattr(of_clusters, "SECONDS_TO_WAIT", 0.2)
        with pytest.raises(UsageError, match="does not answer"):
            quick(tmp_path, scheduler=on_cluster("tcp://127.0.0.1:1"))
        assert not list((tmp_path / "out").glob(".[0-9a-f]*"))

    def test_slurm_is_not_here(self) -> None:
        pytest.importorskip("dask_jobqueue")
        if shutil.which("sbatch"):
            pytest.skip("this machine has Slurm")
        with pytest.raises(UsageError, match="no Slurm"):
            on_cluster("slurm", None)

    def test_slurm_options(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        queue = pytest.importorskip("dask_jobqueue")
        asked: list[dict[str, Any]] = []

        class Stub:
            def __init__(self, **given: Any) -> None:
                asked.append(given)
                if "memory" not in given:
                    raise ValueError("You must specify how much memory to use")
                self.queue = given.get("queue", "normal")

            def job_script(self) -> str:
                return f"#!/bin/sh\n#SBATCH -p {self.queue}\n"

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def scale(self, jobs: int) -> None:
                asked.append({"jobs": jobs})

        monkeypatch.setattr(queue, "SLURMCluster", Stub)
        sbatch = tmp_path / "sbatch"
        sbatch.write_text(
            "#!/bin/sh\n"
            '[ "$1" = --test-only ] || exit 3\n'
            'grep -q "^#SBATCH -p normal$" "$2" && exit 0\n'
            "echo 'sbatch: error: invalid partition specified' >&2; exit 1\n"
        )
        sbatch.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        with slurm_cluster({"cores": 4, "memory": "8GB", "jobs": 3}) as (_, n_workers):
            assert n_workers == 12
        assert asked == [{"cores": 4, "memory": "8GB", "processes": 4}, {"jobs": 3}]
        for wrong, message in (({"cores": 1}, "how much memory"), ({"jobs": 0}, "1 or more")):
            with (
                pytest.raises(InvalidDataError, match="cannot be understood") as caught,
                contextlib.ExitStack() as stack,
            ):
                stack.enter_context(slurm_cluster(wrong))
            assert message in str(caught.value)
        with (
            pytest.raises(InvalidDataError, match="does not take the jobs") as caught,
            slurm_cluster({"cores": 1, "memory": "1GB", "queue": "absent"}),
        ):
            pass
        assert "invalid partition specified" in str(caught.value)
        assert asked[-1] != {"jobs": 1}, "none was submitted"
        sbatch.write_text("#!/bin/sh\nsleep 60\n")
        monkeypatch.setattr(of_clusters, "SECONDS_TO_WAIT", 0.2)
        with (
            pytest.raises(UsageError, match="Slurm does not answer"),
            slurm_cluster({"cores": 1, "memory": "1GB"}),
        ):
            pass
