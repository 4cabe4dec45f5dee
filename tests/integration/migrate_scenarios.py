# SPDX-License-Identifier: BSD-3-Clause
"""Scenarios of a guest that migrates. Each takes a MigrationLab, whose guest is up, and leaves it up."""

import functools
import os
import socket
import statistics
import time

from guest import PATIENCE, GuestError
from lab import MAC, Failure, check
from scenarios import URL

HELD = 200
FULL = 1514  # an Ethernet frame as long as can be, without its checksum
MANY = 20
SMALL = 8 << 20  # bytes of the file server's /small
GUEST_ANNOUNCE = 21  # virtio-net's feature bit
ETH_P_ARP = 0x0806
RATE = 500  # frames a second each way: an emulated guest keeps up


def steady(scenario):
    """Try again, with a guest that boots anew, where the guest itself has crashed.

    QEMU 7.2 without KVM now and then loses a page that the guest's processor wrote while it was being sent
    (docs/migration.md, bug D), with its own tap device as well. Wrong data is never tried again, nor the end of a
    QEMU, nor a guest that is silent and whose kernel told no crash.
    """
    @functools.wraps(scenario)
    def wrapper(lab):
        for _ in range(3):
            try:
                scenario(lab)
                return
            except GuestError as error:
                if not lab.guest_crashed():
                    raise
                print("         the guest is gone, once more: %s" % str(error).splitlines()[0])
                lab.restart()
        scenario(lab)
    return wrapper


def boot(lab):
    """the guest boots and answers pings"""
    lab.setup_network()
    lab.start()
    lab.check_ping()


@steady
def idle(lab):
    """an idle guest migrates, and all its traffic is whole"""
    request = lab.guest.start("echo moved")
    lab.guest.wait_answer()
    took = lab.migrate()
    check(lab.guest.finish(request) == (0, "moved\n"), "what the guest said before it moved is lost")
    lab.check_ping(10)
    lab.exchange_frames()
    print("         downtime %d ms by QEMU's count" % took.downtime_ms)


@steady
def announced(lab):
    """a guest that was offered guest announcement says by ARP where it is, as soon as it runs elsewhere"""
    offered = lab.guest.run("cat /sys/class/net/eth0/device/features")[GUEST_ANNOUNCE] == "1"
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP)) as listener:
        listener.bind((lab.ifname, 0))
        listener.settimeout(10 * PATIENCE if offered else 2)
        lab.migrate()
        told = is_announced(listener)
    check(told == offered, "guest announcement is %s, and the guest announced %s",
          "negotiated" if offered else "not negotiated", "itself" if told else "nothing")
    print("         the guest %s" % ("announced itself" if told else "did not announce itself, nor was it asked to"))


def is_announced(listener):
    """Return whether a gratuitous ARP packet of the guest comes before @listener's timeout."""
    guest = bytes.fromhex(MAC.replace(":", ""))
    try:
        while True:
            frame = listener.recv(2048)
            if frame[6:12] == guest and frame[28:32] == frame[38:42]:  # sender's and target's IPv4 address
                return True
    except TimeoutError:
        return False


def held_tally(lab):
    """Migrate while received frames lie unread in the guest; return what it finds in them.

    They come when all memory was sent once. Full-sized ones fill the buffers of Linux's driver, so the guest's
    processor writes nothing beside them: only the device's log says that their pages are to be sent again.
    """
    arrived, release = lab.hold_frames(HELD, size=FULL)

    def during():
        check(lab.send_frames(HELD, ["--rate", str(RATE), "--size", str(FULL)]).wait(20 * PATIENCE) == 0, "cannot send")
        arrived()
    lab.migrate(during)
    return release()


@steady
def held_frames(lab):
    """frames that lie unread in the guest while it migrates are intact afterwards"""
    tally = held_tally(lab)
    check(tally.clean, "%s", tally.text)
    lab.check_ping()


@steady
def transfer(lab, file="/file"):
    """a TCP transfer goes on across a migration and is exact"""
    request = []

    def during():
        request.append(lab.guest.start("wget -q -O - %s%s | sha256sum" % (URL, file), timeout=90))
    began = time.monotonic()
    lab.migrate_loaded(during)
    moved = time.monotonic()
    status, out = lab.guest.finish(request[0])
    check(status == 0 and out.split()[0] == lab.server.sums[file],
          "the guest received %s, sent was %s", out, lab.server.sums[file])
    print("         moved after %.1f s, received after %.1f s" % (moved - began, time.monotonic() - began))


@steady
def load(lab):
    """frames flow both ways while the guest migrates: none is corrupt, none comes twice"""
    count = 4 * RATE
    receive_guest = lab.start_guest_receiver(count, options="--idle 4000")
    receive_host = lab.start_host_receiver(count, options=["--idle", "4000"])
    lab.send_from_guest(count, RATE)
    sender = lab.send_frames(count, ["--rate", str(RATE), "--seed", str(lab.stream - 1)])
    took = lab.migrate()
    check(sender.wait(60 * PATIENCE) == 0, "the sender on the host failed")
    for name, tally in (("to", receive_guest()), ("from", receive_host())):
        check(tally.corrupt == 0 and tally.duplicate == 0 and tally.received > count // 4,
              "%s the guest: %s", name, tally.text)
        lab.outages[name].append(tally.missing * 1000 / RATE)
    print("         downtime %d ms by QEMU's count; %d ms of frames to the guest missing, %d ms from it" % (
        took.downtime_ms, lab.outages["to"][-1], lab.outages["from"][-1]))


