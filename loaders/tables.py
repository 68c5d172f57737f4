"""Write tables in one step: a file appears under its name only when complete."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as parquet or CSV, by the ending of its name.

    Raises
    ------
    UsageError
        For another ending.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise UsageError(f"A table cannot be written to {path.name}.", expected=".parquet or .csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".csv":
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
