"""Mistakes planted into the product from outside, to see that the checker finds each of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.faults.wrapping import replace, replaced

Patch = tuple[str, Callable[[Any], Any]]


@dataclass(frozen=True)
class Bug:
    """One mistake. `breaks` says in a sentence what it does to the promise."""

    name: str
    breaks: str
    patches: tuple[Patch, ...]


BUGS: Mapping[str, Bug] = {}


def plant(name: str) -> None:
    """Plant it in this process for good."""
    for where, make in BUGS[name].patches:
        replace(where, make)


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Plant it for as long as the block runs."""
    with replaced(*BUGS[name].patches):
        yield
