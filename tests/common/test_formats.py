"""How figures, dates and names are said in both languages."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from common.contracts.values import Money
from common.formats import Formats

EN, JA = Formats("en"), Formats("ja")


@pytest.mark.parametrize(
    ("amount", "currency", "en", "ja"),
    [
        ("180", "USD", "USD\u00a0180", "180米ドル"),
        ("1234.5", "USD", "USD\u00a01,234.50", "1,234.50米ドル"),
        ("12000", "JPY", "JPY\u00a012,000", "12,000円"),
        ("12000.4", "JPY", "JPY\u00a012,000", "12,000円"),
        ("0.0345", "USD", "USD\u00a00.0345", "0.0345米ドル"),
        ("0", "USD", "USD\u00a00", "0米ドル"),
        ("1250000", "VND", "VND\u00a01,250,000", "1,250,000ベトナムドン"),
        ("12345678901234567.89", "USD", "USD\u00a012,345,678,901,234,567.89", "12,345,678,901,234,567.89米ドル"),
    ],
)
def test_money_is_said_with_its_currency_and_to_the_last_digit(amount: str, currency: str, en: str, ja: str) -> None:
    money = Money(amount=Decimal(amount), currency=currency)
    assert (EN.money(money), JA.money(money)) == (en, ja)
    assert EN.money((Decimal(amount), currency)) == EN.money({"amount": amount, "currency": currency}) == en


def test_money_beyond_what_contracts_carry_is_said_too() -> None:
    assert EN.money((Decimal("1e37"), "USD")) == "USD\u00a010" + ",000" * 12


def test_money_is_never_a_float() -> None:
    with pytest.raises(TypeError, match="never a float"):
        EN.money((0.1, "USD"))


@pytest.mark.parametrize(
    ("value", "unit", "en", "ja"),
    [
        (Decimal(1), "lamp", "1\u00a0lamp", "1灯"),
        (Decimal(3600), "lamp", "3,600\u00a0lamps", "3,600灯"),
        (Decimal("450"), "kW", "450\u00a0kW", "450\u00a0kW"),
        (Decimal("0.5"), "km", "0.5\u00a0km", "0.5\u00a0km"),
        (Decimal(640), "signal head", "640\u00a0signal\u00a0heads", "640灯器"),
        (Decimal(7), "nonesuch", "7\u00a0nonesuch", "7\u00a0nonesuch"),
    ],
)
def test_a_number_and_its_unit_never_part(value: Decimal, unit: str, en: str, ja: str) -> None:
    assert (EN.quantity(value, unit), JA.quantity(value, unit)) == (en, ja)


def test_numbers_are_grouped_and_carry_no_empty_decimals() -> None:
    assert EN.number(Decimal("1328400.00")) == JA.number(1328400) == "1,328,400"
    assert EN.number(Decimal("0.6766")) == "0.6766"
    assert EN.percent(Decimal("7.6923")) == JA.percent(Decimal("7.6923")) == "8%"
    assert EN.percent(Decimal("12.5"), 1) == "12.5%"


def test_a_day_is_said_with_its_weekday_and_short_without() -> None:
    day = date(2026, 11, 24)
    assert EN.day(day) == "Tue\u00a024\u00a0November\u00a02026"
    assert JA.day(day) == "2026年11月24日（火）"
    assert EN.day(day, short=True) == "24\u00a0Nov\u00a02026"
    assert JA.day(day, short=True) == "2026年11月24日"


def test_a_moment_is_said_on_the_clock_of_its_place_with_the_place() -> None:
    at = datetime(2026, 11, 24, 22, 2, tzinfo=UTC)
    assert EN.moment(at, "Asia/Tokyo") == "Wed\u00a025\u00a0November\u00a02026, 07:02\u00a0(Tokyo\u00a0time)"
    assert JA.moment(at, "Asia/Tokyo") == "2026年11月25日（水） 07:02（東京時間）"
    assert EN.moment(at, "UTC", short=True) == "24\u00a0Nov\u00a02026, 22:02\u00a0(UTC)"


@pytest.mark.parametrize(
    ("zone", "en", "ja"),
    [
        ("Asia/Ho_Chi_Minh", "Ho Chi Minh City time", "ホーチミン時間"),
        ("Asia/Kathmandu", "Kathmandu time", "カトマンズ時間"),
        ("Asia/Phnom_Penh", "Phnom Penh time", "プノンペン時間"),
        ("UTC", "UTC", "協定世界時"),
    ],
)
def test_a_time_zone_is_named_by_its_city(zone: str, en: str, ja: str) -> None:
    assert (EN.zone(zone), JA.zone(zone)) == (en, ja)


@pytest.mark.parametrize(
    ("last_day", "en", "ja"),
    [
        (date(2026, 11, 28), "3\u00a0days\u00a0left", "あと3日"),
        (date(2026, 11, 26), "1\u00a0day\u00a0left", "あと1日"),
        (date(2026, 11, 25), "today", "今日まで"),
        (date(2026, 11, 23), "2\u00a0days\u00a0ago", "2日前"),
    ],
)
def test_days_left_are_counted_where_the_deadline_holds(last_day: date, en: str, ja: str) -> None:
    just_after_midnight_in_tokyo = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)
    assert EN.days_left(last_day, "Asia/Tokyo", now=just_after_midnight_in_tokyo) == en
    assert JA.days_left(last_day, "Asia/Tokyo", now=just_after_midnight_in_tokyo) == ja


def test_names_of_technologies_countries_and_languages_come_in_both_languages() -> None:
    assert (EN.technology("lighting.street_led"), JA.technology("lighting.street_led")) == ("LED street lighting", "LED街路灯")
    assert (EN.country("JP"), JA.country("JP")) == ("Japan", "日本")
    assert (EN.language_name("vi"), JA.language_name("vi")) == ("Vietnamese", "ベトナム語")


def test_a_list_reads_like_a_sentence() -> None:
    assert EN.listed(["a", "b", "c"]) == "a, b and c"
    assert EN.listed(["a"]) == JA.listed(["a"]) == "a"
    assert JA.listed(["a", "b"]) == "a、b"
    assert EN.listed([]) == JA.listed([]) == ""


def test_the_two_texts_of_a_place_are_filled_from_the_same_values() -> None:
    assert EN.t(en="{n} needs", ja="ニーズ{n}件", n=3) == "3 needs"
    assert JA.t(en="{n} needs", ja="ニーズ{n}件", n=3) == "ニーズ3件"
    assert JA.t(en="100% {", ja="100% {") == "100% {"


def test_there_are_no_formats_for_a_language_that_musubi_does_not_speak() -> None:
    with pytest.raises(ValueError, match="fr"):
        Formats("fr")


@pytest.mark.parametrize(
    ("seconds", "en", "ja"),
    [
        (-5, "less than a minute", "1分未満"),
        (59, "less than a minute", "1分未満"),
        (60, "1\u00a0minute", "1分"),
        (119 * 60, "119\u00a0minutes", "119分"),
        (120 * 60, "2\u00a0hours", "2時間"),
        (47 * 3600, "47\u00a0hours", "47時間"),
        (48 * 3600, "2\u00a0days", "2日"),
    ],
)
def test_how_long_something_lasted_is_said_in_its_largest_whole_unit(seconds: int, en: str, ja: str) -> None:
    assert (EN.lasting(timedelta(seconds=seconds)), JA.lasting(timedelta(seconds=seconds))) == (en, ja)
