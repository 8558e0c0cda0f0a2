"""What an overlay of deploy/k8s comes to, as objects that tests can ask."""

import base64
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.deploy import kubernetes_tools

ROOT = Path(__file__).parents[2]
OVERLAYS = ROOT / "deploy" / "k8s" / "overlays"
Object = Mapping[str, Any]


class Pods(NamedTuple):
    """Pods of one making: who makes them, their labels, and what is said of each."""

    maker: str
    labels: Mapping[str, str]
    spec: Object


class Overlay:
    """All objects of one overlay."""

    def __init__(self, name: str) -> None:
        """Raises `kubernetes_tools.Lacking`."""
        self.name = name
        self.text = kubernetes_tools.build(OVERLAYS / name)
        self.objects: list[Object] = list(yaml.safe_load_all(self.text))

    def of(self, *kinds: str) -> Iterator[Object]:
        """All objects of these kinds."""
        return (thing for thing in self.objects if thing["kind"] in kinds)

    def find(self, kind: str, name: str) -> Object | None:
        """The one with this kind and name."""
        return next((thing for thing in self.of(kind) if thing["metadata"]["name"] == name), None)

    def pods(self) -> Iterator[Pods]:
        """Everything that makes pods."""
        for thing in self.of("Deployment", "StatefulSet", "Job", "CronJob"):
            template = (thing["spec"]["jobTemplate"] if thing["kind"] == "CronJob" else thing)["spec"]["template"]
            yield Pods(f"{thing['kind']} {thing['metadata']['name']}", template["metadata"]["labels"], template["spec"])

    def services(self) -> Iterator[Object]:
        """The Deployments of our own services."""
        return (thing for thing in self.of("Deployment") if _component(thing) == "service")

    def environment(self, pods: Pods) -> dict[str, str]:
        """What the only container of these pods is told; of a secret that the overlay does not make, what its example says."""
        told: dict[str, str] = {}
        (container,) = pods.spec["containers"]
        for source in container.get("envFrom", ()):
            told |= self._source(source)
        for variable in container.get("env", ()):
            value = variable.get("value") or self._of_a_secret(variable["valueFrom"]["secretKeyRef"])
            if value is not None:
                told[variable["name"]] = value
        return told

    def _of_a_secret(self, wanted: Object) -> str | None:
        value = self._source({"secretRef": wanted}).get(wanted["key"])
        assert value is not None or wanted.get("optional"), f"{wanted['key']} is not in the secret {wanted['name']}"
        return value

    def _source(self, source: Object) -> Mapping[str, str]:
        if "configMapRef" in source:
            found = self.find("ConfigMap", source["configMapRef"]["name"])
            assert found, f"there is no ConfigMap {source['configMapRef']['name']}"
            return found["data"]
        name = source["secretRef"]["name"]
        found = self.find("Secret", name)
        if found:
            return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}
        said = next((secret for secret in self.example_secrets() if secret["metadata"]["name"] == name), None)
        assert said or source["secretRef"].get("optional"), f"nobody says what is in the secret {name}"
        return said["stringData"] if said else {}

    def example_secrets(self) -> list[Object]:
        """The secrets that somebody else has to make."""
        file = OVERLAYS / self.name / "secrets.example.yaml"
        return list(yaml.safe_load_all(file.read_text())) if file.exists() else []


@cache
def overlay(name: str) -> Overlay:
    """The overlay of this name, built once. Raises `kubernetes_tools.Lacking`."""
    return Overlay(name)


def names() -> list[str]:
    """Every overlay that there is."""
    return sorted(folder.name for folder in OVERLAYS.iterdir())


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes in what has these labels."""
    plain: Mapping[str, str] = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in plain.items()) and all(
        rule["operator"] == "In" and labels.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", ())
    )


def names_one_release(image: str) -> bool:
    """Whether the tag of an image names one release to its last number. PostgreSQL's releases have two."""
    name, _, tag = image.rpartition(":")
    numbers = r"\d+\.\d+" if name == "postgres" else r"v?\d+\.\d+\.\d+"
    return re.match(rf"{numbers}(-|$)", tag) is not None


def _component(thing: Object) -> str:
    return thing["metadata"]["labels"].get("app.kubernetes.io/component", "")
