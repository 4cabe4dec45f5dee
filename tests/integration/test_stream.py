# SPDX-License-Identifier: BSD-3-Clause
"""One guest whose frames travel over a Unix stream socket to a peer of ours, either end listening."""

import os

from lab import CONTROL, HOST_IP, Skip, check, run_scenarios
from peer import StreamPeer
from scenarios import frames, reboot, transfer
from server import FileServer


def wait_connected(lab):
    """Wait until a ping passes, at most about 20 s: a new connection takes its time."""
    for _ in range(10):
        if lab.ping(1, patience=2):
            return
    check(False, "no ping passed after the peer came back")


def boot_connecting(lab):
    """the device connects to a peer that listens, and the guest answers pings"""
    path = os.path.join(lab.logs, "peer.sock")
    lab.peer = StreamPeer(path, listens=True)
    lab.setup_interface("tap0")
    lab.server = FileServer(HOST_IP)
    lab.boot("stream,path=" + path)
    lab.check_ping(20)


def boot_listening(lab):
    """the device listens, a peer connects, and the guest answers pings"""
    lab.guest.close()
    lab.peer.close()
    path = os.path.join(lab.logs, "device.sock")
    lab.peer = StreamPeer(path, listens=False)
    lab.setup_interface("tap0")
    lab.boot("stream,path=%s,listen" % path)
    lab.peer.connect()
    wait_connected(lab)
    lab.check_ping(20)


def dead_peer(lab):
    """the peer dies while frames flow, comes back, and no frame is altered"""
    if CONTROL:
        raise Skip("QEMU 7.2's stream netdev does not reconnect")
    lab.guest.run("nic send eth0 --count 2000 --rate 2000 --seed 999 >/tmp/tx 2>&1 &")
    for _ in range(3):
        lab.peer.drop()
        check(lab.guest.run("echo alive") == "alive\n", "the guest is gone")
        lab.peer.connect()
        wait_connected(lab)
    lab.exchange_frames()


def hostile_peer(lab):
    """a peer that claims a frame of 4 GiB, or sends half of one and dies, does no harm"""
    if CONTROL:
        raise Skip("QEMU 7.2's stream netdev does not reconnect")
    for junk in (b"\xff\xff\xff\xff" + bytes(100), b"\0\0\0\0" * 50, b"\0\0\x05\xdc" + bytes(700)):
        lab.peer.send_raw(junk)
        lab.peer.drop()
        lab.peer.connect()
        wait_connected(lab)
    lab.exchange_frames()


if __name__ == "__main__":
    run_scenarios("stream", [boot_connecting, frames, transfer, dead_peer, hostile_peer, reboot,
                             boot_listening, frames, dead_peer, hostile_peer])
