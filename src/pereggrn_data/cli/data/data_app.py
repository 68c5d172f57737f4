"""The program `pereggrn-data`: datasets and networks."""

from __future__ import annotations

from pereggrn_data.cli.data import (
    cache_commands,
    catalog_commands,
    convert_command,
    fetch_commands,
    network_commands,
    quality_command,
    service_commands,
    validate_command,
)
from pereggrn_data.cli.output import run
from pereggrn_data.cli.programs import new_app

app = new_app(
    "pereggrn-data",
    "Perturbation datasets and gene regulatory networks in the uniform format.",
)
catalog_commands.register(app)
fetch_commands.register(app)
cache_commands.register(app)
service_commands.register(app)
network_commands.register(app)
validate_command.register(app)
convert_command.register(app)
quality_command.register(app)


def main() -> None:
    """Entry point of the console script."""
    run(app, "pereggrn-data")
