"""`make docs`: the site is whole, leads to every page, and loads nothing from elsewhere.

What the build is to refuse is refused here, on a page or two with the same settings.
"""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEMPLATES = "*.in.md"
PAGES = sorted(page for page in DOCS.rglob("*.md") if not page.match(TEMPLATES))

# The rule of the Makefile, its words after the Python.
_RULE = re.compile(
    r"^docs:.*\n\t@\.venv/bin/python (-m sphinx .*) docs \.build/docs$", re.MULTILINE
)


def build(docs: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """What `make docs` does, of another folder and into another."""
    rule = _RULE.search((ROOT / "Makefile").read_text(encoding="utf-8"))
    assert rule is not None
    command = [sys.executable, *rule[1].split(), str(docs), str(site)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built."""
    folder = tmp_path_factory.mktemp("site")
    done = build(DOCS, folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


class Loads(HTMLParser):
    """What a browser fetches by itself for a page, and where the page's links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.add(given.get("href", "").partition("#")[0])
            return
        self.loads += [given[name] for name in ("src", "srcset", "data", "poster") if name in given]
        if tag == "link":
            self.loads.append(given.get("href", ""))
        self.loads += re.findall(r"url\(([^)]*)\)", given.get("style", ""))


def read(text: str) -> Loads:
    loads = Loads()
    loads.feed(text)
    return loads


def is_outside(address: str) -> bool:
    return re.match(r"[\"']?(?:[a-z]+:)?//", address) is not None


def test_every_page_is_in_the_navigation(site: Path) -> None:
    links = read((site / "index.html").read_text(encoding="utf-8")).links
    named = {str(page.relative_to(DOCS).with_suffix(".html")) for page in PAGES} - {"index.html"}
    assert named - links == set()
    assert all((site / name).is_file() for name in named)


def test_options_are_shown_as_they_are_typed(site: Path) -> None:
    """In prose too: two hyphens are not made a dash."""
    assert "with host-setup --check" in (site / "commands.html").read_text(encoding="utf-8")


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    loaded = {
        (str(page.relative_to(site)), address)
        for page in site.rglob("*.html")
        for address in read(page.read_text(encoding="utf-8")).loads
    }
    assert len(loaded) > len(PAGES)
    assert {each for each in loaded if is_outside(each[1])} == set()
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        addresses = re.findall(r"(?:url\(|@import\s+)([^);]+)", text)
        assert [each for each in addresses if is_outside(each)] == [], style
    for script in site.rglob("*.js"):
        text = script.read_text(encoding="utf-8")
        found = re.findall(r"(?:fetch|import|importScripts|open)\(\s*[\"'`](?:https?:)?//", text)
        assert found == [], script


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link href="//fonts.example/css">',
        '<p style="background: url(http://x.example/y)">',
        '<img src="http://x.example/y.png">',
    ],
)
def test_what_comes_from_elsewhere_is_noticed(page: str) -> None:
    assert any(is_outside(each) for each in read(page).loads)


# A line of a page, and what the build says of it.
FAULTS = {
    "[x](no.md)": "'no.md'",
    "[x](#not-here)": "'not-here'",
    "[x](index.md#not-there)": "'not-there'",
    "![x](images/no.png)": "images/no.png",
}


def test_faults_fail_the_build(tmp_path: Path) -> None:
    """Each is told of, with its line; the same pages without them are built."""
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(DOCS / "conf.py", docs)
    (docs / "index.md").write_text("# I\n\n[a](a.md#a)\n\n```{toctree}\na\n```\n")
    page = docs / "a.md"
    page.write_text("# A\n")
    sound = build(docs, tmp_path / "sound")
    assert (sound.returncode, sound.stderr) == (0, "")
    page.write_text("\n\n".join(["# A", *FAULTS]) + "\n")
    (docs / "forgotten.md").write_text("# Forgotten\n")
    faulty = build(docs, tmp_path / "faulty")
    assert faulty.returncode != 0
    for number, said in enumerate(FAULTS.values()):
        pattern = rf"a\.md:{3 + 2 * number}: WARNING: .*{re.escape(said)}"
        assert re.search(pattern, faulty.stderr), (said, faulty.stderr)
    assert re.search(r"forgotten\.md: WARNING: .*toctree", faulty.stderr), faulty.stderr


def test_the_readme_leads_to_what_there_is() -> None:
    targets = re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert "docs/tutorial.md" in targets
    assert [each for each in targets if "://" not in each and not (ROOT / each).exists()] == []
