#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How fast is a replica replaced that holds a million sessions, and what do new ones notice?

  repair.py BUILD [--sessions N] [--table kernel|flat] [--targets] [--json FILE]

A cloud of its own (lab/repair.yaml): a chain of three is filled with sessions, then its middle loses
power and the fourth node takes its place. All the while new connections are made through the same
chain, by users who do not wait for each other. Times count from the loss of power, of which a
timeline is printed as the chain's own nodes know it; the controller waits repair_after_s (1 s here)
before it replaces a node.

How many connections there are is told for the whole of the repair, and for its parts: the second
in which the chain goes on without the node, and from when it has a learner. A user whose first
packet was lost asks again after a second, as TCP does; meanwhile others come.
"""
import argparse
import json
import os
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chaos_cloud import PATIENCE, Cloud, topology, until  # noqa: E402
from pinned import PinnedMap  # noqa: E402

SERVER, PORT = "10.0.1.11", 7000
BEFORE = 8  # seconds of connections as they are without a repair
LONG = 3600  # seconds: until they are stopped
# With a million sessions: repaired in so many seconds, and so many new connections meanwhile, to usual.
REPAIRED_S, RATE = 10, 0.8


def read_options():
    parser = argparse.ArgumentParser(description="A replica full of sessions is replaced.")
    parser.add_argument("build", help="the build directory")
    parser.add_argument("--sessions", type=int, default=1000000, help="at most 1,600,000")
    parser.add_argument("--table", choices=["kernel", "flat"], default="kernel",
                        help="what keeps the sessions (zetad --sessions)")
    parser.add_argument("--targets", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--json", help="a file for what was measured")
    return parser.parse_args()


class Connections:
    """New connections without a pause: how many were answered, and when."""

    def __init__(self, client):
        self.client, self.samples = client, []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.client.stdout:
            self.samples.append(json.loads(line))

    def sum(self, what, begin, end):
        """Of all samples, each by its part between these two."""
        total = 0
        for sample in self.samples:
            first, last = sample["at_s"] - sample["for_s"], sample["at_s"]
            part = min(last, end) - max(first, begin)
            if part > 0:
                total += sample[what] * part / sample["for_s"]
        return total

    def rate(self, begin, end):
        return self.sum("answered", begin, end) / (end - begin)

    def seconds(self, begin, end):
        """The rates of all whole seconds, wherever they begin."""
        begins = [s["at_s"] for s in self.samples if begin <= s["at_s"] <= end - 1]
        return [self.rate(at, at + 1) for at in begins or [begin]]

    def gap(self, begin, end):
        """The longest time without an answer."""
        longest, last = 0, begin
        for sample in self.samples:
            if begin < sample["at_s"] <= end and sample["answered"]:
                longest = max(longest, sample["at_s"] - sample["for_s"] - last)
                last = sample["at_s"]
        return longest

    def stop(self):
        self.client.kill()
        self.client.wait()
        self.thread.join()


class Repair:
    def __init__(self, options, cloud):
        self.options, self.cloud = options, cloud
        self.maps = {}  # path: a pinned one that is open
        self.traffic = f"{cloud.build}/bench/traffic"

    def tell(self, text):
        print(text, flush=True)

    def client(self, test, number):
        argv = self.cloud.inside("a", self.traffic, test, SERVER, str(PORT), str(number))
        return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    def ask(self, test, number):
        done = self.client(test, number)
        out, _ = done.communicate(timeout=4500)
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

    def map(self, node, name):
        path = f"{self.cloud.pinned(node)}/{name}"
        if path not in self.maps:
            self.maps[path] = PinnedMap(path)
        return self.maps[path]

    def known(self, node):
        """What a node's kernel has of the chain: (live list, learner), and of its copy to one."""
        chain = struct.unpack_from("<2I2H9I", self.map(node, "chains").look(0))
        copy = struct.unpack_from("<4Q", self.map(node, "copies").look(0))
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
            if time.monotonic() - began > 600:
                sys.exit(f"not whole after ten minutes: {newest}")
            time.sleep(0.03)

    def run(self):
        options, cloud = self.options, self.cloud
        with tempfile.TemporaryDirectory() as directory:
            cloud.up(topology("repair.yaml", directory,
                              [("options: [", f"options: [--sessions, {options.table}, ")]))
        if not until(PATIENCE, lambda: self.whole(None), 0.5):
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
        if not until(PATIENCE, lambda: self.ask("first", 1)["lost"] == 0):
            sys.exit("the server does not answer")
        self.tell(f"filling the chain with {sessions} sessions")
        filled = self.ask("fill", sessions)
        self.tell(f"  {filled['per_second']:.0f} sessions/s")
        if not until(PATIENCE, lambda: self.holds(sessions), 1):
            sys.exit("not all replicas report these sessions")
        connections = Connections(self.client("users", LONG))
        time.sleep(BEFORE)
        start = time.monotonic() - BEFORE + 1
        chain = self.chain()["live"]
        victim = chain[1]
        number = self.known(victim)["live"][1]
        self.tell(f"{victim} loses power")
        began = time.monotonic()
        # What a dead machine's kernel held is nobody's work: it is freed when all is over.
        off = threading.Thread(target=cloud.fail, args=(victim,))
        off.start()
        events = self.follow(began, [chain[0], chain[2]], number)
        ended = time.monotonic()
        off.join()
        missing = not until(PATIENCE, lambda: self.holds(sessions), 1)
        done = time.monotonic()
        time.sleep(BEFORE)
        end = time.monotonic()
        connections.stop()
        cloud.forget(victim)
        usual = statistics.median(connections.seconds(start, began)
                                  + connections.seconds(done, end))
        learner = began + next(at for at, what in events if "learner" in what)

        def to_usual(begin, end):
            return {"rate": connections.rate(begin, end) / usual,
                    "worst_second": min(connections.seconds(begin, end)) / usual}

        return {
            "sessions": sessions,
            "table": self.options.table,
            "filled_per_second": filled["per_second"],
            "timeline": events,
            "repaired_after_s": ended - began,
            "learner_after_s": learner - began,
            "load": os.getloadavg()[0],
            "usual_per_second": usual,
            "to_usual": {"repair": to_usual(began, ended),
                         "take-over": to_usual(began, began + 1),
                         "copying": to_usual(learner, ended)},
            "nobody_answered_s": connections.gap(began, ended),
            "late": connections.sum("late", began, ended),
            "broken": connections.sum("broken", start, end),
            "sessions_missing": missing,
        }


