"""Each overlay is what two versions of Kubernetes take, to the last field, and what kube-score calls sound."""

import pytest

from tests.deploy import kubernetes_tools, manifests
from tests.deploy.conftest import needing_programs
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
    with needing_programs():
        said = kubernetes_tools.compare(overlay.text, version)
        without = [thing["kind"] for thing in overlay.objects if thing["kind"] in NO_SCHEMA]
        assert len([line for line in said if line.startswith("WARN")]) == len(without)
        assert [line for line in said if not line.startswith(("INFO", "WARN"))] == []
        assert len(said) == len(overlay.objects)


def test_a_field_that_nobody_knows_is_found_however_deep_it_stands() -> None:
    with needing_programs():
        right = manifests.overlay("production").text
        wrong = right.replace("terminationGracePeriodSeconds: 40", "terminationGraceSeconds: 40", 1)
        assert wrong != right
        (line,) = (line for line in kubernetes_tools.compare(wrong, VERSIONS[-1]) if line.startswith("ERROR"))
        assert "deployment/catalog" in line and "terminationGraceSeconds" in line


def test_kube_score_finds_nothing_critical_and_warns_of_nothing(overlay: Overlay) -> None:
    ignored = NOT_ASKED | (NOT_ASKED_TO_TRY if overlay.name == "local" else {})
    with needing_programs():
        kubernetes_tools.score(overlay.text, list(ignored))
