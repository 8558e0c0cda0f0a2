"""Puts something round a function of the product, by its name, from outside: the product carries no switch for its tests."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

OURS = ("common", "musubi", "needs", "catalog", "matching", "notify", "tests")

Undo = Callable[[], None]


class NoSuchName(Exception):
    """The product has no function of this name any more: the list that names it has to follow."""


def resolve(where: str) -> tuple[Any, str, Any]:
    """`module:qualname` as its owner (a module or a class), its name there, and the function itself. Raises `NoSuchName`."""
    module, _, qualname = where.partition(":")
    try:
        owner: Any = importlib.import_module(module)
        *above, name = qualname.split(".")
        for part in above:
            owner = getattr(owner, part)
        function = vars(owner)[name]
    except (ImportError, AttributeError, KeyError) as error:
        raise NoSuchName(where) from error
    if not callable(function):
        raise NoSuchName(f"{where} is no function")
    return owner, name, function


def replace(where: str, make: Callable[[Any], Any]) -> Undo:
    """Put `make(function)` in the function's place, also where it was imported by name or stands in a table of handlers.

    Import whatever may refer to it before. Returns what takes it back."""
    owner, name, function = resolve(where)
    instead = make(function)
    takers: list[tuple[dict[Any, Any], Any]] = []
    if isinstance(owner, ModuleType):
        takers = list(_references(function))
        for table, key in takers:
            table[key] = instead
    else:
        setattr(owner, name, instead)

    def undo() -> None:
        for table, key in takers:
            table[key] = function
        if not isinstance(owner, ModuleType):
            setattr(owner, name, function)

    return undo


def _references(function: Any) -> Iterator[tuple[dict[Any, Any], Any]]:
    """Every place in our modules that holds this function: module variables, and tables (dictionaries) among them."""
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").partition(".")[0] not in OURS:
            continue
        names = vars(module)
        for name, value in list(names.items()):
            if value is function:
                yield names, name
            elif type(value) is dict and not name.startswith("__"):
                yield from ((value, key) for key, item in value.items() if item is function)


@contextmanager
def replaced(*pairs: tuple[str, Callable[[Any], Any]]) -> Iterator[None]:
    """The same for as long as the block runs."""
    undo: list[Undo] = []
    try:
        undo += [replace(where, make) for where, make in pairs]
        yield
    finally:
        for take_back in reversed(undo):
            take_back()


def is_context(function: Any) -> bool:
    """Whether this is an asynchronous context manager, made from a generator."""
    inner = getattr(function, "__wrapped__", None)
    return inner is not None and inspect.isasyncgenfunction(inner)
