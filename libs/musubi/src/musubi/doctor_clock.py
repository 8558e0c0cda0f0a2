"""How far our clock is from the database's and the broker's, for `musubi doctor`.

Kafka has no question for its time. But who asks for the state of its metadata quorum is told when each member was last up to
date, and the leader says of itself: now.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from common.clock import Clock
from common.kafka_login import KafkaLogin
from musubi.doctor_findings import ANSWER_SECONDS, Finding, failed, left_out, well

FURTHEST = timedelta(seconds=2)
"""Clocks that are set by NTP are apart by milliseconds; a partner's event may be five minutes ahead, a record's time an hour."""

_NTP = "have all machines set their clocks by NTP (such as chrony)"


def judged(what: str, theirs: datetime, before: datetime, after: datetime) -> Finding:
    """Their clock was read between these two moments of ours."""
    behind, ahead = before - theirs, theirs - after
    apart = max(behind, ahead, timedelta())
    if apart <= FURTHEST:
        return well("clock", f"that of {what} is the same as here")
    way = "ahead of" if ahead > behind else "behind"
    return failed("clock", f"that of {what} is {_in_words(apart)} {way} ours", _NTP)


def _in_words(apart: timedelta) -> str:
    seconds = apart.total_seconds()
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


async def of_broker(address: str, login: KafkaLogin, clock: Clock) -> list[Finding]:
    """The clock of the cluster's controller. It is told only to those who may describe the cluster."""
    client = AIOKafkaClient(bootstrap_servers=address, request_timeout_ms=ANSWER_SECONDS * 1000, **login.for_aiokafka())
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await client.bootstrap()
            before = clock()
            answer: Any = await client.send(next(iter(client.cluster.brokers())).nodeId, _Ask())
            after = clock()
    except (IncompatibleBrokerVersion, NotImplementedError):
        return [left_out("clock", "this broker does not say what time it is")]
    except (KafkaError, TimeoutError, OSError, StopIteration) as error:
        return [left_out("clock", f"the broker did not say what time it is ({type(error).__name__})")]
    finally:
        closing = asyncio.create_task(client.close())  # it may swallow a cancellation, see `common.messaging.broker`
        await asyncio.wait({closing}, timeout=1)
    moments = [
        member[3] for _, parts, _ in answer.topics for part in parts for member in part[5] if member[0] == part[2]
    ]  # fmt: skip
    if not moments or moments[0] <= 0:
        return [left_out("clock", "the broker does not tell us what time it is: we may not describe the cluster")]
    return [judged("the broker", datetime.fromtimestamp(moments[0] / 1000, UTC), before, after + timedelta(milliseconds=1))]


_TAGS = ("tags", TaggedFields)
_MEMBER = (("id", Int32), ("end", Int64), ("last_fetch", Int64), ("last_caught_up", Int64), _TAGS)
_TEXT = CompactString("utf-8")


class _Quorum(Response):
    """DescribeQuorum, version 1; aiokafka does not know it."""

    API_KEY: ClassVar[int] = 55  # pyright: ignore[reportIncompatibleMethodOverride]
    API_VERSION: ClassVar[int] = 1  # pyright: ignore[reportIncompatibleMethodOverride]
    _PARTITION = (
        ("index", Int32), ("error_code", Int16), ("leader", Int32), ("epoch", Int32), ("high_watermark", Int64),
        ("voters", CompactArray(*_MEMBER)), ("observers", CompactArray(*_MEMBER)), _TAGS,
    )  # fmt: skip
    SCHEMA = Schema(
        ("error_code", Int16),
        ("topics", CompactArray(("name", _TEXT), ("partitions", CompactArray(*_PARTITION)), _TAGS)),
        _TAGS,
    )


class _AskQuorum(RequestStruct):
    API_KEY: ClassVar[int] = 55
    API_VERSION: ClassVar[int] = 1
    FLEXIBLE_VERSION: ClassVar[bool] = True
    RESPONSE_TYPE: ClassVar[type[Response]] = _Quorum
    SCHEMA: ClassVar[Schema] = Schema(
        ("topics", CompactArray(("name", _TEXT), ("partitions", CompactArray(("index", Int32), _TAGS)), _TAGS)), _TAGS
    )


class _Ask(Request[_AskQuorum]):
    API_KEY: ClassVar[int] = 55

    def build(self, request_struct_class: type[_AskQuorum]) -> _AskQuorum:
        return request_struct_class([("__cluster_metadata", [(0, {})], {})], {})
