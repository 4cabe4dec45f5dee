# SPDX-License-Identifier: BSD-3-Clause
"""A guest of libvirt's on a card, `<interface type='vdpa'>`, or with `--disk` on a disk, `<disk type='vhostvdpa'>`.

The daemon runs under `holdfast run`. It opens the nodes and gives QEMU the descriptors: over fork and exec by `-add-fd`, and
over the monitor's socket when a card is plugged in. The machine's root runs this: the daemon is `qemu:///system`, with
folders of its own.
"""

import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys

import client
from guest import Guest
from lab import HOST_IP, MAC, Failure, Lab, Skip, check, is_inside
from scenarios import frames, reboot, stop_cont, transfer
from server import FileServer
from test_generic_disk import DEVICE, SIZE, filesystem, find_disk, raw, read_after_reboot, with_guest

FOLDERS = ("/run", "/etc/libvirt", "/var/lib/libvirt", "/var/cache", "/var/log")
DAEMON_CONFIG = 'auth_unix_rw = "none"\n'
# QEMU is root's, as the files of the tests are, and nothing is looked for that a root folder does not have
QEMU_CONFIG = 'user = "root"\ngroup = "root"\ndynamic_ownership = 0\nremember_owner = 0\nnamespaces = []\n' \
    'security_driver = "none"\nstdio_handler = "file"\n'
CARD = "<interface type='vdpa'><mac address='%s'/><source dev='/dev/vhost-vdpa-0'/><model type='virtio'/></interface>" % MAC
DISK = "<disk type='vhostvdpa' device='disk'><driver name='qemu' type='raw' cache='none'/>" \
    "<source dev='/dev/vhost-vdpa-0'/><target dev='vda' bus='virtio'/><serial>disk0</serial></disk>"
DOMAIN = """<domain type='qemu'><name>guest</name><memory unit='MiB'>256</memory>{limit}
<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>{image.kernel}</kernel><initrd>{image.initrd}</initrd>
<cmdline>console=ttyS0 quiet loglevel=5 panic=-1 no_timer_check</cmdline></os><features><acpi/></features><cpu mode='maximum'/>
<devices>{devices}
<channel type='unix'><source mode='bind' path='/run/agent'/><target type='virtio' name='agent'/></channel>
<serial type='file'><source path='{console}'/></serial><memballoon model='none'/></devices></domain>
"""


def virsh(*words):
    """Run virsh, which must succeed; return what it says."""
    done = subprocess.run(["virsh", "-q", "-c", "qemu:///system", *words], check=False, timeout=120, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Failure("virsh %s: %s" % (" ".join(words), done.stdout.strip()))
    return done.stdout


class Monitor:
    """Commands of QEMU's monitor that the scenarios use, as libvirt has them."""

    @staticmethod
    def command(execute):
        virsh({"stop": "suspend", "cont": "resume"}[execute], "guest")


class LibvirtGuest(Guest):
    """A guest that libvirt has started. @process is libvirt's daemon."""

    def __init__(self, process):
        self._next_id, self._buffer = 0, b""
        self.qmp, self.process, self.boot_id, self.ready = Monitor(), process, None, False
        self._agent = socket.socket(socket.AF_UNIX)
        self._agent.connect("/run/agent")

    def reboot(self):
        self.start("reboot -f")
        self.wait_ready()

    def close(self):
        self._agent.close()


class LibvirtLab(Lab):
    """libvirt's daemon, with a device."""

    def start_daemon(self, spec):
        with open("/etc/libvirt/libvirtd.conf", "w") as config:
            config.write(DAEMON_CONFIG)
        with open("/etc/libvirt/qemu.conf", "w") as config:
            config.write(QEMU_CONFIG)
        os.makedirs("/var/log/libvirt")
        os.symlink(self.logs, "/var/log/libvirt/qemu")
        log = os.path.join(self.logs, "libvirtd.log")
        # it goes into the background when it is ready
        subprocess.run([self.holdfast, "run", "-d", spec, "--log", os.path.join(self.logs, "holdfast.log"), "--", "libvirtd",
                        "--daemon", "--pid-file", "/run/daemon.pid"], check=True,
                       timeout=60, env=dict(os.environ, LIBVIRT_LOG_OUTPUTS="2:file:" + log))

    def define(self, devices):
        """Start the guest, and wait until it answers."""
        path = os.path.join(self.logs, "guest.xml")
        with open(path, "w") as file:
            file.write(DOMAIN.format(image=self.image, limit=memory_limit(), devices=devices,
                                     console=os.path.join(self.logs, "console.log")))
        virsh("create", path)
        with open("/run/daemon.pid") as pid:
            self.guest = LibvirtGuest(Process(int(pid.read())))
        self.guest.wait_ready()


class Process:
    """The daemon, which is no child of ours."""

    def __init__(self, pid):
        self.pid = pid

    def poll(self):
        return None if os.path.exists("/proc/%d" % self.pid) else 1


def memory_limit():
    """What the domain needs so that libvirt does not raise RLIMIT_MEMLOCK by more than it may. By default it wants as much as
    the guest's memory and 1 GiB for an interface of type vdpa."""
    wanted = 2 << 30
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (wanted, wanted))
        return ""
    except ValueError:
        limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
        return "<memtune><hard_limit unit='KiB'>%d</hard_limit></memtune>" % (limit >> 10)


