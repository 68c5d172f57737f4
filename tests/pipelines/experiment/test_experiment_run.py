"""Runs of experiments: what is done, kept, redone and reported, and the tables that come of it."""

from __future__ import annotations

import gzip
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.foreign_reading import trusting, trusts_files
from pereggrn_data.pipelines.experiment import (
    ConditionTask,
    ExperimentFolder,
    ExperimentRun,
    Outcome,
    do_condition,
    doing_conditions,
    is_run,
    run,
    strata_of_run,
)
from pereggrn_data.pipelines.experiment.accessory_columns import gene_columns
from pereggrn_data.pipelines.experiment.run_options import parse_numbers

METADATA: dict[str, Any] = {
    "unique_id": "trial",
    "nickname": "trial",
    "readme": "A small experiment on the embedded dataset.",
    "question": "?",
    "is_active": True,
    "factor_varied": "regression_method",
    "perturbation_dataset": "demo",
    "num_genes": 40,
    "regression_method": ["mean", "RidgeCV"],
    "data_split_seed": [0, 1],
}
QUICK = {"draws": 200, "calibrate": False}


def written(folder: Path, **changes: Any) -> Path:
    file = folder / "trial.json"
    file.write_text(json.dumps({**METADATA, **changes}), "utf-8")
    return file


def quick(file: Path, folder: Path, **options: Any) -> ExperimentRun:
    return run(file, folder, score_options=pereggrn_data.ScoreOptions(**QUICK), **options)


def states(made: ExperimentRun) -> list[str]:
    return [outcome.state for outcome in made.outcomes]


def hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of all files that do not say how long something took."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.startswith(".")
        and path.name != "done.json"
        and path.parent.name != "train_resources"
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExperimentRun]:
    folder = tmp_path_factory.mktemp("run")
    return folder, quick(written(folder), folder / "out")


def test_a_run_does_every_condition(finished: tuple[Path, ExperimentRun]) -> None:
    folder, made = finished
    assert states(made) == ["done"] * 4
    out = folder / "out"
    for i in range(4):
        assert (out / f"predictions/{i}.h5ad").is_file()
        resources = pd.read_csv(out / f"train_resources/{i}.csv", index_col=0)
        assert list(resources.columns) == ["walltime (seconds)", "peak RAM"]
    lock = json.loads((out / "experiment.lock.json").read_text())
    assert [entry["state"] for entry in lock["conditions"].values()] == ["finished"] * 4
    genes = pd.read_csv(out / "genes_modeled.csv", index_col=0)["genes_modeled"]
    assert genes.is_unique


def test_tables_have_the_originals_columns(finished: tuple[Path, ExperimentRun]) -> None:
    folder, made = finished
    per_pert = pd.read_parquet(folder / "out/evaluationPerPert.parquet")
    per_target = pd.read_parquet(folder / "out/evaluationPerTarget.parquet")
    ours = pd.read_parquet(folder / "out/scores.parquet")
    for table in (per_pert, per_target):
        assert {"index", "gene", "condition", "prediction_timescale", "mae", "mse"} <= {*table}
        assert set(made.conditions.rows[0]) <= {*table}
        assert sorted(table["condition"].unique()) == [0, 1, 2, 3]
    assert {"distance_in_pca", "spearman", "num_observations_in_group"} <= {*per_pert}
    own = ours[(ours["method"] == "predictions") & (ours["condition"] == 2)]
    theirs = per_pert[per_pert["condition"] == 2]
    assert list(theirs["mae"]) == list(own["mae"])
    assert list(theirs["gene"]) == list(own["perturbation"])


