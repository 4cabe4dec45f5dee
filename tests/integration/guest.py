# SPDX-License-Identifier: BSD-3-Clause
"""The test guest under QEMU: start it, run commands in it, and stop it."""

import base64
import os
import re
import select
import signal
import socket
import subprocess
import time

from qmp import PATIENCE, Qmp

HERE = os.path.dirname(os.path.abspath(__file__))

# On a busy machine an emulated timer may stay silent for longer than the kernel watches it, and the kernel panics:
# "IO-APIC + timer doesn't work". It does not look with no_timer_check, which it sets by itself under KVM.
APPEND = "console=ttyS0 quiet loglevel=5 panic=-1 no_timer_check"


class GuestError(Exception):
    """The guest did not do what was asked: a failed command, or no answer in time."""


def qemu_version():
    """The version of QEMU here, as a tuple of numbers."""
    shown = subprocess.run(["qemu-system-x86_64", "--version"], check=True, stdout=subprocess.PIPE, text=True)
    return tuple(int(part) for part in re.search(r"version (\d+(\.\d+)+)", shown.stdout).group(1).split("."))


class Image:
    """Paths of the guest's kernel, its initramfs, and the nic program."""

    def __init__(self):
        build = os.path.join(HERE, "..", "guest", "build-image")
        lines = subprocess.run([build], check=True, stdout=subprocess.PIPE, text=True)
        self.kernel, self.initrd, self.nic = lines.stdout.split()


class Guest:
    """One QEMU process. @wrap is put before QEMU's own command line.

    The guest's commands travel over a virtio-serial port, QMP and that port over socket
    pairs, so the end of QEMU ends each wait at once.
    """

    def __init__(self, image, wrap=(), args=(), memory="256", smp=1, log_dir="."):
        self.console = os.path.join(log_dir, "console.log")
        self.stderr = os.path.join(log_dir, "qemu.log")
        self._next_id = 0
        self._buffer = b""
        self._agent, agent_end = socket.socketpair()
        qmp_sock, qmp_end = socket.socketpair()
        command = list(wrap) + [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
            "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
            "-smp", str(smp), "-m", memory,
            "-kernel", image.kernel, "-initrd", image.initrd,
            "-append", APPEND,
            "-serial", "file:" + self.console,
            "-chardev", "socket,id=agent,fd=%d" % agent_end.fileno(),
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent",
            "-chardev", "socket,id=qmp,fd=%d" % qmp_end.fileno(), "-mon", "chardev=qmp,mode=control",
        ] + list(args)
        with open(self.stderr, "wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                pass_fds=(agent_end.fileno(), qmp_end.fileno()))
        agent_end.close()
        qmp_end.close()
        self.qmp = Qmp(qmp_sock)
        self.boot_id = None
        self.ready = False

    def wait_ready(self, timeout=180):
        """Wait for a boot that is not the one we know, and remember it."""
        self.ready = False
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            line = self._line(deadline)
            # a reboot may cut a line of the last boot short
            mark = line.rfind(b"@@ready ")
            if mark >= 0 and line[mark:] != self.boot_id:
                self.boot_id = line[mark:]
                self.ready = True
                return

    def adopt(self, source):
        """Go on with the guest that @source had: it was migrated here, and has not booted. It may have answered, or
        begun to, before it moved."""
        self.boot_id, self.ready = source.boot_id, source.ready
        self._next_id = source._next_id
        self._buffer = source.take_unread() + self._buffer

    def wait_answer(self, timeout=30):
        """Wait until the guest has said something that nobody has read."""
        if not self._buffer and not select.select([self._agent], [], [], timeout * PATIENCE)[0]:
            raise GuestError("no answer from the guest in time")

    def take_unread(self):
        """Return, once, what the guest said here and nobody has read."""
        unread, self._buffer = self._buffer, b""
        while self._agent.fileno() >= 0 and select.select([self._agent], [], [], 0)[0]:
            chunk = self._agent.recv(65536)
            if not chunk:
                break
            unread += chunk
        return unread

    def _line(self, deadline):
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._agent], [], [], left)[0]:
                raise GuestError("no answer from the guest in time")
            chunk = self._agent.recv(65536)
            if not chunk:
                raise GuestError("QEMU is gone (see its log)")
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.strip(b"\r")

    def start(self, script, timeout=30):
        """Begin @script in the guest; finish() waits for it. One at a time."""
        self._next_id += 1
        timeout = int(timeout * PATIENCE)
        text = base64.b64encode(script.encode()).decode()
        self._agent.sendall(b"%d %d %s\n" % (self._next_id, timeout, text.encode()))
        return self._next_id, time.monotonic() + timeout + 5

    def finish(self, request):
        """Return (status, output) of a request that start() began."""
        number, deadline = request
        while self._line(deadline) != b"@@begin %d" % number:
            pass
        encoded = b""
        end = b"@@end %d " % number
        while True:
            line = self._line(deadline)
            if line.startswith(end):
                break
            encoded += line
        return int(line[len(end):]), base64.b64decode(encoded).decode(errors="replace")

    def try_run(self, script, timeout=30):
        """Run @script; return (status, output)."""
        return self.finish(self.start(script, timeout))

    def run(self, script, timeout=30):
        """Run @script, which must succeed, and return its output."""
        status, output = self.try_run(script, timeout)
        if status != 0:
            raise GuestError("in the guest: %s\nstatus %d\n%s" % (script, status, output))
        return output

    def reboot(self):
        """Reboot for real (the machine's reset line) and wait until the guest is up again."""
        self.start("reboot -f")
        self.qmp.wait_event("RESET")
        self.wait_ready()

    def terminate(self, timeout=20):
        """Send SIGTERM, as a service manager does, and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout * PATIENCE)

    def close(self):
        """End QEMU whatever its state. May be called twice."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._agent.close()
