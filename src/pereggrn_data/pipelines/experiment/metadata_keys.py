"""The keys of an experiment's metadata: what each means, takes, defaults to, and where it applies.

Every key is one entry of :data:`KEYS`, in the order in which defaults are filled in,
which is the order of columns in the original's tables of conditions (PEREGGRN's software,
pereggrn 146e517). Checks, the table of conditions, what a run does with a value, and the
documentation's table are read from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pereggrn_data.core.safe_names import is_safe_file_name
from pereggrn_data.core.splits import AllowedRegulators
from pereggrn_data.pipelines.experiment.metadata_key import (
    NOTHING,
    MetadataKey,
    is_arguments,
    is_baseline,
    is_flag,
    is_names,
    is_networks,
    is_number,
    is_seed,
    is_text,
    is_timescale,
    is_whole,
    or_null,
)

GRID, LADDER = "grid", "ladder"
ALL_GENES = "all"
DENSE, EMPTY, RANDOM = "dense", "empty", "random"
"""Networks that are in no collection: every edge, none, and a share of them by chance."""

TRANSCRIPTION_FACTORS = ("human_tfs", "tf", "tfs")
"""What experiments call the transcription factors of the species."""

EXPRESSION = ("mrna",)
"""What the features are called where they are expression itself."""

PRINCIPAL_COMPONENTS = ("svd", "pca")
"""What a subspace of principal components is called."""

FOLDS, FOLD, HELDOUT_CELL_TYPE = "folds", "fold", "heldout_cell_type"
"""Our own keys, which have a column only where they are used."""

K_FOLD, CELL_TYPE_SPLIT = "k_fold", "cell_type"
KEYS_OF_SPLITS: Mapping[str, tuple[str, ...]] = {
    K_FOLD: (FOLDS, FOLD),
    CELL_TYPE_SPLIT: (HELDOUT_CELL_TYPE,),
}
"""The keys that only one type of split has."""

SUBNETS, AGGREGATE = "subnets", "do_aggregate_subnets"
"""What may be said of a network."""


def _features_not_here(value: Any) -> str | None:
    """Say why features cannot be had; expression is all that models learn from here."""
    return None if value in (None, *EXPRESSION) else "features other than expression are not here"


def _subspace_not_here(value: Any) -> str | None:
    """Say why a subspace cannot be found in this way."""
    return (
        None if value in PRINCIPAL_COMPONENTS else "the subspace is that of principal components"
    )


def _is_number_of_genes(value: Any) -> bool:
    return value is None or value == ALL_GENES or (is_whole(value) and value >= 1)


def _split_types() -> Iterable[str]:
    from pereggrn_data.evaluators.splits import SPLIT_TYPES

    return SPLIT_TYPES


def _of_grammar(name: str) -> Callable[[], Iterable[str]]:
    def known() -> Iterable[str]:
        from pereggrn_data import models

        values: Iterable[str] = getattr(models, name)
        return values

    return known


_TEXT: dict[str, Any] = {"takes": "text", "fits": is_text}
_FLAG: dict[str, Any] = {"takes": "true or false", "fits": is_flag}
_LABEL: dict[str, Any] = {
    "takes": "text or null",
    "fits": or_null(is_text),
    "goes_to": "pictures",
}

KEYS: Mapping[str, MetadataKey] = {
    key.name: key
    for key in (
        MetadataKey(
            name="unique_id",
            doc="Name of the experiment; by default that of the file, and that of its folder, "
            "where the file is a metadata.json.",
            varies=False,
            **_TEXT,
        ),
        MetadataKey(name="nickname", doc="A few words for people.", varies=False, **_TEXT),
        MetadataKey(
            name="readme",
            doc="What the experiment is for.",
            varies=False,
            noted=False,
            **_TEXT,
        ),
        MetadataKey(
            name="question",
            doc="Which question it belongs to.",
            takes="text or a number",
            fits=lambda value: is_text(value) or is_number(value),
            varies=False,
        ),
        MetadataKey(
            name="is_active",
            doc="An experiment that is said not to be active is refused, unless `--force` is "
            "said, and no other one may refer to it.",
            varies=False,
            **_FLAG,
        ),
        MetadataKey(
            name="factor_varied",
            doc="The key that distinguishes conditions in pictures.",
            varies=False,
            **_LABEL,
        ),
        MetadataKey(
            name="color_by", doc="The key that pictures colour by.", varies=False, **_LABEL
        ),
        MetadataKey(
            name="facet_by", doc="The key that pictures are divided by.", varies=False, **_LABEL
        ),
        MetadataKey(
            name="perturbation_dataset",
            doc="Name of a dataset of the catalog or of a local collection, an alias, or a path. "
            "Several make conditions, which the original does not take.",
            goes_to="split DATASET",
            required=True,
            **_TEXT,
        ),
        MetadataKey(
            name="refers_to",
            doc="Another experiment, ../NAME/metadata.json, whose keys hold where they are not "
            "given here. One level: that one must not refer further, and must be active.",
            takes="the name of a folder, or null",
            fits=or_null(lambda value: is_text(value) and is_safe_file_name(value)),
            varies=False,
        ),
        MetadataKey(
            name="allowed_regulators_vs_network_regulators",
            doc="Which perturbations may be held out: all, or those of regulators in any (union) "
            "or in every (intersection) of the experiment's networks.",
            default="all",
            choices=lambda: AllowedRegulators,
            goes_to="split --allowed-regulators",
            **_TEXT,
        ),
        MetadataKey(
            name="pruning_parameter",
            doc="How many coefficients pruning keeps.",
            takes="a number or null",
            fits=or_null(is_number),
            default=None,
            goes_to="predict --prune",
        ),
        MetadataKey(
            name="pruning_strategy",
            doc="Whether weak coefficients are removed, and the models refitted.",
            default="none",
            choices=_of_grammar("Pruning"),
            goes_to="predict --prune",
            **_TEXT,
        ),
        MetadataKey(
            name="network_prior",
            doc="Whether only regulators in the network are features of a gene's model. With the "
            "dense network it is always ignore.",
            default="ignore",
            choices=_of_grammar("NetworkPrior"),
            goes_to="predict --network-prior",
            **_TEXT,
        ),
        MetadataKey(
            name="desired_heldout_fraction",
            doc="Wanted share of the perturbations (of the observations, for simple and "
            "stratified splits) in the test set. Other types of split do not ask for it: k_fold "
            "holds out one of its folds.",
            takes="a number above 0 and at most 1",
            fits=lambda value: is_number(value) and 0 < value <= 1,
            default=0.5,
            goes_to="split --heldout-fraction",
        ),
        MetadataKey(
            name="type_of_split",
            doc="How the data are split.",
            default="interventional",
            choices=_split_types,
            goes_to="split --type",
            **_TEXT,
        ),
        MetadataKey(
            name="regression_method",
            doc="A method of `pereggrn-eval models`; or docker____IMAGE or singularity____IMAGE, "
            "a container.",
            default="RidgeCV",
            goes_to="predict --model, --container",
            **_TEXT,
        ),
        MetadataKey(
            name="starting_expression",
            doc="What forecasts start from; heldout makes oracles.",
            default="control",
            choices=lambda: ("control", "heldout"),
            goes_to="predict --starting-expression",
            **_TEXT,
        ),
        MetadataKey(
            name="feature_extraction",
            doc="What features are: expression (mrna, or null). With others of the original "
            "(geneformer), conditions say that they cannot be run here.",
            takes="text or null",
            fits=or_null(is_text),
            default=None,
            goes_to="predict",
            not_here=_features_not_here,
        ),
        MetadataKey(
            name="control_subtype",
            doc="Forecasts start from controls whose label begins with this.",
            takes="text or null",
            fits=or_null(is_text),
            default=None,
            goes_to="predict --control-subtype",
        ),
        MetadataKey(
            name="kwargs",
            doc="Arguments of the method. With a ladder, a list with those of each condition.",
            takes="a mapping; with expand: ladder, a list of mappings",
            fits=is_arguments,
            default={},
            varies=False,
            noted=False,
            goes_to="predict --argument",
        ),
        MetadataKey(
            name="kwargs_to_expand",
            doc="Names in kwargs whose lists make conditions, each a column of the table; "
            "without effect in a ladder.",
            takes="a list of names",
            fits=is_names,
            default=[],
            varies=False,
            noted=False,
        ),
        MetadataKey(
            name="expand",
            doc="How lists make conditions: every combination (grid), or the first of all lists, "
            "then the second, and so on (ladder).",
            default=GRID,
            choices=lambda: (GRID, LADDER),
            varies=False,
            noted=False,
            **_TEXT,
        ),
        MetadataKey(
            name="data_split_seed",
            doc="Seed of the split; of a custom split, the name of its test set: "
            "custom_test_sets/SEED.json, beside the folder of experiments.",
            takes="a whole number, 0 or more, or null (0)",
            fits=or_null(is_seed),
            default=0,
            goes_to="split --seed, --test-set",
        ),
        MetadataKey(
            name="baseline_condition",
            doc="Of the original's pictures; kept, and of no effect.",
            takes="a whole number, or a list of them",
            fits=is_baseline,
            default=0,
            varies=False,
        ),
        MetadataKey(
            name="num_genes",
            doc="Wanted number of genes: all perturbed ones, and the most variable ones.",
            takes='a whole number, 1 or more, or "all" or null',
            fits=_is_number_of_genes,
            default=10000,
            goes_to="split --num-genes",
        ),
        MetadataKey(
            name="predict_self",
            doc="Whether a gene may predict itself.",
            default=False,
            goes_to="predict --predict-self",
            **_FLAG,
        ),
        MetadataKey(
            name="eligible_regulators",
            doc="Which genes may be regulators: all, the transcription factors of the species "
            "(tf, tfs, human_tfs), or the perturbed genes.",
            default="all",
            choices=lambda: ("all", *TRANSCRIPTION_FACTORS, "perturbed_genes"),
            goes_to="predict --eligible-regulators",
            **_TEXT,
        ),
        MetadataKey(
            name="merge_replicates",
            doc="Whether replicates are averaged within perturbation first.",
            default=False,
            goes_to="split --merge-replicates",
            **_FLAG,
        ),
        MetadataKey(
            name="network_datasets",
            doc="Networks, each with `subnets` (its parts, by file; by default all) and "
            "`do_aggregate_subnets` (whether they are one network, or one condition each); also "
            "dense, empty and random0.1 (a tenth of all edges, by chance). A name or a list of "
            "names stands for a mapping that says nothing of them.",
            takes="a mapping of names, a name, or a list of names",
            fits=is_networks,
            default={DENSE: {}},
            goes_to="predict --network",
        ),
        MetadataKey(
            name="cell_type_sharing_strategy",
            doc="One model for all cell types, or one each.",
            default="identical",
            choices=_of_grammar("CellTypeSharing"),
            goes_to="predict --cell-type-sharing-strategy",
            **_TEXT,
        ),
        MetadataKey(
            name="low_dimensional_structure",
            doc="Whether forecasts go through a subspace.",
            default="none",
            choices=_of_grammar("LowDimensionalStructure"),
            goes_to="predict --low-dimensional-structure",
            **_TEXT,
        ),
        MetadataKey(
            name="low_dimensional_training",
            doc="How the subspace is found: by principal components (svd, pca). With others of "
            "the original (supervised, fixed), conditions say that they cannot be run here.",
            default="svd",
            goes_to="predict --low-dimensional-structure",
            not_here=_subspace_not_here,
            **_TEXT,
        ),
        MetadataKey(
            name="low_dimensional_value",
            doc="Dimension of the subspace, or the path of its matrix.",
            takes="a whole number, 1 or more, a path, or null",
            fits=or_null(lambda v: (is_whole(v) and v >= 1) or is_text(v)),
            default=None,
            goes_to="predict --low-dimensional-value",
        ),
        MetadataKey(
            name="matching_method",
            doc="Whose features an observation is trained on.",
            default="steady_state",
            choices=_of_grammar("Matching"),
            goes_to="predict --matching",
            **_TEXT,
        ),
        MetadataKey(
            name="prediction_timescale",
            doc="Numbers of steps to forecast, joined by commas.",
            takes='text such as "1,3,10", or a whole number',
            fits=is_timescale,
            default="1",
            goes_to="predict --steps",
        ),
        MetadataKey(
            name="does_simulation_progress",
            doc="Whether a method's steps are steps in time; by default whether it is one of the "
            "original's methods for which they are. Of the original's time series scores, and of "
            "no effect here.",
            takes="true, false or null",
            fits=or_null(is_flag),
            default=None,
        ),
        MetadataKey(
            name="visualization_embedding",
            doc="Embedding of the original's pictures of time series; kept, and of no effect.",
            takes="text or null",
            fits=or_null(is_text),
            default=None,
        ),
        MetadataKey(
            name="species",
            doc="Whose list of transcription factors is used.",
            default="human",
            goes_to="predict --species",
            **_TEXT,
        ),
        MetadataKey(
            name="matching_method_for_evaluation",
            doc="How the original's scores of time series match observations; kept, and of no "
            "effect: ours match by cell type and timepoint.",
            default="optimal_transport",
            choices=_of_grammar("Matching"),
            **_TEXT,
        ),
        MetadataKey(
            name=FOLDS,
            doc="Into how many folds k_fold divides perturbations (5, if not given); each fold is "
            "a condition. The original has no such key.",
            takes="a whole number, 2 or more",
            fits=lambda value: is_whole(value) and value >= 2,
            varies=False,
            goes_to="split --folds",
        ),
        MetadataKey(
            name=FOLD,
            doc="Which folds of k_fold are held out, counted from 0; by default all, one after "
            "the other. The original has no such key.",
            takes="a whole number, 0 or more",
            fits=lambda value: is_whole(value) and value >= 0,
            goes_to="split --fold",
        ),
        MetadataKey(
            name=HELDOUT_CELL_TYPE,
            doc="The cell type that a cell_type split holds out, which it needs. The original has "
            "no such key.",
            goes_to="split --cell-type",
            **_TEXT,
        ),
    )
}
"""By name."""


def defaults() -> dict[str, Any]:
    """Return the keys that have a default, with it, in the order in which they are filled in."""
    return {key.name: key.default for key in KEYS.values() if key.default is not NOTHING}


def folds_of(metadata: Mapping[str, Any]) -> Any:
    """Return into how many folds perturbations are divided: what is said, or the default."""
    from pereggrn_data.core.options import options_of
    from pereggrn_data.core.splits import SplitRules

    return metadata.get(FOLDS, options_of(SplitRules)[FOLDS].default)


def metadata_keys_table() -> str:
    """Return the documentation's table of keys, as Markdown."""
    import json

    lines = [
        "| key | value | default | makes conditions | applies to | meaning |",
        "|" + "---|" * 6,
    ]
    for key in KEYS.values():
        default = "required" if key.required else ""
        if key.default is not NOTHING:
            default = f"`{json.dumps(key.default)}`"
        takes = key.takes
        if key.choices is not None:
            takes = ", ".join(f"`{choice}`" for choice in key.choices())
        goes_to = f"`{key.goes_to}`" if "--" in key.goes_to else key.goes_to
        doc = key.doc.replace("|", "\\|")
        lines.append(
            f"| `{key.name}` | {takes} | {default} | {'yes' if key.varies else ''} "
            f"| {goes_to} | {doc} |"
        )
    return "\n".join(lines)
