"""`pereggrn-data qc` as it is typed."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pereggrn_data import qc
from pereggrn_data.cli.data import data_app
from pereggrn_data.core.errors import UsageError
from pereggrn_data.pipelines.quality_control import write_quality


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    def type_in(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["pereggrn-data", "qc", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            data_app.main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return type_in


def test_tables_are_written_once_and_are_those_of_python(typed: Callable, tmp_path: Path) -> None:
    code, said, _ = typed("demo", "--output", tmp_path / "q")
    assert code == 0
    assert "targets that moved as intended" in said
    expected = qc("demo").tables
    for name, table in expected.items():
        read = pd.read_csv(tmp_path / "q" / f"{name}.csv", keep_default_na=False)
        assert list(read.columns) == list(table.columns)
        assert len(read) == len(table)
    code, _, error = typed("demo", "--output", tmp_path / "q")
    assert code == 2
    assert "nothing is overwritten" in error


def test_json_has_every_table(typed: Callable) -> None:
    code, said, _ = typed("demo", "--json")
    assert code == 0
    assert {name: len(t) for name, t in qc("demo").tables.items()} == {
        name: len(rows) for name, rows in json.loads(said).items()
    }


def test_all_tables_or_none_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = qc("demo")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr([*made.tables.values()][-1], "to_csv", full)
    with pytest.raises(UsageError, match="cannot be written"):
        write_quality(made, tmp_path / "out")
    assert not (tmp_path / "out").exists()
