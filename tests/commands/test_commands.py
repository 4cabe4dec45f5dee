# SPDX-License-Identifier: BSD-3-Clause
"""Each command that README, docs and man pages show is run as it is printed.

    test_commands.py              run all of them, in namespaces of its own; no privilege is needed
    test_commands.py --list       print them, each with the rule that applies
    test_commands.py --self-test  show that a command that fails, and a rule without a command, are noticed

A command runs in a folder with what the pages take for granted: disk.img, image.raw, loopnic.c and mynic.c; on the
interface tap0 the host has the address 10.77.0.1. It must end with status 0. RULES says what differs: what cannot be
run, and why; what stands in the place of `...` and CLIENT; which long measurements are cut short.
"""

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import blocks  # noqa: E402
from guest import Guest  # noqa: E402
from lab import GUEST_IP, HOST_IP, Failure, Lab, Skip, check, run_scenarios  # noqa: E402

BUILD = os.environ.get("HOLDFAST_BUILD") or os.path.join(ROOT, "build")
LIMIT = 120  # seconds for one command; the longest takes 15 on an idle machine
DISK_SIZE = 64 << 20


class CommandsLab(Lab):
    """The lab, a folder with the pages' files, and an installed Holdfast for pkg-config."""

    def __init__(self, name):
        super().__init__(name)
        self.page = None
        self.destination = None  # of a migration
        self.folder = tempfile.mkdtemp(prefix="holdfast-commands-")
        # `holdfast dev` is to find this lab's clients, not others of the same user
        os.environ["XDG_RUNTIME_DIR"] = self.folder
        self.env = {name: value for name, value in os.environ.items() if name not in ("HOLDFAST", "HOLDFAST_BUILD")}
        self.env["PATH"] = BUILD + ":" + os.environ["PATH"]
        for name in ("tap0", "tap1"):
            self.ip("tuntap", "add", "dev", name, "mode", "tap")
        self.setup_interface("tap0")
        self.ip("link", "set", "tap1", "up")
        self.make_files()
        self.install()

    def move_address(self, old, new):
        for way, name in ("del", old), ("add", new):
            self.ip("address", way, HOST_IP + "/24", "dev", name)

    def make_files(self):
        with open(self.path("disk.img"), "wb") as disk:
            disk.truncate(DISK_SIZE)
        with open(self.path("image.raw"), "wb") as image:
            image.write(os.urandom(1 << 20))
        shutil.copy(self.path("disk.img"), self.path("data.img"))
        with open(os.path.join(ROOT, "examples", "loopnic.c"), encoding="utf-8") as source:
            text = source.read()
        for name in ("loopnic", "mynic"):
            with open(self.path(name + ".c"), "w", encoding="utf-8") as copy:
                copy.write(text.replace("loopnic", name))

    def install(self):
        """`make install` into a folder, and pkg-config made to look there."""
        root = self.path("root")
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", root], check=True,
                       stdout=subprocess.DEVNULL)
        found = [folder for folder, _, names in os.walk(root) if "holdfast.pc" in names]
        self.env.update(PKG_CONFIG_PATH=found[0], PKG_CONFIG_SYSROOT_DIR=root)

    def path(self, name):
        return os.path.join(self.folder, name)

    def begin_page(self, page):
        """The reader of a page has done nothing that another one says."""
        if page != self.page:
            self.end_guest()
        self.page = page

    def end_guest(self):
        if self.guest:
            self.guest.close()
            self.guest = None
        if self.destination:
            self.destination.close()
            self.destination = None

    def can_go_on(self):
        return True  # the commands do not depend on each other

    def close(self):
        self.end_guest()
        super().close()
        shutil.rmtree(self.folder)

    def execute(self, command):
        """Run @command in a shell; it must end in time, with status 0. Return its output."""
        done = subprocess.run(["sh", "-c", command], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT)
        check(done.returncode == 0, "status %d\n%s", done.returncode, done.stdout[-3000:])
        return done.stdout


# -- how a command is run: each takes the lab and the command


def plain(lab, command):
    """as printed"""
    if "tap0" in command:
        lab.end_guest()
    lab.execute(command)


def not_run(reason):
    def skip(_lab, _command):
        raise Skip(reason)
    skip.__doc__ = "not run: " + reason
    return skip


def with_words(words):
    """The command with @words at its end."""
    def run(lab, command):
        plain(lab, command + " " + words)
    run.__doc__ = "with `%s` at its end" % words
    return run


def with_own_proc(lab, command):
    """with a /proc that knows the lab's process numbers: it looks for idle threads there"""
    lab.execute("exec unshare --mount --mount-proc sh -c " + shlex.quote(command))


def traced_client(lab, command):
    """CLIENT is `holdfast check`; the log must show its calls"""
    plain(lab, command.replace("CLIENT", "holdfast check --match ioctl.get_features.* /dev/vhost-vdpa-0"))
    with open(lab.path("calls.txt"), encoding="utf-8") as log:
        check("VHOST_GET_FEATURES" in log.read(), "calls.txt shows no VHOST_GET_FEATURES")


