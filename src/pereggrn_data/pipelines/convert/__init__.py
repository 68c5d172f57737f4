"""The verb `convert`: whatever people have becomes a dataset of the uniform format.

`convert` opens the input, walks through the steps of the paper's preprocessing,
and checks what comes out by the rules of `validate`. For the command line and users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pereggrn_data.core.faces import lazy_names

if TYPE_CHECKING:
    from pereggrn_data.pipelines.convert.converting import Converted as Converted
    from pereggrn_data.pipelines.convert.converting import check_outputs as check_outputs
    from pereggrn_data.pipelines.convert.converting import convert as convert
    from pereggrn_data.pipelines.convert.suggesting import Suggestion as Suggestion
    from pereggrn_data.pipelines.convert.suggesting import suggest as suggest
    from pereggrn_data.pipelines.convert.suggesting import suggestion_lines as suggestion_lines

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "converting": ("Converted", "check_outputs", "convert"),
        "suggesting": ("Suggestion", "suggest", "suggestion_lines"),
    },
)
