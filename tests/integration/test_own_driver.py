# SPDX-License-Identifier: BSD-3-Clause
"""`holdfast blk` and `holdfast net ping`: devices that the command drives by itself, without a guest.

Runs in a user and network namespace of its own. HOLDFAST is the program under test.
"""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback

from peer import StreamPeer

HOLDFAST = os.environ.get("HOLDFAST", "build/holdfast")
SKIP = 77
HOST_IP = "10.77.0.1"
MAC = "52:54:00:12:34:56"
BLK = "mgmtdev vdpasim_blk "
TAP = "backend tap,ifname=tap0 "


def holdfast(*words, data=None, expect=0, timeout=60):
    """Run the command; it must exit with @expect. Return (stdout, stderr), stdout as bytes."""
    done = subprocess.run([HOLDFAST, *words], input=data, capture_output=True, timeout=timeout,
                          check=False, stdin=subprocess.DEVNULL if data is None else None)
    error = done.stderr.decode()
    assert done.returncode == expect, "%s: status %d, not %d: %s" % (
        words, done.returncode, expect, error)
    if expect:
        assert error.count("\n") == 1 and error.startswith("holdfast "), "not one line: %s" % error
    return done.stdout, error


def refused(words, what, expect=1, data=None):
    """The command must fail with one line on standard error that contains @what."""
    error = holdfast(*words, data=data, expect=expect)[1]
    assert what in error, "%s: no '%s' in: %s" % (words, what, error)


# ---- blk

def disk(folder, size=4 << 20):
    path = os.path.join(folder, "disk.img")
    with open(path, "wb") as image:
        image.truncate(size)
    return path, BLK + "backend file,path=%s" % path


def blk_data(folder):
    """blk: bytes at any offset go to the disk, and come back"""
    path, spec = disk(folder)
    image = bytearray(4 << 20)
    for offset, length in ((0, 4 << 20), (0, 1), (511, 2), (512, 512), (1000, 1 << 20), (5, 3),
                           ((4 << 20) - 1, 1), (777, 2500001), (1 << 20, 2 << 20), (1024, 0)):
        data = os.urandom(length)
        image[offset:offset + length] = data
        holdfast("blk", "write", "-d", spec, "--offset", str(offset), data=data)
        with open(path, "rb") as file:
            assert file.read() == image, "the disk is not as written at %d+%d" % (offset, length)
        out, _ = holdfast("blk", "read", "-d", spec, "-o", str(offset), "-n", str(length))
        assert out == data, "the bytes at %d+%d come back altered" % (offset, length)
    assert holdfast("blk", "read", "-d", spec)[0] == image
    assert holdfast("blk", "read", "-d", spec, "-o", "3M")[0] == image[3 << 20:]


def blk_files(folder):
    """blk: --file stands for standard output and input, --length limits both"""
    path, spec = disk(folder)
    source, target = os.path.join(folder, "in"), os.path.join(folder, "out")
    data = os.urandom(100000)
    with open(source, "wb") as file:
        file.write(data)
    holdfast("blk", "write", "-d", spec, "-f", source, "-n", "64K")
    with open(path, "rb") as file:
        assert file.read(65537) == data[:65536] + b"\0"
    holdfast("blk", "read", "-d", spec, "-f", target, "-n", "64K")
    with open(target, "rb") as file:
        assert file.read() == data[:65536]
    refused(["blk", "write", "-d", spec, "-f", source, "-n", "200000"],
            "the input ended after 100000 bytes of 200000")
    refused(["blk", "write", "-d", spec, "-f", source + "x"], "cannot open")


def blk_ranges(folder):
    """blk: zero and discard change what they name and nothing else"""
    path, spec = disk(folder)
    holdfast("blk", "write", "-d", spec, data=b"\xff" * (4 << 20))
    holdfast("blk", "zero", "-d", spec, "-o", "512", "-n", "1K")
    with open(path, "rb") as file:
        assert file.read(2560) == b"\xff" * 512 + bytes(1024) + b"\xff" * 1024
    holdfast("blk", "discard", "-d", spec, "-o", "1M")
    with open(path, "rb") as file:
        assert file.read(512) == b"\xff" * 512
    refused(["blk", "zero", "-d", spec, "-o", "5"], "multiples of 512", 2)


