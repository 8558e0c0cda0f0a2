"""What stands in the addresses of lists and things: ids, filters, the page of a list, the cursor of an interface for machines."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

from common.errors import NotFound, Rejected
from common.faults import fault

CODE = r"^[A-Za-z0-9_.-]{0,100}$"
"""What a filter can be: a code, or empty for no filter, as a form sends it."""

LONGEST = 2000
"""More characters no address of ours has."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def known_form(id_: str) -> str:
    """The id itself. Raises NotFound for what no id of ours looks like, before the database is asked."""
    if not _UUID.fullmatch(id_):
        raise NotFound
    return id_


def address(path: str, filters: Mapping[str, str | None]) -> str:
    """A list's address with the filters in use, ready for `page=2` or another filter to be added: `/needs?country=VN&`."""
    kept = urlencode({name: value for name, value in filters.items() if value})
    return f"{path}?{kept}&" if kept else f"{path}?"


def own_address(wanted: str) -> str:
    """Where somebody wants to go after signing in: `wanted` if it is an address on our own origin, else the home page."""
    plain = wanted.startswith("/") and not wanted.startswith("//") and wanted.isprintable() and "\\" not in wanted
    signing = re.match(r"/sign-(in|out)\b", wanted)
    return wanted if plain and not signing and len(wanted) <= LONGEST else "/"


def each_taken_off(path: str, filters: Mapping[str, str | None]) -> dict[str, str]:
    """For each filter in use, the list's address without it."""
    return {name: address(path, {**filters, name: None}).rstrip("?&") for name in filters}


class Window(NamedTuple):
    """Which part of a list is shown. `first` and `last` count from 1."""

    page: int
    pages: int
    skip: int
    first: int
    last: int


def window(page: int, per_page: int, total: int) -> Window:
    """The part for this page; a page after the last is the last."""
    pages = max(1, -(-total // per_page))
    page = min(page, pages)
    skip = (page - 1) * per_page
    return Window(page, pages, skip, min(skip + 1, total), min(skip + per_page, total))


class Place(NamedTuple):
    """Where a list that is sorted by time goes on: after this one."""

    at: datetime
    id: str


def cursor(place: Place) -> str:
    """The place as an opaque text."""
    return base64.urlsafe_b64encode(f"{place.at.isoformat()} {place.id}".encode()).decode().rstrip("=")


def place_of(text: str | None) -> Place | None:
    """The place that a cursor means; raises Rejected for one that is not ours."""
    if not text:
        return None
    try:
        at, _, id_ = base64.urlsafe_b64decode(text.encode() + b"==").decode().partition(" ")
        place = Place(datetime.fromisoformat(at), id_)
        place.at.astimezone(UTC)
    except (binascii.Error, ValueError, OverflowError):  # the last for a moment before the year 1 or after 9999
        place = None
    if place is None or not _UUID.fullmatch(place.id) or place.at.tzinfo is None:
        raise Rejected(faults=(fault("/query/cursor", "cursor_not_readable"),))
    return place
