"""Do the rows and genes of a predictions file fit what was asked for?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pandas as pd

from pereggrn_data.core.errors import EXAMPLES_SHOWN, near_matches
from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.core.reports import Finding, Severity


def check_rows(
    keys: pd.MultiIndex,
    expected: pd.MultiIndex,
    known_labels: Collection[str],
    *,
    allow_missing: bool = False,
) -> Iterator[Finding]:
    """Compare the groups that were predicted with those that are held out.

    Parameters
    ----------
    keys
        One group key per prediction row; the first level is the perturbation.
    expected
        The held-out groups.
    known_labels
        All perturbation labels of the dataset.
    allow_missing
        Whether missing groups are only a warning.
    """
    given: pd.MultiIndex = keys.unique()
    surplus: list[Any] = list(given[~given.isin(expected)])
    labels = set(expected.get_level_values(0))
    unknown = [k for k in surplus if k[0] not in known_labels]
    trained = [k for k in surplus if k[0] in known_labels and k[0] not in labels]
    other = [k for k in surplus if k[0] in labels]
    if unknown:
        yield _rows_finding(
            "predictions-unknown-perturbation", unknown, len(given),
            "labels of the held-out perturbations",
            "labels that the dataset does not have",
            _suggestion([k[0] for k in unknown], sorted(labels))
            or "use the labels of test_perturbations.csv.",
        )  # fmt: skip
    if trained:
        yield _rows_finding(
            "predictions-not-held-out", trained, len(given),
            "held-out perturbations only",
            "perturbations of the training set",
            "remove these rows, or name the split that the predictions were made for.",
        )  # fmt: skip
    if other:
        yield _rows_finding(
            "predictions-unknown-group", other, len(given),
            f"combinations of {', '.join(map(str, keys.names))} that were held out",
            "combinations that were not",
            "copy these columns from test_perturbations.csv, or leave them out.",
        )  # fmt: skip
    missing = expected[~expected.isin(given)]
    if len(missing):
        yield Finding(
            code="predictions-missing-perturbation",
            severity=Severity.WARNING if allow_missing else Severity.ERROR,
            slot="obs",
            column=PERTURBATION,
            n=len(missing),
            examples=_shown(list(missing)),
            expected=f"a prediction for each of {len(expected)} held-out groups",
            got=f"none for {len(missing)}",
            fix="predict them too, or score the rest with --allow-missing.",
        )


def check_row_names(
    names: pd.Index[Any], labels: Sequence[str], test_labels: pd.Series[Any]
) -> Iterator[Finding]:
    """Where every row is named after a test observation, its label must be that one's.

    Parameters
    ----------
    names, labels
        Row names and perturbation labels of the predictions.
    test_labels
        Perturbation labels of the test observations, by name.
    """
    if not (names.is_unique and names.isin(test_labels.index).all()):
        return
    true = test_labels.reindex(names).to_numpy(dtype=object)
    wrong = [f"{n}: {a} is {b}" for n, a, b in zip(names, labels, true, strict=True) if a != b]
    if wrong:
        yield Finding(
            code="predictions-wrong-label",
            severity=Severity.ERROR,
            slot="obs",
            column=PERTURBATION,
            n=len(wrong),
            examples=tuple(wrong[:EXAMPLES_SHOWN]),
            expected="the perturbation of the test observation that the row is named after",
            got="another one",
            fix="rows and labels were probably sorted apart: copy both from the template.",
        )


def check_genes(given: pd.Index[Any], expected: Sequence[str]) -> Iterator[Finding]:
    """Compare gene names with those of the split.

    Parameters
    ----------
    given
        Gene names of the predictions, duplicates included.
    expected
        The genes that are scored.
    """
    twice = given[given.duplicated()].unique()
    if len(twice):
        yield Finding(
            code="predictions-duplicate-gene",
            severity=Severity.ERROR,
            slot="var",
            column=None,
            n=len(twice),
            examples=tuple(map(str, twice[:EXAMPLES_SHOWN])),
            expected="each gene once",
            got=f"{len(twice)} names that occur more than once",
            fix="keep one column per gene.",
        )
    wanted = pd.Index(list(expected), dtype=object)
    missing = wanted[~wanted.isin(given)]
    extra = given[~given.isin(wanted)].unique()
    if len(missing):
        yield Finding(
            code="predictions-missing-gene",
            severity=Severity.ERROR,
            slot="var",
            column=None,
            n=len(missing),
            examples=tuple(map(str, missing[:EXAMPLES_SHOWN])),
            expected=f"all {len(wanted)} genes of the split",
            got=f"{len(wanted) - len(missing)} of them",
            fix=_suggestion(list(missing), [str(g) for g in extra])
            or "use the genes of predictions_template.h5ad, in any order.",
        )
    if len(extra):
        yield Finding(
            code="predictions-extra-gene",
            severity=Severity.WARNING,
            slot="var",
            column=None,
            n=len(extra),
            examples=tuple(map(str, extra[:EXAMPLES_SHOWN])),
            expected=f"the {len(wanted)} genes of the split",
            got=f"{len(extra)} more, which are ignored",
            fix="nothing to do, if that is meant.",
        )


def _rows_finding(
    code: str, keys: list[Any], total: int, expected: str, got: str, fix: str
) -> Finding:
    return Finding(
        code=code,
        severity=Severity.ERROR,
        slot="obs",
        column=PERTURBATION,
        n=len(keys),
        examples=_shown(keys),
        expected=expected,
        got=f"{len(keys)} of {total} predicted groups: {got}",
        fix=fix,
    )


def _shown(keys: Sequence[Any]) -> tuple[str, ...]:
    return tuple(" / ".join(map(str, key)) for key in keys[:EXAMPLES_SHOWN])


def _suggestion(wanted: Sequence[str], available: Sequence[str]) -> str:
    """Pair the first few names with near matches among others."""
    pairs = []
    for name in wanted[:EXAMPLES_SHOWN]:
        near = near_matches(str(name), available, n=1)
        if near:
            pairs.append(f"{name} / {near[0]}")
    return f"near matches: {', '.join(pairs)}." if pairs else ""
