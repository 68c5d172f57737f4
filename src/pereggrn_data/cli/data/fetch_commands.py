"""The commands `fetch` and `verify`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pereggrn_data.cli.output import Manner, emit, emit_json, emit_table, insist, say
from pereggrn_data.cli.programs import HelpfulApp
from pereggrn_data.cli.progress import human_size, make_progress
from pereggrn_data.cli.shared_options import Json, Lock, Release, Yes
from pereggrn_data.core.errors import ExitCode

if TYPE_CHECKING:
    from pereggrn_data.loaders.archive import FetchedFile
    from pereggrn_data.pipelines.collection import FetchPlan

Names = Annotated[
    list[str] | None,
    typer.Argument(help="Names of datasets, networks or tables; or zenodo:RECORD/FILE."),
]


def register(app: HelpfulApp) -> None:
    """Add the commands to a program."""
    app.command("fetch", example="pereggrn-data fetch nakatake  # downloads")(fetch_command)
    app.command("verify", example="pereggrn-data verify")(verify_command)


def fetch_command(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the release holds.")] = False,
    member: Annotated[
        str | None, typer.Option(help="Bring only this file from inside zenodo:RECORD/FILE.zip.")
    ] = None,
    release: Release = None,
    lock: Lock = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never touch the network; say what is missing.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Bring published datasets, networks or tables into the cache, each on its own, verified.

    zenodo:RECORD/FILE brings any file of any record of the archive, verified by the
    record's md5; that name then works wherever a path does, in `convert` too.

    Prints the paths of the files. What was interrupted goes on where it
    stopped; what is here already is only checked.
    """
    from pereggrn_data.pipelines.collection import fetch

    fetched = fetch(
        names or (),
        everything=everything,
        release=release,
        lock=lock,
        member=member,
        offline=offline,
        say=say,
        warn=insist,
        progress=make_progress(),
        confirm=lambda plan: _confirm(plan, ask=not (yes or Manner.quiet)),
    )
    if as_json:
        emit_json(fetched)
        return
    for entry in fetched:
        new = sum(f.downloaded for f in entry.files)
        seen = " (checksums first seen now)" if new and _first_seen(entry.files) else ""
        here = len(entry.files) - new
        parts = [f"{new} {_files(new)} fetched{seen}"] * bool(new)
        parts += [f"{here} {_files(here)} already here"] * bool(here)
        say(f"{entry.name}: {', '.join(parts)}")
        for file in entry.files:
            emit(file.path)


def verify_command(
    names: Names = None,
    release: Release = None,
    lock: Lock = None,
    as_json: Json = False,
) -> None:
    """Hash cached files again and compare: all of them, or those of the names given."""
    from pereggrn_data.pipelines.collection import FileState, verify

    files = verify(names or (), release=release, lock=lock, say=say)
    if as_json:
        emit_json(files)
    else:
        rows = [(f.name, f.local, f.state, f.checked_against, f.sha256) for f in files]
        emit_table(("name", "file", "state", "checked against", "sha256"), rows)
    wrong = [f for f in files if f.state in (FileState.CHANGED, FileState.MISSING)]
    if not files:
        say("There is nothing in the cache.")
    if wrong:
        say(f"{len(wrong)} of {len(files)} files are not what they were; fetch them again.")
        raise typer.Exit(ExitCode.INTEGRITY)


def _files(number: int) -> str:
    return "file" if number == 1 else "files"


def _first_seen(files: Sequence[FetchedFile]) -> bool:
    return any(f.downloaded and f.origin == "first seen" for f in files)


def _confirm(plan: FetchPlan, *, ask: bool) -> bool:
    """Print the sizes; ask on a terminal if there is something to download."""
    for entry in plan.entries:
        if entry.whole is not None:
            say(
                f"{entry.entry.name}: {entry.whole_because}, so all of {entry.whole.key} "
                f"is needed: {human_size(entry.whole.size)}"
            )
        elif entry.missing:
            n = len(entry.missing)
            size = human_size(sum(m.size for m in entry.missing.values()))
            say(
                f"{entry.entry.name}: {n} {_files(n)}, {size}, "
                f"{human_size(entry.transfer_bytes)} to download"
            )
    if not plan.transfer_bytes:
        return True
    say(
        f"release {plan.record}: {human_size(plan.transfer_bytes)} to download, "
        f"{human_size(plan.free_bytes)} free"
    )
    if ask and sys.stdin.isatty() and sys.stderr.isatty():
        return typer.confirm("Go on?", default=True, err=True)
    return True
