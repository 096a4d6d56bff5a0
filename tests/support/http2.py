"""The loopback server in HTTP/2: the same scripts and replies, many streams on one connection.

Without TLS, for clients with prior knowledge (`http1=False, http2=True`): the protocol is the same
HTTP/2, and no certificate is needed. A reply's `ending` other than `complete` resets its stream;
`HOLD` leaves it open until the client resets it or disconnects.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.support.loopback import HOLD, Loopback, Request


@dataclass
class _Arriving:
    headers: list[tuple[str, str]]
    body: bytes = b""


@dataclass
class _Connection:
    """One connection.

    h2's state isn't thread-safe, so everything happens under `changed`.
    """

    socket: socket.socket
    number: int
    state: h2.connection.H2Connection
    changed: threading.Condition = field(default_factory=threading.Condition)
    arriving: dict[int, _Arriving] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)
    closed: bool = False

    def flush(self) -> None:
        with contextlib.suppress(OSError):  # the client may disconnect at any time
            self.socket.sendall(self.state.data_to_send())

    def over(self, stream: int) -> bool:
        return self.closed or stream in self.left


class Http2Loopback(Loopback):
    """The server; a context manager.

    `resets` counts the streams that a client left before their end.
    """

    resets = 0

    def _serve(self, connection: socket.socket, number: int) -> None:
        state = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        here = _Connection(connection, number, state)
        state.initiate_connection()
        here.flush()
        try:
            with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
                while data := connection.recv(65536):
                    with here.changed:
                        for event in state.receive_data(data):
                            self._take(here, event)
                        here.flush()
                        here.changed.notify_all()
        finally:
            with here.changed:
                here.closed = True
                here.changed.notify_all()
            connection.close()
            with self._changed:
                self._open.discard(connection)
                self._changed.notify_all()

    def _take(self, here: _Connection, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=stream, headers=headers):
                here.arriving[stream] = _Arriving(
                    [(str(name), str(value)) for name, value in headers]
                )
            case h2.events.DataReceived(stream_id=stream, data=data, flow_controlled_length=length):
                here.arriving[stream].body += data
                here.state.acknowledge_received_data(length, stream)
            case h2.events.StreamEnded(stream_id=stream):
                self._spawn(self._answer, here, stream, here.arriving.pop(stream))
            case h2.events.StreamReset(stream_id=stream):
                here.left.add(stream)
                with self._changed:
                    self.resets += 1
                    self._changed.notify_all()

    def _answer(self, here: _Connection, stream: int, arrived: _Arriving) -> None:
        given = dict(arrived.headers)
        path, _, query = given[":path"].partition("?")
        headers = tuple(
            (name, value) for name, value in arrived.headers if not name.startswith(":")
        )
        request = Request(given[":method"], path, query, headers, arrived.body, here.number)
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        reply = self._reply(request)
        with contextlib.suppress(h2.exceptions.ProtocolError), here.changed:
            here.state.send_headers(stream, [(":status", str(reply.status)), *reply.headers])
            here.flush()
            for part in reply.parts:
                if not isinstance(part, bytes):
                    assert part is HOLD
                    here.changed.wait_for(lambda: here.over(stream))
                elif not self._send(here, stream, part):
                    break
            if here.over(stream):
                return
            if reply.ending == "complete":
                here.state.end_stream(stream)
            else:
                here.state.reset_stream(stream)
            here.flush()

    def _send(self, here: _Connection, stream: int, data: bytes) -> bool:
        """Send data as far as the client's windows allow.

        Returns whether the stream was still open.
        """
        while data:
            here.changed.wait_for(
                lambda: here.over(stream) or here.state.local_flow_control_window(stream) > 0,
                timeout=10,
            )
            if here.over(stream):
                return False
            size = min(
                here.state.local_flow_control_window(stream), here.state.max_outbound_frame_size
            )
            assert size, "the client's window stays shut"
            here.state.send_data(stream, data[:size])
            here.flush()
            data = data[size:]
        return True
