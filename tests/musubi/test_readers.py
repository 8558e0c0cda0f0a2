"""The registry's list of readers says what the services' handlers say: pruning and the embedded broker's window rest on it."""

from collections import defaultdict
from importlib import import_module

from common.contracts.registry import TOPICS
from musubi import roles


def test_a_topics_readers_are_the_services_that_have_handlers_for_it() -> None:
    readers: dict[str, set[str]] = defaultdict(set)
    for service in roles.SERVICES:
        for kind in getattr(import_module(f"{service}.handlers"), "HANDLERS", {}):
            readers[kind.topic].add(service)
    assert {name: set(topic.readers) for name, topic in TOPICS.items()} == {name: readers[name] for name in TOPICS}
