# SPDX-License-Identifier: BSD-3-Clause
"""A guest on an mlx5 card, on the model of its firmware, whose frames travel over a Unix stream socket."""

import client
from lab import Lab
from scenarios import frames, reboot, transfer
from test_stream import boot_connecting, boot_listening, dead_peer, hostile_peer


class Mlx5Lab(Lab):
    """Guests whose NIC the mlx5 parent makes."""

    mgmtdev = "mlx5 model on"


if __name__ == "__main__":
    client.run([boot_connecting, frames, transfer, dead_peer, hostile_peer, reboot, boot_listening, frames],
               make_lab=Mlx5Lab)
