# SPDX-License-Identifier: BSD-3-Clause
"""A lab whose guest moves from one QEMU process to another, on one host.

Each QEMU has a TAP interface of its own on one bridge. A port is up while its QEMU has the guest, and
down else, so nothing piles up in front of a QEMU that does not run yet: what is sent in between is
lost, as on any network. The port is switched while the guest is paused ("pause-before-switchover"),
as a manager of machines does; the bridge then floods what it has not learned anew.
"""

import os
import re
import tempfile
import time

from guest import PATIENCE, Guest
from lab import CONTROL, HOST_IP, MAC, Lab, Tally, check
from server import FileServer

# Bits that every QEMU migrates, PLAIN also with x-svq=on: no control queue, and no indirect descriptors, which
# QEMU 7.2 and 10.0 cannot shadow.
CSUM, GUEST_CSUM, MTU, MAC_BIT, MRG_RXBUF, STATUS = 1 << 0, 1 << 1, 1 << 3, 1 << 5, 1 << 15, 1 << 16
GUEST_TSO, HOST_TSO = 7 << 7, 7 << 11  # IPv4, IPv6, ECN
EVENT_IDX, VERSION_1, ACCESS_PLATFORM = 1 << 29, 1 << 32, 1 << 33
PLAIN = CSUM | GUEST_CSUM | MTU | MAC_BIT | MRG_RXBUF | STATUS | GUEST_TSO | HOST_TSO | \
    VERSION_1 | ACCESS_PLATFORM
RICH = PLAIN | EVENT_IDX

# What the guest's kernel says when memory of its own is wrong.
CRASH = re.compile(r"Kernel panic|BUG:|Oops|general protection fault|stack-protector|segfault|---\[ end trace")

HOST_MAC = "52:54:00:00:00:01"
FAST = 1 << 30  # bytes a second
SLOW = 32 << 20  # what the guest's own writes outrun
CRAWL = 64 << 10  # what ends no round
PAUSE = 300  # ms that QEMU may plan for


class MigrationError(Exception):
    """QEMU gave a migration up; the text is its reason."""


class Migration:
    """What one migration took."""

    def __init__(self, info):
        self.downtime_ms = info.get("downtime", 0)
        self.total_ms = info.get("total-time", 0)
        self.rounds = info.get("ram", {}).get("dirty-sync-count", 0)


