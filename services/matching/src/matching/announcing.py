"""Announces shortlists that say something else than what was announced of them last."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Raw

from common.contracts.matching import NeedRouted, ShortlistChanged
from common.exact_json import to_json
from common.messaging.message import Event
from common.telemetry import sampled
from common.transaction import Transaction
from matching import list_store, store
from matching.domain.facets import WEIGHTS

AT_ONCE = 100
"""Lists read at once; each may be 30 kB."""


async def announce_changes(tx: Transaction, causes: Mapping[str, Event | None]) -> None:
    """Announce those of these needs whose list changed since it was announced; each with the event that led to it, if any.

    A need that was never announced is announced in any case, also with an empty list. The span of the event is linked to the
    trace of the other side, which arrived earlier.
    """
    for need_ids in _portions(sorted(causes), AT_ONCE):
        lists = await list_store.lists_to_announce(tx, need_ids)
        prints = {one.need_id: _fingerprint(one) for one in lists}
        changed = [one for one in lists if prints[one.need_id] != one.announced]
        if not changed:
            continue
        matches = await list_store.explained_matches(tx, [one.need_id for one in changed])
        for one in changed:
            cause = causes[one.need_id]
            tx.emit_json(ShortlistChanged, one.need_id, _body(one, matches.get(one.need_id, ())), cause=cause)
            if cause is not None and sampled(tx.trace_of(cause)):
                await _link(tx, one, cause)
        await list_store.set_announced(tx, {one.need_id: prints[one.need_id] for one in changed})


def _fingerprint(one: list_store.ListToAnnounce) -> bytes:
    said = hashlib.sha256(one.summary.encode())
    for part in (WEIGHTS.encode(), *one.fingerprints):
        said.update(part)
    return said.digest()[:16]


def _body(one: list_store.ListToAnnounce, matches: Sequence[str]) -> bytes:
    """The JSON of `ShortlistChanged`, put together from what is kept as it is announced."""
    return to_json(
        {
            "need": Raw(one.summary.encode()),
            "matches": [Raw(match.encode()) for match in matches],
            "as_of": one.as_of,
            "weights": WEIGHTS,
        }
    )


async def _link(tx: Transaction, one: list_store.ListToAnnounce, cause: Event) -> None:
    """A need that arrives is linked to what its offerings came with, an offering to what the need came with."""
    if cause.topic == NeedRouted.topic:
        for trace in await store.traces_of_listed(tx, one.need_id):
            tx.link(cause, trace)
    else:
        tx.link(cause, one.trace)


def _portions(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[begin : begin + size] for begin in range(0, len(items), size))
