"""The catalog as intake reads it: derived from our own entries, shipped as YAML.

``python -m pereggrn_data.pipelines.collection.intake_catalog`` prints it; a test compares
it with the file.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pereggrn_data.catalog import AnyEntry, DatasetEntry, NetworkEntry, load_catalog
from pereggrn_data.core.errors import UsageError, or_list

if TYPE_CHECKING:
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

    catalog = load_catalog()
    read = [e for e in catalog.entries.values() if isinstance(e, (DatasetEntry, NetworkEntry))]
    values = {
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
    return HEADER + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=99)


def read_dataset_entry(name: str, *, backed: str | None = None) -> AnnData:
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
        return load(name)
    if backed != "r":
        raise UsageError("Cached files are not to be changed.", expected='backed="r"', got=backed)
    import anndata

    adata: AnnData = anndata.read_h5ad(dataset_path(name), backed="r")
    return adata


def read_network_entry(name: str, *, to: Form = "pandas") -> Any:
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
    return open_network(name).edges(to=to)


def _token(entry: AnyEntry) -> str:
    return entry.name


def _data(entry: NetworkEntry) -> dict[str, Any]:
    return {
        "datatype": f"{READERS}:NetworkData",
        "kwargs": {"name": entry.name},
        "metadata": {},
        "user_parameters": {},
    }


def _entry(entry: DatasetEntry | NetworkEntry) -> dict[str, Any]:
    is_dataset = isinstance(entry, DatasetEntry)
    return {
        "reader": f"{READERS}:{'DatasetReader' if is_dataset else 'NetworkReader'}",
        "kwargs": {"name": entry.name} if is_dataset else {"data": f"{{data(data-{entry.name})}}"},
        "output_instance": "anndata:AnnData" if is_dataset else "pandas:DataFrame",
        "metadata": {"description": entry.title, "species": entry.species_shown},
        "user_parameters": {},
    }


if __name__ == "__main__":
    import sys

    sys.stdout.write(intake_yaml())
