"""Between a switch and its controller: refuses what old switches lack, and writes down the rest."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto.ofproto_common import ONF_EXPERIMENTER_ID

_HEADER = struct.Struct(ofp.OFP_HEADER_PACK_STR)
_TWO_WORDS = struct.Struct("!II")
_AT_EXPERIMENTER = {
    ofp.OFPT_EXPERIMENTER: ofp.OFP_HEADER_SIZE,
    ofp.OFPT_MULTIPART_REQUEST: ofp.OFP_MULTIPART_REQUEST_SIZE,
}
_BUNDLES = (ofp.ONF_ET_BUNDLE_CONTROL, ofp.ONF_ET_BUNDLE_ADD_MESSAGE)
_FLOW_MONITOR = 1870


class OldSwitch:
    """A relay that makes a switch look as if it had neither bundles nor a flow monitor.

    `flow_mods` are the commands, tables, priorities and cookies that passed; None for a barrier.
    `refuse(cookie, table)` tells whether a flow-mod is refused.
    """

    def __init__(self, controller: int, *, monitor: bool = False) -> None:
        self.flow_mods: list[tuple[int, int, int, int] | None] = []
        self.refused: list[tuple[int, int]] = []
        self.refuse: Callable[[int, int], bool] = lambda cookie, table: False
        self._controller = controller
        self._ends: list[socket.socket] = []
        self._monitor = monitor
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End the connections there are."""
        for end in self._ends:
            # The end of one may be the end of the other already.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Listen no more."""
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                switch, _ = self._server.accept()
            except OSError:
                return
            try:
                controller = socket.create_connection(("127.0.0.1", self._controller))
            except OSError:
                switch.close()
                continue
            self._ends = [switch, controller]
            lock = threading.Lock()
            for target, arguments in (
                (self._to_controller, (switch, controller, lock)),
                (self._to_switch, (controller, switch, lock)),
            ):
                threading.Thread(target=target, args=arguments, daemon=True).start()

    def _to_controller(
        self, switch: socket.socket, controller: socket.socket, lock: threading.Lock
    ) -> None:
        for message in _messages(switch):
            with lock:
                controller.sendall(message)
        controller.close()

    def _to_switch(
        self, controller: socket.socket, switch: socket.socket, lock: threading.Lock
    ) -> None:
        for message in _messages(controller):
            error = self._error(message)
            if error is None:
                switch.sendall(message)
            else:
                with lock:
                    controller.sendall(error)
        switch.close()

    def _error(self, message: bytes) -> bytes | None:
        _, kind, _, xid = _HEADER.unpack_from(message)
        at = _AT_EXPERIMENTER.get(kind)
        if at is not None and len(message) >= at + _TWO_WORDS.size:
            experimenter, subtype = _TWO_WORDS.unpack_from(message, at)
            lacks = _BUNDLES if self._monitor else (*_BUNDLES, _FLOW_MONITOR)
            if experimenter == ONF_EXPERIMENTER_ID and subtype in lacks:
                self.refused.append((kind, subtype))
                return _refusal(message, ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_BAD_EXPERIMENTER, xid)
        if kind == ofp.OFPT_BARRIER_REQUEST:
            self.flow_mods.append(None)
        if kind == ofp.OFPT_FLOW_MOD:
            cookie, _, table, command, _, _, priority = struct.unpack_from("!QQBBHHH", message, 8)
            self.flow_mods.append((command, table, priority, cookie))
            if command == ofp.OFPFC_ADD and self.refuse(cookie, table):
                return _refusal(message, ofp.OFPET_FLOW_MOD_FAILED, ofp.OFPFMFC_TABLE_FULL, xid)
        return None


def _refusal(message: bytes, kind: int, code: int, xid: int) -> bytes:
    body = struct.pack("!HH", kind, code) + message[:64]
    return _HEADER.pack(ofp.OFP_VERSION, ofp.OFPT_ERROR, _HEADER.size + len(body), xid) + body


def _messages(source: socket.socket) -> Iterator[bytes]:
    """OpenFlow messages until the connection ends."""
    data = b""
    while True:
        while len(data) >= _HEADER.size:
            length = _HEADER.unpack_from(data)[2]
            if len(data) < length:
                break
            yield data[:length]
            data = data[length:]
        try:
            more = source.recv(65536)
        except OSError:
            return
        if not more:
            return
        data += more
