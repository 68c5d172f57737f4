"""Check a split against its dataset: that both belong together, and that promises hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import (
    EXAMPLES_SHOWN,
    IntegrityError,
    InvalidDataError,
    UsageError,
    with_article,
)
from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.core.printable import one_line
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.core.splits import Split
from pereggrn_data.evaluators.splits import (
    UNIVERSAL,
    Located,
    SplitFacts,
    locate,
    perturbed_genes,
    require_applicable,
    split_type,
)
from pereggrn_data.loaders.files import read_split
from pereggrn_data.loaders.files.datasets import Dataset
from pereggrn_data.pipelines.collection import open_dataset
from pereggrn_data.pipelines.split.make_split import seen_labels
from pereggrn_data.pipelines.split.prepared import Prepared, prepare
from pereggrn_data.pipelines.split.split_dataset import SplitDataset
from pereggrn_data.validators import CAN_INSIST

if TYPE_CHECKING:
    from anndata import AnnData


IN_MEMORY = "the split"
"""What a split is called that was not read from a file."""


@dataclass(frozen=True)
class SplitCheck:
    """What was found about a split that somebody made.

    Parameters
    ----------
    path
        The file.
    split
        What it says.
    findings
        Promises that are broken.
    promises
        Those that were checked.
    n_train
        Number of training observations.
    """

    path: str
    split: Split
    findings: tuple[Finding, ...]
    promises: tuple[str, ...]
    n_train: int

    @property
    def valid(self) -> bool:
        """Whether every promise holds."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "path": self.path,
            "kind": "split",
            "valid": self.valid,
            "type": self.split.type,
            "dataset": self.split.dataset,
            "sha256": self.split.sha256,
            "n_train_observations": self.n_train,
            "n_test_observations": len(self.split.test_observations),
            "promises": list(self.promises),
            "findings": [
                {**vars(f), "severity": str(f.severity), "examples": list(f.examples)}
                for f in self.findings
            ],
        }

    def __repr__(self) -> str:
        verdict = "valid" if self.valid else "INVALID"
        head = f"{self.path}: {verdict}. {self.split!r}; trains on {self.n_train} observations"
        lines = [line for finding in self.findings for line in finding.to_lines()]
        return "\n  ".join(map(one_line, [head, *(lines or self.promises)]))


def check_split(
    path: str | Path | Split | SplitDataset,
    dataset: str | Path | Dataset | AnnData | None = None,
    *,
    collection: str | None = None,
) -> SplitCheck:
    """Verify a split that somebody else made.

    Parameters
    ----------
    path
        A ``split.json``, what was read of one, or what ``pereggrn_data.split`` returned.
    dataset
        The dataset it says it was made for: a name, a path, or opened. By default that of
        what ``pereggrn_data.split`` returned, else the one that the split names.
    collection
        Folder of the local collection.

    Raises
    ------
    InvalidDataError
        If it is not a split, or names what the dataset does not have.
    IntegrityError
        If it was made for another file; both hashes are shown.
    """
    if isinstance(path, SplitDataset):
        dataset = path.dataset if dataset is None else dataset
        path = path.split
    chosen = path if isinstance(path, Split) else read_split(Path(path))
    opened = open_dataset(chosen.dataset if dataset is None else dataset, collection=collection)
    require_same_dataset(chosen, opened)
    # Whether the expression means anything is not asked of a split.
    prepared = prepare(opened, chosen.type, chosen.rules, CAN_INSIST)
    require_same_training_file(chosen, prepared)
    at = locate(prepared.adata, chosen, prepared.train)
    promises = (*UNIVERSAL, *split_type(chosen.type).promises)
    return SplitCheck(
        path=IN_MEMORY if isinstance(path, Split) else str(path),
        split=chosen,
        findings=tuple(broken_promises(chosen, prepared, at)),
        promises=tuple(p.text for p in promises),
        n_train=len(at.train),
    )


def require_same_dataset(split: Split, dataset: Dataset) -> None:
    """Check that a split was made for a dataset.

    Raises
    ------
    IntegrityError
        If the hashes differ; both are shown.
    """
    if split.sha256 != dataset.sha256:
        raise IntegrityError(
            f"The split was made for another file than {dataset.path or dataset.name}.",
            expected=f"{split.dataset} with sha256 {split.sha256}",
            got=f"{dataset.name} with sha256 {dataset.sha256}",
            fix="name the file that was split; another version of a dataset needs its own split.",
        )


def require_same_training_file(split: Split, prepared: Prepared) -> None:
    """Check that the separate training file, if there is one, is the one that was split.

    Raises
    ------
    IntegrityError
        If the hashes differ; both are shown.
    """
    if split.train_sha256 != prepared.train_sha256:
        raise IntegrityError(
            f"The training file of {split.dataset} is not the one that the split was made for.",
            expected=f"sha256 {split.train_sha256}",
            got=f"sha256 {prepared.train_sha256}",
            fix="fetch the dataset again.",
        )


def require_promises(split: Split, prepared: Prepared, *, source: str) -> None:
    """Check everything that a split promises.

    Raises
    ------
    InvalidDataError
        Naming every promise that is broken.
    """
    findings = broken_promises(split, prepared, locate(prepared.adata, split, prepared.train))
    if findings:
        lines = [line for finding in findings for line in finding.to_lines()]
        raise InvalidDataError(
            f"{source} breaks what {with_article(split.type)} split promises.", details=lines
        )


def broken_promises(split: Split, prepared: Prepared, at: Located) -> list[Finding]:
    """Return a finding for each promise that a split does not keep."""
    obs, train = prepared.adata.obs, prepared.trains.obs
    facts = SplitFacts(
        train=train.iloc[at.train],
        test=obs.iloc[at.test],
        given=obs.iloc[at.given],
        measured=frozenset(perturbed_genes(prepared.adata)) & frozenset(split.genes),
        rules=split.rules,
        everyone=obs,
        separate_training=prepared.train is not None,
        n_training_file=0 if prepared.train is None else prepared.train.n_obs,
        validation=train.iloc[at.validation] if len(at.validation) else None,
    )
    findings = [
        _finding(promise.code, names, promise.text)
        for promise, names in split_type(split.type).broken_promises(facts)
    ]
    try:
        require_applicable(split.type, split.rules)
    except UsageError as error:
        text = f"The rules are those of {with_article(split.type)} split."
        findings.append(_finding("split-rules", (error.what,), text, column="rules"))
    labels = dict.fromkeys(facts.test[PERTURBATION])
    if set(labels) != set(split.heldout_perturbations):
        differing = sorted(set(labels) ^ set(split.heldout_perturbations))
        findings.append(
            _finding(
                "split-labels",
                tuple(differing),
                "heldout_perturbations are the labels of test_observations.",
                column="heldout_perturbations",
            )
        )
    if split.seen and (wrong := set(split.seen) ^ set(seen_labels(prepared, at.train, at.test))):
        findings.append(
            _finding(
                "split-seen",
                tuple(sorted({label for label, _ in wrong})),
                "seen counts, for each held-out combination, its genes that training "
                "perturbations have.",
                column="seen",
            )
        )
    return findings


def _finding(
    code: str, names: tuple[str, ...], promise: str, *, column: str = "test_observations"
) -> Finding:
    return Finding(
        code=code,
        severity=Severity.ERROR,
        slot="file",
        column=column,
        n=len(names),
        examples=tuple(map(str, names[:EXAMPLES_SHOWN])),
        expected=promise,
        got=f"{len(names)} that break this",
        fix="make the split again with `pereggrn-eval split`, or say --type custom in it.",
    )
