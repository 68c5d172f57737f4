"""What README and docs tell a reader to type works with what a reader has.

Blocks of one page are run one after the other in one empty folder, without a local
collection. Lines before a block say what is peculiar to it:

- ``<!-- given: FILE, FILE -->``: files that stand for the reader's own, made by
  ``given_files.py``;
- ``<!-- run with: CODE -->`` gives a Python block the names that stand for the reader's
  own code;
- ``<!-- saved as: FILE -->``: a program that the reader saves and a later block runs;
- ``<!-- ends with: CODE -->``: the exit code, where it is not 0;
- ``<!-- needs: MODULE -->``: an extra, without which the block is not run;
- ``<!-- not run: REASON -->``: what no test can run.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from given_files import GIVEN

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [
    REPOSITORY / "README.md",
    *sorted(p for p in (REPOSITORY / "docs").rglob("*.md") if p.parent.name != "generated"),
]
BLOCK = re.compile(
    r"(?P<marks>(?:<!-- [a-z ]+: [^\n]+ -->\n)*)"
    r"^```(?P<language>console|bash|sh|python)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
MARK = re.compile(r"<!-- (?P<mark>[a-z ]+): (?P<said>[^\n]+) -->\n")
MARKS = {"given", "run with", "saved as", "ends with", "needs", "not run"}
LEAST_RUN = 30
"""Blocks of all pages together: a test of nothing would pass, too."""


@dataclass(frozen=True)
class Block:
    """What a reader is told to type, and what is said of it in front."""

    language: str
    text: str
    marks: dict[str, str]


def blocks(page: Path) -> list[Block]:
    return [
        Block(found["language"], found["text"], dict(MARK.findall(found["marks"])))
        for found in BLOCK.finditer(page.read_text("utf-8"))
    ]


def command(block: Block) -> list[str]:
    if block.language == "python":
        return [sys.executable, "-c", f"{block.marks.get('run with', '')}\n{block.text}"]
    lines = block.text.splitlines()
    typed, goes_on = [], False
    for line in lines:
        if line.startswith("$ ") or goes_on:
            typed.append(line.removeprefix("$ "))
            goes_on = line.endswith("\\")
    return ["bash", "-ec", "\n".join(typed or lines)]


def test_blocks_are_found_and_most_are_run() -> None:
    found = [block for page in PAGES for block in blocks(page)]
    assert sum("not run" not in block.marks for block in found) >= LEAST_RUN
    for block in found:
        assert set(block.marks) <= MARKS, block.marks
        assert all(said.strip() for said in block.marks.values())


def test_nothing_is_promised_that_does_not_exist() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        assert "pip install pereggrn-data" not in text
        assert not re.search(r"rev: v\d", text)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_written_works(page: Path, tmp_path: Path) -> None:
    environment = {name: v for name, v in os.environ.items() if not name.startswith("PEREGGRN_")}
    environment["PEREGGRN_CACHE"] = str(tmp_path / "cache")
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    folder = tmp_path / "reader"
    folder.mkdir()
    for block in blocks(page):
        marks = block.marks
        if "not run" in marks or not importlib.util.find_spec(marks.get("needs", "os")):
            continue
        if "saved as" in marks:
            (folder / marks["saved as"]).write_text(block.text, "utf-8")
            continue
        for name in filter(None, marks.get("given", "").split(", ")):
            GIVEN[name](folder / name)
        done = subprocess.run(
            command(block), cwd=folder, env=environment, capture_output=True, text=True,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        expected = int(marks.get("ends with", "0"))
        assert done.returncode == expected, f"{block.text}\n{done.stdout}\n{done.stderr}"
