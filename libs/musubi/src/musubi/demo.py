"""`musubi demo`: the main job done on real examples, so that a newcomer sees it before reading anything."""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from common.clock import utc_now
from musubi import counts, examples, one_machine, publish, rest, sign_in_links
from musubi.events_file import Item
from musubi.one_machine import OneMachine
from musubi.publish import Result
from musubi.up import interruptible, until_stopped

LINKS_OF_THE_CHAIN = {"proposed": "Matching", "notified": "Telling offices, cities and companies", "mailed": "Writing mails"}


def run(folder: Path, port: int, given: Path | None) -> int:
    """Load the examples, say what happened, and stay until Ctrl-C."""
    return until_stopped(_stay(folder.absolute(), port, examples.find(given)), folder)


def once(given: Path | None, *, as_json: bool) -> int:
    """Do it all in a fresh temporary folder on free ports, and clean up. Returns 0 only if every count is above 0 and is what
    the pages show."""
    folder = Path(tempfile.mkdtemp(prefix="musubi-demo-"))
    try:
        code = interruptible(_once(folder, examples.find(given), as_json))
        return 130 if code is None else code
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _stay(folder: Path, port: int, files: Path) -> int:
    console = Console(soft_wrap=True, highlight=False)
    console.print("Starting PostgreSQL, the broker and the four services…")
    async with one_machine.running(folder, port) as machine:
        console.print(f"Ready after {machine.seconds['ready']:.1f} s: {machine.address}")
        await _load_and_wait(machine, files, console)
        await _say_what_happened(machine, console)
        sign_in_links.print_links(await sign_in_links.issue(machine.address, machine.databases.by_name))
        console.print(f"\nOpen {machine.address}   (Ctrl-C stops it; the data stays in {folder})")
        await machine.until_it_ends()
    return 1


async def _once(folder: Path, files: Path, as_json: bool) -> int:
    begun = time.monotonic()
    seconds: dict[str, float] = {}

    def reached(word: str) -> None:
        seconds[word] = round(time.monotonic() - begun, 2)

    # JSON is all that standard output gets; what people may want to watch goes beside it.
    console = Console(stderr=True, quiet=as_json, soft_wrap=True, highlight=False)
    async with one_machine.running(folder, 0) as machine:
        seconds |= {name: round(value, 2) for name, value in machine.seconds.items()}
        await _load_and_wait(machine, files, console, reached)
        stored = await counts.stored(machine.databases.by_name)
        wrong = counts.differences(stored, await counts.shown(machine.address, machine.databases.by_name))
        reached("checked")
    reached("stopped")
    if as_json:
        print(json.dumps({**stored._asdict(), "seconds": seconds}))
    else:
        print(_sentence(stored))
    for words in wrong:
        print(f"musubi: {words}", file=sys.stderr)
    return 1 if wrong else 0


async def _load_and_wait(
    machine: OneMachine, files: Path, console: Console, reached: Callable[[str], None] = lambda word: None
) -> None:
    now = utc_now()
    day = examples.first_loaded(machine.folder, now.date())
    items = list(examples.read(files, day, now))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        bar = progress.add_task("Loading the examples", total=len(items))
        results = await asyncio.to_thread(_publish, machine, items, lambda: progress.advance(bar))
        reached("loaded")
        waiting = progress.add_task(LINKS_OF_THE_CHAIN["proposed"], total=len(LINKS_OF_THE_CHAIN))

        def step(word: str) -> None:
            reached(word)
            following = dict(zip(LINKS_OF_THE_CHAIN, [*list(LINKS_OF_THE_CHAIN.values())[1:], "All is done"], strict=True))
            progress.update(waiting, advance=1, description=following[word])

        await rest.until_at_rest(machine.databases.by_name, machine.kafka.address, reached=step)
    _say_what_was_loaded(results, console)


def _publish(machine: OneMachine, items: Sequence[Item], one_done: Callable[[], None]) -> list[Result]:
    results = []
    with publish.client(machine.address, machine.key) as http:
        for result in publish.publish(http, items):
            results.append(result)
            one_done()
    return results


def _say_what_was_loaded(results: Sequence[Result], console: Console) -> None:
    number = Counter(result.status for result in results)
    if number["repeat"] == len(results):
        console.print(f"All {len(results)} examples were loaded before; nothing changed.")
        return
    console.print(f"{number['accepted']} example events were accepted, {number['repeat']} had been loaded before.")
    for result in results:
        if result.failed:
            console.print(f"refused: {result.line()}", style="red", markup=False)


async def _say_what_happened(machine: OneMachine, console: Console) -> None:
    console.print(_sentence(await counts.stored(machine.databases.by_name)))


def _sentence(stored: counts.Counts) -> str:
    return (
        f"{stored.needs} needs of cities met {stored.offerings} offerings of companies: {stored.proposals} needs have proposals, "
        f"{stored.notifications} notifications were issued and {stored.mails} mails were written."
    )
