"""How a text is read for comparing it: what counts as the same letter, and what a text is taken apart into.

Japanese is written without spaces, so its runs are read as pairs of letters: 照明 is found inside 体育館照明. Whatever is written
with spaces is read as words.
"""

import re
import unicodedata
from typing import NamedTuple

LONGEST = 10_000
"""So many letters of a text are read; beyond, a text is a document and not a description."""

_KANJI = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_JAPANESE = f"\u3041-\u30ff{_KANJI}"
_RUN = re.compile(rf"([{_JAPANESE}]+)|((?:(?![{_JAPANESE}])[^\W_])+)")
_ONE_KANJI = re.compile(f"[{_KANJI}]")
_MARKS_OF_LATIN = dict.fromkeys(range(0x300, 0x370))
_LONG_VOWEL = "ー"
_SAYS_NOTHING = frozenset(("a", "an", "and", "as", "at", "by", "for", "from", "in", "is", "of", "on", "or", "the", "to", "with"))


class Read(NamedTuple):
    """A text taken apart: `pairs` of Japanese letters, single `kanji`, and `words` of all other scripts."""

    pairs: frozenset[str]
    kanji: frozenset[str]
    words: frozenset[str]


def folded(text: str) -> str:
    """A text in the form in which texts are compared: `ＬＥＤ` is `led`, `ｴｱｺﾝ` is `エアコン`, `é` is `e`."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).casefold()
    if plain.isascii():
        return plain
    # The marks of Latin letters go; those of kana (が) and of Indian and Thai letters stay.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", plain).translate(_MARKS_OF_LATIN))


def read(text: str) -> Read:
    """What a text is taken apart into; the order of its parts does not matter."""
    pairs, words = set[str](), set[str]()
    comparable = folded(text)
    for japanese, word in _RUN.findall(comparable):
        if word:
            words.add(word)
        else:
            # コンピューター and コンピュータ are one word.
            run = japanese.replace(_LONG_VOWEL, "")
            pairs.update(run[at : at + 2] for at in range(len(run) - 1))
    return Read(frozenset(pairs), frozenset(_ONE_KANJI.findall(comparable)), frozenset(words - _SAYS_NOTHING))


def says_something(text: str) -> bool:
    """Whether there is anything to compare: a letter or digit that is not just a little word."""
    return any(read(text))


def threes(word: str) -> frozenset[str]:
    """A word's runs of three letters. Its beginning counts double, as endings change and beginnings do not (so `pump` is less
    like `dump` than like `pumps`): the way of PostgreSQL's pg_trgm."""
    ended = f"  {word} "
    return frozenset(ended[at : at + 3] for at in range(len(ended) - 2))
