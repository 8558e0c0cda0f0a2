"""How often the right technology is suggested for a text. `python -m bench.suggesting [--data ../shared/data] [--quick]`

Two tasks, on neither of which anything was tuned:
- title and description of published needs of cities (`real_needs.json`, those that have any) → their technology, one of 72;
- labels of the common procurement vocabulary (`cpv_en.json`) → their division, one of 44: half of the labels is the vocabulary,
  those of the other half are asked for. `--quick` asks for 500 of them.

Weights, the number of names counted and the bands of confidence were chosen on product classes of offerings, titles of library
items and 34 phrases of an earlier trial (138 texts; almost flat around the choice). Aliases were written from general knowledge
of the fields, before either task was run. Beside ours stand plain character n-grams (2 to 4 letters, TF-IDF with sublinear
counts, cosine; to the last digit what scikit-learn's `TfidfVectorizer(analyzer="char", ngram_range=(2, 4), sublinear_tf=True)`
gives after our folding), once of names alone and once of all aliases, too.

Each text has one right answer: nDCG@10 is 1 if it comes first, 0.63 if second, 0.5 if third, 0 beyond ten; equal scores share
their places. Intervals hold 95 % of 10,000 bootstrap samples of the texts; differences are paired. Rows with meaning are left
out where the extra (`make text`) is not installed. Time is CPU of one core.

Measured on 2026-12-01 on two shared cores (nDCG@10, right first, among first three):

    published needs, 73 texts
    n-grams of the names            0.57 (0.48 to 0.66)  0.38  0.62
    n-grams of names and aliases    0.72 (0.63 to 0.80)  0.56  0.82
    ours, by letters                0.74 (0.65 to 0.82)  0.60  0.76   +0.17 (+0.09 to +0.24)  +0.02 (-0.03 to +0.07)
    the model alone                 0.76 (0.68 to 0.82)  0.55  0.84   +0.19 (+0.10 to +0.27)  +0.04 (-0.02 to +0.09)
    ours, by letters and meaning    0.79 (0.71 to 0.86)  0.66  0.84   +0.22 (+0.15 to +0.30)  +0.07 (+0.03 to +0.12)

    procurement labels, 4723 asked for
    n-grams                         0.71 (0.70 to 0.72)  0.53  0.74
    ours, by letters                0.76 (0.75 to 0.77)  0.61  0.80   +0.04 (+0.03 to +0.05)
    the model alone                 0.84 (0.84 to 0.85)  0.70  0.88   +0.13 (+0.12 to +0.14)
    ours, by letters and meaning    0.85 (0.84 to 0.85)  0.70  0.88   +0.13 (+0.12 to +0.14)

The last columns are what a row has over the one or two of n-grams, in nDCG@10.
"""

import argparse
import json
import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from matching.suggesting import by_meaning
from matching.suggesting.confidence import COUNTED, Band
from matching.suggesting.letters import folded
from matching.suggesting.suggester import Suggester
from matching.suggesting.taxonomy import all_names, own_names

SAMPLES = 10_000
SEED = 20_261_201
COUNTED_PER_TEXT = 5
QUICK = 500

Names = Mapping[str, Sequence[str]]
Score = Callable[[str], Mapping[str, float]]


class Asked(NamedTuple):
    """A text and what it should lead to."""

    text: str
    right: str


class Figures(NamedTuple):
    """Of every text: its nDCG@10, and whether the right one came first or among the first three."""

    ndcg: np.ndarray
    first: np.ndarray
    three: np.ndarray