def qemu_version():
    shown = subprocess.run(["qemu-system-x86_64", "--version"], text=True, stdout=subprocess.PIPE, check=True).stdout
    return int(re.search(r"version (\d+)", shown)[1])


def start(lab, command):
    """Run a command with QEMU; it gets the test guest's kernel, initramfs and consoles besides its own words."""
    words = shlex.split(command.replace("$PWD", lab.folder).replace("disk.img", lab.path("disk.img"))
                        .replace("./", lab.folder + "/"))
    at = words.index("qemu-system-x86_64")
    wrap, own = words[:at], [word for word in words[at + 1:] if word != "..."]
    logs = tempfile.mkdtemp(dir=lab.logs)
    return Guest(lab.image, [lab.holdfast, *wrap[1:]], own, log_dir=logs)


def boot(lab, command):
    lab.end_guest()
    lab.guest = start(lab, command)
    lab.guest.wait_ready()


def guest_with_nic(lab, command):
    """`...`, or all but its device options, is the test guest; its network card must carry traffic"""
    boot(lab, command)
    lab.guest.run("ip address add %s/24 dev eth0 && ip link set eth0 up" % GUEST_IP)
    if "tap0" in command:
        lab.check_ping(3)
    else:  # a loopback
        lab.guest.run("nic send eth0 --count 10 --seed 1")


