"""`musubi match`: files in, each need's exact ten best out; a bad line is named and holds nothing up."""

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.workload import World
from common.contracts.matching import Match
from common.contracts.values import Fact
from common.exact_json import dump, load
from matching.domain.shortlist import LENGTH, judge
from matching.domain.sides import Need, Offering
from musubi import cli
from tests.matching.pairs import NEED_ID, OFFERING_ID, circumstances_of, need_fact, offering_fact, priced

DAY = "--as-of=2026-11-24"
EXAMPLES = Path(__file__).parents[2] / "examples"


def lines(path: Path, *items: Fact | dict[str, Any] | str) -> str:
    """A file with these facts (as bare data), events or texts, one a line."""
    texts = [
        one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) if isinstance(one, dict) else dump(one).decode()
        for one in items
    ]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return str(path)


def match(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, the JSON lines on standard output, and what standard error says."""
    code = cli.main(["match", *arguments, "--json", DAY])
    said = capsys.readouterr()
    return code, [json.loads(line) for line in said.out.splitlines()], said.err


def test_each_need_gets_its_list_with_reasons_and_near_misses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    abroad = offering_fact(id="abroad", countries_served=["JP"])
    needs, offerings = lines(tmp_path / "n", need_fact()), lines(tmp_path / "o", offering_fact(), abroad)
    code, (one,), errors = match(capsys, needs, offerings)
    assert (code, errors) == (0, "")
    assert (one["need"]["id"], one["as_of"]) == (NEED_ID, "2026-11-24")
    (found,) = [load(Match, json.dumps(match)) for match in one["matches"]]
    assert (found.offering_id, found.score) == (OFFERING_ID, 94)
    assert sum(facet.earned for facet in found.facets) == 94
    (missed,) = one["near_misses"]
    assert (missed["offering_id"], missed["score_after"], missed["changes"][0]["who"]) == ("abroad", 87, "company")
    assert missed["changes"][0]["change"]["words"]["ja"] == "会社が関心国にベトナムを加える"
    assert one["blocking"] is None


def test_the_lists_are_those_of_judging_every_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(seed=3, technologies=4, countries=4)
    needs, offerings = [world.need() for _ in range(25)], [world.offering() for _ in range(200)]
    now = circumstances_of(world)
    rates = ["--rates", lines(tmp_path / "r", *world.rates())]
    code, found, _ = match(capsys, lines(tmp_path / "n", *needs), lines(tmp_path / "o", *offerings), *rates)
    assert code == 0
    for fact, one in zip(needs, found, strict=True):
        judged = (judge(Need.of(fact), Offering.of(each), now) for each in offerings)
        expected = sorted(each.rank for each in judged if each)[:LENGTH]
        assert [(each["score"], each["offering_id"]) for each in one["matches"]] == [
            (rank.score, rank.offering_id) for rank in expected
        ]


def test_events_of_ours_and_of_partners_and_bare_facts_are_all_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posted = {"specversion": "1.0", "type": "need.posted.v1", "data": json.loads(dump(need_fact(id="ours")))}
    fields = {name: value for name, value in json.loads(dump(need_fact())).items() if name not in ("id", "municipality")}
    submitted = {"type": "need.submitted.v1", "subject": "theirs", "data": {**fields, "municipality": "hai-phong"}}
    city = {"names": {"en": "Hai Phong"}, "country": "VN", "timezone": "Asia/Ho_Chi_Minh", "languages": ["vi"]}
    others = lines(tmp_path / "m", {"type": "municipality.submitted.v1", "subject": "hai-phong", "data": city})
    needs = lines(tmp_path / "n", need_fact(id="bare"), posted, submitted)
    code, found, errors = match(capsys, needs, lines(tmp_path / "o", offering_fact()), "--with", others)
    assert (code, errors) == (0, "")
    assert {one["need"]["id"]: [each["score"] for each in one["matches"]] for one in found} == {
        "bare": [94],
        "ours": [94],
        "theirs": [94],
    }


def test_the_last_line_about_a_thing_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    offerings = lines(tmp_path / "o", offering_fact(), offering_fact(status="withdrawn"))
    _, (one,), _ = match(capsys, lines(tmp_path / "n", need_fact()), offerings)
    assert one["matches"] == []
    assert one["blocking"]["reason"] == "nobody_offers"


def test_a_bad_line_is_named_with_field_reason_and_fix_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {**json.loads(dump(need_fact())), "technology": "lighting.streetled"}
    orphan = {"type": "offering.submitted.v1", "subject": "x", "data": {"company": "nobody", "names": {"en": "X"}}}
    orphan["data"] |= {"technologies": ["lighting.street_led"], "unit": "lamp"}  # pyright: ignore[reportOperatorIssue]
    needs = lines(tmp_path / "n", "{", bad, '{"type": "need.dreamt.v1"}', need_fact(), "[1]")
    offerings = lines(tmp_path / "o", offering_fact(), orphan, {**orphan, "subject": ""})
    code, found, errors = match(capsys, needs, offerings)
    assert code == 1
    assert [one["need"]["id"] for one in found] == [NEED_ID]
    said = errors.splitlines()
    for expected in (
        f"{needs}:1: not JSON: ",
        f"{needs}:2: /technology: technology: the technology “lighting.streetled” is not in our list. "
        "Did you mean lighting.street_led? Use a code such as lighting.street_led.",
        f"{needs}:3: /type: need.dreamt.v1 is not matched. Use one of need.posted.v1, ",
        f"{needs}:5: A line is one JSON object.",
        f"{offerings}:2: /data/company: company: “nobody” is in none of the files. "
        "Add the file with its company.submitted.v1: --with FILE.",
        f"{offerings}:3: /subject: subject is missing",
    ):
        assert any(line.startswith(expected) for line in said), expected
    assert said[6:] == ["6 faults. Read: 1 need and 1 offering."]


def test_where_the_file_of_companies_was_forgotten_that_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"company": "hibiki", "names": {"en": "X"}, "technologies": ["lighting.street_led"], "unit": "lamp"}
    submitted = [{"type": "offering.submitted.v1", "subject": f"s{number}", "data": fields} for number in range(4)]
    offerings = lines(tmp_path / "o", *submitted)
    code, found, errors = match(capsys, lines(tmp_path / "n", need_fact()), offerings)
    assert (code, len(found)) == (1, 1)
    first, summary = errors.splitlines()
    assert first.startswith(f"{offerings}:1: /data/company: company: “hibiki” ")
    assert "is in none of the files, and so it is with 3 more lines. Add the file" in first
    assert summary == "1 fault. Read: 1 need and 0 offerings."


def test_without_a_need_it_is_said_that_there_is_nothing_to_match(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found, errors = match(capsys, lines(tmp_path / "n"), lines(tmp_path / "o", offering_fact()))
    assert (code, found) == (0, [])
    assert errors == "0 faults. Read: 0 needs and 1 offering. There is no need to match.\n"


@pytest.mark.parametrize(
    ("content", "language", "words"),
    [
        ("{}".encode("utf-16"), "ja", ":1: ファイルがUTF-16です。ファイルをUTF-8で保存し直してください。"),
        (
            '{"title": "照明"}'.encode("shift_jis"),
            "ja",
            ":1: 12バイト目からUTF-8ではありません。ファイルをUTF-8で保存し直してください。",
        ),
        (b"id,title", "ja", ":1: JSONではありません：1文字目（"),
        (b"id,title", "en", ":1: not JSON: Expecting value at column 1. Write one JSON object on each line, or a list of them."),
        (b"[" * 100_000, "ja", ":1: 入れ子が深すぎます。"),
        (b'{"type": "\\u001b[31mred"}', "en", ":1: /type: �[31mred is not matched."),
    ],
)
def test_what_cannot_be_read_is_said_in_the_language_asked_for_and_steers_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, language: str, words: str
) -> None:
    needs, offerings = tmp_path / "n", lines(tmp_path / "o", offering_fact())
    needs.write_bytes(content)
    assert cli.main(["match", str(needs), offerings, DAY, "--explain", language]) == 1
    assert f"{needs}{words}" in capsys.readouterr().err


def test_packed_files_and_standard_input_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "o.gz"
    packed.write_bytes(gzip.compress(dump(offering_fact())))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(dump(need_fact()))))
    code, (one,), _ = match(capsys, "-", str(packed))
    assert (code, len(one["matches"])) == (0, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file or directory"), (b"\x1f\x8bxx", "begins as gzip but cannot be unpacked")],
)
def test_a_file_that_cannot_be_read_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    file = tmp_path / "n"
    if content:
        file.write_bytes(content)
    code, found, errors = match(capsys, str(file), str(file))
    assert (code, found) == (1, [])
    assert words in errors and errors.startswith("musubi: ")


def test_standard_input_is_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, errors = match(capsys, "-", "-")
    assert code == 1
    assert '"-" is given twice' in errors


def test_only_rates_known_on_the_day_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rates = lines(
        tmp_path / "r",
        {"currency": "VND", "per_usd": 25_000, "as_of": "2026-11-20", "source": "Example bank"},
        {"currency": "VND", "per_usd": 10, "as_of": "2026-11-25", "source": "of the day after"},
        {"currency": "VND", "per_usd": 20, "as_of": "2026-11-19", "source": "of the day before"},
    )
    needs = lines(tmp_path / "n", need_fact())
    offerings = lines(tmp_path / "o", offering_fact(**priced("VND", (1, 4_500_000))))
    for arguments, reason in (([], "no_rate"), (["--rates", rates], "below_budget_converted")):
        _, (one,), _ = match(capsys, needs, offerings, *arguments)
        (price,) = [facet for facet in one["matches"][0]["facets"] if facet["facet"] == "price"]
        assert price["reason"] == reason


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "en",
            (
                f"Street lights (Hai Phong, {NEED_ID})",
                "  1. 94/100  Hibiki Lighting HB-60 (example)",
                "       Country 15/15  Delivers to Vietnam.",
                "  Near misses, and the smallest change that would do",
                "       → The company adds Vietnam to its countries of interest. The company can do this.",
            ),
        ),
        (
            "ja",
            (
                f"街路灯（ハイフォン市、{NEED_ID}）",
                "  1. 94/100  ひびき照明 HB-60（例）",
                "       国 15/15  ベトナムに納入しています。",
                "  惜しい候補と、届くための最小の変更",
                "       → 会社が関心国にベトナムを加える。会社が対応できます。",
            ),
        ),
    ],
)
def test_sentences_explain_in_either_language(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], language: str, expected: tuple[str, ...]
) -> None:
    abroad = offering_fact(id="abroad", countries_served=["JP"])
    files = (lines(tmp_path / "n", need_fact()), lines(tmp_path / "o", offering_fact(), abroad))
    assert cli.main(["match", *files, DAY, "--explain", language]) == 0
    said = capsys.readouterr().out.splitlines()
    for line in expected:
        assert line in said


def test_the_examples_match_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(EXAMPLES / f"{name}.ndjson") for name in ("needs", "offerings")]
    others = [f"--with={EXAMPLES / name}.ndjson" for name in ("municipalities", "companies")]
    code, found, errors = match(capsys, *files, *others, f"--rates={EXAMPLES / 'exchange-rates.ndjson'}")
    assert (code, errors) == (0, "")
    assert len(found) == len((EXAMPLES / "needs.ndjson").read_text(encoding="utf-8").splitlines())
    assert all(one["matches"] or one["blocking"] for one in found)
