"""May the services do on this Kafka what the registry says they do? `musubi doctor` asks it of the broker.

As a service's own user, or as nobody in particular, the broker says what we may do ourselves. As an administrator we compare
what it says that each service's user may do: all that it must, and nothing else.
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

from common.contracts.registry import groups_of
from common.kafka_login import KafkaLogin
from musubi import roles, topic_rights
from musubi.doctor_asking import answers, asked
from musubi.doctor_findings import ANSWER_SECONDS, Finding, failed, left_out, well
from musubi.doctor_topics import tool
from musubi.topic_rights import Right

Allowed = Mapping[str, Collection[AclOperation] | None]
"""What we may do with each topic or group that there is; None where we may not even see it."""

_ALLOW = "run `musubi topics allow` as somebody who may change rights"
_HARMLESS = (AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS, AclOperation.IDEMPOTENT_WRITE)
"""To look does no harm, and by the last nothing can be written that may not be written anyway."""
_OPTIONS = {
    ResourceType.TOPIC: "--topic",
    ResourceType.GROUP: "--group",
    ResourceType.TRANSACTIONAL_ID: "--transactional-id",
    ResourceType.BROKER: "--cluster",
}


def is_administrator(login: KafkaLogin) -> bool:
    """Somebody who is no service; services are the users of their names."""
    return bool(login.user) and login.user not in roles.SERVICES


async def of_groups(admin: AdminClient, services: Collection[str]) -> Allowed:
    """What we may do with each group of these services."""
    readers = [group for service in sorted(services) for group in groups_of(service)]
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


def of_services(
    login: KafkaLogin, services: Collection[str], bindings: Collection[AclBinding] | None, address: str
) -> list[Finding]:
    """Whether each service's user may do what it must, and no more."""
    if bindings is None:
        return [left_out("rights", f"{login.user} may not see who may do what; ask as a service, with --service")]
    found = []
    for service in services:
        must = topic_rights.wanted(services=[service])
        more = [binding for binding in bindings if _is_more(binding, service, must)]
        if lacking := [right for right in must if not _is_given(right, bindings)]:
            found.append(failed("rights", f"Kafka's user {service} may not {_in_words(lacking)}", _ALLOW, of=service))
        elif not more:
            found.append(well("rights", "Kafka's user of this name may do what the service must, and no more", of=service))
        found += [_surplus(binding, service, address) for binding in more]
    return found


def _is_more(binding: AclBinding, service: str, must: Collection[Right]) -> bool:
    """Whether it gives the service's user what the service has no need of."""
    exact = binding.resource_pattern_type is ResourcePatternType.LITERAL
    return (
        binding.principal == f"User:{service}"
        and binding.permission_type is AclPermissionType.ALLOW
        and binding.operation not in _HARMLESS
        and binding.restype in _OPTIONS
        and not (exact and (service, binding.operation, binding.restype, binding.name) in must)
    )


def _surplus(binding: AclBinding, service: str, address: str) -> Finding:
    prefixed = binding.resource_pattern_type is ResourcePatternType.PREFIXED
    kind, may = ResourceType(binding.restype), AclOperation(binding.operation)
    cluster = kind is ResourceType.BROKER
    what = _OPTIONS[kind] + ("" if cluster else f" '{binding.name}'")
    operation = may.name.title().replace("_", "")
    command = f"{tool('acls', address)} --remove --allow-principal User:{service} --operation {operation} {what}"
    if prefixed:
        command += " --resource-pattern-type prefixed"
    if binding.host != "*":
        command += f" --allow-host {binding.host}"
    of_what = "the cluster" if cluster else f"{kind.name.lower()} {binding.name}{'…' if prefixed else ''}"
    told = f"Kafka's user {service} may also {operation} on {of_what}, of which its service has no need"
    return failed("rights", told, f"run `{command}`", of=service)


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
