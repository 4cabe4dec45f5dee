# SPDX-License-Identifier: BSD-3-Clause
"""A small client of QEMU's machine protocol (QMP) on a connected socket."""

import array
import json
import os
import select
import socket
import time


# a program that may take longer than usual (lab.py) waits as many times longer for each answer, event and frame
PATIENCE = max(1, int(os.environ.get("HOLDFAST_DEADLINE", 240)) / 240)


class QmpError(Exception):
    """QEMU refused a command, closed the connection, or did not answer in time."""


class Qmp:
    """One QMP session. Owns the socket; used by one thread."""

    def __init__(self, sock, timeout=30):
        self._sock = sock
        self._buffer = b""
        self._events = []
        self._greet(timeout)

    def _greet(self, timeout):
        deadline = time.monotonic() + timeout * PATIENCE
        if "QMP" not in self._message(deadline):
            raise QmpError("no QMP greeting")
        self.command("qmp_capabilities")

    def _message(self, deadline):
        """Return the next message; raise QmpError at @deadline or at the end of the stream."""
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._sock], [], [], left)[0]:
                raise QmpError("no answer from QEMU in time")
            chunk = self._sock.recv(65536)
            if not chunk:
                raise QmpError("QEMU closed the QMP connection")
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def command(self, execute, /, timeout=30, send_fd=None, **arguments):
        """Run one command and return its result. Argument names use _ for -. @send_fd goes with it."""
        request = {"execute": execute}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): value
                                    for key, value in arguments.items()}
        rights = [] if send_fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [send_fd]))]
        message = json.dumps(request).encode() + b"\n"
        self._sock.sendall(message[self._sock.sendmsg([message], rights):])
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            message = self._message(deadline)
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise QmpError("%s: %s" % (execute, message["error"]["desc"]))
            self._events.append(message)

    def wait_event(self, name, timeout=30):
        """Return the first event @name, also one that came before this call."""
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            for event in self._events:
                if event.get("event") == name:
                    self._events.remove(event)
                    return event
            self._events.append(self._message(deadline))

    def wait_deleted(self, device):
        """Wait until @device is deleted. Its part on a bus of its own may tell of its end in an event before."""
        while self.wait_event("DEVICE_DELETED")["data"].get("device") != device:
            pass

    def wait_any(self, name, deadline):
        """Return an event @name, or None at @deadline, a time.monotonic(). Others are kept."""
        while True:
            for event in self._events:
                if event.get("event") == name:
                    self._events.remove(event)
                    return event
            if b"\n" not in self._buffer:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([self._sock], [], [], left)[0]:
                    return None
            self._events.append(self._message(time.monotonic() + 30))
