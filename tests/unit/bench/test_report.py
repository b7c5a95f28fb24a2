"""What benches find is judged, kept and told as it was found."""

import pytest

from bench import budgets, plots
from bench.report import Curve, Figure, Goal, Peer, Report, number, percentile, table

GOALS = [
    (Goal("slower", 1.01, 1.0), False),
    (Goal("at the limit", 1.0, 1.0), True),
    (Goal("faster", 0.1, 1.0), True),
    (Goal("enough", 300, 300, ">="), True),
    (Goal("too little", 0.49, 0.5, ">="), False),
]


@pytest.mark.parametrize(("goal", "met"), GOALS, ids=[goal.name for goal, _ in GOALS])
def test_goal_is_met_on_the_right_side_of_its_limit(goal: Goal, met: bool) -> None:
    assert goal.met is met
    assert goal.verdict == ("met" if met else "not met")


def test_unknown_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="'<'"):
        Goal("faster", 1, 1, "<")  # type: ignore[arg-type]


def report() -> Report:
    found = Report("some", "Some Bench", machine="2 cores", load=(0.5, 1.0), seconds=3, budget=10)
    found.goals = [goal for goal, _ in GOALS]
    found.figures = [Figure("memory", 40.5, "MiB", "of each")]
    found.peers = [Peer("nginx", "1.22.1")]
    found.curves = [Curve("flat", "droplets", "ms", {"ours": [(10.0, 1.0), (100.0, 1.1)]})]
    return found


def test_what_is_kept_is_what_is_read(tmp_path) -> None:
    report().save(tmp_path)
    (read,) = Report.load_all(["none", "some"], tmp_path)
    # JSON has no tuples: what is drawn and told is the same.
    assert plots.curve(read.curves[0]) == plots.curve(report().curves[0])
    read.curves = report().curves
    assert read == report()


def test_table_has_every_goal_with_its_verdict() -> None:
    lines = table([report(), report()]).splitlines()
    assert len(lines) == 2 * len(GOALS)
    assert [line.endswith("not met") for line in lines] == [not met for _, met in GOALS] * 2
    assert lines[3].split("  ")[1].strip() == "enough" and ">= 300 x" in lines[3]


def test_table_of_nothing_is_empty() -> None:
    assert table([]) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00012, "1.2e-04"), (0.5, "0.5"), (1.234, "1.23"), (1234567.8, "1,234,568")],
)
def test_numbers_are_told_in_three_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (1, 1), (0, 1)])
def test_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    assert percentile(range(100, 0, -1), percent) == value


def test_all_benches_together_stay_under_a_quarter_of_an_hour() -> None:
    assert sum(budgets.BUDGETS.values()) < 15 * 60


def test_bars_end_left_of_the_limit_where_the_goal_is_met() -> None:
    drawn = plots.goals([goal for goal, _ in GOALS])
    limit = float(drawn.split('<line x1="')[1].split('"')[0])
    widths = [
        float(part.split('"')[0])
        for part in drawn.split("<rect")[2:]
        for part in [part.split('width="')[1]]
    ]
    starts = float(drawn.split('<rect x="')[1].split('"')[0])
    assert [starts + width <= limit + 0.1 for width in widths] == [met for _, met in GOALS]
