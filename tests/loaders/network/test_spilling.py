"""Large questions to networks spill to a private folder, which is there only for as long."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.files.tables import reading_edges
from pereggrn_data.loaders.network import plan

ASK_AND_DIE = """
import os
from pereggrn_data import Network
network = Network.random(["A", "B"], ["A", "B"], density=1, seed=0)
assert len(network.edges())
os._exit(0)  # as workers of pools end: nothing that is registered for the end is called
"""

SORT = (
    "SELECT count(*) FROM (SELECT x, row_number() OVER (ORDER BY x) AS n FROM "
    "(SELECT hash(range) AS x, range AS y FROM range(3_000_000))) WHERE n % 7 = 1"
)


@pytest.fixture(name="here")
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_in(folder: Path) -> list[Path]:
    return [path for above in folder.iterdir() for path in above.iterdir()]


def test_a_process_that_is_ended_leaves_no_folder(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", ASK_AND_DIE],
        check=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert [path.name for path in tmp_path.iterdir()] == [f"pereggrn-{os.getuid()}"]
    assert left_in(tmp_path) == []


def test_what_is_spilled_is_private_and_removed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "MEMORY_MB", 40)
    monkeypatch.setattr(plan, "MOST_THREADS", 1)
    with plan.connection() as database:
        assert not left_in(here)
        database.execute(SORT)
        assert left_in(here), "nothing was spilled; make the question larger"
        (above,) = here.iterdir()
        assert above.stat().st_mode & 0o777 == 0o700
    assert left_in(here) == []


@pytest.mark.usefixtures("here")
def test_a_folder_that_others_could_look_into_is_not_used() -> None:
    first = plan._spill_folder()
    assert plan._spill_folder() != first, "of two connections, one removes it"
    Path(first).parent.chmod(0o755)
    second = Path(plan._spill_folder()).parent
    assert second != Path(first).parent
    assert second.stat().st_mode & 0o777 == 0o700
    assert Path(plan._spill_folder()).parent == second, "every connection leaves a folder"


def test_names_that_others_have_taken(here: Path) -> None:
    name = f"pereggrn-{os.getuid()}"
    (here / name).touch()
    (here / f"{name}-1").symlink_to(here)
    assert Path(plan._spill_folder()).parent == here / f"{name}-2"
    for number in range(2, plan._MOST_FOLDERS):
        (here / f"{name}-{number}").mkdir(exist_ok=True)
        (here / f"{name}-{number}").chmod(0o755)
    assert plan._spill_folder() == ""


def test_folders_that_hand_on_their_group_are_used(here: Path) -> None:
    here.chmod(0o2700)
    assert {Path(plan._spill_folder()).parent for _ in range(3)} == {
        here / f"pereggrn-{os.getuid()}"
    }


def test_what_killed_processes_spilled_is_removed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above = Path(plan._spill_folder()).parent
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    left = above / f"{plan._spilled_by(ended.pid)}0123"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(os, "uname", lambda: SimpleNamespace(nodename="another machine"))
        of_another_machine = above / f"{plan._spilled_by(ended.pid)}0123"
    of_others = [
        Path(plan._spill_folder()),  # of this process, which is at work
        of_another_machine,
        above / "networks-0123",
        above / f"{plan._spilled_by('x')}0123",
    ]
    for folder in (left, *of_others):
        folder.mkdir()
        (folder / "duckdb_temp_storage.tmp").write_bytes(b"x")
    assert sorted(left_in(here)) == sorted([left, *of_others])
    assert plan._spill_folder()
    assert sorted(left_in(here)) == sorted(of_others)


def test_small_questions_need_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with plan.connection() as database:
        assert database.execute("SELECT 1").fetchall() == [(1,)]


def test_a_large_question_without_a_folder_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    monkeypatch.setattr(plan, "MEMORY_MB", 40)
    monkeypatch.setattr(plan, "MOST_THREADS", 1)
    with plan.connection() as database, pytest.raises(UsageError, match="TMPDIR"):
        reading_edges([], lambda: database.execute(SORT))
