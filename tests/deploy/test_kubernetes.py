"""The Kubernetes files fit each other and the product: names, ports, settings, routes, images, users, flows."""

import re
from urllib.parse import urlsplit

import yaml

from common import telemetry
from common.contracts.registry import TOPICS, groups_of
from common.serving import PORT
from musubi import roles
from musubi.dispatcher import service_for
from tests.deploy import product
from tests.deploy.manifests import ROOT, Object, Overlay, Pods, matches, names_one_release

UID = 10001
GUIDE = (ROOT / "docs" / "guides" / "deploying.md").read_text()
IMAGE_NAMES = {f"musubi/{name}" for name in (*product.SERVICES, "musubi")}


def test_each_service_has_a_deployment_a_service_and_a_disruption_budget_of_its_name(overlay: Overlay) -> None:
    assert {thing["metadata"]["name"] for thing in overlay.services()} == set(product.SERVICES)
    for name in product.SERVICES:
        assert overlay.find("Service", name), name
        assert overlay.find("PodDisruptionBudget", name), name


def test_every_selector_takes_in_the_pods_that_it_means_and_no_others(overlay: Overlay) -> None:
    pods = list(overlay.pods())
    for thing in overlay.of("Deployment", "StatefulSet"):
        chosen = [made.maker for made in pods if matches(thing["spec"]["selector"], made.labels)]
        assert chosen == [f"{thing['kind']} {thing['metadata']['name']}"]
    for thing in overlay.of("Service"):
        assert len(_chosen({"matchLabels": thing["spec"]["selector"]}, pods)) == 1, thing["metadata"]["name"]
    for thing in overlay.of("PodDisruptionBudget"):
        assert [made.maker for made in _chosen(thing["spec"]["selector"], pods)] == [f"Deployment {thing['metadata']['name']}"]


def test_each_service_is_spread_by_itself_and_without_the_pods_of_an_older_version(overlay: Overlay) -> None:
    pods = list(overlay.pods())
    for made in pods:
        rules = made.spec.get("topologySpreadConstraints", ())
        assert [rule["topologyKey"] for rule in rules] == (
            ["topology.kubernetes.io/zone", "kubernetes.io/hostname"] if _ours(made, "service") else []
        )
        for rule in rules:
            named = {key: made.labels[key] for key in rule["matchLabelKeys"] if key != "pod-template-hash"}
            assert "pod-template-hash" in rule["matchLabelKeys"]  # the Deployment puts it on each pod
            assert _chosen(rule["labelSelector"] | {"matchLabels": rule["labelSelector"]["matchLabels"] | named}, pods) == [made]


