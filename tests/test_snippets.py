"""What README and docs tell a reader to type works with what a reader has.

Blocks of one page are run one after the other in one empty folder, without a local
collection. A block that cannot be run says why in the line before it, as
``<!-- not run: REASON -->``; ``<!-- run with: CODE -->`` gives a Python block the names
that stand for the reader's own code, and ``<!-- saved as: FILE -->`` is for a program
that the reader saves and a later block runs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>not run|run with|saved as): (?P<said>[^\n]+) -->\n)?"
    r"^```(?P<language>console|bash|sh|python)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
LEAST_RUN = 8
"""Blocks of all pages together: a test of nothing would pass, too."""


def blocks(page: Path) -> list[dict[str, str]]:
    return [found.groupdict(default="") for found in BLOCK.finditer(page.read_text("utf-8"))]


def command(block: dict[str, str]) -> list[str]:
    if block["language"] == "python":
        before = block["said"] if block["mark"] == "run with" else ""
        return [sys.executable, "-c", f"{before}\n{block['text']}"]
    lines = block["text"].splitlines()
    typed, goes_on = [], False
    for line in lines:
        if line.startswith("$ ") or goes_on:
            typed.append(line.removeprefix("$ "))
            goes_on = line.endswith("\\")
    return ["bash", "-ec", "\n".join(typed or lines)]


def test_blocks_are_found_and_most_are_run() -> None:
    found = [block for page in PAGES for block in blocks(page)]
    assert sum(block["mark"] != "not run" for block in found) >= LEAST_RUN
    assert all(block["said"].strip() for block in found if block["mark"])


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
        if block["mark"] == "not run":
            continue
        if block["mark"] == "saved as":
            (folder / block["said"]).write_text(block["text"], "utf-8")
            continue
        done = subprocess.run(
            command(block), cwd=folder, env=environment, capture_output=True, text=True,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{block['text']}\n{done.stdout}\n{done.stderr}"
