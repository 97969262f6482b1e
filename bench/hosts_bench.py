#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What one endpoint gets from another, through Zeta and through its peers, in one interleaved run.

  hosts_bench.py BUILD [--quick] [--output FILE]

Every path is two guests on two hosts, each a network namespace, with the same MTU inside (1450), on
this machine's cores: what a path costs is what the guests do not get. A round takes each test on each
path in turn, so that what the machine does meanwhile meets all of them; a row is the median of its
rounds, and a ratio the median of the rounds' ratios to "kernel vxlan".

Needs root, as it makes network namespaces: in a mount namespace of its own, so that nothing is left.
"""
import argparse
import ctypes
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CLONE_NEWNS = 0x20000
PORT = 7000
IPERF = 7001
GUEST = {"a": "10.0.1.10", "b": "10.0.1.11"}
TESTS = {
    "TCP, one stream": "Gb/s",
    "64-byte datagrams": "k/s",
    "connections": "k/s",
    "request and answer": "us p50",
    "request and answer, worst": "us p99",
    "first packet of a flow": "us p50",
}
FLOWS = 300


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def run(*argv, **options):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, argv))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def sh(lines, **values):
    for line in lines.strip().splitlines():
        run("sh", "-c", line.strip().format(**values))


class Path:
    """Two guests and what is between them. guest(side) is how a command is run there."""

    address = GUEST["b"]

    def guest(self, side):
        return ["nsenter", f"--net=/run/netns/{self.tag}-{side}"]

    def down(self):
        pass

    def guests(self, host_side):
        """A namespace per guest and host; the guest's veth ends in its host as "port"."""
        self.tag = f"bench-{os.getpid()}-{self.key}"
        for number, side in enumerate("ab", 1):
            sh(
                """
                ip netns add {tag}-{side}
                ip netns add {tag}-host{side}
                ip -n {tag}-{side} link add eth0 mtu 1450 type veth peer name port netns {tag}-host{side}
                ip -n {tag}-{side} link set lo up
                ip -n {tag}-{side} link set eth0 up
                ip -n {tag}-host{side} link set lo up
                ip -n {tag}-host{side} link set port up mtu 1450
                """,
                tag=self.tag,
                side=side,
            )
        sh(
            """
            ip -n {tag}-hosta link add under mtu 1600 type veth peer name under netns {tag}-hostb
            ip -n {tag}-hostb link set under mtu 1600
            ip -n {tag}-hosta address add 172.16.0.1/24 dev under
            ip -n {tag}-hostb address add 172.16.0.2/24 dev under
            ip -n {tag}-hosta link set under up
            ip -n {tag}-hostb link set under up
            """,
            tag=self.tag,
        )
        for number, side in enumerate("ab", 1):
            sh(host_side, tag=self.tag, side=side, me=number, other=3 - number)


class KernelVxlan(Path):
    name, key = "kernel vxlan", "vx"

    def up(self, _):
        self.guests(
            """
            ip -n {tag}-host{side} link add vx type vxlan id 100 local 172.16.0.{me} remote 172.16.0.{other} dstport 4789 dev under
            ip -n {tag}-host{side} link set vx mtu 1450
            ip -n {tag}-host{side} link add name bridge mtu 1450 type bridge
            ip -n {tag}-host{side} link set vx up master bridge
            ip -n {tag}-host{side} link set port master bridge
            ip -n {tag}-host{side} link set bridge up
            """
        )
        sh(
            """
            ip -n {tag}-a address add 10.0.1.10/24 dev eth0
            ip -n {tag}-b address add 10.0.1.11/24 dev eth0
            """,
            tag=self.tag,
        )


class KernelNat(Path):
    name, key = "kernel vxlan, conntrack, NAT", "ct"
    address = "10.0.2.11"

    def up(self, _):
        """Routed: the hosts are the guests' gateways; the first one masquerades and tracks, the
        second one has a stateful rule."""
        self.guests(
            """
            ip netns exec {tag}-host{side} sysctl -q net.ipv4.ip_forward=1
            ip -n {tag}-host{side} link add vx type vxlan id 100 local 172.16.0.{me} remote 172.16.0.{other} dstport 4789 dev under
            ip -n {tag}-host{side} link set vx mtu 1450 up
            ip -n {tag}-host{side} address add 10.9.0.{me}/24 dev vx
            ip -n {tag}-host{side} address add 10.0.{me}.1/24 dev port
            ip -n {tag}-host{side} route add 10.0.{other}.0/24 via 10.9.0.{other}
            """
        )
        sh(
            """
            ip -n {tag}-a address add 10.0.1.10/24 dev eth0
            ip -n {tag}-a route add default via 10.0.1.1
            ip -n {tag}-b address add 10.0.2.11/24 dev eth0
            ip -n {tag}-b route add default via 10.0.2.1
            ip netns exec {tag}-hosta nft add table ip n
            ip netns exec {tag}-hosta nft 'add chain ip n out {{ type nat hook postrouting priority 100 ; }}'
            ip netns exec {tag}-hosta nft add rule ip n out oifname vx masquerade
            ip netns exec {tag}-hostb nft add table ip f
            ip netns exec {tag}-hostb nft 'add chain ip f forward {{ type filter hook forward priority 0 ; policy drop ; }}'
            ip netns exec {tag}-hostb nft add rule ip f forward ct state established,related accept
            ip netns exec {tag}-hostb nft add rule ip f forward ip daddr 10.0.2.0/24 meta l4proto {{ tcp, udp }} accept
            """,
            tag=self.tag,
        )


