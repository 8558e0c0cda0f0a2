"""Lucene as a peer: built by Maven from `lucene/`, run in a process of its own, with one thread.

The market goes over in files, and the process times itself; so nothing is counted for the way to it. It gets a heap that is
touched beforehand, a collector of garbage without threads of its own, and vector instructions.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.matching.engines import Entered, Found, Lists
from bench.matching.numpy_peer import PARTS, PRICE_POINTS
from bench.matching.records import MONEY, NOT_STATED, QUANTITY, Market
from matching.domain import facets
from matching.domain.shortlist import LENGTH

SOURCES = Path(__file__).parent / "lucene"
OLDEST_JAVA = 21
HEAP = "4g"


class CannotBuild(Exception):
    """Lucene cannot be built or run on this machine; the message says what is lacking."""


# Building ------------------------------------------------------------------------------------------------------------


def java_home() -> Path:
    """The JDK: the one that JAVA_HOME names, else that of `java` or one beside it. Lucene 10 needs Java 21."""
    named = os.environ.get("JAVA_HOME")
    found = shutil.which("java")
    if named:
        candidates = [Path(named)]
    elif found:
        home = Path(found).resolve().parents[1]
        candidates = [home, *sorted(home.parent.iterdir(), reverse=True)]
    else:
        candidates = []
    for home in candidates:
        if _version(home) >= OLDEST_JAVA:
            return home
    raise CannotBuild(f"Lucene needs a JDK of Java {OLDEST_JAVA} or newer; name its folder in JAVA_HOME")


def _version(home: Path) -> int:
    release = home / "release"
    if not release.is_file() or not (home / "bin" / "javac").exists():
        return 0
    said = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(), re.MULTILINE)
    return int(said.group(1)) if said else 0


def build() -> Path:
    """Compile `lucene/` and fetch what it needs. Returns the JDK. Raises `CannotBuild`."""
    home = java_home()
    if not shutil.which("mvn"):
        raise CannotBuild("Lucene is built by Maven: install it (package maven)")
    command = ["mvn", "-q", "-B", "-Dstyle.color=never", "package", "dependency:copy-dependencies"]
    environment = {**os.environ, "JAVA_HOME": str(home)}
    done = subprocess.run(command, cwd=SOURCES, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotBuild(f"Maven could not build {SOURCES.name}:\n{done.stdout[-2000:]}")
    return home


# Running -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lucene:
    """A market written down for Lucene, in `folder`."""

    market: Market
    home: Path
    folder: Path

    def run(self, module: str, program: str, *arguments: object) -> None:
        target = SOURCES / module / "target"
        classes = [str(target / f"{module}-1.jar"), str(target / "dependency" / "*")]
        command = [
            str(self.home / "bin" / "java"), f"-Xms{HEAP}", f"-Xmx{HEAP}", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC",
            "--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED",
            f"-Dfolder={self.folder}", "-cp", os.pathsep.join(classes), f"bench.matching.{program}",
            *map(str, arguments),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stderr[-2000:]}")

    def numbers(self, name: str, kind: str) -> Any:
        return np.fromfile(self.folder / name, kind)


@contextmanager
def written(market: Market, standing: Lists | None = None) -> Iterator[Lucene]:
    """The market in files in a temporary folder, with the needs' lists where offerings come."""
    home = build()
    with tempfile.TemporaryDirectory(prefix="musubi-lucene-") as name:
        folder = Path(name)
        (folder / "layout.properties").write_text("".join(f"{key}={value}\n" for key, value in _layout(market).items()))
        market.offerings.tofile(folder / "offerings.bin")
        market.needs.tofile(folder / "needs.bin")
        market.events.tofile(folder / "events.bin")
        if standing:
            pairs = standing.score.astype(np.int64) << 32 | standing.rank
            np.where(standing.rank == NOT_STATED, NOT_STATED, pairs).tofile(folder / "standing.bin")
        yield Lucene(market, home, folder)


def _layout(market: Market) -> dict[str, object]:
    """Where each field lies, and every number that the rules declare."""
    layout: dict[str, object] = {}
    for side, records in (("offering", market.offerings), ("need", market.needs)):
        layout[side] = records.dtype.itemsize
        for name, (kind, offset, *_) in (records.dtype.fields or {}).items():
            layout[f"{side}.{name}"] = offset
            layout[f"{side}.{name}.number"] = int(np.prod(kind.shape))
    for facet in facets.FACETS:
        layout[f"possible.{facet.name}"] = facet.possible
        for reason in facet.reasons:
            layout[f"points.{reason.code}"] = reason.points
    return layout | {
        "possible.all": facets.POSSIBLE,
        "length": LENGTH,
        "steps.spare_days": _spaced(step.days for step in facets.SPARES),
        "steps.spare_points": _spaced(step.points for step in facets.SPARES),
        "steps.days_late_per_point": facets.DAYS_LATE_PER_POINT,
        "steps.parts_of_budget": PARTS,
        "steps.price_points": _spaced(PRICE_POINTS.tolist()),
        "rates": _spaced(market.lexicon.usable_rates.tolist()),
        "units.quantity": QUANTITY,
        "units.money": MONEY,
    }


def _spaced(numbers: Any) -> str:
    return " ".join(map(str, numbers))


class SearchPeer:
    """New needs, from an index of offerings; records from doc values, or from memory by document number."""

    def __init__(self, lucene: Lucene, records: str) -> None:
        self._lucene, self._records = lucene, records
        self.name = f"Lucene, records from {'memory' if records == 'heap' else 'doc values'}"

    def new_needs(self, number: int) -> Found:
        self._lucene.run("search", "SearchOfferings", self._records, number)
        pairs = self._lucene.numbers("search.lists", "<i4").reshape(number, LENGTH, 2)
        return Found(self._lucene.numbers("search.nanoseconds", "<i8"), Lists(pairs[..., 0].copy(), pairs[..., 1].copy()))


class ReversePeer:
    """New offerings, from an index of needs."""

    name = "Lucene, reverse index"
    _module, _program = "search", "ReverseIndex"

    def __init__(self, lucene: Lucene) -> None:
        self._lucene = lucene

    def new_offerings(self, number: int) -> Entered:
        self._lucene.run(self._module, self._program, number)
        ends = self._lucene.numbers("entered.ends", "<i8")
        needs = np.split(self._lucene.numbers("entered.needs", "<i4"), ends[:-1])
        return Entered(self._lucene.numbers("entered.nanoseconds", "<i8"), [sorted(one.tolist()) for one in needs])


class MonitorPeer(ReversePeer):
    """New offerings, with stored queries."""

    name = "Lucene Monitor"
    _module, _program = "monitor", "MonitorNeeds"
