#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Does anything break while gateway nodes die, pause, are cut off, drained and replaced?

A cloud of its own (lab/chaos.yaml), steady load in it (lab/chaos_load.c), and events at random: some
begin, last, are undone, and the next come when the cluster is whole again. Prints what
happened, and exits 1 if a connection broke, a planned event lost a packet, or replicas differ at
the end. See docs/chaos.md.
"""
import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chaos_cloud import PATIENCE, Cloud, Refused, now, topology, until  # noqa: E402
from chaos_events import ALL_FWD, ALL_KINDS, CONTROLLER, FTN, FWD, KINDS  # noqa: E402
from chaos_report import Phase, Report, View, live_of, print_kinds, print_table  # noqa: E402
from chaos_traffic import Traffic  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


def read_options():
    parser = argparse.ArgumentParser(description="Events at random in a cloud under load.")
    parser.add_argument("build", help="the build directory")
    parser.add_argument("--seconds", type=float, default=60, help="how long events begin")
    parser.add_argument("--count", type=int, help="how many events, instead")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--events", default="all", help="kinds, with commas: " + ",".join(KINDS))
    parser.add_argument("--only", help="of an event's variants those with this word: tenant")
    parser.add_argument("--at-once", type=int, default=1, choices=(1, 2), help="how many nodes at a time, at most")
    parser.add_argument("--hold", default="1-4", help="seconds that an event lasts, from-to")
    parser.add_argument("--every", type=float, default=0,
                        help="seconds from event to event; not less than until the cluster is whole again")
    parser.add_argument("--forwarders", type=int, default=3, choices=(1, 2, 3), help="how many of them there are")
    parser.add_argument("--heartbeat", type=int, help="ms between heartbeats, where 10 is too fast for this machine")
    parser.add_argument("--whole", type=float, default=30, help="seconds to become whole again")
    parser.add_argument("--patience", type=int, default=15, help="seconds until a connection is given up")
    parser.add_argument("--rate", type=int, default=1000, help="probes a second, per pair and way")
    parser.add_argument("--flows", type=int, default=3, help="flows that share this rate")
    parser.add_argument("--streams", type=int, default=2, help="streams per pair")
    parser.add_argument("--load", type=float, default=1, help="factor of short connections, openings")
    parser.add_argument("--gap", type=float, metavar="MS",
                        help="what an unplanned kind's p99 of gaps must not exceed; else not judged")
    parser.add_argument("--json", help="a file for the report")
    parser.add_argument("--keep", help="a directory for what the load said and the daemons' logs")
    options = parser.parse_args()
    options.kinds = ALL_KINDS if options.events == "all" else options.events.split(",")
    unknown = [kind for kind in options.kinds if kind not in KINDS]
    if unknown:
        parser.error(f"no such event: {' '.join(unknown)}")
    options.hold_from, options.hold_to = map(float, options.hold.split("-"))
    return options


class Chaos:
    def __init__(self, options, cloud, work):
        self.options = options
        self.cloud = cloud
        self.work = work
        self.random = random.Random(options.seed)
        self.began = time.monotonic()
        self.events = 0
        self.nodes = {FWD: [], FTN: [], CONTROLLER: ["controller"]}
        self.traffic = self.report = self.view = None
        self.unrepaired = 0
        self.log = []
        self.refused = []
        self.counts = {}  # of each member, what became of its packets
        self.waited = {}  # for what, after the last event: seconds
        self.enough = False

    def tell(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def prepare(self):
        self.cloud.up(self.topology())
        status = []
        if not until(PATIENCE, lambda: status.append(self.cloud.status()) or
                     not not_whole(status[-1], "", self.nodes), 0.5):
            raise SystemExit(f"not whole from the beginning: {not_whole(status[-1], '', self.nodes)}")
        status = status[-1]
        for member in status["members"]:
            for role in member["roles"]:
                self.nodes.setdefault(role, []).append(member["name"])
        self.nodes[ALL_FWD] = [" ".join(self.nodes[FWD])]
        self.look(status)
        self.traffic = Traffic(self.cloud, self.work, self.options)
        self.traffic.choose_flows(self.view.owner_of, self.view.chain_of)
        self.report = Report(self.traffic.flows)
        missing = {kind: KINDS[kind].missing(self.cloud) for kind in self.options.kinds}
        for kind, why in missing.items():
            if why:
                self.tell(f"no {kind}: {why}")
        self.kinds = [kind for kind in self.options.kinds if not missing[kind] and
                      any(self.variants(kind, role) for role in KINDS[kind].roles)]
        if not self.kinds:
            raise SystemExit("nothing is left that may happen")
        for kind in self.kinds:
            KINDS[kind].prepare(self.cloud, self.work)
        self.tell(f"cloud {self.cloud.name} is up; events: {' '.join(self.kinds)}")
        # Longer than all that is to come, in any case.
        self.traffic.start(int(self.options.seconds + 4 * PATIENCE +
                               (60 + self.options.whole) * (self.options.count or 1)))
        self.tell("the load flows")
        self.rest(2)

    def topology(self):
        """lab/chaos.yaml, or a copy with other heartbeats or fewer forwarders."""
        changes = [(f"  - {{name: fwd{number}, roles: [fwd]}}\n", "")
                   for number in range(self.options.forwarders + 1, 4)]
        if self.options.heartbeat:
            changes.append(("\ncluster:\n", f"\ncluster:\n  heartbeat_ms: {self.options.heartbeat}\n"))
        return topology("chaos.yaml", self.work, changes)

    def look(self, status):
        self.count(status)
        self.view = View(status, self.cloud.buckets(self.nodes[FTN][0]))

    def count(self, status):
        """Why packets were dropped, as far as anybody has told."""
        if status:
            self.counts = {**self.counts, **{member["name"]: member["verdicts"]
                                             for member in status["members"] if "verdicts" in member}}

    def rest(self, seconds):
        """Waits, and takes what the load says."""
        until(seconds, lambda: self.report.take(self.traffic.take()), 0.1)

    # Events.

    def variants(self, kind, role):
        return [v for v in KINDS[kind].variants[role] if not self.options.only or self.options.only in v.split()]

    def draw(self):
        """What happens next: follows from the seed and the options alone."""
        batch, taken = [], set()
        most = self.options.at_once
        if self.options.count:
            most = min(most, self.options.count - self.events)
        for _ in range(self.random.randint(1, most)):
            kind = self.random.choice(self.kinds)
            role = self.random.choice([role for role in KINDS[kind].roles if self.variants(kind, role)])
            node = self.random.choice(self.nodes[role])
            variant = self.random.choice(self.variants(kind, role))
            other = self.random.choice([n for n in self.nodes[FWD] + self.nodes[FTN] if n != node])
            apart = self.random.uniform(0, 0.5)
            needs = KINDS[kind].needs(node, other)
            if not needs & taken:
                batch.append((kind, node, variant, other, apart))
                taken |= needs
        return batch, self.random.uniform(self.options.hold_from, self.options.hold_to)

    def begin(self, kind, node, variant, other):
        event = KINDS[kind](self.cloud, node, variant, other)
        event.kind, event.number = kind, self.events
        self.events += 1
        event.away = Phase(event, "away", self.view, now())
        self.report.phases.append(event.away)
        self.carry_out(event.begin)
        return event

    def undo(self, event):
        event.back = Phase(event, "back", self.view, now())
        event.away.ended = event.back.began
        self.report.phases.append(event.back)
        self.carry_out(event.undo)

    def carry_out(self, step):
        try:
            step()
        except Refused as why:
            self.refused.append(str(why))
            self.tell(f"REFUSED {why}")

    def event(self):
        batch, hold = self.draw()
        begun = time.monotonic()
        before = self.counts
        events = []
        for kind, node, variant, other, apart in batch:
            if events:
                self.rest(apart)
            events.append(self.begin(kind, node, variant, other))
        self.rest(hold)
        # Who leaves takes its counts along.
        self.count(self.cloud.status())
        for event in events:
            self.undo(event)
        undone = time.monotonic()
        whole = self.await_whole()
        dropped = drops_since(before, self.counts)
        took = time.monotonic() - undone
        # What was on its way when it became whole.
        self.rest(0.2)
        ended = now()
        for event in events:
            event.back.ended = ended
            self.tell_event(event, hold, took, whole, dropped)
        # Alone for a moment: what comes now is nobody's doing.
        self.rest(max(0.1, begun + self.options.every * len(events) - time.monotonic()))

    def tell_event(self, event, hold, took, whole, dropped):
        away, lost, opening = self.report.worst(event.away)
        back, lost_back, opening_back = self.report.worst(event.back)
        self.log.append({
            "number": event.number, "kind": event.kind, "node": event.node, "variant": event.variant,
            "was": event.away.view.describe(event.node), "began": event.away.began,
            "undone": event.back.began, "whole_after_s": round(took, 1), "not_whole": whole,
            "waited_s": {reason: round(seconds, 1) for reason, seconds in self.waited.items()},
            "dropped": dropped, "gap_ms": round(away), "lost": lost, "new_flow_ms": round(opening),
            "gap_back_ms": round(back), "lost_back": lost_back, "new_flow_back_ms": round(opening_back)})
        name = " ".join(filter(None, (event.kind, event.node, event.variant)))
        self.tell(f"#{event.number} {name} ({event.away.view.describe(event.node)}) for {hold:.1f} s: "
                  f"gap {away:.0f} ms, {lost} lost, new flow {opening:.0f} ms; "
                  f"undone: gap {back:.0f} ms, {lost_back} lost, new flow {opening_back:.0f} ms; " +
                  (f"whole after {took:.1f} s" if not whole
                   else f"not whole after {took:.1f} s: {whole}") +
                  (f"; dropped {dropped}" if event.lossless and (lost or lost_back) else "") +
                  (f"; {len(self.report.broken)} connections broken so far" if self.report.broken else ""))

    def await_whole(self):
        """Returns what is not whole after all, or None."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.waited = {}
        looked = time.monotonic()

        def is_whole():
            nonlocal looked
            self.report.take(self.traffic.take())
            status = self.cloud.status()
            reason = not_whole(status, since, self.nodes)
            if reason:
                self.waited[reason] = self.waited.pop(reason, 0) + time.monotonic() - looked
            else:
                self.look(status)
            looked = time.monotonic()
            return not reason
        if until(self.options.whole, is_whole, 0.1):
            return None
        self.unrepaired += 1
        return list(self.waited)[-1]

    def run(self):
        end = time.monotonic() + self.options.seconds
        while not self.enough and (self.events < self.options.count if self.options.count
                                   else time.monotonic() < end):
            self.event()

    def interrupted(self, number, frame):
        """The first time the run ends with a report of what was; the second time it just ends."""
        if self.enough or number != signal.SIGINT or not self.events:
            raise SystemExit(128 + number)
        self.enough = True
        self.tell("no more events, as you wish")

    # The end.

    def finish(self):
        self.tell("quiet: the load ends")
        self.rest(0)
        self.verdicts = (self.cloud.status() or {}).get("verdicts", {})
        self.traffic.finish()
        self.report.take(self.traffic.take())
        return self.await_agreement()

    def await_agreement(self):
        """Nodes are read one after the other, and sessions end meanwhile: what differs in the same
        way at two looks is not on its way. So many looks and no more: what differs for long is
        forgotten everywhere."""
        found, lasting = [], []

        def agree():
            nonlocal found, lasting
            before, found = found, diverging(self.cloud, self.nodes[FTN])
            lasting = [entry for entry in found if entry in before]
            self.tell(f"of {len(found)} sessions that differ, {len(lasting)} did before")
            return not found
        for _ in range(20):
            if agree():
                break
            time.sleep(1)
        return lasting


