"""A real Chromium without a screen, and the controller whose page it opens.

Of every page opened here it is asked in the end that nothing went to another server, that the
content security policy was not offended, and that no script failed.
"""

import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright

from tests.browser import scene
from tests.http.rest_harness import RestController

# Without them Chromium, as root and without a network, refuses to start or asks around.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
COMMANDS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser():
    command = next(filter(None, map(shutil.which, COMMANDS)), None)
    assert command, f"none of {', '.join(COMMANDS)} is there: scripts/install-packages browser"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=command, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    controller = RestController(tmp_path_factory.mktemp("state"))
    scene.build(controller, hostile=True)
    yield controller
    controller.kill()


class Tab:
    """The page of a controller in a tab of its own."""

    def __init__(self, context, controller):
        self.page = context.new_page()
        self.controller = controller
        self.origin = f"http://127.0.0.1:{controller.port}"
        self.faults = []
        self.requests = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._said)
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("dialog", lambda dialog: self.faults.append(dialog.message) or dialog.accept())
        self.page.set_default_timeout(60_000)

    def _said(self, message):
        # Chromium's own note of an answer that is an error is no fault of the page.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(message.text)

    def open(self, view=""):
        """Go to a view and wait until it shows what the controller said."""
        self.page.goto(f"{self.origin}/#/{view}")
        self.page.wait_for_selector(f'main[data-at="#/{view}"]:not([aria-busy]) h1')

    def sign_in(self, role="admin", token=None):
        self.page.goto(f"{self.origin}/")
        self.page.fill("#token", token or self.controller.tokens[role])
        self.page.press("#token", "Enter")
        self.page.wait_for_selector("main:not([aria-busy]) h1")
        return self

    def refresh(self):
        """Have it ask now, as it does whenever its tab comes to the front."""
        self.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    def text(self, selector="main"):
        return self.page.inner_text(selector)

    def judge(self):
        assert self.faults == []
        outside = [each.url for each in self.requests if not each.url.startswith(self.origin + "/")]
        assert outside == []


@pytest.fixture
def open_tab(browser):
    """Opens tabs, and judges them at the test's end."""
    tabs = []

    def make(controller, **options):
        context = browser.new_context(**options)
        tabs.append(Tab(context, controller))
        return tabs[-1]

    yield make
    for tab in tabs:
        tab.page.context.close()
    for tab in tabs:
        tab.judge()


@contextmanager
def cloud(folder, count):
    """A controller with so many droplets."""
    controller = RestController(folder)
    try:
        scene.build(controller, count)
        yield controller
    finally:
        controller.kill()
