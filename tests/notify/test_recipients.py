"""Offices, cities and companies as recipients: language, zone, address."""

import pytest

from common.contracts.values import Contact
from notify.domain.recipients import language_for, reached_by
from notify.offices import SECRETARIAT, offices


@pytest.mark.parametrize(
    ("office_id", "language", "timezone"),
    [
        ("jetro-hanoi", "en", "Asia/Ho_Chi_Minh"),
        ("jetro-beijing", "ja", "Asia/Shanghai"),
        ("jetro-hong-kong", "en", "Asia/Hong_Kong"),
        ("jetro-new-delhi", "en", "Asia/Kolkata"),
        ("jetro-seoul", "ja", "Asia/Seoul"),
        ("jetro-kitakyushu", "ja", "Asia/Tokyo"),
    ],
)
def test_an_office_is_written_to_in_the_first_of_its_languages_that_we_speak_and_in_its_zone(
    office_id: str, language: str, timezone: str
):
    office = offices().by_id(office_id)
    assert office is not None
    assert (office.language, office.timezone) == (language, timezone)


def test_all_thirty_offices_have_both_names_and_a_function_at_an_example_address():
    found = offices().recipients.values()
    assert len(found) == 30
    for office in found:
        assert set(office.names) == {"en", "ja"}
        assert office.address is not None and office.address.endswith(".example")
    assert SECRETARIAT.address is not None and SECRETARIAT.address.endswith(".example")


def test_who_reads_neither_language_is_written_to_in_english():
    assert language_for(["vi", "fr"]) == "en"
    assert language_for([]) == "en"


def test_mail_goes_to_the_desk_that_reads_the_chosen_language():
    contacts = [
        Contact(function={"en": "Front desk"}, email="front@city.example", languages=["vi"]),
        Contact(function={"en": "International desk"}, email="international@city.example", languages=["en"]),
    ]
    city = reached_by("municipality", "city", {"en": "City"}, ["vi", "en"], "Asia/Ho_Chi_Minh", contacts)
    assert city.address == "international@city.example"
    assert city.desk == {"en": "International desk"}


def test_without_a_contact_there_is_no_address():
    city = reached_by("municipality", "city", {"en": "City"}, ["en"], "Asia/Ho_Chi_Minh", [])
    assert city.address is None
