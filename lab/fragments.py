#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Large datagrams: as the kernel cuts them, and in pieces as one likes.

fragments.py serve PORT...               echoes UDP
fragments.py ask ADDRESS PORT BYTES COUNT
                                         datagrams of random bytes, each by a socket of its own and
                                         sent once; each must come back within 10 s
fragments.py send ADDRESS PORT BYTES HOW COUNT [MS]
                                         the same, in pieces of our own: HOW is ordered, reversed,
                                         shuffled, late (the first one MS after the others) or doubled
fragments.py orphans ADDRESS COUNT       pieces whose first one is never sent
fragments.py tiny ADDRESS                a first piece that ends within its TCP header
"""
import os
import random
import select
import socket
import struct
import sys
import time

PIECE = 1400  # a multiple of 8
MORE = 0x2000


def serve(ports):
    sockets = []
    for port in ports:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        s.bind(("", int(port)))
        sockets.append(s)
    while True:
        for s in select.select(sockets, [], [])[0]:
            data, peer = s.recvfrom(65536)
            s.sendto(data, peer)


def come_back(s, data):
    s.settimeout(10)
    try:
        return s.recv(65536) == data
    except OSError:
        return False


def ask(address, port, count, size):
    for number in range(count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect((address, port))
            data = os.urandom(size)
            s.send(data)
            if not come_back(s, data):
                sys.exit(f"datagram {number + 1} of {count} did not come back")


def raw():
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    return s


def packet(address, number, place, payload, protocol=socket.IPPROTO_UDP):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number, place, 64, protocol, 0,
                         bytes(4), socket.inet_aton(address))
    return header + payload


def pieces(address, port, own_port, data):
    """The datagram without a checksum, which UDP over IPv4 need not have (RFC 768)."""
    whole = struct.pack("!HHHH", own_port, port, 8 + len(data), 0) + data
    number = random.randrange(1, 65536)
    out = []
    for at in range(0, len(whole), PIECE):
        more = MORE if at + PIECE < len(whole) else 0
        out.append(packet(address, number, more | at // 8, whole[at:at + PIECE]))
    return out


def order(out, how):
    if how == "reversed":
        return out[::-1]
    if how == "shuffled":
        return random.sample(out, len(out))
    if how == "late":
        return out[1:] + out[:1]
    if how == "doubled":
        return [piece for piece in out for _ in range(2)]
    return out


def send(address, port, size, how, count, ms):
    for number in range(count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, raw() as r:
            s.connect((address, port))
            data = os.urandom(size)
            out = order(pieces(address, port, s.getsockname()[1], data), how)
            for i, piece in enumerate(out):
                if how == "late" and i == len(out) - 1:
                    time.sleep(ms / 1000)
                r.sendto(piece, (address, 0))
            if not come_back(s, data):
                sys.exit(f"{how}: datagram {number + 1} of {count} did not come back")


def orphans(address, count):
    with raw() as r:
        for number in range(count):
            r.sendto(packet(address, 1 + number % 65535, MORE | 200, bytes(PIECE)), (address, 0))


def tiny(address):
    with raw() as r:
        r.sendto(packet(address, 7, MORE, struct.pack("!HHI", 1000, 80, 0), socket.IPPROTO_TCP),
                 (address, 0))


if __name__ == "__main__":
    what, rest = sys.argv[1:2], sys.argv[2:]
    if what == ["serve"] and rest:
        serve(rest)
    elif what == ["ask"] and len(rest) == 4:
        ask(rest[0], int(rest[1]), int(rest[3]), int(rest[2]))
    elif what == ["send"] and len(rest) in (5, 6):
        send(rest[0], int(rest[1]), int(rest[2]), rest[3], int(rest[4]), float((rest + ["0"])[5]))
    elif what == ["orphans"] and len(rest) == 2:
        orphans(rest[0], int(rest[1]))
    elif what == ["tiny"] and len(rest) == 1:
        tiny(rest[0])
    else:
        sys.exit(__doc__)