def boot(lab):
    """libvirt starts a guest with a card; 20 of 20 pings"""
    need_daemon()
    lab.add_tap()
    lab.server = FileServer(HOST_IP)
    lab.start_daemon("name net0 mgmtdev vdpasim_net mac %s backend tap,ifname=tap0" % MAC)
    lab.define(CARD)
    lab.configure_guest()
    lab.check_ping(20)


def boot_disk(lab):
    """libvirt starts a guest with a disk, and the guest finds it"""
    need_daemon()
    lab.disk = os.path.join(lab.logs, "disk.img")
    with open(lab.disk, "wb") as disk:
        disk.truncate(SIZE)
    lab.start_daemon(DEVICE + lab.disk)
    lab.define(DISK)
    find_disk(lab)


def need_daemon():
    if not shutil.which("libvirtd"):
        raise Skip("no libvirtd here")


def replug(lab):
    """the card is unplugged and plugged in again, twice"""
    path = os.path.join(lab.logs, "card.xml")
    with open(path, "w") as file:
        file.write(CARD)
    for _ in range(2):
        virsh("detach-interface", "guest", "vdpa", "--mac", MAC)
        lab.guest.run("while [ -e /sys/class/net/eth0 ]; do usleep 20000; done", timeout=20)
        virsh("attach-device", "guest", path)
        lab.guest.run("until [ -e /sys/class/net/eth0 ]; do usleep 20000; done", timeout=20)
        lab.configure_guest()
        lab.check_ping()
        lab.exchange_frames()


def again(lab):
    """the guest is destroyed and started anew on the same nodes"""
    virsh("destroy", "guest")
    lab.guest.close()
    lab.define(CARD)
    lab.configure_guest()
    lab.check_ping()
    lab.exchange_frames()


def end(lab):
    """the guest and the daemon end"""
    virsh("destroy", "guest")
    daemon = os.pidfd_open(lab.guest.process.pid)
    signal.pidfd_send_signal(daemon, signal.SIGTERM)
    check(select.select([daemon], [], [], 30)[0], "libvirt's daemon does not end")
    os.close(daemon)


if __name__ == "__main__":
    if is_inside() and os.environ.get("HOLDFAST_LAB_MOUNTS") != "inside":
        os.environ["HOLDFAST_LAB_MOUNTS"] = "inside"
        # the shell waits for processes that went into the background, as init does: libvirt counts on that
        os.execvp("unshare", ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", '"$@"; exit $?',
                              "sh", sys.executable] + sys.argv)
    if is_inside():
        # Where there is a control group for memory, libvirt makes the limit of memory_limit() one of all memory.
        subprocess.run(["umount", "--recursive", "--lazy", "/sys/fs/cgroup"], check=False)
        for folder in FOLDERS:
            if os.path.isdir(folder):
                subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    FIRST, REST = boot, (frames, transfer, stop_cont, replug, reboot, again, end)
    if "--disk" in sys.argv:
        FIRST, REST = boot_disk, (raw, read_after_reboot, filesystem, end)
    client.run([FIRST] + [with_guest(each) for each in REST], make_lab=LibvirtLab)