class TestAccessoryColumns:
    """What the original's tables of the collection know of genes."""

    DEGREES = ",network,in-degree,out-degree\nDEMOTF01,b,2,0\nDEMOTF02,b,1,3\nDEMOTF01,a,4,5\n"
    CONSTRAINT = (
        "transcript\tgene\tchr\tn_exons\tbp\tmis_z\tpLI\n"
        "T1\tDEMOTF01\t13\t20\t777\t-1.3\t0.99\nT2\tDEMOTF01\t13\t9\t7\t0\t0.5\n"
        "T3\tDEMOTF09\tX\t2\t66\tNA\tNA\n"
    )

    def collection(self, folder: Path) -> str:
        accessory = folder / "accessory_data"
        accessory.mkdir()
        for name, text in (
            ("degree_info.csv.gz", self.DEGREES),
            ("forweb_cleaned_exac_r03_march16_z_data_pLI_CNV-final.txt.gz", self.CONSTRAINT),
        ):
            (accessory / name).write_bytes(gzip.compress(text.encode()))
        return str(folder)

    def test_are_those_of_the_tables(self, tmp_path: Path) -> None:
        found = gene_columns(["DEMOTF01", "DEMOTF09", "Z"], self.collection(tmp_path))
        assert found.lacking == {}
        assert list(found.known) == [
            "in-degree_a", "in-degree_b", "out-degree_a", "out-degree_b",
            "transcript", "chr", "n_exons", "bp", "mis_z", "pLI",
        ]  # fmt: skip
        expected = [4, 2, 5, 0, "T2", "13", 20, 777, 0, 0.99]
        assert found.known.loc["DEMOTF01"].tolist() == expected
        assert found.known.loc["DEMOTF09"].dropna().tolist() == ["T3", "X", 2, 66]
        assert found.known.loc["Z"].isna().all()

    def test_stand_in_both_tables_or_the_lock_file_says_why_not(
        self, finished: tuple[Path, ExperimentRun], tmp_path: Path
    ) -> None:
        folder, _ = finished
        lock = json.loads((folder / "out/experiment.lock.json").read_text())
        assert set(lock["columns_not_written"]) == {"network_degrees", "gene_constraint"}
        assert "pereggrn-data fetch" in lock["columns_not_written"]["gene_constraint"]
        out = tmp_path / "out"
        shutil.copytree(folder / "out", out)
        made = quick(written(tmp_path), out, collection=self.collection(tmp_path))
        assert states(made) == ["kept"] * 4
        for table in ("evaluationPerPert", "evaluationPerTarget"):
            known = pd.read_parquet(out / f"{table}.parquet").set_index("gene")
            rows = known.loc[["DEMOTF01"]]
            assert set(rows["out-degree_a"]) == {5}
            assert set(rows["transcript"]) == {"T2"}
        lock = json.loads((out / "experiment.lock.json").read_text())
        assert lock["columns_not_written"] == {}

    def test_of_tables_that_cannot_be_read_are_lacking(self, tmp_path: Path) -> None:
        collection = self.collection(tmp_path)
        for file in (tmp_path / "accessory_data").iterdir():
            file.write_bytes(gzip.compress(b"a,b\n1,2\n"))
        found = gene_columns(["DEMOTF01"], collection)
        assert list(found.known) == []
        assert all(found.lacking.values())
        assert len(found.lacking) == 2


def test_tables_of_an_earlier_run_do_not_outlive_it(tmp_path: Path) -> None:
    """Where nothing of the experiment as it is now is finished, or can be compared."""
    file = written(tmp_path, regression_method="mean", data_split_seed=0)
    out = tmp_path / "out"
    quick(file, out)
    tables = [*out.glob("*.parquet"), out / "comparison.csv", out / "genes_modeled.csv"]
    assert len(tables) == 5
    made = quick(written(tmp_path, regression_method="GEARS", data_split_seed=0), out)
    assert states(made) == ["failed"]
    assert [table.name for table in tables if table.exists()] == []


def test_scores_are_those_of_predict_and_score(finished: tuple[Path, ExperimentRun]) -> None:
    folder, _ = finished
    made = pereggrn_data.split("demo", seed=1, num_genes=40)
    report = pereggrn_data.score(pereggrn_data.predict(made, "RidgeCV"), **QUICK)
    mine = pd.read_parquet(folder / "out/scores.parquet").query("condition == 3")
    mine = mine[mine["method"] == "predictions"].reset_index(drop=True)
    own = report.scores.groups.query("method == 'predictions'").reset_index(drop=True)
    for metric in ("mae", "spearman", "discrimination_l1"):
        assert mine[metric].tolist() == pytest.approx(own[metric].tolist(), rel=1e-9)


def test_seeds_of_a_method_are_pooled_in_the_comparison(
    finished: tuple[Path, ExperimentRun],
) -> None:
    folder, _ = finished
    table = pd.read_csv(folder / "out/comparison.csv")
    assert set(table["method"]) == {"RidgeCV", "mean", "median"}
    assert set(table[table["method"] == "RidgeCV"]["runs"]) == {2}


