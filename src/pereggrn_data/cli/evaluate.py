"""The program `pereggrn-eval`: split, score and demo."""

from __future__ import annotations

from pereggrn_data.cli.output import new_app, run

app = new_app(
    "pereggrn-eval",
    "Does a model forecast expression after a genetic perturbation, and does it beat the mean?",
)


def main() -> None:
    """Entry point of the console script."""
    run(app, "pereggrn-eval")
