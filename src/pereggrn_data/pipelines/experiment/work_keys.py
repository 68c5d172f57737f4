"""Names of work by its content, so that nothing is made of the same in the same way again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pereggrn_data.core.strict_json import dumps
from pereggrn_data.core.version import software
from pereggrn_data.loaders.cache import collection_folder
from pereggrn_data.loaders.files.any_file import sha256_of_file
from pereggrn_data.pipelines.collection import (
    dataset_files,
    network_files,
    open_dataset,
    tf_list_files,
)
from pereggrn_data.pipelines.experiment.condition_options import ConditionWork

DIGITS = 20
"""Of a hash in a name: 80 bits."""


@dataclass(frozen=True)
class WorkKeys:
    """Hashes of the parts of a condition, each of which has the one before it in it.

    Parameters
    ----------
    split
        Of the data and how they are divided.
    fit
        Of that, the method and all that it is given, and the version of the software.
    condition
        Of that, how it is scored, and the versions of the metrics; also the name of the
        condition's folder.
    """

    split: str
    fit: str
    condition: str


@dataclass
class ContentHashes:
    """Hashes of files, each of which is read once."""

    _known: dict[Path, str] = field(default_factory=dict)
    _embedded: dict[str, str] = field(default_factory=dict)

    def file(self, path: str | Path) -> str:
        """Return the sha256 of a file."""
        path = Path(path)
        if path not in self._known:
            self._known[path] = sha256_of_file(path)
        return self._known[path]

    def dataset(self, name: str, collection: str | None) -> list[str]:
        """Return the hashes of a dataset's file, and of its training file, if it has one."""
        files = dataset_files(name, collection)
        if files:
            return [self.file(file) for file in files]
        if name not in self._embedded:
            self._embedded[name] = open_dataset(name, collection=collection).sha256
        return [self._embedded[name]]

    def keys(self, work: ConditionWork) -> WorkKeys:
        """Return the hashes of a condition's parts.

        Raises
        ------
        PereggrnError
            If something that it is made from is not here.
        """
        split = {
            "dataset": self.dataset(work.dataset, work.collection),
            "options": {
                **work.split,
                "networks": [self._network(n, work) for n in work.split.get("networks", ())],
                "test_set": self.file(work.split["test_set"])
                if "test_set" in work.split
                else None,
            },
            "insist": sorted(work.insist),
        }
        split_key = _digest(split)
        fit = {
            "split": split_key,
            "software": software(),
            "method": [work.method.model, work.method.runtime, work.method.image],
            "model": {**work.model, "dimensions": self._dimensions(work.model)},
            "network": self._network_of(work),
            "tf_list": self._tf_list(work),
        }
        fit_key = _digest(fit)
        from pereggrn_data.evaluators.metrics import definitions_version

        scored = {"fit": fit_key, "options": work.score, "metrics": definitions_version()}
        return WorkKeys(split_key, fit_key, _digest(scored))

    def _network_of(self, work: ConditionWork) -> Any:
        if work.network is None:
            return None
        if work.network.density is not None:
            return work.network.source
        if work.parts:
            return [self.file(part) for part in work.parts]
        return self._network(work.network.source, work)

    def _network(self, name: str, work: ConditionWork) -> Any:
        files = network_files(name, work.collection)
        return [self.file(file) for file in files] or name

    def _dimensions(self, model: Mapping[str, Any]) -> Any:
        given = model.get("dimensions")
        if isinstance(given, str) and Path(given).is_file():
            return self.file(given)
        return given

    def _tf_list(self, work: ConditionWork) -> str | None:
        if work.model.get("eligible_regulators") != "tf":
            return None
        lists = tf_list_files(collection_folder(work.collection))
        file = lists.get(str(work.model.get("species")))
        return None if file is None else self.file(file)


def _digest(values: Any) -> str:
    text = dumps(values, indent=None)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]
