# SPDX-License-Identifier: BSD-3-Clause
"""QEMU on descriptors of nodes that another program has opened, as libvirt does it.

That program, a part of this file, is what `holdfast run` starts. QEMU gets the first descriptor over fork and exec, and
one that is plugged in later over its monitor's socket. Of Holdfast's variables QEMU has LD_PRELOAD alone.
"""

import array
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import lab as labs
from lab import Lab, Skip, check, run_scenarios
from scenarios import plug_nic, reboot, stop_cont, unplug_nic

NODE = "/dev/vhost-vdpa-0"
FD = "@FD@"  # in QEMU's command: the descriptor's number
FDSET = ["-add-fd", "set=1,fd=%s,opaque=net0" % FD]


# ---- the program that opens

def serve(sock):
    """For each byte, open the node and send the descriptor, or why there is none."""
    while sock.recv(1):
        try:
            fd = os.open(NODE, os.O_RDWR)
        except OSError as error:
            sock.sendall(error.strerror.encode())
            continue
        sock.sendmsg([b"opened"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        os.close(fd)


def open_and_start(path, command):
    """Open the node, start @command with the descriptor, keep none of it; return the command's status."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    fd = os.open(NODE, os.O_RDWR)
    os.set_inheritable(fd, True)
    env = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST")}
    child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + [word.replace(FD, str(fd)) for word in command], env=env,
                             close_fds=False)
    os.close(fd)
    threading.Thread(target=serve, args=(sock,), daemon=True).start()
    return child.wait()


# ---- the test

class OpenerLab(Lab):
    """Guests whose QEMU opens no node. The opener is asked by a socket for more descriptors."""

    netdev = None  # how QEMU names the descriptor

    def attach(self, backend, queues=1, spec=""):
        if labs.CONTROL:
            raise Skip("a control run has no node")
        self.folder = tempfile.mkdtemp()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.folder, "opener"))
        self.listener.listen(1)
        wrap, _ = super().attach(backend, queues, spec)
        return wrap + [sys.executable, __file__, "--open", self.listener.getsockname()], self.netdev

    def start(self, netdev, args=()):
        self.netdev = netdev
        self.boot(args=args)
        self.opener = self.listener.accept()[0]
        self.listener.close()
        self.check_ping(20)
        self.exchange_frames()

    def ask(self):
        """Ask the opener to open the node; return (descriptor or None, what it says)."""
        self.opener.sendall(b"?")
        text, ancillary = self.opener.recvmsg(100, socket.CMSG_SPACE(4))[:2]
        return array.array("i", ancillary[0][2])[0] if ancillary else None, text.decode()

    def quit(self):
        """End QEMU, and by that the opener."""
        self.guest.qmp.command("quit")
        check(self.guest.process.wait(30) == 0, "QEMU ended with status %d", self.guest.process.returncode)
        self.guest.close()
        self.opener.close()
        shutil.rmtree(self.folder)


def inherited(lab):
    """a card that QEMU finds by `-add-fd` in /dev/fdset/1: frames both ways; the opener cannot open it twice"""
    lab.add_tap()
    lab.start("vhost-vdpa,id=n0,vhostdev=/dev/fdset/1", FDSET)
    fd, text = lab.ask()
    check(fd is None and text == "Device or resource busy", "the opener says: %s", text)


def plugged(lab):
    """the card is unplugged, its node is free; one that comes by QMP's add-fd is plugged in; twice"""
    for number in (1, 2):
        unplug_nic(lab)
        lab.guest.qmp.command("remove-fd", fdset_id=number)
        fd, text = lab.ask()
        check(fd is not None, "the opener says: %s", text)
        lab.guest.qmp.command("add-fd", fdset_id=number + 1, send_fd=fd)
        os.close(fd)
        plug_nic(lab, type="vhost-vdpa", id="n0", vhostdev="/dev/fdset/%d" % (number + 1))


def vhostfd(lab):
    """a card that QEMU finds by `vhostfd=`: frames both ways, stop and cont"""
    lab.quit()
    lab.start("vhost-vdpa,id=n0,vhostfd=" + FD)
    stop_cont(lab)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--open"]:
        sys.exit(open_and_start(sys.argv[2], sys.argv[3:]))
    run_scenarios("passed_fd", [inherited, reboot, plugged, vhostfd], make_lab=OpenerLab)
