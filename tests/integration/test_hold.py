# SPDX-License-Identifier: BSD-3-Clause
"""An unmodified QEMU with two NICs that pin guest memory: pinned once, and what it unmaps it gets back for nothing.

Locking more than RLIMIT_MEMLOCK takes a capability of the machine itself, so unlike the other tests this one stays
outside of namespaces. Its NICs are loopbacks: nothing of the machine's network is touched.
"""

import os
import re
import resource
import signal
import sys

from guest import Guest
from lab import CONTROL, DEADLINE, HOLDFAST, SKIP, Lab, check

MEMORY = 256
SPEC = "name net%d mac 52:54:00:12:34:5%d memory pinned memlock unlimited"
NODES = [0, 1]


def may_lock():
    """Is a privileged or an unlimited process running this?"""
    with open("/proc/self/status") as status:
        capabilities = int(re.search(r"CapEff:\s*(\w+)", status.read()).group(1), 16)
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    return capabilities >> 14 & 1 or hard == resource.RLIM_INFINITY or hard >= (MEMORY + 32) << 20


def boot(lab):
    """a guest with two NICs boots, and its memory is pinned once"""
    lab.call_log = os.path.join(lab.logs, "holdfast.log")
    wrap = [HOLDFAST, "run", "--log", lab.call_log]
    args = []
    for n in NODES:
        wrap += ["-d", SPEC % (n, n)]
        args += ["-netdev", "vhost-vdpa,id=n%d,vhostdev=/dev/vhost-vdpa-%d" % (n, n),
                 "-device", "virtio-net-pci,netdev=n%d,mac=52:54:00:12:34:5%d,romfile=" % (n, n)]
    lab.guest = Guest(lab.image, wrap + ["--"], args, str(MEMORY), 1, lab.logs)
    lab.guest.wait_ready()
    use(lab)
    lab.first, lab.first_rounds = updates(lab), rounds(lab)
    check("pinned" in lab.first[0], "the first NIC pinned nothing: %s", lab.first)
    check(set(lab.first[1]) == {"pinned already"}, "the second NIC pinned, too: %s", lab.first)
    check(MEMORY <= locked(lab) < MEMORY + 16, "%d MiB are locked", locked(lab))


def use(lab):
    """Each NIC moves frames, which come back."""
    for n in NODES:
        lab.guest.run("ip link set eth%d up; cd /sys/class/net/eth%d/statistics; a=$(cat rx_packets); "
                      "ip address replace 10.9.%d.1/24 dev eth%d; ping -c 3 -W 1 10.9.%d.2 >/dev/null; "
                      "[ $(cat rx_packets) -gt $a ]" % (n, n, n, n, n))


def updates(lab):
    """Return a list a NIC: where the locks of its UPDATEs of guest memory came from.

    QEMU 10's own rings for a NIC's control queue are in address space 1.
    """
    found = [[] for _ in NODES]
    with open(lab.call_log) as log:
        for line in log:
            if "asid=0, UPDATE" not in line:
                continue
            source = re.search(r"\[vhost-vdpa-(\d)\].*\[(pinned already|pinned|held)\] = 72", line)
            check(source, "an UPDATE without a word about its lock: %s", line)
            found[int(source.group(1))].append(source.group(2))
    return found


def rounds(lab):
    """How often each NIC had the memory at 0 mapped, and so all of it. QEMU 11 does so before the guest boots, too."""
    with open(lab.call_log) as log:
        found = re.findall(r"\[vhost-vdpa-(\d)\].*asid=0, UPDATE, iova=0x0,", log.read())
    return [found.count(str(n)) for n in NODES]


def locked(lab):
    """MiB that QEMU has locked."""
    with open("/proc/%d/status" % lab.guest.process.pid) as status:
        return int(re.search(r"VmLck:\s*(\d+)", status.read()).group(1)) >> 10


def reboot(lab):
    """the guest reboots, twice, and its NICs work"""
    for _ in range(2):
        lab.guest.reboot()
        use(lab)


def stop_cont(lab):
    """stop unmaps all; nothing can be reached, and all stays locked; cont brings it back"""
    lab.guest.qmp.command("stop")
    check(MEMORY <= locked(lab) < MEMORY + 16, "%d MiB are locked while QEMU is stopped", locked(lab))
    lab.guest.qmp.command("cont")
    use(lab)


def taken_over(lab):
    """no map since the first start pinned anything"""
    for n, sources in enumerate(updates(lab)):
        since = sources[len(lab.first[n]):]
        again = rounds(lab)[n] - lab.first_rounds[n]
        check(again >= 3, "NIC %d: mapped only %d times more", n, again)
        # Who comes first takes over what both had given up.
        check(set(since) == {"pinned already" if n else "held"}, "NIC %d: %s", n, since)
    check(MEMORY <= locked(lab) < MEMORY + 16, "%d MiB are locked", locked(lab))


def main():
    """Run the scenarios in turn; the first that fails ends it."""
    if CONTROL or not may_lock():
        print("skipped: guest memory cannot be locked here (RLIMIT_MEMLOCK)")
        sys.exit(SKIP)
    signal.alarm(DEADLINE)
    lab = Lab("hold")
    try:
        for scenario in boot, reboot, stop_cont, taken_over:
            scenario(lab)
            print("ok  %s" % scenario.__doc__)
    except Exception:
        lab.print_logs()
        raise
    finally:
        lab.close()


if __name__ == "__main__":
    main()
