#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One UDP port, and what it is outside.

mapping.py seen PORT FILE ADDRESS:PORT..   asks all of them (nat.py serve) from this port, again and
                                           again until FILE is there, and prints each different answer
mapping.py punch PORT ADDRESS:PORT         sends there from this port until somebody sends here; exit
                                           status 1 where for two minutes nobody does
"""
import os
import socket
import sys
import time


def end(text):
    address, port = text.rsplit(":", 1)
    return address, int(port)


def opened(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", port))
    return s


def seen(port, until, *ends):
    found = set()
    with opened(port) as s:
        s.settimeout(0.5)
        done = False
        while not done:
            done = os.path.exists(until)
            for to in ends:
                s.sendto(b"who", end(to))
                try:
                    answer = s.recv(64).decode().strip()
                except (TimeoutError, OSError):
                    continue
                if answer not in found:
                    found.add(answer)
                    print(answer, flush=True)
            time.sleep(0.05)


def punch(port, to):
    heard = 0
    with opened(port) as s:
        s.settimeout(0.05)
        give_up = time.monotonic() + 120
        # The other side may not have heard yet.
        while heard < 10 and time.monotonic() < give_up:
            s.sendto(b"punch", end(to))
            try:
                punched = s.recv(64) == b"punch"
            except (TimeoutError, OSError):
                continue
            if punched and not heard:
                give_up = time.monotonic() + 10
            heard += punched
    return 0 if heard else 1


if __name__ == "__main__":
    if sys.argv[1] == "seen":
        seen(int(sys.argv[2]), *sys.argv[3:])
    else:
        sys.exit(punch(int(sys.argv[2]), sys.argv[3]))