def guest_with_disk(lab, command):
    """the same with a disk, which the guest must be able to read"""
    if qemu_version() < 8:
        raise Skip("this QEMU is older than 8.0, which the page asks for")
    boot(lab, command)
    disk = lab.guest.run("grep -lx %d /sys/block/vd*/size" % (DISK_SIZE // 512))
    lab.guest.run("dd if=/dev/%s of=/dev/null bs=64k count=16" % disk.split("/")[3])


# a machine whose main bus takes a card while it runs, as QEMU's default does
NIC_GUEST = ("holdfast run -d 'name net0 mgmtdev vdpasim_net mac 52:54:00:12:34:56 backend tap,ifname=tap0' -- "
             "qemu-system-x86_64 ... -machine pc -netdev vhost-vdpa,id=n0,vhostdev=/dev/vhost-vdpa-0 "
             "-device virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56")


def beside_guest(lab, command):
    """while a guest with a card on tap0 runs"""
    if lab.guest is None:
        guest_with_nic(lab, NIC_GUEST)
    lab.execute(command)


def in_monitor(lab, command):
    """as a line in that guest's QEMU monitor, which must have nothing to say to it"""
    check(lab.guest is not None, "no guest runs")
    said = lab.guest.qmp.command("human-monitor-command", command_line=command)
    check(not said, "the monitor says: %s", said)


def destination(lab, command):
    """beside the guest that will migrate to it"""
    check(lab.guest is not None, "no guest runs")
    lab.destination = start(lab, command)


def in_destination(lab, command):
    """as a line in the destination's monitor"""
    said = lab.destination.qmp.command("human-monitor-command", command_line=command)
    check(not said, "the monitor says: %s", said)


def migrate(lab, command):
    """as a line in the source's monitor; then the guest must answer pings by the destination's card on tap1"""
    in_monitor(lab, command)
    source, deadline, status = lab.guest, time.monotonic() + LIMIT, None
    while status != "completed":
        status = source.qmp.command("query-migrate").get("status")
        check(status != "failed" and time.monotonic() < deadline, "the migration is %s", status)
        time.sleep(0.1)
    lab.destination.adopt(source)
    source.close()
    lab.guest, lab.destination = lab.destination, None
    lab.move_address("tap0", "tap1")
    try:
        lab.check_ping(3)
    finally:
        lab.end_guest()
        lab.move_address("tap1", "tap0")


def testpmd(lab, command):
    """until it has sent packets; what has no statistics is ended by `quit`"""
    if not shutil.which("dpdk-testpmd"):
        raise Skip("dpdk-testpmd is not installed (dpdk-dev)")
    process = lab.spawn(["sh", "-c", "exec " + command], cwd=lab.folder, env=lab.env, stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    shown, deadline = b"", time.monotonic() + LIMIT
    sent = re.compile(rb"TX-packets: +[1-9]")
    wanted = re.compile(rb"testpmd>") if " -i" in command else sent
    while not wanted.search(shown):
        left = deadline - time.monotonic()
        check(left > 0 and select.select([process.stdout], [], [], left)[0], "nothing more in time:\n%s",
              shown[-3000:].decode(errors="replace"))
        chunk = process.stdout.read1(65536)
        check(chunk, "testpmd ended:\n%s", shown[-3000:].decode(errors="replace"))
        shown += chunk
    if wanted is not sent:
        process.stdin.write(b"quit\n")
        process.stdin.flush()
    else:
        process.send_signal(signal.SIGINT)
    shown += process.communicate(timeout=LIMIT)[0]
    check(process.returncode == 0, "status %s\n%s", process.returncode, shown[-3000:].decode(errors="replace"))


# The first that matches the whole command applies; what none matches runs as printed.
RULES = [
    (r"make (demo|check)|make && sudo make install",
     not_run("it builds, or runs this test; tests/install installs")),
    (r"make (reliability( .*)?|bench-peers)", not_run("it takes minutes to measure what the page shows")),
    (r"sudo holdfast check .* /dev/vhost-vdpa-0", not_run("it is for a device of this machine's kernel")),
    (r"holdfast run .* unshare .* chroot ROOT .*", not_run("tests/unit/preload/test_preload_bare_root.py does, with a ROOT")),
    (r"holdfast run .*virtio-blk-vhost-vdpa.*",
     not_run("tests/clients/test_generic_disk.py does, with a QEMU that has the driver")),
    (r"holdfast run .* libvirtd --daemon", not_run("tests/clients/test_libvirt.py does")),
    (r"bpftrace .*", not_run("bpftrace needs root")),
    (r"modprobe vfio-pci|echo .* > /sys/bus/pci/.*|holdfast check -d 'mgmtdev mlx5 pci .*", not_run("it is for a card")),
    (r"holdfast bench reset", with_words("--sizes 64M --repeat 20 --remap-repeat 1")),
    (r"holdfast bench downtime.*", with_words("--memory 64M --repeat 2 --remap-repeat 1")),
    (r"holdfast bench net", with_words("--frames 10000 --repeat 1")),
    (r"holdfast bench blk.*", with_words("--requests 2000 --repeat 1")),
    (r"holdfast bench attach", with_words("--rounds 1")),
    (r"holdfast bench iotlb", with_words("--quick --entries 4096")),
    (r"holdfast check --random .*", with_own_proc),
    # the whole suite runs in tests/conformance
    (r"holdfast (run .*-- holdfast )?check (?!--list).*", with_words("--match '[iv]*.get_*'")),
    (r"cc .*&& holdfast check .*", with_words("--match 'lifecycle.*'")),
    (r"holdfast run .*CLIENT", traced_client),
    (r"holdfast run .*dpdk-testpmd .*", testpmd),
    (r"holdfast run .*qemu-system-x86_64 .* -incoming defer", destination),
    (r"migrate_incoming .*", in_destination),
    (r"migrate -d .*", migrate),
    (r"holdfast run .*qemu-system-x86_64 .*virtio-net-pci.*", guest_with_nic),
    (r"holdfast run .*qemu-system-x86_64 .*vhost-vdpa-device-pci.*", guest_with_disk),
    (r"holdfast dev .*", beside_guest),
    (r"(netdev|device)_add .*", in_monitor),
]


def rule_of(command):
    return next(((pattern, run) for pattern, run in RULES if re.fullmatch(pattern, command)), (None, plain))


def scenario(where, command):
    def run(lab):
        lab.begin_page(where.split(":")[0])
        rule_of(command)[1](lab, command)
    run.__doc__ = "%s: %s" % (where, command)
    return run


def find_commands(root=ROOT):
    """Return all commands; a rule that none needs is an error, for it hides what was meant."""
    commands = blocks.find(root)
    used = {rule_of(command)[0] for _, command in commands}
    stale = [pattern for pattern, _ in RULES if pattern not in used]
    if stale:
        raise blocks.Broken("no page shows a command for the rule %s" % stale[0])
    return commands


def self_test():
    """Each wrong page must be noticed."""
    page = "# X\n```sh\n%s\n```\n"
    with tempfile.TemporaryDirectory() as root:
        def found(text):
            with open(os.path.join(root, "README.md"), "w", encoding="utf-8") as readme:
                readme.write(text)
            return [command for _, command in blocks.find(root)]
        assert found(page % "a \\\n   b # c\n\n# d\ne") == ["a b", "e"]
        for broken in "```\nholdfast x\n```\n", "```sh\nholdfast x\n":
            try:
                found(broken)
                raise AssertionError(broken)
            except blocks.Broken:
                pass
        found(page % "true")
        try:
            find_commands(root)
            raise AssertionError("a rule without a command")
        except blocks.Broken:
            pass
        os.mkdir(os.path.join(root, "man"))
        with open(os.path.join(root, "man", "x.1.scd"), "w", encoding="utf-8") as man:
            man.write("# NAME\n```\nno\n```\n# EXAMPLES\nText:\n```\na \\\\\n\tb\n```\n# SEE ALSO\n")
        assert [c for _, c in blocks.find(root)] == ["true", "a b"]
    print("ok")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    elif sys.argv[1:] == ["--list"]:
        for place, text in find_commands():
            print("%s: %s\n    %s" % (place, text, rule_of(text)[1].__doc__))
    else:
        run_scenarios("commands", [scenario(*found) for found in find_commands()], make_lab=CommandsLab,
                      deadline=int(os.environ.get("HOLDFAST_DEADLINE", 600)))
