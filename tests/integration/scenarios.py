# SPDX-License-Identifier: BSD-3-Clause
"""Scenarios that more than one test program runs. Each takes the lab, whose guest is up."""

import re

from lab import HOST_IP, MAC, check
from server import FileServer

URL = "http://%s:%d" % (HOST_IP, FileServer.PORT)


def fetch(lab, path="/file", prefix=""):
    """Return the checksum of @path as the guest received it."""
    command = "%s wget -q -O - %s%s | sha256sum" % (prefix, URL, path)
    return lab.guest.run(command, timeout=60).split()[0]


def frames(lab):
    """1000 numbered frames each way, compared byte by byte"""
    lab.exchange_frames(1000)


def detect_damage(lab):
    """a frame damaged on the way and a damaged file are both noticed"""
    tally = lab.frames_to_guest(50, ["--corrupt", "7"])
    check(tally.corrupt == 1 and not tally.clean, "one damaged frame was sent: %s", tally.text)
    check(fetch(lab, "/damaged") != lab.server.sums["/file"], "a damaged file looks right")


def transfer(lab):
    """64 MiB over TCP to the guest and 32 MiB back, checksums compared"""
    got, sent = fetch(lab), lab.server.sums["/file"]
    check(got == sent, "the guest received %s, sent was %s", got, sent)
    lab.guest.run("dd if=/dev/urandom of=/tmp/up bs=1M count=32 2>/dev/null")
    upload(lab, "/tmp/up")
    lab.guest.run("rm /tmp/up")


def upload(lab, path):
    """Send a file of the guest's to the host and compare the checksums of both ends."""
    out = lab.guest.run("sha256sum <%s; nc %s %d <%s" % (
        path, HOST_IP, FileServer.UPLOAD_PORT, path), timeout=60)
    sums = re.findall(r"[0-9a-f]{64}", out)
    check(len(sums) == 2 and sums[0] == sums[1], "sent and received checksums: %s", sums)


def rebind(lab):
    """the guest's driver is unbound and bound again, twice"""
    for _ in range(2):
        lab.guest.run("d=/sys/bus/virtio/drivers/virtio_net; n=$(ls $d | grep ^virtio); "
                      "echo $n >$d/unbind; [ ! -e /sys/class/net/eth0 ] && echo $n >$d/bind")
        lab.configure_guest()
        lab.check_ping()
        lab.exchange_frames()


def stop_cont(lab):
    """stop and cont lose nothing: frames sent while stopped, in flight, and 20 of 20 pings after"""
    qmp = lab.guest.qmp
    receive = lab.start_guest_receiver(20)
    qmp.command("stop")
    lab.send_frames(20).wait(10)
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


def unplug_nic(lab):
    """Delete the NIC and its netdev."""
    lab.guest.qmp.command("device_del", id="nic0")
    lab.guest.qmp.wait_deleted("nic0")
    lab.guest.run("[ ! -e /sys/class/net/eth0 ]")
    lab.guest.qmp.command("netdev_del", id="n0")


def plug_nic(lab, **netdev):
    """Add a netdev and a NIC on it; frames go both ways."""
    lab.guest.qmp.command("netdev_add", **netdev)
    lab.guest.qmp.command("device_add", driver="virtio-net-pci", id="nic0", netdev="n0", bus="port0", mac=MAC, romfile="")
    lab.guest.run("until [ -e /sys/class/net/eth0 ]; do usleep 20000; done", timeout=20)
    lab.configure_guest()
    lab.check_ping()
    lab.exchange_frames()


def link(lab):
    """the link goes down (no traffic) and up again (traffic)"""
    qmp = lab.guest.qmp
    qmp.command("set_link", name="n0", up=False)
    # With vhost-vdpa the guest's carrier does not change: QEMU takes the link's state from the
    # device and stops the device instead.
    check(lab.frames_to_guest(5, timeout=2).received == 0, "frames passed a link that is down")
    check(lab.ping(1, patience=2) == 0, "a ping passed a link that is down")
    qmp.command("set_link", name="n0", up=True)
    lab.check_ping()
    lab.exchange_frames()


def reboot(lab):
    """the guest reboots and its traffic is whole again"""
    lab.guest.reboot()
    lab.configure_guest()
    lab.check_ping()
    lab.exchange_frames()


def reboot_again(lab):
    """the guest reboots once more and receives 64 MiB"""
    reboot(lab)
    got, sent = fetch(lab), lab.server.sums["/file"]
    check(got == sent, "after a reboot: received %s, sent %s", got, sent)
