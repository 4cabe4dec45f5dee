# SPDX-License-Identifier: BSD-3-Clause
"""The place where an integration test runs, and the runner of its scenarios.

A test program enters its own user, network and process namespaces first: it needs no privilege,
touches nothing of the machine, and leaves nothing behind however it ends. A scenario is a
function that takes the lab and raises when something is wrong; the rest still run.

HOLDFAST                  the holdfast program under test (default: build/holdfast)
HOLDFAST_TEST_CONTROL=1   a control run with QEMU's own tap and stream instead of Holdfast: what fails there too
                          is not the stack's doing. Scenarios that need Holdfast are skipped.
HOLDFAST_BUILD            logs go to integration-logs/TEST below this folder (else to a new one in /tmp)
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from guest import PATIENCE, Guest, Image

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
HOLDFAST = os.environ.get("HOLDFAST") or os.path.join(ROOT, "build", "holdfast")
SKIP = 77
DEADLINE = int(os.environ.get("HOLDFAST_DEADLINE", 240))  # seconds for one program; five times what an idle machine takes
MAC = "52:54:00:12:34:56"
HOST_IP = "10.77.0.1"
GUEST_IP = "10.77.0.2"
CONTROL = os.environ.get("HOLDFAST_TEST_CONTROL") == "1"


class Skip(Exception):
    """The scenario cannot run here; the text says why."""


class Failure(Exception):
    """A check did not hold; the text says what was seen."""


def check(condition, message, *values):
    """Raise Failure with @message unless @condition holds."""
    if not condition:
        raise Failure(message % values if values else message)


class Tally:
    """What one receiver of numbered frames saw."""

    def __init__(self, text):
        self.text = text.strip().replace("listening\n", "")
        counts = dict(re.findall(r"(\w+)=(\d+)", text))
        check("received" in counts, "no result from the receiver: %s", text)
        self.received = int(counts["received"])
        self.corrupt = int(counts["corrupt"])
        self.duplicate = int(counts["duplicate"])
        self.missing = int(counts["missing"])
        self.gap_ms = int(counts["gap_us"]) / 1000  # the longest time without a frame
        self.clean = counts["missing"] == counts["corrupt"] == counts["duplicate"] == "0"


class Lab:
    """Interfaces, servers and guests of one test program."""

    ifname = "tap0"  # where the host sends and receives numbered frames
    mgmtdev = "vdpasim_net"  # what makes the guest's NIC, and words that it needs

    def __init__(self, name, holdfast=HOLDFAST):
        self.name = name
        self.holdfast = holdfast
        self.image = Image()
        self.logs = _log_dir(name)
        self.guest = None
        self._processes = []
        self._boots = 0
        self._stream = 0  # seed of the numbered frames under way

    # -- the host side

    def add_tap(self, ifname="tap0", address=HOST_IP + "/24", queues=1):
        """Create a TAP interface and bring it up."""
        multi = ["multi_queue"] if queues > 1 else []
        self.ip("tuntap", "add", "dev", ifname, "mode", "tap", *multi)
        self.setup_interface(ifname, address)

    def setup_interface(self, ifname, address=HOST_IP + "/24"):
        """Bring an interface up, with an address and without IPv6 chatter."""
        with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % ifname, "w") as knob:
            knob.write("1")
        self.ip("address", "add", address, "dev", ifname)
        self.ip("link", "set", ifname, "up")

    @staticmethod
    def ip(*args):
        subprocess.run(["ip"] + list(args), check=True)

    def spawn(self, command, **options):
        """Start a process that is killed at the end of the lab."""
        process = subprocess.Popen(command, **options)
        self._processes.append(process)
        return process

    @staticmethod
    def ping(count=5, address=GUEST_IP, patience=int(5 * PATIENCE)):
        """Ping the guest @count times, each with @patience in seconds; return the answers."""
        answers = 0
        for _ in range(count):
            result = subprocess.run(["busybox", "ping", "-c", "1", "-W", str(patience), address],
                                    stdout=subprocess.DEVNULL)
            answers += result.returncode == 0
        return answers

    # -- the guest

    def boot(self, backend="tap,ifname=tap0", queues=1, device="", args=(), spec="", smp=1,
             memory="256", configure=True):
        """Boot a guest whose only NIC is the device under test, and wait until it answers."""
        self._boots += 1
        logs = os.path.join(self.logs, "boot%d" % self._boots)
        os.makedirs(logs)
        self.call_log = os.path.join(logs, "holdfast.log")
        wrap, netdev = self.attach(backend, queues, spec)
        nic = "virtio-net-pci,id=nic0,netdev=n0,bus=port0,mac=%s,romfile=" % MAC
        if queues > 1:
            nic += ",mq=on,vectors=%d" % (2 * queues + 2)
        extra = ["-device", "pcie-root-port,id=port0,chassis=1",
                 "-netdev", netdev, "-device", nic + device] + list(args)
        self.guest = Guest(self.image, wrap, extra, memory, smp, logs)
        self.guest.wait_ready()
        if configure:
            self.configure_guest()
        return self.guest

    def attach(self, backend, queues=1, spec=""):
        """Return (command prefix, -netdev argument) that attach QEMU to @backend."""
        if CONTROL:
            return [], _qemu_netdev(backend, queues)
        mq = " max_vqp %d" % queues if queues > 1 else ""
        device = "name net0 mgmtdev %s mac %s%s%s backend %s" % (
            self.mgmtdev, MAC, mq, (" " + spec) if spec else "", backend)
        wrap = [self.holdfast, "run", "-d", device, "--log", self.call_log, "--"]
        netdev = "vhost-vdpa,id=n0,vhostdev=/dev/vhost-vdpa-0"
        return wrap, netdev + (",queues=%d" % queues if queues > 1 else "")

    @staticmethod
    def netdev_arguments():
        """Return the arguments of netdev_add that attach the same backend again."""
        if CONTROL:
            return {"type": "tap", "id": "n0", "ifname": "tap0", "script": "no",
                    "downscript": "no", "vhost": False}
        return {"type": "vhost-vdpa", "id": "n0", "vhostdev": "/dev/vhost-vdpa-0"}

    def configure_guest(self):
        """Give the guest's NIC its address; it must be there with the MAC we asked for."""
        self.guest.run("ip address add %s/24 dev eth0 && ip link set eth0 up" % GUEST_IP)
        mac = self.guest.run("cat /sys/class/net/eth0/address").strip()
        check(mac == MAC, "the guest's NIC has the address %s, not %s", mac, MAC)

    # -- data

    def frames_to_guest(self, count=300, send=(), during=None, ifname=None, timeout=60):
        """Send numbered frames host -> guest; call @during meanwhile; return the Tally."""
        receive = self.start_guest_receiver(count, timeout)
        sender = self.send_frames(count, send, ifname)
        if during:
            during()
        check(sender.wait(60 * PATIENCE) == 0, "the sender on the host failed")
        return receive()

    def send_frames(self, count, options=(), ifname=None):
        """Start to send numbered frames on a host interface; return the process."""
        command = [self.image.nic, "send", ifname or self.ifname, "--count", str(count),
                   "--seed", str(self._stream)] + list(options)
        return self.spawn(command, stdout=subprocess.DEVNULL)

    def start_guest_receiver(self, count, timeout=60, options=""):
        """Listen in the guest; the returned function waits for the Tally."""
        self._stream += 1
        self.guest.run("rm -f /tmp/rx; mkfifo /tmp/rx; nic recv eth0 --count %d --seed %d "
                       "--timeout %d --result /tmp/rx %s" % (count, self._stream, timeout * PATIENCE, options))
        return lambda: Tally(self.guest.run("cat /tmp/rx", timeout=timeout + 10))

    def frames_from_guest(self, count=300, send="", during=None, ifname=None):
        """Send numbered frames guest -> host; call @during meanwhile; return the Tally."""
        receive = self.start_host_receiver(count, ifname)
        self.guest.run("nic send eth0 --count %d --seed %d %s >/tmp/tx 2>&1 &" % (
            count, self._stream, send))
        if during:
            during()
        return receive()

    def start_host_receiver(self, count, ifname=None, timeout=60, options=()):
        """Listen on the host; the returned function waits for the Tally."""
        timeout = int(timeout * PATIENCE)
        self._stream += 1
        receiver = self.spawn([self.image.nic, "recv", ifname or self.ifname, "--count", str(count),
                               "--seed", str(self._stream), "--timeout", str(timeout)] + list(options),
                              stdout=subprocess.PIPE, text=True)
        check(receiver.stdout.readline() == "listening\n", "cannot listen")
        return lambda: Tally(receiver.communicate(timeout=timeout + 10)[0])

    def exchange_frames(self, count=300, rate=1000):
        """Numbered frames both ways, all of which must arrive unaltered.

        The rate is one that an emulated guest keeps up with: full queues may drop frames.
        """
        down = self.frames_to_guest(count, ["--rate", str(rate)])
        check(down.clean, "host to guest: %s", down.text)
        up = self.frames_from_guest(count, "--rate %d" % rate)
        check(up.clean, "guest to host: %s", up.text)

    def check_ping(self, count=5):
        """Ping the guest; each one must be answered."""
        answers = self.ping(count)
        check(answers == count, "%d of %d pings answered", answers, count)

    def can_go_on(self):
        """Return whether scenarios that share a boot still make sense after a failure."""
        return self._boots == 0 or self.guest is not None and self.guest.process.poll() is None and self.guest.ready

    def close(self):
        """End what is still running."""
        if self.guest:
            self.guest.close()
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def print_logs(self, lines=25):
        """Show the end of each log, for a person who reads a failed run."""
        for folder, _, names in sorted(os.walk(self.logs)):
            for name in sorted(names):
                path = os.path.join(folder, name)
                if not name.endswith(".log"):
                    continue
                with open(path, errors="replace") as log:
                    tail = log.readlines()[-lines:]
                print("--- end of %s\n%s" % (path, "".join(tail)))


