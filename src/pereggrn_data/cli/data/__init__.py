"""The program `pereggrn-data`."""

from pereggrn_data.cli.data.data_app import main

__all__ = ["main"]
