# SPDX-License-Identifier: BSD-3-Clause
"""What check-clients runs, and what it may not expect: the rows of docs/clients.md, and the failures that are known."""

import re

RELEASES = {"bookworm": "Debian 12", "trixie": "Debian 13", "sid": "Debian unstable"}
# client: the package whose version the table shows, and its name there
CLIENTS = {
    "QEMU": "qemu-system-x86",
    "DPDK testpmd": "dpdk-dev",
    "libvirt": "libvirt-daemon",
    "libblkio": "libblkio1",
    "rust-vmm vhost": "librust-vhost-dev",
    "Go": "golang-go",
    "static glibc": "libc6-dev",
    "musl": "musl-tools",
}
OUTCOMES = {
    "ok": "yes",
    "refused": "refused",  # the client says that it does not do this
    "client": "no",  # the client's own bug
    "better": "differs",  # the client expects what a default device does better: docs/deviations.md
    "skipped": "-",
    "failed": "FAILED",
}


class Row:
    """A scenario of a client: a test program, and how the tables call it.

    @title is docs/clients.md's, @short README's. @root: it needs the machine's root, to lock memory or reserve huge pages,
    and finds itself in a network of its own; "outside" if it makes its namespaces itself. @long: minutes.
    """

    def __init__(self, client, title, short, *command, releases=tuple(RELEASES), root=None, long=False):
        self.client, self.title, self.short = client, title, short
        self.program, self.options = command[0], command[1:]
        self.releases, self.root, self.long = releases, root, long
        name = re.sub(r".*/test_|\.py$", "", self.program)
        self.key = "-".join([name] + [option.strip("-") for option in self.options])


