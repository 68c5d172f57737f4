"""Options that say how a split is made, for every command that can make one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pereggrn_data.pipelines.split import SplitOptions

# Defaults that show in --help; the split itself owns them
# (pipelines/split_options.py), and tests/test_cli_evaluate.py compares the two.
# Importing them here would make --help load pandas.
DEFAULT_TYPE = "interventional"
DEFAULT_FRACTION = 0.5
DEFAULT_GENES = 10_000

Folder = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder to write to; it is made if needed.")
]
FINER = "Finer choices of the split"


def _finer(*names: str, help: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=FINER)


StratifyControls = Annotated[
    bool,
    _finer("--stratify-controls", help="stratified: hold out controls too, as the original does."),
]
_ALLOWED_HELP = (
    "interventional: hold out all genes, or only regulators in the union or the intersection of "
)
AllowedRegulators = Annotated[
    str, _finer("--allowed-regulators", help=f"{_ALLOWED_HELP}--network.")
]
AllowedRegulatorsOfSplit = Annotated[
    str, _finer("--allowed-regulators", help=f"{_ALLOWED_HELP}--split-network.")
]
Networks = Annotated[
    list[str] | None,
    _finer("--network", help="For --allowed-regulators; name or path, repeatable."),
]
SplitNetworks = Annotated[
    list[str] | None,
    _finer("--split-network", help="For --allowed-regulators; name or path, repeatable."),
]
TestSet = Annotated[
    Path | None,
    _finer("--test-set", help="custom: a JSON list or a CSV of the observations to hold out."),
]
MergeReplicates = Annotated[
    bool, _finer("--merge-replicates", help="Average within perturbation first.")
]
KeepApart = Annotated[
    list[str] | None,
    _finer(
        "--keep-apart",
        help="With --merge-replicates: average within cell_type or timepoint; may be given twice.",
    ),
]
RankOnTrain = Annotated[
    bool,
    _finer("--rank-on-train", help="Rank genes by their variance in the training observations."),
]


def split_options(
    *,
    type: str | None,
    seed: int | None,
    heldout_fraction: float | None,
    num_genes: int | None,
    stratify_controls: bool,
    allowed_regulators: str,
    network: Sequence[str] | None,
    test_set: Path | None,
    merge_replicates: bool,
    keep_apart: Sequence[str] | None,
    rank_on_train: bool,
) -> SplitOptions | None:
    """Return how to make the split; None where every option has its default."""
    from pereggrn_data.core.split_rules import SplitRules
    from pereggrn_data.pipelines.split import SplitOptions

    rules = SplitRules(
        merge_replicates=merge_replicates,
        keep_apart=tuple(keep_apart or ()),
        stratify_controls=stratify_controls,
        rank_on_train=rank_on_train,
        allowed_regulators=allowed_regulators,
        networks=tuple(network or ()),
    )
    given: dict[str, Any] = {
        "type": type,
        "seed": seed,
        "heldout_fraction": heldout_fraction,
        "num_genes": num_genes,
        "test_set": test_set,
    }
    said = {name: value for name, value in given.items() if value is not None}
    if not said and rules == SplitRules():
        return None
    return SplitOptions(rules=rules, **said)
