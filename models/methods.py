"""The methods: their names, what they are, and what fits them, forecasts and loads them.

This is the one place where a method is added. The command line, the table in
``docs/reference/models.md`` and the tests take their names from here, and
`pereggrn_data.models.families` goes by the kind that an entry says it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np

from pereggrn_data.core.baselines import means_in_one_reading
from pereggrn_data.core.errors import UnknownNameError, UsageError
from pereggrn_data.core.rows.stored_medians import stored_medians
from pereggrn_data.models.estimators import fit_constant, fit_estimators, fit_linear
from pereggrn_data.models.grammar.dynamics import Forecast
from pereggrn_data.models.graphs.causal_graph import CausalGraph
from pereggrn_data.models.graphs.dcdfg import FactorModel, fit_dcdfg
from pereggrn_data.models.graphs.notears import fit_notears, fit_notears_lr
from pereggrn_data.models.graphs.signal_propagation import (
    SignalPropagation,
    fit_signal_propagation,
)
from pereggrn_data.models.kernel_ridge import (
    fit_kernel_ridge,
    has_linear_kernel,
    has_one_linear_penalty,
)
from pereggrn_data.models.linear_embedding import LinearEmbedding, fit_linear_embedding
from pereggrn_data.models.moments.by_moments import FOLDS, bytes_by_moments, fit_by_moments
from pereggrn_data.models.plain_arrays import Array
from pereggrn_data.models.regression import Regressions, RegressionTask
from pereggrn_data.models.regulon import forecast_regulon
from pereggrn_data.models.ridge.primal import bytes_in_blocks
from pereggrn_data.models.ridge.ridge_cv import fit_ridge_cv, fit_ridge_cv_extra_penalty


class MethodKind(StrEnum):
    """What a method is, which decides what it can be combined with."""

    CONSTANT = "constant"
    LINEAR = "linear"
    ESTIMATOR = "estimator"
    NETWORK = "network"
    EMBEDDING = "embedding"
    PROPAGATION = "propagation"
    GRAPH = "graph"

    @property
    def is_regression(self) -> bool:
        """Whether it is fitted to each gene by itself, as the grammar says."""
        return self in (MethodKind.CONSTANT, MethodKind.LINEAR, MethodKind.ESTIMATOR)


@dataclass(frozen=True)
class Proviso:
    """With which arguments a method can do something.

    Parameters
    ----------
    words
        What must hold, for messages: "kernel is linear".
    holds
        Whether it does.
    """

    words: str
    holds: Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Method:
    """A way to forecast expression.

    Parameters
    ----------
    name
        As users give it.
    kind
        A regression (constant, linear, or another estimator), or a method
        that is none (network, embedding, propagation along a network, or a graph of
        all genes that the method finds).
    summary
        What it does, in one line.
    reference
        Where it is described.
    fit
        What fits it; None for networks, to which nothing is fitted.
        Of regressions, from a :class:`RegressionTask` to :class:`Regressions`
        of all genes. Of others, from :class:`TrainingData` (of propagations, also
        the network; of graphs, also a seed) and the method's arguments, which are
        further parameters, to a fitted model.
    forecast
        What forecasts, for networks only, as fitted models forecast themselves:
        from regulators, genes (a tuple of names), perturbations and a starting
        state to a :class:`Forecast`, with the method's arguments, if it has any,
        as further parameters.
    load
        For those that are fitted and no regressions, what makes a fitted model
        of its arrays; regressions are all stored in one way.
    in_paper
        Whether the PEREGGRN paper's comparison of regression methods has it.
    linear_if
        For other estimators: with which arguments they are linear; None if never.
    is_random
        Whether it has random elements, which the seed fixes.
    by_gene
        Whether each gene is fitted by itself, so that processes can share the work
        (:mod:`pereggrn_data.models.target_blocks`).
    in_blocks
        If it can go through the data to learn from in blocks of rows, so that they need not be
        in memory: from numbers of features and of genes to the least bytes that it takes then.
        See :func:`pereggrn_data.models.learns_in_blocks`.
    in_blocks_if
        With which arguments it can; None if with all.
    aliases
        Other names under which it is known.
    """

    name: str
    kind: MethodKind
    summary: str
    reference: str
    fit: Callable[..., Any] | None = None
    forecast: Callable[..., Forecast] | None = None
    load: Callable[[Mapping[str, Array]], Any] | None = None
    in_paper: bool = False
    linear_if: Callable[[Mapping[str, Any]], bool] | None = None
    is_random: bool = False
    by_gene: bool = False
    in_blocks: Callable[[int, int], int] | None = None
    in_blocks_if: Proviso | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        is_network = self.kind is MethodKind.NETWORK
        is_whole = not is_network and not self.is_regression
        has = (self.fit is not None, self.forecast is not None, self.load is not None)
        if has != (not is_network, is_network, is_whole):
            raise TypeError(f"{self.name} is not complete, or has what a {self.kind} has not")

    @property
    def is_regression(self) -> bool:
        """Whether the grammar's rules, networks and matching apply to it."""
        return self.kind.is_regression

    def can_go_in_blocks(self, arguments: Mapping[str, Any]) -> bool:
        """Say whether it can learn in blocks of rows with these arguments."""
        proviso = self.in_blocks_if
        return self.in_blocks is not None and (proviso is None or proviso.holds(arguments))

    def is_linear(self, arguments: Mapping[str, Any]) -> bool:
        """Say whether a regression with these arguments is kept as coefficients.

        Then it can be pruned (unless it is a constant), and stored without pickle.
        """
        return self.kind in (MethodKind.CONSTANT, MethodKind.LINEAR) or (
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


def _by_moments(name: str, folds: int, **options: Any) -> Callable[[RegressionTask], Regressions]:
    make = _sklearn("linear_model", name)
    return partial(fit_by_moments, make=make, folds=folds, **options)


def _estimator(module: str, name: str, **settings: Any) -> Callable[[RegressionTask], Regressions]:
    return partial(fit_estimators, make=_sklearn(module, name, **settings))


def _has_usual_folds(arguments: Mapping[str, Any]) -> bool:
    """Say whether rows are divided into the folds whose sums are gathered."""
    given = arguments.get("cv")
    return given is None or (type(given) is int and given == FOLDS)


def _bytes_of_constants(_features: int, genes: int) -> int:
    return 8 * genes


_USUAL_FOLDS = Proviso(f"cv {FOLDS}", _has_usual_folds)
_RIFKIN = "Rifkin & Lippert 2007, MIT-CSAIL-TR-2007-025"
_PEREGGRN = "Kernfeld et al. 2025, Genome Biology"

METHODS: tuple[Method, ...] = (
    Method(
        name="mean",
        kind=MethodKind.CONSTANT,
        summary="Mean of the training data, whatever the perturbation: the baseline to beat.",
        reference=_PEREGGRN,
        fit=partial(fit_constant, statistic=np.mean, in_blocks=means_in_one_reading),
        in_paper=True,
        in_blocks=_bytes_of_constants,
    ),
    Method(
        name="median",
        kind=MethodKind.CONSTANT,
        summary="Median of the training data, whatever the perturbation.",
        reference=_PEREGGRN,
        fit=partial(fit_constant, statistic=np.median, in_blocks=stored_medians),
        in_paper=True,
        in_blocks=_bytes_of_constants,
    ),
    Method(
        name="RidgeCV",
        kind=MethodKind.LINEAR,
        summary="Ridge regression; penalty 0.01 to 100 by exact leave-one-out, all genes at once.",
        reference=_RIFKIN,
        fit=fit_ridge_cv,
        in_paper=True,
        in_blocks=bytes_in_blocks,
    ),
    Method(
        name="RidgeCVExtraPenalty",
        kind=MethodKind.LINEAR,
        summary="RidgeCV, with penalties up to 10,000,000 for genes that chose the largest.",
        reference=_PEREGGRN,
        fit=fit_ridge_cv_extra_penalty,
        in_paper=True,
        in_blocks=bytes_in_blocks,
    ),
    Method(
        name="LassoCV",
        kind=MethodKind.LINEAR,
        summary="Lasso; penalty by five-fold cross-validation.",
        reference="Tibshirani 1996, J. R. Stat. Soc. B 58:267",
        fit=_by_moments("LassoCV", folds=FOLDS),
        by_gene=True,
        in_paper=True,
        in_blocks=partial(bytes_by_moments, folds=FOLDS),
        in_blocks_if=_USUAL_FOLDS,
    ),
    Method(
        name="Lasso",
        kind=MethodKind.LINEAR,
        summary="Lasso with a fixed penalty (argument alpha, by default 1).",
        reference="Tibshirani 1996, J. R. Stat. Soc. B 58:267",
        fit=_by_moments("Lasso", folds=1, shares_gram=True),
        by_gene=True,
        in_blocks=partial(bytes_by_moments, folds=1),
        aliases=("LASSO",),
    ),
    Method(
        name="ElasticNetCV",
        kind=MethodKind.LINEAR,
        summary="Elastic net; penalty by five-fold cross-validation.",
        reference="Zou & Hastie 2005, J. R. Stat. Soc. B 67:301",
        fit=_by_moments("ElasticNetCV", folds=FOLDS),
        by_gene=True,
        in_paper=True,
        in_blocks=partial(bytes_by_moments, folds=FOLDS),
        in_blocks_if=_USUAL_FOLDS,
    ),
    Method(
        name="LassoLarsIC",
        kind=MethodKind.LINEAR,
        summary="Lasso by least angles; penalty by the Akaike information criterion.",
        reference="Zou, Hastie & Tibshirani 2007, Ann. Statist. 35:2173",
        fit=_linear("LassoLarsIC", shares_gram=True),
        by_gene=True,
    ),
    Method(
        name="LarsCV",
        kind=MethodKind.LINEAR,
        summary="Least angle regression; number of steps by five-fold cross-validation.",
        reference="Efron et al. 2004, Ann. Statist. 32:407",
        fit=_linear("LarsCV"),
        by_gene=True,
    ),
    Method(
        name="OrthogonalMatchingPursuitCV",
        kind=MethodKind.LINEAR,
        summary="Greedy choice of regulators; their number by five-fold cross-validation.",
        reference="Rubinstein, Zibulevsky & Elad 2008, CS Technion",
        fit=_linear("OrthogonalMatchingPursuitCV", mean_if_it_fails=True),
        by_gene=True,
        in_paper=True,
    ),
    Method(
        name="BayesianRidge",
        kind=MethodKind.LINEAR,
        summary="Ridge regression; penalty by maximal evidence.",
        reference="MacKay 1992, Neural Comput. 4:415",
        fit=_by_moments("BayesianRidge", folds=1),
        by_gene=True,
        in_paper=True,
        in_blocks=partial(bytes_by_moments, folds=1),
    ),
    Method(
        name="ARDRegression",
        kind=MethodKind.LINEAR,
        summary="Bayesian regression with a penalty for each regulator.",
        reference="MacKay 1994, ASHRAE Trans. 100:1053",
        fit=_linear("ARDRegression"),
        by_gene=True,
    ),
    Method(
        name="KernelRidge",
        kind=MethodKind.ESTIMATOR,
        summary="Kernel ridge regression (linear kernel unless another is given, no intercept).",
        reference="Murphy 2012, Machine Learning, section 14.4.3",
        fit=partial(
            fit_kernel_ridge,
            make=_sklearn("kernel_ridge", "KernelRidge"),
            linearly=partial(fit_by_moments, folds=1),
        ),
        by_gene=True,
        in_paper=True,
        linear_if=has_linear_kernel,
        in_blocks=partial(bytes_by_moments, folds=1),
        in_blocks_if=Proviso("kernel linear and alpha one number", has_one_linear_penalty),
    ),
    Method(
        name="ExtraTreesRegressor",
        kind=MethodKind.ESTIMATOR,
        summary="Mean of 100 extremely randomised trees.",
        reference="Geurts, Ernst & Wehenkel 2006, Mach. Learn. 63:3",
        fit=_estimator("ensemble", "ExtraTreesRegressor", n_jobs=1),
        by_gene=True,
        is_random=True,
    ),
    Method(
        name="GradientBoostingRegressor",
        kind=MethodKind.ESTIMATOR,
        summary="100 shallow trees, each fitted to what the ones before it leave.",
        reference="Friedman 2001, Ann. Statist. 29:1189",
        fit=_estimator("ensemble", "GradientBoostingRegressor"),
        by_gene=True,
        is_random=True,
    ),
    Method(
        name="regulon",
        kind=MethodKind.NETWORK,
        summary="Targets follow their regulator's log fold change; a network, and no training.",
        reference=_PEREGGRN,
        forecast=forecast_regulon,
    ),
    Method(
        name="linear_embedding",
        kind=MethodKind.EMBEDDING,
        summary="Ridge regression between embeddings of perturbed genes and of all genes.",
        reference="Ahlmann-Eltze, Huber & Anders 2025, Nat. Methods 22:1657",
        fit=fit_linear_embedding,
        load=LinearEmbedding.from_arrays,
        aliases=("ahlmann_eltze",),
    ),
    Method(
        name="signal_propagation",
        kind=MethodKind.PROPAGATION,
        summary="CellOracle's simulation: fitted edges of a network, along which shifts run.",
        reference="Kamimoto et al. 2023, Nature 614:742",
        fit=fit_signal_propagation,
        load=SignalPropagation.from_arrays,
    ),
    Method(
        name="notears",
        kind=MethodKind.GRAPH,
        summary="NOTEARS: a linear causal graph of all genes, acyclic, with interventions.",
        reference="Zheng et al. 2018, NeurIPS",
        fit=fit_notears,
        load=CausalGraph.from_arrays,
        is_random=True,
    ),
    Method(
        name="notears_lr",
        kind=MethodKind.GRAPH,
        summary="NOTEARS-LR: the same with weights of low rank.",
        reference="Fang et al. 2024, IEEE TNNLS 35:4924",
        fit=fit_notears_lr,
        load=CausalGraph.from_arrays,
        is_random=True,
    ),
    Method(
        name="dcdfg",
        kind=MethodKind.GRAPH,
        summary="DCD-FG: a causal graph through a few factors, each a small neural network.",
        reference="Lopez et al. 2022, NeurIPS",
        fit=fit_dcdfg,
        load=FactorModel.from_arrays,
        is_random=True,
    ),
)
"""All methods."""


def method_names() -> tuple[str, ...]:
    """Return the names of all methods, in the registry's order."""
    return tuple(method.name for method in METHODS)


def get_method(name: str, *, besides: Sequence[str] = ()) -> Method:
    """Return a method by its name or one of its aliases.

    Parameters
    ----------
    name
        Of the method.
    besides
        What else might have been meant, for the message.

    Raises
    ------
    UnknownNameError
        If there is none of this name.
    """
    for method in METHODS:
        if name == method.name or name in method.aliases:
            return method
    raise UnknownNameError(
        "method", name, [*method_names(), *besides], fix="`pereggrn-eval models` lists them all."
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
    """Return all methods as a Markdown table, which ``docs/reference/models.md`` holds."""
    columns = ("Method", "Kind", "What it does", "Paper", "In blocks", "Reference")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for m in METHODS:
        paper, blocks = ("yes" if so else "" for so in (m.in_paper, m.in_blocks is not None))
        lines.append(
            f"| `{m.name}` | {m.kind} | {m.summary} | {paper} | {blocks} | {m.reference} |"
        )
    return "\n".join(lines)
