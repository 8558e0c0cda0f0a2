"""The HTTP edge that all services share, as a browser and a partner's system see it."""

import logging
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Message

from common.web.language_choice import preferred
from tests.common.sample_app import ORIGIN, Sample, sample


class Notes(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One more."""
        self.records.append(record)


@pytest.fixture
async def edge(postgres: str) -> AsyncIterator[Sample]:
    async with sample(postgres) as edge:
        yield edge


EVERY_KIND_OF_ANSWER = [
    ("GET", "/page", 200),
    ("GET", "/nowhere", 404),
    ("DELETE", "/page", 405),
    ("GET", "/own-inbox", 401),
    ("GET", "/bug/1", 500),
    ("GET", "/sign-in", 200),
    ("GET", "/sign-in/nonesuch", 404),
    ("GET", "/api/catalog/livez", 200),
    ("GET", "/api/catalog/refused", 422),
    ("GET", "/api/catalog/away", 503),
    ("GET", "/api/catalog/nowhere", 404),
    ("GET", "/assets/nowhere.css", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), EVERY_KIND_OF_ANSWER)
async def test_every_answer_carries_the_headers_that_protect_its_reader(
    edge: Sample, method: str, path: str, status: int
) -> None:
    async with edge.caller() as caller:
        answer = await caller.request(method, path)
    assert answer.status_code == status
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"].split(",")[0] in ("no-store", "no-cache")


@pytest.mark.parametrize("host", ["127.0.0.1:8600", "localhost:8600", "[::1]:8600", "localhost"])
async def test_on_one_machine_loopback_names_are_answered(edge: Sample, host: str) -> None:
    async with edge.caller({"host": host}) as caller:
        assert (await caller.get("/page")).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8600", "[::1", ""])
async def test_on_one_machine_a_foreign_host_is_refused_in_words(edge: Sample, host: str) -> None:
    async with edge.caller({"host": host, "accept-language": "en"}) as caller:
        page, problem = await caller.get("/page"), await caller.get("/api/catalog/livez")
    assert (page.status_code, problem.status_code) == (403, 403)
    assert "http://127.0.0.1" in page.text
    assert problem.json()["type"] == "urn:musubi:problem:foreign-host"


async def test_behind_a_proxy_the_host_is_the_proxys_matter(postgres: str) -> None:
    async with (
        sample(postgres, local_sign_in=False, public_origin="https://musubi.example") as edge,
        edge.caller(at="http://10.0.0.7:8000") as caller,
    ):
        assert (await caller.get("/api/catalog/livez")).status_code == 200


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}])
async def test_a_post_from_another_sites_page_is_refused(edge: Sample, headers: dict[str, str]) -> None:
    async with edge.caller({**headers, "accept-language": "en"}) as caller:
        answer = await caller.post("/page")
        read = await caller.get("/page")
    assert answer.status_code == 403
    assert "nothing was done" in answer.text
    assert read.status_code == 200


@pytest.mark.parametrize("headers", [{"origin": ORIGIN}, {}, {"sec-fetch-site": "same-origin"}])
async def test_a_post_from_our_own_page_or_from_no_browser_is_taken(edge: Sample, headers: dict[str, str]) -> None:
    async with edge.caller(headers) as caller:
        assert (await caller.post("/page")).json() == {"done": True}


@pytest.mark.parametrize(
    ("path", "status", "en", "ja"),
    [
        ("/nowhere", 404, "home page", "ホーム"),
        ("/own-inbox", 401, "sign in", "サインイン"),
        ("/bug/1", 500, "try again", "もう一度"),
    ],
)
async def test_an_error_page_says_in_the_readers_language_what_to_do(
    edge: Sample, path: str, status: int, en: str, ja: str
) -> None:
    async with edge.caller() as caller:
        english, japanese = await caller.get(f"{path}?lang=en"), await caller.get(f"{path}?lang=ja")
    assert english.status_code == japanese.status_code == status
    assert '<html lang="en">' in english.text
    assert '<html lang="ja">' in japanese.text
    assert en in english.text
    assert ja in japanese.text


async def test_a_bug_shows_a_reference_and_nothing_of_the_inside(edge: Sample) -> None:
    async with edge.caller() as caller:
        page, problem = await caller.get("/bug/hunter2"), await caller.get("/api/catalog/bug/hunter2")
    for answer in (page, problem):
        assert answer.status_code == 500
        assert "RuntimeError" not in answer.text
        assert "password" not in answer.text
    traces = {f"{span.context.trace_id:032x}" for span in edge.spans.get_finished_spans() if span.context}
    assert problem.json()["reference"] in traces
    assert any(trace in page.text for trace in traces)


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/catalog/read"), ("GET", "/api/catalog/stream")])
async def test_a_caller_who_leaves_is_noted_and_is_no_error(edge: Sample, method: str, path: str) -> None:
    notes = Notes()
    edge.service.telemetry.log.addHandler(notes)
    come = [{"type": "http.request", "body": b"half of", "more_body": True}, {"type": "http.disconnect"}]
    said: list[Message] = []

    async def receive() -> Message:
        return come.pop(0) if come else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if len(said) == 3:
            raise OSError("nobody is there")
        said.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "method": method, "path": path, "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8600")], "scheme": "http", "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 8600),
    }  # fmt: skip
    await edge.app(scope, receive, send)
    assert [(record.levelname, record.getMessage(), record.exc_info) for record in notes.records] == [
        ("INFO", f"caller left: {method} {path}", None)
    ]


async def test_a_refusal_to_a_machine_names_item_field_reason_and_fix_in_its_language(edge: Sample) -> None:
    async with edge.caller() as caller:
        english = await caller.get("/api/catalog/refused")
        japanese = await caller.get("/api/catalog/refused", headers={"accept-language": "ja-JP,ja;q=0.9"})
    assert english.headers["content-type"] == "application/problem+json"
    assert english.json() | {"reference": ""} == {
        "type": "urn:musubi:problem:not-enough",
        "title": "This cannot be accepted as it is",
        "status": 422,
        "detail": "That is not enough.",
        "errors": [{"pointer": "/data/quantity", "code": "too_small", "detail": "Send more."}],
        "reference": "",
    }
    assert japanese.json()["detail"] == "足りません。"
    assert japanese.json()["errors"][0]["detail"] == "もっと送ってください。"


async def test_a_machine_is_told_when_to_come_again_and_which_parameter_is_wrong(edge: Sample) -> None:
    async with edge.caller() as caller:
        away, wrong = await caller.get("/api/catalog/away"), await caller.get("/api/catalog/number?n=x")
        nobody = await caller.post("/api/catalog/v1/events")
        not_a_method = await caller.delete("/api/catalog/number")
    assert (away.status_code, away.headers["retry-after"]) == (503, "10")
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/query/n")
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert (not_a_method.status_code, not_a_method.headers["allow"]) == (405, "GET")


async def test_the_language_asked_for_is_remembered_and_the_page_offers_the_other(edge: Sample) -> None:
    async with edge.caller({"accept-language": "ja"}) as caller:
        asked = await caller.get("/page?country=VN&lang=en")
        later = await caller.get("/page")
    assert '<html lang="en">' in asked.text
    assert 'href="/page?country=VN&amp;lang=ja"' in asked.text
    assert '<html lang="en">' in later.text
    assert "3,600\u00a0lamps" in later.text


async def test_the_way_to_the_other_language_never_leads_to_another_host(edge: Sample) -> None:
    async with edge.caller() as caller:
        answer = await caller.get(httpx.URL(f"{ORIGIN}//evil.example/x"))
    assert 'href="/evil.example/x?lang=en"' in answer.text
    assert 'href="//' not in answer.text


@pytest.mark.parametrize(("path", "status"), [("/page", 200), ("/nowhere", 404), ("/own-inbox", 401)])
async def test_whoever_asks_for_the_headers_alone_gets_those_of_the_page(edge: Sample, path: str, status: int) -> None:
    async with edge.caller() as caller:
        head, page = await caller.head(path), await caller.get(path)
    assert (head.status_code, head.content) == (status, b"")
    assert head.headers["content-length"] == page.headers["content-length"]
    assert head.headers["content-type"] == page.headers["content-type"]


async def test_without_any_wish_pages_speak_japanese_and_machine_routes_english(edge: Sample) -> None:
    async with edge.caller() as caller:
        assert '<html lang="ja">' in (await caller.get("/page")).text
        assert (await caller.get("/api/catalog/away")).json()["title"].isascii()


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("en-GB,en;q=0.9,ja;q=0.8", "en"),
        ("vi,ja;q=0.5,en;q=0.4", "ja"),
        ("en;q=0.1, ja;q=0.2", "ja"),
        ("en;q=0, vi", None),
        ("en;q=x", None),
        ("", None),
        ("*", None),
    ],
)
def test_a_browsers_wishes_are_weighed(header: str, language: str | None) -> None:
    assert preferred(header) == language


async def test_what_people_wrote_is_shown_and_never_run(edge: Sample) -> None:
    async with edge.caller() as caller:
        page = (await caller.get("/page")).text
    assert "&lt;script&gt;" in page
    assert "<script" not in page


async def test_style_sheet_and_icon_are_served_under_addresses_that_change_with_their_content(edge: Sample) -> None:
    async with edge.caller() as caller:
        page = (await caller.get("/page")).text
        addresses = re.findall(r'href="(/assets/[^"]+)"', page)
        answers: dict[str, httpx.Response] = {address: await caller.get(address) for address in addresses}
    kinds = {answer.headers["content-type"].split(";")[0] for answer in answers.values()}
    assert kinds == {"text/css", "image/svg+xml"}
    for address, answer in answers.items():
        assert re.fullmatch(r"/assets/\w+\.[0-9a-f]{10}\.\w+", address)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_health_metrics_interface_and_schemas_answer(edge: Sample) -> None:
    async with edge.caller() as caller:
        live, ready = await caller.get("/api/catalog/livez"), await caller.get("/api/catalog/readyz")
        metrics = await caller.get("/api/catalog/metrics")
        interface = await caller.get("/api/catalog/openapi.json")
        schemas = (await caller.get("/api/catalog/schemas")).json()["schemas"]
        schema = await caller.get("/api/catalog/schemas/offering.listed.v1.json")
        foreign = await caller.get("/api/catalog/schemas/need.posted.v1.json")
    assert live.json() == {"status": "ok"}
    assert (ready.status_code, ready.json()["broker"]) == (503, False)  # nothing was started
    assert "musubi_outbox_unsent_batches" in metrics.text
    assert "/api/catalog/v1/events" in interface.json()["paths"]
    assert "/api/catalog/schemas/offering.submitted.v1.json" in schemas
    assert schema.json()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "prices" in schema.json()["properties"]
    assert foreign.status_code == 404


async def test_a_request_is_a_span_named_by_its_route_and_never_by_its_address(edge: Sample) -> None:
    async with edge.caller() as caller:
        await caller.get("/bug/token-in-address?query=private")
    (span,) = edge.spans.get_finished_spans()
    assert span.name == "GET /bug/{secret}"
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 500
    assert "private" not in span.to_json()
    assert "token-in-address" not in span.to_json()


async def test_probes_and_assets_leave_no_spans(edge: Sample) -> None:
    async with edge.caller() as caller:
        await caller.get("/api/catalog/livez")
        await caller.get("/assets/nowhere.css")
    assert edge.spans.get_finished_spans() == ()
