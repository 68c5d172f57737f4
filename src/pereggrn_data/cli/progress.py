"""Show how a transfer goes: a bar on a terminal, lines when piped, nothing when quiet."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from pereggrn_data.cli.output import Manner, say
from pereggrn_data.core.printable import one_line
from pereggrn_data.loaders.archive import NoProgress, TransferProgress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 5.0
UNITS = ("bytes", "kB", "MB", "GB", "TB")


def human_size(n_bytes: float | None) -> str:
    """Write a number of bytes for people; decimal units.

    Examples
    --------
    >>> human_size(1_234_567)
    '1.2 MB'
    >>> human_size(None)
    'unknown'
    """
    if n_bytes is None:
        return "unknown"
    value = float(n_bytes)
    for unit in UNITS[:-1]:
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} {UNITS[-1]}"


def make_progress() -> TransferProgress:
    """Return what suits where stderr goes."""
    if Manner.quiet:
        return NoProgress()
    return BarProgress() if sys.stderr.isatty() else LineProgress()


class BarProgress:
    """A bar with rate and time left."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def start(self, label: str, total: int, done: int) -> None:
        """Show the bar."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(one_line(label), total=total, completed=done)
        self._bar.start()

    def advance(self, n_bytes: int) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, n_bytes)

    def finish(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class LineProgress:
    """A line every few seconds."""

    def __init__(self) -> None:
        self._label, self._total, self._done, self._at_start = "", 0, 0, 0
        self._started = self._told = 0.0

    def start(self, label: str, total: int, done: int) -> None:
        """Say what begins."""
        self._label, self._total, self._done, self._at_start = label, total, done, done
        self._started = self._told = time.monotonic()
        going_on = f", going on at {human_size(done)}" if done else ""
        say(f"{label}: {human_size(total)}{going_on}")

    def advance(self, n_bytes: int) -> None:
        """Say how far it is, from time to time."""
        self._done += n_bytes
        now = time.monotonic()
        if now - self._told < SECONDS_BETWEEN_LINES:
            return
        self._told = now
        rate = max(1.0, (self._done - self._at_start) / (now - self._started))
        left = (self._total - self._done) / rate
        say(
            f"{self._label}: {human_size(self._done)} of {human_size(self._total)}, "
            f"{human_size(rate)}/s, {left:.0f} s left"
        )

    def finish(self) -> None:
        """Say nothing more: what follows says whether it is complete."""
