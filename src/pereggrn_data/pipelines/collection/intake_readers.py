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

        read = Catalog.from_yaml_file(catalog_path())
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

    def __init__(self, name: str, metadata: dict[str, Any] | None = None) -> None:
        self.name = name
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
        return self._func(data.name, to=to or self.to, **kwargs)


class NetworkToDuckDB(NetworkReader):
    """Reads a network by name into a DuckDB relation."""

    output_instance = "duckdb:DuckDBPyRelation"
    to = "relation"


def __getattr__(name: str) -> Any:
    if name == "cat":
        return PereggrnCatalog.shipped()
    raise AttributeError(name)
