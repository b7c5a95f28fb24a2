"""Child processes: short commands that must succeed, and daemons that are ended by their pid.

Nothing here knows what the commands do.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.wait import LabError, wait_for

COMMAND_SECONDS = 60
"""A net for a command that hangs."""

STOP_SECONDS = 10
"""How long a daemon may take to end after SIGTERM before it is killed."""

# prctl(2), PR_SET_PDEATHSIG, by a command that becomes the one after it. Set in Python it would be
# after the fork, where a signal or another thread's lock can still be in the way.
_DYING_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")


class CommandFailed(LabError):
    """A command ended with a status other than 0; the text has its words."""


def run(
    *command: str | Path,
    text: str | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    seconds: float = COMMAND_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, `text` on its standard input. Raises CommandFailed if `check`.

    `env` is added to this process's environment.
    """
    done = subprocess.run(
        [str(word) for word in command],
        # An empty input rather than the terminal: nothing in the lab may wait for a person.
        input=text or "",
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    if check and done.returncode:
        words = " ".join(done.args)
        given = f"\n--- input\n{text}" if text else ""
        said = (done.stderr + done.stdout).strip()
        raise CommandFailed(f"status {done.returncode} from: {words}\n{said}{given}")
    return done


class Daemon:
    """A process of ours that runs until it is told to stop. Its output goes to `log`.

    It dies with this process, even with one that is killed: the kernel sees to that.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        keep: Sequence[int] = (),
    ) -> None:
        """`env` is added to this process's environment; file descriptors `keep` stay open in it."""
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [*_DYING_WITH_PARENT, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                # Ctrl-C is for whoever owns the lab, who then stops the daemons in order.
                start_new_session=True,
                pass_fds=keep,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._popen.poll() is None

    def require_running(self) -> None:
        """Raise LabError, with the end of its log, if it has ended."""
        if not self.running:
            raise LabError(f"{self.name} ended with {self._popen.returncode}\n{self.log_tail()}")

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of its log, for people."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join([f"--- {self.log}", *text.splitlines()[-lines:]])

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """End it and wait until it is gone; its exit status. Does nothing if it has ended."""
        if self.running:
            self._popen.send_signal(with_signal)
            try:
                self._popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._popen.kill()
        return self._popen.wait()

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.stop(signal.SIGKILL)

    def wait_until_ended(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for it to end by itself; its exit status. Raises LabError."""
        wait_for(lambda: not self.running, f"{self.name} to end", seconds, self.log_tail)
        return self._popen.wait()
