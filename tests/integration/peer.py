# SPDX-License-Identifier: BSD-3-Clause
"""The other end of a stream backend: a bridge between a Unix stream socket and a TAP interface.

Each frame on the socket is led by its length in four big-endian bytes. With the bridge, all that
works on a TAP device works over the socket: ping, TCP, and numbered frames.
"""

import fcntl
import os
import select
import socket
import struct
import threading

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
FRAME_MAX = 65535


class StreamPeer:
    """Bridges @path and the interface @ifname, which it makes, from a thread of its own.

    With @listens it takes one connection at a time, by itself; else connect() makes one.
    """

    def __init__(self, path, listens, ifname="tap0"):
        self._path = path
        self._sock = None
        self._lock = threading.Lock()
        self._wake, self._wake_end = os.pipe()
        self._tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(self._tap, TUNSETIFF,
                    struct.pack("16sH22x", ifname.encode(), IFF_TAP | IFF_NO_PI))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) if listens else None
        if listens:
            self._listener.bind(path)
            self._listener.listen(1)
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def connect(self):
        """Connect, unless we are the one who listens."""
        if self._listener:
            return
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(self._path)
        with self._lock:
            self._sock = sock
        self._kick()

    def drop(self):
        """Close the connection, as the end of a peer's process would."""
        with self._lock:
            if self._sock:
                # closed when the thread, which may be waiting on it, lets go of it
                self._sock.shutdown(socket.SHUT_RDWR)
                self._sock = None
        self._kick()

    def send_raw(self, data):
        """Send bytes that need not be frames."""
        with self._lock:
            self._sock.sendall(data)

    def close(self):
        """Close everything; the interface goes away."""
        self._closing = True
        self._kick()
        self._thread.join()
        self.drop()
        if self._listener:
            self._listener.close()
        os.close(self._tap)

    def _kick(self):
        os.write(self._wake_end, b"x")

    def _run(self):
        pending = b""
        while not self._closing:
            with self._lock:
                sock = self._sock
            watched = [self._wake, self._tap]
            if sock:
                watched.append(sock)
            elif self._listener:
                watched.append(self._listener)
            ready = select.select(watched, [], [])[0]
            if self._wake in ready:
                os.read(self._wake, 100)
                pending = b""
                continue
            if self._listener in ready:
                with self._lock:
                    self._sock = self._listener.accept()[0]
                pending = b""
            if self._tap in ready:
                self._to_socket(os.read(self._tap, FRAME_MAX))
            if sock and sock in ready:
                pending = self._from_socket(sock, pending)

    def _to_socket(self, frame):
        """Send a frame; without a connection it is lost, as on a cable that is not plugged in."""
        with self._lock:
            if not self._sock:
                return
            try:
                self._sock.sendall(struct.pack(">I", len(frame)) + frame)
            except OSError:
                self._sock.close()
                self._sock = None

    def _from_socket(self, sock, pending):
        """Write what is whole in @pending and the socket to the interface; return the rest."""
        with self._lock:
            if self._sock is not sock:
                return b""
            try:
                chunk = sock.recv(1 << 18)
            except OSError:
                chunk = b""
            if not chunk:
                self._sock.close()
                self._sock = None
                return b""
        pending += chunk
        at = 0
        while len(pending) - at >= 4:
            size = struct.unpack_from(">I", pending, at)[0]
            if len(pending) - at - 4 < size:
                break
            try:
                os.write(self._tap, pending[at + 4:at + 4 + size])
            except OSError:
                pass  # the interface is down
            at += 4 + size
        return pending[at:]
