# SPDX-License-Identifier: Apache-2.0
"""What came of the chaos: figures out of what the load said (for lab/chaos.py)."""
import collections

MS = 1e6
ROLES = ("fwd", "head", "middle", "tail")


def live_of(chain):
    """Who has a chain's sessions, head first: as its nodes say, or else as it should be."""
    return (chain.get("state") or {}).get("live") or chain["replicas"]


class View:
    """Where flows lie: which forwarder owns their entrance, which nodes are their chain."""

    def __init__(self, status, buckets):
        self.owners = [entrance["owner"] for entrance in status["entrances"]]
        self.chains = {c["number"]: live_of(c) for c in status["chains"]}
        self.buckets = buckets

    def owner_of(self, hash_):
        return self.owners[hash_ % len(self.owners)]

    def chain_of(self, hash_):
        return self.buckets[hash_ % len(self.buckets)]

    def roles(self, node, hash_):
        """Those that a node has for a flow."""
        chain = self.chains.get(self.chain_of(hash_), [])
        roles = ["fwd"] if self.owner_of(hash_) == node else []
        if node in chain:
            at = chain.index(node)
            roles.append("tail" if at == len(chain) - 1 else "middle" if at else "head")
        return roles

    def describe(self, node):
        words = []
        count = self.owners.count(node)
        if count:
            words.append(f"{count} entrances")
        places = collections.defaultdict(list)
        for number, chain in self.chains.items():
            if node in chain:
                at = chain.index(node)
                places["tail" if at == len(chain) - 1 else "middle" if at else "head"].append(
                    str(number))
        words += [f"{role} of {','.join(places[role])}" for role in ROLES if role in places]
        return "; ".join(words) or "in charge of nothing"


class Phase:
    """A time in which what happens is an event's doing: it began, or it was undone."""

    def __init__(self, event, name, view, began):
        self.event, self.name, self.view, self.began = event, name, view, began
        self.ended = None
        self.gaps, self.openings, self.stalls, self.late = [], [], [], []

    def contains(self, record):
        return record["to"] >= self.began and (self.ended is None or record["from"] < self.ended)


def percentile(samples, share):
    ordered = sorted(samples)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)] if ordered else None


def ms(record):
    return (record["to"] - record["from"]) / MS


