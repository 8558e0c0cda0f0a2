"""How figures, dates and names are said in Japanese and in English.

A number and its unit are held together by a no-break space where the language puts a space at all. Amounts of money are
`Decimal` from beginning to end. `Formats` is what the pages' templates get; mails use it too.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.core import get_global
from babel.dates import format_date
from babel.numbers import NumberPattern, get_currency_name, get_currency_precision, parse_pattern

from common import vocabulary

NO_BREAK = "\u00a0"
_WIDE = Context(prec=100)
"""A price through two exchange rates can have more digits than the usual 28, and then rounding would fail."""
_parsed: Callable[[str], NumberPattern] = lru_cache(maxsize=64)(parse_pattern)
"""Figures are said by the hundred in every shortlist, always in the same few patterns."""


class Formats:
    """Everything that is said differently in one language and in the other; `language` is "ja" or "en"."""

    def __init__(self, language: str) -> None:
        if language not in vocabulary.LANGUAGES:
            raise ValueError(f"no formats for {language!r}; known are {', '.join(vocabulary.LANGUAGES)}")
        self.language = language
        self._ja = language == "ja"
        self._locale = Locale.parse("ja" if self._ja else "en_GB")

    def number(self, value: Decimal | int, digits: int | None = None) -> str:
        """`3,600`, `0.6766`: grouped, with at most `digits` decimal places (6 where none are given), none of them an empty 0."""
        places = 6 if digits is None else digits
        with localcontext(_WIDE):
            return self._figure(Decimal(value), "#,##0." + "#" * places if places else "#,##0")

    def money(self, value: object, currency: str | None = None) -> str:
        """`USD 180`, `180米ドル`, `12,000円`. Takes a `Money`, a pair (amount, currency), or an amount and its currency.

        Whole amounts have no decimals; others as many as their currency (none for the yen), and small unit prices below
        1 up to four, so that they do not read as nothing.
        """
        amount, code = _amount_of(value, currency)
        figure = self.price_figure(amount, code)
        return f"{figure}{self.currency(code)}" if self._ja else f"{code}{NO_BREAK}{figure}"

    def currency(self, code: str) -> str:
        """`US dollars`, `米ドル`, `円`."""
        if self._ja:
            return "円" if code == "JPY" else get_currency_name(code, locale="ja").replace(" ", "")
        return get_currency_name(code, count=2, locale=self._locale)

    def price_figure(self, amount: Decimal, currency: str) -> str:
        """The figure of `money` without its currency, where that stands elsewhere."""
        with localcontext(_WIDE):
            return self._money_figure(amount, get_currency_precision(currency))

    def _money_figure(self, amount: Decimal, precision: int) -> str:
        if 0 < abs(amount) < 1:
            return self._figure(amount.quantize(Decimal("0.0001"), ROUND_HALF_UP), "0.00##")
        rounded = amount.quantize(Decimal(1).scaleb(-precision), ROUND_HALF_UP)
        if rounded == rounded.to_integral_value():
            return self._figure(rounded, "#,##0")
        return self._figure(rounded, "#,##0." + "0" * precision)

    def _figure(self, value: Decimal, pattern: str) -> str:
        return _parsed(pattern).apply(value, self._locale)

    def quantity(self, value: Decimal | int, unit: str) -> str:
        """`1 lamp`, `3,600 lamps`, `3,600灯`, `450 kW` (in both languages); a unit that we do not know is said by its code."""
        return self._joined(self.number(value), self.unit(value, unit))

    def unit(self, value: Decimal | int, unit: str) -> str:
        """The word alone: `lamp`, `lamps`, `灯`."""
        known = vocabulary.units().get(unit)
        if known is None:
            return unit
        if self._ja:
            return known.ja
        return known.en_one if Decimal(value) == 1 else known.en_many

    def percent(self, value: Decimal | int, digits: int = 0) -> str:
        """`8%` from 8, `12.5%` from 12.5 with one digit. No space before the sign."""
        return self.number(Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP), digits) + "%"

    def days(self, count: int) -> str:
        """`1 day`, `120 days`, `120日`."""
        if self._ja:
            return f"{self.number(count)}日"
        return f"{self.number(count)}{NO_BREAK}{'day' if count == 1 else 'days'}"

    def day(self, value: date | datetime, *, short: bool = False, zone: str = "UTC") -> str:
        """`Tue 24 November 2026`, `2026年11月24日（火）`; short: `24 Nov 2026`, `2026年11月24日`.

        Of a moment, the day that it is in `zone`.
        """
        if isinstance(value, datetime):
            value = value.astimezone(ZoneInfo(zone)).date()
        patterns = ("y年M月d日", "y年M月d日（EEE）") if self._ja else ("d MMM y", "EEE d MMMM y")
        pattern = patterns[0] if short else patterns[1]
        return format_date(value, pattern, locale=self._locale).replace(" ", NO_BREAK)

    def clock_time(self, value: datetime, zone: str) -> str:
        """`08:02` as it is read in `zone`."""
        return f"{value.astimezone(ZoneInfo(zone)):%H:%M}"

    def moment(self, value: datetime, zone: str = "UTC", *, short: bool = False) -> str:
        """`Tue 24 November 2026, 08:02 (Tokyo time)`, `2026年11月24日（火）08:02（東京時間）`. The zone is always said."""
        local = value.astimezone(ZoneInfo(zone))
        day, at, where = self.day(local.date(), short=short), f"{local:%H:%M}", self.zone(zone)
        return f"{day} {at}（{where}）" if self._ja else f"{day}, {at}{NO_BREAK}({where.replace(' ', NO_BREAK)})"

    def zone(self, zone: str) -> str:
        """`Tokyo time`, `東京時間`, `UTC`, `協定世界時`."""
        if zone in ("UTC", "Etc/UTC", "Etc/GMT", "GMT"):
            return "協定世界時" if self._ja else "UTC"
        city = _zone_city(zone, self._locale)
        return f"{city}時間" if self._ja else f"{city} time"

    def days_left(self, last_day: date, zone: str = "UTC", *, now: datetime) -> str:
        """`3 days left`, `あと3日`; on the last day itself `today`, `今日まで`; later `2 days ago`, `2日前`.

        Counted in calendar days where the deadline holds, in `zone`; `now` is aware.
        """
        left = (last_day - now.astimezone(ZoneInfo(zone)).date()).days
        if left == 0:
            return "今日まで" if self._ja else "today"
        if left < 0:
            return f"{self.days(-left)}前" if self._ja else f"{self.days(-left)}{NO_BREAK}ago"
        return f"あと{self.days(left)}" if self._ja else f"{self.days(left)}{NO_BREAK}left"

    def lasting(self, time: timedelta) -> str:
        """`less than a minute`, `12 minutes`, `3 hours`, `5 days`: how long something has lasted, in its largest whole unit."""
        minutes = int(time.total_seconds() // 60)
        if minutes < 1:
            return "1分未満" if self._ja else "less than a minute"
        if minutes >= 48 * 60:
            return self.days(minutes // (24 * 60))
        count, ja, en = (minutes // 60, "時間", "hour") if minutes >= 120 else (minutes, "分", "minute")
        return f"{count}{ja}" if self._ja else f"{count}{NO_BREAK}{en if count == 1 else en + 's'}"

    def pick(self, text: Mapping[str, str]) -> str:
        """A text by language in this language, else in one that the reader is likely to know."""
        return vocabulary.pick(dict(text), self.language)

    def t(self, *, en: str, ja: str, **values: object) -> str:
        """The two texts of a place side by side; `{name}` in them is filled from `values`."""
        text = ja if self._ja else en
        return text.format(**values) if values else text

    def technology(self, code: str) -> str:
        """`LED street lighting`."""
        return vocabulary.technology_name(code, self.language)

    def country(self, code: str) -> str:
        """The country's name by its ISO 3166 code."""
        return vocabulary.country_name(code, self.language)

    def language_name(self, code: str) -> str:
        """The language's name by its BCP 47 tag."""
        return vocabulary.language_name(code, self.language)

    def listed(self, words: list[str]) -> str:
        """`a, b and c`, `a、b、c`."""
        if self._ja:
            return "、".join(words)
        return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""

    def _joined(self, figure: str, unit: str) -> str:
        tight = self._ja and not unit[:1].isascii()
        return f"{figure}{unit}" if tight else f"{figure}{NO_BREAK}{unit.replace(' ', NO_BREAK)}"


def _zone_city(zone: str, locale: Locale) -> str:
    """`Ho Chi Minh City`, `ホーチミン`. CLDR lists some zones under the name they had long ago (`Asia/Saigon`)."""
    names = locale.time_zones
    earlier = [old for old, new in get_global("zone_aliases").items() if new == zone]
    for known_as in (zone, *earlier):
        city = names[known_as].get("city") if known_as in names else None
        if city:
            return city
    return zone.rpartition("/")[2].replace("_", " ")


def _amount_of(value: object, currency: str | None) -> tuple[Decimal, str]:
    """Amount and currency of a `Money`, a mapping of its JSON, a pair, or two arguments. A float is refused: it is not exact."""
    if currency is not None:
        amount: object = value
    elif isinstance(value, Mapping):
        amount, currency = value["amount"], str(value["currency"])
    elif isinstance(value, (tuple, list)):
        amount, currency = value[0], str(value[1])
    else:
        amount, currency = getattr(value, "amount"), str(getattr(value, "currency"))  # noqa: B009 - a Money
    if isinstance(amount, float):
        raise TypeError("money is never a float")
    return Decimal(str(amount)), currency
