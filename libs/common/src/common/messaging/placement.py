"""The one answer to which partition of its topic a key goes to (decision 0093)."""

from functools import lru_cache

from aiokafka.partitioner import murmur2

from common.contracts.registry import Topic


@lru_cache(maxsize=100_000)
def partition_of(key: str, partitions: int) -> int:
    """Java's default partitioner; cached, because aiokafka's murmur2 is pure Python."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def placed(topic: Topic | None, key: str, partitions: int) -> int:
    """The partition of a key in a topic of so many partitions. A topic that no registry names is placed by the whole key."""
    if topic is None or topic.placed_by == "key":
        return partition_of(key, partitions)
    first = key.partition("/")[0]
    if first in topic.first_parts:
        return topic.first_parts.index(first) % partitions
    return partition_of(first, partitions)