def test_what_is_finished_is_kept(finished: tuple[Path, ExperimentRun]) -> None:
    folder, _ = finished
    before = hashes(folder / "out")
    assert states(quick(written(folder), folder / "out")) == ["kept"] * 4
    assert hashes(folder / "out") == before


def test_an_edited_experiment_shows_what_changed_and_does_what_is_new(tmp_path: Path) -> None:
    quick(written(tmp_path, data_split_seed=0), tmp_path / "out")
    told: list[str] = []
    edited = written(tmp_path, data_split_seed=0, regression_method=["median", "RidgeCV"])
    planned = quick(edited, tmp_path / "out", dry_run=True, say=told.append)
    assert states(planned) == ["to do", "kept"]
    assert any(line.startswith("-0,") for line in told)
    assert any(line.startswith("+0,") and "median" in line for line in told)
    assert "mean" in (tmp_path / "out/conditions.csv").read_text().splitlines()[1]
    assert states(quick(edited, tmp_path / "out")) == ["done", "kept"]
    scores = pd.read_parquet(tmp_path / "out/evaluationPerPert.parquet")
    assert set(scores["regression_method"]) == {"median", "RidgeCV"}


def test_conditions_that_fail_are_reported_and_the_others_go_on(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        data_split_seed=0,
        expand="ladder",
        regression_method=["GEARS", "mean", "RidgeCV", "Lasso"],
        kwargs=[{}, {}, {"alphas": [-1]}, {"no_such_argument": 1}],
    )
    made = quick(file, tmp_path / "out")
    assert states(made) == ["failed", "done", "failed", "failed"]
    errors = [outcome.error for outcome in made.failed]
    assert "GEARS" in errors[0]
    assert "positive" in errors[1]
    assert "no_such_argument" in errors[2]
    assert sorted(pd.read_parquet(tmp_path / "out/scores.parquet")["condition"].unique()) == [1]
    lock = json.loads((tmp_path / "out/experiment.lock.json").read_text())
    assert "positive" in lock["conditions"]["2"]["error"]


def test_what_a_container_says_in_the_end_is_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "bin/docker"
    runtime.parent.mkdir()
    runtime.write_text("#!/bin/sh\necho 'Cannot connect to the daemon.' >&2\nexit 125\n")
    runtime.chmod(0o755)
    monkeypatch.setenv("PATH", f"{runtime.parent}{os.pathsep}{os.environ['PATH']}")
    file = written(tmp_path, data_split_seed=0, regression_method="docker____some/image")
    (failed,) = quick(file, tmp_path / "out").failed
    assert "Docker itself failed" in failed.error
    assert failed.error.endswith("the end of its output:\n    Cannot connect to the daemon.")


def test_only_some_conditions_are_done_and_the_tables_grow(tmp_path: Path) -> None:
    file = written(tmp_path)
    assert [o.index for o in quick(file, tmp_path / "out", only=(3,)).outcomes] == [3]
    quick(file, tmp_path / "out", only=(0,))
    table = pd.read_parquet(tmp_path / "out/evaluationPerPert.parquet")
    assert sorted(table["condition"].unique()) == [0, 3]
    with pytest.raises(UsageError, match="no condition 9"):
        quick(file, tmp_path / "out", only=(9,))


def test_scores_and_models_can_be_done_again(tmp_path: Path) -> None:
    file = written(tmp_path, data_split_seed=0, regression_method="RidgeCV")
    quick(file, tmp_path / "out")
    predictions = tmp_path / "out/predictions/0.h5ad"
    before = predictions.stat().st_mtime_ns
    assert states(quick(file, tmp_path / "out", redo="scores")) == ["done"]
    assert predictions.stat().st_mtime_ns == before
    assert states(quick(file, tmp_path / "out", redo="models")) == ["done"]
    assert predictions.stat().st_mtime_ns > before
    # Other scores of the same fit.
    again = run(
        file,
        tmp_path / "out",
        score_options=pereggrn_data.ScoreOptions(**QUICK, targeted_genes="exclude"),
    )
    assert states(again) == ["done"]
    assert len(list((tmp_path / "out/conditions").iterdir())) == 2


def test_equal_conditions_are_done_once(tmp_path: Path) -> None:
    file = written(tmp_path, data_split_seed=[0, 0], regression_method="mean")
    assert states(quick(file, tmp_path / "out")) == ["done", "kept"]


