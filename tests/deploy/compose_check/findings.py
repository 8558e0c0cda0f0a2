"""What the check has found so far: expectations that were met or not, figures, and where each image came from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench import machine
from tests.deploy.compose_check.standins import Origin


@dataclass(frozen=True)
class Expectation:
    """`what` says exactly what was looked at; `seen` what it was where it was not met."""

    part: str
    what: str
    met: bool
    seen: str


@dataclass
class Findings:
    """Told on the way; the report is made of it. `part` is that of the check which is going on."""

    expectations: list[Expectation] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    memory: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    origins: Sequence[Origin] = ()
    engine: str = ""
    machine: dict[str, str | int | float] = field(default_factory=machine.facts)
    part: str = ""

    def expect(self, what: str, met: object, seen: object = "") -> None:
        """Note whether it is so, and say it."""
        one = Expectation(self.part, what, bool(met), "" if met else str(seen)[:1000])
        self.expectations.append(one)
        print(f"  {'ok' if met else 'NOT MET'}: {what}" + (f" ({one.seen})" if one.seen else ""), flush=True)

    @contextmanager
    def during(self, part: str) -> Iterator[None]:
        """A part of the check; what ends it early is an expectation that was not met."""
        self.part = part
        print(part, flush=True)
        try:
            yield
        except Exception as why:  # noqa: BLE001  whatever it is, it belongs into the report, and the system has to be taken down
            self.expect("goes on to its end", False, f"{type(why).__name__}: {why}")

    @property
    def failed(self) -> bool:
        return not self.expectations or any(not one.met for one in self.expectations)
