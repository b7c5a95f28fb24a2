"""The web page for who uses it: by keyboard, by ear, on a phone, by night; with 10,000 droplets.

With OVS_METADATA_SCREENSHOTS=FOLDER in the environment it leaves the pictures of docs/web-page.md
there.
"""

import os
import time
from pathlib import Path

import pytest

from tests.browser.conftest import cloud
from tests.browser.scene import BROKEN, FIRST, HEALTHY
from tests.http.rest_harness import DPID_TEXT, droplet

pytestmark = pytest.mark.slow

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
VIEWS = ["", "droplets", f"droplets/{HEALTHY}", f"droplets/{BROKEN}", "switches"]
VIEWS += [f"switches/{DPID_TEXT}"]
MANY = 10_000


@pytest.fixture(scope="module")
def tidy(tmp_path_factory):
    """A controller without hostile names."""
    with cloud(tmp_path_factory.mktemp("state"), 14) as controller:
        yield controller


def picture(tab, name):
    """Leave a picture of the tab, where one is asked for."""
    if folder := os.environ.get("OVS_METADATA_SCREENSHOTS"):
        tab.page.mouse.move(0, 0)
        tab.page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")


# -- looks -----------------------------------------------------------------------------------------

CONTRAST = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const rgba = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
    const ground = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const sheet = e.closest('g')?.querySelector('rect');
            const color = rgba(sheet ? getComputedStyle(sheet).fill
                : getComputedStyle(e).backgroundColor);
            if (color[3] === 1) return color;
        }
        return rgba('white');
    };
    const poor = [];
    for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (!own || !e.checkVisibility() || e.closest('.hidden, .skip')) continue;
        const style = getComputedStyle(e);
        const text = rgba(e.ownerSVGElement ? style.fill : style.color);
        const [high, low] = [light(text), light(ground(e))].sort((a, b) => b - a);
        const ratio = (high + 0.05) / (low + 0.05);
        if (ratio < 4.5) poor.push(`${e.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_by_day_and_night(open_tab, tidy, scheme):
    """WCAG 2.2, 1.4.3: a contrast of 4.5 to 1."""
    tab = open_tab(tidy, color_scheme=scheme, **DESKTOP)
    tab.page.goto(tab.origin)
    tab.page.wait_for_selector("#token:visible")
    assert tab.page.evaluate(CONTRAST) == []
    tab.sign_in()
    for view in VIEWS:
        tab.open(view)
        assert tab.page.evaluate(CONTRAST) == [], view
        if view in PICTURES:
            picture(tab, f"{PICTURES[view]}-{scheme}")


PICTURES = {"": "not-served", f"droplets/{HEALTHY}": "droplet", f"switches/{DPID_TEXT}": "switch"}


def test_the_measure_of_contrast_sees_some(open_tab, tidy):
    tab = open_tab(tidy).sign_in()
    tab.page.evaluate("document.querySelector('main h1').style.color = '#999'")
    assert len(tab.page.evaluate(CONTRAST)) == 1


def test_the_theme_can_be_chosen_and_stays(open_tab, tidy):
    tab = open_tab(tidy, color_scheme="light", **DESKTOP).sign_in()
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    by_day = tab.page.evaluate(ground)
    tab.page.click("#theme")
    tab.page.click("#theme")
    assert tab.text("#theme") == "Theme: dark"
    by_night = tab.page.evaluate(ground)
    assert by_night != by_day
    tab.page.reload()
    tab.page.wait_for_selector("main:not([aria-busy]) h1")
    assert tab.page.evaluate(ground) == by_night


def test_on_a_phone_nothing_is_wider_than_the_screen(open_tab, tidy):
    tab = open_tab(tidy, color_scheme="light", **PHONE).sign_in()
    for view in VIEWS:
        tab.open(view)
        width = tab.page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["viewport"]["width"], view
    tab.open("")
    picture(tab, "phone-light")


# -- by keyboard and by ear ------------------------------------------------------------------------


def focused(tab):
    script = "document.activeElement.getAttribute('href') || document.activeElement.id"
    return tab.page.evaluate(script)


def test_everything_is_reached_by_keyboard(open_tab, tidy):
    tab = open_tab(tidy, **DESKTOP)
    tab.page.goto(tab.origin)
    tab.page.wait_for_selector("#token:focus")
    tab.page.keyboard.type(tidy.tokens["admin"])
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("main:not([aria-busy]) h1")
    assert focused(tab) == "main"
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Tab")
    assert focused(tab) == f"#/droplets/{BROKEN}"
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector(f'main[data-at="#/droplets/{BROKEN}"]:not([aria-busy]) svg')
    tab.page.evaluate("document.activeElement.blur(); window.getSelection().removeAllRanges()")
    reached = []
    for _ in range(25):
        tab.page.keyboard.press("Tab")
        reached.append(focused(tab))
    assert {"#/droplets", "#/switches", "search", "theme", "logout"} <= set(reached)


def test_who_reads_is_not_thrown_out_by_news(open_tab, tidy):
    tab = open_tab(tidy, **DESKTOP).sign_in()
    tab.page.focus(f"main a[href='#/droplets/{BROKEN}']")
    tidy.put(1, droplet("tapnew"))
    tab.refresh()
    tab.page.wait_for_selector("main a[href='#/droplets/1']")
    assert focused(tab) == f"#/droplets/{BROKEN}"
    tidy.request("DELETE", "/v1/droplets/1")


def test_its_parts_have_names_and_roles(open_tab, tidy):
    tab = open_tab(tidy, **DESKTOP).sign_in()
    tab.open(f"droplets/{HEALTHY}")
    page = tab.page
    for role, name in (
        ("navigation", "Views"),
        ("searchbox", "Search droplets by id, port, address or hostname"),
        ("region", "Flows of the port"),
        ("table", "Ports it claims"),
        ("link", DPID_TEXT),
        ("button", "Sign out"),
    ):
        assert page.get_by_role(role, name=name).count() >= 1, (role, name)
    drawing = page.locator("svg[role=img]").get_attribute("aria-label")
    assert "Requests go out and replies come back" in drawing
    assert page.locator("main h1").count() == 1
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.get_attribute("nav a[aria-current=page]", "href") == "#/droplets"
    headers = page.get_by_role("columnheader").all_inner_texts()
    assert {"Flow", "Packets", "MAC"} <= set(headers)


# -- many ------------------------------------------------------------------------------------------


def test_with_10_000_droplets_a_view_stays_small(open_tab, tmp_path, capsys):
    """What a view costs does not depend on how many droplets there are: rows, elements, bytes."""
    with cloud(tmp_path, MANY) as controller:
        tab = open_tab(controller, color_scheme="light", **DESKTOP).sign_in()
        sizes = []
        tab.page.on("response", lambda each: sizes.append(each))
        measured = []
        for view in ("", "droplets", "droplets?q=web-12", f"switches/{DPID_TEXT}"):
            sizes.clear()
            tab.open("switches")
            began = time.monotonic()
            tab.open(view)
            seconds = time.monotonic() - began
            told = [each for each in sizes if "/v1/" in each.url]
            size = sum(len(each.body()) for each in told)
            elements = tab.page.evaluate("document.querySelectorAll('*').length")
            heap = tab.page.evaluate("performance.memory.usedJSHeapSize") // 1000
            measured.append(f"#/{view}: {seconds:.2f} s, {size} B, {elements} elements, {heap} kB")
            assert tab.page.locator("main tbody tr").count() <= 100 + 12, view
            assert elements < 4000, view
            assert size < 100_000, view
        assert f"of {MANY:,} " in (tab.open("") or tab.text())
        tab.open("droplets")
        assert f"{MANY:,} droplets registered" in tab.text()
        picture(tab, "droplets-10000-light")
        tab.page.click("text=Next page")
        tab.page.wait_for_selector(f"main:not([aria-busy]) a[href='#/droplets/{FIRST + 100}']")
        assert tab.page.locator("main tbody tr").count() == 100
        tab.open(f"switches/{DPID_TEXT}?q=tap{FIRST + 9000}")
        assert tab.page.locator("[aria-label=Ports] tbody tr").count() == 1
        with capsys.disabled():
            print("", *measured, sep="\n  ")
