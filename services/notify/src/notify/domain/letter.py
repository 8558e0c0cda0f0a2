"""The mail's words: plain text from which the reader can act alone.

What fits and what does not, in real values; what we ask and by when; who else knows; why it came; how to answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from common.contracts.matching import FacetScore, Match, NeedSummary
from common.formats import Formats
from notify.domain import figures
from notify.domain.layout import bullet, labelled, plain, wrapped
from notify.domain.recipients import Kind, Recipient


@dataclass(frozen=True, slots=True)
class Notice:
    """What one notification is about. `more` counts further matches of the same day that got no notification of their own."""

    need: NeedSummary
    match: Match
    why: Mapping[str, str]
    issued_at: datetime
    answer_by: datetime
    more: int = 0


@dataclass(frozen=True, slots=True)
class Letter:
    """Subject and text, ready to be put into an envelope."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Desk:
    """Where questions and answers go: the secretariat's name by language and its address."""

    names: Mapping[str, str]
    address: str


def proposal_link(origin: str, need_id: str, offering_id: str) -> str:
    return f"{origin}/matching/needs/{need_id}/offerings/{offering_id}"


def inbox_link(origin: str, notification_id: str) -> str:
    return f"{origin}/notify/inbox/{notification_id}"


def letter(
    recipient: Recipient,
    notice: Notice,
    *,
    proposal: str,
    inbox: str,
    others: Sequence[Mapping[str, str]],
    desk: Desk,
    composed_at: datetime,
) -> Letter:
    """Write to `recipient` in its language. `proposal` and `inbox` are links, `others` the names of those also told."""
    f = Formats(recipient.language)
    by_day = f.day(notice.answer_by.astimezone(ZoneInfo(recipient.timezone)).date(), short=True)
    subject = f.t(
        en="[Musubi] {need}: {score} of 100 points (by {by})",
        ja="[Musubi] {need}：適合{score}点（期限 {by}）",
        need=figures.headline(notice.need, f),
        score=notice.match.score,
        by=by_day,
    )
    parts = [
        _greeting(recipient, f),
        _news(recipient, notice, f),
        _proposal(notice, f, composed_at, recipient.timezone),
        _why_it_fits(figures.fitting(notice.match), f),
        _take_care(figures.lacking(notice.match), f),
        _request(recipient, notice, f, proposal, inbox, composed_at),
        _others(others, f),
        _footer(notice, f, desk),
    ]
    return Letter(plain(subject), plain("\n\n".join(filter(None, parts)) + "\n"))


def _greeting(recipient: Recipient, f: Formats) -> str:
    name, desk = f.pick(recipient.names), f.pick(recipient.desk)
    return f.t(
        en="To {name}{desk}",
        ja="{name}{desk} 御中",
        name=name,
        desk=f.t(en=", {desk}", ja=" {desk}", desk=desk) if desk else "",
    )


_NEWS: Mapping[Kind, Mapping[str, str]] = {
    "office": {
        "en": "A product fits a need that {city} has posted.",
        "ja": "{city}が登録したニーズに、合う製品が見つかりました。",
    },
    "secretariat": {
        "en": "A product fits a need that {city} has posted.",
        "ja": "{city}が登録したニーズに、合う製品が見つかりました。",
    },
    "municipality": {
        "en": "A product fits a need that you have posted.",
        "ja": "登録されたニーズに、合う製品が見つかりました。",
    },
    "company": {
        "en": "Your product fits a need that {city} has posted.",
        "ja": "{city}が登録したニーズに、貴社の製品が合います。",
    },
}


def _news(recipient: Recipient, notice: Notice, f: Formats) -> str:
    news = f.pick(_NEWS[recipient.kind]).format(city=f.pick(notice.need.municipality.names))
    ask = f.t(
        en="Please look at it and acknowledge it by {by}.",
        ja="{by}までに内容を見て、確認済みにしてください。",
        by=f.moment(notice.answer_by, recipient.timezone),
    )
    return f"{wrapped(news, f)}\n{wrapped(ask, f)}"


