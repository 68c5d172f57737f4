"""Choices of models that cannot be used: said before the work, as errors of use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError, PereggrnError, UsageError
from pereggrn_data.pipelines.model_inputs import subspace_value

FEW: dict[str, Any] = {
    "split_options": pereggrn_data.SplitOptions(num_genes=30),
    "eligible_regulators": "perturbed",
}


def test_kernel_ridge_is_stored_without_pickle_where_it_is_linear(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    first = pereggrn_data.predict("demo", "KernelRidge", save_model=path, **FEW)
    again = pereggrn_data.predict("demo", model_file=path, split_options=FEW["split_options"])
    np.testing.assert_allclose(again.adata.X, first.adata.X)
    for method, arguments in (("KernelRidge", {"kernel": "rbf"}), ("ExtraTreesRegressor", {})):
        with pytest.raises(UsageError, match=f"{method} is not linear here"):
            pereggrn_data.predict(
                "demo", method, arguments=arguments, save_model=tmp_path / "x.npz", **FEW
            )
    assert not (tmp_path / "x.npz").exists()