def one_of_many(lab, sums):
    """Migrate while frames flow both ways and a file comes by TCP; add what was wrong to @sums."""
    count = 6 * RATE
    receive_guest = lab.start_guest_receiver(count, options="--idle 2000")
    receive_host = lab.start_host_receiver(count, options=["--idle", "2000"])
    lab.send_from_guest(count, RATE)
    sender = lab.send_frames(count, ["--rate", str(RATE), "--seed", str(lab.stream - 1)])
    request = lab.guest.start(
        "rm -f /tmp/copy; mkfifo /tmp/copy; wc -c </tmp/copy >/tmp/size & "
        "wget -q -O - %s/small | tee /tmp/copy | sha256sum; wait $!; cat /tmp/size" % URL, timeout=90)
    lab.migrate()
    status, out = lab.guest.finish(request)
    check(status == 0 and len(out.split()) == 3, "no file by TCP: %s", out)
    check(sender.wait(60 * PATIENCE) == 0, "the sender on the host failed")
    total, _, size = out.split()
    sums["tcp"] += SMALL - int(size)
    sums["altered"] += total != lab.server.sums["/small"]
    to, back = receive_guest(), receive_host()
    check(to.received > count // 4 and back.received > count // 4, "to the guest: %s; from it: %s", to.text, back.text)
    sums["corrupt"] += to.corrupt + back.corrupt
    sums["duplicate"] += to.duplicate + back.duplicate
    sums["frames"] += to.received + back.received
    lab.outages["from"].append(back.gap_ms)  # by the host's clock: the guest's stands still


def explain(lab):
    """Say what can be known of a guest whose traffic stands still."""
    lines = lab.describe_rings()
    lines += ["after %d migrations the guest answers %d of 3 pings" % (len(lab.migrations), lab.ping(3))]
    print("".join("         %s\n" % line for line in lines + lab.describe_rings()), end="")


def many(lab):
    """twenty migrations in a row under load: all that arrives is whole"""
    sums = dict.fromkeys(("tcp", "altered", "corrupt", "duplicate", "frames"), 0)
    crashed = 0
    lab.migrations.clear()
    while len(lab.outages["from"]) < MANY:
        try:
            one_of_many(lab, sums)
        except GuestError:
            crashed += 1
            if not lab.guest_crashed() or crashed > MANY:
                explain(lab)
                raise
            lab.restart()
        except Failure:
            explain(lab)
            raise
    print("         %d frames received: %d corrupt, %d twice; files by TCP: %d altered, %d bytes lost" % (
        sums["frames"], sums["corrupt"], sums["duplicate"], sums["altered"], sums["tcp"]))
    print("         %d QEMUs ended by themselves; the guest's kernel crashed %d times (bug D) in %d migrations" % (
        len(lab.crashes), crashed, MANY + crashed))
    print("         without a frame from the guest: %d ms in the median, %d ms at most; by QEMU's count: %d ms" % (
        statistics.median(lab.outages["from"]), max(lab.outages["from"]),
        statistics.median(m.downtime_ms for m in lab.migrations)))
    check(not any(sums[name] for name in sums if name != "frames") and not lab.crashes, "this was not whole")


@steady
def cancel(lab):
    """a migration is cancelled while frames flow; the guest stays, and migrates later"""
    new, tap = lab.begin_endless()
    lab.exchange_frames(100, 500)
    lab.guest.qmp.command("migrate_cancel")
    lab.wait_status("cancelled")
    lab.retire(new, tap)
    lab.stop_dirtying()
    lab.check_ping()
    lab.exchange_frames()
    lab.migrate()
    lab.check_ping()


@steady
def failure(lab):
    """the destination dies on the way; the guest stays where it is"""
    new, tap = lab.begin_endless()
    lab.retire(new, tap)
    check(lab.wait_status("failed", "completed") == "failed", "the migration did not fail")
    lab.stop_dirtying()
    lab.check_ping()
    lab.exchange_frames(100, 500)


@steady
def file(lab):
    """the guest is saved to a file by exec: and goes on from it in a new QEMU"""
    path = os.path.join(lab.logs, "state")
    arrived, release = lab.hold_frames(50)
    check(lab.send_frames(50, ["--rate", str(RATE)]).wait(20 * PATIENCE) == 0, "cannot send")
    arrived()
    lab.save_and_load(path)
    tally = release()
    check(tally.clean, "%s", tally.text)
    lab.check_ping()
    lab.exchange_frames()


def stop_cont(lab):
    """a guest that has migrated is stopped and goes on"""
    lab.guest.qmp.command("stop")
    lab.guest.qmp.command("cont")
    lab.check_ping()
    lab.exchange_frames()


def idle_downtimes(lab, runs):
    """An idle guest migrates `runs` times in a row. What each downtime was, in ms by QEMU's count."""
    lab.migrations.clear()
    for _ in range(runs):
        lab.migrate()
        lab.check_ping(2)
    return [m.downtime_ms for m in lab.migrations]


def summary(lab):
    """what the migrations took"""
    downtimes = [m.downtime_ms for m in lab.migrations]
    print("         %d migrations: downtime by QEMU's count: median %d ms, most %d ms" % (
        len(downtimes), statistics.median(downtimes), max(downtimes)))
    for name, outages in lab.outages.items():
        if outages:
            print("         frames %s the guest: missing for %d ms in the median, %d ms at most" % (
                name, statistics.median(outages), max(outages)))
