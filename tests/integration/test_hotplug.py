# SPDX-License-Identifier: BSD-3-Clause
"""One guest whose memory grows and whose NIC goes away and comes back."""

import re

from lab import HOST_IP, check, run_scenarios
from scenarios import URL, frames, plug_nic, reboot, unplug_nic, upload
from server import FileServer


def boot(lab):
    """the guest boots with empty memory slots"""
    lab.add_tap()
    lab.server = FileServer(HOST_IP)
    lab.boot(memory="256,slots=2,maxmem=1G")
    lab.check_ping()


def high_free(lab):
    """Return the free pages above 4 GiB, where all the plugged memory is and no other."""
    zones = lab.guest.run("cat /proc/zoneinfo").split("Node ")
    return sum(int(re.search(r"pages free +(\d+)", zone).group(1)) for zone in zones
               if re.match(r"0, zone +(Normal|Movable)", zone))


def plug_memory(lab):
    """128 MiB are plugged in and a 64 MiB file moves through them, both ways"""
    qmp = lab.guest.qmp
    check(high_free(lab) == 0, "there is memory above 4 GiB already")
    blocks = int(lab.guest.run("ls -d /sys/devices/system/memory/memory*/state | wc -l"))
    qmp.command("object-add", qom_type="memory-backend-ram", id="mem1", size=128 << 20)
    qmp.command("device_add", driver="pc-dimm", id="dimm1", memdev="mem1")
    # Linux 6.1 leaves it offline, newer ones may bring it online by themselves
    lab.guest.run("cd /sys/devices/system/memory; until [ $(ls -d memory*/state | wc -l) -gt %d ]; do usleep 20000; "
                  "done; for m in $(grep -l offline memory*/state); do echo online_kernel >$m; done; "
                  "while grep -q offline memory*/state; do usleep 20000; done" % blocks)
    before = high_free(lab)
    check(before > 16 << 10, "only %d pages came online", before)
    lab.check_ping()
    got = lab.guest.run("wget -q -O /tmp/file %s/file && sha256sum </tmp/file" % URL, timeout=60)
    check(got.split()[0] == lab.server.sums["/file"], "received %s", got)
    used = before - high_free(lab)
    check(used > 8 << 10, "only %d pages of the new memory were used", used)
    upload(lab, "/tmp/file")
    lab.guest.run("rm /tmp/file")


def replug_nic(lab):
    """the NIC and its netdev are deleted under traffic and added again, twice"""
    for _ in range(2):
        sender = lab.send_frames(4000, ["--rate", "2000"])
        lab.guest.run("nic send eth0 --count 4000 --seed 1 --rate 2000 >/dev/null 2>&1 &")
        unplug_nic(lab)
        sender.kill()
        plug_nic(lab, **lab.netdev_arguments())


if __name__ == "__main__":
    run_scenarios("hotplug", [boot, frames, plug_memory, replug_nic, reboot])
