"""What a service takes of its host over time: memory and file descriptors, and whether it grows."""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression

from lab.services import Service
from tests.system.faults import family


@dataclass(frozen=True, slots=True)
class Sample:
    """The processes of a service together: `memory` in KiB, resident and not shared with files."""

    memory: float
    files: int
    threads: int


@dataclass
class Footprint:
    """Samples of one service, each with the number of steps of work until then."""

    service: Service
    samples: list[tuple[int, Sample]] = field(default_factory=list)

    def look(self, steps: int) -> None:
        """Take a sample."""
        pids = family(self.service.daemon.pid)
        memory = sum(_status(pid, "RssAnon") for pid in pids)
        files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
        threads = sum(_status(pid, "Threads") for pid in pids)
        self.samples.append((steps, Sample(memory, files, threads)))

    def growth(self, of: str) -> float:
        """By how much it grew with the second half of the work, by its slope there.

        The first half is for caches to fill, and the allocator to find what it needs.
        """
        half = self.samples[len(self.samples) // 2 :]
        steps = [at for at, _ in half]
        slope, _ = linear_regression(steps, [getattr(sample, of) for _, sample in half])
        return slope * (steps[-1] - steps[0])

    def told(self) -> str:
        """What was found, for people."""
        last = self.samples[-1][1]
        some = self.samples[:: max(1, len(self.samples) // 10)]
        course = " ".join(f"{sample.memory / 1024:.1f}" for _, sample in some)
        return (
            f"{self.service.name}: {self.growth('memory'):+.0f} KiB in the second half, "
            f"MiB {course}; {last.files} files, {self.growth('files'):+.1f}; "
            f"{last.threads} threads, {self.growth('threads'):+.1f}"
        )


def _status(pid: int, key: str) -> int:
    """A number of /proc/PID/status."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise AssertionError(f"{key} is not told of {pid}")
