"""From people's files to the uniform format: pure computation on names, labels and matrices.

`ConvertOptions` has every choice, and `ConversionReport` says what was made of
the input. Labels, names of genes, scales, filters, size factors and ranks are a
file each, and layouts that are known by name one registry. For the pipeline that
opens the files and walks through the steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.conversion.cell_filters import PRESETS as PRESETS
    from pereggrn_data.conversion.cell_filters import CellFacts as CellFacts
    from pereggrn_data.conversion.cell_filters import CellFilter as CellFilter
    from pereggrn_data.conversion.cell_filters import filter_of as filter_of
    from pereggrn_data.conversion.conversion_options import ConvertOptions as ConvertOptions
    from pereggrn_data.conversion.conversion_options import GeneOptions as GeneOptions
    from pereggrn_data.conversion.conversion_options import LabelOptions as LabelOptions
    from pereggrn_data.conversion.conversion_options import PipelineOptions as PipelineOptions
    from pereggrn_data.conversion.conversion_options import ValueOptions as ValueOptions
    from pereggrn_data.conversion.conversion_options import options_from as options_from
    from pereggrn_data.conversion.conversion_report import ConversionReport as ConversionReport
    from pereggrn_data.conversion.gene_names import SYMBOL_COLUMNS as SYMBOL_COLUMNS
    from pereggrn_data.conversion.gene_names import clean_names as clean_names
    from pereggrn_data.conversion.gene_names import mostly_ensembl as mostly_ensembl
    from pereggrn_data.conversion.gene_names import unique_groups as unique_groups
    from pereggrn_data.conversion.gene_ranks import RANKS as RANKS
    from pereggrn_data.conversion.gene_ranks import check_rank as check_rank
    from pereggrn_data.conversion.guide_labels import PERTURBATION_COLUMNS as PERTURBATION_COLUMNS
    from pereggrn_data.conversion.guide_labels import LabelReader as LabelReader
    from pereggrn_data.conversion.guide_labels import LabelRules as LabelRules
    from pereggrn_data.conversion.guide_labels import ReadLabel as ReadLabel
    from pereggrn_data.conversion.guide_labels import choose_column as choose_column
    from pereggrn_data.conversion.guide_labels import choose_control as choose_control
    from pereggrn_data.conversion.guide_labels import (
        hint_of_labels_in_names as hint_of_labels_in_names,
    )
    from pereggrn_data.conversion.guide_labels import names_controls as names_controls
    from pereggrn_data.conversion.guide_labels import required_column as required_column
    from pereggrn_data.conversion.guide_labels import type_of as type_of
    from pereggrn_data.conversion.input_layouts import LAYOUTS as LAYOUTS
    from pereggrn_data.conversion.input_layouts import layouts_table as layouts_table
    from pereggrn_data.conversion.input_layouts import options_of_layout as options_of_layout
    from pereggrn_data.conversion.moved_targets import stated_levels as stated_levels
    from pereggrn_data.conversion.moved_targets import unmoved_rows as unmoved_rows
    from pereggrn_data.conversion.size_factors import CELL_TARGET as CELL_TARGET
    from pereggrn_data.conversion.size_factors import SIZE_FACTORS as SIZE_FACTORS
    from pereggrn_data.conversion.size_factors import total as total
    from pereggrn_data.conversion.size_factors import total_counts as total_counts
    from pereggrn_data.conversion.value_scale import SAMPLE_ROWS as SAMPLE_ROWS
    from pereggrn_data.conversion.value_scale import SCALES as SCALES
    from pereggrn_data.conversion.value_scale import check_counts as check_counts
    from pereggrn_data.conversion.value_scale import check_normalised as check_normalised
    from pereggrn_data.conversion.value_scale import check_real as check_real
    from pereggrn_data.conversion.value_scale import choose_scale as choose_scale
    from pereggrn_data.conversion.value_scale import is_whole as is_whole

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "cell_filters": ("CellFacts", "CellFilter", "PRESETS", "filter_of"),
        "conversion_options": (
            "ConvertOptions",
            "GeneOptions",
            "LabelOptions",
            "PipelineOptions",
            "ValueOptions",
            "options_from",
        ),
        "conversion_report": ("ConversionReport",),
        "gene_names": ("SYMBOL_COLUMNS", "clean_names", "mostly_ensembl", "unique_groups"),
        "gene_ranks": ("RANKS", "check_rank"),
        "guide_labels": (
            "LabelReader",
            "LabelRules",
            "PERTURBATION_COLUMNS",
            "ReadLabel",
            "choose_column",
            "choose_control",
            "hint_of_labels_in_names",
            "names_controls",
            "required_column",
            "type_of",
        ),
        "input_layouts": ("LAYOUTS", "layouts_table", "options_of_layout"),
        "moved_targets": ("stated_levels", "unmoved_rows"),
        "size_factors": ("CELL_TARGET", "SIZE_FACTORS", "total", "total_counts"),
        "value_scale": (
            "SAMPLE_ROWS",
            "SCALES",
            "check_counts",
            "check_normalised",
            "check_real",
            "choose_scale",
            "is_whole",
        ),
    },
)