class Report:
    def __init__(self, flows):
        self.flows = flows
        self.phases = []
        self.outside = []   # gaps that belong to no event
        self.broken = {}    # connections, by name: the record that says so
        self.unopened = []
        self.stalls = 0
        self.longest_stall = 0
        self.ends = collections.defaultdict(dict)  # of streams, by name, side
        self.probes = {}
        self.sums = collections.Counter()

    def phase_of(self, record):
        """Of two at once the one that may lose packets has done it."""
        found = [p for p in self.phases if p.contains(record)]
        return next((p for p in found if not p.event.lossless), found[0] if found else None)

    def take(self, records):
        """Sorts what was said since."""
        for record in records:
            handler = getattr(self, "take_" + record["what"].replace(" ", "_"), None)
            if handler:
                handler(record)

    def take_gap(self, record):
        phase = self.phase_of(record)
        (phase.gaps if phase else self.outside).append(record)

    def take_opening(self, record):
        phase = self.phase_of(record)
        if phase:
            phase.openings.append(record)
        else:
            self.sums["slow openings outside"] += 1

    def take_stall(self, record):
        self.stalls += 1
        self.longest_stall = max(self.longest_stall, ms(record))

    def take_stream(self, record):
        self.ends[record["name"]][record["side"]] = record
        if record["how"] == "done":
            return
        if record["side"] == "client" and not record["got"] and not record["sent"]:
            self.unopened.append(record)
        else:
            self.breaks(record)

    def breaks(self, record):
        """Both sides tell; who sees a wrong byte resets the other, and so is who says why."""
        known = self.broken.get(record["name"])
        if not known or known["how"] == "reset":
            phase = self.phase_of(record)
            event = phase.event if phase else None
            self.broken[record["name"]] = {
                **record, "during": f"#{event.number} {event.kind} {event.node}" if event else "none",
                "kind": event.kind if event else None}

    def take_short(self, record):
        if record["side"] == "client":
            opened = record["sent"] or record["got"]
            if opened:
                self.breaks(record)
            else:
                self.unopened.append(record)
        elif record["how"] == "corrupt":
            self.breaks(record)

    def take_shorts(self, record):
        for word in ("done", "late", "broken", "unopened"):
            self.sums[word] += record[word]

    def take_openings(self, record):
        for word in ("begun", "answered", "failed", "unmade"):
            self.sums["openings " + word] += record[word]

    def take_probe(self, record):
        self.probes[record["flow"]] = record

    # At the end.

    def compare_streams(self):
        """A stream that ended well has told each side all that the other sent."""
        for name, sides in self.ends.items():
            if name in self.broken or set(sides) != {"client", "server"}:
                continue
            client, server = sides["client"], sides["server"]
            if client["sent"] != server["got"] or server["sent"] != client["got"]:
                self.broken[name] = {**client, "how": "incomplete", "during": "none"}

    def losses(self):
        """Of probes: sent and lost in all, and their slots in which this machine sent nothing."""
        sent = lost = unsent = 0
        for name, probe in self.probes.items():
            one, rest = name.split(">")
            other, port = rest.split(":")
            sender = self.probes.get(f"{other}>{one}:{port}")
            if not sender:
                continue
            sent += sender["sent"]
            unsent += sender["sent_slots"] - sender["sent"]
            lost += sender["sent"] - probe["first"] - probe["came"]
        return {"sent": sent, "lost": lost, "not_sent_in_time": unsent,
                "overtaken": sum(p["overtaken"] for p in self.probes.values()),
                "twice": sum(p["twice"] for p in self.probes.values()),
                "late": sum(p["late"] for p in self.probes.values())}

    def silent(self):
        """Flows of which nothing came at the end."""
        ends = [p["last_at"] for p in self.probes.values()]
        return sorted(name for name, p in self.probes.items() if max(ends) - p["last_at"] > 2e9)

    def worst(self, phase):
        gaps = phase.gaps
        lost = sum(g["lost"] for g in gaps)
        longest = max((ms(g) for g in gaps), default=0)
        return longest, lost, max((ms(o) for o in phase.openings), default=0)

    def samples(self):
        """(kind, phase, role) to the longest gap of each flow in each event; and of openings."""
        gaps, openings = collections.defaultdict(list), collections.defaultdict(list)
        for phase in self.phases:
            longest = collections.Counter()
            for gap in phase.gaps:
                longest[gap["flow"]] = max(longest[gap["flow"]], ms(gap))
            for name, flow in self.flows.items():
                if flow.way != "cluster":
                    roles = ["direct"] if longest[name] else []
                else:
                    roles = phase.view.roles(phase.event.node, flow.hash)
                    roles = roles or (["none"] if longest[name] else [])
                for role in roles:
                    gaps[phase.event.kind, phase.name, role].append(longest[name])
            slow = collections.Counter()
            for opening in phase.openings:
                roles = phase.view.roles(phase.event.node, opening["hash"])
                for role in roles or ["none"]:
                    slow[role] = max(slow[role], ms(opening))
            for role in slow:
                openings[phase.event.kind, phase.name, role].append(slow[role])
        return gaps, openings

    def table(self):
        gaps, openings = self.samples()
        rows = []
        for key in sorted(set(gaps) | set(openings)):
            g, o = gaps.get(key, []), openings.get(key, [])
            rows.append({
                "kind": key[0], "phase": key[1], "role": key[2], "samples": len(g),
                "p50_ms": percentile(g, 50), "p99_ms": percentile(g, 99), "max_ms": max(g, default=None),
                "openings_p50_ms": percentile(o, 50), "openings_max_ms": max(o, default=None)})
        return rows

    def kinds(self):
        """Of each kind: the longest gap and the slowest new flow of each event, and what it broke."""
        events = collections.defaultdict(dict)
        for phase in self.phases:
            gap, lost, opening = self.worst(phase)
            before = events[phase.event.kind].get(phase.event.number, (0, 0, 0))
            events[phase.event.kind][phase.event.number] = (
                max(before[0], gap), before[1] + lost, max(before[2], opening))
        unopened = collections.Counter()
        for record in self.unopened:
            phase = self.phase_of(record)
            unopened[phase.event.kind if phase else None] += 1
        broken = collections.Counter(record.get("kind") for record in self.broken.values())
        rows = []
        for kind in sorted(events):
            gaps, lost, openings = zip(*events[kind].values())
            rows.append({
                "kind": kind, "events": len(gaps), "p50_ms": percentile(gaps, 50),
                "p99_ms": percentile(gaps, 99), "max_ms": max(gaps), "lost": sum(lost),
                "openings_p50_ms": percentile(openings, 50),
                "openings_p99_ms": percentile(openings, 99), "openings_max_ms": max(openings),
                "unopened": unopened[kind], "broken": broken[kind]})
        return rows

    def planned_losses(self):
        return sum(g["lost"] for p in self.phases if p.event.lossless for g in p.gaps)

    def summary(self):
        self.compare_streams()
        return {
            "events": dict(collections.Counter(
                p.event.kind for p in self.phases if p.name == "away")),
            "broken": [{k: r[k] for k in ("what", "how", "side", "name", "by", "with", "from", "to",
                                          "sent", "got", "during")} for r in self.broken.values()],
            "unopened": [{k: r[k] for k in ("what", "how", "by", "with", "from", "to")}
                         for r in self.unopened],
            "connections": {"streams": len(self.ends), "short": self.sums["done"],
                            "short_late": self.sums["late"],
                            "stalls": self.stalls, "longest_stall_ms": round(self.longest_stall)},
            "openings": {word: self.sums["openings " + word]
                         for word in ("begun", "answered", "failed", "unmade")},
            "probes": self.losses(),
            "silent": self.silent(),
            "lost_in_lossless_events": self.planned_losses(),
            "lost_outside_events": sum(g["lost"] for g in self.outside),
            "gaps": self.table(),
            "kinds": self.kinds(),
        }


