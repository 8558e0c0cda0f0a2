"""May the services do on this Kafka what the registry says they do? `musubi doctor` asks it of the broker.

As a service's own user, or as nobody in particular, the broker says what we may do ourselves. As an administrator we compare
what it says that each service's user may do.
"""

# pyright: reportPrivateImportUsage=false
# (as in `musubi.topic_rights`)

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from common.contracts.registry import TOPICS
from common.kafka_login import KafkaLogin
from musubi import roles, topic_rights
from musubi.doctor_asking import answers, asked
from musubi.doctor_findings import ANSWER_SECONDS, Finding, failed, left_out, well
from musubi.topic_rights import Right

Allowed = Mapping[str, Collection[AclOperation] | None]
"""What we may do with each topic or group that there is; None where we may not even see it."""

_ALLOW = "run `musubi topics allow` as somebody who may change rights"


def is_administrator(login: KafkaLogin) -> bool:
    """Somebody who is no service; services are the users of their names."""
    return bool(login.user) and login.user not in roles.SERVICES


async def of_groups(admin: AdminClient, services: Collection[str]) -> Allowed:
    """What we may do with each service's group."""
    readers = sorted({reader for topic in TOPICS.values() for reader in topic.readers if reader in services})
    ask = partial(admin.describe_consumer_groups, include_authorized_operations=True)
    found = await answers(ask, readers, refused=KafkaError.GROUP_AUTHORIZATION_FAILED) if readers else {}
    return {name: answer and answer.authorized_operations for name, answer in found.items()}


async def given(admin: AdminClient) -> list[AclBinding] | None:
    """All rights that anybody was given; None where we may not know."""
    whose: Any = None  # anybody's
    anything = AclBindingFilter(
        ResourceType.ANY, whose, ResourcePatternType.ANY, whose, whose, AclOperation.ANY, AclPermissionType.ANY
    )  # fmt: skip
    try:
        future = await asked(partial(admin.describe_acls, anything, request_timeout=ANSWER_SECONDS))
        return await asked(partial(future.result, ANSWER_SECONDS))
    except KafkaException:
        return None


def of_us(login: KafkaLogin, services: Collection[str], topics: Allowed, groups: Allowed) -> Finding:
    """Whether we may do what the service needs whose user we are; where Kafka asks nobody's name, what all services need."""
    lacking = [
        right
        for right in topic_rights.wanted(services=[login.user] if login.user else services)
        if right.name in (found := topics if right.kind is ResourceType.TOPIC else groups)
        and right.operation not in (found[right.name] or ())
    ]
    if not lacking:
        return well("rights", f"as {_name(login)} we may do what {login.user or ', '.join(services)} must")
    fix = _ALLOW if login.user else "let each service sign in (MUSUBI_KAFKA_USER), after `musubi topics allow --users`"
    return failed("rights", f"{_name(login)} may not {_in_words(lacking)}", fix)


def of_services(login: KafkaLogin, services: Collection[str], bindings: Collection[AclBinding] | None) -> list[Finding]:
    """Whether each service's user may do what it must."""
    if bindings is None:
        return [left_out("rights", f"{login.user} may not see who may do what; ask as a service, with --service")]
    found = []
    for service in services:
        lacking = [right for right in topic_rights.wanted(services=[service]) if not _is_given(right, bindings)]
        if lacking:
            found.append(failed("rights", f"Kafka's user {service} may not {_in_words(lacking)}", _ALLOW, of=service))
        else:
            found.append(well("rights", "Kafka's user of this name may do what the service must", of=service))
    return found


def _is_given(right: Right, bindings: Iterable[AclBinding]) -> bool:
    said = {binding.permission_type for binding in bindings if _concerns(binding, right)}
    return AclPermissionType.ALLOW in said and AclPermissionType.DENY not in said


def _concerns(binding: AclBinding, right: Right) -> bool:
    prefixed = binding.resource_pattern_type is ResourcePatternType.PREFIXED
    return (
        binding.restype is right.kind
        and binding.principal in (f"User:{right.service}", "User:*")
        and binding.operation in (right.operation, AclOperation.ALL)
        and (binding.name in (right.name, "*") or (prefixed and right.name.startswith(binding.name)))
    )


def _name(login: KafkaLogin) -> str:
    return login.user or "nobody in particular"


def _in_words(rights: Iterable[Right]) -> str:
    """`write needs.needs, dead-letters; read as the group matching`."""
    named: dict[str, list[str]] = {}
    for right in rights:
        what = right.operation.name.lower() + (" as the group" if right.kind is ResourceType.GROUP else "")
        if right.name not in (names := named.setdefault(what, [])):
            names.append(right.name)
    return "; ".join(f"{what} {', '.join(names)}" for what, names in named.items())
