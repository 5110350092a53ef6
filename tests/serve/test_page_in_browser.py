"""The page as people use it, in a real browser."""

import json
import re
import shutil

import pytest

from chromium import NAMES, QUIET
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.pipeline import indexing
from nearfar.serve.config import ServeConfig
from nearfar.serve.judgments import Judgments
from nearfar.serve.service import Service
from serving import serving
from shown_runs import HOSTILE, measured, started
from tiny_models import sentences, tiny_static

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Documents of which some would be markup, in every field."""
    folder = tmp_path_factory.mktemp("page") / "small"
    folder.mkdir()
    save_encoder(tiny_static(), folder / "model", card="")
    lines = [{"_id": f"d{n}", "text": text, "year": 2000 + n % 20, "author name": 'A "B" \\ C', "tags": ["x", "y"]}
             for n, text in enumerate(sentences(100))]  # fmt: skip
    lines += [{"_id": f"h{n} {text}", "text": f"hostile number {text} café 𝒳 house", "year": 2000, "author name": text,
               "tags": [text]} for n, text in enumerate(HOSTILE)]  # fmt: skip
    (folder / "documents.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    indexing.build(str(folder / "documents.jsonl"), folder / "model", folder / "index")
    return folder


@pytest.fixture(scope="module")
def url(folder):
    service = Service.open(folder, ServeConfig(), policy=Policy())
    service.base = Service.open(folder, ServeConfig(), policy=Policy())
    service.judgments = Judgments.open(folder / "judged")
    service.runs = folder.parent
    started(folder.parent / "going")
    measured(folder, 0.0)
    measured(folder.parent / "next", 0.1)
    with serving(service) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--enable-unsafe-swiftshader", *QUIET[1:]]
        )  # QUIET[0] would take WebGL away
        yield opened
        opened.close()


def is_fault(said):
    known = "status of 422", "WebGPU"  # an unfinished filter is answered so; the map then draws by WebGL 2
    return said.type == "error" and not any(part in said.text for part in known)


@pytest.fixture
def page(browser, url):
    """The page, whose errors and refused contents fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened, faults = context.new_page(), []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda said: faults.append(said.text) if is_fault(said) else None)
    opened.set_default_timeout(30_000)
    opened.goto(url)
    yield opened
    context.close()
    assert faults == []


def ask(page, query):
    page.fill("#query", query)
    settle(page)


def settle(page):
    page.wait_for_selector(".columns[aria-busy='false']")


def ids(page, column):
    return page.eval_on_selector_all(f"[data-name='{column}'] .hit", "items => items.map(item => item.dataset.id)")


def test_results_come_as_one_types_and_are_those_of_the_service(page, url):
    page.wait_for_selector("#query:focus")
    page.type("#query", "open file", delay=20)
    page.wait_for_selector(".hit")
    settle(page)
    said = page.request.post(f"{url}/search", data={"query": "open file", "mode": "hybrid"}).json()
    assert ids(page, "hybrid") == [hit["id"] for hit in said["hits"]]
    assert ids(page, "dense") == ids(page, "base dense")
    marked = page.eval_on_selector_all("[data-name='hybrid'] mark", "marks => marks.map(mark => mark.textContent)")
    assert set(marked) == {"open", "file"}
    page.get_by_role("checkbox", name="lexical", exact=True).check()
    page.wait_for_selector("[data-name='lexical'] .hit")
    page.get_by_role("checkbox", name="base dense", exact=True).uncheck()
    page.wait_for_selector("[data-name='base dense']", state="detached")
    page.reload()
    page.wait_for_selector("[data-name='lexical'] .hit")
    assert page.input_value("#query") == "open file"


