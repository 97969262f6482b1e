#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Downloads that last as long as a test needs them to.

usage: trickle.py ENOUGH HOST PATH COUNT

Fetches http://HOST/PATH over COUNT connections at once, a little at a time: never to the end
before the file ENOUGH exists, then as fast as it comes. A line for each connection: the SHA-256 of
its body, and whether the transfer was under way ("live") when ENOUGH appeared. Exits 1 if a
connection broke or was cut short.
"""
import hashlib
import http.client
import os
import socket
import sys
import time

STEP = 16384  # bytes that one turn reads of each connection
TURN = 0.05  # seconds
PATIENCE = 800  # seconds: less than a test may take


class Transfer:
    def __init__(self, host, path):
        self.connection = http.client.HTTPConnection(host, timeout=PATIENCE)
        self.connection.connect()
        # What the kernel would read ahead of us is not under way any more.
        self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.connection.request("GET", path)
        self.answer = self.connection.getresponse()
        if self.answer.status != 200:
            raise OSError(f"{host}{path}: {self.answer.status}")
        self.left = int(self.answer.headers["Content-Length"])
        self.half = self.left // 2
        self.sum = hashlib.sha256()
        self.live = False

    def read(self, most):
        data = self.answer.read(min(most, self.left))
        if not data and self.left:
            raise OSError("cut short")
        self.left -= len(data)
        self.sum.update(data)


def main():
    enough, host, path, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    transfers = [Transfer(host, path) for _ in range(count)]
    while not os.path.exists(enough):
        for transfer in transfers:
            transfer.read(STEP if transfer.left > transfer.half else 64)
        time.sleep(TURN)
    for transfer in transfers:
        transfer.live = transfer.left > 0
    while any(transfer.left for transfer in transfers):
        for transfer in transfers:
            transfer.read(STEP)
    for transfer in transfers:
        print(transfer.sum.hexdigest(), "live" if transfer.live else "over")


try:
    main()
except OSError as error:
    sys.exit(f"trickle.py: {error}")
