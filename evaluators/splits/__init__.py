"""The types of split: which observations each holds out, and what each promises.

For the pipeline that makes and checks splits, and for whoever asks what a type
is: `split_type`, or all of :data:`SPLIT_TYPES`. Rules look at names and labels,
never at held-out expression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.evaluators.splits.choosing import Sides as Sides
    from pereggrn_data.evaluators.splits.choosing import SplitRequest as SplitRequest
    from pereggrn_data.evaluators.splits.gene_choice import modelled_genes as modelled_genes
    from pereggrn_data.evaluators.splits.gene_choice import perturbed_genes as perturbed_genes
    from pereggrn_data.evaluators.splits.gene_choice import rank_by_variance as rank_by_variance
    from pereggrn_data.evaluators.splits.guarantees import UNIVERSAL as UNIVERSAL
    from pereggrn_data.evaluators.splits.guarantees import Guarantee as Guarantee
    from pereggrn_data.evaluators.splits.guarantees import SplitFacts as SplitFacts
    from pereggrn_data.evaluators.splits.located import Located as Located
    from pereggrn_data.evaluators.splits.located import locate as locate
    from pereggrn_data.evaluators.splits.replicates import merge_replicates as merge_replicates
    from pereggrn_data.evaluators.splits.seen_targets import (
        seen_combinations as seen_combinations,
    )
    from pereggrn_data.evaluators.splits.types import SPLIT_TYPES as SPLIT_TYPES
    from pereggrn_data.evaluators.splits.types import SplitType as SplitType
    from pereggrn_data.evaluators.splits.types import make_sides as make_sides
    from pereggrn_data.evaluators.splits.types import require_applicable as require_applicable
    from pereggrn_data.evaluators.splits.types import split_type as split_type
    from pereggrn_data.evaluators.splits.types import split_types_table as split_types_table
    from pereggrn_data.evaluators.splits.validation_side import (
        choose_validation as choose_validation,
    )

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "choosing": (
            "Sides",
            "SplitRequest",
        ),
        "gene_choice": (
            "modelled_genes",
            "perturbed_genes",
            "rank_by_variance",
        ),
        "guarantees": (
            "Guarantee",
            "SplitFacts",
            "UNIVERSAL",
        ),
        "located": (
            "Located",
            "locate",
        ),
        "replicates": ("merge_replicates",),
        "seen_targets": ("seen_combinations",),
        "types": (
            "SPLIT_TYPES",
            "SplitType",
            "make_sides",
            "require_applicable",
            "split_type",
            "split_types_table",
        ),
        "validation_side": ("choose_validation",),
    },
)
