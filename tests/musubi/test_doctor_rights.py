"""What `musubi doctor` says of a Kafka that asks for names, and of what each may do there: all that it must, and no more."""

# pyright: reportPrivateImportUsage=false
# (as in `musubi.topic_rights`)

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from common.kafka_login import KafkaLogin
from musubi import doctor_rights, roles, topic_rights
from musubi.doctor_findings import Finding
from tests.conftest import kafka_of_its_own
from tests.eventually import eventually
from tests.kafka_server import KafkaServer
from tests.musubi.doctors import told

pytestmark = pytest.mark.usefixtures("nothing_said")


@pytest.fixture(scope="module")
def secured() -> Iterator[KafkaServer]:
    """A real Kafka of its own, which asks for names by one way, and by another leads on to where nobody listens."""
    with kafka_of_its_own(advertised=1) as server:
        yield server


@pytest.mark.kafka
async def test_a_broker_that_leads_on_to_where_nobody_can_follow_is_told_as_such(
    secured: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSUBI_KAFKA", secured.behind)
    # A broker that has only just started may be too slow for the doctor at first.
    found = await eventually(told, lambda found: "nothing listens at 127.0.0.1:1" in found["broker"][0].found)
    (broker,) = found["broker"]
    assert broker.state == "failed"
    assert "advertised.listeners" in broker.fix
    assert {one.state for check in ("topics", "rights") for one in found[check]} == {"left out"}


@pytest.mark.kafka
async def test_what_a_service_may_not_do_on_kafka_is_named_until_it_may(
    secured: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = {service: f"password of {service}" for service in roles.SERVICES}
    boss = {"boss": "password of boss"}
    make_users(secured, passwords | boss)

    async def look(user: str, password: str, *services: str) -> dict[str, list[Finding]]:
        monkeypatch.setenv("MUSUBI_KAFKA", secured.named)
        monkeypatch.setenv("MUSUBI_KAFKA_USER", user)
        monkeypatch.setenv("MUSUBI_KAFKA_PASSWORD", password)
        return await told(services=services or roles.SERVICES)

    (found,) = (await look("matching", "a guess", "matching"))["broker"]
    assert "does not let us in as matching" in found.found and "MUSUBI_KAFKA_USER" in found.fix and "guess" not in str(found)
    found = await look("matching", passwords["matching"], "matching")
    (rights,) = found["rights"]
    assert "read needs.needs" in rights.found and "write matching.needs-by-group" in rights.found
    assert "as the group matching" in rights.found and "musubi topics allow" in rights.fix
    assert [one.state for one in found["topics"]] == ["left out"]  # it may not even see them

    topic_rights.allow(secured.address)
    found = await look("matching", passwords["matching"], "matching")
    assert [one.state for one in (*found["topics"], *found["rights"])] == ["well", "well"], found

    (rights,) = (await look("boss", boss["boss"]))["rights"]
    assert (rights.state, "may not see" in rights.found) == ("left out", True)
    admin = AdminClient({"bootstrap.servers": secured.address, "log_level": 0})
    everything = [acl(kind, name, AclOperation.ALL, "boss") for kind, name in EVERYTHING]
    for done in admin.create_acls(everything).values():
        done.result()
    found = await look("boss", boss["boss"])
    assert [one.state for one in (*found["topics"], *found["rights"])] == ["well", "well"], found
    denied = acl(ResourceType.TOPIC, "needs.needs", AclOperation.WRITE, "needs", AclPermissionType.DENY)
    admin.create_acls([denied])[denied].result()

    async def sick() -> list[Finding]:  # what was given or denied reaches the broker a little later
        return [one for one in (await look("boss", boss["boss"]))["rights"] if one.state == "failed"]

    (found,) = await eventually(sick)
    assert (found.of, found.found) == ("needs", "Kafka's user needs may not write needs.needs")
    more = acl(ResourceType.TOPIC, "needs.needs", AclOperation.WRITE, "catalog")
    admin.create_acls([more])[more].result()
    found = (await eventually(sick, lambda found: len(found) == 2))[1]
    assert (found.of, "Write on topic needs.needs" in found.found) == ("catalog", True)


EVERYTHING = ((ResourceType.BROKER, "kafka-cluster"), (ResourceType.TOPIC, "*"), (ResourceType.GROUP, "*"))


def make_users(server: KafkaServer, passwords: dict[str, str]) -> None:
    hashing = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    admin = AdminClient({"bootstrap.servers": server.address, "log_level": 0})
    users: list[Any] = [UserScramCredentialUpsertion(name, hashing, word.encode()) for name, word in passwords.items()]
    for done in admin.alter_user_scram_credentials(users).values():
        done.result()


def acl(
    kind: ResourceType, name: str, operation: AclOperation, user: str, what: AclPermissionType = AclPermissionType.ALLOW
) -> AclBinding:
    return AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, what)


def enough() -> list[AclBinding]:
    """What `musubi topics allow` gives to needs."""
    return [acl(right.kind, right.name, right.operation, "needs") for right in topic_rights.wanted(services=["needs"])]


def judged(*more: AclBinding) -> list[Finding]:
    return doctor_rights.of_services(KafkaLogin("boss", "x"), ["needs"], [*enough(), *more], "kafka:9092")


def test_a_right_that_a_service_has_no_need_of_is_named_with_the_command_that_takes_it_away() -> None:
    other = acl(ResourceType.TOPIC, "catalog.offerings", AclOperation.WRITE, "needs")
    prefixed, allow = ResourcePatternType.PREFIXED, AclPermissionType.ALLOW
    wide = AclBinding(ResourceType.TOPIC, "needs.", prefixed, "User:needs", "10.0.0.1", AclOperation.ALL, allow)
    cluster = acl(ResourceType.BROKER, "kafka-cluster", AclOperation.ALTER_CONFIGS, "needs")
    of_other, of_wide, of_cluster = judged(other, wide, cluster)
    assert {one.state for one in (of_other, of_wide, of_cluster)} == {"failed"}
    assert "may also Write on topic catalog.offerings" in of_other.found
    assert "may also AlterConfigs on the cluster" in of_cluster.found
    kafka_acls = "run `kafka-acls.sh --bootstrap-server kafka:9092 --remove --allow-principal User:needs"
    assert of_other.fix == f"{kafka_acls} --operation Write --topic 'catalog.offerings'`"
    assert of_wide.fix == f"{kafka_acls} --operation All --topic 'needs.' --resource-pattern-type prefixed --allow-host 10.0.0.1`"
    assert of_cluster.fix == f"{kafka_acls} --operation AlterConfigs --cluster`"


def test_whoever_may_only_look_beside_what_it_must_has_no_more() -> None:
    look = acl(ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE, "needs")
    of_others = acl(ResourceType.TOPIC, "needs.needs", AclOperation.ALL, "boss")
    forbidden = acl(ResourceType.TOPIC, "catalog.offerings", AclOperation.WRITE, "needs", AclPermissionType.DENY)
    assert [(one.state, "and no more" in one.found) for one in judged(look, of_others, forbidden)] == [("well", True)]
