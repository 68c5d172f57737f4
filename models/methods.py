"""The methods: their names, what they are, and what fits them.

This is the one place where a method is added. The command line, the table in
``docs/models.md`` and the tests take their names from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np

from pereggrn_data.core.errors import UnknownNameError, UsageError
from pereggrn_data.models.estimators import (
    fit_constant,
    fit_estimators,
    fit_kernel_ridge,
    fit_linear,
    has_linear_kernel,
)
from pereggrn_data.models.fitted import Regressions
from pereggrn_data.models.regression_task import RegressionTask
from pereggrn_data.models.ridge.ridge_cv import fit_ridge_cv, fit_ridge_cv_extra_penalty


class Kind(StrEnum):
    """What a method is, which decides what it can be combined with."""

    CONSTANT = "constant"
    LINEAR = "linear"
    ESTIMATOR = "estimator"
    NETWORK = "network"
    EMBEDDING = "embedding"


@dataclass(frozen=True)
class Method:
    """A way to forecast expression.

    Parameters
    ----------
    name
        As users give it.
    kind
        A regression (constant, linear, or another estimator), or a method
        that is none (network, embedding).
    summary
        What it does, in one line.
    reference
        Where it is described.
    fit
        Fits it to all genes; None for methods that are not regressions.
    in_paper
        Whether the PEREGGRN paper's comparison of regression methods has it.
    linear_if
        For other estimators: with which arguments they are linear; None if never.
    is_random
        Whether it has random elements, which the seed fixes.
    aliases
        Other names under which it is known.
    """

    name: str
    kind: Kind
    summary: str
    reference: str
    fit: Callable[[RegressionTask], Regressions] | None = None
    in_paper: bool = False
    linear_if: Callable[[Mapping[str, Any]], bool] | None = None
    is_random: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def is_regression(self) -> bool:
        """Whether the grammar's rules, networks and matching apply to it."""
        return self.fit is not None

    def is_linear(self, arguments: Mapping[str, Any]) -> bool:
        """Say whether models fitted with these arguments are kept as coefficients.

        Then they can be pruned (unless they are constants), and stored without pickle.
        """
        return self.kind in (Kind.CONSTANT, Kind.LINEAR) or (
            self.linear_if is not None and self.linear_if(arguments)
        )


def _sklearn(module: str, name: str, /, **settings: Any) -> Callable[..., Any]:
    """Return a maker of a scikit-learn estimator, which is imported when it is called."""
    return partial(_make, module, name, settings)


def _make(module: str, name: str, settings: dict[str, Any], **arguments: Any) -> Any:
    import importlib

    estimator = getattr(importlib.import_module(f"sklearn.{module}"), name)
    return estimator(**{**settings, **arguments})


def _linear(name: str, **options: Any) -> Callable[[RegressionTask], Regressions]:
    return partial(fit_linear, make=_sklearn("linear_model", name), **options)


def _estimator(module: str, name: str, **settings: Any) -> Callable[[RegressionTask], Regressions]:
    return partial(fit_estimators, make=_sklearn(module, name, **settings))


_RIFKIN = "Rifkin & Lippert 2007, MIT-CSAIL-TR-2007-025"
_PEREGGRN = "Kernfeld et al. 2025, Genome Biology"

