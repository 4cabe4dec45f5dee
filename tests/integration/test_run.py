# SPDX-License-Identifier: BSD-3-Clause
"""`holdfast run` itself: exit statuses, signals, and what it says when something is wrong."""

import os
import signal
import subprocess

from lab import CONTROL, Skip, check, run_scenarios

LOOPBACK = "name net0 mgmtdev vdpasim_net backend loopback"


def run(lab, *command, spec=LOOPBACK):
    if CONTROL:
        raise Skip("a control run has no Holdfast")
    return subprocess.run([lab.holdfast, "run", "-d", spec, "--"] + list(command),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)


def exit_status(lab):
    """the command's exit status and its output pass through"""
    for status in (0, 1, 37, 255):
        done = run(lab, "sh", "-c", "echo out; echo err >&2; exit %d" % status)
        check(done.returncode == status, "exit %d came out as %d", status, done.returncode)
        check(done.stdout == "out\n" and done.stderr == "err\n", "output: %r, %r",
              done.stdout, done.stderr)


def killed(lab):
    """a command that a signal ends is seen to end by that signal"""
    done = run(lab, "sh", "-c", "kill -TERM $$")
    check(done.returncode == -signal.SIGTERM, "SIGTERM came out as %d", done.returncode)


def no_command(lab):
    """a command that does not exist gives status 127, one that cannot be run 126"""
    done = run(lab, "/no/such/command")
    check(done.returncode == 127, "status %d", done.returncode)
    check("/no/such/command" in done.stderr, "said: %r", done.stderr)
    done = run(lab, "/etc/passwd")
    check(done.returncode == 126, "status %d", done.returncode)


def private_node(lab):
    """the node is there for the command and not for the machine"""
    there = os.path.exists("/dev/vhost-vdpa-0")
    done = run(lab, "stat", "-c", "%F", "/dev/vhost-vdpa-0")
    check(done.stdout == "character special file\n", "stat said %r %r", done.stdout, done.stderr)
    check(os.path.exists("/dev/vhost-vdpa-0") == there, "the node is on the machine")


def refused(lab, spec, *words):
    """Run with a SPEC that must be refused in one line that holds @words."""
    done = run(lab, "echo", "ran", spec=spec)
    lines = done.stderr.splitlines()
    check(done.returncode not in (0, 126, 127), "%r: status %d", spec, done.returncode)
    check(done.stdout == "", "%r: the command ran", spec)
    check(len(lines) == 1, "%r: %d lines: %s", spec, len(lines), done.stderr)
    for word in words:
        check(word in lines[0], "%r: the line does not say %r: %s", spec, word, lines[0])
    return lines[0]


def missing_tap(lab):
    """a TAP interface that is not there is named, with the command that makes one"""
    refused(lab, "mgmtdev vdpasim_net backend tap,ifname=nosuch0", "nosuch0", "ip tuntap add")


def wrong_specs(lab):
    """each wrong SPEC is refused in one line that names the offending word"""
    refused(lab, "mgmtdev vdpasim_net colour red", "colour")
    refused(lab, "mgmtdev nosuch", "nosuch")
    refused(lab, "mgmtdev vdpasim_net mac 52:54:00", "52:54:00")
    refused(lab, "mgmtdev vdpasim_net max_vqp 0", "max_vqp", "0")
    refused(lab, "mgmtdev vdpasim_net backend carrier-pigeon", "carrier-pigeon")
    refused(lab, "mgmtdev vdpasim_net mtu", "mtu")
    refused(lab, "mgmtdev vdpasim_net backend stream,path=" + "x" * 200)


def tap_without_queues(lab):
    """a TAP interface made without multi_queue is refused for two queue pairs"""
    lab.add_tap("single0", "10.78.0.1/24")
    refused(lab, "mgmtdev vdpasim_net max_vqp 2 backend tap,ifname=single0", "single0",
            "multi_queue")


if __name__ == "__main__":
    run_scenarios("run", [exit_status, killed, no_command, private_node, missing_tap,
                          wrong_specs, tap_without_queues])
