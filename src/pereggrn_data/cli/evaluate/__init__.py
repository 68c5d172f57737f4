"""The program `pereggrn-eval`."""

from pereggrn_data.cli.evaluate.evaluate_app import main

__all__ = ["main"]
