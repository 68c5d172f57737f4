"""The benchmark runs, and what it measures agrees with scikit-learn."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "ridge.py"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("ridge_benchmark", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ridge_benchmark", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("per_target", [0, 4])
def test_cases_agree_with_scikit_learn(benchmark: Any, per_target: int) -> None:
    case = benchmark.Case("tiny", 60, 40, 100, per_target, 20, 10)
    result = benchmark.measure(case, 1, 0)
    assert result["largest_difference"] < 1e-6
    assert result["other_penalties"] == 0
    assert result["ratio"] > 1
    assert "ratio" in benchmark.show(result)