def not_whole(status, since, nodes):
    """Why the cluster is not as it should be; None: it is."""
    if not status:
        return "the controller does not answer"
    for member in status["members"]:
        if not member.get("connected"):
            return f"{member['name']} is not connected"
        if member.get("error"):
            return f"{member['name']}: {member['error']}"
        if member.get("reported_at", "") <= since:
            return f"{member['name']} has not reported since"
    lost = {node for role in (FWD, FTN) for node in nodes[role]} - {m["name"] for m in status["members"]}
    if lost:
        return f"{' '.join(sorted(lost))} is no member"
    for alarm in status.get("alarms", []):
        return alarm["message"]
    spread = status["spread"]
    if spread["moving"]:
        return f"{spread['left']} buckets have not moved"
    if not spread["wanted"] == spread["chains"] == len(status["chains"]):
        return f"there are {len(status['chains'])} chains, {spread['chains']} with buckets, not {spread['wanted']}"
    if spread["uncleared"] and spread["move"]:
        return f"{' '.join(spread['uncleared'])} may have records that moved"
    for chain in status["chains"]:
        state = chain.get("state", {"live": chain["replicas"]}) or {"live": []}
        if set(state["live"]) != set(chain["replicas"]):
            return f"chain {chain['number']} is {state['live']}, not {chain['replicas']}"
        if state.get("learner"):
            return f"chain {chain['number']} fills {state['learner']}"
        if "leased" in state and state["live"][-1] not in state["leased"]:
            return f"chain {chain['number']} has no leased tail"
    return None


