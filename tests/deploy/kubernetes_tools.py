"""The programs that read Kubernetes files, and its schemas: `python -m tests.deploy.kubernetes_tools` fetches them.

kustomize is that of the system where it has one. Else Go builds it, as it builds kube-score: each of one version, whose sources
it checks against its public record of sums. The schemas and what compares with them are Python packages, by their hashes. What
is fetched lies in the user's cache, for the next time.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAMS = {
    "kustomize": "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1",
    "kube-score": "github.com/zegl/kube-score/cmd/kube-score@v1.20.0",
}
SCHEMAS = "kubernetes-schemas"
VERSIONS = ("1.34.0", "1.37.0")
"""Of Kubernetes: the oldest that is still cared for, and the newest."""
HOW_TO_ADD = {
    "kustomize": "sudo apt-get install -y kustomize   (Debian 13 or newer; elsewhere make k8s-check builds it)",
    SCHEMAS: ".venv/bin/python -m tests.deploy.kubernetes_tools kubernetes-schemas",
    "kube-score": "make k8s-check   (needs Go: sudo apt-get install -y golang, or a newer one)",
}

LOCK = Path(__file__).with_name("kubernetes-schemas.lock")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "musubi" / "kubernetes-2"
_PACKAGES = CACHE / "python"


class Lacking(Exception):
    """`what` is not there; the text says where it was looked for."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not in {CACHE}")
        self.what = what


def build(overlay: Path) -> str:
    """What kustomize makes of an overlay. Raises `Lacking`."""
    return run(_program("kustomize"), "build", str(overlay)).stdout


def compare(text: str, version: str) -> Sequence[str]:
    """A line for each object beside its strict schema in this version of Kubernetes: INFO says that it fits, WARN that nobody has
    its schema, ERROR what is wrong. Raises `Lacking`."""
    if not _PACKAGES.exists():
        raise Lacking(SCHEMAS)
    command = (sys.executable, "-m", "kubernetes_validate", "--strict", "--kubernetes-version", version, "-")
    done = subprocess.run(
        command, input=text, env={**os.environ, "PYTHONPATH": str(_PACKAGES)}, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    return done.stdout.splitlines()


def score(text: str, ignored: Sequence[str]) -> str:
    """What kube-score finds, which must be nothing but for these. Raises `Lacking`."""
    options = [word for name in ignored for word in ("--ignore-test", name)]
    return run(_program("kube-score"), "score", "--exit-one-on-warning", *options, "-", input=text).stdout


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run it to its end, which must be a good one; what it said is part of the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done


def versions() -> dict[str, str]:
    """Of each program, where it came from. Raises `Lacking`."""
    said = run(_program("kustomize"), "version").stdout.strip()
    if said == "(devel)":  # as Debian builds it; its package knows
        said = run("dpkg-query", "--showformat=${Version}, Debian's", "--show", "kustomize").stdout
    packages = (line.split()[0].split("==") for line in LOCK.read_text().splitlines() if "==" in line)
    compared = {name: number for name, number in packages if name in ("kubernetes-validate", "jsonschema")}
    return {"kustomize": said, **compared, "kube-score": PROGRAMS["kube-score"].rpartition("@")[2]}


def fetch(wanted: Sequence[str]) -> None:
    """Put into the cache what of these is not there yet. Raises `Lacking` for what only Go could make, where there is no Go."""
    (CACHE / "bin").mkdir(parents=True, exist_ok=True)
    for name in (name for name in PROGRAMS if name in wanted and not _found(name)):
        if not shutil.which("go"):
            raise Lacking(name)
        print(f"Building {name} (once; a minute or two)…", flush=True)
        run("go", "install", PROGRAMS[name], env={**os.environ, "GOBIN": str(CACHE / "bin"), "GOFLAGS": ""})
    if SCHEMAS in wanted and not _PACKAGES.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        begun = CACHE / "python-begun"
        run(uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(begun), "-r", str(LOCK))
        begun.rename(_PACKAGES)


def _program(name: str) -> str:
    found = _found(name)
    if not found:
        raise Lacking(name)
    return found


def _found(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), str(CACHE / "bin"))))


if __name__ == "__main__":
    try:
        fetch(sys.argv[1:] or (*PROGRAMS, SCHEMAS))
    except Lacking as what:
        sys.exit(f"{what}. To add it: {HOW_TO_ADD[what.what]}")
