#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads figures out of `zetactl status -o json` (standard input) for the lab's scripts.

figures.py fresh TIME                 names those who did not report after TIME (UTC, ISO 8601): exit 1
figures.py count VERDICT packets|bytes [MEMBER]   the sum of all members, or one's
figures.py seen VERDICT..             those of them that any packet met
figures.py replicas                   one line per chain: same|different SESSIONS.. NAMES..
figures.py sessions                   sessions of each flow table node, NAME=N
figures.py balance   packets into and out of each stage: exit 0 if equal, but for one in 200
"""
import json
import os
import re
import sys


def members(status):
    return [member for cluster in status["clusters"] for member in cluster["members"]]


def fresh(status, since):
    late = [m["name"] for m in members(status) if m.get("reported_at", "") <= since]
    print(*late)
    sys.exit(1 if late or not members(status) else 0)


def count(status, verdict, what, only=None):
    print(sum(m["verdicts"].get(verdict, {}).get(what, 0) for m in members(status)
              if only in (None, m["name"])))


def seen(status, *verdicts):
    print(*(v for v in verdicts if any(v in m["verdicts"] for m in members(status))))


def replicas(status):
    for cluster in status["clusters"]:
        by_name = {m["name"]: m for m in cluster["members"]}
        # A chain's replicas hold the same records; with as many chains as replicas in a cluster of
        # this size every node is in every chain, so whole tables may be compared.
        for chain in cluster["chains"]:
            held = [by_name[name] for name in chain["replicas"]]
            same = len({(m["sessions"], m["session_digest"]) for m in held}) == 1
            print("same" if same else "different",
                  *(f'{m["name"]}:{m["sessions"]}:{m["session_digest"]}' for m in held))


def sessions(status):
    print(*(f'{m["name"]}={m["sessions"]}' for m in members(status) if "ftn" in m["roles"]))


def kinds():
    """Name to PASS, SENT or DROP, from the list that the programs are made of."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../shared/verdicts.def")
    with open(path) as file:
        return dict(re.findall(r"^VERDICT\((\w+), (\w+),", file.read(), re.M))


def balance(status):
    kind = kinds()
    roles = {"forwarders": "fwd", "flow table nodes": "ftn", "hosts": "edge"}

    def packets(who, names):
        return sum(count["packets"] for m in members(status) if roles[who] in m["roles"]
                   for name, count in m["verdicts"].items() if name in names)

    # What nodes say to each other without a tenant's packet: heartbeats, ends and copies of sessions.
    own = {name for name in kind if re.match("BEAT_|EMIT|COPY_|MOVE_|MIRROR", name)}
    own |= {"NOT_FIT", "STALE_BEAT", "OP_DONE"}
    outcomes = {name for name in kind if kind[name] != "PASS"} - own
    drops = {name for name in kind if kind[name] == "DROP"} - own
    to_hosts = {"FORWARDED", "FORWARDED_FIRST", "ENDPOINT_ARP", "GATEWAY_ARP", "GATEWAY_ECHO",
                "TIME_EXCEEDED", "UNREACHABLE", "FRAGMENTATION_NEEDED"}
    # What a forwarder tells a host is one more packet, beside that which it is told for, and so is
    # the copy that asks the flow table; and a copy that a switch flooded, not having learned an
    # entrance's MAC yet, was counted at its owner.
    stages = [
        ("forwarders, from hosts and flow table",
         packets("hosts", {"EDGE_TO_ENTRANCE"}) + packets("flow table nodes", {"REPLIED"}),
         packets("forwarders", outcomes - {"FLOW_TOLD", "NOT_ENTRANCE", "REFRESHING"})),
        ("flow table, from forwarders",
         packets("forwarders", {"LOOKED_UP", "UPDATED", "REFRESHING"}),
         packets("flow table nodes", {"REPLIED"} | drops)),
        ("hosts, told direct paths",
         packets("forwarders", {"FLOW_TOLD"}),
         packets("hosts", {"FLOW_INJECTED"})),
        ("hosts, for their endpoints",
         packets("hosts", {"EDGE_DIRECT"}) + packets("forwarders", to_hosts),
         packets("hosts", {"EDGE_DELIVERED", "NO_LOCAL_PORT"})),
    ]
    for stage, came, went in stages:
        print(f"{stage + ':':40} {came:9} in, {went:9} out{'' if came == went else '  DIFFER'}")
    sys.exit(0 if all(abs(came - went) <= came / 200 for _, came, went in stages) else 1)


if __name__ == "__main__":
    commands = {"fresh": fresh, "count": count, "seen": seen,
                "replicas": replicas, "sessions": sessions,
                "balance": balance}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](json.load(sys.stdin), *sys.argv[2:])