def diverging(cloud, ftns):
    """Sessions that are not the same on all replicas of their chain, or on others too, with what each holds."""
    status = cloud.status()
    if not status:
        return [{"session": "?", "held": "the controller does not answer"}]
    buckets = cloud.buckets(ftns[0])
    chains = {c["number"]: live_of(c) for c in status["chains"]}
    held = {}
    for node in ftns:
        for session in cloud.sessions(node):
            if session["protocol"] in ("tcp", "udp"):
                by_key = held.setdefault(session["vni"], {})
                by_key.setdefault((session["protocol"], session["a"], session["b"]), {})[node] = {
                    k: session[k] for k in session if k not in ("vni", "protocol", "a", "b")}
    numbers = {"tcp": 6, "udp": 17}
    out = []
    for vni, by_key in held.items():
        hashes = cloud.hashes(vni, [(numbers[p], *a.rsplit(":", 1), *b.rsplit(":", 1))
                                    for p, a, b in by_key])
        for (key, holders), hash_ in zip(by_key.items(), hashes):
            chain = chains.get(buckets[hash_ % len(buckets)], [])
            what = [holders.get(node) for node in chain]
            if any(w != what[0] for w in what) or set(holders) - set(chain):
                out.append({"vni": vni, "session": " ".join(key), "chain": chain, "held": holders})
    return out


