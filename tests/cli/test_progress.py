"""How a transfer is shown."""

from __future__ import annotations

import pytest

from pereggrn_data.cli import progress
from pereggrn_data.cli.output import Manner
from pereggrn_data.cli.progress import BarProgress, LineProgress, human_size, make_progress
from pereggrn_data.loaders.archive import NoProgress


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (20e9, "20.0 GB"), (None, "unknown")],
)
def test_sizes_for_people(n_bytes: float | None, text: str) -> None:
    assert human_size(n_bytes) == text


def test_plain_lines_when_piped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as quiet:
        quiet.setattr(Manner, "quiet", True)
        assert isinstance(make_progress(), NoProgress)
    shown = make_progress()
    assert isinstance(shown, LineProgress)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    shown.start("a.zip", 2_000_000, 500_000)
    shown.advance(500_000)
    shown.finish()
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = captured.err.splitlines()
    assert first == "a.zip: 2.0 MB, going on at 500.0 kB"
    assert second.startswith("a.zip: 1.0 MB of 2.0 MB, ")
    assert second.endswith("s left")


def test_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    shown = make_progress()
    assert isinstance(shown, BarProgress)
    shown.start("a [b]\x1b[2J\n.zip", 100, 0)  # named by a server
    shown.advance(100)
    shown.finish()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert r"a [b]\x1b[2J\n.zip" in captured.err
    assert "\x1b[2J" not in captured.err
