"""Tables on terminals of any width: no word is broken, and what is left out is named."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pereggrn_data.cli.evaluate.evaluate_app import main
from pereggrn_data.cli.output import Manner, emit_table
from pereggrn_data.cli.terminal_tables import lay_out, wrapped
from pereggrn_data.evaluators.metrics import METRICS
from pereggrn_data.pipelines.split import split

WORDS = st.text("abc_-.=0123", min_size=1, max_size=30)
CELLS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)


@given(
    st.lists(st.lists(CELLS, min_size=4, max_size=4), max_size=5),
    st.integers(20, 200),
)
def test_no_word_is_broken(rows: list[list[str]], width: int) -> None:
    columns = ["name", "first", "second", "third"]
    made = lay_out(columns, rows, right=["first"], width=width)
    shown = [i for i, name in enumerate(columns) if name not in made.left_out]
    assert shown[0] == 0
    expected = sorted(word for row in rows for i in shown for word in row[i].split())
    assert sorted(word for line in made.body for word in line.split()) == expected


@given(st.lists(st.tuples(WORDS, st.integers(0, 10**6).map(str)), min_size=1), st.integers(80, 99))
def test_what_fits_is_left_alone(rows: list[tuple[str, str]], width: int) -> None:
    made = lay_out(["name", "n"], rows, right=["n"], width=width)
    assert len(made.body) == len(rows)
    assert not made.left_out
    assert max(map(len, made.body)) <= width


def test_lines_are_as_wide_as_the_terminal_at_most() -> None:
    rows = [(m.name, m.formula, m.source) for m in METRICS.values()]
    for width in (60, 80, 120):
        made = lay_out(["metric", "formula", "source"], rows, width=width)
        assert max(map(len, (*made.heading, *made.body))) <= width


def test_columns_go_in_the_order_that_was_said() -> None:
    columns, row = ["metric", "value", "mean", "verdict"], ["m" * 20, "1.0", "2.0", "yes"]
    made = lay_out(columns, [row], width=31, expendable=["mean"])
    assert made.left_out == ("mean",)
    assert [line.split() for line in made.body] == [["m" * 20], ["1.0", "yes"]]


def test_a_long_name_has_a_line_of_its_own() -> None:
    made = lay_out(["name", "state"], [["n" * 50, "remote"], ["demo", "embedded"]], width=40)
    assert made.body[0] == "n" * 50
    assert made.body[1].split() == ["remote"]
    assert made.body[2].split() == ["demo", "embedded"]
    assert made.body[1].index("remote") == made.body[2].index("embedded")


@pytest.mark.parametrize("text", ["", "one", "a word_that_is_far_too_long here"])
def test_wrapping_keeps_words(text: str) -> None:
    assert " ".join(wrapped(text, 8)) == text


def test_a_pipe_gets_everything(capsys: pytest.CaptureFixture[str]) -> None:
    emit_table(["name", "detail"], [["a", "word " * 100 + "end"]])
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1].endswith("end")
    assert captured.err == ""


@cache
def on_wide_terminal(words: str) -> str:
    return on_terminal(words, 1000)


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("words", ["metrics", "models", "predict --help", "score -h"])
def test_commands_on_a_terminal(words: str, columns: int) -> None:
    shown = on_terminal(words, columns)
    whole = on_wide_terminal(words)
    assert max(map(len, shown.splitlines())) <= columns or "--help" in words or "-h" in words
    shown = re.sub(r"Not shown, for lack of\s.*?shows\s+all\.", "", shown, flags=re.DOTALL)
    kept = [line for line in shown.splitlines() if "──" not in line]
    assert kept
    assert set(" ".join(kept).split()) <= set(whole.split())


@pytest.mark.parametrize(
    "calibration", ["", pytest.param(" --no-calibration", marks=pytest.mark.slow)]
)
def test_scores_have_a_line_each_in_80_columns(tmp_path: Path, calibration: str) -> None:
    made = split("demo")
    template = made.template
    template.X[:] = made.train.X.mean(axis=0)
    template.X[:, ::2] *= 1.2
    template.write_h5ad(tmp_path / "p.h5ad")
    shown = on_terminal(f"score {tmp_path}/p.h5ad -o {tmp_path}/s --draws 300{calibration}", 80)
    table = shown.split("groups scored\n")[1].split("\n\n")[0].splitlines()
    assert table[0].split()[:3] == ["metric", "value", "mean"]
    assert ("scaled" in table[0].split()) == (not calibration)
    assert max(map(len, table)) <= 80
    # Sentences are divided at spaces, so that a terminal breaks no name in them.
    prose = shown.split("\nsignature:")[0].splitlines()
    assert max(map(len, prose)) <= 80
    judged = [n for n, m in METRICS.items() if m.direction is not None and not m.of_cells]
    assert [line.split()[0] for line in table[2:]] == judged
    assert "for lack of" not in shown


def test_wide_shows_all_on_a_terminal() -> None:
    assert "for lack of" in on_terminal("metrics", 60)
    wide = on_terminal("metrics --wide", 60)
    assert "for lack of" not in wide
    assert all(f"{m.formula}" in wide and m.source in wide for m in METRICS.values())


def test_a_process_of_its_own_shows_the_same() -> None:
    ours, theirs = pty.openpty()
    code = "import sys; sys.argv = ['x', 'metrics']\n"
    code += "from pereggrn_data.cli.evaluate.evaluate_app import main\nmain()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **as_seen(60)},
    ) as running:
        os.close(theirs)
        shown = read_to_the_end(ours)
    assert running.returncode == 0
    assert shown == on_terminal("metrics", 60)


def on_terminal(words: str, columns: int) -> str:
    """Run `pereggrn-eval` in this process, with a pseudo-terminal as stdout and stderr."""
    ours, theirs = pty.openpty()
    with ThreadPoolExecutor(1) as pool, pytest.MonkeyPatch.context() as patch:
        shown = pool.submit(read_to_the_end, ours)
        with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
            for stream in ("stdout", "stderr"):
                patch.setattr(sys, stream, terminal)
            patch.setattr(sys, "argv", ["x", *words.split()])
            for name, value in as_seen(columns).items():
                patch.setenv(name, value)
            patch.setattr(Manner, "wide", False)
            code = left_with(main)
        text = shown.result()
    assert not code
    return text


def left_with(main: Callable[[], None]) -> object:
    """Call a console script, and return the code that it leaves with."""
    try:
        main()
    except SystemExit as left:
        return left.code
    return 0


def as_seen(columns: int) -> dict[str, str]:
    """Return variables that say how wide a terminal is, and that it is plain."""
    return {"COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "dumb"}


def read_to_the_end(ours: int) -> str:
    """Return what is written on the other side of a pseudo-terminal, without its styles."""
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    text = b"".join(parts).decode().replace("\r", "")
    for style in ("\x1b[1m", "\x1b[0m"):
        text = text.replace(style, "")
    return text


def test_manner_is_plain_at_first() -> None:
    assert not Manner.quiet
    assert not Manner.wide


def test_thousands_of_columns_are_laid_out_at_once() -> None:
    columns = [f"column {i}" for i in range(4000)]
    rows = [[str(i) for i in range(4000)]]
    made = lay_out(columns, rows, right=columns, width=80, expendable=columns[:10])
    assert made.heading[0].startswith("column")
    shown = len(made.body[0].split())
    assert shown > 1
    assert len(made.left_out) == 4000 - shown
    assert max(map(len, (*made.heading, *made.body))) <= 80
