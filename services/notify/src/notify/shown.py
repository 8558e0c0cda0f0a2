"""What a page shows of a notification, in the reader's language and time zone."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from common.formats import Formats
from notify.domain import answer, figures
from notify.domain.answer import Group
from notify.domain.letter import proposal_link
from notify.store import Item

State = Literal["current", "left-list", "need-closed", "need-withdrawn"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One notification in words. `state` says whether the match still stands."""

    item: Item
    headline: str
    product: str
    price: str | None
    delivery: str
    why: str
    due: date
    soon: bool
    group: Group
    state: State
    proposal: str


def shown(item: Item, f: Formats, zone: str, now: datetime) -> Shown:
    """Put it into words."""
    due = item.answer_by.astimezone(ZoneInfo(zone)).date()
    group = answer.group(item.answer_by, now, zone)
    today = now.astimezone(ZoneInfo(item.need.municipality.timezone)).date()
    return Shown(
        item=item,
        headline=figures.headline(item.need, f),
        product=figures.product(item.match, f),
        price=figures.price(item.need, item.match, f),
        delivery=figures.delivery(item.need, item.match, today, f),
        why=f.pick(item.why),
        due=due,
        soon=group == "overdue" or (due - now.astimezone(ZoneInfo(zone)).date()).days <= answer.WORKING_DAYS,
        group=group,
        state=state_of(item),
        proposal=proposal_link("", item.need_id, item.offering_id),
    )


def state_of(item: Item) -> State:
    """A need that is closed comes first: its list is empty because of that."""
    if item.need.status == "closed":
        return "need-closed"
    if item.need.status == "withdrawn":
        return "need-withdrawn"
    return "current" if item.on_list else "left-list"
