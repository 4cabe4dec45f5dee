# SPDX-License-Identifier: BSD-3-Clause
"""How far apart the two processors are while two sides are compared. On a virtual machine that changes when the host moves
them, and a driver and a device that poll become two or three times as fast or slow by it. So a round in which it changed
compares the processors, and is made again.
"""
import json
import subprocess


def way(holdfast):
    """How long a word takes from one processor to the other and back, in ns. None: there is one only."""
    done = subprocess.run([holdfast, "bench", "apart", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False, timeout=60)
    return None if done.returncode else json.loads(done.stdout)["rows"][0]["min_ns"]


def is_same(ways):
    """Were they as far apart all the time?"""
    ways = [one for one in ways if one]
    return not ways or max(ways) <= 2 * min(ways)


def split(rounds):
    """What was made while the processors were near to and while they were far from each other, of ROUNDS as Rounds.kept() gives
    them. Return: a list of (word, rounds); one with None as its word if it was all the same."""
    least = [min((way for way in ways if way), default=0) for ways, _ in rounds]
    if max(least) <= 2 * min(least) or min(least) == 0:
        return [(None, rounds)]
    middle = (min(least) * max(least)) ** 0.5
    return [("near", [one for one, way in zip(rounds, least) if way < middle]),
            ("far", [one for one, way in zip(rounds, least) if way >= middle])]


class Rounds:
    """What was made in each round, with the ways before, between and behind its runs. As many rounds as are wanted, and up
    to twice as many more for those in which the processors moved."""

    def __init__(self, wanted, most):
        self.wanted, self.most, self.made = wanted, most, []

    def add(self, ways, what):
        self.made.append((ways, what))

    def are_enough(self):
        return len(self.made) >= self.most or sum(is_same(ways) for ways, _ in self.made) >= self.wanted

    def kept(self):
        """(ways, what) of the rounds that count: if the processors moved in all of them, all."""
        return [one for one in self.made if is_same(one[0])] or self.made
