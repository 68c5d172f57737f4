"""The commands `pereggrn-eval adapters`: methods in environments of their own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pereggrn_data.cli.output import emit, emit_json, emit_table, say
from pereggrn_data.cli.programs import new_group
from pereggrn_data.cli.shared_options import Json, Yes
from pereggrn_data.core.errors import UsageError

Named = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of an adapter, or the path of a program of yours."),
]

app = new_group("Adapters: published methods, each in an environment that uv makes for it.")


def register(program: typer.Typer) -> None:
    """Add the commands to a program."""
    program.add_typer(app, name="adapters")


@app.command("list", example="pereggrn-eval adapters list")
def list_command(as_json: Json = False) -> None:
    """List the adapters: licence, what each needs, size of its environment, whether it is here."""
    from pereggrn_data.pipelines.predict import adapters, environment_named

    here = {a.name: environment_named(a.name).is_made for a in adapters()}
    if as_json:
        emit_json([{**a.to_dict(), "is_installed": here[a.name]} for a in adapters()])
        return
    emit_table(
        ["adapter", "what it does", "licence", "needs", "environment", "here", "tried"],
        [
            (
                a.name, a.summary, a.licence, a.needs, a.size,
                "yes" if here[a.name] else "no", a.tried,
            )
            for a in adapters()
        ],
        expendable=("tried",),
    )  # fmt: skip


@app.command("path", example="pereggrn-eval adapters path gears")
def path_command(name: Named, as_json: Json = False) -> None:
    """Print where an adapter's program, its lock and its environment are, or would be."""
    from pereggrn_data.pipelines.predict import environment_named

    found = environment_named(name)
    paths = (found.adapter.program, found.adapter.lock, found.folder)
    if as_json:
        names = ("program", "lock", "environment")
        where = {n: str(path) for n, path in zip(names, paths, strict=True)}
        emit_json({**where, "is_installed": found.is_made})
        return
    for path in paths:
        emit(path)


@app.command(
    "install", example="pereggrn-eval adapters install gears --yes  # needs a connection, and 6 GB"
)
def install_command(name: Named, yes: Yes = False) -> None:
    """Make the environment of an adapter, if it is not there, and print where it is."""
    from pereggrn_data.pipelines.predict import environment_named

    install(name, yes=yes)
    emit(environment_named(name).folder)


@app.command(
    "check", example="pereggrn-eval adapters check gears --yes  # needs a connection, and 6 GB"
)
def check_command(name: Named, yes: Yes = False, as_json: Json = False) -> None:
    """Install an adapter, if it is not there, and run it on the demo dataset.

    What the demo cannot give (such as gene sets, as its genes are in none) is made up, so that
    its forecasts mean nothing: the check is that everything runs.
    """
    from pereggrn_data.pipelines.predict import check_on_demo

    install(name, yes=yes)
    say("running it on the demo ...")
    predicted = check_on_demo(name)
    n_rows, n_genes = predicted.adata.shape
    if as_json:
        facts = {"adapter": predicted.model, "n_rows": n_rows, "n_genes": n_genes}
        emit_json({**facts, "seconds": round(predicted.seconds, 3)})
        return
    emit(
        f"{predicted.model} runs: {n_rows} rows x {n_genes} genes, {predicted.seconds:.0f} s. "
        "What it was given was made up, so its forecasts mean nothing."
    )


@app.command("lock", example="pereggrn-eval adapters lock my_adapter.py  # needs a connection")
def lock_command(
    program: Annotated[Path, typer.Argument(help="A program with a header that says what it is.")],
) -> None:
    """Write the lock of a program of yours beside it: its packages, with checksums."""
    from pereggrn_data.pipelines.predict import lock_adapter

    emit(lock_adapter(program))


def install(name: str, *, yes: bool) -> None:
    """Make an adapter's environment; where it is not there, say what it takes, and ask.

    Raises
    ------
    UsageError
        If it was not confirmed.
    """
    from pereggrn_data.pipelines.predict import Adapter, install_adapter

    def confirm(adapter: Adapter) -> bool:
        for line in adapter.lines:
            say(line)
        if yes:
            return True
        on_terminal = sys.stdin.isatty() and sys.stderr.isatty()
        return on_terminal and typer.confirm("Install it?", default=True, err=True)

    if install_adapter(name, confirm=confirm, say=say) is None:
        raise UsageError("Nothing was installed: it was not confirmed.", fix="add --yes.")
