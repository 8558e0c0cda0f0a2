"""What tests of the deployment stand on: each overlay as kustomize builds it, where kustomize is there."""

import pytest

from tests.conftest import missing
from tests.deploy import kubernetes_tools, manifests
from tests.deploy.manifests import Overlay


@pytest.fixture(params=manifests.names())
def overlay(request: pytest.FixtureRequest) -> Overlay:
    """Each overlay of deploy/k8s in turn. `make k8s-check` puts the programs there that this needs."""
    try:
        return manifests.overlay(request.param)
    except kubernetes_tools.Lacking as what:
        missing("kubernetes", str(what), kubernetes_tools.HOW_TO_ADD)
        raise
