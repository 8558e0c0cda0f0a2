"""The broker of the one-machine mode: librdkafka's own cluster, a real Kafka listener in this process, in memory only.

Every start is a new life with an empty log; `incarnation` says which, so that everybody knows to send again.
Not for rebalances: one member a group.
"""

import ctypes
import ctypes.util
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import confluent_kafka

_PRODUCER = 0  # rd_kafka_type_t


class EmbeddedBroker:
    """Listens on 127.0.0.1 from construction until `stop`.

    librdkafka's functions are called directly, because its Python package cannot set partition counts, and makes a
    group's first member wait 3 s for others that never come."""

    def __init__(self) -> None:
        self.incarnation = str(uuid.uuid4())
        self._library = _librdkafka()
        message = ctypes.create_string_buffer(512)
        configuration = self._library.rd_kafka_conf_new()
        for name, value in ((b"bootstrap.servers", b"127.0.0.1:1"), (b"log_level", b"0")):  # it looks for no other broker
            self._library.rd_kafka_conf_set(configuration, name, value, message, len(message))
        self._client = self._library.rd_kafka_new(_PRODUCER, configuration, message, len(message))
        if not self._client:
            raise RuntimeError(f"librdkafka does not start: {message.value.decode(errors='replace')}")
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            raise RuntimeError("librdkafka does not start its cluster")
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.address: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic. A consumer that subscribes before its topic exists looks again only after five minutes."""
        error = self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1)
        if error:
            raise RuntimeError(f"topic {topic} cannot be made: {self._library.rd_kafka_err2str(error).decode()}")

    def stop(self) -> None:
        """End this life; everything in the log is gone. Stopping twice does nothing."""
        if self._cluster:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._library.rd_kafka_destroy(self._client)
            self._cluster = self._client = None

    @classmethod
    def with_topics(cls, topics: Iterable[tuple[str, int]]) -> "EmbeddedBroker":
        """A broker that has these topics (name, partitions) from the start."""
        broker = cls()
        for name, partitions in topics:
            broker.create(name, partitions)
        return broker


def _librdkafka() -> Any:
    """The library that confluent-kafka brings along; opening the same file again gives the copy that is loaded already."""
    package = Path(confluent_kafka.__file__).parent
    folders = (package.parent / "confluent_kafka.libs", package / ".dylibs")  # Linux, macOS
    found = [path for folder in folders if folder.is_dir() for path in folder.glob("librdkafka*")]
    of_the_system = ctypes.util.find_library("rdkafka")  # where confluent-kafka was built from source
    if not found and not of_the_system:
        raise RuntimeError("confluent-kafka was installed without its librdkafka: run `make setup`")
    library = ctypes.CDLL(str(found[0]) if found else of_the_system)
    pointer, text, number, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", number, [pointer, text, text, text, size]),
        ("rd_kafka_new", pointer, [number, pointer, text, size]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_err2str", text, [number]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [pointer, ctypes.c_int32]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