def test_clicked_values_become_a_filter(page):
    ask(page, "house")
    for field, value in (("tags", "x"), ("author name", 'A "B" \\ C')):
        page.locator(".label", has_text=value).filter(has_text=field).first.click()
        settle(page)
    assert page.input_value("#filter") == 'tags has "x" and `author name` = "A \\"B\\" \\\\ C"'
    assert page.inner_text(".fault") == ""
    assert all(id_.startswith("d") for id_ in ids(page, "hybrid"))
    page.locator(".chip").first.click()
    assert page.input_value("#filter") == '`author name` = "A \\"B\\" \\\\ C"'
    page.fill("#filter", "year = 2003 or year = 2004")
    settle(page)
    assert page.inner_text(".chip") == "year = 2003 or year = 2004 ×"
    page.locator(".label", has_text="2003").first.click()
    assert page.input_value("#filter") == "(year = 2003 or year = 2004) and year = 2003"
    page.fill("#filter", "year >")
    settle(page)
    assert "filter, character 7" in page.inner_text(".fault")


def test_hostile_documents_are_only_text(page):
    ask(page, "hostile")
    page.get_by_role("checkbox", name="lexical", exact=True).check()
    page.wait_for_selector("[data-name='lexical'] .hit")
    settle(page)
    texts = page.eval_on_selector_all("[data-name='lexical'] .text", "items => items.map(item => item.textContent)")
    assert sorted(texts) == sorted(f"hostile number {text} café 𝒳 house" for text in HOSTILE)
    for number in range(len(HOSTILE)):
        page.locator("[data-name='lexical'] .hit .id").nth(number).click()
        page.wait_for_selector(".lost.is-found")
    assert page.locator("main :is(img, script, iframe, svg, b:not(.lost b), i)").count() == 0
    assert page.title() == "nearfar"
    ask(page, "house")  # the last of a text with signs beyond the first plane, by its place in it
    marks = page.eval_on_selector_all("mark", "marks => marks.map(mark => mark.textContent)")
    assert set(marks) == {"house"}


def test_the_keyboard_is_enough(page, folder):
    ask(page, "river light")
    page.keyboard.press("ArrowDown")
    first = page.evaluate("document.activeElement.dataset.id")
    assert first == ids(page, "dense")[0]
    page.keyboard.press("y")
    page.wait_for_selector(f".hit[data-id='{first}'][data-mark='good']")
    page.keyboard.press("j")
    second = page.evaluate("document.activeElement.dataset.id")
    page.keyboard.press("n")
    page.wait_for_selector(f".hit[data-id='{second}'][data-mark='bad']")
    page.keyboard.press("l")
    assert page.evaluate("document.activeElement.closest('.column').dataset.name") == "hybrid"
    assert Judgments.open(folder / "judged").of("river light") == {first: True, second: False}
    page.reload()
    page.wait_for_selector(f".hit[data-id='{second}'][data-mark='bad']")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("y")
    page.wait_for_selector(f".hit[data-id='{first}'][data-mark='']")
    page.keyboard.press("s")
    page.wait_for_selector("[data-name='nearest, model'] .hit")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "query"


def test_the_map_shows_texts_and_what_a_lasso_holds(page, url):
    page.goto(f"{url}/#/map")
    page.wait_for_selector(".map canvas")
    page.wait_for_selector(".legend li:has-text('document')")
    box = page.locator(".canvas").bounding_box()
    for place in range(100):  # a text comes a moment after the pointer rests near a point
        across, down = 0.3 + place % 10 / 25, 0.3 + place // 10 / 25
        page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
        page.wait_for_timeout(60)
        if page.locator(".tip").count():
            break
    assert " number " in page.inner_text(".tip", timeout=1000)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/map/points/" in request.url else None)
    page.get_by_title("Toggle rectangle", exact=False).click()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] - 40, steps=5)
    page.mouse.up()
    page.wait_for_selector(".held li a")
    assert re.fullmatch(r"\d+ points inside", page.inner_text(".held h2"))
    assert len(asked) == page.locator(".held li").count(), "texts are asked for once, when the pointer rests"
    page.select_option("#by", "finding")
    page.wait_for_selector(".legend li:has-text('collapse')")
    page.wait_for_selector(".held h2:has-text('3 in examples of the doctor')")
    page.wait_for_selector(".held li:has-text('how is it done')")
    page.select_option("#by", "year")
    page.wait_for_selector(".legend li:has-text('2000')")
    page.fill("#light", "hostile number")
    page.keyboard.press("Enter")
    page.wait_for_selector(".held h2:has-text('of the first 50 results are on the map')")
    page.wait_for_selector(".held li:has-text('onerror')")
    assert page.locator("main :is(img, script, iframe, svg[onload])").count() == 0


