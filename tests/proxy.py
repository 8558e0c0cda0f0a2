"""A bad network on loopback: a TCP proxy that passes, refuses, cuts, falls silent or is slow, as told while it runs.

In a test: `async with Proxy("127.0.0.1:5432") as proxy: …; proxy.become(Mode.SILENT)`. From the command line,
`python -m tests.proxy 127.0.0.1:5432 [--port N]` prints its address and reads modes from its standard input, one a line.
"""

import argparse
import asyncio
import contextlib
import socket
import struct
import sys
from enum import StrEnum
from typing import Self

_CHUNK = 64 * 1024
_RESET_WHEN_CLOSED = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s


class Mode(StrEnum):
    """What becomes of connections, those that are open and new ones."""

    PASS = "pass"
    REFUSE = "refuse"
    """Nobody listens: the open ones are reset, and new ones are refused at once."""
    CUT = "cut"
    """The open ones are reset, and new ones as soon as they are made."""
    SILENT = "silent"
    """All stay open, new ones are accepted, and not one byte comes through in either direction. What was held arrives later, if
    the mode changes while both ends still wait: as where a network comes back and TCP sends again."""
    SLOW = "slow"
    """Every piece of up to 64 KiB is held back for `delay` seconds."""


class Proxy:
    """Listens on 127.0.0.1 while entered, and connects every caller to `target` (host:port, may be set later)."""

    def __init__(self, target: str = "", *, port: int = 0, mode: Mode = Mode.PASS, delay: float = 0.05) -> None:
        """Port 0 takes a free one, and keeps it for as long as the proxy lives."""
        self.target = target
        self.delay = delay
        self.mode = mode
        self.accepted = 0
        self._port = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._loud = asyncio.Event()

    @property
    def port(self) -> int:
        return self._port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        if not self._port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self._port = probe.getsockname()[1]
        await self.become(self.mode)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listen(False)
        for call in list(self._calls):
            call.cancel()
        self.reset_all()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def become(self, mode: Mode) -> None:
        """Change the mode, for the open connections too."""
        self.mode = mode
        self._loud.clear() if mode is Mode.SILENT else self._loud.set()
        if mode in (Mode.REFUSE, Mode.CUT):
            self.reset_all()
        await self._listen(mode is not Mode.REFUSE)

    def reset_all(self) -> None:
        """Reset every open connection, on both sides; the mode stays, so in `PASS` callers may come back at once."""
        for writer in list(self._open):
            _reset(writer)

    async def _listen(self, wanted: bool) -> None:
        if wanted and self._server is None:
            self._server = await asyncio.start_server(self._call, "127.0.0.1", self._port, limit=_CHUNK, reuse_address=True)
        elif not wanted and self._server is not None:
            server, self._server = self._server, None
            server.close()  # wait_closed would wait for the connections, too

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        assert call
        self._calls.add(call)
        self.accepted += 1
        self._open.add(writer)
        onward: asyncio.StreamWriter | None = None
        try:
            await self._loud.wait()
            if self.mode in (Mode.REFUSE, Mode.CUT):
                return
            host, _, port = self.target.rpartition(":")
            answers, onward = await asyncio.open_connection(host, int(port), limit=_CHUNK)
            self._open.add(onward)
            await asyncio.gather(self._carry(reader, onward), self._carry(answers, writer))
        except (OSError, asyncio.CancelledError):
            pass  # one end is gone: the other one learns it by the reset
        finally:
            for end in (writer, onward):
                if end is not None:
                    _reset(end)
                    self._open.discard(end)
            self._calls.discard(call)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while True:
            piece = await source.read(_CHUNK)
            if self.mode is Mode.SLOW:
                await asyncio.sleep(self.delay)
            await self._loud.wait()  # an end that is closed meanwhile is not told to the other one either
            if not piece:
                with contextlib.suppress(OSError):
                    sink.write_eof()
                return
            sink.write(piece)
            await sink.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_WHEN_CLOSED)
    writer.transport.abort()


async def _from_the_command_line() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="host:port")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds, for the mode slow")
    given = parser.parse_args()
    async with Proxy(given.target, port=given.port, delay=given.delay) as proxy:
        print(proxy.address, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            await proxy.become(Mode(line.strip()))
            print(proxy.mode, flush=True)


if __name__ == "__main__":
    asyncio.run(_from_the_command_line())
