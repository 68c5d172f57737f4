"""Names of genes that a spreadsheet has turned into dates or numbers.

``MARCH1``, ``SEPT2`` and ``DEC1`` become dates when a table is opened, in the language
of whoever opens it; identifiers such as ``2310009E13`` become numbers. What is said of
them here serves datasets, networks and conversions alike.
"""

from __future__ import annotations

import re

_WORDS: dict[int, str] = {
    1: "jan jän janv ene gen sty",
    2: "feb févr fev fév lut",
    3: "mar mrz mär märz mars marzo maart mrt",
    4: "apr avr abr abril kwi",
    5: "may mai maj mei mayo mag maggio",
    6: "jun juni juin giu cze",
    7: "jul juli juil lug lip",
    8: "aug août aout ago agosto sie",
    9: "sep sept set wrz",
    10: "oct okt ott out paź",
    11: "nov lis",
    12: "dec dez déc dic gru",
}
"""Months as spreadsheets shorten them: in English, German, French, Spanish, Italian,
Portuguese, Dutch, the Nordic languages and Polish."""
_MONTHS = {word: month for month, words in _WORDS.items() for word in words.split()}

_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_GAP = r"[-./\s]{1,2}"
_DAY_MONTH = re.compile(rf"(\d{{1,2}}){_GAP}({_MONTH})\.?(?:{_GAP}\d{{2,4}})?", re.IGNORECASE)
_MONTH_DAY = re.compile(rf"({_MONTH})\.?{_GAP}(\d{{1,4}})", re.IGNORECASE)
_ISO = re.compile(r"(\d{4})[-/.](0?[1-9]|1[0-2])[-/.](\d{1,2})(?:[T ]00:00(?::00(?:\.0+)?)?)?")
_NUMERIC = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}")
_EXPONENT = re.compile(r"\d\.\d+E\+?\d{2}", re.IGNORECASE)

_FAMILIES: dict[int, tuple[tuple[str, range], ...]] = {
    3: (("MARCH", range(1, 12)), ("MARC", range(1, 3))),
    9: (("SEPT", range(1, 15)), ("SEP", range(15, 16))),
    10: (("OCT", range(1, 12)),),
    12: (("DEC", range(1, 3)),),
}
"""Genes whose names look like dates: by month, their families and numbers."""


def looks_like_date(name: str) -> bool:
    """Say whether a name is a date, whatever gene it may have been.

    Examples
    --------
    >>> [looks_like_date(n) for n in ("1-Mrz", "Sep-15", "01.03.2001", "2001-03-01", "MARCH1")]
    [True, True, True, True, False]
    """
    return any(p.fullmatch(name) for p in (_DAY_MONTH, _MONTH_DAY, _ISO, _NUMERIC))


def looks_spoiled(name: str) -> bool:
    """Say whether a spreadsheet must have written a name, also where names are of any species.

    Worms have genes called ``set-2`` and ``sep-1``, so that a month in front counts
    only as spreadsheets write it: with a capital, and two digits behind it.

    Examples
    --------
    >>> [looks_spoiled(n) for n in ("1-Mar", "Mar-01", "2.31E+13", "set-2", "MYC")]
    [True, True, True, False, False]
    """
    if found := _MONTH_DAY.fullmatch(name):
        return found[1] == found[1].capitalize() and len(found[2]) == 2
    return looks_like_date(name) or _EXPONENT.fullmatch(name) is not None


def spoiled_candidates(name: str) -> list[str] | None:
    """Return the genes that a spreadsheet turns into such a name; None if it looks untouched.

    Examples
    --------
    >>> spoiled_candidates("5-Mar"), spoiled_candidates("Sep-15"), spoiled_candidates("MYC")
    (['MARCH5'], ['SEP15'], None)
    >>> spoiled_candidates("1-Mrz"), spoiled_candidates("2.31E+13")
    (['MARCH1', 'MARC1'], [])
    """
    dates = _dates(name)
    if dates is not None:
        genes = [
            f"{family}{number}"
            for month, number in dates
            for family, numbers in _FAMILIES.get(month, ())
            if number in numbers
        ]
        return list(dict.fromkeys(genes))
    # An identifier such as 2310009E13 lost its digits, which no rule brings back.
    return [] if looks_spoiled(name) else None


def _dates(name: str) -> list[tuple[int, int]] | None:
    """Return the months and numbers that a name may have been read from."""
    if found := _DAY_MONTH.fullmatch(name):
        return [(_MONTHS[found[2].casefold()], int(found[1]))]
    if found := _MONTH_DAY.fullmatch(name):
        return [(_MONTHS[found[1].casefold()], int(found[2]))]
    if found := _ISO.fullmatch(name):
        year, month, day = (int(part) for part in found.groups())
        # "Mar-08" becomes 2008-03-01 in some locales, "March 8" the 8th of this year.
        numbers = [day] if day > 1 else [1, year - 2000]
        return [(month, number) for number in dict.fromkeys(numbers)]
    return None
