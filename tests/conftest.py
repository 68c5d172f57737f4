"""Shared fixtures: where the real data are, and how tests that need them are skipped."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from quick_surroundings import (  # noqa: F401
    _surroundings,
    _surroundings_of_the_module,
    users_cache,
)
from service_fixtures import archives, cache_folder, command, run, serve  # noqa: F401

if TYPE_CHECKING:
    from anndata import AnnData

# A loaded machine is no reason to fail: examples may take as long as they do.
# Every run draws others, so that few in each are many in time.
settings.register_profile(
    "here",
    deadline=None,
    max_examples=200 if os.environ.get("PEREGGRN_TRIALS") == "1" else 25,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("here")

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("PEREGGRN_SHARED", REPOSITORY.parent / "shared"))
SHARED_IS_HERE = (SHARED / "data").is_dir() and (SHARED / "golden").is_dir()


# .ci/run sets this where the data are: then nothing that needs them may be skipped.
SHARED_IS_EXPECTED = os.environ.get("PEREGGRN_EXPECT_SHARED") == "1"
_skipped_although_expected: list[str] = []

ASKED_FOR_BY = {"trial": "PEREGGRN_TRIALS", "installs": "PEREGGRN_SLOW_ADAPTERS"}
"""Marks of tests that are for those who ask for them, and the variable that is 1 then."""


def pytest_configure() -> None:
    """Set what the processes of the tests inherit.

    There are as many as cores, so that several threads of BLAS in each would mostly wait
    for each other. What Python compiles is kept, or each process would compile all modules
    anew. Signals may be ignored, as under nohup, and tests send some. While tests are
    collected next to nothing is garbage, and looking for it takes a fifth of the time.
    """
    gc.disable()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    wanted = "shared" in report.keywords and not set(ASKED_FOR_BY) & set(report.keywords)
    if SHARED_IS_EXPECTED and report.skipped and wanted:
        _skipped_although_expected.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skipped_although_expected:
        print("\nskipped, although the shared data should be here:", *_skipped_although_expected)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark, variable in ASKED_FOR_BY.items():
            if item.get_closest_marker(mark) and os.environ.get(variable) != "1":
                item.add_marker(pytest.mark.skip(reason=f"{variable} is not 1"))
    if SHARED_IS_HERE:
        return
    skip = pytest.mark.skip(reason="needs the shared real data, which are not here")
    for item in items:
        if "shared" in item.keywords:
            item.add_marker(skip)


def pytest_collection_finish() -> None:
    """Leave what is there for good, thousands of tests among it, out of garbage collections."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process neighbouring tests, which share fixtures, and let idle ones take over."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the real data and golden outputs; for tests marked `shared`."""
    return SHARED


@pytest.fixture
def small_dataset() -> Callable[[], AnnData]:
    """Make a small valid dataset: 6 observations of 4 genes, one double perturbation."""

    def make() -> AnnData:
        import anndata
        import numpy as np
        import pandas as pd

        counts = np.arange(24, dtype=np.float32).reshape(6, 4)
        x = np.log1p(counts)
        obs = pd.DataFrame(
            {
                "is_control": [True, True, False, False, False, False],
                "perturbation": ["ctrl", "ctrl", "A", "B", "A,B", "Z"],
                "perturbation_type": ["knockout"] * 2 + ["overexpression"] * 4,
                "expression_level_after_perturbation": [
                    *("nan", "nan"),
                    *(str(x[2, 0]), str(x[3, 1]), f"{x[4, 0]},nan", "nan"),
                ],
            },
            index=[f"cell_{i}" for i in range(6)],
        )
        var = pd.DataFrame({"highly_variable_rank": [0, 1, 2, 3]}, index=list("ABCD"))
        uns = {
            "perturbed_and_measured_genes": ["A", "B"],
            "perturbed_but_not_measured_genes": ["Z"],
            "perturbations_overlap": True,
        }
        adata = anndata.AnnData(X=x, obs=obs, var=var, uns=uns)
        adata.raw = anndata.AnnData(X=counts, obs=obs[[]], var=var[[]])
        return adata

    return make
