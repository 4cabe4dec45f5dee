# SPDX-License-Identifier: BSD-3-Clause
"""One guest on a TAP device through what a guest's life brings: traffic, rebind, stop, reboot."""

import re

from lab import HOST_IP, check, run_scenarios
from server import FileServer

URL = "http://%s:%d" % (HOST_IP, FileServer.PORT)


def boot(lab):
    """the guest boots, finds its NIC and answers 20 of 20 pings"""
    lab.add_tap()
    lab.server = FileServer(HOST_IP)
    lab.boot()
    lab.check_ping(20)


def fetch(lab, path="/file"):
    return lab.guest.run("wget -q -O - %s%s | sha256sum" % (URL, path), timeout=60).split()[0]


def frames(lab):
    """1000 numbered frames each way, compared byte by byte"""
    lab.exchange_frames(1000)


def detect_damage(lab):
    """a frame damaged on the way and a damaged file are both noticed"""
    tally = lab.frames_to_guest(50, ["--corrupt", "7"])
    check(tally.corrupt == 1 and not tally.clean, "one damaged frame was sent: %s", tally.text)
    check(fetch(lab, "/damaged") != lab.server.sum, "a damaged file has the right checksum")


def transfer(lab):
    """64 MiB over TCP to the guest and 32 MiB back, checksums compared"""
    got = fetch(lab)
    check(got == lab.server.sum, "the guest received %s, sent was %s", got, lab.server.sum)
    out = lab.guest.run("dd if=/dev/urandom of=/tmp/up bs=1M count=32 2>/dev/null; "
                        "sha256sum </tmp/up; nc %s %d </tmp/up; rm /tmp/up"
                        % (HOST_IP, FileServer.UPLOAD_PORT), timeout=60)
    sent, received = re.findall(r"[0-9a-f]{64}", out)
    check(sent == received, "upload: sent %s, received %s", sent, received)


def rebind(lab):
    """the guest's driver is unbound and bound again, twice"""
    for _ in range(2):
        lab.guest.run("d=/sys/bus/virtio/drivers/virtio_net; n=$(ls $d | grep ^virtio); "
                      "echo $n >$d/unbind; [ ! -e /sys/class/net/eth0 ]; echo $n >$d/bind")
        lab.configure_guest()
        lab.check_ping()
        lab.exchange_frames()


def stop_cont(lab):
    """stop and cont lose nothing: frames sent while stopped, in flight, and 20 of 20 pings after"""
    qmp = lab.guest.qmp
    receive = lab.start_guest_receiver(20)
    qmp.command("stop")
    lab.spawn([lab.image.nic, "send", "tap0", "--count", "20"]).wait(10)
    qmp.command("cont")
    tally = receive()
    check(tally.clean, "20 frames sent to a stopped guest: %s", tally.text)
    lab.check_ping(20)

    def pause():
        qmp.command("stop")
        qmp.command("cont")
    tally = lab.frames_from_guest(400, "--rate 400", pause)
    check(tally.clean, "guest to host over stop and cont: %s", tally.text)
    tally = lab.frames_to_guest(400, ["--rate", "400"], pause)
    check(tally.clean, "host to guest over stop and cont: %s", tally.text)
    lab.check_ping(20)


def link(lab):
    """the link goes down (no traffic) and up again (traffic)"""
    qmp = lab.guest.qmp
    qmp.command("set_link", name="n0", up=False)
    carrier = "until [ $(cat /sys/class/net/eth0/carrier) = %d ]; do usleep 20000; done"
    lab.guest.run(carrier % 0, timeout=10)
    check(lab.frames_to_guest(5, timeout=2).received == 0, "frames passed a link that is down")
    qmp.command("set_link", name="n0", up=True)
    lab.guest.run(carrier % 1, timeout=10)
    lab.check_ping()
    lab.exchange_frames()


def reboot(lab):
    """the guest reboots twice and its traffic is whole again each time"""
    for _ in range(2):
        lab.guest.reboot()
        lab.configure_guest()
        lab.check_ping()
        lab.exchange_frames()
    got = fetch(lab)
    check(got == lab.server.sum, "after a reboot: received %s, sent %s", got, lab.server.sum)


if __name__ == "__main__":
    run_scenarios("traffic", [boot, frames, detect_damage, transfer, rebind, stop_cont, link, reboot])
