"""The registry's list of readers says what the services' consumers say: pruning and the embedded broker's window rest on it."""

from collections import defaultdict
from importlib import import_module

from common.contracts.registry import TOPICS
from common.settings import Settings
from musubi import roles
from notify.settings import NotifySettings
from tests.partner import NOBODY_LISTENS


def test_a_topics_readers_are_the_groups_that_have_handlers_for_it() -> None:
    readers: dict[str, set[str]] = defaultdict(set)
    for service in roles.SERVICES:
        kind = NotifySettings if service == "notify" else Settings
        app = import_module(f"{service}.app").create_app(kind(postgres="postgresql://nobody/", kafka=NOBODY_LISTENS))
        for group, consumer in app.state.service.consumers.items():
            for topic in consumer.topics:
                readers[topic].add(group)
    assert {name: set(topic.readers) for name, topic in TOPICS.items()} == {name: readers[name] for name in TOPICS}
