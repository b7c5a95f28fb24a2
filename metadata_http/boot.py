"""Which boot of the host this is: times on its boot clock mean nothing in another. Shell."""

from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """The kernel's name for this boot."""
    return _BOOT_ID.read_text("ascii").strip()