def drop_names():
    """Those of packets that should have got somewhere: ops that end where they were to go do not count."""
    done = ("BEAT_HEARD", "COPY_CONFIRMED", "OP_DONE")
    with open(f"{HERE}/../shared/verdicts.def") as file:
        names = re.findall(r"^VERDICT\((\w+), DROP,", file.read(), re.M)
    return [name for name in names if name not in done]


def drops(verdicts):
    """Why packets were dropped, and how many."""
    return {name: verdicts[name]["packets"] for name in drop_names() if name in verdicts}


def drops_since(before, after):
    """The same of each member between two looks; who lost his counters begins at 0."""
    out = {}
    for member, verdicts in after.items():
        old, new = drops(before.get(member, {})), drops(verdicts)
        out[member] = {name: count - (old.get(name, 0) if count >= old.get(name, 0) else 0)
                       for name, count in new.items() if count != old.get(name, 0)}
    return {member: counts for member, counts in out.items() if counts}


def judge(report):
    """What must not be, in words."""
    bad = []
    if report["broken"]:
        bad.append(f"{len(report['broken'])} connections broke")
    if report["unopened"]:
        bad.append(f"{len(report['unopened'])} connections could not be opened")
    if report["openings"]["failed"]:
        bad.append(f"{report['openings']['failed']} new flows were never answered")
    if report["silent"]:
        bad.append(f"{len(report['silent'])} probes did not come back")
    if report["lost_in_lossless_events"]:
        bad.append(f"{report['lost_in_lossless_events']} packets were lost in events that lose none")
    if report["diverging"]:
        bad.append(f"{len(report['diverging'])} sessions differ between replicas")
    if report["refused"]:
        bad.append(f"{len(report['refused'])} commands failed")
    if report["not_whole"]:
        bad.append(f"{report['not_whole']} times the cluster was not whole again in time")
    limit = report["gap_limit_ms"]
    for row in report["kinds"] if limit is not None else []:
        if not KINDS[row["kind"]].planned and row["p99_ms"] > limit:
            bad.append(f"{row['kind']}: a gap of {row['p99_ms']:.0f} ms (p99), more than {limit:g}")
    return bad


