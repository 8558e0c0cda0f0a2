"""What somebody says of a match, as a form or as JSON: read once it is known who they are, and only so much as it may be."""

from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import Request

from common.errors import Fault, Rejected
from common.faults import fault
from common.partners.cloudevents import faults_of_text, read_json

MOST_BYTES = 32_768
"""A note of 1,000 characters takes up to 12 bytes for each in a form's encoding."""
_MOST_FIELDS = 20


class Fields(NamedTuple):
    """The texts as they were sent, empty where there was none."""

    word: str = ""
    reason: str = ""
    note: str = ""


async def from_form(request: Request) -> Fields:
    """The form's fields. The reason stands beside the answer: where it is not a refusal, a reason that is still chosen means
    nothing. Raises `Rejected`."""
    text = (await _body(request)).decode("utf-8", "replace")
    try:
        sent = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise Rejected("not-readable") from None
    word = sent.get("word", "")
    note = sent.get("note", "").replace("\r\n", "\n")  # browsers end lines with both
    return Fields(word, sent.get("reason", "") if word == "declined" else "", note)


async def from_json(request: Request) -> Fields:
    """The object's fields; `null` is as good as none. Raises `Rejected` with every fault."""
    try:
        sent = read_json(await _body(request))
    except Rejected as refusal:
        raise Rejected(refusal.slug if refusal.slug != Rejected.slug else "not-readable", faults=refusal.faults) from None
    if not isinstance(sent, dict):
        raise Rejected(faults=(fault("", "model_type"),))
    faults = [*faults_of_text(sent), *_faults_of_fields(sent)]
    if faults:
        raise Rejected(faults=tuple(faults))
    return Fields(**{name: value for name, value in sent.items() if value is not None})


def _faults_of_fields(sent: dict[str, Any]) -> list[Fault]:
    unknown = [fault(f"/{name}", "extra_forbidden", Fields._fields, value=name) for name in sent if name not in Fields._fields]
    wrong = [
        fault(f"/{name}", "string_type")
        for name in Fields._fields
        if not isinstance(sent.get(name), str) and sent.get(name) is not None
    ]
    return unknown + wrong


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Rejected("too-large")
    return bytes(body)
