"""Why a need has no proposal: the gate at which most offerings of its field fail."""

from collections import Counter
from collections.abc import Iterable

from matching.domain.changes import Said, says
from matching.domain.circumstances import Circumstances
from matching.domain.gates import Gate, failures, is_expired
from matching.domain.sides import Need, Offering, Requirement

NEED_CLOSED = says("need_closed", "The need is no longer open.", "このニーズは受付を終えています。")
EXPIRED = says("expired", "The deadline has passed.", "期限を過ぎています。")
NOBODY_OFFERS = says(
    "nobody_offers",
    "No company offers anything in this field and unit yet.",
    "この分野と単位で登録された技術・製品はまだありません。",
)
COUNTRY_BLOCKS = says(
    "country_blocks",
    "Offerings of this field that do not name {country:country} among their countries: {failed:number} of {looked_at:number}.",
    "この分野の{looked_at:number}件のうち{failed:number}件は、納入先・関心国に{country:country}を挙げていません。",
)
REQUIREMENT_BLOCKS = says(
    "requirement_blocks",
    "Offerings of this field that do not meet or do not state “{asked:asked}”: {failed:number} of {looked_at:number}.",
    "この分野の{looked_at:number}件のうち{failed:number}件は、「{asked:asked}」を満たすという記載がありません。",
)
NOTHING_BLOCKS = says("nothing_blocks", "Nothing blocks it.", "妨げているものはありません。")
BLOCKS = (NEED_CLOSED, EXPIRED, NOBODY_OFFERS, COUNTRY_BLOCKS, REQUIREMENT_BLOCKS, NOTHING_BLOCKS)


def what_blocks(need: Need, offerings: Iterable[Offering], circumstances: Circumstances) -> Said:
    """What keeps most offerings of its field and unit from being proposed. What is listed elsewhere may be among them."""
    if not need.open:
        return Said(NEED_CLOSED, {})
    if is_expired(need, circumstances):
        return Said(EXPIRED, {})
    counts: Counter[tuple[Gate, Requirement | None]] = Counter()
    looked_at = 0
    for offering in offerings:
        if not offering.listed or offering.unit != need.unit or need.group not in offering.groups:
            continue
        looked_at += 1
        counts.update((failure.gate, failure.requirement) for failure in failures(need, offering, circumstances))
    if looked_at == 0:
        return Said(NOBODY_OFFERS, {})
    if not counts:
        return Said(NOTHING_BLOCKS, {})
    (_, asked), failed = max(counts.items(), key=lambda item: item[1])
    values = {"failed": failed, "looked_at": looked_at}
    if asked is None:
        return Said(COUNTRY_BLOCKS, {**values, "country": need.country})
    return Said(REQUIREMENT_BLOCKS, {**values, "asked": asked})
