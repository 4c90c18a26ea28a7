"""Which names a person takes for the same: two look alike where their skeletons are equal.

In the spirit of UTS 39, but light: compatibility forms, case, accents, spaces and punctuation do not count, and the
letters of other scripts that look like Latin ones are those. Names that only sound alike are none of its business.
A skeleton is for comparing; nobody is shown it.
"""

from __future__ import annotations

import functools
import unicodedata

_GREEK = (
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαγεηικνορστυχω",
    "ABEZHIKMNOPTYXayenikvopotuxw",
)
_CYRILLIC = (
    "АВЕЅІЈКМНОРСТУХҺԀԚԜаеѕіјкорсухһԁԛԝӀӏвмнтгпь",
    "ABESIJKMHOPCTYXHDQWaesijkopcyxhdqwllbmhtrnb",
)
_OTHER = (
    "ıɑɡłŁøØđĐħƒօսհոʜʟ",
    "iaglLoOdDhfouhnhl",
)
_LETTERS = str.maketrans(
    "".join(pair[0] for pair in (_GREEK, _CYRILLIC, _OTHER)),
    "".join(pair[1] for pair in (_GREEK, _CYRILLIC, _OTHER)),
)
_STROKES = str.maketrans("01|5i", "ollsl")
"""What one stroke, or a careless look, makes of each other; after case is gone, so a capital I is there too."""

_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Blank, but letters or symbols by their category."""

_PAIRS = (("rn", "m"), ("vv", "w"))


@functools.lru_cache(maxsize=4096)
def skeleton(name: str) -> str:
    """What is left of a name of at most 64 characters when all is taken away that a look does not tell."""
    text = unicodedata.normalize("NFKC", name).translate(_LETTERS).casefold()
    text = unicodedata.normalize("NFKD", text).translate(_LETTERS)
    bare = "".join(character for character in text if _counts(character)).translate(_STROKES)
    for pair, letter in _PAIRS:
        bare = bare.replace(pair, letter)
    return bare or name.casefold().strip()


def _counts(character: str) -> bool:
    """Letters, numbers and symbols do, and the marks that stand for vowels; accents and punctuation do not."""
    category = unicodedata.category(character)
    return character not in _FILLERS and (category[0] in "LNS" or category == "Mc")
