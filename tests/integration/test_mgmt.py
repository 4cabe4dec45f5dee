# SPDX-License-Identifier: BSD-3-Clause
"""Management of a running QEMU: look, add a device, plug it in, count, pull it out, delete it."""

import json
import os
import socket
import subprocess
import time

from lab import MAC, check, run_scenarios
from qmp import QmpError

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
MAC1 = "52:54:00:12:34:99"
IP1 = "10.78.0.2"


def holdfast(lab, *words, json_too=True):
    """Run `holdfast dev ...` on the lab's guest; return (status, parsed output or text)."""
    command = [lab.holdfast, "dev", "--pid", str(lab.guest.process.pid)]
    done = subprocess.run(command + (["-j"] if json_too else []) + list(words), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    if done.returncode == 0 and json_too:
        return 0, json.loads(done.stdout)
    return done.returncode, done.stdout + done.stderr


def ok(lab, *words):
    status, out = holdfast(lab, *words)
    check(status == 0, "dev %s: status %d: %s", " ".join(words), status, out)
    return out


def refused(lab, what, *words):
    status, out = holdfast(lab, *words)
    check(status == 1 and what in out, "dev %s: status %d: %s", " ".join(words), status, out)


def boot(lab):
    """the guest boots under -sandbox, and its device is found and shown"""
    lab.add_tap()
    lab.boot(args=["-sandbox", SANDBOX, "-device", "pcie-root-port,id=port1,chassis=2"])
    lab.check_ping()
    shown = ok(lab, "show")["dev"]["net0"]
    check(shown["type"] == "network" and shown["node"] == "/dev/vhost-vdpa-0", "%s", shown)
    config = ok(lab, "config", "show", "net0")["config"]["net0"]
    check(config["mac"] == MAC and "VERSION_1" in config["negotiated_features"], "%s", config)


def counters(lab):
    """the counters of the queues grow with the traffic, while it runs"""
    before = [ok(lab, "vstats", "show", "net0", "qidx", str(i))["vstats"]["net0"] for i in (0, 1)]
    lab.check_ping()
    after = [ok(lab, "vstats", "show", "net0", "qidx", str(i))["vstats"]["net0"] for i in (0, 1)]
    check(before[0]["queue_type"] == "rx" and before[1]["queue_type"] == "tx", "%s", before)
    check(after[0]["rx packets"] >= before[0]["rx packets"] + 5 and
          after[1]["tx packets"] >= before[1]["tx packets"] + 5, "%s then %s", before, after)
    check(after[1]["tx bytes"] > before[1]["tx bytes"], "%s then %s", before, after)
    refused(lab, "no queue 7",
            "vstats", "show", "net0", "qidx", "7")


def plug(lab):
    """a device is added at run time, plugged into the guest, and carries traffic"""
    qmp = lab.guest.qmp
    try:
        qmp.command("netdev_add", type="vhost-vdpa", id="n1", vhostdev="/dev/vhost-vdpa-1")
        check(False, "there was a second node before it was added")
    except QmpError:
        pass
    lab.ip("tuntap", "add", "dev", "tap1", "mode", "tap")
    lab.setup_interface("tap1", "10.78.0.1/24")
    added = ok(lab, "add", "name", "net1", "mgmtdev", "vdpasim_net", "mac", MAC1,
               "backend", "tap,ifname=tap1")["dev"]["net1"]
    check(added["node"] == "/dev/vhost-vdpa-1", "%s", added)
    refused(lab, "File exists", "add", "name", "net1", "mgmtdev", "vdpasim_net")
    qmp.command("netdev_add", type="vhost-vdpa", id="n1", vhostdev="/dev/vhost-vdpa-1")
    refused(lab, "Resource temporarily unavailable", "vstats", "show", "net1", "qidx", "0")
    qmp.command("device_add", driver="virtio-net-pci", id="nic1", netdev="n1", bus="port1",
                mac=MAC1, romfile="")
    lab.guest.run("until [ -e /sys/class/net/eth1 ]; do usleep 20000; done", timeout=30)
    lab.guest.run("ip address add %s/24 dev eth1 && ip link set eth1 up" % IP1)
    check(lab.ping(5, IP1) == 5, "the new card does not answer")
    sent = ok(lab, "vstats", "show", "net1", "qidx", "1")["vstats"]["net1"]
    check(sent["tx packets"] >= 5, "%s", sent)


def hostile(lab):
    """clients that mean harm on the socket disturb neither traffic nor management"""
    pid = lab.guest.process.pid
    folder = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"
    paths = [os.path.join(folder, "holdfast", "%d.sock" % pid),
             "/tmp/holdfast-%d/%d.sock" % (os.geteuid(), pid)]
    path = next((p for p in paths if os.path.exists(p)), None)
    check(path is not None, "no socket at %s", paths)
    held = []
    for i in range(40):
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(path)
        peer.settimeout(10)
        try:
            peer.sendall([b"[" * 5000 + b"\n", b'{"command":"dev show"', b"\0\xff\n" * 50,
                          b'{"command":"dev show"}\n' * 200, b"x" * 70000][i % 5])
        except (BrokenPipeError, ConnectionResetError):
            pass
        held.append(peer)
    lab.exchange_frames()
    ok(lab, "show")
    for peer in held:
        peer.close()


def unplug(lab):
    """the device is pulled out, and deleted; its number is free again"""
    qmp = lab.guest.qmp
    qmp.command("device_del", id="nic1")
    qmp.wait_deleted("nic1")
    qmp.command("netdev_del", id="n1")
    ok(lab, "del", "net1")
    refused(lab, "No such device", "del", "net1")
    check(list(ok(lab, "show")["dev"]) == ["net0"], "more than net0 is left")
    again = ok(lab, "add", "name", "net2", "mgmtdev", "vdpasim_net")["dev"]["net2"]
    check(again["node"] == "/dev/vhost-vdpa-1", "%s", again)
    ok(lab, "del", "net2")


def delete_in_use(lab):
    """a device that QEMU has open is deleted at once, and goes on carrying traffic"""
    began = time.monotonic()
    ok(lab, "del", "net0")
    check(time.monotonic() - began < 10, "dev del waited")
    check(ok(lab, "show")["dev"] == {}, "net0 is still shown")
    lab.check_ping()
    lab.exchange_frames()
    try:
        lab.guest.qmp.command("netdev_add", type="vhost-vdpa", id="n9",
                              vhostdev="/dev/vhost-vdpa-0")
        check(False, "the node of a deleted device can be opened")
    except QmpError:
        pass


def end(lab):
    """QEMU ends well, and leaves no socket behind"""
    pid = lab.guest.process.pid
    status = lab.guest.terminate()
    check(status == 0, "QEMU ended with status %d", status)
    done = subprocess.run([lab.holdfast, "dev", "--pid", str(pid)], text=True,
                          stderr=subprocess.PIPE)
    check(done.returncode == 1 and "has no devices" in done.stderr, "%s", done)
    check(not os.path.exists("/tmp/holdfast-%d/%d.sock" % (os.geteuid(), pid)), "a socket is left")


if __name__ == "__main__":
    run_scenarios("mgmt", [boot, counters, plug, hostile, unplug, delete_in_use, end])
