"""What the demo shows: chapters, commands, tables and flows, for people at a terminal."""

import re
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

_PLAIN_WIDTH = 120
"""Columns where the output is no terminal."""

_FLOWS = (
    ("A1", r"priority=4030,arp,in_port={p}\b", "answers its ARP: 169.254.169.254 is at meta0"),
    ("N1", r"priority=4010,tcp,in_port={p}\b", "its request: into conntrack, source translated"),
    ("L1", r"table=25,.*in_port={p}\b", "what conntrack translated, and nothing else, to meta0"),
    ("A2", r"priority=4030,arp,in_port=\d+,.*dl_src", "answers the host's ARP for its address"),
    ("R1", r"table=65, priority=4012", "the answer comes back: through conntrack again"),
    ("R1s", r"table=65, priority=4011", "the same, where the host still has an older MAC for it"),
    ("R2", r"table=65, priority=4010", "translated back, out of its port"),
)
_FLOW = re.compile(r"cookie=0x[0-9a-f]+, (?P<text>.*)")


class Screen:
    """Standard output, in rich's hands."""

    def __init__(self) -> None:
        console = Console(highlight=False)
        self._console = (
            console if console.is_terminal else Console(width=_PLAIN_WIDTH, highlight=False)
        )
        self._chapters = 0

    def chapter(self, title: str, text: str) -> None:
        """Begin a chapter: its number and title, and what it is about in a sentence or two."""
        self._chapters += 1
        self._console.print()
        self._console.print(Rule(Text(f"{self._chapters}. {title}", style="bold"), align="left"))
        self._console.print(Text(text))

    def say(self, text: str) -> None:
        """A sentence."""
        self._console.print(Text(text))

    def command(self, text: str) -> None:
        """A command that is being done, or may be typed."""
        self._console.print(Text(f"$ {text}", style="cyan"), soft_wrap=True)

    def output(self, text: str) -> None:
        """What a command said."""
        for line in text.splitlines():
            self._console.print(Text(f"  {line}", style="dim"), soft_wrap=True)

    def failure(self, text: str) -> None:
        """What did not come out as it should."""
        self._console.print(Text(f"FAILED: {text}", style="bold red"))

    def verdict(self, fine: bool) -> Text:
        """A cell that says whether an answer was right."""
        return Text("right", style="green") if fine else Text("WRONG", style="bold red")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A small table."""
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(cell if isinstance(cell, Text) else str(cell) for cell in row))
        self._console.print(Padding(table, (0, 0, 0, 2)))

    def flows(self, lines: Sequence[str], ofport: int, droplet_id: int) -> None:
        """The flows of one port in the order of a request's way, each with what it is for."""
        mark = f"{ofport:04x}{droplet_id:08x}"
        own = [found["text"] for line in lines if mark in line and (found := _FLOW.match(line))]
        for name, pattern, purpose in _FLOWS:
            flow = next((flow for flow in own if re.search(pattern.format(p=ofport), flow)), None)
            if flow is None:
                continue
            own.remove(flow)
            self._console.print(Text.assemble("  ", (name, "bold"), f"  {purpose}"))
            match, _, actions = flow.partition(" actions=")
            for text in (match, f"    actions={actions}"):
                self._console.print(Text(f"      {text}", style="dim"), soft_wrap=True)
