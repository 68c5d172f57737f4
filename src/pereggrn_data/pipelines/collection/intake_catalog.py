"""The catalog as intake reads it: derived from our own entries, shipped as YAML.

``python -m pereggrn_data.pipelines.collection.intake_catalog`` prints it; a test compares
it with the file.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pereggrn_data.catalog import AnyEntry, DatasetEntry, EntryKind, NetworkEntry, load_catalog
from pereggrn_data.core.errors import UsageError, or_list
from pereggrn_data.loaders.files.hdf5 import open_h5ad

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData

    from pereggrn_data.loaders.network import Form

SHIPPED = "intake.yaml"
READERS = "pereggrn_data.pipelines.collection.intake_readers"
HEADER = """\
# Derived from the entries beside this file; do not edit.
# python -m pereggrn_data.pipelines.collection.intake_catalog > catalog/intake.yaml
"""


def catalog_path() -> str:
    """Return the path of the intake catalog that comes with the package.

    Its keys are our names. What a name stands for is found when it is read,
    so a local collection applies.

    Examples
    --------
    >>> catalog_path().endswith("intake.yaml")
    True
    """
    return str(files("pereggrn_data.catalog") / SHIPPED)


def intake_yaml() -> str:
    """Return the text of the intake catalog."""
    import yaml

    return HEADER + yaml.safe_dump(intake_values(), sort_keys=False, allow_unicode=True, width=99)


def intake_values() -> dict[str, Any]:
    """Return what the shipped catalog says: published and embedded datasets and networks."""
    catalog = load_catalog()
    read = [e for e in catalog.entries.values() if isinstance(e, (DatasetEntry, NetworkEntry))]
    return {
        "version": 2,
        "metadata": {
            "name": "pereggrn",
            "description": "Perturbation datasets and gene regulatory networks.",
            "releases": {
                r.record: {"doi": r.doi, "title": r.title} for r in catalog.releases.values()
            },
        },
        "aliases": {name: _token(e) for e in read for name in e.names},
        "data": {f"data-{e.name}": _data(e) for e in read if isinstance(e, NetworkEntry)},
        "entries": {_token(e): _entry(e) for e in read},
        "user_parameters": {},
    }


def values_here(collection: str | None = None) -> dict[str, Any]:
    """Return what can be read here by name: also tables, and all that a local collection adds.

    Parameters
    ----------
    collection
        Its folder; by default ``PEREGGRN_COLLECTION``.

    Raises
    ------
    MissingFileError
        If that is named, and not there.
    """
    from pereggrn_data.pipelines.collection.listing import list_entries

    values = intake_values()
    for row in list_entries(collection=collection):
        if row.name in values["entries"] and collection is None:
            continue
        kwargs: dict[str, Any] = {"name": row.name, "collection": collection}
        if row.kind == EntryKind.NETWORK:
            values["data"][f"data-{row.name}"] = _named_data(kwargs)
            kwargs = {"data": f"{{data(data-{row.name})}}"}
        reader, output = _READERS[EntryKind(row.kind)]
        about = {"description": f"{row.kind}, {row.state}", "species": row.species}
        values["aliases"][row.name] = row.name
        values["entries"][row.name] = _described(reader, kwargs, output, about)
    return values


def read_table_entry(name: str, *, collection: str | None = None) -> dict[str, pd.DataFrame]:
    """Read the tables of an entry.

    Returns
    -------
    dict
        By name of the file, without its ending. A list of names is a table with the
        column ``gene``.

    Raises
    ------
    NotFetchedError
        If it has not been fetched.
    UsageError
        If a file is not a table.
    """
    from pereggrn_data.pipelines.collection.resolve import entry_paths

    return {path.stem: _table(path) for path in entry_paths(name, collection=collection)}


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".txt":
        return pd.DataFrame({"gene": path.read_text("utf-8").split()})
    separators = {".csv": ",", ".tsv": "\t"}
    if path.suffix not in separators:
        raise UsageError(f"{path} is not a table.", expected=or_list([*separators, ".parquet"]))
    return pd.read_csv(path, sep=separators[path.suffix])


def read_dataset_entry(
    name: str, *, backed: str | None = None, collection: str | None = None
) -> AnnData:
    """Read a dataset by name.

    Parameters
    ----------
    backed
        ``"r"`` leaves the matrix on disk; None reads everything.

    Raises
    ------
    NotFetchedError
        If it has not been fetched.
    UsageError
        If `backed` is something else, or the dataset has no file.
    """
    from pereggrn_data.pipelines.collection.open_datasets import dataset_path, load

    if backed is None:
        return load(name, collection=collection)
    if backed != "r":
        raise UsageError("Cached files are not to be changed.", expected='backed="r"', got=backed)
    import anndata

    path = dataset_path(name, collection=collection)
    with open_h5ad(path):  # refuses one that refers to values outside of itself
        adata: AnnData = anndata.read_h5ad(path, backed="r")
    return adata


def read_network_entry(name: str, *, to: Form = "pandas", collection: str | None = None) -> Any:
    """Read the edges of a network by name.

    Parameters
    ----------
    to
        ``"pandas"``, ``"arrow"`` or ``"relation"``.

    Returns
    -------
    pandas.DataFrame, pyarrow.Table or duckdb.DuckDBPyRelation
        Columns regulator, target, weight, cell_type and subnetwork.

    Raises
    ------
    NotFetchedError
        If it has not been fetched.
    """
    from pereggrn_data.loaders.network import FORMS
    from pereggrn_data.pipelines.collection.open_networks import open_network

    if to not in FORMS:
        raise UsageError("That is no form of a table.", expected=or_list(FORMS), got=to)
    return open_network(name, collection=collection).edges(to=to)


def _token(entry: AnyEntry) -> str:
    return entry.name


def _data(entry: NetworkEntry) -> dict[str, Any]:
    return _named_data({"name": entry.name})


def _named_data(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {
        "datatype": f"{READERS}:NetworkData",
        "kwargs": kwargs,
        "metadata": {},
        "user_parameters": {},
    }


def _entry(entry: DatasetEntry | NetworkEntry) -> dict[str, Any]:
    reader, output = _READERS[entry.kind]
    is_dataset = isinstance(entry, DatasetEntry)
    kwargs = {"name": entry.name} if is_dataset else {"data": f"{{data(data-{entry.name})}}"}
    about = {"description": entry.title, "species": entry.species_shown}
    return _described(reader, kwargs, output, about)


def _described(
    reader: str, kwargs: dict[str, Any], output: str, about: dict[str, Any]
) -> dict[str, Any]:
    return {
        "reader": f"{READERS}:{reader}",
        "kwargs": kwargs,
        "output_instance": output,
        "metadata": about,
        "user_parameters": {},
    }


_READERS: dict[EntryKind, tuple[str, str]] = {
    EntryKind.DATASET: ("DatasetReader", "anndata:AnnData"),
    EntryKind.NETWORK: ("NetworkReader", "pandas:DataFrame"),
    EntryKind.TABLE: ("TableReader", "builtins:dict"),
}


if __name__ == "__main__":
    import sys

    sys.stdout.write(intake_yaml())
