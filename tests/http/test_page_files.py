"""The web page's files over HTTP: what is served, with which headers, and nothing beside them."""

import re
from importlib import resources

import pytest

from ryu_apps.northbound.page_calls import FILES
from tests.http.rest_harness import RestController

FOLDER = resources.files("ryu_apps.northbound").joinpath("page")


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    controller = RestController(tmp_path_factory.mktemp("state"))
    yield controller
    controller.kill()


def paths():
    return ["/", *(f"/page/{name}" for name in sorted(FILES))]


@pytest.mark.parametrize("path", paths())
def test_each_file_comes_as_it_is_without_a_token(controller, path):
    answer = controller.get(path, role=None)
    assert answer.status == 200
    assert answer.body == FOLDER.joinpath(path.rpartition("/")[2] or "index.html").read_bytes()
    policy = dict(
        part.partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split("; ")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", paths())
def test_what_the_browser_has_is_not_sent_again(controller, path):
    tag = controller.get(path, role=None).headers["ETag"]
    again = controller.get(path, headers={"If-None-Match": tag}, role=None)
    assert (again.status, again.body) == (304, b"")
    assert "default-src 'none'" in again.headers["Content-Security-Policy"]
    other = controller.get(path, headers={"If-None-Match": '"another"'}, role=None)
    assert other.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/..",
        "/page/../page_calls.py",
        "/page/..%2fpage_calls.py",
        "/page/%2e%2e/page_calls.py",
        "/page/..%5cpage_calls.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/app.js%00",
        "/page/APP.JS",
        "/page/__init__.py",
        "/index.html",
    ],
)
def test_no_path_leads_anywhere_else(controller, path):
    answer = controller.get(path, role=None)
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_page_is_read_only(controller):
    for method in ("POST", "PUT", "DELETE"):
        assert controller.request(method, "/", role="admin").status == 405


def test_every_file_of_the_folder_is_served():
    assert set(FILES) == {entry.name for entry in FOLDER.iterdir()}


SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment"
    r"|\beval\b|new Function|setHTML|srcdoc|localStorage\.setItem\([^)]*oken|document\.cookie"
)


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_file_has_a_way_from_text_to_markup_or_from_outside(name):
    """What is shown becomes text nodes and nothing else; nothing is loaded from elsewhere."""
    text = FILES[name].body.decode()
    assert SINKS.findall(text) == []
    outside = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text)
    assert [found for found in outside if "www.w3.org" not in found] == []
    assert not re.search(r"\son\w+\s*=\s*[\"']|\sstyle\s*=\s*[\"']|javascript:", text)


def test_the_guard_against_markup_sees_some():
    assert SINKS.search("cell.innerHTML = name")