def test_a_condition_whose_files_were_damaged_is_done_again(tmp_path: Path) -> None:
    file = written(tmp_path, data_split_seed=0, regression_method="mean")
    made = quick(file, tmp_path / "out")
    key = made.outcomes[0].key
    folder = ExperimentFolder(tmp_path / "out")
    (folder.condition(key) / "step_1/scores.parquet").write_bytes(b"")
    assert folder.done(key) is None
    assert states(quick(file, tmp_path / "out")) == ["done"]


def test_folds_hold_out_everything_once_and_are_pooled_in_the_comparison(tmp_path: Path) -> None:
    file = written(
        tmp_path, data_split_seed=0, regression_method="mean", type_of_split="k_fold", folds=2
    )
    assert states(quick(file, tmp_path / "out")) == ["done"] * 2
    per_pert = pd.read_parquet(tmp_path / "out/evaluationPerPert.parquet")
    assert per_pert["perturbation"].is_unique
    assert sorted(per_pert["fold"].unique()) == [0, 1]
    table = pd.read_csv(tmp_path / "out/comparison.csv")
    assert set(table.loc[~table["is_baseline"], "runs"]) == {2}


@pytest.mark.shared
def test_a_cell_type_is_held_out(shared: Path, tmp_path: Path) -> None:
    file = written(
        tmp_path,
        perturbation_dataset="celltypes",
        data_split_seed=0,
        regression_method="mean",
        type_of_split="cell_type",
        heldout_cell_type="beta",
    )
    made = quick(file, tmp_path / "out", collection=str(shared / "golden/inputs"))
    assert states(made) == ["done"], made.outcomes[0].error
    per_pert = pd.read_parquet(tmp_path / "out/evaluationPerPert.parquet")
    assert set(per_pert["cell_type"]) == {"beta"}


def test_a_report_shows_the_finished_conditions(
    finished: tuple[Path, ExperimentRun], tmp_path: Path
) -> None:
    pytest.importorskip("altair")
    folder, _ = finished
    page = tmp_path / "page.html"
    made = quick(written(folder), folder / "out", report=page)
    assert states(made) == ["kept"] * 4
    assert page in made.files
    text = page.read_text("utf-8")
    assert "Experiment trial" in text
    assert "RidgeCV" in text
    for options in ({"report": tmp_path / "page.txt"}, {"report": page, "dry_run": True}):
        with pytest.raises(UsageError):
            quick(written(folder), folder / "out", **options)


def test_splits_that_have_nothing_in_common_have_reports_of_their_own(tmp_path: Path) -> None:
    pytest.importorskip("altair")
    file = written(
        tmp_path,
        expand="ladder",
        data_split_seed=[0, 1],
        regression_method=["mean", "median"],
    )
    made = quick(file, tmp_path / "out", report=tmp_path / "page.html")
    pages = sorted(f.name for f in made.files if f.suffix == ".html")
    splits = sorted(f.name[:8] for f in (tmp_path / "out/splits").iterdir())
    assert pages == [f"page-{split}.html" for split in splits]
    assert any("each split has its own" in note for note in made.notes)


def test_without_finished_conditions_there_is_no_report(tmp_path: Path) -> None:
    pytest.importorskip("altair")
    file = written(tmp_path, data_split_seed=0, regression_method="GEARS")
    made = quick(file, tmp_path / "out", report=tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
    assert any("no condition is finished" in note for note in made.notes)


def test_calibrations_stand_beside_a_run(tmp_path: Path) -> None:
    file = written(tmp_path, regression_method="mean", num_genes=20)
    run(file, tmp_path / "out", score_options=pereggrn_data.ScoreOptions(draws=200))
    table = pd.read_csv(tmp_path / "out/calibration.csv")
    assert set(table["split"]) == {f.name for f in (tmp_path / "out/splits").iterdir()}
    assert not table.duplicated(["split", "metric"]).any()
    assert {"dataset", "mae", "duplicate_wins", "discriminates"} <= {*table, *table["metric"]}
    quick(file, tmp_path / "out")
    assert not (tmp_path / "out/calibration.csv").exists()


def test_what_a_killed_process_half_wrote_is_no_file_of_the_condition(tmp_path: Path) -> None:
    """Staging folders are removed later, which must not undo a condition."""
    folder = ExperimentFolder(tmp_path)
    condition = folder.condition("key")
    whole = condition / "step_1/scores.parquet"
    staged = [condition / ".step_1.partial/scores.parquet", condition / "step_1/.half.h5ad"]
    for path in (whole, *staged):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"some bytes")
    folder.finish("key", {})
    said = folder.done("key")
    assert said is not None
    assert said["files"] == {"step_1/scores.parquet": 10}
    for path in staged:
        path.unlink()
    assert folder.done("key") == said