class Ovs(Path):
    name, key = "OVS userspace, vxlan", "ovs"

    def up(self, work):
        self.daemons = []
        self.guests("ip netns exec {tag}-{side} ethtool -K eth0 tx off")
        for number, side in enumerate("ab", 1):
            self.switch(work, side, number)
        sh(
            """
            ip -n {tag}-a address add 10.0.1.10/24 dev eth0
            ip -n {tag}-b address add 10.0.1.11/24 dev eth0
            """,
            tag=self.tag,
        )

    def switch(self, work, side, number):
        """One Open vSwitch per host: guest's bridge with a tunnel, underlay's bridge with the wire."""
        at = work / f"ovs-{side}"
        at.mkdir()
        net = ["nsenter", f"--net=/run/netns/{self.tag}-host{side}"]
        env = {**os.environ, "OVS_RUNDIR": str(at), "OVS_LOGDIR": str(at), "OVS_DBDIR": str(at)}
        run("ovsdb-tool", "create", f"{at}/conf.db", "/usr/share/openvswitch/vswitch.ovsschema", env=env)
        db = f"unix:{at}/db.sock"
        for argv in (
            ["ovsdb-server", f"{at}/conf.db", f"--remote=p{db}", f"--unixctl={at}/db.ctl"],
            ["ovs-vswitchd", db, f"--unixctl={at}/vs.ctl"],
        ):
            self.daemons.append(
                subprocess.Popen(
                    net + argv,
                    env=env,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    preexec_fn=die_with_parent,
                )
            )
            wait_for(lambda: any(at.glob("*.ctl")) and (at / "db.sock").exists())
        other = 3 - number
        netdev = "-- set bridge {0} datapath_type=netdev"
        run(
            *net,
            "ovs-vsctl",
            f"--db={db}",
            *f"add-br under-br {netdev.format('under-br')} -- add-port under-br under"
            f" -- add-br guest-br {netdev.format('guest-br')} -- add-port guest-br port"
            f" -- add-port guest-br vx -- set interface vx type=vxlan options:remote_ip=172.16.0.{other}"
            " options:key=100".split(),
            env=env,
        )
        sh(
            """
            ip -n {tag}-host{side} address flush dev under
            ip -n {tag}-host{side} address add 172.16.0.{number}/24 dev under-br
            ip -n {tag}-host{side} link set under-br up
            ip -n {tag}-host{side} link set guest-br up
            """,
            tag=self.tag,
            side=side,
            number=number,
        )

    def down(self):
        for daemon in self.daemons:
            daemon.terminate()
            daemon.wait()


class Cloud:
    """The lab's cloud that both of Zeta's paths go through."""

    def __init__(self, build):
        self.zetactl = str(build / "cli" / "zetactl")
        self.name = f"bench-{os.getpid()}"
        self.users = 0

    def begin(self):
        self.users += 1
        if self.users == 1:
            run(self.zetactl, "lab", "up", str(HERE / "hosts.yaml"), "--name", self.name)

    def end(self):
        self.users -= 1
        if not self.users:
            run(self.zetactl, "lab", "down", self.name)


class Zeta(Path):
    def __init__(self, cloud, name, server, address):
        self.cloud, self.name, self.server, self.address = cloud, name, server, address

    def up(self, _):
        self.cloud.begin()

    def guest(self, side):
        return [self.cloud.zetactl, "lab", "exec", self.cloud.name, self.server if side == "b" else side]

    def down(self):
        self.cloud.end()


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        if time.monotonic() > until:
            sys.exit("nothing happened for 30 seconds")
        time.sleep(0.05)


