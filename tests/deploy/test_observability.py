"""What an operator watches: the dashboard and the alerts speak of what running services really tell, and the alerts go off."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from aiokafka import AIOKafkaProducer
from deploy.observability import dashboard
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from common import telemetry
from tests import partner_events as partner
from tests.brokers import Broker
from tests.chain import MAKERS, Chain, running_chain
from tests.conftest import missing
from tests.eventually import eventually
from tests.mailbox import Mailbox

FOLDER = dashboard.TARGET.parent
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
HOW_TO_ADD = "sudo apt-get install -y --no-install-recommends prometheus"
AT_REST = {
    telemetry.TOPIC_MISSING, telemetry.RELAY_WAITS_FOR, f"{telemetry.RESENT_TOTAL}_total", f"{telemetry.RETRIED_TOTAL}_total",
    f"{telemetry.DUTIES_TOTAL}_total", f"{telemetry.FEEDBACK_TOTAL}_total",
}  # fmt: skip
"""Of these a system in which all is well has the name only, and no figure."""

Series = Mapping[str, set[str]]
"""The labels of each series by its name; none where there is no figure."""


def tool(name: str) -> str:
    """A program of Prometheus, or the test is skipped."""
    found = shutil.which(name)
    if found is None:
        missing("prometheus", f"{name} is not on the path", HOW_TO_ADD)
    assert found
    return found


async def scrape(chain: Chain) -> str:
    """What all services tell."""
    answers = [await chain.http.get(f"/api/{name}/metrics") for name in MAKERS]
    assert all(answer.status_code == 200 for answer in answers)
    return "".join(answer.text for answer in answers)


@asynccontextmanager
async def at_work(postgres: str, kafka: Broker, smtp: Mailbox) -> AsyncIterator[Chain]:
    """The chain after a need and an offering have met, a mail has left, and a record came that is none."""
    async with running_chain(postgres, kafka, smtp) as chain:
        await chain.publish_accepted(partner.city(), partner.need(), partner.company(), partner.offering())
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address)
        await producer.start()
        await producer.send_and_wait("needs.needs", b"no event")
        await producer.stop()
        await eventually(lambda: scrape(chain), all_is_told, within=40, what="figures of all of it")
        yield chain


def all_is_told(text: str) -> bool:
    """Has it come to the end of the chain, and been looked at?"""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    counted = {sample.name for sample in samples if sample.value > 0}
    outcomes = {(sample.name, sample.labels.get("outcome")) for sample in samples}
    return (
        {"musubi_inbox_latency_seconds_count", "musubi_proposal_latency_seconds_count"} <= counted
        and {("musubi_mails_total", "sent"), ("musubi_events_total", "quarantined")} <= outcomes
        and {telemetry.OLDEST_UNPROCESSED, telemetry.OLDEST_HELD} <= {sample.name for sample in samples}
    )


def names(family: Metric) -> Iterator[str]:
    """The names of a metric's series."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
    yield from (family.name + suffix for suffix in suffixes)


