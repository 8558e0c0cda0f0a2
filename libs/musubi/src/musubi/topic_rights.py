"""Lets each service do on a Kafka with names and rights what the registry says it does, and nothing else.

A service is the Kafka user of its name. It may write the topics that it announces on, read those that it takes events from, as
the group of its name, and use the control topics.
"""

# pyright: reportPrivateImportUsage=false
# (confluent-kafka says only by its documentation which names of its admin package are public)

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from common.contracts.registry import CONTROL_TOPICS, TOPICS, Topic, groups_of
from common.kafka_login import NOBODY, KafkaLogin
from common.settings import KafkaSettings
from musubi import roles
from musubi.advice import CannotGoOn
from musubi.topics import trouble

ROUNDS = 8192
"""How often a password is hashed (SCRAM)."""


class Right(NamedTuple):
    """A service may do this with the topic, or with the group, of this name."""

    service: str
    operation: AclOperation
    kind: ResourceType
    name: str


def wanted(topics: Iterable[Topic] = tuple(TOPICS.values()), services: Iterable[str] = roles.SERVICES) -> list[Right]:
    """Every right that the services need. To write or read a topic includes to describe it."""
    topics = list(topics)
    rights = []
    for service in services:
        for topic in topics:
            if topic.is_produced_by(service):
                rights.append(Right(service, AclOperation.WRITE, ResourceType.TOPIC, topic.name))
            if topic.is_read_by(service):
                rights.append(Right(service, AclOperation.READ, ResourceType.TOPIC, topic.name))
        for name in CONTROL_TOPICS:
            rights.append(Right(service, AclOperation.WRITE, ResourceType.TOPIC, name))
            rights.append(Right(service, AclOperation.READ, ResourceType.TOPIC, name))
        rights += [Right(service, AclOperation.READ, ResourceType.GROUP, group) for group in groups_of(service, topics)]
    return rights


def allow(address: str, *, passwords: Mapping[str, str] | None = None, login: KafkaLogin = NOBODY) -> list[Right]:
    """Give the rights, and set the users' passwords where they are given, by service. What is there already stays.

    `login` has to be one that may do this. Raises `TryAgain` when the broker does not answer or refuses."""
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0, **login.for_librdkafka()})
    rights = wanted()
    hashing = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ROUNDS)
    users: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(name, hashing, word.encode()) for name, word in (passwords or {}).items()
    ]
    try:
        if users:
            for done in admin.alter_user_scram_credentials(users, request_timeout=15).values():
                done.result()
        for done in admin.create_acls([_binding(right) for right in rights], request_timeout=15).values():
            done.result()
    except KafkaException as exception:
        raise trouble(address, exception) from exception
    return rights


def show(address: str, *, users: bool) -> int:
    """The command `musubi topics allow`."""
    if not address:
        raise CannotGoOn("Say where Kafka is: --kafka HOST:PORT, or MUSUBI_KAFKA.")
    passwords = {name: os.environ.get(f"MUSUBI_KAFKA_PASSWORD_{name.upper()}", "") for name in roles.SERVICES if users}
    if missing := [f"MUSUBI_KAFKA_PASSWORD_{name.upper()}" for name, word in passwords.items() if not word]:
        raise CannotGoOn(f"{', '.join(missing)}: not set. Each user needs a password.")
    for right in allow(address, passwords=passwords, login=KafkaSettings.read().kafka_login):
        print(f"{right.service:<10} may {right.operation.name.lower():<6} {right.kind.name.lower():<6} {right.name}")
    return 0


def _binding(right: Right) -> AclBinding:
    whole, allow_it = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
    return AclBinding(right.kind, right.name, whole, f"User:{right.service}", "*", right.operation, allow_it)
