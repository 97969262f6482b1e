#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads figures out of `zetactl status -o json` (standard input) for the lab's scripts.

figures.py fresh TIME                 exit 0 if every member reported after TIME (UTC, ISO 8601)
figures.py count VERDICT packets|bytes [MEMBER]   the sum of all members, or one's
figures.py replicas                   one line per chain: same|different SESSIONS.. NAMES..
figures.py sessions                   sessions of each flow table node, NAME=N
figures.py balance                    what came in and what went out, at each stage: exit 0 if equal
"""
import json
import sys


def members(status):
    return [member for cluster in status["clusters"] for member in cluster["members"]]


def fresh(status, since):
    late = [m["name"] for m in members(status) if m.get("reported_at", "") <= since]
    sys.exit(1 if late or not members(status) else 0)


def count(status, verdict, what, only=None):
    print(sum(m["verdicts"].get(verdict, {}).get(what, 0) for m in members(status)
              if only in (None, m["name"])))


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


# At each stage every packet that comes in goes out under one of these names, or waits nowhere.
STAGES = [
    ("forwarders, from hosts", ["EDGE_TO_ENTRANCE"],
     ["FORWARDED", "LOOKED_UP", "UPDATED", "GATEWAY_ARP", "GATEWAY_ECHO", "CACHED_DROP"]),
    ("flow table nodes, from forwarders", ["LOOKED_UP", "UPDATED"], ["REPLIED", "ARP_UNKNOWN"]),
    ("forwarders, from flow table nodes", ["REPLIED"],
     ["FORWARDED_FIRST", "ENDPOINT_ARP", "UNREACHABLE", "SECURITY_GROUP"]),
    ("hosts, told direct paths", ["FLOW_TOLD"], ["FLOW_INJECTED"]),
    ("hosts, for their endpoints",
     ["EDGE_DIRECT", "FORWARDED", "FORWARDED_FIRST", "ENDPOINT_ARP", "GATEWAY_ARP", "GATEWAY_ECHO",
      "UNREACHABLE"], ["EDGE_DELIVERED"]),
]


def balance(status):
    def packets(names):
        return sum(m["verdicts"].get(name, {}).get("packets", 0)
                   for m in members(status) for name in names)

    worst = 0
    for stage, ins, outs in STAGES:
        came, went = packets(ins), packets(outs)
        print(f"{stage + ':':36} {came:9} in, {went:9} out{'' if came == went else '  DIFFER'}")
        worst = max(worst, abs(came - went) / max(came, 1))
    sys.exit(0 if worst <= 0.01 else 1)


if __name__ == "__main__":
    commands = {"fresh": fresh, "count": count, "replicas": replicas, "sessions": sessions,
                "balance": balance}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](json.load(sys.stdin), *sys.argv[2:])