def test_every_port_that_is_named_is_one_that_the_pods_open(overlay: Overlay) -> None:
    pods = list(overlay.pods())
    for thing in overlay.of("Service"):
        (made,) = _chosen({"matchLabels": thing["spec"]["selector"]}, pods)
        assert {port["targetPort"] for port in thing["spec"]["ports"]} <= _ports(made).keys(), thing["metadata"]["name"]
    for thing in overlay.services():
        (made,) = _chosen(thing["spec"]["selector"], pods)
        assert _ports(made) == {"http": PORT}
        assert made.spec["containers"][0].get("args") is None  # it would say another port
        annotations = thing["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == str(PORT)


def test_every_environment_variable_is_one_that_its_process_knows_and_none_is_lacking(overlay: Overlay) -> None:
    for made in overlay.pods():
        image = _image(made)
        told = overlay.environment(made)
        if image not in IMAGE_NAMES:
            continue
        service = image.removeprefix("musubi/")
        if service == "musubi":
            assert told.keys() <= product.variables_of_the_command(), made.maker
        else:
            known = product.variables_of(service)
            assert told.keys() <= known, f"{made.maker}: {told.keys() - known}"
            kind = product.settings_of(service)
            fields = {name.removeprefix("MUSUBI_").lower(): value for name, value in told.items()}
            assert kind.model_validate(fields)  # what is needed is there, and each value is one that it takes


def test_the_migrations_are_told_of_every_schema_each_with_a_role_of_its_own(overlay: Overlay) -> None:
    (made,) = (made for made in overlay.pods() if made.maker == "Job migrations")
    told = overlay.environment(made)
    assert told.keys() == {f"MUSUBI_POSTGRES_{schema.upper()}" for schema in product.SCHEMAS}
    for schema in product.SCHEMAS:
        assert told[f"MUSUBI_POSTGRES_{schema.upper()}"].startswith(f"postgresql://{schema}:")


def test_every_probe_and_every_scraped_address_is_a_route_of_its_service(overlay: Overlay) -> None:
    for thing in overlay.services():
        name, template = thing["metadata"]["name"], thing["spec"]["template"]
        (container,) = template["spec"]["containers"]
        paths = {kind: container[kind]["httpGet"]["path"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert paths["startupProbe"] == f"/api/{name}/readyz"
        for path in (*paths.values(), template["metadata"]["annotations"]["prometheus.io/path"]):
            assert product.answers(name, path), path


def test_images_are_those_that_are_built_here_or_of_one_named_release(overlay: Overlay) -> None:
    built = set(re.findall(r"^ *image: (musubi/\w+):", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE))
    assert built == IMAGE_NAMES
    for made in overlay.pods():
        (container,) = made.spec["containers"]
        assert names_one_release(container["image"]) or container["image"].endswith(":local"), container["image"]
    assert {_image(made) for made in overlay.pods()} >= IMAGE_NAMES
    for thing in overlay.services():
        (container,) = thing["spec"]["template"]["spec"]["containers"]
        assert _name(container["image"]) == f"musubi/{thing['metadata']['name']}"


def test_all_pods_are_restricted_and_ours_are_the_user_of_the_image(overlay: Overlay) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"USER {UID}:{UID}" in dockerfile
    namespace = next(overlay.of("Namespace"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for made in overlay.pods():
        ours = _image(made) in IMAGE_NAMES
        about = made.spec["securityContext"]
        assert about["runAsNonRoot"] and about["seccompProfile"] == {"type": "RuntimeDefault"}, made.maker
        assert made.spec["automountServiceAccountToken"] is False
        assert (about["runAsUser"] == UID) == ours, made.maker
        for container in made.spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["readOnlyRootFilesystem"] or not ours
            assert {"requests", "limits"} <= container["resources"].keys()


def test_the_ingress_leads_each_address_where_one_machine_leads_it_and_operators_addresses_nowhere(overlay: Overlay) -> None:
    (ingress,) = overlay.of("Ingress")
    (rule,) = ingress["spec"]["rules"]
    paths = rule["http"]["paths"]
    for entry in paths:
        service, path = entry["backend"]["service"]["name"], entry["path"]
        found = overlay.find("Service", service)
        assert found and {port["name"] for port in found["spec"]["ports"]} >= {entry["backend"]["service"]["port"]["name"]}
        if entry["pathType"] == "Prefix":
            assert service == service_for(path, dict.fromkeys(product.SERVICES))  # pyright: ignore[reportArgumentType]  only names are looked at
        else:
            assert not product.answers(service, path), path
    exact = {entry["path"] for entry in paths if entry["pathType"] == "Exact"}
    assert exact == {f"/api/{name}/{what}" for name in product.SERVICES for what in ("metrics", "readyz")}
    prefixes = {entry["path"] for entry in paths if entry["pathType"] == "Prefix"}
    ways = {f"{way}/{name}" for name in product.SERVICES if name != "notify" for way in ("", "/api")}
    assert prefixes == ways | {"/"}
    for config in overlay.of("ConfigMap"):
        origin = config["data"].get("MUSUBI_PUBLIC_ORIGIN")
        if origin:
            assert origin == ("https://" if ingress["spec"].get("tls") else "http://") + rule["host"]


def test_nothing_may_speak_but_by_a_named_flow_and_every_flow_has_somebody(overlay: Overlay) -> None:
    pods = list(overlay.pods())
    policies = list(overlay.of("NetworkPolicy"))
    assert any(p["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} for p in policies)
    for policy in policies:
        spec, name = policy["spec"], policy["metadata"]["name"]
        assert _chosen(spec["podSelector"], pods), name
        for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
            assert rule["ports"] and (rule.get("from") or rule.get("to")), f"{name} lets everybody or every port"
            for peer in (*rule.get("from", ()), *rule.get("to", ())):
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    assert _chosen(peer["podSelector"], pods), name


def test_each_process_may_reach_what_its_settings_name(overlay: Overlay) -> None:
    for made in overlay.pods():
        told = overlay.environment(made)
        wanted = set()
        if any(name.startswith("MUSUBI_POSTGRES") for name in told):
            wanted.add(5432)
        if "MUSUBI_KAFKA" in told:
            wanted.add(int(told["MUSUBI_KAFKA"].rpartition(":")[2]))
        if "MUSUBI_SMTP_HOST" in told:
            wanted.add(int(told["MUSUBI_SMTP_PORT"]))
        if "MUSUBI_OTLP_ENDPOINT" in told and _ours(made, "service"):
            wanted.add(int(told["MUSUBI_OTLP_ENDPOINT"].rpartition(":")[2]))
        wanted |= {urlsplit(value).port for name, value in told.items() if name.startswith("MUSUBI_URL_")}
        if issuer := told.get("MUSUBI_OIDC_ISSUER"):
            wanted.add(urlsplit(told.get("MUSUBI_OIDC_INTERNAL") or issuer).port or 443)
        open_ = {
            port["port"]
            for policy in overlay.of("NetworkPolicy")
            if matches(policy["spec"]["podSelector"], made.labels)
            for rule in policy["spec"].get("egress", ())
            for port in rule["ports"]
        }
        assert wanted <= open_, f"{made.maker} cannot reach {wanted - open_}"
        if _image(made) in IMAGE_NAMES:
            assert open_ - {53} == wanted, f"{made.maker} may reach what it does not need: {open_ - wanted}"


def test_prometheus_puts_the_labels_on_that_scaling_and_alerts_ask_for(overlay: Overlay) -> None:
    (job,) = yaml.safe_load((ROOT / "deploy" / "observability" / "kubernetes.yml").read_text())["scrape_configs"]
    put_on = {rule["target_label"]: rule["source_labels"] for rule in job["relabel_configs"] if "target_label" in rule}
    kept = {
        label: rule["regex"] for rule in job["relabel_configs"] if rule.get("action") == "keep" for label in rule["source_labels"]
    }
    asked = {
        label
        for thing in overlay.of("ScaledObject")
        for label in re.findall(r"(\w+)=", thing["spec"]["triggers"][0]["metadata"]["query"])
    }
    assert asked - {"group"} <= put_on.keys() >= {"job", "__metrics_path__"}
    for thing in overlay.services():
        about = thing["spec"]["template"]["metadata"]
        there = _meta("label", about["labels"]) | _meta("annotation", about["annotations"])
        assert all(there[label] == value for label, value in kept.items())
        assert there[put_on["job"][0]] == thing["metadata"]["name"]
        assert put_on["__metrics_path__"][0] in there
    assert "`deploy/observability/kubernetes.yml`" in GUIDE


def test_scaling_is_by_the_age_of_what_waits_and_ends_at_the_partitions_that_there_are(overlay: Overlay) -> None:
    for thing in overlay.of("ScaledObject"):
        name = thing["metadata"]["name"]
        assert thing["spec"]["scaleTargetRef"] == {"name": name} and overlay.find("Deployment", name)
        read = [topic for topic in TOPICS.values() if topic.is_read_by(name)]
        assert thing["spec"]["maxReplicaCount"] <= min(topic.partitions for topic in read)
        (trigger,) = thing["spec"]["triggers"]
        query = trigger["metadata"]["query"]
        groups = groups_of(name)
        asked = f'="{name}"' if groups == [name] else f'=~"{"|".join(groups)}"'
        assert query == f'max({telemetry.OLDEST_UNPROCESSED}{{namespace="musubi", group{asked}}})'
    for thing in overlay.of("HorizontalPodAutoscaler"):
        assert overlay.find("Deployment", thing["spec"]["scaleTargetRef"]["name"])
    scaled = {thing["metadata"]["name"] for thing in overlay.of("ScaledObject", "HorizontalPodAutoscaler")}
    assert scaled in (set(), set(product.SERVICES))
    for thing in overlay.services():
        assert "replicas" not in thing["spec"]  # applying it again would undo what scaling did


def test_a_rolling_update_never_takes_one_away_before_the_next_is_there(overlay: Overlay) -> None:
    for thing in overlay.services():
        assert thing["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        (container,) = thing["spec"]["template"]["spec"]["containers"]
        probe = container["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] <= thing["spec"]["progressDeadlineSeconds"]
        assert thing["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 30


def test_every_secret_that_is_asked_for_is_made_or_described(overlay: Overlay) -> None:
    described = {secret["metadata"]["name"] for secret in overlay.example_secrets()}
    made = {secret["metadata"]["name"] for secret in overlay.of("Secret")}
    asked = {
        source["secretRef"]["name"]
        for pods in overlay.pods()
        for source in pods.spec["containers"][0].get("envFrom", ())
        if "secretRef" in source and not source["secretRef"].get("optional")
    }
    assert asked <= made | described
    assert made - asked == set()
    assert described <= asked | {"topics"}
    for secret in overlay.example_secrets():
        for value in secret["stringData"].values():
            assert "…" in value or not re.search(r"password|secret", value, re.IGNORECASE)


def test_every_topic_and_schema_is_looked_after_by_a_job(overlay: Overlay) -> None:
    arguments = {job["metadata"]["name"]: job["spec"]["template"]["spec"]["containers"][0]["args"] for job in overlay.of("Job")}
    assert arguments == {"migrations": ["migrate"], "topics": ["topics", "apply"]}
    assert set(roles.SERVICES) < set(product.SCHEMAS)


def test_operators_find_a_desk_at_which_the_command_knows_all_that_it_looks_after(overlay: Overlay) -> None:
    (desk,) = overlay.of("CronJob")
    assert desk["spec"]["suspend"] is True, "it would open by itself"
    (made,) = (made for made in overlay.pods() if _ours(made, "command"))
    (container,) = made.spec["containers"]
    assert container["command"][0] == "sleep"
    assert int(container["command"][1]) < desk["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    told = overlay.environment(made)
    databases = {f"MUSUBI_POSTGRES_{schema.upper()}" for schema in product.SCHEMAS}
    assert told.keys() >= databases | {"MUSUBI_KAFKA", "MUSUBI_SMTP_HOST"}
    (notify,) = (made for made in overlay.pods() if made.labels.get("app.kubernetes.io/name") == "notify")
    provider = {name for name in overlay.environment(notify) if "_OIDC_" in name and not name.endswith("_SECRET")}
    assert provider <= told.keys()
    for name in product.SERVICES:
        assert told[f"MUSUBI_URL_{name.upper()}"] == f"http://{name}:{PORT}"
    for way in ("create job desk --from=cronjob/musubi", "exec -it job/desk -- python -m musubi "):
        assert way in GUIDE, way


def _meta(kind: str, said: Object) -> dict[str, str]:
    """Labels or annotations of a pod as Prometheus calls them."""
    return {f"__meta_kubernetes_pod_{kind}_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}": value for name, value in said.items()}


def _ours(made: Pods, component: str) -> bool:
    return made.labels.get("app.kubernetes.io/component") == component


def _chosen(selector: Object, pods: list[Pods]) -> list[Pods]:
    return [made for made in pods if matches(selector, made.labels)]


def _ports(made: Pods) -> dict[str, int]:
    (container,) = made.spec["containers"]
    return {port["name"]: port["containerPort"] for port in container["ports"]}


def _name(image: str) -> str:
    """The image without registry and tag, where it is one of ours."""
    return "/".join(image.rpartition(":")[0].split("/")[-2:])


def _image(made: Pods) -> str:
    (container,) = made.spec["containers"]
    return _name(container["image"])
