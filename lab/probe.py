#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what the first packet of a flow costs against the later ones.

probe.py serve PORT              echoes UDP
probe.py ask ADDRESS PORT FLOWS  per flow (a socket of its own): the round trip of its first packet,
                                 and of one when both hosts know the direct path; prints medians
                                 in microseconds: FIRST DIRECT ANSWERED
"""
import socket
import statistics
import sys
import time


def serve(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("", int(port)))
        while True:
            data, peer = s.recvfrom(2048)
            s.sendto(data, peer)


def round_trip(s, number):
    """Microseconds, or None where no answer comes."""
    wanted = number.to_bytes(4, "big")
    began = time.perf_counter()
    s.send(wanted)
    try:
        while s.recv(2048) != wanted:
            pass
    except OSError:
        return None
    return (time.perf_counter() - began) * 1e6


def ask(address, port, flows):
    first, direct = [], []
    for _ in range(int(flows)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(10)
            s.connect((address, int(port)))
            took = round_trip(s, 0)
            if took is None:
                continue
            # The second tells hosts what they missed; then both have learned the path.
            round_trip(s, 1)
            later = round_trip(s, 2)
            if later is not None:
                first.append(took)
                direct.append(later)
    if not first:
        sys.exit("no answer")
    print(f"{statistics.median(first):.0f} {statistics.median(direct):.0f} {len(first)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"] and len(sys.argv) == 3:
        serve(sys.argv[2])
    elif sys.argv[1:2] == ["ask"] and len(sys.argv) == 5:
        ask(*sys.argv[2:])
    else:
        sys.exit(__doc__)
