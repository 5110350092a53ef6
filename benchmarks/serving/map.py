"""How soon does the page show a map of a hundred thousand documents, and how smoothly does it move?"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from math import cos, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import numpy as np

import measure
from data_sets import SHARED
from pieces import different, table
from search import index_of, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

QUICK = {"documents": [5_000], "repeats": 1, "seconds": 1.5}
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--enable-unsafe-swiftshader", "--disable-quic", "--disable-background-networking")
VIEWPORT = {"width": 1280, "height": 900}
PLACES = 8  # where the pointer rests
MOVES = 40  # of the pointer, that a lasso is drawn by
SOUGHT = "open the file and read its lines"
WATCH = Path(__file__).with_name("watch.js")  # in the page: when points are drawn, and the frames
Figures = dict[str, float]


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--documents", nargs="+", type=int, default=[10_000, 100_000])
    parser.add_argument("--model", help="a name or folder; left out, a token table of the standard library")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a gesture")
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / "scratch" / "map", help="kept")
    parser.add_argument("--shots", type=Path, help="folder for pictures of the map")
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    model, rows, drawer = options.model or str(table(options.work, SHARED)), [], ""
    for documents in options.documents:
        corpus_of(options.work, documents)
        index, found = index_of(model, options.work, documents), []
        for repeat in range(options.repeats):
            with served(index, model) as port, opened() as browser:
                found.append(visited(browser, f"http://127.0.0.1:{port}", options.seconds, options.shots))
                drawer = drawer_of(browser)
            measure.say(f"{documents:,} documents, repeat {repeat + 1}: {found[-1]}")
        rows.append({"documents": documents, **medians(found)})
    measure.show("The map", [{"": name, **{f"{row['documents']:,}": row[name] for row in rows}} for name in rows[0]])
    facts = {"viewport": VIEWPORT, "drawn by": drawer, **measure.facts(allocator)}
    measure.finish({"rows": rows, **facts}, options.out)


def corpus_of(work: Path, documents: int) -> None:
    """So many texts, and the word that each begins with, which the points can be coloured by."""
    corpus = work / f"documents-{documents}.jsonl"
    if corpus.exists():
        return
    work.mkdir(parents=True, exist_ok=True)
    texts = islice(different(documents), documents)
    lines = [json.dumps({"_id": f"d{row}", "text": text, "begins": text.split()[0]}) for row, text in enumerate(texts)]
    corpus.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def opened() -> Iterator[Browser]:
    """A browser without a window, which draws by software where there is no GPU."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        raise SystemExit("expected Chromium on the path, found none")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser
        browser.close()


def visited(browser: Browser, url: str, seconds: float, shots: Path | None) -> Figures:
    """What one who opens a service that has just been started meets, in order."""
    figures: Figures = {}
    with page_of(browser, url) as page:
        figures["page_s"] = when(page, "usable") / 1000
        figures["page_kib"] = moved(page)
    with page_of(browser, f"{url}/#/map") as page:
        figures["first_map_s"] = when(page, "shown") / 1000
        page.evaluate("idle()")
        figures.update(named("pan_with_umap", gesture(page, lambda: panned(page, seconds))))
    end_umap()
    figures.update(answers(url))
    with page_of(browser, f"{url}/#/map") as page:
        figures["map_s"] = when(page, "shown") / 1000
        page.evaluate("idle()")
        figures["map_kib"] = moved(page)
        photographed(page, shots, "map")
        figures.update(named("pan", gesture(page, lambda: panned(page, seconds))))
        figures.update(named("zoom", gesture(page, lambda: zoomed(page, seconds))))
        figures["ground_frames_per_s"] = page.evaluate("seconds => ground(seconds)", seconds)
        page.reload()
        when(page, "shown")
        figures.update(hovered(page))
        for by in ("cluster", "begins"):
            figures[f"colour_by_{by.replace('begins', 'field')}_ms"] = page.evaluate("by => coloured(by)", by)
            photographed(page, shots, by)
        figures["light_ms"], figures["light_texts_ms"] = page.evaluate("query => lit(query)", SOUGHT)
        photographed(page, shots, "light")
        figures.update(lassoed(page))
        photographed(page, shots, "lasso")
    return figures


@contextmanager
def page_of(browser: Browser, url: str) -> Iterator[Page]:
    """A page with nothing cached."""
    context = browser.new_context(viewport=VIEWPORT)
    context.add_init_script(path=WATCH)
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(url)
    yield page
    context.close()


def when(page: Page, what: str) -> float:
    """Milliseconds from the begin of the navigation until the page was so."""
    return float(page.evaluate("what => reached(what)", what))


def moved(page: Page) -> float:
    """KiB that the page was sent, headers included."""
    kinds = "['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))"
    return float(page.evaluate(f"{kinds}.reduce((sum, one) => sum + one.transferSize, 0)")) / 1024