class MigrationLab(Lab):
    """@svq: shadow virtqueues all the time; else a dirty log during migrations, or what QEMU chooses.
    @spec: the device's other words; by default features that QEMU 7.2 migrates. @queues: queue pairs of the card, and
    processors of the guest.
    """

    ifname = "br0"

    def __init__(self, name, svq=False, memory="192", spec=None, queues=1):
        super().__init__(name)
        self.svq = svq
        if spec is None:
            spec = "device_features 0x%x" % (PLAIN if svq else RICH)
            spec += " dirty_log off" if svq else ""  # QEMU 7.2 shadows no virtqueue of a device that offers it
        self.spec = spec
        self.memory = memory
        self.queues = queues
        self.migrations = []
        self.outages = {"to": [], "from": []}  # ms that frames were missing for
        self._hosts = 0
        self._sockets = tempfile.TemporaryDirectory(prefix="holdfast-migrate-")
        self.tap = None
        self._alive = []  # (Guest, interface) of each QEMU that runs
        self._crashed = set()  # folders of consoles whose crash is known
        self.crashes = []  # exit statuses of QEMUs, Holdfast in them, that ended by themselves

    def setup_network(self):
        """A bridge with the host's address; QEMUs get their ports as they come."""
        # An address of its own: a bridge takes one of its ports' else, and changes it when they change.
        self.ip("link", "add", "br0", "address", HOST_MAC, "type", "bridge", "forward_delay", "0")
        self.setup_interface("br0")
        self.server = FileServer(HOST_IP)

    def can_go_on(self):
        """A migration that failed leaves nothing to go on with."""
        return False

    # -- QEMU processes

    def _new_host(self, incoming, library=None):
        """Start a QEMU with a port of its own, which is still down; return (Guest, interface).

        A LIBRARY comes ahead of Holdfast's in the QEMU's LD_PRELOAD.
        """
        self._hosts += 1
        tap = "tap%d" % self._hosts
        self.ip("tuntap", "add", "dev", tap, "mode", "tap", *(["multi_queue"] if self.queues > 1 else []))
        self.ip("link", "set", tap, "master", "br0")
        logs = os.path.join(self.logs, "host%d" % self._hosts)
        os.makedirs(logs)
        self.call_log = os.path.join(logs, "holdfast.log")
        spec = "name net0 mgmtdev %s mac %s%s %s backend tap,ifname=%s" % (
            self.mgmtdev, MAC, " max_vqp %d" % self.queues if self.queues > 1 else "", self.spec, tap)
        wrap = [self.holdfast, "run", "-d", spec, "--log", self.call_log, "--"]
        if library:
            wrap += ["sh", "-c", 'LD_PRELOAD="$0:$LD_PRELOAD" exec "$@"', library]
        args = ["-device", "pcie-root-port,id=port0,chassis=1",
                "-netdev", "vhost-vdpa,id=n0,vhostdev=/dev/vhost-vdpa-0" +
                (",x-svq=on" if self.svq else ""),
                "-device", "virtio-net-pci,id=nic0,netdev=n0,bus=port0,mac=%s,romfile=" % MAC]
        if CONTROL:
            wrap = []
            args[3] = "tap,id=n0,script=no,downscript=no,vhost=off,ifname=" + tap
        if self.queues > 1:
            args[3] += ",queues=%d" % self.queues
            args[5] += ",mq=on,vectors=%d" % (2 * self.queues + 2)
        if incoming:
            args += ["-incoming", "defer"]
        guest = Guest(self.image, wrap, args, self.memory, self.queues, logs)
        self._alive.append((guest, tap))
        return guest, tap

    def start(self, library=None):
        """Boot the guest in a first QEMU."""
        self._boots += 1
        self.guest, self.tap = self._new_host(False, library)
        self._plug(self.tap)
        self.guest.wait_ready(200)
        self.configure_guest()

    def restart(self, library=None):
        """End the guest wherever it is, and boot another."""
        for guest, tap in list(self._alive):
            self.retire(guest, tap)
        self.start(library)

    def guest_crashed(self):
        """Return whether the guest's own kernel said that it crashed, while each QEMU runs on."""
        if any(guest.process.poll() is not None for guest, _ in self._alive):
            return False
        for folder, _, names in os.walk(self.logs):
            if "console.log" in names and folder not in self._crashed:
                with open(os.path.join(folder, "console.log"), errors="replace") as console:
                    if CRASH.search(console.read()):
                        self._crashed.add(folder)
                        return True
        return False

    def _plug(self, tap):
        with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % tap, "w") as knob:
            knob.write("1")
        self.ip("link", "set", tap, "up")

    def _move_port(self, tap):
        """The guest's port is @tap from now on."""
        self.ip("link", "set", self.tap, "down")
        self._plug(tap)
        self.tap = tap

    def retire(self, guest, tap):
        """End a QEMU that has the guest no more, or not yet."""
        if guest.process.poll() is not None:
            self.crashes.append(guest.process.returncode)
        guest.close()
        self.ip("link", "del", tap)
        self._alive.remove((guest, tap))

    # -- migrations

    def begin(self, incoming, outgoing, bandwidth=FAST, pause=PAUSE):
        """Start a destination, and a migration to it which stops before it switches over."""
        new, tap = self._new_host(True)
        for qmp in (new.qmp, self.guest.qmp):
            qmp.command("migrate-set-capabilities", capabilities=[
                {"capability": "events", "state": True}])
        if incoming:
            new.qmp.command("migrate-incoming", uri=incoming)
        self.guest.qmp.command("migrate-set-capabilities", capabilities=[
            {"capability": "pause-before-switchover", "state": True}])
        self.throttle(bandwidth, pause)
        self.guest.qmp.command("migrate", uri=outgoing)
        return new, tap

    def throttle(self, bandwidth, pause=PAUSE):
        """Limit the migration's bandwidth, and the pause that it may plan for."""
        self.guest.qmp.command("migrate-set-parameters", max_bandwidth=bandwidth,
                               downtime_limit=pause)

    def wait_status(self, *wanted, timeout=60):
        """Wait until the source reports one of these; return it."""
        deadline = time.monotonic() + timeout * PATIENCE
        info = {}
        while time.monotonic() < deadline:
            info = self.guest.qmp.command("query-migrate")
            status = info.get("status")
            if status in wanted:
                return status
            if status == "failed":
                raise MigrationError(info.get("error-desc", "the migration failed"))
            self.guest.qmp.wait_any("MIGRATION", deadline)
        raise MigrationError("no %s in %d s: %s" % (" or ".join(wanted), timeout, info))

    def wait_round(self, number, timeout=60):
        """Wait until memory is sent for the @number-th time."""
        deadline = time.monotonic() + timeout * PATIENCE
        while time.monotonic() < deadline:
            info = self.guest.qmp.command("query-migrate")
            if info.get("ram", {}).get("dirty-sync-count", 0) >= number:
                return
            check(info.get("status") in ("setup", "active"), "the migration is %s before round %d",
                  info.get("status"), number)
            self.guest.qmp.wait_any("MIGRATION_PASS", time.monotonic() + 0.2)
        check(False, "round %d was not reached in %d s", number, timeout)

    def complete(self, new, tap, timeout=90):
        """Let a migration that was begun switch over; the guest is in @new then."""
        old, old_tap = self.guest, self.tap
        if self.wait_status("pre-switchover", "completed", timeout=timeout) != "completed":
            self._move_port(tap)
            old.qmp.command("migrate-continue", state="pre-switchover")
            self.wait_status("completed")
        new.qmp.wait_event("RESUME", timeout=30)
        info = self._final_info(old)
        new.adopt(old)
        self.guest = new
        self.retire(old, old_tap)
        self.migrations.append(Migration(info))
        return self.migrations[-1]

    @staticmethod
    def _final_info(source):
        """What the source says of a migration that is complete: it says so before it has added up its times."""
        deadline = time.monotonic() + 10 * PATIENCE
        while True:
            info = source.qmp.command("query-migrate")
            if info.get("total-time"):
                return info
            check(time.monotonic() < deadline, "no total-time: %s", info)

    def address(self):
        """A migration address of its own."""
        return "unix:" + os.path.join(self._sockets.name, str(self._hosts))

    def begin_endless(self):
        """Start a migration that does not end by itself; all memory was sent once on return."""
        address = self.address()
        self.start_dirtying()
        new, tap = self.begin(address, address, SLOW, pause=1)
        self.wait_round(2)
        self.throttle(CRAWL, pause=1)
        return new, tap

    def migrate(self, during=None):
        """Move the guest to a new QEMU. @during is called when all memory was sent once and is being sent
        again, because the guest keeps writing: what the device writes now must be sent again, too."""
        if not during:
            address = self.address()
            return self.complete(*self.begin(address, address))
        new, tap = self.begin_endless()
        during()
        self.stop_dirtying()
        self.throttle(FAST)
        return self.complete(new, tap)

    def migrate_loaded(self, during):
        """Move the guest to a new QEMU; @during is called when memory is being sent for the first time."""
        address = self.address()
        new, tap = self.begin(address, address, SLOW)
        during()
        self.throttle(FAST)
        return self.complete(new, tap)

    def save_and_load(self, path):
        """Save the guest to @path, end its QEMU, and load it in a new one."""
        self.guest.qmp.command("migrate-set-capabilities", capabilities=[
            {"capability": "events", "state": True},
            {"capability": "pause-before-switchover", "state": False}])
        self.throttle(FAST)
        self.guest.qmp.command("stop")
        self.guest.qmp.command("migrate", uri="exec:cat >" + path)
        self.wait_status("completed")
        old = self.guest
        self.retire(old, self.tap)
        new, tap = self._new_host(True)
        new.qmp.command("migrate-set-capabilities", capabilities=[
            {"capability": "events", "state": True}])
        self._plug(tap)
        self.tap = tap
        new.qmp.command("migrate-incoming", uri="exec:cat " + path)
        while new.qmp.wait_event("MIGRATION", timeout=60)["data"]["status"] != "completed":
            pass
        new.qmp.command("cont")
        new.adopt(old)
        self.guest = new
        os.unlink(path)

    def describe_rings(self):
        """Return what the guest's memory says of each ring that its QEMU handed to the device, for a failed run. Only
        right where the rings are the guest's own: not while QEMU shadows them."""
        with open(self.call_log) as log:
            text = log.read()
        sizes = dict(re.findall(r"SET_VRING_NUM, \{index=(\d+), num=(\d+)\}", text))
        bases = dict(re.findall(r"SET_VRING_BASE, \{index=(\d+), num=(\d+)\}", text))
        places = re.findall(r"SET_VRING_ADDR, \{index=(\d+), flags=\w+, desc=\w+, used=(\w+), avail=(\w+)", text)
        lines = []
        for index, used, avail in places:
            size, used, avail = int(sizes[index]), int(used, 16), int(avail, 16)
            words = [self._guest_word(at) for at in (avail, avail + 2, avail + 4 + 2 * size, used, used + 2,
                                                     used + 4 + 8 * size)]
            lines.append("ring %s of %d, begun at %s: avail flags %d idx %d used_event %d; used flags %d idx %d "
                         "avail_event %d" % (index, size, bases.get(index), *words))
        return lines

    def _guest_word(self, address):
        shown = self.guest.qmp.command("human-monitor-command", command_line="xp /1hx 0x%x" % address)
        return int(shown.split()[-1], 16)

    # -- load

    def start_dirtying(self):
        """Have the guest write memory faster than it is sent, so that the migration goes on and on."""
        self.guest.run("(while [ ! -e /tmp/calm ]; do dd if=/dev/zero of=/tmp/churn bs=64k count=256 "
                       "conv=notrunc 2>/dev/null; done) >/dev/null 2>&1 &")

    def stop_dirtying(self):
        self.guest.run("touch /tmp/calm; while pidof dd >/dev/null; do usleep 10000; done; "
                       "rm -f /tmp/churn /tmp/calm")

    def hold_frames(self, count, timeout=60, size=0):
        """Have a program in the guest listen, and not read; return a function that waits until as many frames
        have come, and one that lets it read. @size is the frames' length, 0 if each has its own."""
        self._stream += 1
        self.guest.run("rm -f /tmp/rx /tmp/hold; mkfifo /tmp/rx /tmp/hold; "
                       "nic recv eth0 --count %d --seed %d --timeout %d --result /tmp/rx "
                       "--idle 3000 --size %d --hold /tmp/hold" % (count, self._stream, timeout * PATIENCE, size))
        before = self.received()

        def wait_arrived():
            deadline = time.monotonic() + timeout * PATIENCE
            while self.received() < before + count:
                check(time.monotonic() < deadline, "the frames did not reach the guest")

        def release():
            self.guest.run("echo >/tmp/hold")
            return Tally(self.guest.run("cat /tmp/rx", timeout=timeout + 10))
        return wait_arrived, release

    def send_from_guest(self, count, rate):
        """Begin to send numbered frames of the stream named last from the guest."""
        self.guest.run("nic send eth0 --count %d --seed %d --rate %d >/tmp/tx 2>&1 &" % (
            count, self.stream, rate))

    @property
    def stream(self):
        """The seed of the stream of frames named last."""
        return self._stream

    def received(self):
        """Packets that the guest's NIC has received."""
        return int(self.guest.run("cat /sys/class/net/eth0/statistics/rx_packets"))

    def old_calls(self, pattern):
        """Lines of the last but one QEMU's call log that match: of the last migration's source."""
        path = os.path.join(self.logs, "host%d" % (self._hosts - 1), "holdfast.log")
        with open(path) as log:
            return [line for line in log if re.search(pattern, line)]