NEWER = ("trixie", "sid")
ROWS = [
    Row("QEMU", "default card: boot, numbered frames, TCP, driver rebind, stop/cont, link down and up, reboots",
        "boot, TCP, driver rebind, stop/cont without loss, link down and up, reboot", "integration/test_traffic.py"),
    Row("QEMU", "the same without a control queue", "the same without a control queue", "clients/test_no_ctrl_queue.py"),
    Row("QEMU", "two queue pairs and a control queue", "multiqueue", "integration/test_multiqueue.py"),
    Row("QEMU", "packed rings (`offer packed`)", "packed rings", "integration/test_packed.py"),
    Row("QEMU", "card over a stream socket, with hostile peers", "stream sockets", "integration/test_stream.py"),
    Row("QEMU", "a hostile driver in the guest: card, disk, split and packed rings", "a hostile driver in the guest",
        "integration/test_hostile_guest.py"),
    Row("QEMU", "memory and NIC hotplug", "memory and NIC hotplug", "integration/test_hotplug.py"),
    Row("QEMU", "`savevm` and `loadvm`, running and stopped; `system_reset` under traffic", "`savevm` and `loadvm`",
        "clients/test_snapshots.py"),
    Row("QEMU", "`-sandbox on,...`, SIGTERM", "`-sandbox on,...`", "integration/test_sandbox.py"),
    Row("QEMU", "cards whose node another program opened: `-add-fd`, QMP's `add-fd`, `vhostfd=`",
        "`add-fd` and `vhostfd=`", "integration/test_passed_fd.py"),
    Row("QEMU", "devices added, shown and deleted at run time", "`holdfast dev` at run time", "integration/test_mgmt.py"),
    Row("QEMU", "two cards with locked memory (`memory pinned`)", "`memory pinned`", "integration/test_hold.py", root="inside"),
    Row("QEMU", "a card that is Linux 6.12's to the letter (`quirks linux-6.12`)", "`quirks linux-6.12`",
        "integration/test_strict.py"),
    Row("QEMU", "migration of a default card: frames, TCP, stop/cont, cancel, a destination that dies, `exec:`",
        "live migration of a default card", "clients/test_migrate_default.py"),
    Row("QEMU", "the same, memory locked", "live migration with `memory pinned`", "clients/test_migrate_default.py",
        "--pinned", root="inside"),
    Row("QEMU", "twenty migrations of a default card in a row under load", "twenty migrations in a row under load",
        "clients/test_migrate_default.py", "--many", long=True),
    Row("QEMU", "migration of a card without a control queue", "live migration without a control queue",
        "integration/test_migrate.py"),
    Row("QEMU", "migration of a card with two queue pairs and a control queue", "live migration with two queue pairs",
        "clients/test_migrate_pairs.py"),
    Row("QEMU", "the same, the guest uses one pair of the two", "live migration with one pair of two in use",
        "clients/test_migrate_pairs.py", "--one"),
    Row("QEMU", "an mlx5 card on the model of its firmware (`mgmtdev mlx5 model on`): the default card's life; testpmd on it",
        "an mlx5 card on the model of its firmware", "integration/test_mlx5.py"),
    Row("QEMU", "the same card over a stream socket, with hostile peers", "the same over a stream socket",
        "clients/test_mlx5_stream.py"),
    Row("QEMU", "migration of an mlx5 card by shadow virtqueues: frames, TCP, stop/cont, cancel",
        "live migration of an mlx5 card", "clients/test_migrate_mlx5.py", releases=NEWER),
    Row("QEMU", "migration with `x-svq=on`", "live migration with `x-svq=on`", "integration/test_migrate_svq.py"),
    Row("QEMU", "`-device vhost-vdpa-device-pci`, a card", "`vhost-vdpa-device-pci` with a card",
        "clients/test_generic_nic.py"),
    Row("QEMU", "`-device vhost-vdpa-device-pci`, a disk: raw data, ext4, reboots, e2fsck",
        "`vhost-vdpa-device-pci` with a disk", "clients/test_generic_disk.py"),
    Row("QEMU", "`-blockdev driver=virtio-blk-vhost-vdpa`, a disk: raw data, ext4, reboots, e2fsck",
        "`-blockdev` with `virtio-blk-vhost-vdpa`", "clients/test_generic_disk.py", "--blockdev", releases=NEWER),
    Row("QEMU", "`qemu-img convert` from a `virtio-blk-vhost-vdpa` disk", "`qemu-img` on `virtio-blk-vhost-vdpa`",
        "clients/test_libblkio.py", "--qemu_img", releases=NEWER),
    Row("QEMU", "`qemu-io` on a `virtio-blk-vhost-vdpa` disk: write, read, zeroes, discard, FUA",
        "`qemu-io` on `virtio-blk-vhost-vdpa`", "clients/test_libblkio.py", "--qemu_io", releases=NEWER),
    Row("QEMU", "`qemu-storage-daemon` with a `virtio-blk-vhost-vdpa` disk", "`qemu-storage-daemon` on `virtio-blk-vhost-vdpa`",
        "clients/test_libblkio.py", "--storage_daemon", releases=NEWER),
    Row("DPDK testpmd", "flowgen, io, txonly, macswap over TAP", "flowgen, txonly, io, macswap",
        "integration/test_testpmd.py"),
    Row("DPDK testpmd", "huge pages, mapped anew while it runs (`--iova-mode=va`)", "huge pages",
        "integration/test_testpmd_hugepages.py", root="outside"),
    Row("DPDK testpmd", "two queue pairs and a control queue (`queues=2,cq=1`)", "multiqueue with control queue",
        "clients/test_dpdk.py", "--pairs"),
    Row("DPDK testpmd", "`in_order=1`", "`in_order=1`", "clients/test_dpdk.py", "--in_order"),
    Row("DPDK testpmd", "`vectorized=1`", "`vectorized=1`", "clients/test_dpdk.py", "--vectorized"),
    Row("DPDK testpmd", "`packed_vq=1`", "`packed_vq=1`", "clients/test_dpdk.py", "--packed"),
    Row("DPDK testpmd", "`packed_vq=1,in_order=1`", "`packed_vq=1,in_order=1`", "clients/test_dpdk.py",
        "--packed_in_order"),
    Row("DPDK testpmd", "`packed_vq=1,vectorized=1`", "`packed_vq=1,vectorized=1`", "clients/test_dpdk.py",
        "--packed_vectorized"),
    Row("rust-vmm vhost", "its own tests, card, `as kernel`", "its own tests on a card, `as kernel`",
        "clients/test_rust_vhost.py", "--nic", releases=("sid",)),
    Row("rust-vmm vhost", "its own tests, disk, `as kernel`", "its own tests on a disk, `as kernel`",
        "clients/test_rust_vhost.py", "--disk", releases=("sid",)),
    Row("rust-vmm vhost", "its own tests, default card", "its own tests on a default card",
        "clients/test_rust_vhost.py", "--nic_default", releases=("sid",)),
    Row("rust-vmm vhost", "its own tests, default disk", "its own tests on a default disk",
        "clients/test_rust_vhost.py", "--disk_default", releases=("sid",)),
    Row("libblkio", "`blkio-info`: connect, read the configuration", "`blkio-info`", "clients/test_libblkio.py", "--info",
        releases=NEWER),
    Row("libblkio", "`blkio-copy`: read a disk", "`blkio-copy`", "clients/test_libblkio.py", "--copy", releases=NEWER),
    Row("libblkio", "`blkio-bench`: random reads and writes by four threads", "`blkio-bench`", "clients/test_libblkio.py",
        "--bench", releases=NEWER),
    Row("libvirt", "`<interface type='vdpa'>`: boot, frames, TCP, suspend, card hotplug, reboot, a second start",
        "`<interface type='vdpa'>` with card hotplug", "clients/test_libvirt.py", root="inside"),
    Row("libvirt", "`<disk type='vhostvdpa'>`: raw data, ext4, reboots, e2fsck", "`<disk type='vhostvdpa'>`",
        "clients/test_libvirt.py", "--disk", releases=NEWER, root="inside"),
    Row("Go", "a client of ours: sessions and frames from goroutines", "a client of ours: a card, from goroutines",
        "clients/test_static.py", "--go"),
    Row("static glibc", "a client of ours: card, disk, descriptors, threads, children, exec, signals",
        "a client of ours: a card, a disk, threads, fork, exec", "clients/test_static.py", "--glibc"),
    Row("musl", "the same client", "the same client", "clients/test_static.py", "--musl"),
]