class NGrams:
    """The peer: each code is one document, all its names joined; cosine of TF-IDF weights of character n-grams."""

    def __init__(self, names: Names, shortest: int = 2, longest: int = 4) -> None:
        self._lengths = range(shortest, longest + 1)
        counts = {code: self._counts(" ".join(some)) for code, some in names.items()}
        having = Counter(gram for grams in counts.values() for gram in grams)
        self._idf = {gram: math.log((1 + len(names)) / (1 + n)) + 1 for gram, n in having.items()}
        self._with: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for code, grams in counts.items():
            for gram, weight in self._weights(grams).items():
                self._with[gram].append((code, weight))

    def __call__(self, text: str) -> dict[str, float]:
        """The cosine of each code that shares anything with the text."""
        scores = defaultdict[str, float](float)
        for gram, weight in self._weights(self._counts(text)).items():
            for code, other in self._with[gram]:
                scores[code] += weight * other
        return scores

    def _counts(self, text: str) -> Counter[str]:
        plain = " ".join(folded(text).split())
        return Counter(plain[at : at + n] for n in self._lengths for at in range(len(plain) - n + 1))

    def _weights(self, counts: Counter[str]) -> dict[str, float]:
        weights = {gram: (1 + math.log(n)) * self._idf[gram] for gram, n in counts.items() if gram in self._idf}
        norm = math.sqrt(sum(weight**2 for weight in weights.values())) or 1.0
        return {gram: weight / norm for gram, weight in weights.items()}


def needs(data: Path) -> list[Asked]:
    """Titles and descriptions of published needs."""
    found = json.loads((data / "real_needs.json").read_text(encoding="utf-8"))["needs"]
    texts = [(" ".join(filter(None, (need["title"], need["what"]))), need["technology"]) for need in found]
    return [Asked(text, technology) for text, technology in texts if text]


def procurement(data: Path) -> tuple[Names, list[Asked]]:
    """Half of the procurement vocabulary as names of its divisions, and the other half to be asked for."""
    labels = json.loads((data / "cpv_en.json").read_text(encoding="utf-8"))
    codes = sorted(labels)
    random.Random(SEED).shuffle(codes)
    known, asked = codes[::2], codes[1::2]
    divisions = defaultdict[str, list[str]](list)
    for code in sorted(known):
        divisions[code[:2]].append(labels[code])
    # Some labels stand in the vocabulary twice; what was seen is not held out.
    seen = {folded(labels[code]) for code in known}
    held_out = [Asked(labels[code], code[:2]) for code in asked if folded(labels[code]) not in seen]
    return divisions, [one for one in held_out if one.right in divisions]


def figures(score: Score, asked: Sequence[Asked]) -> Figures:
    """How well a score finds what is right."""
    places = [_places(score(one.text), one.right) for one in asked]
    ndcg = [sum(1 / math.log2(place + 1) for place in some if place <= 10) / len(some) if some else 0.0 for some in places]
    first, three = ([sum(place <= n for place in some) / len(some) if some else 0.0 for some in places] for n in (1, 3))
    return Figures(np.array(ndcg), np.array(first), np.array(three))


def _places(scores: Mapping[str, float], right: str) -> range:
    """The places that the right one shares with those that score the same; none if it has no score."""
    mine = scores.get(right)
    if mine is None:
        return range(0)
    better = sum(one > mine for one in scores.values())
    return range(better + 1, better + 1 + sum(one == mine for one in scores.values()))


def interval(values: np.ndarray) -> tuple[float, float]:
    """Between which 95 % of bootstrap means lie."""
    rng = np.random.default_rng(SEED)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(SAMPLES)]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def ours(suggester: Suggester, meaning: by_meaning.ByMeaning | None, codes: int) -> Score:
    """Our suggestions as scores, all of them."""

    def score(text: str) -> dict[str, float]:
        near = meaning.of(text) if meaning else None
        return {one.code: one.score for one in suggester.suggest(text, near, most=codes)}

    return score


def only(meaning: by_meaning.ByMeaning) -> Score:
    """The model alone."""
    return lambda text: {code: near.closeness for code, near in meaning.of(text).items()}


