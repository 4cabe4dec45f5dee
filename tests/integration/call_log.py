# SPDX-License-Identifier: BSD-3-Clause
"""What a migration cost, read from the call logs that `holdfast run --log` wrote for both QEMUs.

The source stops with a reset and never comes back; the destination begins after that, by the clock of the
host that both share, and is done when it sets DRIVER_OK. In between QEMU does other work as well, so the
time that the device causes is the sum of the calls, not the time from the first to the last.
"""

import re

LINE = re.compile(r"^(\d+):(\d+):(\d+)\.(\d{6}) \d+ (.*) <(\d+) us>$")
DAY = 24 * 3600 * 10**6
RESET = "VHOST_VDPA_SET_STATUS, [0x00]"
UP = re.compile(r"VHOST_VDPA_SET_STATUS, \[0x[0-9a-f]*[4-7c-f] ")  # DRIVER_OK: QEMU 7.2 sets 0x0f, 10.0 and later 0x0c


class Call:
    """A line: when the call began and how long it took, in us, and its text."""

    def __init__(self, match):
        hours, minutes, seconds, micros = (int(match.group(n)) for n in range(1, 5))
        self.at = ((hours * 60 + minutes) * 60 + seconds) * 10**6 + micros
        self.text = match.group(5)
        self.took = int(match.group(6))

    def since(self, other):
        """us from @other's begin to this one's, also across midnight."""
        return (self.at - other.at + DAY // 2) % DAY - DAY // 2


def read(path):
    """Return the Calls of a log."""
    with open(path, errors="replace") as log:
        return [Call(match) for match in map(LINE.match, log) if match]


def _stop_phase(text):
    if "INVALIDATE" in text or "BATCH" in text:
        return "source: unmap"
    if "GET_VRING_BASE" in text:
        return "source: ring positions"
    return "source: reset" if "_STATUS" in text else "source: eventfds"


def _start_phase(text):
    if "UPDATE" in text or "INVALIDATE" in text or "BATCH_" in text:
        return "destination: map"
    return "destination: start" if UP.search(text) else "destination: set up"


def migration(source, destination):
    """Return (phases: name -> us in calls, us from the source's reset until the destination is up)."""
    old, new = read(source), read(destination)
    resets = [index for index, call in enumerate(old) if RESET in call.text]
    if not resets:
        raise ValueError("the source was never reset: %s" % source)
    stop = old[resets[-1]]
    phases = {}
    for call in old[resets[-1]:]:
        phase = _stop_phase(call.text)
        phases[phase] = phases.get(phase, 0) + call.took
    for call in new:
        if call.since(stop) < 0:
            continue
        phase = _start_phase(call.text)
        phases[phase] = phases.get(phase, 0) + call.took
        if UP.search(call.text):
            return phases, call.since(stop) + call.took
    raise ValueError("the destination never came up: %s" % destination)