def test_several_steps_have_scores_of_their_own(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        data_split_seed=0,
        regression_method="RidgeCV",
        eligible_regulators="perturbed_genes",
        prediction_timescale="1,3",
    )
    quick(file, tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out/evaluationPerPert.parquet")
    means = table.groupby("prediction_timescale")["mae"].mean()
    assert list(means.index) == [1, 3]
    assert means[1] != means[3]


def test_networks_random_ones_among_them_go_to_models(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        data_split_seed=0,
        regression_method="RidgeCV",
        network_prior="restrictive",
        network_datasets={"demo": {}, "dense": {}, "empty": {}, "random0.1": {}},
    )
    made = quick(file, tmp_path / "out")
    assert states(made) == ["done"] * 4
    table = pd.read_parquet(tmp_path / "out/evaluationPerPert.parquet")
    assert table.groupby("network_datasets")["mae"].mean().nunique() == 4


@pytest.mark.slow
@pytest.mark.whole_forest  # as in the other processes
@pytest.mark.whole_strata
def test_processes_give_the_same_tables(tmp_path: Path) -> None:
    for jobs in (1, 2):
        quick(written(tmp_path), tmp_path / f"{jobs}", jobs=jobs)
    assert hashes(tmp_path / "1") == hashes(tmp_path / "2")


@pytest.mark.parametrize("trusted", [True, False])
def test_conditions_trust_files_as_the_run_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """Wherever they are done: what other processes know is what their tasks say."""
    tasks: list[ConditionTask] = []

    def take(given: Any) -> Any:
        tasks.extend(given)
        return iter(())

    with trusting(trusted):
        quick(written(tmp_path), tmp_path / "out", scheduler=take)
    seen = []
    monkeypatch.setattr(doing_conditions, "_describe", lambda *_: seen.append(trusts_files()))
    monkeypatch.setattr(doing_conditions, "_reusable", _stop)
    assert do_condition(tasks[0]).state == "failed"
    assert seen == [trusted]


def _stop(*_: Any) -> Any:
    raise UsageError("far enough")


def _killed_at_first(tasks: Any) -> Any:
    """Do the first task, and the second one in a process that is killed half-way."""
    yield do_condition(tasks[0])
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_die_in, args=(tasks[1],))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    raise KeyboardInterrupt


