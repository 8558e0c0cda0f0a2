"""What `musubi doctor` looks at on the broker: does it answer, has it the topics as the registry says, may we use them?"""

# pyright: reportPrivateImportUsage=false
# (as in `musubi.topic_rights`)

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from common.clock import Clock
from common.contracts.registry import CONTROL_TOPICS, TOPICS, Topic
from common.kafka_login import KafkaLogin
from musubi import doctor_clock, doctor_rights, doctor_topics, places
from musubi.doctor_asking import answers, asked
from musubi.doctor_findings import ANSWER_SECONDS, CHECK_SECONDS, Finding, failed, left_out, well, within
from musubi.doctor_reach import trouble_with

_RESTART = "stop Musubi with Ctrl-C and start it again"
_AWAY = "start Kafka, and see that MUSUBI_KAFKA names it (HOST:PORT) and that no firewall stands between"
_BEHIND_THE_BROKER = ("topics", "rights", "clock")


async def examined(kafka: places.Kafka, login: KafkaLogin, services: Collection[str], clock: Clock) -> Sequence[Finding]:
    """Look at the broker itself, then at all that it can tell, side by side."""
    embedded = bool(kafka.incarnation)
    addresses = kafka.address.split(",")
    lost = [trouble for trouble in await asyncio.gather(*map(trouble_with, addresses)) if trouble]
    if len(lost) == len(addresses):
        return [
            failed("broker", "; ".join(lost), _RESTART if embedded else _AWAY),
            *not_looked_at("the broker could not be asked"),
        ]
    said: list[KafkaError] = []
    named: dict[str, Any] = {"bootstrap.servers": kafka.address, "log_level": 0, "error_cb": said.append}
    admin = AdminClient(named | login.for_librdkafka())
    try:
        seen = await asked(partial(admin.list_topics, timeout=ANSWER_SECONDS))
    except (KafkaException, TimeoutError) as error:
        admin.poll(0)  # hands out what was said
        trouble = _no_understanding(kafka.address, login, [*said, *error.args], embedded=embedded)
        return [trouble, *not_looked_at("the broker could not be asked")]
    if embedded:
        return [
            well("broker", f"{kafka.address} answers; embedded, in memory only"),
            *doctor_topics.on_embedded(wanted(services), seen.topics, kafka.address),
            left_out("rights", "the embedded broker knows no users"),
        ]
    advertised = {f"{broker.host}:{broker.port}" for broker in seen.brokers.values()}
    if lost := [trouble for trouble in await asyncio.gather(*map(trouble_with, sorted(advertised))) if trouble]:
        told = f"{kafka.address} answers, but sends everybody on to where we cannot follow: {'; '.join(lost)}"
        fix = "start that broker, or set its advertised.listeners to an address that can be reached from here"
        return [failed("broker", told, fix), *not_looked_at("not every broker can be reached")]
    brokers = f"{len(advertised)} brokers" if len(advertised) > 1 else "1 broker"
    found = await asyncio.gather(
        within(CHECK_SECONDS - ANSWER_SECONDS, "topics", _topics_and_rights(admin, kafka.address, login, services, seen)),
        within(CHECK_SECONDS - ANSWER_SECONDS, "clock", doctor_clock.of_broker(kafka.address, login, clock)),
    )
    return [well("broker", f"{kafka.address} answers; cluster {seen.cluster_id}, {brokers}"), *found[0], *found[1]]


def wanted(services: Collection[str]) -> Mapping[str, Topic]:
    """The topics that these services write or read, and those of the protocol."""
    own = {
        name: topic for name, topic in TOPICS.items() if any(topic.is_produced_by(s) or topic.is_read_by(s) for s in services)
    }  # fmt: skip
    return own | CONTROL_TOPICS


async def _topics_and_rights(
    admin: AdminClient, address: str, login: KafkaLogin, services: Collection[str], seen: Any
) -> list[Finding]:
    topics = wanted(services)
    authorizer, rights, settings, groups, bindings = await asyncio.gather(
        _authorizer(admin, next(iter(seen.brokers))), _our_rights(admin, topics), _settings(admin, topics & seen.topics.keys()),
        doctor_rights.of_groups(admin, services), doctor_rights.given(admin),
    )  # fmt: skip
    visible = {name: topic for name, topic in topics.items() if rights.get(name, ()) is not None}
    found = doctor_topics.compared(visible, seen.topics, settings, address)
    if authorizer == "":
        return [*found, left_out("rights", "the broker has no authorizer: whoever reaches it may do everything")]
    if doctor_rights.is_administrator(login):
        told = None if authorizer is None and not bindings else bindings  # librdkafka shows a refusal as an empty list
        return [*found, *doctor_rights.of_services(login, services, told, address)]
    return [*found, doctor_rights.of_us(login, services, rights, groups)]


async def _authorizer(admin: AdminClient, broker: int) -> str | None:
    """The name of what decides who may do what; "" where nothing does, None where we may not know."""
    resource = ConfigResource(ResourceType.BROKER, str(broker))
    try:
        return (await answers(admin.describe_configs, [resource]))[resource]["authorizer.class.name"].value or ""
    except (KafkaException, KeyError):
        return None


async def _settings(admin: AdminClient, names: Collection[str]) -> dict[str, Mapping[str, str]]:
    """How the broker keeps each topic, as far as it tells us."""
    asked = [ConfigResource(ResourceType.TOPIC, name) for name in sorted(names)]
    found = await answers(admin.describe_configs, asked) if asked else {}
    return {one.name: {name: entry.value for name, entry in settings.items()} for one, settings in found.items() if settings}


async def _our_rights(admin: AdminClient, names: Collection[str]) -> doctor_rights.Allowed:
    ask = partial(admin.describe_topics, include_authorized_operations=True)
    found = await answers(ask, TopicCollection(sorted(names)), refused=KafkaError.TOPIC_AUTHORIZATION_FAILED)
    return {name: answer and answer.authorized_operations for name, answer in found.items()}


def _no_understanding(address: str, login: KafkaLogin, errors: Sequence[KafkaError], *, embedded: bool) -> Finding:
    for error in errors:
        if error.code() == KafkaError._AUTHENTICATION:
            fix = "put a user that Kafka knows, its password and its mechanism into MUSUBI_KAFKA_USER, _PASSWORD and _MECHANISM"
            return failed("broker", f"{address} does not let us in as {login.user or 'nobody'} ({error.str()})", fix)
    said = errors[0].str() if errors else "no answer"
    if embedded:
        return failed("broker", f"the embedded broker at {address} is reached, but does not answer ({said})", _RESTART)
    fix = "see that it is a Kafka, and that MUSUBI_KAFKA_TLS and MUSUBI_KAFKA_USER are set as this port wants it"
    return failed("broker", f"{address} is reached, but we do not understand each other ({said})", fix)


def not_looked_at(why: str) -> list[Finding]:
    """What only the broker could tell."""
    return [left_out(check, why) for check in _BEHIND_THE_BROKER]
