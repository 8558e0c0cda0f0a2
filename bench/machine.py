"""What a figure was measured on; a figure without its machine says nothing."""

import contextlib
import os
import platform
from datetime import UTC, datetime
from pathlib import Path


def facts() -> dict[str, str | int | float]:
    """Processor, cores, memory, system, Python, the load before the run, and the day."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
        "memory_gb": round(_memory() / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def cpu_seconds(pid: int, *, with_children: bool = False) -> float:
    """Processor time that a process has used so far; with its direct children, as PostgreSQL's sessions are. 0 off Linux."""
    used = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            fields = stat.read_text().rpartition(")")[2].split()
            if int(stat.parent.name) == pid or (with_children and int(fields[1]) == pid):
                used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
