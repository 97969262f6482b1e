#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How fast is a replica replaced that holds a million sessions, and what do new ones notice?

  repair.py BUILD [--sessions N] [--json FILE]

A cloud of its own (lab/repair.yaml): a chain of three is filled with sessions, then its middle loses
power and the fourth node takes its place. All the while new connections are made through the same
chain. Times count from the loss of power, of which a timeline is printed as the chain's own nodes
know it; the controller waits repair_after_s (1 s here) before it replaces a node.
"""
import argparse
import json
import os
import signal
import statistics
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chaos_cloud import Cloud, until  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SERVER, PORT = "10.0.1.11", 7000
BEFORE = 8  # seconds of connections as they are without a repair


def read_options():
    parser = argparse.ArgumentParser(description="A replica full of sessions is replaced.")
    parser.add_argument("build", help="the build directory")
    parser.add_argument("--sessions", type=int, default=1000000, help="at most 1,600,000")
    parser.add_argument("--json", help="a file for what was measured")
    return parser.parse_args()


class Connections:
    """New connections without a pause, each second's rate with when it ended."""

    def __init__(self, ask):
        self.ask, self.seconds, self.stopping = ask, [], False
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while not self.stopping:
            rate = self.ask("connect", 1)["per_second"]
            self.seconds.append((time.monotonic(), rate))

    def between(self, begin, end):
        """The rates of the seconds that began and ended in this time, or touched it most."""
        return [rate for at, rate in self.seconds if begin + 0.5 <= at <= end + 0.5]

    def stop(self):
        self.stopping = True
        self.thread.join()


class Repair:
    def __init__(self, options, cloud):
        self.options, self.cloud = options, cloud
        self.traffic = f"{cloud.build}/bench/traffic"

    def tell(self, text):
        print(text, flush=True)

    def client(self, test, number):
        argv = self.cloud.inside("a", self.traffic, test, SERVER, str(PORT), str(number))
        return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    def ask(self, test, number):
        done = self.client(test, number)
        out, _ = done.communicate(timeout=900)
        if done.returncode:
            sys.exit(f"traffic {test} failed")
        return json.loads(out)

    def chain(self):
        status = self.cloud.status()
        return status and status["chains"][0].get("state")

    def holds(self, count):
        """Whether every replica of the chain reports so many sessions."""
        status = self.cloud.status()
        if not status:
            return False
        held = {m["name"]: m.get("sessions", 0) for m in status["members"]}
        return all(held.get(node, 0) >= count for node in status["chains"][0]["state"]["live"])

    def whole(self, without):
        state = self.chain()
        return bool(state and len(state["live"]) == 3 and without not in state["live"]
                    and not state.get("learner"))

    def known(self, node):
        """What a node's kernel has of the chain: (live list, learner), and of its copy to one."""
        def words(name, form):
            text = subprocess.run(["bpftool", "-j", "map", "lookup", "pinned",
                                   f"{self.cloud.pinned(node)}/{name}", "key", "0", "0", "0", "0"],
                                  capture_output=True, text=True, check=True, timeout=60).stdout
            return struct.unpack_from(form, bytes(int(b, 16) for b in json.loads(text)["value"]))

        chain = words("chains", "<2I2H9I")
        copy = words("copies", "<4Q")
        live, learner = chain[2], chain[3]
        return {"term": chain[:2], "live": list(chain[4:4 + live]),
                "learner": chain[4 + live] if learner else None,
                "copied": copy[2] if copy[0] == chain[0] << 32 | chain[1] else 0}

    def follow(self, began, nodes, victim):
        """Until the chain is whole without it: (seconds, what happened), as its nodes know it."""
        events, last = [], None

        def happened(what):
            events.append((time.monotonic() - began, what))
            self.tell(f"  {events[-1][0]:6.2f} s  {what}")

        while True:
            known = [self.known(node) for node in nodes]
            newest = max(known, key=lambda k: k["term"])
            stage = f"{len(newest['live'])} replicas"
            if newest["learner"] is not None:
                stage += ", a learner"
                if any(k["copied"] for k in known):
                    stage += " that is filled"
            if victim not in newest["live"] and stage != last:
                happened(stage)
                last = stage
                if stage == "3 replicas":
                    return events
            if time.monotonic() - began > 120:
                sys.exit(f"not whole after two minutes: {newest}")
            time.sleep(0.03)

    def run(self):
        options, cloud = self.options, self.cloud
        cloud.up(f"{HERE}/repair.yaml")
        if not until(60, lambda: self.whole(None), 0.5):
            sys.exit("the chain is not whole from the beginning")
        server = subprocess.Popen(cloud.inside("b", self.traffic, "serve", str(PORT)),
                                  start_new_session=True)
        try:
            return self.measure(options.sessions)
        finally:
            server.kill()
            server.wait()

    def measure(self, sessions):
        cloud = self.cloud
        cloud.run("a", "sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=1024 65000")
        if not until(30, lambda: self.ask("first", 1)["lost"] == 0):
            sys.exit("the server does not answer")
        self.tell(f"filling the chain with {sessions} sessions")
        filled = self.ask("fill", sessions)
        self.tell(f"  {filled['per_second']:.0f} sessions/s")
        if not until(60, lambda: self.holds(sessions), 1):
            sys.exit("not all replicas report these sessions")
        connections = Connections(self.ask)
        time.sleep(BEFORE)
        chain = self.chain()["live"]
        victim = chain[1]
        number = self.known(victim)["live"][1]
        self.tell(f"{victim} loses power")
        began = time.monotonic()
        # Its maps are freed meanwhile, which takes longer than the first steps.
        off = threading.Thread(target=cloud.power_off, args=(victim,))
        off.start()
        events = self.follow(began, [chain[0], chain[2]], number)
        ended = time.monotonic()
        off.join()
        missing = not until(60, lambda: self.holds(sessions), 1)
        done = time.monotonic()
        time.sleep(BEFORE)
        connections.stop()
        before = connections.between(0, began - 1)
        during = connections.between(began, ended)
        after = connections.between(done, time.monotonic())
        usual = statistics.median(before + after)
        return {
            "sessions": sessions,
            "filled_per_second": filled["per_second"],
            "timeline": events,
            "repaired_after_s": ended - began,
            "load": os.getloadavg()[0],
            "connections_per_second": {"before": before, "during": during, "after": after},
            "during_to_usual": statistics.mean(during) / usual if during else None,
            "worst_second_to_usual": min(during) / usual if during else None,
            "sessions_missing": missing,
        }


def main():
    options = read_options()
    cloud = Cloud(os.path.realpath(options.build))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        result = Repair(options, cloud).run()
    finally:
        cloud.down()
    rates = result["connections_per_second"]
    print(f"\nrepaired {result['repaired_after_s']:.1f} s after the loss of power, with"
          f" {result['sessions']} sessions")
    for when, values in rates.items():
        print(f"  {when:<8}{statistics.mean(values):9.0f} new connections/s"
              f"{min(values):9.0f} in the worst second")
    print(f"  during to usual: {result['during_to_usual']:.2f}"
          f"  (worst second {result['worst_second_to_usual']:.2f}); load {result['load']:.1f}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=2)
    if result["sessions_missing"]:
        sys.exit("BAD: the new replica does not report all sessions")


if __name__ == "__main__":
    main()
