"""Each overlay is what two versions of Kubernetes take, to the last field, and what kube-score calls sound."""

import pytest

from tests.conftest import missing
from tests.deploy import kubernetes_tools
from tests.deploy.kubernetes_tools import VERSIONS
from tests.deploy.manifests import Overlay

NO_SCHEMA = {"ScaledObject"}
"""KEDA's own kind; its schema is not in the package. `test_kubernetes` looks at what it says."""
NOT_ASKED = {
    "deployment-has-host-podantiaffinity": "spread over nodes and zones by topologySpreadConstraints, which it does not count",
    "deployment-replicas": "how many is the autoscalers' to say, and KEDA's it does not know",
}
NOT_ASKED_TO_TRY = {"container-image-pull-policy": "images that one has just built are in no registry"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_has_only_fields_that_this_version_knows(overlay: Overlay, version: str) -> None:
    kinds = {_schema_name(thing["apiVersion"], thing["kind"]) for thing in overlay.objects}
    try:
        folder = kubernetes_tools.schemas(version, kinds)
        program = kubernetes_tools.program("kubeconform")
    except kubernetes_tools.Lacking as what:
        missing("kubernetes", str(what), kubernetes_tools.HOW_TO_ADD)
        raise
    place = f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    command = (program, "-strict", "-summary", "-kubernetes-version", version, "-schema-location", place)
    said = kubernetes_tools.run(*command, "-skip", ",".join(NO_SCHEMA), input=overlay.text).stdout
    valid = sum(thing["kind"] not in NO_SCHEMA for thing in overlay.objects)
    assert f"Valid: {valid}, Invalid: 0, Errors: 0" in said, said


def test_kube_score_finds_nothing_critical_and_warns_of_nothing(overlay: Overlay) -> None:
    ignored = NOT_ASKED | (NOT_ASKED_TO_TRY if overlay.name == "local" else {})
    options = [word for name in ignored for word in ("--ignore-test", name)]
    kubernetes_tools.run(
        kubernetes_tools.program("kube-score"), "score", "--exit-one-on-warning", *options, "-", input=overlay.text
    )


def _schema_name(version: str, kind: str) -> str:
    """As the files of the schemas are called: `deployment-apps-v1`, `ingress-networking-v1`, `service-v1`."""
    group, _, number = version.rpartition("/")
    return "-".join(part for part in (kind.lower(), group.split(".")[0], number) if part)
