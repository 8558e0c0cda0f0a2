"""docker-compose.yml and what it mounts fit each other and the product."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from common.serving import PORT
from musubi import places
from musubi.dispatcher import service_for
from tests.deploy import product
from tests.deploy.manifests import ROOT, names_one_release

COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
SECURED: Mapping[str, Mapping[str, Any]] = yaml.safe_load((ROOT / "deploy" / "kafka-scram.yml").read_text())["services"]
COMMANDS = ("migrations", "topics", "musubi")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-((?:[^{}]|\$\{[^{}]*\})*))?\}")
"""`${NAME:-default}`; the default may hold another."""
WRITES_TO_ITS_ROOT = {
    "postgres": "its image begins as root and makes its folders",
    "kafka": "its image writes its configuration into itself",
}
CANNOT_BE_ASKED = {"collector": "its image has no shell and no program that asks"}


def test_every_image_is_built_here_or_its_tag_names_one_release() -> None:
    for name, service in SERVICES.items():
        if "build" in service:
            of = service["build"]["args"]["SERVICE"]
            assert service["image"] == f"musubi/{of}:${{MUSUBI_VERSION:-local}}", name
            assert of == (name if name in product.SERVICES else "musubi")
        else:
            assert names_one_release(service["image"]), f"{name}: {service['image']}"
    (python,) = re.findall(r"^ARG PYTHON=(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert names_one_release(python)


def test_every_variable_has_a_value_unless_one_is_given() -> None:
    for file in ("docker-compose.yml", "deploy/kafka-scram.yml"):
        text = (ROOT / file).read_text()
        said = _VARIABLE.findall(text)
        for name, default in [*said, *(inner for _, outer in said for inner in _VARIABLE.findall(outer))]:
            assert default, f"{file}: {name} has no default, so that one command is not enough"


def test_everything_that_is_open_listens_on_this_machine_only_on_a_port_of_its_own() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    for port in ports:
        assert re.fullmatch(r"\$\{MUSUBI_BIND:-127\.0\.0\.1\}:\$\{\w+_PORT:-\d+\}:\d+", port), port
    assert len({_plain(port).split(":")[1] for port in ports}) == len(ports)


def test_each_process_is_told_of_settings_that_it_knows_and_of_all_that_it_needs() -> None:
    for name in product.SERVICES:
        for secured in ({}, SECURED[name]["environment"]):
            told = {key: _plain(value) for key, value in (SERVICES[name]["environment"] | secured).items()}
            assert told.keys() <= product.variables_of(name), told.keys() - product.variables_of(name)
            assert product.settings_of(name).model_validate({key.removeprefix("MUSUBI_").lower(): v for key, v in told.items()})
    for name in COMMANDS:
        told = SERVICES[name]["environment"] | SECURED.get(name, {}).get("environment", {})
        assert told.keys() <= product.variables_of_the_command(), name
    asked = {name: SERVICES["musubi"]["environment"][places.service_variable(name)] for name in product.SERVICES}
    assert asked == {name: f"http://{name}:{PORT}" for name in product.SERVICES}
    provider = {
        key: value for key, value in SERVICES["notify"]["environment"].items() if "_OIDC_" in key and not key.endswith("_SECRET")
    }
    assert provider and provider.items() <= SERVICES["musubi"]["environment"].items()
    assert SERVICES["migrations"]["environment"].keys() == {f"MUSUBI_POSTGRES_{schema.upper()}" for schema in product.SCHEMAS}
    passwords = {f"MUSUBI_KAFKA_PASSWORD_{name.upper()}" for name in product.SERVICES}
    assert passwords <= SECURED["topics"]["environment"].keys()


def test_every_role_of_the_database_has_the_same_password_wherever_it_is_said() -> None:
    made = {key: value for key, value in SERVICES["postgres"]["environment"].items() if key.endswith("_PASSWORD")}
    script = (ROOT / "deploy" / "postgres" / "roles.sh").read_text()
    for schema in product.SCHEMAS:
        password = made[f"{schema.upper()}_PASSWORD"]
        assert f'make {schema} "${schema.upper()}_PASSWORD"' in script
        said = [
            value
            for service in SERVICES.values()
            for value in (service.get("environment") or {}).values()
            if isinstance(value, str) and value.startswith(f"postgresql://{schema}:")
        ]
        assert said and set(said) == {f"postgresql://{schema}:{password}@postgres/musubi"}


def test_our_own_containers_may_write_nowhere_and_are_the_user_of_the_image() -> None:
    (uid,) = re.findall(r"^USER (\d+:\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for name in (*product.SERVICES, *COMMANDS):
        service = SERVICES[name]
        assert service["user"] == uid and service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["networks"] == ["inside"] and "ports" not in service
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_what_others_made_may_do_no_more_than_it_must() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.keys() & {"privileged", "devices", "pid", "network_mode", "userns_mode"}, name
        assert service.get("read_only", False) != (name in WRITES_TO_ITS_ROOT), name
    assert {name for name, service in SERVICES.items() if "cap_add" in service} == {"postgres"}


def test_people_are_led_back_to_the_address_that_they_came_by() -> None:
    origin = SERVICES["notify"]["environment"]["MUSUBI_PUBLIC_ORIGIN"]
    assert _plain(origin) == "http://localhost:8600"
    assert origin.startswith("${MUSUBI_PUBLIC_ORIGIN:-")


def test_everything_has_limits_and_says_when_it_is_ready() -> None:
    for name, service in SERVICES.items():
        assert service["deploy"]["resources"]["limits"].keys() >= {"memory", "cpus", "pids"}, name
        assert ("healthcheck" in service) != (name in COMMANDS or name in CANNOT_BE_ASKED), name
        assert all(isinstance(word, str) for word in service.get("healthcheck", {}).get("test", ())), name
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for {other}"
            else:
                assert other in COMMANDS
    for name in product.SERVICES:
        assert SERVICES[name]["depends_on"].keys() == {"migrations", "topics"}
        assert "/api/%s/readyz" in SERVICES[name]["healthcheck"]["test"][-1]
        assert f"/127.0.0.1/{PORT}" in SERVICES[name]["healthcheck"]["test"][-1]


def test_every_volume_is_declared_and_every_file_that_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source, _, rest = volume.partition(":")
            if source.startswith("./"):
                assert (ROOT / source).exists() and rest.endswith(":ro"), volume
            else:
                assert source in COMPOSE["volumes"], volume


def test_the_proxy_leads_each_address_where_one_machine_leads_it_and_operators_addresses_nowhere() -> None:
    config = (ROOT / "deploy" / "proxy" / "musubi.conf").read_text()
    (table,) = re.findall(r"map \$uri \$service \{(.*?)\}", config, re.DOTALL)
    rules = [(way.removeprefix("~"), name) for way, name in re.findall(r"(\S+)\s+(\w+);", table)]
    for path in ("/", "/needs", "/needs/x", "/api/catalog/v1/events", "/matching/", "/needsx", "/api/notify/livez", "/sign-in/x"):
        led = next(name for way, name in rules if way == "default" or re.search(way, path))
        assert led == service_for(path, dict.fromkeys(product.SERVICES)), path  # pyright: ignore[reportArgumentType]  only names
    (hidden,) = re.findall(r"location ~ (\S+) \{\s+return 404;", config)
    for name in product.SERVICES:
        assert re.search(hidden, f"/api/{name}/metrics") and re.search(hidden, f"/api/{name}/readyz")
    assert f"http://$service:{PORT}" in config


def test_prometheus_scrapes_the_metrics_of_each_service_where_it_has_them() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    for name in product.SERVICES:
        assert product.answers(name, jobs[name]["metrics_path"])
        assert jobs[name]["dns_sd_configs"][0]["names"] == [name] and jobs[name]["dns_sd_configs"][0]["port"] == PORT


def test_traces_go_where_the_collector_listens_and_on_to_jaeger() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "collector" / "collector.yaml").read_text())
    port = config["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]
    for name in product.SERVICES:
        assert SERVICES[name]["environment"]["MUSUBI_OTLP_ENDPOINT"] == f"http://collector:{port}"
    for pipeline in config["service"]["pipelines"].values():
        for part in ("receivers", "processors", "exporters"):
            assert set(pipeline[part]) <= config[part].keys()
    assert config["exporters"]["otlp/jaeger"]["endpoint"].split(":")[0] in SERVICES


def test_the_image_is_given_every_member_of_the_workspace_and_asks_for_no_syntax_from_afar() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "syntax=" not in text
    for project in (*ROOT.glob("libs/*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml")):
        assert f"COPY {project.relative_to(ROOT)} " in text
        assert f"musubi-{project.parent.name}" in text or project.parent.name == "musubi"
    assert f"EXPOSE {PORT}" in text


def _plain(text: str) -> str:
    """With every variable at its default."""
    return _VARIABLE.sub(lambda found: _plain(found[2] or ""), text) if isinstance(text, str) else text
