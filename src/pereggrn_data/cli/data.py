"""The program `pereggrn-data`: datasets and networks."""

from __future__ import annotations

from pereggrn_data.cli import cache, catalog, fetch, networks, service, validate
from pereggrn_data.cli.output import new_app, run

app = new_app(
    "pereggrn-data",
    "Perturbation datasets and gene regulatory networks in the uniform format.",
)
catalog.register(app)
fetch.register(app)
cache.register(app)
service.register(app)
networks.register(app)
validate.register(app)


def main() -> None:
    """Entry point of the console script."""
    run(app, "pereggrn-data")
