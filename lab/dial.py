#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Begins connections one after the other, at a steady pace, and says what became of each.

usage: dial.py ENOUGH HOST PORT

Every 50 ms one HTTP request on a connection of its own, until the file ENOUGH exists. A line for
each, as they end: when it began (ms of CLOCK_MONOTONIC), and the first line of the body, or "none" where there was
none within five seconds.
"""
import http.client
import os
import sys
import threading
import time


def ask(host, port, began):
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        body = answer.read().decode().split("\n")[0] if answer.status == 200 else "none"
    except (OSError, http.client.HTTPException):
        body = "none"
    connection.close()
    print(f"{began} {body}\n", end="", flush=True)  # in one piece


def main():
    enough, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    threads = []
    while not os.path.exists(enough):
        thread = threading.Thread(target=ask, args=(host, port, int(time.monotonic() * 1000)))
        thread.start()
        threads.append(thread)
        time.sleep(0.05)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
