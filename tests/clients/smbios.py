"""What a droplet's firmware says about itself: SMBIOS tables, and what the kernel shows of them.

Values and bytes only (DMTF DSP0134, SMBIOS 3.0). DigitalOcean's firmware names the vendor and
has the droplet's id as the system's serial number; that is how cloud-init and ohai know where
they are. `as_sysfs` gives both forms Linux offers: the tables, which dmidecode reads, and
/sys/class/dmi/id, which it fills from them.
"""

import struct
from collections.abc import Mapping

VENDOR = "DigitalOcean"
CLASS = "class/dmi"
"""The folder below /sys of what the kernel makes of the tables."""

_BIOS, _SYSTEM, _END = 0, 1, 127
_WAKE_UP_POWER_SWITCH = 6


def tables(droplet_id: int, vendor: str = VENDOR) -> Mapping[str, bytes]:
    """The files below /sys with the tables of a droplet with this id."""
    table = _table(droplet_id, vendor)
    return {
        "firmware/dmi/tables/smbios_entry_point": _entry_point(len(table)),
        "firmware/dmi/tables/DMI": table,
    }


def identity(droplet_id: int, vendor: str = VENDOR, **more: str) -> Mapping[str, bytes]:
    """The files below /sys with what the kernel makes of the tables; `more` replaces some."""
    shown = {
        "bios_vendor": vendor,
        "bios_version": "20171212",
        "sys_vendor": vendor,
        "product_name": "Droplet",
        "product_serial": str(droplet_id),
        "product_uuid": f"00000000-0000-0000-0000-{droplet_id:012x}",
        "modalias": f"dmi:bvn{vendor}:svn{vendor}:pnDroplet:",
        **more,
    }
    return {f"{CLASS}/id/{name}": f"{text}\n".encode() for name, text in shown.items()}


def _entry_point(table_bytes: int) -> bytes:
    """The 64-bit entry point (5.2.2): where the table is and how long, with a checksum."""
    head = b"_SM3_\0" + struct.pack("<5BxIQ", 24, 3, 0, 0, 1, table_bytes, 0)
    return head[:5] + bytes([-sum(head) & 0xFF]) + head[6:]


def _table(droplet_id: int, vendor: str) -> bytes:
    # Strings are numbered from 1 in the order they follow the fixed part.
    bios = struct.pack("<2BH2BQ2B4B", 1, 2, 0xE800, 3, 0, 1 << 3, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF)
    uuid = droplet_id.to_bytes(16, "big")
    system = struct.pack("<4B16s3B", 1, 2, 3, 4, uuid, _WAKE_UP_POWER_SWITCH, 0, 0)
    return b"".join(
        (
            _structure(_BIOS, 0, bios, vendor, "20171212", "12/12/2017"),
            _structure(_SYSTEM, 1, system, vendor, "Droplet", "20171212", str(droplet_id)),
            _structure(_END, 2, b""),
        )
    )


def _structure(kind: int, handle: int, fixed: bytes, *strings: str) -> bytes:
    """A structure (6.1.2): header, fixed part, and its strings, ended by an empty one."""
    text = b"".join(string.encode() + b"\0" for string in strings) or b"\0"
    return struct.pack("<2BH", kind, 4 + len(fixed), handle) + fixed + text + b"\0"
