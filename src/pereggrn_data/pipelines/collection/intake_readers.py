"""How intake reads our names. Kept light: `import intake` imports this module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from intake.readers.datatypes import BaseData
from intake.readers.entry import Catalog
from intake.readers.readers import BaseReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData


class PereggrnCatalog(Catalog):  # type: ignore[misc]
    """Our catalog as `intake.cat` wants it: with the attribute `container`."""

    container = "catalog"
    name = "pereggrn"  # intake assigns it anew

    @classmethod
    def shipped(cls) -> PereggrnCatalog:
        """Read the catalog that comes with the package."""
        from pereggrn_data.pipelines.collection.intake_catalog import catalog_path

        return cls._of(Catalog.from_yaml_file(catalog_path()))

    @classmethod
    def here(cls, collection: str | None = None) -> PereggrnCatalog:
        """Describe all that can be read here by name, those of a local collection included."""
        from pereggrn_data.pipelines.collection.intake_catalog import values_here

        return cls._of(Catalog.from_dict(values_here(collection)))

    @classmethod
    def _of(cls, read: Catalog) -> PereggrnCatalog:
        return cls(
            entries=read.entries,
            aliases=read.aliases,
            data=read.data,
            user_parameters=read.user_parameters,
            metadata=read.metadata,
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.aliases)


class NetworkData(BaseData):  # type: ignore[misc]
    """A network by name; its files are found when it is read.

    Parameters
    ----------
    name
        As `pereggrn-data list` shows it.
    """

    structure: ClassVar[set[str]] = {"table"}

    def __init__(
        self,
        name: str,
        metadata: dict[str, Any] | None = None,
        collection: str | None = None,
    ) -> None:
        self.name = name
        self.collection = collection
        super().__init__(metadata=metadata)


class DatasetReader(BaseReader):  # type: ignore[misc]
    """Reads a dataset by name into AnnData.

    ``read(backed="r")`` leaves the matrix on disk.
    """

    imports: ClassVar[set[str]] = {"anndata"}
    output_instance = "anndata:AnnData"
    func = "pereggrn_data.pipelines.collection.intake_catalog:read_dataset_entry"

    def _read(self, name: str, backed: str | None = None, **kwargs: Any) -> AnnData:
        adata: AnnData = self._func(name, backed=backed, **kwargs)
        return adata


class NetworkReader(BaseReader):  # type: ignore[misc]
    """Reads a network by name into a DataFrame, one row per edge.

    ``read(to="relation")`` gives a DuckDB relation, which leaves the edges on disk.
    """

    implements: ClassVar[set[type]] = {NetworkData}
    imports: ClassVar[set[str]] = {"duckdb", "pandas"}
    output_instance = "pandas:DataFrame"
    func = "pereggrn_data.pipelines.collection.intake_catalog:read_network_entry"
    to = "pandas"

    def _read(self, data: NetworkData, to: str | None = None, **kwargs: Any) -> Any:
        return self._func(data.name, to=to or self.to, collection=data.collection, **kwargs)


class NetworkToDuckDB(NetworkReader):
    """Reads a network by name into a DuckDB relation."""

    output_instance = "duckdb:DuckDBPyRelation"
    to = "relation"


class TableReader(BaseReader):  # type: ignore[misc]
    """Reads the tables of an entry by name, into a dict of DataFrames."""

    output_instance = "builtins:dict"
    func = "pereggrn_data.pipelines.collection.intake_catalog:read_table_entry"

    def _read(self, name: str, **kwargs: Any) -> Any:
        return self._func(name, **kwargs)


def catalog(collection: str | None = None) -> PereggrnCatalog:
    """Return a catalog of intake with every name that can be read here.

    Parameters
    ----------
    collection
        Folder of a local collection; by default ``PEREGGRN_COLLECTION``.

    Returns
    -------
    intake.readers.entry.Catalog
        Local, embedded and published datasets, networks and tables; what each
        name stands for is found when it is read.
    """
    return PereggrnCatalog.here(collection)


def __getattr__(name: str) -> Any:
    if name == "cat":
        return PereggrnCatalog.here()
    raise AttributeError(name)
