"""Write tables in one step: a file appears under its name only when complete."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.files.writing import written_in_one_step

if TYPE_CHECKING:
    import pandas as pd


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as parquet or CSV, by the ending of its name.

    Raises
    ------
    UsageError
        For another ending, or if it cannot be written.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise UsageError(f"A table cannot be written to {path.name}.", expected=".parquet or .csv")
    with written_in_one_step(path) as temporary:
        if path.suffix == ".csv":
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)
