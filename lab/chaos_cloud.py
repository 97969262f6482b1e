# SPDX-License-Identifier: Apache-2.0
"""A cloud of the lab, and what may happen to its machines (for lab/chaos.py)."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

LAB = "/run/zeta/lab"
OAM_PORT = 8300
PATIENCE = 300  # seconds for what a machine does in one, but a slow one
ALL = ("tenant", "zgc", "control")  # networks of a gateway node
PREFIX = "chaos-"
SCRATCH = f"{tempfile.gettempdir()}/zeta-"


def now():
    """Nanoseconds, on the clock that the load uses."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def until(seconds, condition, pause=0.05):
    """Tries until the condition is true; returns whether it became so in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


class Refused(Exception):
    """A command to the controller failed."""


def topology(name, directory, changes):
    """A copy there of a file of the lab, with texts in place of others, which it has. Returns its path."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), encoding="utf-8") as file:
        text = file.read()
    for old, new in changes:
        if old not in text:
            raise SystemExit(f"{name} has no {old!r}")
        text = text.replace(old, new)
    path = f"{directory}/{name}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


class Cloud:
    def __init__(self, build):
        # Two runs never share a cloud: its name is this process's number.
        self.name = f"{PREFIX}{os.getpid()}"
        self.build = build
        self.dir = f"{LAB}/{self.name}"
        self.pids = {}     # of each daemon
        self.argv = {}
        self.children = {}  # daemons that this process started itself
        self.cuts = {}     # lists of each machine that is cut off
        self.muted = []

    def zetactl(self, *words, seconds=PATIENCE, given=None):
        return subprocess.run([f"{self.build}/cli/zetactl", *words], input=given, text=True,
                              capture_output=True, timeout=seconds)

    def ask(self, *words, seconds=PATIENCE, given=None):
        """A command to this cloud's controller: what it printed, or None where it failed."""
        try:
            done = self.zetactl("--lab", self.name, *words, seconds=seconds, given=given)
        except subprocess.TimeoutExpired:
            return None
        return done.stdout if done.returncode == 0 else None

    def order(self, *words, seconds=PATIENCE, given=None):
        """The same, but what fails is the cluster's fault."""
        try:
            done = self.zetactl("--lab", self.name, *words, seconds=seconds, given=given)
        except subprocess.TimeoutExpired:
            raise Refused(f"{' '.join(words)}: not done after {seconds} s") from None
        if done.returncode:
            raise Refused(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def can(self, *words):
        """Whether zetactl knows a command."""
        text = self.zetactl("help").stdout
        return re.search(r"^  " + r"\s+".join(words) + r"\b", text, re.M) is not None

    def build_function(self, name, work):
        """The object of one of the examples, into a directory."""
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "examples", f"{name}.c")
        shutil.copy(source, work)
        done = subprocess.run([f"{self.build}/cli/zetactl", "nf", "build", f"{name}.c"], cwd=work, text=True,
                              capture_output=True, timeout=PATIENCE)
        if done.returncode:
            raise SystemExit(done.stderr)

    def sweep(self):
        """Takes away what killed runs have left."""
        for left in glob.glob(f"{LAB}/{PREFIX}*/") + glob.glob(f"{SCRATCH}{PREFIX}*/"):
            owner = re.search(PREFIX + r"(\d+)", left)
            if not owner or is_chaos(int(owner[1])):
                continue
            if left.startswith(LAB):
                self.zetactl("lab", "down", owner[0])
            else:
                shutil.rmtree(left, ignore_errors=True)

    def up(self, topology):
        self.sweep()
        done = self.zetactl("lab", "up", topology, "--name", self.name, seconds=6 * PATIENCE)
        if done.returncode:
            raise SystemExit(done.stderr)
        with open(f"{self.dir}/state.json") as file:
            state = json.load(file)
        for process in state["processes"]:
            self.pids[process["name"]] = process["pid"]
            self.argv[process["name"]] = process["argv"]

    def down(self):
        for cut in sum(self.cuts.values(), self.muted):
            cut.kill()
        self.zetactl("lab", "down", self.name)

    def status(self):
        """What the controller says about the cluster, or None where it says nothing."""
        text = self.ask("status", "-o", "json", seconds=30)
        clusters = json.loads(text)["clusters"] if text else []
        return clusters[0] if clusters else None

    def inside(self, machine, *argv):
        return ["nsenter", f"--net={self.dir}/net/{machine}", *argv]

    def run(self, machine, *argv, given=None):
        subprocess.run(self.inside(machine, *argv), input=given, text=True, check=True,
                       stdout=subprocess.DEVNULL, timeout=PATIENCE)

    # Daemons. Each leads a session of its own, so its group is it and what it started.

    def signal(self, name, number):
        try:
            os.killpg(self.pids[name], number)
        except ProcessLookupError:
            pass

    def lives(self, name):
        if name in self.children:
            self.children[name].poll()
        try:
            os.killpg(self.pids[name], 0)
        except ProcessLookupError:
            return False
        return True

    def crash(self, name):
        self.signal(name, signal.SIGKILL)
        until(PATIENCE, lambda: not self.lives(name))

    def stop(self, name):
        os.kill(self.pids[name], signal.SIGTERM)
        if not until(PATIENCE, lambda: not self.lives(name)):
            self.crash(name)

    def start(self, name):
        with open(f"{self.dir}/log/{name}.log", "a") as log:
            child = subprocess.Popen(self.inside(name, *self.argv[name]), stdin=subprocess.DEVNULL,
                                     stdout=log, stderr=log, start_new_session=True)
        self.children[name] = child
        self.pids[name] = child.pid

    # Cables. The fabric's end of each is its machine's name and the initial of the network.

    def set_links(self, machine, networks, state):
        self.run("fabric", "ip", "-batch", "-",
                 given="".join(f"link set {machine}.{n[0]} {state}\n" for n in networks))

    def cut_start(self, *words):
        cut = subprocess.Popen(self.inside("fabric", f"{self.build}/lab/chaos_cut", *words),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               start_new_session=True)
        if cut.stdout.readline() != b"cut\n":
            raise RuntimeError(f"cannot cut {words}")
        return cut

    def cut(self, machine, network, direction):
        """direction: from the machine, or to it."""
        self.cuts[machine] = [self.cut_start(direction, f"{machine}.{network[0]}")]

    def part(self, one, other):
        """These two do not hear each other on the cluster's network; all others hear both."""
        macs = {node["name"]: node["zgc"]["mac"]
                for node in json.loads(self.ask("get", "nodes", "-o", "json"))}
        self.cuts[one] = [self.cut_start("-s", macs[other], "to", f"{one}.z"),
                          self.cut_start("-s", macs[one], "to", f"{other}.z")]

    def mend(self, machine):
        for cut in self.cuts.pop(machine):
            cut.stdin.close()
            cut.wait(PATIENCE)

    def mute(self, hosts):
        """These are never told a direct path: all of their flows cross the cluster."""
        words = [word for host in hosts for word in ("to", f"{host}.t")]
        self.muted.append(self.cut_start("-p", str(OAM_PORT), *words))

    # Power.

    def power_off(self, node):
        """From one moment to the next; what the kernel held for it is gone, too."""
        self.fail(node)
        self.forget(node)

    def fail(self, node):
        """What of that others notice."""
        self.set_links(node, ALL, "down")
        self.crash(node)

    def forget(self, node):
        """What the kernel held for it: all that is left of it, where it failed."""
        argv = self.argv[node]
        words = ["--unload", node]
        for option in ("--bpf", "--run"):
            words += [option, argv[argv.index(option) + 1]]
        self.run(node, argv[0], *words)

    def power_on(self, node):
        self.set_links(node, ALL, "up")
        self.start(node)

    # What the flow table's nodes hold.

    def pinned(self, node):
        return f"{self.dir}/bpf/{node.replace('.', ':')}"

    def buckets(self, node):
        """The chain of each bucket, as a node knows it."""
        text = subprocess.run(["bpftool", "-j", "map", "dump", "pinned",
                               f"{self.pinned(node)}/buckets"], capture_output=True, text=True,
                              check=True, timeout=PATIENCE).stdout
        places = json.loads(text)
        # The second half is of a VPC that goes to another cluster.
        return [int.from_bytes(bytes(int(byte, 16) for byte in place["value"]), "little") - 1
                for place in places[:len(places) // 2]]

    def sessions(self, node):
        text = self.zetactl("sessions", "--bpf", self.pinned(node), "-o", "json").stdout
        return json.loads(text) if text else []

    def hashes(self, vni, flows):
        """Of flows: (protocol, ip, port, ip, port)."""
        given = "".join(" ".join(map(str, flow)) + "\n" for flow in flows)
        done = subprocess.run([f"{self.build}/lab/chaos_load", "hash", str(vni)], input=given,
                              text=True, capture_output=True, check=True, timeout=PATIENCE)
        return [int(line) for line in done.stdout.split()]


def is_chaos(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return re.search(rb"/(chaos|repair)\.py\0", file.read()) is not None
    except OSError:
        return False