def test_a_run_that_trains_is_seen_to_go_on(page, url, folder):
    page.goto(f"{url}/#/runs")
    page.click("a[href='#/runs/going']")
    page.wait_for_selector(".figure svg path")
    line = ".figure svg .mark-line path"
    before = page.get_attribute(line, "d")
    with (folder.parent / "going" / "curves.jsonl").open("a") as file:
        file.write('{"step": 4, "train/loss": 0.25}\n')
    page.wait_for_selector(f"{line}:not([d='{before}'])")
    assert page.get_attribute(line, "d").count("L") == before.count("L") + 1


def test_findings_can_be_copied_and_codes_are_drawn(page, url):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{url}/#/runs/next")
    page.wait_for_selector(".figure svg .mark-symbol path")
    assert page.inner_text(".finding summary") == f"fail collapse {HOSTILE[0]}"
    assert page.inner_text(".finding .fix p") == HOSTILE[2]
    assert page.inner_text(".example pre") == HOSTILE[1]
    assert page.inner_text(".finding tbody tr").split() == ["spread", "0.2", "≤", "0.8", "≤", "0.5"]
    page.get_by_role("button", name="Copy the YAML").click()
    page.wait_for_selector(".live.shown")
    assert page.evaluate("navigator.clipboard.readText()") == "train:\n  temperature: 0.05"
    assert page.locator("td.ok").all_inner_texts() == ["58.0 % (40.0 to 90.0)", "66.0 % (40.0 to 90.0)"]
    assert page.locator("main :is(img, script, iframe)").count() == 0


def test_two_runs_that_are_ticked_are_compared(page, url):
    page.goto(f"{url}/#/runs")
    compare = page.get_by_role("button", name="Compare the two that are ticked")
    page.get_by_role("checkbox", name="compare next").check()
    assert compare.is_disabled()
    page.get_by_role("checkbox", name="compare small").check()
    compare.click()
    page.wait_for_selector(".figure svg .mark-symbol path")
    assert page.inner_text(".verdict") == "next is better than small by nDCG@10."
    assert page.inner_text("tbody tr").split("\t")[3:5] == ["+0.100 (+0.100 to +0.100)", "< 0.001"]


def test_a_report_is_drawn_and_can_ask_for_nothing(page, url, folder):
    (folder.parent / "going" / "report.html").write_text(
        "<!doctype html><p id=said></p><script>said.textContent = 'drawn'; fetch('/about').then("
        "() => { said.textContent = 'asked'; }, () => { said.textContent += ', refused'; })</script>"
    )
    said = page.context.new_page()
    said.goto(f"{url}/runs/going/report.html")
    said.wait_for_selector("text=drawn, refused")
    assert said.evaluate("origin") == "null"


def test_it_fits_a_telephone_and_asks_for_its_key_where_it_needs_one(browser, folder):
    from nearfar.serve import app

    made = app.app_of
    key = "a key that is long enough"
    service = Service.open(folder, ServeConfig(), policy=Policy())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serving.app_of", lambda service: made(service, key))
        with serving(service) as url:
            context = browser.new_context(viewport={"width": 360, "height": 740})
            page = context.new_page()
            page.goto(url)
            page.fill("#key", key)
            page.keyboard.press("Enter")
            ask(page, "open file")
            assert page.evaluate("document.documentElement.scrollWidth") == 360
            assert page.locator(".column").count() == 1
            context.close()
