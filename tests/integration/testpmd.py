# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's testpmd with its virtio-user driver on a Holdfast device."""

import re
import select
import shutil
import signal
import subprocess
import time

from guest import PATIENCE
from lab import CONTROL, Failure, Skip, check

NO_HUGE = ("--no-huge", "-m", "512")
DROPPED = re.compile(r"(RX|TX)-packets: +\d+ +(RX|TX)-dropped: +(\d+)")
COUNTS = re.compile(r"(RX|TX)-packets: +(\d+).*?(?:bytes|total): +(\d+)")


class Testpmd:
    """One testpmd process, forwarding from its start. packets, octets and dropped are its latest counts.

    @spec: words for the device, with a blank after them; @driver: options of virtio-user;
    @eal and @extra: more options of DPDK itself and of testpmd.
    """

    def __init__(self, lab, mode, backend="loopback", memory=NO_HUGE, options=(),
                 spec="", device=None, driver="queues=1", extra=(), eal=()):
        if CONTROL:
            raise Skip("a control run has no Holdfast")
        if not shutil.which("dpdk-testpmd"):
            raise Skip("dpdk-testpmd is not installed (dpdk-dev)")
        self.packets = {"RX": 0, "TX": 0}
        self.octets = {"RX": 0, "TX": 0}
        self.dropped = {"RX": 0, "TX": 0}  # by testpmd, known at the end
        self._lines = []
        self._buffer = b""
        log = "%s/holdfast-%s.log" % (lab.logs, mode)
        self._output = open("%s/testpmd-%s.log" % (lab.logs, mode), "wb")
        device = device or ("-d", "mgmtdev vdpasim_net " + spec + "backend " + backend)
        command = [lab.holdfast, "run", *device, "--log", log, "--", "dpdk-testpmd",
                   "-l", "0,1", *memory, *eal, "--no-pci", "--no-telemetry",
                   "--vdev=net_virtio_user0,path=/dev/vhost-vdpa-0," + driver, "--",
                   "--forward-mode=" + mode, "--auto-start", "--stats-period=1", "--disable-link-check",
                   "--total-num-mbufs=4096", *options, *extra]
        self._process = lab.spawn(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)

    def wait(self, ready, timeout=60):
        """Read output until @ready() or its end; return whether it was @ready()."""
        deadline = time.monotonic() + timeout * PATIENCE
        while not ready():
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise Failure("testpmd did not get there in %d s; counts: %s" % (
                    timeout * PATIENCE, self.packets))
            chunk = self._process.stdout.read1(65536)
            if not chunk:
                return ready()
            self._output.write(chunk)
            self._output.flush()
            *lines, self._buffer = (self._buffer + chunk).split(b"\n")
            for line in lines:
                self._take(line.decode(errors="replace"))
        return True

    def _take(self, line):
        self._lines.append(line)
        match = COUNTS.search(line)
        if match:
            self.packets[match[1]] = int(match[2])
            self.octets[match[1]] = int(match[3])
        match = DROPPED.search(line)
        if match:
            self.dropped[match[1]] = int(match[3])

    def wait_packets(self, number, ways=("RX", "TX")):
        """Wait until @number packets went each of @ways."""
        check(self.wait(lambda: all(self.packets[way] >= number for way in ways)),
              "testpmd ended early: %s", self._lines[-5:])

    def wait_started(self):
        """Wait until it forwards."""
        check(self.wait(lambda: any("Port statistics" in line for line in self._lines)),
              "testpmd did not start: %s", self._lines[-5:])

    def stop(self):
        """End it as Ctrl-C does; packets and dropped are then final, of what was forwarded.

        Return the last counts of the port itself: octets, packets.
        """
        port = dict(self.octets), dict(self.packets)
        self._process.send_signal(signal.SIGINT)
        self.wait(lambda: self._process.stdout.closed, timeout=30)
        status = self._process.wait(10)
        self._output.close()
        check(status == 0, "testpmd ended with status %d", status)
        check(any("Forward statistics" in line for line in self._lines), "no final statistics")
        return port
