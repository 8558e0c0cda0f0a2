"""What tests of the deployment stand on: each overlay as kustomize builds it, where kustomize is there."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import missing
from tests.deploy import kubernetes_tools, manifests
from tests.deploy.manifests import Overlay


@contextmanager
def needing_programs() -> Iterator[None]:
    """Skips the test, or fails it, where one of the programs that read Kubernetes files is not there."""
    try:
        yield
    except kubernetes_tools.Lacking as why:
        missing(why.what, str(why), kubernetes_tools.HOW_TO_ADD[why.what])


@pytest.fixture(params=manifests.names())
def overlay(request: pytest.FixtureRequest) -> Overlay:
    """Each overlay of deploy/k8s in turn."""
    with needing_programs():
        return manifests.overlay(request.param)
    raise AssertionError  # it was skipped