def show(rows: Mapping[str, Score], asked: Sequence[Asked], peers: int) -> None:
    """The table of one task: the figures of each row, and what those after the first `peers` rows have over these."""
    titles = [f"over {name}" for name in list(rows)[:peers]]
    print(
        "\n\n"
        + f"{'':30}  {'nDCG@10':19}  {'right first':19}  {'among first 3':19}  ms/text  "
        + "  ".join(f"{t:35}" for t in titles)
    )
    measured: dict[str, Figures] = {}
    for name, score in rows.items():
        begun = time.process_time()
        measured[name] = figures(score, asked)
        each = 1000 * (time.process_time() - begun) / len(asked)
        said = "  ".join(f"{one.mean():.2f} ({low:.2f} to {high:.2f})" for one in measured[name] for low, high in [interval(one)])
        gains = [measured[name].ndcg - peer.ndcg for peer in list(measured.values())[:peers]] if len(measured) > peers else []
        gained = "  ".join(
            f"{f'{one.mean():+.2f} ({low:+.2f} to {high:+.2f})':35}" for one in gains for low, high in [interval(one)]
        )
        print(f"{name:30}  {said}  {each:7.1f}  {gained}".rstrip())


def count(suggester: Suggester, meaning: by_meaning.ByMeaning | None, asked: Iterable[Asked]) -> dict[Band, tuple[int, int]]:
    """How many suggestions of each band were right, among the first five of each text."""
    right, all_ = Counter[Band](), Counter[Band]()
    for one in asked:
        for suggestion in suggester.suggest(one.text, meaning.of(one.text) if meaning else None, most=COUNTED_PER_TEXT):
            all_[suggestion.confidence.band] += 1
            right[suggestion.confidence.band] += suggestion.code == one.right
    return {band: (right[band], all_[band]) for band in Band}


def wilson(right: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, share = 1.96, right / of
    middle, half = share + z**2 / (2 * of), z * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    return (middle - half) / (1 + z**2 / of), (middle + half) / (1 + z**2 / of)


def show_confidence(suggester: Suggester, meaning: by_meaning.ByMeaning | None, asked: Sequence[Asked]) -> None:
    """The bands as counted now, and whether the product tells the same."""
    counted = count(suggester, meaning, asked)
    print(f"\nSuggestions of each band that were right, {'letters and meaning' if meaning else 'letters alone'}:")
    for band, (right, of) in counted.items():
        low, high = wilson(right, of)
        print(f"  {band:10} {right:4} of {of:4} = {right / of:.2f} ({low:.2f} to {high:.2f})")
    if counted != COUNTED[bool(meaning)]:
        print(f"  The product tells other figures: {dict(COUNTED[bool(meaning)])}. Put these into suggesting/confidence.py.")


def main() -> None:
    """Both tasks."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=Path("../shared/data"), help="where real_needs.json and cpv_en.json are")
    arguments.add_argument("--quick", action="store_true", help=f"only {QUICK} procurement labels")
    chosen = arguments.parse_args()
    extra = by_meaning.is_installed()

    asked = needs(chosen.data)
    languages = Counter("ja" if any("\u3041" <= letter <= "\u9fff" for letter in one.text) else "other" for one in asked)
    print(f"Published needs: {len(asked)} texts ({languages['ja']} with Japanese), {len(own_names())} technologies.", end="")
    meaning = by_meaning.ByMeaning(own_names()) if extra else None
    suggester = Suggester(all_names())
    rows: dict[str, Score] = {
        "n-grams of the names": NGrams({code: names[:2] for code, names in own_names().items()}),
        "n-grams of names and aliases": NGrams(own_names()),
        "ours, by letters": ours(suggester, None, len(own_names())),
    }
    if meaning:
        rows |= {"the model alone": only(meaning), "ours, by letters and meaning": ours(suggester, meaning, len(own_names()))}
    show(rows, asked, peers=2)
    show_confidence(suggester, None, asked)
    if meaning:
        show_confidence(suggester, meaning, asked)

    divisions, labels = procurement(chosen.data)
    labels = labels[:QUICK] if chosen.quick else labels
    print(
        f"\nProcurement labels: {len(labels)} asked for, {sum(map(len, divisions.values()))} known, {len(divisions)} divisions.",
        end="",
    )
    meaning = by_meaning.ByMeaning(divisions) if extra else None
    suggester = Suggester(divisions)
    rows = {"n-grams": NGrams(divisions), "ours, by letters": ours(suggester, None, len(divisions))}
    if meaning:
        rows |= {"the model alone": only(meaning), "ours, by letters and meaning": ours(suggester, meaning, len(divisions))}
    show(rows, labels, peers=1)


if __name__ == "__main__":
    main()