class Known:
    """A result other than "yes" that has an explanation.

    @outcome: one of OUTCOMES. @reason: its id in docs/clients.md. @pattern: what each failed scenario must say, or,
    if none failed, what the output must have. @control: it must fail in a control run without Holdfast, too.
    """

    def __init__(self, keys, releases, outcome, reason, pattern, control=False):
        self.keys, self.releases = keys.split(), releases
        self.outcome, self.reason, self.pattern, self.control = outcome, reason, pattern, control


KNOWN = [
    Known("rust_vhost-disk", ("sid",), "client", "R1", r"test_vdpa_kern_ioctls \(lines 517 "),
    Known("rust_vhost-nic_default rust_vhost-disk_default", ("sid",), "better", "R2",
          r"test_vdpa_kern_dma, test_vdpa_kern_ioctls \(lines 554, 480 "),
    Known("strict", ("trixie",), "client", "Q2", r"makes rings of 1024 entries"),
    Known("migrate_pairs-one", ("bookworm",), "client", "Q3", r"the pair that is not in use received"),
    Known("dpdk-pairs", ("bookworm",), "refused", "T1", r"testpmd (ended early|did not start|used: $)"),
    Known("generic_nic generic_disk", ("bookworm",), "refused", "Q1", r"has no vhost-vdpa-device-pci"),
]


def find_known(key, release):
    """Return the Known of a row in a release, or None."""
    return next((known for known in KNOWN if key in known.keys and release in known.releases), None)