def print_report(report):
    print()
    print_table(report["gaps"])
    print()
    print_kinds(report["kinds"])
    print()
    connections, probes, openings = report["connections"], report["probes"], report["openings"]
    print(f"events: {sum(report['events'].values())}: " +
          ", ".join(f"{n} {kind}" for kind, n in sorted(report["events"].items())))
    print(f"connections: {len(report['broken'])} broken, {len(report['unopened'])} not opened, of "
          f"{connections['streams']} streams and {connections['short']} short ones "
          f"({connections['short_late']} after another SYN; {connections['stalls']} stalls of streams, "
          f"the longest {connections['longest_stall_ms']} ms)")
    for record in report["broken"][:20]:
        print(f"  {record['what']} {record['name']} of {record['by']} ({record['side']}): "
              f"{record['how']}; sent {record['sent']}, got {record['got']}; event {record['during']}")
    print(f"probes: {probes['sent']} sent, {probes['lost']} lost "
          f"({report['lost_in_lossless_events']} in events that lose none, "
          f"{report['lost_outside_events']} outside of events), {probes['twice']} came twice, "
          f"{probes['overtaken']} were overtaken, {probes['late']} came late; "
          f"{probes['not_sent_in_time']} not sent in time")
    print(f"new flows: {openings['begun']} begun, {openings['failed']} never answered")
    print("dropped by gateways and hosts, as far as they still know: " +
          (", ".join(f"{count} {name}" for name, count in report["drops"].items()) or "nothing"))
    print(f"sessions that differ between replicas: {len(report['diverging'])}")
    for entry in report["diverging"][:5]:
        print(f"  {entry}")
    print(f"seed {report['seed']}; again: {report['command']}")
    print("BAD: " + "; ".join(report["bad"]) if report["bad"] else "Nothing broke.")


def command_of(options):
    much = f"COUNT={options.count}" if options.count else f"SECONDS={options.seconds:g}"
    words = ["make chaos", much, f"SEED={options.seed}"]
    if options.events != "all":
        words.append(f"EVENTS={options.events}")
    rest = [(option, getattr(options, option.strip("-").replace("-", "_")), default)
            for option, default in (("--at-once", 1), ("--hold", "1-4"), ("--every", 0),
                                    ("--rate", 1000), ("--flows", 3), ("--streams", 2), ("--load", 1),
                                    ("--whole", 30), ("--patience", 15), ("--only", None),
                                    ("--forwarders", 3), ("--heartbeat", None), ("--gap", None))]
    extra = [f"{option} {value:g}" if isinstance(value, float) else f"{option} {value}"
             for option, value, default in rest if value != default]
    return " ".join(words + ([f'OPTIONS="{" ".join(extra)}"'] if extra else []))


def keep(cloud, work, directory):
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(work, directory)
    shutil.copytree(f"{cloud.dir}/log", f"{directory}/log")


def main():
    options = read_options()
    cloud = Cloud(os.path.abspath(options.build))
    with tempfile.TemporaryDirectory(prefix=f"zeta-{cloud.name}.") as work:
        chaos = Chaos(options, cloud, work)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, chaos.interrupted)
        print(f"seed {options.seed}", flush=True)
        try:
            chaos.prepare()
            chaos.run()
            differing = chaos.finish()
            report = chaos.report.summary()
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            if chaos.traffic:
                chaos.traffic.kill()
            if options.keep and os.path.isdir(f"{cloud.dir}/log"):
                keep(cloud, work, options.keep)
            cloud.down()
    report.update(seed=options.seed, command=command_of(options), diverging=differing, gap_limit_ms=options.gap,
                  not_whole=chaos.unrepaired, refused=chaos.refused, log=chaos.log, drops=drops(chaos.verdicts))
    report["bad"] = judge(report)
    print_report(report)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(report, file, indent=1)
    sys.exit(1 if report["bad"] else 0)


if __name__ == "__main__":
    main()