def blk_info(folder):
    """blk: info tells what the disk is, for people and as JSON"""
    _, spec = disk(folder)
    info = json.loads(holdfast("blk", "info", "-j", "-d", spec + " name serial7")[0])
    assert info["capacity"] == 4 << 20 and info["id"] == "serial7", info
    assert info["read_only"] is False and "FLUSH" in info["features"], info
    info = json.loads(holdfast("blk", "info", "-j", "-d", BLK + "quirks linux-6.12")[0])
    assert info["seg_max"] == 32 and info["size_max"] == 4096, info
    assert info["id"] == "vdpa_blk_sim", info
    text = holdfast("blk", "info", "-d", spec + " read_only on")[0].decode()
    assert re.search(r"^capacity +4194304 bytes, 8192 sectors$", text, re.M), text
    assert re.search(r"^read-only +yes$", text, re.M), text


def blk_refusals(folder):
    """blk: what cannot be done is refused with the value, and changes nothing"""
    path, spec = disk(folder)
    refused(["blk", "write", "-d", spec, "-o", "4M"], "the disk ended after 0 bytes", data=b"x")
    refused(["blk", "write", "-d", spec, "-o", "4194303"], "the disk ended after 1 bytes", data=b"xy")
    refused(["blk", "write", "-d", spec, "-f", path, "-o", "1"], "the disk has 4194304 bytes")
    refused(["blk", "read", "-d", spec, "-o", "5M"], "offset 5242880")
    refused(["blk", "read", "-d", spec, "-n", "5M"], "5242880 bytes")
    refused(["blk", "write", "-d", spec + " read_only on"], "read-only", data=b"x")
    refused(["blk", "info", "-d", "backend loopback"], "virtio id 1")
    refused(["blk", "info", "-d", BLK + "backend file,path=/nowhere/at/all"], "/nowhere/at/all")
    refused(["blk", "info", "-d", BLK + "vq_size 3"], "vq_size")
    refused(["blk", "info"], "-d SPEC", 2)
    refused(["blk"], "no command", 2)
    refused(["blk", "frobnicate"], "frobnicate", 2)
    refused(["blk", "info", "-d", spec, "more"], "more", 2)
    refused(["blk", "info", "-d", spec, "-d", spec], "more than one device", 2)
    refused(["blk", "info", "-d", spec, "--file", "x"], "--file", 2)
    for option, value in (("--offset", "-1"), ("--offset", "1X"), ("-o", ""), ("-n", "1KK"),
                          ("--length", "99999999999999999999"), ("-n", "9223372036854775808"),
                          ("--timeout", "0"), ("--timeout", "x"), ("--timeout", "nan")):
        refused(["blk", "read", "-d", spec, option, value], "'%s' is not a number" % value, 2)
    refused(["blk", "read", "-d", spec, "--frob"], "--frob", 2)
    refused(["blk", "read", "-d"], "'-d' needs a value", 2)
    assert b"usage" in holdfast("blk", "--help")[0]
    assert b"usage" in holdfast("blk", "read", "--help")[0]


# ---- net

def statistics(out):
    """Return (transmitted, received) of the summary."""
    found = re.search(rb"^(\d+) \w+ transmitted, (\d+) (?:received|returned), ", out, re.M)
    assert found, out
    return int(found.group(1)), int(found.group(2))


def net_loopback(_folder):
    """net: frames come back from a loopback, and are counted"""
    out, _ = holdfast("net", "ping", "-c", "3", "-i", "0.01")
    assert statistics(out) == (3, 3) and out.count(b"56 bytes back: seq=") == 3, out
    out, _ = holdfast("net", "ping", "-d", "quirks linux-6.12", "-q", "-i", "0", "-c", "1000")
    assert statistics(out) == (1000, 1000) and b"seq=" not in out, out
    out, _ = holdfast("net", "ping", "-d", "mac %s mtu 9000" % MAC, "-s", "8000", "-i", "0")
    assert statistics(out) == (4, 4) and MAC.encode() in out, out
    refused(["net", "ping", "10.0.0.1"], "gives our own frames back")


