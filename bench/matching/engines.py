"""What an engine has to answer in the comparison, and how its time is taken.

Two questions, each asked thousands of times: a new need comes, which ten offerings are best? And a new offering comes, into
which needs' lists does it enter (the lists move with it)? An engine that runs in this process is timed here; one that runs
elsewhere times itself there, so that nothing is counted for the way to it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from bench.matching.records import NOT_STATED, Market
from matching.domain.shortlist import LENGTH

Numbers = npt.NDArray[Any]


@dataclass
class Lists:
    """For each need its best ten: scores, and the offerings' ranks by id; -1 where there are fewer."""

    score: Numbers
    rank: Numbers

    @classmethod
    def empty(cls, needs: int) -> "Lists":
        return cls(np.full((needs, LENGTH), NOT_STATED, np.int32), np.full((needs, LENGTH), NOT_STATED, np.int32))

    def of(self, need: int) -> list[tuple[int, int]]:
        """Score and rank, best first."""
        pairs = zip(self.score[need].tolist(), self.rank[need].tolist(), strict=True)
        return [(score, rank) for score, rank in pairs if rank != NOT_STATED]

    def put(self, need: int, found: Sequence[tuple[int, int]]) -> None:
        self.score[need], self.rank[need] = NOT_STATED, NOT_STATED
        for at, (score, rank) in enumerate(found):
            self.score[need, at], self.rank[need, at] = score, rank

    def enter(self, need: int, score: int, rank: int) -> bool:
        """An offering that passes the gates comes; whether it is among the ten."""
        before = self.of(need)
        after = sorted([*before, (score, rank)], key=lambda one: (-one[0], one[1]))[:LENGTH]
        self.put(need, after)
        return after != before

    def copy(self) -> "Lists":
        return Lists(self.score.copy(), self.rank.copy())


@dataclass(frozen=True)
class Found:
    """How an engine answered needs, in their order."""

    nanoseconds: Numbers
    lists: Lists


@dataclass(frozen=True)
class Entered:
    """For each event the needs whose ten changed, ascending."""

    nanoseconds: Numbers
    needs: list[list[int]]


class Peer(Protocol):
    """An engine, loaded with a market's offerings, and with its needs where offerings come."""

    name: str

    def new_needs(self, number: int) -> Found:
        """The best ten of the market's first needs. Each was asked once before, unmeasured."""
        ...


class EventPeer(Protocol):
    """An engine that keeps needs and their lists."""

    name: str

    def new_offerings(self, number: int) -> Entered:
        """The market's first events, in their order; the lists move with them."""
        ...


Opened = AbstractContextManager[Peer]
Open = Callable[[Market], Opened]
OpenWithNeeds = Callable[[Market, Lists], AbstractContextManager[EventPeer]]


def asked(find: Callable[[int], list[tuple[int, int]]], number: int) -> Found:
    """Times an engine in this process: all needs once to get warm, then again."""
    lists, nanoseconds = Lists.empty(number), np.zeros(number, np.int64)
    for need in range(min(number, 200)):  # numpy has no compiler to get warm
        find(need)
    for need in range(number):
        begun = time.perf_counter_ns()
        found = find(need)
        nanoseconds[need] = time.perf_counter_ns() - begun
        lists.put(need, found)
    return Found(nanoseconds, lists)


class Latency(NamedTuple):
    """Microseconds."""

    p50: float
    p99: float
    mean: float
    number: int

    @classmethod
    def of(cls, nanoseconds: Numbers) -> "Latency":
        micro = nanoseconds / 1000
        return cls(float(np.percentile(micro, 50)), float(np.percentile(micro, 99)), float(micro.mean()), len(micro))


def mismatches(one: Found, other: Found) -> Iterator[int]:
    """Needs that both answered, but differently."""
    both = min(len(one.nanoseconds), len(other.nanoseconds))
    for need in range(both):
        if one.lists.of(need) != other.lists.of(need):
            yield need
