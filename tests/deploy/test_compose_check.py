"""`make compose-check` knows a stand-in for what docker-compose.yml does not build, as that file and what it mounts now are."""

import yaml

from tests.deploy.compose_check import compose, programs, standins
from tests.deploy.manifests import ROOT
from tests.deploy.test_compose import SERVICES

CANNOT_BE_HAD = {"grafana"}


def test_every_image_that_is_not_built_here_has_a_stand_in_or_is_known_not_to_be_had() -> None:
    assert set(compose.foreign_images(SERVICES)) == set(standins.STAND_INS) | CANNOT_BE_HAD
    assert {folder.name for folder in standins.IMAGES.iterdir()} == set(standins.STAND_INS)


def test_the_collectors_stand_in_has_the_parts_that_its_configuration_names() -> None:
    configuration = yaml.safe_load((ROOT / "deploy" / "collector" / "collector.yaml").read_text())
    parts = yaml.safe_load(programs.PARTS.read_text())
    for kind in ("receivers", "processors", "exporters", "extensions"):
        built = {part["gomod"].split()[0].rpartition("/")[2].removesuffix(kind[:-1]) for part in parts.get(kind, ())}
        named = {name.partition("/")[0].replace("_", "") for name in configuration.get(kind, ())}
        assert built == named, kind


def test_the_collectors_stand_in_is_of_the_version_that_it_stands_for() -> None:
    version = SERVICES["collector"]["image"].rpartition(":")[2]
    assert version in programs.BUILDER
    assert all(part["gomod"].endswith(f" v{version}") for part in yaml.safe_load(programs.PARTS.read_text())["receivers"])


def test_what_has_no_image_is_left_out_with_all_that_needs_it() -> None:
    tried = compose.to_be_tried(SERVICES, {"grafana", "jaeger"})
    assert {"grafana", "jaeger", "collector", "musubi"}.isdisjoint(tried)
    assert {"proxy", "notify", "kafka", "prometheus"} <= set(tried)
