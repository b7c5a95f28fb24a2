"""docs/benchmarks.md and its plots are what `python -m bench --page` makes of what is kept."""

from bench import page
from bench.report import FOLDER


def test_page_and_plots_are_those_of_the_kept_results() -> None:
    for path, text in page.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: python -m bench --page"


def test_no_plot_is_there_that_nobody_makes() -> None:
    assert set(FOLDER.glob("*.svg")) <= set(page.pages())


def test_every_kept_result_is_in_the_page() -> None:
    told = page.PAGE.read_text(encoding="utf-8")
    for path in FOLDER.glob("*.json"):
        assert f"`python -m bench {path.stem}`" in told
