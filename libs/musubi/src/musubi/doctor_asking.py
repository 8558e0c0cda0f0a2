"""Questions of `musubi doctor` to the broker, each with its deadline."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import KafkaException

from musubi.doctor_findings import ANSWER_SECONDS
from musubi.doctor_reach import in_thread

T = TypeVar("T")


async def asked(call: Callable[[], T]) -> T:
    """The answer of a call that waits for it; raises `TimeoutError` where the call forgets its own deadline."""
    async with asyncio.timeout(ANSWER_SECONDS + 0.5):
        return await in_thread(call)


async def answers(ask: Callable[..., Mapping[Any, Any]], what: Any, *, refused: int | None = None) -> dict[Any, Any]:
    """The answers to one question about several things. What was refused with the code `refused` is None; what had another fault
    is left out."""
    found: dict[Any, Any] = {}
    for about, future in (await asked(partial(ask, what, request_timeout=ANSWER_SECONDS))).items():
        try:
            found[about] = await asked(partial(future.result, ANSWER_SECONDS))
        except KafkaException as error:
            if error.args[0].code() == refused:
                found[about] = None
    return found
