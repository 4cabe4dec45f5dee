# SPDX-License-Identifier: BSD-3-Clause
"""A file server for the guest: the TCP traffic of the tests and the demo.

GET /file returns random bytes that are new each run, /small the first 8 MiB of them, /damaged all
of them with one bit flipped.
What is sent to the upload port is answered with its checksum once the sender has shut down its side.
"""

import hashlib
import http.server
import os
import socketserver
import threading

SIZE = 64 << 20


class _Upload(socketserver.StreamRequestHandler):
    def handle(self):
        digest = hashlib.sha256()
        while chunk := self.rfile.read(1 << 20):
            digest.update(chunk)
        self.wfile.write(digest.hexdigest().encode() + b"\n")


class FileServer:
    """Serves on two ports of @address from threads of its own until the process ends."""

    PORT = 8000
    UPLOAD_PORT = 8001

    def __init__(self, address, size=SIZE):
        content = os.urandom(size)
        middle = size // 2
        damaged = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:]
        self._files = {"/file": content, "/small": content[:8 << 20], "/damaged": damaged}
        self.sums = {path: hashlib.sha256(self._files[path]).hexdigest()
                     for path in ("/file", "/small")}
        for port, handler in ((self.PORT, self._file_handler()), (self.UPLOAD_PORT, _Upload)):
            server = http.server.ThreadingHTTPServer((address, port), handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def _file_handler(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = outer._files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler
