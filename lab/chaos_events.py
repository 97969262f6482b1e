# SPDX-License-Identifier: Apache-2.0
"""What may happen to a cloud (for lab/chaos.py)."""
import json
import signal

from chaos_cloud import ALL

FWD, FTN, CONTROLLER, ALL_FWD = "fwd", "ftn", "controller", "all forwarders"


class Event:
    """One of a kind. begin() makes it happen, undo() ends it; nothing is lost by a lossless one."""
    roles = (FWD, FTN)
    lossless = False
    planned = False
    variants = {FWD: ("",), FTN: ("",), CONTROLLER: ("",), ALL_FWD: ("",)}  # of each role

    def __init__(self, cloud, node, variant, other):
        self.cloud, self.node, self.variant = cloud, node, variant
        self.other = other  # another node, for what two have part in

    @classmethod
    def needs(cls, node, other):
        """Whom no other event may strike at the same time."""
        return {node}

    @staticmethod
    def missing(cloud):
        """Why this kind cannot happen here, or None."""
        return None

    @staticmethod
    def prepare(cloud, work):
        """What it needs, before the load begins; work: a directory."""

    def begin(self):
        raise NotImplementedError

    def undo(self):
        pass


class Kill(Event):
    """Power loss: not one more packet, and all that was in memory is gone."""

    def begin(self):
        self.cloud.power_off(self.node)

    def undo(self):
        self.cloud.power_on(self.node)


class Orphan(Kill):
    """The same while no controller runs: failover is the nodes' own business."""

    @classmethod
    def needs(cls, node, other):
        return {node, CONTROLLER}

    def begin(self):
        self.cloud.crash("controller")
        super().begin()

    def undo(self):
        super().undo()
        self.cloud.start("controller")


class Pause(Event):
    """Daemons stand still: the kernel's part goes on alone."""
    lossless = True

    def begin(self):
        self.cloud.signal(self.node, signal.SIGSTOP)

    def undo(self):
        self.cloud.signal(self.node, signal.SIGCONT)


class Restart(Event):
    lossless = planned = True

    def begin(self):
        self.cloud.stop(self.node)
        self.cloud.start(self.node)


class Crash(Event):
    """Daemons die; programs, maps and links stay."""
    lossless = True

    def begin(self):
        self.cloud.crash(self.node)

    def undo(self):
        self.cloud.start(self.node)


class Controller(Event):
    lossless = True
    roles = (CONTROLLER,)

    def begin(self):
        self.cloud.crash("controller")

    def undo(self):
        self.cloud.start("controller")


class Link(Event):
    """A cable is pulled."""
    variants = {FWD: ("tenant", "zgc", "tenant+zgc"), FTN: ("zgc",)}

    def begin(self):
        self.cloud.set_links(self.node, self.variant.split("+"), "down")

    def undo(self):
        self.cloud.set_links(self.node, self.variant.split("+"), "up")


class Freeze(Event):
    """The machine stands still, as a virtual one does while it is moved, and then knows nothing of it."""

    def begin(self):
        self.cloud.set_links(self.node, ALL, "down")
        self.cloud.signal(self.node, signal.SIGSTOP)

    def undo(self):
        self.cloud.set_links(self.node, ALL, "up")
        self.cloud.signal(self.node, signal.SIGCONT)


class Control(Event):
    """The cable to the controller is pulled."""
    lossless = True

    def begin(self):
        self.cloud.set_links(self.node, ["control"], "down")

    def undo(self):
        self.cloud.set_links(self.node, ["control"], "up")


class OneWay(Event):
    """A cable carries only one of its directions."""
    variants = {FWD: ("from tenant", "to tenant", "from zgc", "to zgc"), FTN: ("from zgc", "to zgc")}

    def begin(self):
        direction, network = self.variant.split()
        self.cloud.cut(self.node, network, direction)

    def undo(self):
        self.cloud.mend(self.node)


class Part(Event):
    """Two nodes do not hear each other, and all others hear both."""

    @classmethod
    def needs(cls, node, other):
        return {node, other, CONTROLLER}  # which says where they are

    def begin(self):
        self.variant = f"and {self.other}"
        self.cloud.part(self.node, self.other)

    def undo(self):
        self.cloud.mend(self.node)


class Drain(Event):
    lossless = planned = True

    needs = Orphan.needs

    @staticmethod
    def missing(cloud):
        return None if cloud.can("node", "drain") else "zetactl has no `node drain` yet"

    def begin(self):
        self.cloud.order("node", "drain", self.node)

    def undo(self):
        self.cloud.order("node", "undrain", self.node)


class Replace(Event):
    """A node is drained and removed, and later added as a new one."""
    lossless = planned = True

    needs = Orphan.needs
    missing = Drain.missing

    def begin(self):
        self.object = self.cloud.order("get", "node", self.node, "-o", "yaml")
        self.cloud.order("node", "drain", self.node)
        self.cloud.order("node", "delete", self.node)

    def undo(self):
        self.cloud.order("apply", "-f", "-", given=self.object)


class Scale(Event):
    """Another number of chains: some buckets move, with their sessions."""
    lossless = planned = True
    roles = (CONTROLLER,)
    variants = {CONTROLLER: ("to 1", "to 2", "to 3", "to 5")}

    def begin(self):
        cluster = json.loads(self.cloud.order("get", "cluster", "-o", "json"))[0]
        self.cloud.order("apply", "-f", "-", given="kind: Cluster\n" + "".join(
            f"{field}: {json.dumps(cluster[field])}\n"
            for field in ("name", "entrance_first", "entrance_last", "overlay", "replicas",
                          "tenant_mtu", "oam_port", "heartbeat_ms", "repair_after_s")) +
            f"chains: {self.variant.split()[1]}\n")


class Rules(Event):
    """A rule more, and less, in the security group of all that is guarded: their sessions are decided again."""
    lossless = planned = True
    roles = (CONTROLLER,)

    def apply(self, rules):
        self.cloud.order("apply", "-f", "-", given=json.dumps(
            {"kind": "SecurityGroup", "name": "guard", "vpc": "red", "rules": rules}))

    def begin(self):
        group = json.loads(self.cloud.order("get", "security-group", "guard", "-o", "json"))
        self.rules = [{field: value for field, value in rule.items() if value is not None}
                      for rule in group["rules"]]
        self.apply(self.rules + [{"direction": "ingress", "protocol": "tcp", "port_min": 9, "port_max": 9,
                                  "remote_cidr": "10.0.0.0/16"}])

    def undo(self):
        self.apply(self.rules)


class Backend(Event):
    """A backend gets no new connections for a while: those that it has stay."""
    lossless = planned = True
    roles = (CONTROLLER,)
    variants = {CONTROLLER: ("g2", "g4")}

    def apply(self, without):
        backends = [{"port": name, "weight": 0 if name == without else 1} for name in ("g2", "g4")]
        self.cloud.order("apply", "-f", "-", given=json.dumps(
            {"kind": "LoadBalancer", "name": "shop", "vpc": "red", "listeners": [
                {"protocol": "tcp", "port": port, "backends": backends} for port in (7001, 7002)]}))

    def begin(self):
        self.apply(self.variant)

    def undo(self):
        self.apply(None)


class Rollout(Event):
    """The other version of a function that all first packets go through."""
    lossless = planned = True
    roles = (CONTROLLER,)
    OTHERS = ("load-balancer", "nat", "divider", "bouncer", "acl", "security-group")

    @staticmethod
    def prepare(cloud, work):
        cloud.build_function("schedule", work)
        for version in ("1", "2"):
            cloud.order("nf", "push", "gate", version, f"{work}/schedule.o")
            cloud.order("nf", "rollout", "gate", version)
        chain = [{"function": name} for name in Rollout.OTHERS]
        chain.append({"function": "gate", "config": {"port": 9}})
        cloud.order("apply", "-f", "-", given=json.dumps(
            {"kind": "Vpc", "name": "red", "service_chain": chain}))

    def begin(self):
        self.cloud.order("nf", "rollback", "gate")

    def undo(self):
        self.cloud.order("nf", "rollback", "gate")


class Blackout(Event):
    """More than any cluster survives: to see that it is seen."""
    roles = (ALL_FWD,)

    def set_links(self, state):
        for node in self.node.split():
            self.cloud.set_links(node, ["tenant"], state)

    def begin(self):
        self.set_links("down")

    def undo(self):
        self.set_links("up")


KINDS = {
    "kill": Kill,
    "orphan": Orphan,
    "pause": Pause,
    "restart": Restart,
    "crash": Crash,
    "control": Control,
    "controller": Controller,
    "freeze": Freeze,
    "link": Link,
    "oneway": OneWay,
    "part": Part,
    "drain": Drain,
    "replace": Replace,
    "scale": Scale,
    "rules": Rules,
    "backend": Backend,
    "rollout": Rollout,
    "blackout": Blackout,
}
ALL_KINDS = [kind for kind in KINDS if kind != "blackout"]