class Bench:
    def __init__(self, build, quick):
        self.traffic = str(build / "bench" / "traffic")
        self.seconds = 1 if quick else 3
        self.rounds = 3 if quick else 7
        self.servers = []

    def serve(self, path):
        for argv in ([self.traffic, "serve", str(PORT)], ["iperf3", "-s", "-p", str(IPERF)]):
            self.servers.append(
                subprocess.Popen(
                    path.guest("b") + argv,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    preexec_fn=die_with_parent,
                )
            )
        for side in "ab":
            run(*path.guest(side), "sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=1024 65000")
        wait_for(lambda: self.reaches(path))

    def reaches(self, path):
        test = path.guest("a") + [self.traffic, "first", path.address, str(PORT), "1"]
        done = subprocess.run(test, capture_output=True, text=True, timeout=60)
        return done.returncode == 0 and json.loads(done.stdout)["lost"] == 0

    def ask(self, path, test, number=None):
        argv = [self.traffic, test, path.address, str(PORT), str(number or self.seconds)]
        return json.loads(run(*path.guest("a"), *argv))

    def measure(self, path):
        iperf = run(
            *path.guest("a"), "iperf3", "-c", path.address, "-p", str(IPERF), "-t", str(self.seconds), "-J"
        )
        result = {"TCP, one stream": json.loads(iperf)["end"]["sum_received"]["bits_per_second"] / 1e9}
        result["64-byte datagrams"] = self.ask(path, "send")["per_second"] / 1e3
        made = self.ask(path, "connect")
        result["connections"] = made["per_second"] / 1e3
        result["broken or lost"] = made["lost"]
        asked = self.ask(path, "ask")
        result["request and answer"] = asked["p50_us"]
        result["request and answer, worst"] = asked["p99_us"]
        first = self.ask(path, "first", FLOWS)
        result["first packet of a flow"] = first["p50_us"]
        result["broken or lost"] += first["lost"]
        return result

    def end(self):
        for server in self.servers:
            server.terminate()
            server.wait()


def table(paths, results):
    base = results["kernel vxlan"]
    rows = {}
    for path in paths:
        rounds = results[path.name]
        rows[path.name] = {
            test: {
                "unit": unit,
                "median": statistics.median(r[test] for r in rounds),
                "least": min(r[test] for r in rounds),
                "most": max(r[test] for r in rounds),
                "to_kernel_vxlan": statistics.median(
                    r[test] / k[test] if k[test] else 0 for r, k in zip(rounds, base)
                ),
            }
            for test, unit in TESTS.items()
        }
        rows[path.name]["broken or lost"] = sum(r["broken or lost"] for r in rounds)
    return rows


def show(rows):
    for test, unit in TESTS.items():
        print(f"\n{test}, {unit:<10}{'':{48 - len(test) - 12}}median    least     most   to kernel vxlan")
        for name, row in rows.items():
            r = row[test]
            print(
                f"  {name:<40}{r['median']:12.2f}{r['least']:9.2f}{r['most']:9.2f}"
                f"{r['to_kernel_vxlan']:12.2f}"
            )
    broken = {name: row["broken or lost"] for name, row in rows.items() if row["broken or lost"]}
    print(f"\nConnections broken, datagrams of new flows lost: {broken or 'none'}")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("build", type=pathlib.Path)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--output", type=pathlib.Path)
    options = arguments.parse_args()
    build = options.build.resolve()
    os.environ["PATH"] += ":/usr/sbin:/sbin"

    # Names of namespaces are mounts: in here they end with us, however we end.
    ctypes.CDLL(None).unshare(CLONE_NEWNS)
    run("mount", "--make-rprivate", "/")
    pathlib.Path("/run/netns").mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")

    cloud = Cloud(build)
    paths = [
        Zeta(cloud, "Zeta, direct path", "b", "10.0.1.11"),
        Zeta(cloud, "Zeta, security group, direct path", "b2", "10.0.1.12"),
        KernelVxlan(),
        KernelNat(),
    ]
    if shutil.which("ovs-vswitchd"):
        paths.append(Ovs())
    else:
        print("Open vSwitch is not installed: no rows of it")
    bench = Bench(build, options.quick)
    work = pathlib.Path(tempfile.mkdtemp(prefix="zeta-bench-"))
    began = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for path in paths:
            print(f"making {path.name}", file=sys.stderr)
            began.append(path)
            path.up(work)
            bench.serve(path)
        results = {path.name: [] for path in paths}
        for number in range(bench.rounds):
            print(f"round {number + 1} of {bench.rounds}", file=sys.stderr)
            for path in paths:
                results[path.name].append(bench.measure(path))
        print(f"Linux {os.uname().release}, {os.cpu_count()} CPUs, {bench.rounds} rounds of {bench.seconds} s")
        rows = table(paths, results)
        show(rows)
        if options.output:
            options.output.write_text(json.dumps({"hosts": rows}, indent=2))
    finally:
        bench.end()
        for path in began:
            path.down()
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
