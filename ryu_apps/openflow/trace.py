"""What `ofproto/trace` and `dpif/show` print, as values.

A trace has a part for each time the packet came back from conntrack. Its "Datapath actions" name
the datapath's port numbers, not ofports; `dpif/show` has the table between the two.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One pass through the pipeline: where it looked, and what came of it.

    `cookies` are those of the flows that matched, in order. `outputs` are ofports. `fields` are
    the packet's at the end of the pass.
    """

    cookies: tuple[int, ...]
    priorities: tuple[int, ...]
    fields: dict[str, str]
    outputs: tuple[int, ...]
    actions: tuple[str, ...]


@dataclass(frozen=True)
class Trace:
    """All passes of one packet."""

    parts: tuple[Part, ...]

    @property
    def outputs(self) -> list[int]:
        """The ofports it left by, in ascending order."""
        return sorted(ofport for part in self.parts for ofport in part.outputs)

    @property
    def last(self) -> Part:
        """The last pass."""
        return self.parts[-1]


def parse_trace(text: str, ofports: dict[int, int]) -> Trace:
    """Read the output of `ofproto/trace`; `ofports` maps datapath port numbers to ofports.

    Raises ValueError for an output that holds no trace, or a port nobody knows.
    """
    # A part begins with the packet and ends with the actions; what is between parts is for people.
    parts = re.findall(r"^Flow: (.*?)^Datapath actions: (.*?)$", text, re.DOTALL | re.MULTILINE)
    if not parts:
        raise ValueError(f"no trace: {text!r}")
    return Trace(tuple(_part(body, actions, ofports) for body, actions in parts))


def _part(body: str, actions: str, ofports: dict[int, int]) -> Part:
    start = body.splitlines()[0]
    (end,) = re.findall(r"^Final flow: (.*)$", body, re.MULTILINE)
    hits = re.findall(r"^ ?\d+\. .*?priority (\d+)(?:, cookie (0x[0-9a-f]+))?$", body, re.MULTILINE)
    single = tuple(split(actions))
    numbers = (int(action) for action in single if action.isdecimal())
    try:
        outputs = tuple(ofports[number] for number in numbers)
    except KeyError as unknown:
        raise ValueError(f"datapath port {unknown} is not in {ofports}") from None
    return Part(
        cookies=tuple(int(cookie or "0", 16) for _, cookie in hits),
        priorities=tuple(int(priority) for priority, _ in hits),
        fields=_fields(start if end == "unchanged" else end),
        outputs=outputs,
        actions=single,
    )


def _fields(flow: str) -> dict[str, str]:
    terms = (term.partition("=") for term in flow.split(","))
    return {name: value for name, _, value in terms}


def split(actions: str) -> list[str]:
    """The single datapath actions: split at commas that stand outside parentheses."""
    parts, depth = [""], 0
    for character in actions.strip():
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def datapath_ports(text: str, bridge: str) -> dict[int, int]:
    """From `dpif/show`: the datapath port numbers of a bridge's ports, and their ofports."""
    found: dict[int, int] = {}
    inside = False
    for line in text.splitlines():
        if re.fullmatch(r"  (\S+):", line):
            inside = line.strip() == f"{bridge}:"
        port = re.fullmatch(r"    \S+ (\d+)/(\d+): .*", line)
        if inside and port:
            found[int(port[2])] = int(port[1])
    return found