def cell(value):
    return "-" if value is None else f"{value:.0f}"


def print_columns(lines, left):
    """The first of them are words, the others numbers."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  " + "  ".join(w.ljust(n) if i < left else w.rjust(n)
                               for i, (w, n) in enumerate(zip(line, widths))))


def print_table(rows):
    titles = ("EVENT", "PHASE", "ROLE", "SAMPLES", "P50", "P99", "MAX ms", "NEW FLOWS: P50", "MAX ms")
    print_columns([titles] + [
        (r["kind"], r["phase"], r["role"], str(r["samples"]), cell(r["p50_ms"]), cell(r["p99_ms"]),
         cell(r["max_ms"]), cell(r["openings_p50_ms"]), cell(r["openings_max_ms"])) for r in rows], 3)


def print_kinds(rows):
    titles = ("EVENT", "COUNT", "LONGEST GAP: P50", "P99", "MAX ms", "LOST", "SLOWEST NEW FLOW: P50", "P99",
              "MAX ms", "NOT OPENED", "BROKEN")
    print_columns([titles] + [
        (r["kind"], str(r["events"]), cell(r["p50_ms"]), cell(r["p99_ms"]), cell(r["max_ms"]),
         str(r["lost"]), cell(r["openings_p50_ms"]), cell(r["openings_p99_ms"]),
         cell(r["openings_max_ms"]), str(r["unopened"]), str(r["broken"])) for r in rows], 1)
