"""An open load: events leave at moments drawn beforehand, whether or not the ones before have been answered.

Latency counts from the moment at which an event was meant to leave; so a system that falls behind shows it.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


def poisson(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Seconds from the start: independent arrivals, `rate` a second on average."""
    chance = random.Random(seed)
    at = 0.0
    while (at := at + chance.expovariate(rate)) < seconds:
        yield at


@dataclass
class Sent(Generic[T]):
    """When each event was meant to leave, when its sending was answered (seconds since 1970), and what failed, by item."""

    meant: dict[T, float] = field(default_factory=dict)
    answered: dict[T, float] = field(default_factory=dict)
    failed: dict[T, str] = field(default_factory=dict)


async def drive(items: Sequence[T], moments: Sequence[float], send: Callable[[T], Awaitable[None]]) -> Sent[T]:
    """Send item n at moment n, each on its own; returns when all are answered."""
    sent: Sent[T] = Sent()
    begun, epoch = time.monotonic(), time.time()

    async def one(item: T, moment: float) -> None:
        sent.meant[item] = epoch + moment
        try:
            await send(item)
        except Exception as error:  # noqa: BLE001  a failed item is a result
            sent.failed[item] = repr(error)
        else:
            sent.answered[item] = epoch + time.monotonic() - begun

    async with asyncio.TaskGroup() as tasks:
        for item, moment in zip(items, moments, strict=True):
            await asyncio.sleep(max(0.0, begun + moment - time.monotonic()))
            tasks.create_task(one(item, moment))
    return sent


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed; not a number where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
