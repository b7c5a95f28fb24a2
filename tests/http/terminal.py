"""A terminal that a test reads: a command under a pseudo-terminal of a given size."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading

from tests.http.rest_harness import PATIENCE, wait_until

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]|\x07")


def _inherited():
    """The environment without the size of another terminal, which readline leaves there."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


class Terminal:
    """A running command; `text` is all that it wrote, `screen` what was painted last."""

    def __init__(self, *command, rows=24, columns=120, env=None):
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**_inherited(), "TERM": "xterm", **(env or {})},
        )
        os.close(theirs)
        self.raw = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        os.close(self._ours)

    def _read(self):
        try:
            while piece := os.read(self._ours, 65536):
                self.raw += piece.decode(errors="replace")
        except OSError:  # Nobody has the other end any more.
            return

    @property
    def text(self):
        return CONTROL.sub("", self.raw)

    @property
    def screen(self):
        """The lines of the last picture that is whole: of rich, each begins at the upper left."""
        pictures = self.raw.split("\x1b[H")
        return [line.rstrip() for line in CONTROL.sub("", pictures[-2]).splitlines()]

    def wait_for(self, words):
        """Wait until `words` are in the picture, and return it."""
        try:
            return wait_until(lambda: self._shows(words), repr(words))
        except AssertionError as error:
            raise AssertionError(f"{error}, but: {self.raw[-3000:]!r}") from None

    def _shows(self, words):
        if self.raw.count("\x1b[H") < 2:
            return None
        screen = self.screen
        return screen if any(words in line for line in screen) else None

    def type(self, keys):
        os.write(self._ours, keys.encode())

    def interrupt(self):
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)
