"""The script of the page on fetching runs."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_server import ArchiveServer

DOCS = Path(__file__).resolve().parents[3] / "docs"
Serve = Callable[..., ArchiveServer]


def script() -> str:
    text = (DOCS / "howto/fetching.md").read_text("utf-8")
    before, after = r"<!-- script -->\n(?:<!--[^\n]*-->\n)?", r"<!-- end script -->"
    match = re.search(rf"{before}```bash\n(.*?)```\n{after}", text, re.DOTALL)
    assert match is not None
    return match[1]


@pytest.mark.slow
def test_from_a_name_to_a_score(serve: Serve, archives: dict[str, Path], tmp_path: Path) -> None:
    """fetch, validate, split and score by name, as the page says."""
    server = serve(archives)
    programs = {"pereggrn-data": "data", "pereggrn-eval": "evaluate"}
    for name, module in programs.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f"#!{sys.executable}\nfrom pereggrn_data.cli.{module} import main\nmain()\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        ["bash", "-c", script()],
        cwd=work,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (work / "score" / "summary.json").exists()
    assert len(server.seen) == 3
    assert "mse" in done.stdout
