"""docs/scale.md is worked out from what was measured, and from nothing that was copied by hand."""

import copy
import re
import statistics

import pytest

from bench import scale
from bench.report import FOLDER, Report
from bench.slopes import line

USED = [
    "etcd's file, a droplet",
    "memory of a member of etcd, a droplet",
    "memory of a controller, a droplet",
    "memory of a controller with no droplet",
    "memory of a controller, a switch",
    "registry writes",
    "news of a write to each controller",
    "etcd's file, a write until compaction",
    "all have their flows, a switch",
    "processor of all controllers to lead a switch",
    "a leader dies: the first of its switches led again",
    "a leader dies: every switch more",
    "import at three controllers",
]
NO_FIGURES = {"507", "ams3"}
"""What has digits in the template and is no figure: a status, a name."""


@pytest.fixture
def report():
    (found,) = Report.load_all(["region"], FOLDER)
    return found


def test_the_template_has_no_figure():
    words = re.findall(r"\w*\d\w*", re.sub(r"\{\w+\}", "", scale.TEMPLATE.read_text()))
    assert set(words) <= NO_FIGURES


@pytest.mark.parametrize("name", USED)
def test_what_is_worked_out_follows_each_figure(report, name):
    before = scale.page(report).partition("## Worked out")[2]
    changed = copy.deepcopy(report)
    place = next(n for n, each in enumerate(changed.figures) if each.name == name)
    figure = changed.figures[place]
    changed.figures[place] = type(figure)(name, figure.value * 7 + 3, figure.unit, figure.note)
    assert scale.page(changed).partition("## Worked out")[2] != before
    del changed.figures[place]
    with pytest.raises(KeyError):
        scale.page(changed)


def test_every_figure_is_told(report):
    told = scale.page(report)
    assert all(f"| {figure.name} |" in told for figure in report.figures)


def test_a_data_centre_is_a_part_of_the_region(report):
    slopes = scale.Slopes.of(report)
    whole, part = scale.Paper(slopes, 1300), scale.Paper(slopes, 100)
    assert part.file == pytest.approx(whole.file / 13)
    assert part.storm == pytest.approx(whole.storm / 13)
    # What a controller needs at the least, and how long a lease lasts, are not divided.
    assert part.memory - slopes.nothing == pytest.approx((whole.memory - slopes.nothing) / 13)
    assert part.lost - slopes.lease == pytest.approx((whole.lost - slopes.lease) / 13)


def test_a_line_goes_through_points_that_are_on_one():
    assert line([(0, 1), (10, 21), (20, 41)]) == (2, 1, 1)
    assert line([(1, 5), (2, 5)]) == (0, 5, 1)
    assert line([(0, 0), (1, 1), (2, 0)]).fit < 0.1
    with pytest.raises(statistics.StatisticsError):
        line([(1, 2), (1, 3)])
