"""Splits that somebody else made, or asked for wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_splits_scored import dataset, opened

from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.splits import Split, SplitRules
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.pipelines.split.split_check import check_split
from pereggrn_data.pipelines.split.splitting import split


class TestTampering:
    """What a type promises is checked on files that somebody else made."""

    LABELS = ("ctrl", "ctrl", "ctrl", "A", "A", "B", "B", "A,B", "A,B")

    @pytest.mark.parametrize(
        ("kind", "change", "promise"),
        [
            ("interventional", "one control", "All controls train"),
            ("simple", "one control", "All controls train"),
            ("stratified", "one control", "All controls train"),
            ("genetic_interaction", "controls only", "Everything that is not held out trains"),
            ("interventional", "given", "Only a time series"),
            ("interventional", "rules", "rules are those of a"),
        ],
    )
    def test_refused(self, tmp_path: Path, kind: str, change: str, promise: str) -> None:
        made = split(opened(dataset(list(self.LABELS))), kind)
        values = vars(made.split)
        obs = made.dataset.adata.obs
        rest = [n for n in obs.index if n not in made.split.test_observations]
        controls = [n for n in rest if obs.loc[n, "is_control"]]
        changed = {
            "one control": {"train_observations": tuple(n for n in rest if n not in controls[1:])},
            "controls only": {"train_observations": tuple(controls)},
            "given": {"given_observations": (controls[0],)},
            "rules": {"rules": SplitRules(stratify_controls=True)},
        }[change]
        path = tmp_path / "split.json"
        path.write_text(dumps(Split(**{**values, **changed}).to_dict()))
        found = check_split(path, made.dataset)
        assert not found.valid
        assert any(promise in finding.expected for finding in found.findings), found

    def test_a_field_that_stands_twice(self, tmp_path: Path) -> None:
        made = split("demo")
        text = dumps(made.split.to_dict()).replace("{", '{"type": "custom", ', 1)
        (tmp_path / "split.json").write_text(text)
        with pytest.raises(InvalidDataError, match="stands twice"):
            check_split(tmp_path / "split.json", "demo")

    @pytest.mark.parametrize(
        "options",
        [
            {"seed": -1},
            {"seed": True},
            {"seed": "0"},
            {"num_genes": 0},
            {"num_genes": 1.5},
            {"heldout_fraction": "x"},
            {"heldout_fraction": None},
        ],
    )
    def test_options_of_the_wrong_kind(self, options: Any) -> None:
        with pytest.raises(UsageError):
            split("demo", **options)

    def test_no_number_of_uns_trains(self) -> None:
        data = dataset(list(self.LABELS))
        data.uns["grand_mean"] = float(np.asarray(data.X).mean())
        assert "grand_mean" not in split(opened(data), "interventional").train.uns

    def test_a_control_of_the_same_label_shows_no_effect(self) -> None:
        data = dataset(["c", "G0", "G0", "G1", "G1"])
        data.obs["is_control"] = [True, False, True, False, False]
        for seed in range(6):
            made = split(
                opened(data), "stratified", seed=seed, insist="is-control-contradicts-label"
            )
            assert "G0" not in made.split.heldout_perturbations