def gesture(page: Page, act: Callable[[], None], frames: str = "drawn") -> Figures:
    """Frames while something is done, how long the page's scripts run in each, and requests.

    Args:
        frames: "drawn", those with points to draw, or "ticks", all.
    """
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    page.evaluate("recorded()")
    before = scripts(session.send("Performance.getMetrics"))
    act()
    took = scripts(session.send("Performance.getMetrics")) - before
    found = page.evaluate("ended()")
    between = np.diff(found[frames])
    return {"frames_per_s": len(between) / found["seconds"], "frame_ms": float(np.median(between)),
            "p95_ms": float(np.percentile(between, 95)), "script_ms": 1000 * took / len(between),
            "asked": float(found["asked"])}  # fmt: skip


def scripts(answer: Mapping[str, Any]) -> float:
    """Seconds that the page's scripts have run."""
    return float(next(one["value"] for one in answer["metrics"] if one["name"] == "ScriptDuration"))


def panned(page: Page, seconds: float) -> None:
    """The map is dragged in circles."""
    across, down = middle(page)
    page.mouse.move(across, down)
    page.mouse.down()
    end, step = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        step += 1
        page.mouse.move(across + 150 * sin(step / 10), down + 100 * cos(step / 10))
    page.mouse.up()


def zoomed(page: Page, seconds: float) -> None:
    """The wheel is turned forth and back, up to 20 times as near."""
    page.mouse.move(*middle(page))
    end, step = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        step += 1
        page.mouse.wheel(0, -30 if step % 40 < 20 else 30)


def hovered(page: Page) -> Figures:
    """Milliseconds from the pointer's move to a text: the first after none was shown, and the next."""
    across, down = middle(page)
    first, following = [], []
    for place in range(PLACES):
        page.mouse.move(5, 5)
        page.wait_for_timeout(600)
        for found, far in ((first, 10), (following, 60)):
            angle = 2 * pi * place / PLACES
            page.mouse.move(across + far * cos(angle), down + far * sin(angle))
            page.wait_for_timeout(700)
            took = page.evaluate("watched.told - watched.pointed")
            if took > 0:
                found.append(took)
    return {name: statistics.median(found) for name, found in (("hover_ms", first), ("next_hover_ms", following))
            if found}  # fmt: skip


def lassoed(page: Page) -> Figures:
    """A lasso around the middle: frames while it is drawn, requests, and when the texts are there."""
    across, down = middle(page)
    page.get_by_title("lasso", exact=False).first.click()

    def drawn() -> None:
        page.mouse.move(across + 150, down)
        page.mouse.down()
        for step in range(1, MOVES + 1):
            angle = 2 * pi * step / MOVES
            page.mouse.move(across + 150 * cos(angle), down + 150 * sin(angle))
        page.mouse.up()

    figures = named("lasso", gesture(page, drawn, "ticks"))
    figures["lasso_texts_ms"] = page.evaluate("listed()")
    return figures


def middle(page: Page) -> tuple[float, float]:
    """Of the map."""
    box = page.locator(".canvas").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def answers(url: str) -> Figures:
    """Milliseconds of the service's own answers, medians of five."""
    paths = {"places": "places", "ids": "ids", "cluster": "colours?by=cluster", "field": "colours?by=begins",
             "point": "points/7"}  # fmt: skip
    return {f"{name}_answer_ms": 1000 * statistics.median(measure.timed(lambda path=path: read(f"{url}/map/{path}"))[0]
            for _ in range(5)) for name, path in paths.items()}  # fmt: skip


def read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as found:
        return bytes(found.read())


def end_umap() -> None:
    """End the process that UMAP runs in, so that the places stay those by principal components."""
    for process in children(os.getpid()):
        for child in children(process):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGTERM)


def children(process: int) -> list[int]:
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for found in lists for child in found.read_text().split()]


def drawer_of(browser: Browser) -> str:
    """What draws."""
    page = browser.new_page()
    return str(page.evaluate(
        "(gl => gl.getParameter(gl.getExtension('WEBGL_debug_renderer_info').UNMASKED_RENDERER_WEBGL))"
        "(document.createElement('canvas').getContext('webgl2'))"
    ))  # fmt: skip


def photographed(page: Page, shots: Path | None, name: str) -> None:
    if shots is not None:
        shots.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=shots / f"{name}.png")


def named(what: str, figures: Figures) -> Figures:
    return {f"{what}_{name}": value for name, value in figures.items()}


def medians(found: list[Figures]) -> Figures:
    """Over the repeats."""
    return {name: measure.median([one for one in found if name in one], name) for name in found[0]}


if __name__ == "__main__":
    main()
