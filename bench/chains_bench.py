#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a chain's length adds to the first packet of a flow that is kept in the flow table.

  chains_bench.py BUILD [--quick] [--output FILE]

A cluster for each length, all in one cloud and between the same two hosts; a round asks from new flows
through each of them in turn, and what a length adds is the median of the rounds' differences to the
chain of 1. The round trip has the answer's way back in it, whose decision the forwarder then knows.
"""
import json
import sys

from paths import Cloud, Ends, Zeta, heading, options_of, own_mounts
from rounds import row_of, show

LENGTHS = (1, 2, 3, 4)  # a cluster's chains have 4 replicas at most
BASE = "a chain of 1"
MOST_ADDED_US = 50  # by a chain of 3


def main():
    options = options_of()
    build = options.build
    rounds, flows = (7, 200) if options.quick else (21, 500)
    own_mounts()

    cloud = Cloud(build, "chains.yaml")
    paths = [Zeta(cloud, f"a chain of {n}", f"b{n}", "10.0.1.11", client=f"a{n}") for n in LENGTHS]
    values = {path.name: [] for path in paths}
    lost = 0
    with Ends(build) as ends:
        ends.begin(paths)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for path in paths:
                first = ends.ask(path, "first", flows)
                values[path.name].append(first["p50_us"])
                lost += first["lost"]
    report = heading(f"{rounds} rounds of {flows} flows each")
    rows = {name: row_of(v, values[BASE]) for name, v in values.items()}
    show("First packet of a flow and its answer, us", rows, BASE, added=True)
    added = rows["a chain of 3"]["over_base"]
    met = added <= MOST_ADDED_US
    print(f"\nA chain of 3 adds {added:.1f} us, target at most {MOST_ADDED_US}: {'met' if met else 'MISSED'}")
    print(f"Datagrams lost: {lost or 'none'}")
    report.update(
        {"chains": rows, "lost": lost, "ratios": [{"ratio": "us that a chain of 3 adds", "value": added, "target": MOST_ADDED_US, "met": met}]}
    )
    if options.output:
        options.output.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
