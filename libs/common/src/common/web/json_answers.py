"""What the interfaces for machines answer: JSON that is exact to the digit, and no more of a contact than everybody may know."""

from typing import Any

from starlette.responses import Response

from common.contracts.catalog import CompanyListed
from common.contracts.needs import MunicipalityListed
from common.exact_json import to_json


def public_answer(value: Any) -> Response:
    """What everybody may read; it may be kept, but is asked for anew each time."""
    return _answer(value, "no-cache")


def private_answer(value: Any) -> Response:
    """What only its reader may read; nobody keeps it."""
    return _answer(value, "no-store")


def without_addresses(organisation: MunicipalityListed | CompanyListed) -> dict[str, Any]:
    """The organisation without its contacts' addresses: who may write to them is told them in a notification."""
    contacts = [contact.model_dump(include={"function", "languages"}) for contact in organisation.contacts]
    return {**organisation.model_dump(exclude={"contacts"}), "contacts": contacts}


def _answer(value: Any, kept: str) -> Response:
    return Response(to_json(value), media_type="application/json", headers={"cache-control": kept})
