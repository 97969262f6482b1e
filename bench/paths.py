# SPDX-License-Identifier: Apache-2.0
"""The paths that are measured: two guests on two hosts, each a network namespace, and what is between
them: the kernel's own, Open vSwitch, or a cloud of the lab."""
import argparse
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import zlib

HERE = pathlib.Path(__file__).resolve().parent
CLONE_NEWNS = 0x20000
PORT = 7000
GUEST = {"a": "10.0.1.10", "b": "10.0.1.11"}
QUIET_LOAD = 1.5


def options_of():
    """What a measurement of paths is told: BUILD [--quick] [--output FILE]."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("build", type=lambda path: pathlib.Path(path).resolve())
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--output", type=pathlib.Path)
    return arguments.parse_args()


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def run(*argv, timeout=120, **options):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, argv))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def in_background(argv, **options):
    return subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent, **options
    )


def end(daemon):
    if daemon:
        daemon.terminate()
        daemon.wait()


def sh(lines, **values):
    for line in lines.strip().splitlines():
        run("sh", "-c", line.strip().format(**values))


class Path:
    """Two guests and what is between them. guest(side) is how a command is run there; servers are the
    sides that answer."""

    address = GUEST["b"]
    servers = "b"

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


class KernelRouted(Path):
    """The hosts are the guests' gateways; the second one has a stateful rule."""

    def guests_routed(self):
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
            ip -n {tag}-b address add 10.0.2.12/24 dev eth0
            ip -n {tag}-b route add default via 10.0.2.1
            ip netns exec {tag}-hostb nft add table ip f
            ip netns exec {tag}-hostb nft 'add chain ip f forward {{ type filter hook forward priority 0 ; policy drop ; }}'
            ip netns exec {tag}-hostb nft add rule ip f forward ct state established,related accept
            ip netns exec {tag}-hostb nft add rule ip f forward ip daddr 10.0.2.0/24 meta l4proto {{ tcp, udp }} accept
            ip netns exec {tag}-hostb sysctl -q net.netfilter.nf_conntrack_tcp_timeout_time_wait=10
            """,
            tag=self.tag,
        )

    def translate(self, chain, rule):
        """The first host tracks too, and has a chain of this kind with the rule."""
        sh(
            """
            ip netns exec {tag}-hosta nft add table ip n
            ip netns exec {tag}-hosta nft 'add chain ip n nat {{ type nat {chain} ; }}'
            ip netns exec {tag}-hosta nft 'add rule ip n nat {rule}'
            ip netns exec {tag}-hosta sysctl -q net.netfilter.nf_conntrack_tcp_timeout_time_wait=10
            """,
            tag=self.tag,
            chain=chain,
            rule=rule,
        )


class KernelNat(KernelRouted):
    name, key = "kernel vxlan, conntrack, NAT", "ct"
    address = "10.0.2.11"

    def up(self, _):
        self.guests_routed()
        self.translate("hook postrouting priority 100", "oifname vx masquerade")


class KernelService(KernelRouted):
    """The first host chooses one of two backends for a connection, the second one lets it in."""

    name, key = "kernel vxlan, nftables", "nf"
    address = "10.0.3.100"

    def up(self, _):
        self.guests_routed()
        self.translate(
            "hook prerouting priority -100",
            f"ip daddr {self.address} tcp dport {PORT} dnat to jhash ip saddr . tcp sport mod 2"
            " map { 0 : 10.0.2.11, 1 : 10.0.2.12 }",
        )


class Proxy(KernelRouted):
    """HAProxy at the first host, on its way the same rule."""

    name, key = "kernel vxlan, HAProxy", "hap"
    address = "10.0.1.1"
    daemon = None

    def up(self, work):
        self.guests_routed()
        config = work / "haproxy.cfg"
        config.write_text(
            textwrap.dedent(f"""\
            global
                maxconn 1000
            defaults
                mode tcp
                timeout connect 10s
                timeout client 60s
                timeout server 60s
            listen shop
                bind {self.address}:{PORT}
                balance roundrobin
                server one 10.0.2.11:{PORT}
                server two 10.0.2.12:{PORT}
            """)
        )
        host = ["nsenter", f"--net=/run/netns/{self.tag}-hosta"]
        run(*host, "sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=1024 65000")
        self.daemon = in_background(host + ["haproxy", "-db", "-f", str(config)])

    def down(self):
        end(self.daemon)


class Ovs(Path):
    name, key = "OVS userspace, vxlan", "ovs"

    daemons = ()

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
            self.daemons.append(in_background(net + argv, env=env))
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
            end(daemon)


class Cloud:
    """A cloud of the lab that several paths go through. One of a kind per build directory: what a killed
    run left, the next takes down."""

    def __init__(self, build, topology):
        self.zetactl = str(build / "cli" / "zetactl")
        self.topology = HERE / topology
        self.name = f"bench-{self.topology.stem}-{zlib.crc32(bytes(build)):08x}"
        self.users = 0

    def begin(self):
        self.users += 1
        if self.users == 1:
            subprocess.run([self.zetactl, "lab", "down", self.name], capture_output=True, timeout=600)
            run(self.zetactl, "lab", "up", str(self.topology), "--name", self.name, timeout=3600)

    def end(self):
        self.users -= 1
        if not self.users:
            run(self.zetactl, "lab", "down", self.name)


class Zeta(Path):
    """Between endpoints of a cloud; client: where "a" is."""

    def __init__(self, cloud, name, servers, address, client="a"):
        self.cloud, self.name, self.servers, self.address = cloud, name, servers, address
        self.client = client

    def up(self, _):
        self.cloud.begin()

    def guest(self, side):
        endpoint = self.client if side == "a" else side
        return [self.cloud.zetactl, "lab", "exec", self.cloud.name, endpoint]

    def down(self):
        self.cloud.end()


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        if time.monotonic() > until:
            sys.exit("nothing happened for 30 seconds")
        time.sleep(0.05)


def own_mounts():
    """Names of namespaces are mounts: in here they end with us, however we end."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    ctypes.CDLL(None).unshare(CLONE_NEWNS)
    run("mount", "--make-rprivate", "/")
    pathlib.Path("/run/netns").mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def heading(what):
    """Prints the machine and what it does meanwhile; returns it for a report."""
    load = os.getloadavg()[0]
    beside = "" if load < QUIET_LOAD else " (beside other work)"
    print(f"{os.cpu_count()} CPUs, Linux {os.uname().release}, load {load:.1f}{beside}; {what}")
    return {"kernel": os.uname().release, "cpus": os.cpu_count(), "load": load}


