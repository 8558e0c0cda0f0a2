"""Ends a process in which no Python code runs any more, not even the watchdog's: a call into C that computes for ever and never
lets go of the interpreter's lock.

At every look a watchdog winds up the system's timer of the process's own computing time. Where it runs out, the handler of
`faulthandler`, which needs no lock, writes down where every thread was, and the signal SIGVTALRM ends the process. It is not the
clock's time, which would be up the moment a stopped process goes on; a process that is stopped or idle does not compute. The
price: a call that holds the lock and only waits is not noticed.
"""

import faulthandler
import signal
import threading

_STDERR = 2


class LastResort:
    """One for the whole process, as its timer is; it is on as long as anybody watches."""

    def __init__(self) -> None:
        self._watching = 0
        self._lock = threading.Lock()

    def begin(self, seconds: float) -> None:
        """Somebody begins to watch: so many seconds of computing are too long."""
        with self._lock:
            if not self._watching:
                faulthandler.register(signal.SIGVTALRM, file=_STDERR, all_threads=True, chain=True)  # chained to the end
            self._watching += 1
            signal.setitimer(signal.ITIMER_VIRTUAL, seconds)

    def put_off(self, seconds: float) -> None:
        """Python code runs: begin to count anew."""
        with self._lock:
            if self._watching:
                signal.setitimer(signal.ITIMER_VIRTUAL, seconds)

    def end(self) -> None:
        """Somebody watches no more."""
        with self._lock:
            self._watching -= 1
            if not self._watching:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                faulthandler.unregister(signal.SIGVTALRM)


LAST_RESORT = LastResort()
