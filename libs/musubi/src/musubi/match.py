"""Matches needs and offerings from files, without server or database: each need's exact ten best, why, and near misses."""

import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

from msgspec import Raw

from common.clock import utc_now
from common.contracts.catalog import ExchangeRatePublished, OfferingListed
from common.contracts.needs import NeedPosted
from common.exact_json import dump, to_json
from common.vocabulary import technologies
from matching.domain.blocking import what_blocks
from matching.domain.changes import WHO, Said
from matching.domain.circumstances import Circumstances, Rate, Rates, day_at
from matching.domain.explanation import as_json, explained, near_miss_as_json, need_summary
from matching.domain.facets import FACETS, POSSIBLE, WEIGHTS
from matching.domain.gates import is_expired
from matching.domain.near_misses import NearMiss, near_misses
from matching.domain.places import Step, fields_of, steps, wide_field
from matching.domain.shortlist import LENGTH, Judged, best_of, score_to_beat
from matching.domain.sides import Need, Offering
from matching.domain.words import formats, say
from musubi import match_files

NEAR_MISSES = 3
WORTH_THE_ENGINE = 5_000_000
"""Pairs of a need and an offering from which on the engine finds the lists."""
SECONDS_BETWEEN_NEWS = 5


class Files(NamedTuple):
    """What to read; "-" is standard input. `others` have the municipalities and companies that partners' events name."""

    needs: str
    offerings: str
    others: tuple[str, ...] = ()
    rates: str | None = None


def terminal_language() -> str:
    return "ja" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("ja") else "en"


def run(files: Files, *, as_of: date | None, explain: str | None) -> int:
    """The command `musubi match`: NDJSON on standard output, or sentences in the language `explain`. 1 if a line was refused."""
    now = utc_now()
    listed: list[tuple[str, Any]] = [(files.needs, NeedPosted), (files.offerings, OfferingListed)]
    listed += [(name, None) for name in files.others]
    listed += [(files.rates, ExchangeRatePublished)] if files.rates else []
    contents = match_files.read(listed, as_of or now.date())
    for refused in contents.refused:
        print(refused.line(explain or terminal_language()), file=sys.stderr)
    if contents.refused or not contents.needs:
        print(_read_in_all(contents, explain or terminal_language()), file=sys.stderr)
    asked = []
    for fact in contents.needs.values():
        today = as_of or day_at(now, fact.municipality.timezone)
        asked.append((Need.of(fact), Circumstances(today, _rates(contents.rates, today))))
    progress = _Progress(len(asked))
    offerings = _Offerings(Offering.of(fact) for fact in contents.offerings.values())
    for (need, circumstances), best in zip(asked, judged_lists(asked, offerings), strict=True):
        answer = Answer(need, circumstances, best, *_besides(need, circumstances, best, offerings))
        show = _as_json(answer, contents) if explain is None else _in_sentences(answer, contents, explain)
        print(show)
        progress.one_more()
    return 1 if contents.refused else 0


def _rates(published: Iterable[ExchangeRatePublished], today: date) -> Rates:
    """The newest rate of each currency that was known on that day."""
    known = sorted((one for one in published if one.as_of <= today), key=lambda one: one.as_of)
    return {one.currency: Rate(one.currency, one.per_usd, one.as_of, one.source) for one in known}


# Matching --------------------------------------------------------------------------------------------------------------


class _Offerings:
    """The offerings by the fields in which they are looked for."""

    def __init__(self, offerings: Iterable[Offering]) -> None:
        self._fields: dict[str, list[Offering]] = defaultdict(list)
        self._found: dict[Step, list[Offering]] = {}
        self._number = 0
        for offering in offerings:
            self._number += 1
            for field in fields_of(offering):
                self._fields[field].append(offering)

    def __len__(self) -> int:
        return self._number

    def whole_fields(self) -> dict[str, list[Offering]]:
        """By technology group and unit, "lighting/lamp", whatever the country."""
        names = {f"{one.group}/{one.unit}" for one in technologies().values() if one.unit}
        return {name: offerings for name, offerings in self._fields.items() if name in names}

    def field(self, name: str) -> Sequence[Offering]:
        return self._fields.get(name, ())

    def of(self, step: Step) -> list[Offering]:
        """Those of its field that are in none of the fields before."""
        if step not in self._found:
            before = {one.id for name in step.without for one in self.field(name)}
            self._found[step] = [one for one in self.field(step.field) if one.id not in before]
        return self._found[step]


def judged_lists(asked: Sequence[tuple[Need, Circumstances]], offerings: _Offerings) -> Iterator[list[Judged]]:
    """For each need in turn its exact ten best, the best first; none for a need that is closed or over."""
    if len(asked) * len(offerings) >= WORTH_THE_ENGINE:
        from musubi.quick_lists import QuickLists  # its kernels take a moment to load

        return QuickLists(offerings.whole_fields()).of(asked)
    return _plainly(asked, offerings)