def _proposal(notice: Notice, f: Formats, now: datetime, timezone: str) -> str:
    need, match = notice.need, notice.match
    today = now.astimezone(ZoneInfo(need.municipality.timezone)).date()
    rows = [
        (f.t(en="Need", ja="ニーズ"), figures.headline(need, f)),
        (f.t(en="Quantity", ja="数量"), f.quantity(need.quantity, need.unit)),
        (f.t(en="Product", ja="製品"), figures.product(match, f)),
        (f.t(en="Price", ja="価格"), figures.price(need, match, f) or f.t(en="not stated", ja="記載なし")),
        (f.t(en="Delivery", ja="納入"), figures.delivery(need, match, today, f)),
    ]
    title = f.t(en="PROPOSAL ({score} of 100 points)", ja="■ 提案（適合 {score}点／100点）", score=match.score)
    more = ""
    if notice.more:
        more = "\n" + wrapped(
            f.t(
                en="And {n} more for this need today: see them on the page below.",
                ja="このニーズには本日ほかに{n}件の候補があります。下記のページでご覧ください。",
                n=notice.more,
            ),
            f,
            indent="  ",
        )
    return "\n".join([title, *(labelled(label, value, f) for label, value in rows)]) + more


def _why_it_fits(facets: Sequence[FacetScore], f: Formats) -> str:
    if not facets:
        return ""
    return "\n".join([f.t(en="WHY IT FITS", ja="■ 合う理由"), *(bullet(f.pick(facet.words), f) for facet in facets)])


def _take_care(facets: Sequence[FacetScore], f: Formats) -> str:
    if not facets:
        return ""
    lines = [
        bullet(
            f.t(
                en="{words} ({earned} of {possible} points).",
                ja="{words}（{possible}点中{earned}点）。",
                words=f.pick(facet.words).rstrip(".。"),
                earned=facet.earned,
                possible=facet.possible,
            ),
            f,
        )
        for facet in facets
    ]
    return "\n".join([f.t(en="TAKE CARE", ja="■ 気をつける点"), *lines])


def _request(recipient: Recipient, notice: Notice, f: Formats, proposal: str, inbox: str, now: datetime) -> str:
    by = notice.answer_by.astimezone(ZoneInfo(recipient.timezone)).date()
    return "\n".join(
        [
            f.t(en="WHAT WE ASK OF YOU", ja="■ していただきたいこと"),
            f.t(
                en="  Acknowledge it in your inbox (you will be asked to sign in):",
                ja="  受信箱で確認済みにしてください（サインインが必要です）。",
            ),
            f"  {inbox}",
            f.t(en="  The whole proposal, point by point:", ja="  提案の詳しい説明:"),
            f"  {proposal}",
            wrapped(
                f.t(
                    en="By {by}: {left}.",
                    ja="期限 {by}、{left}",
                    by=f.moment(notice.answer_by, recipient.timezone),
                    left=f.days_left(by, recipient.timezone, now=now),
                ),
                f,
                indent="  ",
            ),
        ]
    )


def _others(others: Sequence[Mapping[str, str]], f: Formats) -> str:
    title = f.t(en="WHO ELSE WAS TOLD", ja="■ 同じお知らせを受け取った方")
    nobody = f.t(en="Nobody else.", ja="ほかにはいません。")
    return f"{title}\n{wrapped(f.listed([f.pick(names) for names in others]) or nobody, f, indent='  ')}"


def _footer(notice: Notice, f: Formats, desk: Desk) -> str:
    why = f.t(en="Why you get this: {why}", ja="このメールが届いた理由: {why}", why=f.pick(notice.why))
    ask = f.t(
        en="Questions, or to change who is told: reply to this mail. It goes to the {desk}.",
        ja="問い合わせや届け先の変更は、このメールに返信してください。{desk}に届きます。",
        desk=f.pick(desk.names)[:1].lower() + f.pick(desk.names)[1:] if f.language == "en" else f.pick(desk.names),
    )
    return f"{wrapped(why, f)}\n{wrapped(ask, f)}\n{desk.address}"
