"""Suggests technologies for a text, best first, each with its confidence and the words that led to it.

What the letters say is always there; what a language model says of the meaning is added where it is. Neither decides anything: a
person chooses, and matching goes by the code that was chosen.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from matching.suggesting.by_letters import ByLetters, Found, Reading
from matching.suggesting.confidence import Confidence, confidence
from matching.suggesting.letters import says_something
from matching.suggesting.near import Near

MOST = 10
LETTERS_BESIDE_MEANING = 0.3
"""Points of letters that are worth one standard deviation of nearness. 0.2 to 0.4 rank equally well."""
ENOUGH_EVIDENCE = 4.0
"""Points by letters of one rare word that stands there whole: a text with less names nothing clearly."""
_WORDS_SHOWN = 3
_LEAST_SHARE_SHOWN = 0.3
_NOTHING = Reading(0.0, ())


class Suggestion(NamedTuple):
    """A technology that the text may speak of. `words` are names of it that stand in the text, wholly or in part; `near` is its
    name that is nearest in meaning, if meaning was read."""

    code: str
    score: float
    share: float
    confidence: Confidence
    words: tuple[Found, ...]
    near: str | None


class Suggester:
    """Suggestions out of one vocabulary."""

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        """`names` are all names and aliases by the code that is suggested for them."""
        self._letters = ByLetters(names)
        self._order = {code: at for at, code in enumerate(names)}

    def suggest(self, text: str, near: Mapping[str, Near] | None = None, most: int = MOST) -> list[Suggestion]:
        """At most so many, best first; equally good ones in the vocabulary's order. Nothing for a text that says nothing.
        `near` says how near each technology is in meaning; without, letters alone decide."""
        if not says_something(text):
            return []
        readings = self._letters.of(text)
        scores = _combined(readings, near) if near else {code: one.score for code, one in readings.items()}
        shares = _shares_by_odds(scores) if near else _shares_by_points(scores)
        best = sorted(scores, key=lambda code: (-scores[code], self._order[code]))[:most]
        return [
            Suggestion(
                code,
                scores[code],
                shares[code],
                confidence(shares[code], with_meaning=bool(near)),
                _shown(readings.get(code, _NOTHING)),
                near[code].name if near else None,
            )
            for code in best
        ]


def _combined(readings: Mapping[str, Reading], near: Mapping[str, Near]) -> dict[str, float]:
    """Nearness in standard deviations of this text's own, as the model's scale shifts from text to text."""
    closeness = [one.closeness for one in near.values()]
    middle = math.fsum(closeness) / len(closeness)
    deviation = math.sqrt(math.fsum((one - middle) ** 2 for one in closeness) / len(closeness)) or 1.0
    return {
        code: (one.closeness - middle) / deviation + LETTERS_BESIDE_MEANING * readings.get(code, _NOTHING).score
        for code, one in near.items()
    }


def _shares_by_points(scores: Mapping[str, float]) -> dict[str, float]:
    """Squares, so that one clear word outweighs many traces; a text with few points leaves a part to nobody."""
    all_ = math.fsum(score**2 for score in scores.values()) + ENOUGH_EVIDENCE**2
    return {code: score**2 / all_ for code, score in scores.items()}


def _shares_by_odds(scores: Mapping[str, float]) -> dict[str, float]:
    most = max(scores.values())
    odds = {code: math.exp(score - most) for code, score in scores.items()}
    all_ = math.fsum(odds.values())
    return {code: one / all_ for code, one in odds.items()}


def _shown(reading: Reading) -> tuple[Found, ...]:
    return tuple(word for word in reading.words[:_WORDS_SHOWN] if word.share >= _LEAST_SHARE_SHOWN)