def series(text: str) -> Series:
    """All that is told, by the names that queries use."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for name in names(family):
            found.setdefault(name, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update({*sample.labels, "job", "instance"})
    return found


def asked(query: str) -> tuple[set[str], set[str]]:
    """The series and the labels that a query speaks of."""
    labels = {label.strip() for by in re.findall(r"by \(([^)]*)\)", query) for label in by.split(",")}
    labels |= {label for within in re.findall(r"\{([^}]*)\}", query) for label in re.findall(r"(\w+)\s*=~?", within)}
    return set(re.findall(r"\bmusubi_\w+", query)), labels


def test_the_dashboard_is_what_its_script_makes() -> None:
    assert dashboard.TARGET.read_text(encoding="utf-8") == dashboard.as_text(), "run python deploy/observability/dashboard.py"
    panels = json.loads(dashboard.as_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert panels[0]["title"].startswith("Fresh")


async def test_dashboard_and_alerts_speak_of_what_running_services_tell(postgres: str, kafka: Broker, smtp: Mailbox) -> None:
    async with at_work(postgres, kafka, smtp) as chain:
        told = series(await scrape(chain))
    for query in [*dashboard.queries(), *(rule["expr"] for rule in RULES)]:
        metrics, labels = asked(query)
        assert metrics <= told.keys(), f"nobody tells {metrics - told.keys()}: {query}"
        for metric in metrics - AT_REST:
            assert labels <= told[metric], f"{metric} has no label {labels - told[metric]}: {query}"
    shown = {metric for query in dashboard.queries() for metric in asked(query)[0]}
    unshown = {name for name in told if name.startswith("musubi_") and not name.endswith(("_sum", "_count", "_created"))} - shown
    assert not unshown, f"told, and not on the dashboard: {unshown}"


async def test_metrics_follow_the_rules_of_prometheus(postgres: str, kafka: Broker, smtp: Mailbox) -> None:
    promtool = tool("promtool")
    async with at_work(postgres, kafka, smtp) as chain:
        for name in MAKERS:
            text = (await chain.http.get(f"/api/{name}/metrics")).content
            done = await asyncio.to_thread(
                subprocess.run, [promtool, "check", "metrics"], input=text, capture_output=True, timeout=20
            )
            assert done.returncode == 0, done.stderr.decode()


async def test_every_diagram_shows_something_in_a_real_prometheus(
    postgres: str, kafka: Broker, smtp: Mailbox, tmp_path: Path, free_port: int
) -> None:
    server = tool("prometheus")
    async with (
        at_work(postgres, kafka, smtp) as chain,
        watching(server, chain.origin, tmp_path, free_port),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}", timeout=10) as prometheus,
    ):

        async def empty() -> list[str]:
            """The queries that find nothing, though there is something."""
            found = []
            for query in dashboard.queries():
                if not asked(query)[0] <= AT_REST:
                    answer = await ask(prometheus, "query", query=query.replace(dashboard.SPAN, "30s"))
                    if not answer["result"]:
                        found.append(query)
            return found

        assert await eventually(empty, lambda queries: not queries, within=40) == []
        groups = (await ask(prometheus, "rules"))["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert {rule["name"] for rule in rules} == {rule["alert"] for rule in RULES}
        assert {rule["health"] for rule in rules} == {"ok"}
        loud = {rule["name"] for rule in rules if rule["state"] == "firing"}
        assert loud <= {"MusubiQuarantine"}, "all is well but for one record that is none"


@asynccontextmanager
async def watching(server: str, origin: str, folder: Path, port: int) -> AsyncIterator[None]:
    """Prometheus with our rules looks at this origin."""
    address = origin.removeprefix("http://")
    jobs = [
        {"job_name": name, "metrics_path": f"/api/{name}/metrics", "static_configs": [{"targets": [address]}]} for name in MAKERS
    ]
    (folder / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(FOLDER / "alerts.yml")],
                "scrape_configs": jobs,
            }
        )
    )
    running = await asyncio.create_subprocess_exec(
        server, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    )  # fmt: skip
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            await eventually(lambda: is_ready(http), what="Prometheus")
        yield
    finally:
        running.terminate()
        await running.wait()


async def is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/-/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def ask(prometheus: httpx.AsyncClient, what: str, **parameters: str) -> dict[str, Any]:
    """The data of one answer."""
    answer = await prometheus.get(f"/api/v1/{what}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_alerts_go_off_when_they_should_and_not_before() -> None:
    promtool = tool("promtool")
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_service_of_which_nobody_tells_anything_is_shown_as_none(tmp_path: Path) -> None:
    promtool = tool("promtool")
    query = next(query for query in dashboard.queries() if "up{" in query)
    answering = {"needs": 2, "matching": 1}
    case = {
        "input_series": [
            {"series": f'up{{job="{job}", instance="{n}"}}', "values": "1x10"}
            for job, number in answering.items()
            for n in range(number)
        ],
        "promql_expr_test": [
            {
                "eval_time": "1m",
                "expr": query,
                "exp_samples": [{"labels": f'{{job="{job}"}}', "value": answering.get(job, 0)} for job in MAKERS],
            }
        ],
    }
    (tmp_path / "shown.yml").write_text(yaml.safe_dump({"evaluation_interval": "30s", "tests": [{"interval": "30s", **case}]}))
    done = subprocess.run([promtool, "test", "rules", tmp_path / "shown.yml"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried_and_says_what_to_do() -> None:
    cases = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    gone_off = {
        name for case in cases for one in case["promql_expr_test"] if one.get("exp_samples")
        for name in re.findall(r'alertname="(\w+)"', one["expr"])
    }  # fmt: skip
    assert gone_off == {rule["alert"] for rule in RULES}
    for rule in RULES:
        _, labels = asked(rule["expr"])
        assert rule["labels"]["severity"] in ("warning", "critical")
        words = " ".join(rule["annotations"].values())
        assert set(re.findall(r"\$labels\.(\w+)", words)) <= labels, f"{rule['alert']} names a label that it has not"
        assert rule["annotations"].keys() == {"summary", "description"}


def test_a_tool_that_is_missing_is_named_with_the_command_that_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUSUBI_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match=re.escape(HOW_TO_ADD)):
        tool("no-such-program")
