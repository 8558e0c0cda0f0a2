"""The programs that read Kubernetes files, and its schemas: `python -m tests.deploy.kubernetes_tools` fetches them.

Go builds the programs, each of one version, whose sources it checks against its public record of sums; the schemas come from a
Python package, by its hash. All lie in the user's cache, for the next time.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAMS = {
    "kustomize": "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0",
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score@v1.20.0",
}
VERSIONS = ("1.34.0", "1.37.0")
"""Of Kubernetes: the oldest that is still cared for, and the newest."""
HOW_TO_ADD = "make k8s-check   (needs Go: sudo apt-get install -y golang, or a newer one)"

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "musubi" / "kubernetes-1"
_SCHEMAS = CACHE / "python" / "kubernetes_validate" / "kubernetes-json-schema"


class Lacking(Exception):
    """A program or the schemas are not there; the text says which."""


def program(name: str) -> str:
    """The path of one of the programs. Raises `Lacking`."""
    path = CACHE / "bin" / name
    if not path.exists():
        raise Lacking(f"{name} is not in {CACHE}")
    return str(path)


def schemas(version: str, kinds: set[str]) -> Path:
    """A folder with the strict schemas of these kinds (`deployment-apps-v1`), as kubeconform reads them. Raises `Lacking`.

    In the package they name each other by addresses that exist nowhere; here, as neighbours in one folder."""
    source = _SCHEMAS / f"v{version}-local-strict"
    if not source.exists():
        raise Lacking(f"the schemas of Kubernetes {version} are not in {CACHE}")
    folder = CACHE / "schemas" / version
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("_definitions", *sorted(kinds)):
        if (source / f"{name}.json").exists() and not (folder / f"{name}.json").exists():
            schema = json.loads((source / f"{name}.json").read_text())
            schema.pop("$id", None)
            text = json.dumps(schema).replace("/api/_definitions.json#", "_definitions.json#")
            (folder / f"{name}.json").write_text(text)
    return folder


def build(overlay: Path) -> str:
    """What kustomize makes of an overlay. Raises `Lacking`."""
    return run(program("kustomize"), "build", str(overlay)).stdout


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run it to its end, which must be a good one; what it said is part of the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done


def fetch() -> None:
    """Put into the cache what is not there yet. Raises `Lacking` without Go."""
    (CACHE / "bin").mkdir(parents=True, exist_ok=True)
    for name, module in PROGRAMS.items():
        if (CACHE / "bin" / name).exists():
            continue
        if not shutil.which("go"):
            raise Lacking(f"Go is not installed, and {name} is not in {CACHE}")
        print(f"Building {name} (once; a minute or so)…", flush=True)
        run("go", "install", module, env={**os.environ, "GOBIN": str(CACHE / "bin"), "GOFLAGS": ""})
    if not _SCHEMAS.exists():
        lock = HERE / "kubernetes-schemas.lock"
        uv = str(Path(sys.executable).with_name("uv"))
        quietly = (uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes")
        run(*quietly, "--target", str(CACHE / "python"), "-r", str(lock))


if __name__ == "__main__":
    try:
        fetch()
    except Lacking as what:
        sys.exit(f"{what}. {HOW_TO_ADD}")
