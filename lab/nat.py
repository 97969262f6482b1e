#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many connections at once, that say where they come from.

nat.py serve PORT                    TCP: tells each client its address and port as seen there, then
                                     answers every line with that line; UDP: tells that of each packet
nat.py who ADDRESS PORT [udp]        prints what the server sees
nat.py fill ADDRESS PORT RATE        UDP: a datagram from each port that there is, so many a second
nat.py hold ADDRESS PORT COUNT FILE  opens so many connections, prints "open N PORTS ADDRESSES" (how
                                     many, and how many different ports and addresses the server saw),
                                     has a line answered on each again and again until FILE is there,
                                     then once more, and prints "whole N"
"""
import asyncio
import os
import resource
import socket
import sys
import time

PATIENCE_S = 240  # TCP has tried again often by then, whatever a busy machine has lost


async def serve(port):
    async def client(reader, writer):
        host, number = writer.get_extra_info("peername")
        writer.write(f"{host} {number}\n".encode())
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            self.transport.sendto(f"{addr[0]} {addr[1]}\n".encode(), addr)

    await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, ("0.0.0.0", port))
    server = await asyncio.start_server(client, "0.0.0.0", port, backlog=4096)
    await server.serve_forever()


def who(address, port, kind):
    with socket.socket(socket.AF_INET, kind) as s:
        s.settimeout(60)
        s.connect((address, port))
        if kind == socket.SOCK_DGRAM:
            s.send(b"who")
        print(s.recv(64).decode().strip())


async def answered(stream, word):
    stream[1].write(word + b"\n")
    got = await asyncio.wait_for(stream[0].readline(), PATIENCE_S)
    if got != word + b"\n":
        raise OSError(f"{got} is not {word}")


def fill(address, port, rate):
    """A datagram from each of this endpoint's own ports, at that rate: as many sessions."""
    due = time.monotonic()
    for own in range(1, 65536):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("0.0.0.0", own))
            s.sendto(b"x", (address, port))
        due += 1 / rate
        if own % 50 == 0:
            time.sleep(max(0.0, due - time.monotonic()))


async def hold(address, port, count, file):
    busy = asyncio.Semaphore(200)

    async def one():
        async with busy:
            stream = await asyncio.wait_for(asyncio.open_connection(address, port), PATIENCE_S)
            seen = await asyncio.wait_for(stream[0].readline(), PATIENCE_S)
            return stream, tuple(seen.split())

    opened = await asyncio.gather(*(one() for _ in range(count)))
    seen = {where for _, where in opened}
    print("open", len(opened), len(seen), len({where[0] for where in seen}), flush=True)
    turn = 0
    while True:
        last = os.path.exists(file)
        turn += 1
        for i in range(0, count, 200):
            await asyncio.gather(*(answered(stream, b"%d" % turn)
                                   for stream, _ in opened[i:i + 200]))
        if last:
            break
        await asyncio.sleep(0.5)
    print("whole", len(opened), flush=True)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    what = sys.argv[1]
    if what == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    elif what == "fill":
        fill(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    elif what == "who":
        who(sys.argv[2], int(sys.argv[3]),
            socket.SOCK_DGRAM if "udp" in sys.argv[4:] else socket.SOCK_STREAM)
    else:
        asyncio.run(hold(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