METHODS: tuple[Method, ...] = (
    Method(
        name="mean",
        kind=Kind.CONSTANT,
        summary="Mean of the training data, whatever the perturbation: the baseline to beat.",
        reference=_PEREGGRN,
        fit=partial(fit_constant, statistic=np.mean),
        in_paper=True,
    ),
    Method(
        name="median",
        kind=Kind.CONSTANT,
        summary="Median of the training data, whatever the perturbation.",
        reference=_PEREGGRN,
        fit=partial(fit_constant, statistic=np.median),
        in_paper=True,
    ),
    Method(
        name="RidgeCV",
        kind=Kind.LINEAR,
        summary="Ridge regression; penalty 0.01 to 100 by exact leave-one-out, all genes at once.",
        reference=_RIFKIN,
        fit=fit_ridge_cv,
        in_paper=True,
    ),
    Method(
        name="RidgeCVExtraPenalty",
        kind=Kind.LINEAR,
        summary="RidgeCV, with penalties up to 10,000,000 for genes that chose the largest.",
        reference=_PEREGGRN,
        fit=fit_ridge_cv_extra_penalty,
        in_paper=True,
    ),
    Method(
        name="LassoCV",
        kind=Kind.LINEAR,
        summary="Lasso; penalty by five-fold cross-validation.",
        reference="Tibshirani 1996, J. R. Stat. Soc. B 58:267",
        fit=_linear("LassoCV"),
        in_paper=True,
    ),
    Method(
        name="Lasso",
        kind=Kind.LINEAR,
        summary="Lasso with a fixed penalty (argument alpha, by default 1).",
        reference="Tibshirani 1996, J. R. Stat. Soc. B 58:267",
        fit=_linear("Lasso", shares_gram=True),
        aliases=("LASSO",),
    ),
    Method(
        name="ElasticNetCV",
        kind=Kind.LINEAR,
        summary="Elastic net; penalty by five-fold cross-validation.",
        reference="Zou & Hastie 2005, J. R. Stat. Soc. B 67:301",
        fit=_linear("ElasticNetCV"),
        in_paper=True,
    ),
    Method(
        name="LassoLarsIC",
        kind=Kind.LINEAR,
        summary="Lasso by least angles; penalty by the Akaike information criterion.",
        reference="Zou, Hastie & Tibshirani 2007, Ann. Statist. 35:2173",
        fit=_linear("LassoLarsIC", shares_gram=True),
    ),
    Method(
        name="LarsCV",
        kind=Kind.LINEAR,
        summary="Least angle regression; number of steps by five-fold cross-validation.",
        reference="Efron et al. 2004, Ann. Statist. 32:407",
        fit=_linear("LarsCV"),
    ),
    Method(
        name="OrthogonalMatchingPursuitCV",
        kind=Kind.LINEAR,
        summary="Greedy choice of regulators; their number by five-fold cross-validation.",
        reference="Rubinstein, Zibulevsky & Elad 2008, CS Technion",
        fit=_linear("OrthogonalMatchingPursuitCV", mean_if_it_fails=True),
        in_paper=True,
    ),
    Method(
        name="BayesianRidge",
        kind=Kind.LINEAR,
        summary="Ridge regression; penalty by maximal evidence.",
        reference="MacKay 1992, Neural Comput. 4:415",
        fit=_linear("BayesianRidge"),
        in_paper=True,
    ),
    Method(
        name="ARDRegression",
        kind=Kind.LINEAR,
        summary="Bayesian regression with a penalty for each regulator.",
        reference="MacKay 1994, ASHRAE Trans. 100:1053",
        fit=_linear("ARDRegression"),
    ),
    Method(
        name="KernelRidge",
        kind=Kind.ESTIMATOR,
        summary="Kernel ridge regression (linear kernel unless another is given, no intercept).",
        reference="Murphy 2012, Machine Learning, section 14.4.3",
        fit=partial(fit_kernel_ridge, make=_sklearn("kernel_ridge", "KernelRidge")),
        in_paper=True,
        linear_if=has_linear_kernel,
    ),
    Method(
        name="ExtraTreesRegressor",
        kind=Kind.ESTIMATOR,
        summary="Mean of 100 extremely randomised trees.",
        reference="Geurts, Ernst & Wehenkel 2006, Mach. Learn. 63:3",
        fit=_estimator("ensemble", "ExtraTreesRegressor", n_jobs=1),
        is_random=True,
    ),
    Method(
        name="GradientBoostingRegressor",
        kind=Kind.ESTIMATOR,
        summary="100 shallow trees, each fitted to what the ones before it leave.",
        reference="Friedman 2001, Ann. Statist. 29:1189",
        fit=_estimator("ensemble", "GradientBoostingRegressor"),
        is_random=True,
    ),
    Method(
        name="regulon",
        kind=Kind.NETWORK,
        summary="Targets follow their regulator's log fold change; a network, and no training.",
        reference=_PEREGGRN,
    ),
    Method(
        name="linear_embedding",
        kind=Kind.EMBEDDING,
        summary="Ridge regression between embeddings of perturbed genes and of all genes.",
        reference="Ahlmann-Eltze, Huber & Anders 2025, Nat. Methods 22:1657",
        aliases=("ahlmann_eltze",),
    ),
)
"""All methods."""


def method_names() -> tuple[str, ...]:
    """Return the names of all methods, in the registry's order."""
    return tuple(method.name for method in METHODS)


def get_method(name: str) -> Method:
    """Return a method by its name or one of its aliases.

    Raises
    ------
    UnknownNameError
        If there is none of this name.
    """
    for method in METHODS:
        if name == method.name or name in method.aliases:
            return method
    raise UnknownNameError(
        "method", name, method_names(), fix="`pereggrn-eval models` lists them all."
    )


def get_regression(name: str) -> Method:
    """Return a method that is a regression.

    Raises
    ------
    UnknownNameError
        If there is no method of this name.
    UsageError
        If there is, but it is no regression.
    """
    method = get_method(name)
    if not method.is_regression:
        raise UsageError(
            f"{method.name} is not a regression method.",
            expected=", ".join(m.name for m in METHODS if m.is_regression),
        )
    return method


def methods_table() -> str:
    """Return all methods as a Markdown table, which ``docs/models.md`` holds."""
    lines = ["| Method | Kind | What it does | Paper | Reference |", "|---|---|---|---|---|"]
    for m in METHODS:
        paper = "yes" if m.in_paper else ""
        lines.append(f"| `{m.name}` | {m.kind} | {m.summary} | {paper} | {m.reference} |")
    return "\n".join(lines)
