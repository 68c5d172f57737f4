"""What adapters say of themselves: read from their headers, and from nowhere else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pereggrn_data.adapters.program_headers import (
    Adapter,
    adapters,
    adapters_table,
    find_adapter,
    read_adapter,
)
from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingFileError,
    PereggrnError,
    UnknownNameError,
    UsageError,
)
from pereggrn_data.core.options import options_of
from pereggrn_data.models import METHODS
from pereggrn_data.pipelines.predict import ModelOptions

HEADER = """\
# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy"]
#
# [tool.pereggrn]
# summary = "Forecasts nothing moves."
# reference = "nobody"
# licence = "MIT"
# needs = "nothing"
# size = "1 MB"
# tried = "here"
# heeds = ["seed"]
#
# [tool.pereggrn.options]
# sets = { help = "A file.", path = true, required = true }
# epochs = { help = "How often." }
# ///
"""

ours = pytest.mark.parametrize("adapter", adapters(), ids=lambda adapter: adapter.name)


def written(folder: Path, text: str) -> Path:
    path = folder / "mine_adapter.py"
    path.write_text(text, encoding="utf-8")
    return path


@ours
def test_adapters_are_found_by_the_name_of_their_program(adapter: Adapter) -> None:
    assert find_adapter(adapter.name) == adapter
    assert find_adapter(str(adapter.program)) == adapter
    assert adapter.name in adapters_table()
    methods = {name for method in METHODS for name in (method.name, *method.aliases)}
    assert adapter.name not in methods
    assert set(adapter.heeds) <= set(options_of(ModelOptions))
    assert adapter.checked_arguments(adapter.check) == adapter.check


@ours
def test_locks_pin_all_that_the_header_names_and_name_no_server(adapter: Adapter) -> None:
    text = adapter.lock.read_text("utf-8")
    assert "://" not in text
    pins = dict(re.findall(r"^([a-z0-9.-]+)==([^ ]+)", text, re.MULTILINE))
    lines = [line for line in text.splitlines() if not line.startswith("    --hash=sha256:")]
    assert len(lines) >= len(pins) > len(adapter.dependencies)
    assert all(re.match(r"[a-z0-9.-]+==", line) and line.endswith("\\") for line in lines)
    for dependency in adapter.dependencies:
        name, *exactly = dependency.split("==")
        name = re.split(r"[<>~=!; ]", name)[0]
        assert name in pins
        assert not exactly or pins[name] == exactly[0]


@ours
def test_no_program_is_called_like_a_module_that_it_imports(adapter: Adapter) -> None:
    """A program's folder may come first on the path: it would import itself."""
    tree = ast.parse(adapter.program.read_text("utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
        )
    }
    assert not imported & {other.program.stem for other in adapters()}
    assert "pereggrn_data" not in imported  # it is not in the program's environment


def test_a_program_of_ones_own_is_read_by_its_path(tmp_path: Path) -> None:
    found = find_adapter(str(written(tmp_path, HEADER)))
    assert found is not None
    assert (found.name, found.size_bytes, found.lock.name) == (
        "mine",
        1_000_000,
        "mine_adapter.py.lock",
    )
    assert found.options["sets"].required
    assert not found.options["epochs"].path
    with pytest.raises(MissingFileError):
        find_adapter(str(tmp_path / "absent.py"))
    assert find_adapter("absent") is None


@pytest.mark.parametrize(
    "change",
    [
        ("# /// script", "# script"),
        ("# ///\n", ""),
        ('# dependencies = ["numpy"]\n', ""),
        ('# licence = "MIT"\n', ""),
        ('licence = "MIT"', 'license = "MIT"'),
        ('licence = "MIT"', "licence = 1"),
        ('size = "1 MB"', 'size = "large"'),
        ('help = "How often."', 'halp = "How often."'),
        ("[tool.pereggrn]", "[tool.other]"),
        ('# heeds = ["seed"]', "# heeds = 3"),
        ("# summary =", "# summary"),
    ],
)
def test_headers_that_say_too_little_or_something_else_are_refused(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    assert HEADER.count(change[0]) >= 1
    path = written(tmp_path, HEADER.replace(*change))
    with pytest.raises(InvalidDataError, match="does not say what it is") as caught:
        read_adapter(path)
    assert "licence" in str(caught.value)


def test_a_program_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidDataError):
        read_adapter(path)
    with pytest.raises(InvalidDataError):
        read_adapter(tmp_path)


def test_arguments_are_checked_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = read_adapter(written(tmp_path, HEADER))
    monkeypatch.chdir(tmp_path)
    Path("sets.gmt").write_text("x")
    found = adapter.checked_arguments({"sets": "sets.gmt", "epochs": 2})
    assert found == {"sets": str(tmp_path / "sets.gmt"), "epochs": 2}
    wrong: list[tuple[dict[str, object], type[PereggrnError], str]] = [
        ({"sets": "sets.gmt", "epoch": 2}, UnknownNameError, "did you mean epochs"),
        ({"sets": "other.gmt"}, MissingFileError, "other.gmt"),
        ({"epochs": 2}, UsageError, "-a sets="),
    ]
    for arguments, kind, said in wrong:
        with pytest.raises(kind, match=said):
            adapter.checked_arguments(arguments)
