"""What a predictions file holds, what is revealed to all of them, and how cells are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.format import PERTURBATION, PREDICTIONS_FORMAT_VERSION
from pereggrn_data.core.splits import Split

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


class TargetedGenes(StrEnum):
    """What is done with the genes that a perturbation changes directly.

    Their level after perturbation is given to every method, so predicting it
    is no success.
    """

    REVEAL = "reveal"
    EXCLUDE = "exclude"
    AS_IS = "as-is"


@dataclass(frozen=True)
class LabelColumn:
    """Where predictions say what they predict, in files of other software.

    Parameters
    ----------
    name
        The column with the labels.
    controls
        Labels of control cells, beside those of the dataset.
    """

    name: str = PERTURBATION
    controls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Origin:
    """What a predictions file says of itself in ``uns["pereggrn"]``.

    Parameters
    ----------
    dataset, sha256, path
        Name and hash of the dataset, and the path under which it was read when
        the template was made (None for embedded data).
    split
        What was held out.
    absolute_path
        The same path from the root of the file system. Like `path` it is only where
        to look: a file there is used if its hash is the one that is recorded.
    gaps
        Columns by which groups are told apart and in which the dataset itself lacks values.
    """

    dataset: str
    sha256: str
    path: str | None
    split: Split
    absolute_path: str | None = None
    gaps: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, in the layout of ``uns["pereggrn"]``."""
        return {
            "format_version": PREDICTIONS_FORMAT_VERSION,
            "dataset": {
                "name": self.dataset,
                "sha256": self.sha256,
                "path": self.path,
                **({} if self.absolute_path is None else {"absolute_path": self.absolute_path}),
                **({"gaps": list(self.gaps)} if self.gaps else {}),
            },
            "split": self.split.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: object, *, source: str) -> Origin:
        """Read it back; nothing about `values` is trusted.

        Raises
        ------
        InvalidDataError
            If a field is missing, wrong, or of an unknown format version.
        """
        if not isinstance(values, Mapping) or not isinstance(values.get("dataset"), Mapping):
            raise InvalidDataError(
                f'uns["pereggrn"] of {source} is not what a predictions template holds.',
                expected='a JSON object with "format_version", "dataset" and "split"',
                got=f"{values!r:.80}",
                fix="start from predictions_template.h5ad, or name --dataset and --split.",
            )
        version = values.get("format_version")
        if type(version) is not int or version != PREDICTIONS_FORMAT_VERSION:
            raise InvalidDataError(
                f"{source} has an unknown format version.",
                expected=str(PREDICTIONS_FORMAT_VERSION),
                got=repr(version),
                fix="update pereggrn-data, or make the template again.",
            )
        split = Split.from_dict(
            values.get("split"), source=f'the split in uns["pereggrn"] of {source}'
        )
        path, absolute = (values["dataset"].get(key) for key in ("path", "absolute_path"))
        gaps = values["dataset"].get("gaps", [])
        if not isinstance(gaps, list) or not all(isinstance(name, str) for name in gaps):
            raise InvalidDataError(
                f'"gaps" in uns["pereggrn"] of {source} is not what a template holds.',
                expected="a list of names of columns",
                got=f"{gaps!r:.80}",
                fix="start from predictions_template.h5ad.",
            )
        return cls(
            dataset=str(values["dataset"].get("name", split.dataset)),
            sha256=str(values["dataset"].get("sha256", split.sha256)),
            path=None if path is None else str(path),
            split=split,
            absolute_path=None if absolute is None else str(absolute),
            gaps=tuple(gaps),
        )


class LaterHash(Protocol):
    """A checksum that is being found."""

    def result(self) -> str:
        """Return it; wait for it where it is not there yet."""


@dataclass(frozen=True)
class Heading:
    """What predictions say of themselves as a whole, whatever their rows.

    Parameters
    ----------
    path
        The file, as the user named it.
    is_file
        Whether they are in one.
    origin
        What they predict, as they say; None if they do not.
    model
        Name of the method that made them, as they say.
    """

    path: str
    is_file: bool
    origin: Origin | None
    model: str | None


@dataclass(frozen=True)
class Predictions:
    """Predicted expression, one row per prediction.

    Parameters
    ----------
    path
        The file, as the user named it.
    obs
        (rows,) metadata; index = row names.
    genes
        (genes,) column names, possibly with duplicates.
    matrix
        (rows, genes) natural-log expression or log fold change: an array, a CSR array, or
        rows of a file that are read in blocks.
    origin
        What the file says of itself, or None.
    has_row_names
        Whether the file names its rows; else the index is only a count.
    oracle
        What of the held-out expression the predictions were made from, as the
        file says; None for forecasts.
    model
        Name of the method that made them, as the file says.
    hashed
        The checksum of the file, or who finds it meanwhile; None for predictions in memory.
    var
        (genes,) what else the file says of its genes, for hints; None where it says nothing.
    """

    path: str
    obs: pd.DataFrame
    genes: pd.Index[Any]
    matrix: Any
    origin: Origin | None
    has_row_names: bool = True
    oracle: str | None = None
    model: str | None = None
    hashed: str | LaterHash | None = None
    var: pd.DataFrame | None = None

    @property
    def is_file(self) -> bool:
        """Whether they were read from a file."""
        return self.hashed is not None

    @property
    def heading(self) -> Heading:
        """What they say of themselves as a whole."""
        return Heading(self.path, self.is_file, self.origin, self.model)

    @property
    def checksum(self) -> str | None:
        """``sha256:...`` of the file's bytes, ``blake3:...`` of many; None without a file."""
        if self.hashed is None or isinstance(self.hashed, str):
            return self.hashed
        return self.hashed.result()


class PredictionResult(Protocol):
    """What ``pereggrn_data.predict`` returns, as ``score`` takes it: it knows what it predicts."""

    @property
    def adata(self) -> AnnData:
        """(rows, genes) a filled-in template."""

    @property
    def made(self) -> Any:
        """The dataset and its split, or None."""


FEWEST_CELLS = 8
"""Different cells that a group must have: rank tests of fewer say nothing reliable."""

MOST_CELLS = 5000
"""Cells of a group between which distances are computed; a sample of larger groups."""


class Space(StrEnum):
    """Where distances between cells are measured."""

    GENES = "genes"
    PCA = "pca"


@dataclass(frozen=True)
class CellSettings:
    """What metrics of cells depend on, besides cells.

    Parameters
    ----------
    space
        Of distances: all modelled genes, or the principal components of the training
        observations.
    seed
        Of all samples of cells.
    at_most
        Cells per group and side between which distances are computed.
    """

    space: Space = Space.GENES
    seed: int = 0
    at_most: int = MOST_CELLS

    def __str__(self) -> str:
        """Return the part of a signature that says how cells were compared."""
        return f"{self.space},seed={self.seed},sample={self.at_most}"