def net_tap(_folder):
    """net: the host behind a tap answers pings, by an address given or one chosen"""
    out, _ = holdfast("net", "ping", "-d", TAP + "mac " + MAC, "-c", "5", "-i", "0.05", HOST_IP)
    assert statistics(out) == (5, 5), out
    assert b"from 10.77.0.254 through" in out and b"ttl=64" in out, out
    for seq in range(1, 6):
        assert b"64 bytes from 10.77.0.1: icmp_seq=%d " % seq in out, out
    out, _ = holdfast("net", "ping", "-d", TAP, "-S", "10.77.0.9", "-s", "1472", "-i", "0", HOST_IP)
    assert statistics(out) == (4, 4) and b"1480 bytes from" in out, out
    refused(["net", "ping", "-d", TAP, "-s", "1473", HOST_IP], "1472 do")
    refused(["net", "ping", "-d", TAP, "10.77.0.77"], "nobody has 10.77.0.77: no answer")


def net_source_taken(_folder):
    """net: an address that somebody has is not taken"""
    subprocess.run(["ip", "address", "add", "10.77.0.254/32", "dev", "tap0"], check=True)
    try:
        refused(["net", "ping", "-d", TAP, HOST_IP], "10.77.0.254, which would be our address")
        out, _ = holdfast("net", "ping", "-d", TAP, "-i", "0", "10.77.0.254")
        assert b"from 10.77.0.253" in out, out
    finally:
        subprocess.run(["ip", "address", "del", "10.77.0.254/32", "dev", "tap0"], check=True)


def net_gateway(_folder):
    """net: an address behind a router is reached through it, and the router's refusal is shown"""
    subprocess.run(["ip", "address", "add", "192.168.99.1/32", "dev", "lo"], check=True)
    out, _ = holdfast("net", "ping", "-d", TAP, "-g", HOST_IP, "-i", "0", "192.168.99.1")
    assert statistics(out) == (4, 4), out
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as knob:
        knob.write("1")
    done = subprocess.run([HOLDFAST, "net", "ping", "-d", TAP, "-g", HOST_IP, "-c", "1",
                           "203.0.113.1"], capture_output=True, check=False, timeout=60)
    assert done.returncode == 1 and b"from 10.77.0.1: icmp_seq=1 unreachable" in done.stdout, done


def net_interrupt(_folder):
    """net: an interrupt ends an endless ping with its summary"""
    ping = subprocess.Popen([HOLDFAST, "net", "ping", "-c", "0", "-i", "0.01", "-d", TAP, HOST_IP],
                            stdout=subprocess.PIPE)
    try:
        lines = [ping.stdout.readline() for _ in range(6)]
        ping.send_signal(signal.SIGINT)
        rest = ping.stdout.read()
        assert ping.wait(30) == 0 and b"icmp_seq=5" in lines[-1], lines
        sent, received = statistics(rest)
        assert sent >= received >= 5, rest
    finally:
        ping.kill()
        ping.wait()
        ping.stdout.close()


class Responder(threading.Thread):
    """Behind a stream: answers ARP for @ip, and every echo twice, the second time altered."""

    def __init__(self, sock, ip):
        super().__init__(daemon=True)
        self._sock, self._ip = sock, bytes(int(part) for part in ip.split("."))

    def run(self):
        sock, data = self._sock.accept()[0], b""
        while chunk := sock.recv(65536):
            data += chunk
            while len(data) >= 4 and len(data) >= 4 + struct.unpack(">I", data[:4])[0]:
                size = struct.unpack(">I", data[:4])[0]
                for answer in self._answers(data[4:4 + size]):
                    sock.sendall(struct.pack(">I", len(answer)) + answer)
                data = data[4 + size:]

    def _answers(self, frame):
        mac = b"\x02\0\0\0\0\x01"
        head = frame[6:12] + mac
        if frame[12:14] == b"\x08\x06" and frame[38:42] == self._ip:
            return [head + frame[12:20] + b"\0\2" + mac + self._ip + frame[22:32]]
        if frame[12:14] != b"\x08\0" or frame[30:34] != self._ip:
            return []
        packet = bytearray(frame[14:26] + frame[30:34] + frame[26:30] + frame[34:])
        packet[20] = 0
        good = head + b"\x08\0" + with_checksum(packet)
        packet[-1] ^= 1
        # cut, nonsense and a wrong checksum are no answers at all
        return [good[:30], bytes(60), good[:-1] + bytes([good[-1] ^ 8]), good,
                head + b"\x08\0" + with_checksum(packet)]