class Ends:
    """What sends and answers at the ends of paths (traffic.c), and the paths themselves."""

    def __init__(self, build):
        self.traffic = str(build / "bench" / "traffic")
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="zeta-bench-"))
        self.servers, self.began = [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            end(server)
        for path in self.began:
            path.down()
        shutil.rmtree(self.work)

    def begin(self, paths, *others):
        """Brings paths up, with a server at each end that answers, and the others, where they have none."""
        serving = set()
        for path in paths:
            print(f"making {path.name}", file=sys.stderr)
            self.began.append(path)
            path.up(self.work)
            for side in (path.servers,) if isinstance(path.servers, str) else path.servers:
                if tuple(path.guest(side)) not in serving:
                    serving.add(tuple(path.guest(side)))
                    self.serve(path, side, others)
            run(*path.guest("a"), "sysctl", "-q", "-w", "net.ipv4.ip_local_port_range=1024 65000")
            wait_for(lambda: self.reaches(path))

    def serve(self, path, side, others):
        for argv in ([self.traffic, "serve", str(PORT)], *others):
            self.servers.append(in_background(path.guest(side) + argv))

    def reaches(self, path):
        test = path.guest("a") + [self.traffic, "connect", path.address, str(PORT), "0.05"]
        done = subprocess.run(test, capture_output=True, text=True, timeout=60)
        return done.returncode == 0 and json.loads(done.stdout)["per_second"] > 0

    def ask(self, path, test, number):
        argv = [self.traffic, test, path.address, str(PORT), str(number)]
        return json.loads(run(*path.guest("a"), *argv))
