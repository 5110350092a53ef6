"""Every hostile text in the page and the reports of a real browser, in one session: shown as it is, and never more."""

import shutil

import pytest
from serving_texts import RUN, opened
from texts import MARKUP, PAYLOADS, TEMPLATES, documents, group

from chromium import NAMES, QUIET
from nearfar.report.contents import Estimate, Example, Hit, ReportData
from nearfar.report.html import write_report
from serving import serving

pytestmark = pytest.mark.browser
FOREIGN = (
    "script, img, iframe, object, embed, form:not([role=search], .vega-bindings), base, link, meta, style, video, "
    "math, template, a:not([href^='#'])"
)
ASK = """given => {
    const asked = new URLSearchParams({ q: given, filter: given, why: given, similar: "" });
    location.hash = `#/search?${asked}`;
}"""
GROUPS = -(-len(PAYLOADS) // 10)


@pytest.fixture(scope="module")
def page(texts_run, tmp_path_factory):
    """A page of which every script's error, dialog and request to elsewhere is kept."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    run = shutil.copytree(texts_run.parent, tmp_path_factory.mktemp("browsed") / "runs") / texts_run.name
    with serving(opened(run)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *QUIET])
        made = browser.new_page()
        made.faults, made.url_of = [], url
        made.on("dialog", lambda dialog: (made.faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
        made.on("pageerror", lambda error: made.faults.append(f"error {error}"))
        made.on("request", lambda sent: made.faults.append(sent.url) if not own(sent.url, url) else None)
        made.set_default_timeout(30_000)
        yield made
        browser.close()


def own(address, url):
    return address.startswith((url + "/", "blob:", "data:", "file:", "about:"))


def checked(page, inside="main"):
    """Nothing ran, nothing was asked for elsewhere, nothing of a text became an element."""
    assert page.evaluate("window.__pwned") is None
    assert page.faults == []
    assert page.eval_on_selector_all(f"{inside} :is({FOREIGN})", "all => all.map(one => one.outerHTML)") == []
    return page


def test_every_text_is_shown_as_it_is(page):
    page.goto(page.url_of)
    for name in ("hybrid", "dense"):
        page.get_by_role("checkbox", name=name, exact=True).uncheck()
    shown = {}
    for number in range(GROUPS):
        page.fill("#query", group(number))
        page.wait_for_selector(f"[data-name='lexical'] .hit mark >> text={group(number)}")
        page.wait_for_selector(".columns[aria-busy='false']")
        cards = "cards => cards.map(card => [card.dataset.id, card.querySelector('.text').textContent])"
        shown |= dict(page.eval_on_selector_all("[data-name='lexical'] .hit", cards))
        page.locator("[data-name='lexical'] .hit .id").first.click()  # where is it
        page.wait_for_selector(".lost")
        checked(page)
        page.fill("#why", "")
    assert shown == {one["id"]: one["text"] for one in documents()}
    assert page.title() == "nearfar"


def test_a_click_on_a_hostile_value_is_a_filter_for_it(page):
    for number in range(0, GROUPS, 6):
        page.goto(f"{page.url_of}/#/search?q={group(number)}")
        page.wait_for_selector(f"[data-name='lexical'] .hit mark >> text={group(number)}")
        label = page.locator("[data-name='lexical'] button.label", has_text="author name").first
        if label.count():
            label.click()
            page.wait_for_selector(".chip")
            page.wait_for_selector(".columns[aria-busy='false']")
            assert page.locator("[data-name='lexical'] .hit").count() == 1
            assert page.inner_text(".fault") == ""
        checked(page)


def test_hostile_words_in_the_address_are_words(page):
    for text in (*MARKUP[:5], *TEMPLATES[:3]):
        page.goto(page.url_of)
        page.evaluate(ASK, text)
        page.wait_for_selector(".fault:not(:empty)")
        assert page.input_value("#query") == text
        checked(page)
    for view in ("__proto__", "constructor", "toString", "<img src=x>"):
        page.goto(f"{page.url_of}/#/{view}")
        page.reload()
        page.wait_for_selector("nav a[data-view=search]")
        checked(page)


def test_hostile_runs_are_only_names(page):
    page.goto(f"{page.url_of}/#/runs")
    page.wait_for_selector("table a")
    assert RUN in page.eval_on_selector_all("table a", "links => links.map(link => link.textContent)")
    checked(page)
    for name in (RUN, "going"):
        page.goto(page.url_of)
        page.evaluate("name => { location.hash = `#/runs/${encodeURIComponent(name)}` }", name)
        page.wait_for_selector(".figure svg path")
        assert page.inner_text("h1") == name
        checked(page)


def test_a_report_of_hostile_texts_is_a_report(page, tmp_path):
    hits = tuple(Hit(text, relevant=bool(number % 2)) for number, text in enumerate(PAYLOADS))
    estimate = Estimate(0.5, 0.4, 0.6)
    won, facts = (Example(MARKUP[4], hits, hits, 0.1, 0.9),), {text: text for text in PAYLOADS}
    systems = {MARKUP[2]: {TEMPLATES[0]: estimate}}
    data = ReportData(MARKUP[0], MARKUP[1], systems, notices=tuple(PAYLOADS), won=won, facts=facts)
    write_report(data, tmp_path / "report.html")
    page.goto((tmp_path / "report.html").as_uri())
    page.wait_for_selector("dl dt")
    assert page.title() == MARKUP[0]
    given = page.eval_on_selector_all("ul li", "items => items.map(item => item.textContent)")
    assert len(given) == len(PAYLOADS)
    same = [text for text, shown in zip(PAYLOADS, given, strict=True) if shown == text]
    odd = [text for text, shown in zip(PAYLOADS, given, strict=True) if shown != text]
    assert all(any(sign in text for sign in "\r\0") or len(text) > 1000 for text in odd), odd[:3]
    assert len(same) > 200
    checked(page)
