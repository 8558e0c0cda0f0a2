"""What every fault is given: the house, chance, and a way to wait that ends early when all is to end."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.faults.house import House


@dataclass
class Strike:
    """One hand of the nemesis. Chance comes from the seed alone."""

    house: House
    chance: random.Random
    stop: asyncio.Event
    points: Counter[str] = field(default_factory=Counter)
    """How often a process died at which crash point."""
    tried: Counter[str] = field(default_factory=Counter)
    """How often one was to."""
    busy: set[str] = field(default_factory=set)
    """Processes on which some hand is at work."""

    async def wait(self, seconds: float) -> None:
        """Let the fault last, or the house recover."""
        try:
            async with asyncio.timeout(seconds):
                await self.stop.wait()
        except TimeoutError:
            pass

    async def wait_for(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds, at most so long; says whether it did."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not holds():
            if self.stop.is_set() or asyncio.get_running_loop().time() > deadline:
                return holds()
            await asyncio.sleep(0.05)
        return True

    def some_seconds(self, least: float, most: float) -> float:
        """A duration, short ones more often."""
        return least + (most - least) * self.chance.random() ** 2


Fault = Callable[[Strike], Awaitable[bool]]
"""Breaks something, lets it last, and mends it again before it returns. True if it came to pass."""
