"""What operators send with the forms of the held records, read only once it is known who they are."""

from dataclasses import dataclass, replace

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from common.access.auth import Principal
from common.errors import Fault, NotFound, Rejected
from common.messaging.message import MAX_BODY

REASON_SLUGS = frozenset({"reason-missing", "reason-too-long", "reason-not-readable"})
_FIELDS = 10
_FIELD_BYTES = 2 * MAX_BODY
"""Browsers send two bytes where a line ends, so that a text of very short lines may grow to twice its size."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What was typed into which form, to be shown again where it was refused: the fault of the reason, and those of the rest."""

    verb: str
    reason: str = ""
    body: str = ""
    key: str = ""
    headers: str = ""
    reason_fault: dict[str, str] | None = None
    faults: tuple[Fault, ...] = ()

    def refused(self, error: Rejected) -> "Tried":
        """The same with what is wrong."""
        return replace(self, reason_fault=error.detail if error.slug in REASON_SLUGS else None, faults=error.faults)


async def posted(request: Request) -> Tried:
    """The form's fields; browsers end lines with CR LF, we with LF. Raises `Rejected` where one is too large.

    The verb is a field, not a part of the address, so that a page that comes back with a refusal can be loaded like any other."""
    try:
        form = await request.form(max_files=0, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
    except HTTPException as error:
        if "maximum size" not in error.detail:
            raise
        raise Rejected("too-large", _TOO_LARGE) from None

    def text(name: str) -> str:
        value = form.get(name, "")
        return "" if isinstance(value, UploadFile) else value.replace("\r\n", "\n")

    return Tried(text("verb"), text("reason"), text("body"), text("key"), text("headers"))


def fits_a_form(text: str) -> bool:
    """Whether a text is small enough to be edited on a page."""
    return len(text.encode("utf-8", "replace")) <= MAX_BODY


def actor_of(mender: Principal) -> str:
    """Who acts, as the audit keeps it."""
    return mender.account_id or ""


def without_nul(value: str) -> str:
    """The value; NotFound for one with a NUL, which PostgreSQL would refuse and so never holds."""
    if "\x00" in value:
        raise NotFound
    return value


_TOO_LARGE = {
    "en": "The text is larger than this page takes (900 kB). Nothing was changed. Larger ones are edited on the command line: "
    "musubi parked edit.",
    "ja": "このページで扱える大きさ（900 kB）を超えています。何も変更していません。これより大きいものは、"
    "コマンド musubi parked edit で直してください。",
}