def with_checksum(packet):
    icmp = packet[20:]
    icmp[2:4] = b"\0\0"
    total = sum(struct.unpack(">%dH" % (len(icmp) // 2), icmp))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return bytes(packet[:22]) + struct.pack(">H", ~total & 0xffff) + bytes(packet[24:])


def net_stream(folder):
    """net: a bridge behind a stream socket answers pings"""
    path = os.path.join(folder, "bridge")
    peer = StreamPeer(path, listens=True, ifname="tap1")
    try:
        up("tap1", "10.78.0.1/24")
        out, _ = holdfast("net", "ping", "-d", "backend stream,path=" + path, "-i", "0", "10.78.0.1")
        assert statistics(out) == (4, 4), out
    finally:
        peer.close()


def net_altered(folder):
    """net: an answer with other bytes is noticed, and broken ones are passed over"""
    path = os.path.join(folder, "liar")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1)
    Responder(listener, "10.79.0.1").start()
    done = subprocess.run([HOLDFAST, "net", "ping", "-c", "3", "-i", "0.1", "-W", "0.5", "-d",
                           "backend stream,path=" + path, "10.79.0.1"],
                          capture_output=True, check=False, timeout=60)
    listener.close()
    assert statistics(done.stdout) == (3, 3), done
    assert done.returncode == 1 and b"(ALTERED)" in done.stdout and b"altered, 0% loss" in done.stdout, done


def net_nobody(folder):
    """net: without anything that sends frames back, none is counted"""
    refused(["net", "ping", "-c", "2", "-i", "0.01", "-W", "0.1", "-d",
             "backend stream,path=" + os.path.join(folder, "nobody")], "no frame came back")


def net_refusals(_folder):
    """net: wrong use is refused with the value"""
    refused(["net"], "no command", 2)
    refused(["net", "pong"], "pong", 2)
    refused(["net", "ping", "10.0.0.1", "10.0.0.2"], "10.0.0.2", 2)
    refused(["net", "ping", "-d", BLK], "virtio id 2")
    refused(["net", "ping", "-d", "zork 1"], "zork")
    refused(["net", "ping", "-S", HOST_IP], "--source", 2)
    for word in ("host", "10.0.0", "0.0.0.0", "224.0.0.1", "255.255.255.255", ""):
        refused(["net", "ping", word], "'%s' is not an IPv4 address" % word, 2)
    for option, value in (("-c", "-1"), ("-c", "x"), ("-i", "-1"), ("-i", "1e99"), ("-W", ""),
                          ("-s", "65508"), ("-s", "-1")):
        refused(["net", "ping", option, value], "'%s' is not a number" % value, 2)
    assert b"usage" in holdfast("net", "--help")[0]
    assert b"usage" in holdfast("net", "ping", "--help")[0]


SCENARIOS = [blk_data, blk_files, blk_ranges, blk_info, blk_refusals, net_loopback,
             net_tap, net_source_taken, net_gateway, net_interrupt, net_stream, net_altered,
             net_nobody, net_refusals]


def up(ifname, address):
    with open("/proc/sys/net/ipv6/conf/%s/disable_ipv6" % ifname, "w", encoding="ascii") as knob:
        knob.write("1")
    subprocess.run(["ip", "address", "add", address, "dev", ifname], check=True)
    subprocess.run(["ip", "link", "set", ifname, "up"], check=True)


def main():
    if os.environ.get("HOLDFAST_LAB") != "inside":
        command = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
        if subprocess.run(command + ["true"], check=False).returncode:
            print("no user and network namespaces here")
            sys.exit(SKIP)
        os.environ["HOLDFAST_LAB"] = "inside"
        os.execvp(command[0], command + [sys.executable] + sys.argv)
    signal.alarm(240)
    sys.stdout.reconfigure(line_buffering=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "tuntap", "add", "dev", "tap0", "mode", "tap"], check=True)
    up("tap0", HOST_IP + "/24")
    failed = 0
    for scenario in SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                scenario(folder)
                print("ok      ", scenario.__doc__)
            except Exception:  # each kind of failure counts alike
                failed += 1
                traceback.print_exc(file=sys.stdout)
                print("FAILED  ", scenario.__doc__)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
