"""How long until the demo is ready, until all examples are through the chain, and how much memory it takes.

Each round starts `musubi demo` in a fresh folder, waits for its last line, reads the memory, stops it, and starts it again on the
data that is there. `python -m bench.demo [--rounds 3]`
"""

import argparse
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import machine

COMMAND = Path(sys.executable).with_name("musubi")
MARKS = {"ready": re.compile(r"^Ready after"), "through": re.compile(r"^Open http")}


def main() -> None:
    """Print medians as a table and as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    rounds = options.parse_args().rounds
    facts = machine.facts()
    first: list[dict[str, float]] = []
    again: list[dict[str, float]] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="musubi-bench-") as folder:
            first.append(run(folder))
            again.append(run(folder))
    result = {"fresh folder": medians(first), "second start": medians(again)}
    for name, figures in result.items():
        print(f"{name:14}", *(f"{key} {value:g}" for key, value in figures.items()), sep="  ")
    print(json.dumps({"rounds": rounds, "machine": facts, **result}))


def run(folder: str) -> dict[str, float]:
    """Seconds to each mark, and memory in MB once the chain has come to rest: this process, and PostgreSQL's beside it."""
    begun, found = time.monotonic(), dict[str, float]()
    command = [str(COMMAND), "demo", "--folder", folder, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            found |= {f"{name}_s": round(time.monotonic() - begun, 2) for name, mark in MARKS.items() if mark.match(line)}
            if "through_s" in found:
                break
        found["python_mb"] = memory_mb(process.pid)
        postmaster = int(Path(folder, "postgres", "postmaster.pid").read_text().split()[0])
        found["postgresql_mb"] = round(sum(memory_mb(pid) for pid in [postmaster, *children(postmaster)]), 1)
        process.send_signal(signal.SIGTERM)
    if "through_s" not in found:
        raise SystemExit(f"the demo ended with {process.returncode} before its examples were through")
    return found


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def memory_mb(pid: int) -> float:
    """Memory of a process in MB; what it shares with others is counted in parts (PSS)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return round(int(re.findall(r"^Pss: +(\d+) kB", rollup, re.M)[0]) / 1024, 1)


def children(pid: int) -> list[int]:
    """The processes that this one started, as the postmaster its sessions."""
    stats = Path("/proc").glob("[0-9]*/stat")
    return [int(stat.parent.name) for stat in stats if int(stat.read_text().rpartition(")")[2].split()[1]) == pid]


if __name__ == "__main__":
    main()
