"""Python's garbage collector, told what a server's memory looks like.

With Python's own thresholds it walks through everything that was ever imported many times a second while batches of events go
through: a fifth of all the time of a busy hop. Cycles are rare here, almost everything is freed by counting.
"""

import gc

_YOUNG, _MIDDLE, _OLD = 50_000, 20, 20


def collect_seldom() -> None:
    """For the one who owns the process, once everything is imported: leave that alone from now on, and look seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
