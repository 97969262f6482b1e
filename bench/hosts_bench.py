#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What one endpoint gets from another, through Zeta and through its peers, in one interleaved run.

  hosts_bench.py BUILD [--quick] [--output FILE]

Every path is two guests on two hosts, each a network namespace, with the same MTU inside (1450), on
this machine's cores: what a path costs is what the guests do not get. A round takes each test on each
path in turn, so that what the machine does meanwhile meets all of them; a row is the median of its
rounds, and a ratio the median of the rounds' ratios to "kernel vxlan". Services are two backends
behind one address, each let in by a stateful rule.

Needs root, as it makes network namespaces: in a mount namespace of its own, so that nothing is left.
"""
import json
import pathlib
import shutil
import sys

from paths import PORT, Cloud, Ends, KernelNat, KernelService, KernelVxlan, Ovs, Proxy, Zeta, heading, options_of, own_mounts, run
from rounds import row_of, show

IPERF = 7001
FLOWS = 300
CONNECTIONS = ("connections", "k/s")
ANSWERS = [("request and answer", "us p50"), ("request and answer, worst", "us p99")]
HOST_TESTS = [
    ("TCP, one stream", "Gb/s"),
    ("64-byte datagrams", "k/s"),
    CONNECTIONS,
    *ANSWERS,
    ("first packet of a flow", "us p50"),
]
SERVICE_TESTS = [CONNECTIONS, *ANSWERS]
GUARDED, VXLAN, SERVICE = "Zeta, security group, direct path", "kernel vxlan", "Zeta, load balancer, security group"


def measure(ends, path, seconds, whole):
    """One round of a path; whole: more than what is asked of services."""
    made = ends.ask(path, "connect", seconds)
    asked = ends.ask(path, "ask", seconds)
    result = {
        "connections": made["per_second"] / 1e3,
        "request and answer": asked["p50_us"],
        "request and answer, worst": asked["p99_us"],
        "broken or lost": made["lost"],
    }
    if not whole:
        return result
    iperf = run(
        *path.guest("a"), "iperf3", "-c", path.address, "-p", str(IPERF), "-t", str(max(1, int(seconds))), "-J"
    )
    result["TCP, one stream"] = json.loads(iperf)["end"]["sum_received"]["bits_per_second"] / 1e9
    result["64-byte datagrams"] = ends.ask(path, "send", seconds)["per_second"] / 1e3
    first = ends.ask(path, "first", FLOWS)
    result["first packet of a flow"] = first["p50_us"]
    result["broken or lost"] += first["lost"]
    return result


def table(title, tests, paths, results, base):
    """Prints what was measured; returns it for the report."""
    print(f"\n{title}")
    rows = {}
    for test, unit in tests:
        values = {path.name: [r[test] for r in results[path.name]] for path in paths}
        rows[test] = {name: {"unit": unit, **row_of(v, values[base])} for name, v in values.items()}
        show(f"{test}, {unit}", rows[test], base)
    return rows


def judge(rows, name, other):
    """Connections per second, to another path's: at least as many."""
    value = rows["connections"][name]["to_base"]
    met = value >= 1
    print(
        f"\nConnections of \"{name}\" to those of \"{other}\": {value:.2f}, target at least 1.00: "
        f"{'met' if met else 'MISSED'}"
    )
    return {"ratio": f"connections, {name} to {other}", "value": value, "target": 1, "met": met}


def main():
    options = options_of()
    build = options.build
    rounds, seconds = (3, 0.3) if options.quick else (7, 2)
    own_mounts()

    cloud = Cloud(build, "hosts.yaml")
    hosts = [
        Zeta(cloud, "Zeta, direct path", "b", "10.0.1.11"),
        Zeta(cloud, GUARDED, "b2", "10.0.1.12"),
        KernelVxlan(),
        KernelNat(),
    ]
    services = [Zeta(cloud, SERVICE, ["w1", "w2"], "10.0.1.100"), KernelService()]
    for program, path, group in (("ovs-vswitchd", Ovs, hosts), ("haproxy", Proxy, services)):
        if shutil.which(program):
            group.append(path())
        else:
            print(f"{program} is not installed: no rows of it")
    results = {path.name: [] for path in hosts + services}
    with Ends(build) as ends:
        ends.begin(hosts, ["iperf3", "-s", "-p", str(IPERF)])
        ends.begin(services)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for path in hosts + services:
                results[path.name].append(measure(ends, path, seconds, path in hosts))
    report = heading(f"{rounds} rounds of {seconds} s")
    report["hosts"] = table("From host to host", HOST_TESTS, hosts, results, VXLAN)
    report["services"] = table("Two backends behind one address", SERVICE_TESTS, services, results, KernelService.name)
    ipvs = pathlib.Path("/proc/net/ip_vs").exists()
    print(f"\nIPVS: {'not measured' if ipvs else 'this kernel has none'}")
    report["ratios"] = [judge(report["hosts"], GUARDED, VXLAN)]
    broken = {name: sum(r["broken or lost"] for r in all_of) for name, all_of in results.items()}
    report["broken or lost"] = broken
    some = {name: count for name, count in broken.items() if count}
    print(f"Connections broken, datagrams of new flows lost: {some or 'none'}")
    if options.output:
        options.output.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