def _log_dir(name):
    root = os.environ.get("HOLDFAST_BUILD")
    if not root:
        return tempfile.mkdtemp(prefix="holdfast-%s-" % name)
    path = os.path.join(root, "integration-logs", name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def _qemu_netdev(backend, queues):
    kind, _, options = backend.partition(",")
    if kind == "tap":
        many = ",queues=%d" % queues if queues > 1 else ""
        return "tap,id=n0,script=no,downscript=no,vhost=off,%s%s" % (options, many)
    words = options.split(",")
    return "stream,id=n0,addr.type=unix,server=%s,addr.%s" % (
        "on" if "listen" in words else "off", words[0])


def is_inside():
    """Return whether this process runs in the lab's namespaces."""
    return os.environ.get("HOLDFAST_LAB") == "inside"


def run_inside():
    """Run this program again in its own user, network and process namespaces; return its status.

    However this process or that one ends, the kernel ends all that was started in there.
    """
    Image()  # built, or downloaded, while there is still a network
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--user", "--map-root-user", "--net",
               "--pid", "--fork", "--kill-child", sys.executable] + sys.argv
    inside = subprocess.Popen(command, env=dict(os.environ, HOLDFAST_LAB="inside"))
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one inside gets it too
    signal.signal(signal.SIGTERM, lambda *_: inside.kill())
    status = inside.wait()
    signal.signal(signal.SIGINT, old)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return status if status >= 0 else 128 - status


