"""The commands that the documentation shows, as its reader would take them: text in, values out.

A command is a line of an indented or fenced block. One may have a prompt, `$ `, `# ` or `NAME# `;
in a block without prompts lines that begin with a command of ours count. What follows a command
that has a prompt is what it prints.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

OURS = ("dropletctl", "make", "metadata-http", "ryu-manager")
_PROMPT = re.compile(r"(?P<where>[\w-]*)(?P<sign>[#$]) (?P<text>\S.*)")
_ENDS = frozenset("|;&<>()") | {"|", "||", "&&", ";;", ">>", "<<", "<<<", "2>", "&>", ">&"}


@dataclass
class Shown:
    """A command with what the page says that it prints; `where` is the name before its `#`."""

    where: str
    text: str
    output: list[str] = field(default_factory=list)


def blocks(page: str) -> Iterator[list[str]]:
    """The lines of each block, without what indents it; empty lines inside belong to it."""
    block: list[str] = []
    fenced = False
    lines = [*page.splitlines(), "."]
    for number, line in enumerate(lines):
        before = lines[number - 1].strip() if number else ""
        if line.startswith("```"):
            fenced = not fenced
        elif fenced:
            block.append(line)
            continue
        elif line.startswith("    ") and (block or not before):
            block.append(line[4:])
            continue
        elif not line.strip() and block:
            block.append("")
            continue
        if block:
            yield block
            block = []


def session(block: list[str]) -> list[Shown]:
    """The commands of a block that have a prompt, with their output; none where none has."""
    found: list[Shown] = []
    for line in block:
        if prompt := _PROMPT.fullmatch(line):
            found.append(Shown(prompt["where"], prompt["text"]))
        elif found:
            found[-1].output.append(line)
    for shown in found:
        while shown.output and not shown.output[-1]:
            shown.output.pop()
    return found


def ours(page: str) -> Iterator[list[str]]:
    """The words of each of our commands in the blocks and, in backquotes, in the text."""
    for block in blocks(page):
        for line in _joined(block):
            prompt = _PROMPT.fullmatch(line)
            yield from _in_line(prompt["text"] if prompt else line)
    text = re.sub(r"^(    |```).*$", "", page, flags=re.MULTILINE)
    for quoted in re.findall(r"`([^`\n]+)`", text):
        yield from _in_line(quoted)


def _joined(block: list[str]) -> Iterator[str]:
    return iter("\n".join(block).replace("\\\n", " ").split("\n"))


def _in_line(line: str) -> Iterator[list[str]]:
    """Our commands among those of a line, up to what is the shell's own."""
    if not any(name in line for name in OURS):
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # A quote that is open, as in prose or a here-document's text.
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if word in _ENDS or set(word) <= set("|;&<>()"):
            # A command's own name comes first, but for what sets variables or privileges.
            starts = [n for n, each in enumerate(command) if each in OURS]
            if starts and all(_prefix(each) for each in command[: starts[0]]):
                yield command[starts[0] :]
            command = []
        else:
            command.append(word)


def _prefix(word: str) -> bool:
    return "=" in word or word in ("sudo", "exec", "env", "nice")