def _die_in(task: ConditionTask) -> None:
    from pereggrn_data.pipelines.experiment import doing_conditions

    def die(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    doing_conditions._score = die  # type: ignore[assignment]
    do_condition(task)


def test_a_killed_run_goes_on_where_it_stopped(
    finished: tuple[Path, ExperimentRun], tmp_path: Path
) -> None:
    folder, _ = finished
    file = written(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        quick(file, tmp_path / "out", scheduler=_killed_at_first)
    assert sorted(states(quick(file, tmp_path / "out"))) == ["done", "done", "done", "kept"]
    assert hashes(tmp_path / "out") == hashes(folder / "out")


def test_a_run_that_cannot_be_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="num_gene"):
        quick(written(tmp_path, num_gene=3), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_genes_can_be_limited(tmp_path: Path) -> None:
    file = written(tmp_path, data_split_seed=0, regression_method="mean", num_genes="all")
    quick(file, tmp_path / "out", limit_genes=40)
    few = pd.read_csv(tmp_path / "out/genes_modeled.csv")
    quick(file, tmp_path / "out")
    assert len(few) < len(pd.read_csv(tmp_path / "out/genes_modeled.csv"))


@pytest.mark.parametrize(
    ("text", "numbers"), [("3", (3,)), ("3,5", (3, 5)), ("0-2, 7", (0, 1, 2, 7)), ("2,2", (2,))]
)
def test_numbers_are_read(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "a", "3-1", "1-", "-1", "0-99999999"])
def test_other_numbers_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_numbers(text)


@pytest.mark.parametrize(
    ("only", "numbers"), [("0,2", (0, 2)), (3, (3,)), ([2, 1, 2], (2, 1)), (range(3), (0, 1, 2))]
)
def test_in_python_numbers_may_be_numbers_or_text(only: Any, numbers: tuple[int, ...]) -> None:
    assert pereggrn_data.RunOptions(only=only).only == numbers


@pytest.mark.parametrize("only", ["0;2", [-1], [1.5]])
def test_in_python_other_numbers_are_refused_too(only: Any) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        pereggrn_data.RunOptions(only=only)


def test_progress_is_told_of_every_condition(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    def tell(outcome: Outcome, done: int, total: int) -> None:
        told.append((done, total))

    quick(written(tmp_path, data_split_seed=0), tmp_path / "out", told=tell)
    assert told == [(1, 2), (2, 2)]


def test_strata_of_genes_of_a_run(finished: tuple[Path, ExperimentRun]) -> None:
    folder, _ = finished
    table, _ = strata_of_run(folder / "out", bins=3)
    assert sorted(table["split"].unique()) == [0, 1]
    assert set(table["feature"]) == {"mean", "variance", "dispersion"}
    methods = set(table.loc[~table["is_baseline"], "method"])
    assert methods == {"0 mean", "1 mean", "2 RidgeCV", "3 RidgeCV"}
    assert is_run(folder / "out")
    assert not is_run(folder)
    with pytest.raises(InvalidDataError, match="not the folder of a run"):
        strata_of_run(folder)


def test_ridge_regressions_on_one_split_share_a_decomposition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pereggrn_data.models.ridge import shared_decompositions

    made: list[int] = []
    eigh = shared_decompositions.scipy.linalg.eigh

    def counted(gram: Any, **options: Any) -> Any:
        made.append(len(gram))
        return eigh(gram, **options)

    monkeypatch.setattr(shared_decompositions.scipy.linalg, "eigh", counted)
    several = written(
        tmp_path,
        data_split_seed=0,
        regression_method="RidgeCV",
        kwargs={"alphas": [0.1, 1, 10]},
        kwargs_to_expand=["alphas"],
    )
    quick(several, tmp_path / "out")
    shared = len(made)
    made.clear()
    quick(several, tmp_path / "alone", only=(2,))
    assert shared == len(made)
    mine = hashes(tmp_path / "out")["predictions/2.h5ad"]
    assert mine == hashes(tmp_path / "alone")["predictions/2.h5ad"]


@pytest.mark.shared
@pytest.mark.slow
def test_a_whole_experiment_agrees_with_the_original(shared: Path, tmp_path: Path) -> None:
    """Where it does otherwise on purpose, it is asked to do as the original does."""
    inputs = shared / "golden/inputs"
    made = quick(
        inputs / "perturbation_benchmarking/experiments/i_subtype",
        tmp_path,
        collection=str(inputs),
        as_original=True,
    )
    assert states(made) == ["done"] * 3
    golden = shared / "golden/runs/i_subtype"
    assert (tmp_path / "conditions.csv").read_text() == (golden / "conditions.csv").read_text()
    keys = ["condition", "gene"]
    for table, metrics in (
        ("evaluationPerPert", ["mae", "mse", "mse_top_20", "pearson", "distance_in_pca"]),
        ("evaluationPerTarget", ["mae", "mse", "standard_deviation"]),
    ):
        mine = pd.read_parquet(tmp_path / f"{table}.parquet")
        theirs = pd.read_parquet(golden / f"{table}.parquet").drop_duplicates(keys)
        both = theirs.merge(mine, on=keys, suffixes=("", "_mine"), how="left")
        for metric in metrics:
            expected = pd.to_numeric(both[metric]).tolist()
            assert both[f"{metric}_mine"].tolist() == pytest.approx(expected, rel=2e-4, abs=1e-4)
        degrees = [c for c in theirs if "-degree_" in c]
        assert len(degrees) == 4
        for column in (*degrees, "n_exons", "bp", "mis_z", "pLI"):
            expected = pd.to_numeric(both[column], errors="coerce").tolist()
            ours = both[f"{column}_mine"].tolist()
            assert ours == pytest.approx(expected, rel=1e-6, nan_ok=True), column