def _plainly(asked: Iterable[tuple[Need, Circumstances]], offerings: _Offerings) -> Iterator[list[Judged]]:
    for need, circumstances in asked:
        best: list[Judged] = []
        for step in steps(need) if need.open and not is_expired(need, circumstances) else ():
            if score_to_beat(best) > step.most:
                break  # nothing that is still to be looked at could be kept
            best = best_of(need, offerings.of(step), circumstances, best)
        yield best[:LENGTH]


class Answer(NamedTuple):
    """What is said of one need. `blocking` says why nothing fits, where nothing does."""

    need: Need
    circumstances: Circumstances
    best: list[Judged]
    nearly: list[NearMiss]
    blocking: Said | None


def _besides(
    need: Need, circumstances: Circumstances, best: list[Judged], offerings: _Offerings
) -> tuple[list[NearMiss], Said | None]:
    field = offerings.field(wide_field(need))
    return (
        near_misses(need, field, circumstances, NEAR_MISSES),
        None if best else what_blocks(need, field, circumstances),
    )


class _Progress:
    """A line on standard error now and then, where it takes long."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._told = total, 0, time.monotonic()

    def one_more(self) -> None:
        self._done += 1
        if time.monotonic() - self._told > SECONDS_BETWEEN_NEWS:
            self._told = time.monotonic()
            print(f"{self._done:,} of {self._total:,} needs", file=sys.stderr, flush=True)


# Saying it -------------------------------------------------------------------------------------------------------------


def _as_json(answer: Answer, contents: match_files.Contents) -> str:
    def label(offering_id: str) -> tuple[str, str]:
        fact = contents.offerings[offering_id]
        return to_json(fact.names).decode(), dump(fact.company).decode()

    return to_json(
        {
            "need": Raw(dump(need_summary(contents.needs[answer.need.id]))),
            "as_of": answer.circumstances.today,
            "weights": WEIGHTS,
            "matches": [Raw(explained(answer.need, one, *label(one.offering.id)).said.encode()) for one in answer.best],
            "near_misses": [near_miss_as_json(one, *label(one.offering.id)) for one in answer.nearly],
            "blocking": as_json(answer.blocking) if answer.blocking else None,
        }
    ).decode()


def _in_sentences(answer: Answer, contents: match_files.Contents, language: str) -> str:
    said = formats(language)
    t, fact = said.t, contents.needs[answer.need.id]

    def name(offering_id: str) -> str:
        offering = contents.offerings[offering_id]
        mark = t(en=" (example)", ja="（例）") if offering.example or offering.company.example else ""
        return f"{said.pick(offering.company.names)} {said.pick(offering.names)}{mark}"

    facts = [
        said.technology(fact.technology),
        said.quantity(fact.quantity, fact.unit),
        t(en="budget {m}", ja="予算{m}", m=said.money(fact.budget))
        if fact.budget
        else t(en="no budget stated", ja="予算の記載なし"),
        t(en="delivery by {d}", ja="納期{d}", d=said.day(fact.deadline, short=True)),
        t(en="judged for {d}", ja="{d}の時点", d=said.day(answer.circumstances.today, short=True)),
    ]
    who = t(en=" ({city}, {id})", ja="（{city}、{id}）", city=said.pick(fact.municipality.names), id=fact.id)
    lines = [said.pick(fact.title) + who, "  " + t(en=" · ", ja="・").join(facts)]
    if answer.blocking:
        lines.append(t(en="  No proposal. ", ja="  提案なし。") + _sentence(answer.blocking, language))
    for rank, one in enumerate(answer.best, start=1):
        lines.append(f"  {rank}. {one.rank.score}/{POSSIBLE}  {name(one.offering.id)}")
        for facet, earned in zip(FACETS, one.earned, strict=True):
            reason = say(getattr(earned.reason, language), earned.values, language)
            lines.append(f"       {facet.label[language]} {earned.points}/{facet.possible}  {reason}")
    if answer.nearly:
        lines.append(t(en="  Near misses, and the smallest change that would do", ja="  惜しい候補と、届くための最小の変更"))
    for miss in answer.nearly:
        lines.append(t(en="  - {n}: then {s} points", ja="  - {n}：変更後は{s}点", n=name(miss.offering.id), s=miss.score_after))
        for change in miss.changes:
            lines.append(f"       {_sentence(change.obstacle, language)}")
            lines.append(f"       → {_sentence(change.what, language)}{t(en='. ', ja='。')}{WHO[change.who][language]}")
    return "\n".join(lines) + "\n"


def _read_in_all(contents: match_files.Contents, language: str) -> str:
    """What is left after everything that was refused: with no need there is nothing to print, and that has to be said."""
    faults, needs, offerings = len(contents.refused), len(contents.needs), len(contents.offerings)
    if language == "ja":
        return f"不備{faults:,}件。読み取ったニーズ{needs:,}件、技術・製品{offerings:,}件。" + (
            "" if needs else "照合するニーズがありません。"
        )
    parts = [
        f"{number:,} {word if number == 1 else word + 's'}"
        for number, word in ((faults, "fault"), (needs, "need"), (offerings, "offering"))
    ]
    return f"{parts[0]}. Read: {parts[1]} and {parts[2]}." + ("" if needs else " There is no need to match.")


def _sentence(said: Said, language: str) -> str:
    return say(getattr(said.reason, language), said.values, language)
