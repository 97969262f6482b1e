# SPDX-License-Identifier: Apache-2.0
"""The load of a cloud under chaos: who asks whom, and what they said (for lab/chaos.py)."""
import collections
import json
import subprocess

from chaos_cloud import PATIENCE, until

VNI = 100
BUCKETS = 65537
FIRST_PORT = 7100

# Between these a probe goes both ways: every pair of hosts. g..: guarded, i.e. stateful.
PROBES = [("a1", "a2"), ("a1", "g2"), ("a3", "a4"), ("a3", "g4"),
          ("a1", "a3"), ("a1", "g4"), ("a2", "g3"), ("a2", "a4")]
# shop: the load balancer, asked by who asks none of its backends himself: from one port to both is
# one connection too many (docs/loadbalancer.md). o..: outside, through the NAT.
STREAMS = [("a1", "a2"), ("a1", "g2"), ("a3", "a4"), ("a3", "g4"), ("g3", "g4"),
           ("g1", "shop"), ("a3", "o4")]
SHORTS = [("a1", "g2", 5), ("a3", "g4", 10), ("g3", "a4", 5), ("a4", "g3", 5),
          ("g1", "shop", 5), ("a1", "o4", 5), ("a4", "o2", 5)]
OPENINGS = [("a3", "g4", 50), ("a3", "a4", 25)]
MUTE = ["host3", "host4"]  # these are told no direct path: all that they send crosses the gateway

Flow = collections.namedtuple("Flow", "one other port way hash")  # from one to the other


def way_of(sender):
    """"direct": its later packets go from host to host."""
    return "cluster" if f"host{sender[1:]}" in MUTE else "direct"


class Traffic:
    def __init__(self, cloud, work, options):
        self.cloud = cloud
        self.work = work
        self.options = options
        self.flows = {}      # of probes, by the name of a direction
        self.processes = {}
        self.files = {}
        self.records = []    # said, read and not taken yet
        self.said = collections.defaultdict(set)
        endpoints = json.loads(cloud.ask("get", "ports", "-o", "json"))
        balancers = json.loads(cloud.ask("get", "load-balancers", "-o", "json"))
        self.ip = {port["name"]: port["ips"][0] for port in endpoints}
        self.ip.update((balancer["name"], balancer["ip"]) for balancer in balancers)
        self.balancers = {balancer["name"] for balancer in balancers}
        cloud.mute(MUTE)

    def choose_flows(self, owner_of, chain_of):
        """Ports such that the flows of a pair lie with different forwarders, and those of all pairs
        of a kind in different chains."""
        port = FIRST_PORT
        chains = collections.Counter()
        for one, other in PROBES:
            candidates = range(port, port + 100)
            port += 100
            hashes = self.cloud.hashes(VNI, [(17, self.ip[one], p, self.ip[other], p)
                                             for p in candidates])
            owners = collections.Counter()
            left = dict(zip(candidates, hashes))
            for _ in range(self.options.flows):
                best = min(left, key=lambda p: (owners[owner_of(left[p])],
                                                chains[way_of(other), chain_of(left[p])], p))
                hash_ = left.pop(best)
                owners[owner_of(hash_)] += 1
                chains[way_of(other), chain_of(hash_)] += 1
                for sender, peer in ((one, other), (other, one)):
                    self.flows[f"{self.ip[sender]}>{self.ip[peer]}:{best}"] = Flow(
                        sender, peer, best, way_of(sender), hash_)

    def words(self):
        """What each endpoint is asked to do."""
        words = collections.defaultdict(list)
        period = 1000000 // self.options.rate * self.options.flows
        for number, flow in enumerate(self.flows.values()):
            phase = period // self.options.flows * (number // 2 % self.options.flows)
            words[flow.one].append(f"probe={self.ip[flow.other]}:{flow.port}:{period}:{phase}")
        for one, other in STREAMS:
            words[one].append(f"stream={self.ip[other]}*{self.options.streams}")
            self.serve(words, other)
        for kind, pairs in (("short", SHORTS), ("open", OPENINGS)):
            for one, other, rate in pairs:
                words[one].append(f"{kind}={self.ip[other]}*{rate * self.options.load:g}")
                self.serve(words, other)
        return words

    def serve(self, words, name):
        """Who is asked serves; behind a load balancer others do, which are asked by themselves too."""
        if name not in self.balancers:
            words[name] += []

    def start(self, seconds):
        for name, words in self.words().items():
            out = open(f"{self.work}/{name}.load", "w+")
            argv = self.cloud.inside(name, f"{self.cloud.build}/lab/chaos_load", str(seconds),
                                     str(VNI), str(self.options.patience), *words)
            self.processes[name] = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out,
                                                    start_new_session=True)
            self.files[name] = open(f"{self.work}/{name}.load")
        self.await_all("ready", PATIENCE)
        self.tell("g")
        self.await_all("flowing", PATIENCE)

    def tell(self, what):
        for process in self.processes.values():
            process.stdin.write(what.encode())
            process.stdin.flush()

    def await_all(self, word, seconds):
        def all_said():
            ended = [name for name, p in self.processes.items() if p.poll() is not None]
            self.read()
            for name in ended:
                if "end" not in self.said[name]:
                    raise RuntimeError(f"the load of {name} ended")
            return all(word in self.said[name] for name in self.processes)
        if not until(seconds, all_said):
            late = [name for name in self.processes if word not in self.said[name]]
            raise RuntimeError(f"after {seconds} s not {word}: {' '.join(late)}")

    def read(self):
        """Reads what was said since."""
        for name, file in self.files.items():
            while True:
                at = file.tell()
                line = file.readline()
                if not line.endswith("\n"):
                    file.seek(at)
                    break
                record = json.loads(line)
                record["by"] = name
                self.said[name].add(record["what"])
                self.records.append(record)

    def take(self):
        """What was said since this was asked last."""
        self.read()
        records, self.records = self.records, []
        return records

    def finish(self):
        self.tell("s")
        self.await_all("idle", PATIENCE + self.options.patience)
        self.tell("q")
        self.await_all("end", PATIENCE)

    def kill(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