def targets(result):
    """What was asked for: words, and whether it was met."""
    repaired, rate = result["repaired_after_s"], result["to_usual"]["repair"]["rate"]
    return [{"target": f"repaired within {REPAIRED_S} s", "was": repaired, "met": repaired <= REPAIRED_S},
            {"target": f"new connections over the repair at least {RATE:g} of usual", "was": rate,
             "met": rate >= RATE}]


def main():
    options = read_options()
    cloud = Cloud(os.path.realpath(options.build))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        result = Repair(options, cloud).run()
    finally:
        cloud.down()
    print(f"\nrepaired {result['repaired_after_s']:.1f} s after the loss of power, with"
          f" {result['sessions']} sessions in the {result['table']} table; load {result['load']:.1f}")
    print(f"new connections: usually {result['usual_per_second']:.0f} in a second;"
          " during to usual, and of the worst second:")
    for when, ratio in result["to_usual"].items():
        print(f"  {when:<10}{ratio['rate']:6.2f}{ratio['worst_second']:6.2f}")
    print(f"  none for {result['nobody_answered_s'] * 1000:.0f} ms at most;"
          f" {result['late']:.0f} late; {result['broken']:.0f} broken")
    result["targets"] = targets(result)
    for target in result["targets"]:
        print(f"{'met' if target['met'] else 'MISSED'}: {target['target']}: {target['was']:.2f}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=2)
    if result["sessions_missing"]:
        sys.exit("BAD: the new replica does not report all sessions")
    if options.targets and not all(target["met"] for target in result["targets"]):
        sys.exit(1)


if __name__ == "__main__":
    main()