def _on_alarm(_signal, _frame):
    raise Failure("the test's deadline has passed")


def run_scenarios(name, scenarios, deadline=DEADLINE, make_lab=Lab):
    """Run each scenario in turn and exit: 0 passed, 1 failed, 77 all of them were skipped."""
    sys.stdout.reconfigure(line_buffering=True)
    if not CONTROL and not os.access(HOLDFAST, os.X_OK):
        sys.exit("no holdfast program at %s: build it, or set HOLDFAST" % HOLDFAST)
    if not is_inside():
        sys.exit(run_inside())
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.alarm(deadline)
    Lab.ip("link", "set", "lo", "up")
    lab = make_lab(name)
    failed = passed = 0
    try:
        for scenario in scenarios:
            outcome = _run_one(lab, scenario)
            passed += outcome == "ok"
            failed += outcome == "FAILED"
            if failed and not lab.can_go_on():
                print("the scenarios after this one were not run")
                break
        if failed:
            lab.print_logs()
    finally:
        signal.alarm(0)
        lab.close()
    sys.exit(1 if failed else 0 if passed else SKIP)


def _run_one(lab, scenario):
    began = time.monotonic()
    title = (scenario.__doc__ or scenario.__name__).strip().splitlines()[0]
    try:
        scenario(lab)
        outcome, why = "ok", ""
    except Skip as reason:
        outcome, why = "skipped", ": %s" % reason
    except Exception as error:  # each kind of failure is reported alike
        outcome, why = "FAILED", ": %s" % error
        if not isinstance(error, Failure):
            traceback.print_exc(file=sys.stdout)
    print("%-8s %5.1f s  %s%s" % (outcome, time.monotonic() - began, title, why))
    return outcome
