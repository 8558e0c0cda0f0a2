"""Creates the registry's topics on a real broker, each kept the way its contract promises. Services never create topics there."""

import json
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from common.contracts.registry import CONTROL_TOPICS, TOPICS, Topic
from common.errors import TryAgain
from common.kafka_login import NOBODY, KafkaLogin
from common.settings import KafkaSettings
from musubi.advice import CannotGoOn

HOUR_MS = 60 * 60 * 1000
DAY_MS = 24 * HOUR_MS
KEPT = {
    "state": {"cleanup.policy": "compact", "min.compaction.lag.ms": str(7 * DAY_MS)},
    "facts": {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS)},
    "last-word": {"cleanup.policy": "compact", "segment.ms": str(HOUR_MS)},  # only closed segments are compacted
    "call": {"cleanup.policy": "delete", "retention.ms": str(DAY_MS), "segment.ms": str(HOUR_MS)},
}
ALL_TOPICS = (*TOPICS.values(), *CONTROL_TOPICS.values())


def apply(
    address: str, topics: Iterable[Topic] = ALL_TOPICS, *, replicas: int = -1, login: KafkaLogin = NOBODY
) -> dict[str, str]:
    """Create what is missing and say of each topic whether it was "created" or is "there". Existing topics are not changed.

    `replicas` -1 is the broker's default. Raises `TryAgain` when the broker does not answer or refuses."""
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0, **login.for_librdkafka()})
    asked = [NewTopic(topic.name, topic.partitions, replicas, config=KEPT[topic.kind]) for topic in topics]
    outcome = {}
    for name, future in admin.create_topics(asked, request_timeout=15).items():
        try:
            future.result()
            outcome[name] = "created"
        except KafkaException as exception:
            error = exception.args[0]
            if error.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise trouble(address, exception, f"topic {name}: ") from exception
            outcome[name] = "there"
    return outcome


_SILENT = (
    KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE,
    KafkaError._AUTHENTICATION, KafkaError._SSL,
)  # fmt: skip
"""librdkafka tries all of these again until its time is over, and then says only what it was waiting for."""


def trouble(address: str, exception: KafkaException, what: str = "") -> TryAgain:
    """Why the broker at this address did not do as it was asked, in words; `what` names what it was asked for."""
    error = exception.args[0]
    if error.code() in _SILENT:
        return TryAgain(
            "broker-away", {"en": f"The broker at {address} does not answer, or not to us. `musubi doctor` says more."}
        )
    return TryAgain("broker-refused", {"en": f"The broker at {address} refuses: {what}{error.str()}"})


def show(address: str, *, replicas: int, as_json: bool) -> int:
    """The command `musubi topics apply`."""
    if not address:
        raise CannotGoOn("Say where Kafka is: --kafka HOST:PORT, or MUSUBI_KAFKA.")
    outcome = apply(address, replicas=replicas, login=KafkaSettings.read().kafka_login)
    if as_json:
        print(json.dumps(outcome))
    else:
        for name, said in outcome.items():
            print(f"{name:<28} {said}")
    return 0
