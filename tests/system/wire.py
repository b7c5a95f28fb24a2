"""Raw frames on a device: sending them from inside a namespace, and seeing what arrives there.

AF_PACKET sockets and nothing above them: what frames mean is `packets.py`'s.
"""

import ctypes
import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lab.namespace import Namespace

PATIENCE = 20.0
"""Seconds until a frame that does not come is called a failure; never a measure of speed."""

_ASK_AGAIN = 0.5

# linux/if_packet.h, linux/if_ether.h, linux/filter.h: Python's socket module has no names for them.
_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_AUXDATA = 8
_PACKET_IGNORE_OUTGOING = 23
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
_SO_SNDBUFFORCE = 32
_TP_STATUS_VLAN_VALID = 1 << 4
_TP_STATUS_VLAN_TPID_VALID = 1 << 6
_AUXDATA = struct.Struct("=IIIHHHH")
_BUFFER = 64 << 20
_LONGEST = 65536

Frame = bytes


@dataclass(frozen=True, slots=True)
class BpfStep:
    """One instruction of classic BPF (linux/filter.h): code, jump if true, if false, operand."""

    code: int
    yes: int
    no: int
    operand: int


class Wire:
    """One device of a namespace: `send` onto it, `receive` what comes in by it.

    Frames that this side sends are not received. A VLAN tag that the kernel took out of a frame is
    put back. With `keep_only`, a BPF program, the kernel hands over only what it accepts.
    """

    def __init__(
        self, namespace: Namespace, device: str, keep_only: list[BpfStep] | None = None
    ) -> None:
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        if keep_only is not None:
            _attach(self._socket, keep_only)
        # Bound to no protocol before: not a frame is missed between filter and binding.
        self._socket.bind((device, _ETH_P_ALL))
        self._socket.setblocking(False)

    def close(self) -> None:
        """Give the socket up."""
        self._socket.close()

    def send(self, frames: Iterable[Frame]) -> None:
        """Put the frames onto the device, in order."""
        for frame in frames:
            while True:
                try:
                    self._socket.send(frame)
                    break
                except (BlockingIOError, InterruptedError):
                    select.select([], [self._socket], [], 0.1)

    def receive(self) -> Frame | None:
        """The next frame that came in; None if there is none now."""
        try:
            frame, ancillary, _, _ = self._socket.recvmsg(_LONGEST, 64)
        except BlockingIOError:
            return None
        except OSError as error:
            # Told once when the device goes down; the socket hears it again once it is up.
            if error.errno != errno.ENETDOWN:
                raise
            return self.receive()
        for level, kind, data in ancillary:
            if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
                return _with_tag(frame, data)
        return frame

    def drain(self) -> list[Frame]:
        """All that has come in so far."""
        return list(iter(self.receive, None))

    def until(
        self, wanted: Callable[[Frame], bool], what: str, ask: Callable[[], None] = lambda: None
    ) -> list[Frame]:
        """Everything that comes in before the first frame that is `wanted`, which is taken too.

        `ask` makes it come; it is called again now and then, for a queue may have been full.
        AssertionError naming `what` if it does not come.
        """
        before: list[Frame] = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ask()
            pause = time.monotonic() + _ASK_AGAIN
            while (left := pause - time.monotonic()) > 0:
                frame = self.receive()
                if frame is None:
                    select.select([self._socket], [], [], left)
                elif wanted(frame):
                    return before
                else:
                    before.append(frame)
        raise AssertionError(f"{what} did not come; {len(before)} other frames did")


def _with_tag(frame: Frame, auxdata: bytes) -> Frame:
    status, _, _, _, _, tci, tpid = _AUXDATA.unpack_from(auxdata)
    if not status & _TP_STATUS_VLAN_VALID:
        return frame
    if not status & _TP_STATUS_VLAN_TPID_VALID:
        tpid = 0x8100
    return frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]


def _attach(sock: socket.socket, steps: list[BpfStep]) -> None:
    """SO_ATTACH_FILTER: struct sock_fprog, a length and a pointer to the program."""
    code = b"".join(struct.pack("=HBBI", s.code, s.yes, s.no, s.operand) for s in steps)
    program = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("@HP", len(steps), ctypes.addressof(program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
