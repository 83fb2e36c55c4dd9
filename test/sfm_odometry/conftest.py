"""Real counterparts for tests of live input and output: a client of Foxglove's protocol, and a
camera that streams over HTTP."""

import base64
import contextlib
import itertools
import json
import struct
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from sfm_odometry.viewers.foxglove_viewer import CHANNELS

HANG_S = 30.0
"""After this a client that waits in vain ends the test."""
MESSAGE_DATA = struct.Struct("<BIQ")


class FoxgloveClient:
    """Subscribes to topics, and decodes what comes by the schemas that the server sends."""

    def __init__(self, viewer):
        self._viewer = viewer
        self._stack = contextlib.ExitStack()
        self.channels = {}

    def __enter__(self):
        from websockets.sync.client import connect

        connection = connect(self._viewer.address, subprotocols=["foxglove.sdk.v1"], max_size=None)
        self._socket = self._stack.enter_context(connection)
        while len(self.channels) < len(CHANNELS):
            message = json.loads(self._socket.recv(HANG_S))
            if message["op"] == "advertise":
                self.channels |= {channel["id"]: channel for channel in message["channels"]}
        return self

    def __exit__(self, *error):
        self._stack.close()

    def subscribe(self, *topics):
        """Subscribe, and wait until the server knows it."""
        chosen = [number for number, each in self.channels.items() if each["topic"] in topics]
        wanted = [{"id": number, "channelId": number} for number in chosen]
        self._socket.send(json.dumps({"op": "subscribe", "subscriptions": wanted}))
        self._wait(lambda: all(self._viewer.is_seen(topic) for topic in topics))

    def leave(self):
        """Close the connection, and wait until the server knows it."""
        self._stack.close()
        self._wait(lambda: not self._viewer.is_seen(*CHANNELS))

    def receive(self, count):
        """The next messages as (topic, time of the log, message)."""
        found = []
        while len(found) < count:
            data = self._socket.recv(HANG_S)
            if isinstance(data, bytes):
                _, number, log_ns = MESSAGE_DATA.unpack_from(data)
                channel = self.channels[number]
                message = decode(channel, data[MESSAGE_DATA.size :])
                found.append((channel["topic"], log_ns, message))
        return found

    def _wait(self, condition):
        deadline_s = time.monotonic() + HANG_S
        while not condition():
            assert time.monotonic() < deadline_s
            time.sleep(0.01)


def decode(channel, data):
    """A protobuf message by the schema of its channel."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    files = descriptor_pb2.FileDescriptorSet.FromString(base64.b64decode(channel["schema"]))
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    kind = pool.FindMessageTypeByName(channel["schemaName"])
    return message_factory.GetMessageClass(kind).FromString(data)


BOUNDARY = "frame"
PAUSE_S = 0.01
"""Between two images of a stream."""


class StreamServer:
    """Serves images (H, W, 3) BGR to whoever connects, again and again where `repeats`."""

    def __init__(self, images: Sequence[np.ndarray], repeats: bool = False) -> None:
        parts = [cv2.imencode(".jpg", image)[1].tobytes() for image in images]
        self._closed = threading.Event()
        closed = self._closed

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", f"multipart/x-mixed-replace;boundary={BOUNDARY}")
                self.end_headers()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    for part in itertools.cycle(parts) if repeats else parts:
                        if closed.wait(PAUSE_S):
                            return
                        head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                        head += f"Content-Length: {len(part)}\r\n\r\n"
                        self.wfile.write(head.encode() + part + b"\r\n")

            def log_message(self, *words: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/stream.mjpg"

    def close(self) -> None:
        """End the streams and the server."""
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def foxglove_client():
    """The class of clients; skips where what it needs is not installed."""
    for module, package in (
        ("foxglove.messages", "foxglove-sdk"),
        ("websockets.sync.client", "websockets"),
        ("google.protobuf", "protobuf"),
    ):
        pytest.importorskip(module, reason=f"{package} is not installed")
    return FoxgloveClient


@pytest.fixture
def stream_server():
    """Starts servers of images; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(images, repeats=False):
            server = StreamServer(images, repeats)
            stack.callback(server.close)
            return server

        yield start
