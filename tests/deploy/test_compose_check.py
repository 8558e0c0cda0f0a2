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


def test_stand_ins_are_of_the_versions_that_they_stand_for() -> None:
    version = _tag("collector")
    assert version in programs.BUILDER
    assert all(part["gomod"].endswith(f" v{version}") for part in yaml.safe_load(programs.PARTS.read_text())["receivers"])
    assert _tag("mail") == programs.MAILDEV
    for service, program in {"jaeger": programs.JAEGER, "oidc": programs.DEX}.items():
        assert _tag(service) == program.release
        assert program.release.removeprefix("v") in program.what


def test_what_somebody_exports_for_their_own_containers_is_not_for_the_check() -> None:
    exported = {
        "MUSUBI_BIND": "0.0.0.0",
        "NEEDS_PASSWORD": "own",
        "MUSUBI_PORT": "80",
        "PATH": "/usr/bin",
        "DOCKER_HOST": "tcp://x",
    }
    assert compose.without_the_files_variables(exported) == {"PATH": "/usr/bin", "DOCKER_HOST": "tcp://x"}


def test_what_has_no_image_is_left_out_with_all_that_needs_it() -> None:
    tried = compose.to_be_tried(SERVICES, {"grafana", "jaeger"})
    assert {"grafana", "jaeger", "collector", "musubi"}.isdisjoint(tried)
    assert {"proxy", "notify", "kafka", "prometheus"} <= set(tried)


def _tag(service: str) -> str:
    return SERVICES[service]["image"].rpartition(":")[2]
