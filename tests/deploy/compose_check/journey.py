"""The way of a partner, of somebody who looks in, and of an operator through the running system, from outside."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from playwright.async_api import Browser, async_playwright

from musubi.roles import SERVICES
from tests import partner_events
from tests.brokers import Broker
from tests.browser.conftest import FLAGS
from tests.browser.looking import looking
from tests.browser.site import Site, addresses
from tests.chain import Chain
from tests.conftest import CHROMIUMS
from tests.deploy.compose_check.compose import Project
from tests.deploy.compose_check.counting import left_to_do
from tests.deploy.compose_check.findings import Findings
from tests.eventually import eventually
from tests.oracle import announced, differences

PUBLIC = ("home", "needs", "need", "municipality", "catalog", "offering", "company", "sign-in")
OPERATORS_ONLY = ("metrics", "readyz")


@asynccontextmanager
async def partner(project: Project) -> AsyncIterator[httpx.AsyncClient]:
    """The system of a new partner, which has the key that the `musubi` command gave it."""
    added = await asyncio.to_thread(project.musubi, "partner", "add", "check", "--name", "Check")
    key = added.split()[-1]
    loaded = await asyncio.to_thread(project.musubi, "examples", MUSUBI_KEY=key)
    print(f"  {loaded.strip().splitlines()[-1]}", flush=True)
    headers = {"authorization": f"Bearer {key}", "accept-language": "en"}
    async with httpx.AsyncClient(base_url=project.address("MUSUBI_PORT"), headers=headers, timeout=15) as http:
        yield http


async def at_rest(project: Project, *, within: float = 300) -> None:
    """Wait until everything is sent, read, told and mailed."""
    await eventually(lambda: left_to_do(project.database()), lambda left: not left, within=within, every=0.5, what="rest")


async def of_a_partner(project: Project, http: httpx.AsyncClient, findings: Findings) -> None:
    """What came of the examples, and of a need that is sent now."""
    await at_rest(project)
    seen = await announced(project.database())
    wrong = differences(seen)
    findings.expect(
        f"each of the {len(seen.needs)} example needs has the list that the rules say", seen.needs and not wrong, wrong
    )
    chain = reached(project, http)
    await chain.publish_accepted(partner_events.city(), partner_events.company(), partner_events.offering())
    (answer,) = await chain.publish_accepted(partner_events.need("by-the-journey"))
    await at_rest(project)
    page = await http.get(f"/needs/{answer['aggregate_id']}")
    findings.expect("a need sent through the proxy has its page", page.status_code == 200, page.status_code)
    for service in SERVICES:
        answers = [(await http.get(f"/api/{service}/{path}")).status_code for path in OPERATORS_ONLY]
        findings.expect(f"{service}: the proxy hides its {' and '.join(OPERATORS_ONLY)}", answers == [404, 404], answers)
    refused = await http.post("/api/needs/v1/events", json=[], headers={"authorization": "Bearer mk_wrong"})
    findings.expect("a wrong key is refused", refused.status_code == 401, refused.status_code)


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A Chromium on this machine."""
    path = next((found for name in CHROMIUMS if (found := shutil.which(name))), None)
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        await running.close()


async def of_a_visitor(project: Project, http: httpx.AsyncClient, chromium: Browser, findings: Findings) -> None:
    """Everybody's pages in both languages, in a browser."""
    site = Site(reached(project, http), {}, await addresses(project.database()))
    for language in ("ja", "en"):
        wrong: list[str] = []
        for name in PUBLIC:
            async with looking(chromium, site, language) as window:
                status = await window.open(site.paths[name])
                said = await window.page.get_attribute("html", "lang")
                if (status, said, window.errors, window.foreign) != (200, language, [], []):
                    wrong.append(f"{name}: {status} {said} {window.errors} {window.foreign}")
        findings.expect(
            f"{len(PUBLIC)} public pages in {language}: each is answered with 200 in that language, without an error in the "
            "browser's console and without a request to anybody else", not wrong, wrong,
        )  # fmt: skip


async def of_an_operator(project: Project, findings: Findings) -> None:
    """The doctor, what Prometheus scrapes, and a trace."""
    told = json.loads(await asyncio.to_thread(project.musubi, "doctor", "--json", ends_with=(0, 1)))
    failures = [check for check in told["checks"] if check["state"] == "failed"]
    findings.expect("`musubi doctor` finds no failure", told["well"], failures)
    async with httpx.AsyncClient(timeout=15) as http:
        if "prometheus" in project.services:
            await _scraped(http, project, findings)
        if {"jaeger", "collector"} <= set(project.services):
            await _traced(http, project, findings)


async def mails(project: Project) -> Sequence[dict[str, Any]]:
    """All that the mail server has."""
    async with httpx.AsyncClient(timeout=60) as http:
        return (await http.get(f"{project.address('MAIL_PORT')}/email")).json()


async def _scraped(http: httpx.AsyncClient, project: Project, findings: Findings) -> None:
    wanted = {*SERVICES, "prometheus"} | ({"collector"} & set(project.services))

    async def up() -> set[str]:
        answer = await http.get(f"{project.address('PROMETHEUS_PORT')}/api/v1/targets?state=active")
        return {one["labels"]["job"] for one in answer.json()["data"]["activeTargets"] if one["health"] == "up"}

    seen = await eventually(up, lambda jobs: jobs >= wanted, within=60, every=1, what=f"{wanted} to be scraped")
    findings.expect(f"Prometheus scrapes {', '.join(sorted(seen))}", seen >= wanted)
    rules = (await http.get(f"{project.address('PROMETHEUS_PORT')}/api/v1/rules")).json()["data"]["groups"]
    bad = [rule["name"] for group in rules for rule in group["rules"] if rule["health"] not in ("ok", "unknown")]
    findings.expect(
        f"it has read {sum(len(group['rules']) for group in rules)} alert rules, none with an error", rules and not bad, bad
    )


async def _traced(http: httpx.AsyncClient, project: Project, findings: Findings) -> None:
    """One trace that Jaeger shows leads from a partner's request to the sent mail."""

    async def longest() -> set[str]:
        answer = await http.get(f"{project.address('JAEGER_PORT')}/api/traces", params={"service": "notify", "limit": 200})
        traces = answer.json().get("data") or []
        ways = [{(t["processes"][s["processID"]]["serviceName"], s["operationName"]) for s in t["spans"]} for t in traces]
        whole = [way for way in ways if ("notify", "send mail") in way and ("matching", "send matching.proposals") in way]
        return {f"{service}: {name}" for service, name in max(whole, key=len, default=set())}

    seen = await eventually(
        longest, lambda way: any("POST" in span for span in way), within=60, every=1, what="a trace from request to mail"
    )
    findings.expect(f"Jaeger shows one trace from a partner's request to the mail: {', '.join(sorted(seen))}", seen)


def reached(project: Project, http: httpx.AsyncClient) -> Chain:
    """The running system as other tests know it."""
    return Chain(http, project.address("MUSUBI_PORT"), project.database(), Broker("kafka:9092", "", "real"))


def sizes(project: Project, services: Sequence[str]) -> dict[str, int]:
    """Bytes of each image of our own."""
    described = json.loads(project.compose("config", "--format", "json"))["services"]
    inspected = {
        name: project.engine.docker("image", "inspect", "--format", "{{.Size}}", described[name]["image"]) for name in services
    }
    return {name: int(size) for name, size in inspected.items()}
