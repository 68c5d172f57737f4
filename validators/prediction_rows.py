"""Do the rows and genes of a predictions file fit what was asked for?"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pandas as pd

from pereggrn_data.core.errors import EXAMPLES_SHOWN, near_matches
from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.validators.rules import RULES


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
        fix = _suggestion([k[0] for k in unknown], sorted(labels)) or None
        yield _surplus("predictions-unknown-perturbation", unknown, len(given), fix=fix)
    if trained:
        yield _surplus("predictions-not-held-out", trained, len(given))
    if other:
        yield _surplus("predictions-unknown-group", other, len(given))
    missing = expected[~expected.isin(given)]
    if len(missing):
        yield RULES["predictions-missing-perturbation"].found(
            f"none for {len(missing)} of {len(expected)} held-out groups",
            column=PERTURBATION,
            n=len(missing),
            examples=_shown(list(missing)),
            # Nothing at all is no part of what was asked for.
            severity=Severity.WARNING if allow_missing and len(missing) < len(expected) else None,
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
        yield RULES["predictions-wrong-label"].found(
            f"another one in {len(wrong)} rows", column=PERTURBATION, n=len(wrong), examples=wrong
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
        yield RULES["predictions-duplicate-gene"].found(
            f"{len(twice)} names that occur more than once", n=len(twice), examples=twice
        )
    wanted = pd.Index(list(expected), dtype=object)
    missing = wanted[~wanted.isin(given)]
    extra = given[~given.isin(wanted)].unique()
    if len(missing):
        yield RULES["predictions-missing-gene"].found(
            f"{len(wanted) - len(missing)} of {len(wanted)}",
            n=len(missing),
            examples=missing,
            fix=_suggestion(list(missing), [str(g) for g in extra]) or None,
        )
    if len(extra):
        yield RULES["predictions-extra-gene"].found(
            f"{len(extra)} more", n=len(extra), examples=extra
        )


def _surplus(code: str, keys: list[Any], total: int, *, fix: str | None = None) -> Finding:
    return RULES[code].found(
        f"{len(keys)} of {total} predicted groups",
        column=PERTURBATION,
        n=len(keys),
        examples=_shown(keys),
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
