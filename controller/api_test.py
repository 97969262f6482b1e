#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The real controller, asked over HTTP; every answer is held against openapi.yaml.

usage: api_test.py CONTROLLER OPENAPI [unittest arguments]
"""
import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

import jsonschema
import yaml

PROGRAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else "zeta-controller"
DEFINITION = sys.argv.pop(1) if len(sys.argv) > 1 else "openapi.yaml"
OBJECTS = sys.argv.pop(1) if len(sys.argv) > 1 else "."  # network functions, built
PATIENCE = 300  # seconds for anything that must happen at all

with open(DEFINITION, encoding="utf-8") as file:
    API = yaml.safe_load(file)


def resolve(node):
    """Follows a $ref of the document."""
    while isinstance(node, dict) and "$ref" in node:
        target = API
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def template_of(path):
    """The path of the document that a request's path belongs to, or None."""
    path = path.split("?")[0]
    best = None
    for template in API["paths"]:
        pattern = re.sub(r"\\{[a-z]+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and (best is None or "{" not in template):
            best = template
    return best


VALIDATORS = {}
SEEN = set()  # (template, method, status) that some test got


def check_schema(key, schema, value):
    if key not in VALIDATORS:
        VALIDATORS[key] = jsonschema.Draft202012Validator(
            {**schema, "components": API["components"]})
    VALIDATORS[key].validate(value)


def check_answer(method, path, sent, status, kind, answer):
    """Fails where an answer is not what the document says, or a request taken that it forbids."""
    template = template_of(path)
    method = method.lower()
    operation = API["paths"].get(template, {}).get(method)
    if operation is None:
        assert status in (404, 405, 401, 411, 413, 415), (method, path, status)
        check_schema("error", {"$ref": "#/components/schemas/Error"}, answer)
        return
    SEEN.add((template, method, status))
    response = operation["responses"].get(str(status))
    assert response, f"{method} {path} may not answer {status}: {answer}"
    content = resolve(response).get("content")
    if content is None:
        assert answer is None, answer
        return
    assert kind in content, (method, path, kind)
    if kind == "application/json":
        check_schema((template, method, status), content[kind]["schema"], answer)
    if status < 300 and sent is not None:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        check_schema((template, method, "sent"), schema, sent)


class Certificates:
    """A CA and the controller's certificate, made once."""
    directory = None

    @classmethod
    def make(cls):
        if cls.directory:
            return cls.directory
        cls.directory = tempfile.mkdtemp(prefix="zeta-api-test-")

        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=cls.directory, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
                "-subj", "/CN=test CA")
        openssl("req", *key, "-keyout", "key.pem", "-out", "request.pem", "-subj",
                "/CN=controller", "-addext", "subjectAltName=IP:127.0.0.1")
        openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-out", "cert.pem", "-days", "2", "-copy_extensions", "copy")
        return cls.directory


class Controller:
    def __init__(self, directory, *options):
        certificates = Certificates.make()
        self.log_path = os.path.join(directory, "log")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--store", os.path.join(directory, "store.db"),
                 "--rest", "127.0.0.1:0", "--grpc", "127.0.0.1:0",
                 "--ca", f"{certificates}/ca.pem", "--cert", f"{certificates}/cert.pem",
                 "--key", f"{certificates}/key.pem", *options],
                stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "ZETA_DEBUG": "1"})
        self.port = None
        for line in self.process.stdout:
            if line.startswith("rest "):
                self.port = int(line.rsplit(":", 1)[1])
                break
        if not self.port:
            self.reap()
        assert self.port, "the controller did not start: " + self.log()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def stop(self):
        """Returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.reap()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        return self.reap()

    def reap(self):
        status = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return status


class Case(unittest.TestCase):
    options = ()
    headers = {}

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="zeta-api-test-")
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.controller = self.start()
        self.addCleanup(self.end)

    def start(self):
        return Controller(self.directory, *self.options)

    def end(self):
        if self.controller.process.poll() is None:
            self.assertEqual(self.controller.stop(), 0, self.controller.log())
        log = self.controller.log()
        self.assertNotIn("AddressSanitizer", log)
        self.assertNotIn("LeakSanitizer", log)
        self.assertNotIn("runtime error", log)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.controller.port, timeout=PATIENCE)

    def ask(self, method, path, body=None, raw=None, headers=None):
        """Returns status, parsed answer, headers."""
        sent = {**self.headers}
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        connection = self.connect()
        try:
            connection.request(method, path, data, {k: v for k, v in sent.items() if v})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        kind = response.headers.get("Content-Type")
        answer = json.loads(text) if text and kind == "application/json" else (
            text.decode() if text else None)
        if method != "HEAD":
            check_answer(method, path, body, response.status, kind, answer)
        return response.status, answer, response.headers

    def expect(self, status, method, path, body=None, **more):
        got, answer, _ = self.ask(method, path, body, **more)
        self.assertEqual(got, status, answer)
        return answer

    def make(self, kinds, **body):
        return self.expect(201, "POST", f"/v1/{kinds}", body)

    def refuse(self, status, field, method, path, body=None, says=None, **more):
        """Refused with the status, naming the field; and nothing is different afterwards."""
        before = self.revision()
        error = self.expect(status, method, path, body, **more)["error"]
        self.assertEqual(error["status"], status)
        self.assertEqual(error["field"], field, error)
        if status == 400 and field not in ("body", "query"):
            self.assertIn(field, error["message"])
        if says:
            self.assertIn(says, error["message"])
        self.assertEqual(self.revision(), before)
        return error

    def revision(self):
        return self.expect(200, "GET", "/v1/tenants")["revision"]

    def policy(self, vpc="blue"):
        return self.expect(200, "GET", f"/v1/vpcs/{vpc}")["policy"]

    def cluster(self, name="zgc", third=0):
        return self.make("clusters", name=name, entrance_first=f"172.16.{third}.1",
                         entrance_last=f"172.16.{third}.4")

    def world(self):
        """One of everything: red's VPC blue with a subnet, a group, a host and a port."""
        self.make("tenants", name="red")
        self.cluster()
        self.make("nodes", **node(1))
        self.make("hosts", **host(1))
        self.make("vpcs", name="blue", tenant="red", cluster="zgc", vni=100)
        self.make("subnets", name="web", vpc="blue", cidr="10.0.1.0/24")
        self.make("security-groups", name="http", vpc="blue",
                  rules=[{"direction": "ingress", "protocol": "tcp", "port_min": 80}])
        self.make("network-acls", name="fence", vpc="blue")
        self.make("ports", **port(1, security_groups=["http"]))

    def outside(self):
        """An external VPC with a subnet, as a NAT needs it."""
        self.make("vpcs", name="public", tenant=None, cluster="zgc", external=True)
        self.make("subnets", name="internet", vpc="public", cidr="198.51.100.0/24")

    def beside(self, name="green", cidr="10.7.0.0/24"):
        """Another VPC with a subnet, as a peering needs it."""
        self.make("vpcs", name=name, tenant=None, cluster="zgc")
        self.make("subnets", name="flat", vpc=name, cidr=cidr)

    def everything(self):
        """All that is stored, by both APIs. Of views, not what goes by with time."""
        found = {path: self.expect(200, "GET", path) for path in
                 [f"/v1/{kind}" for kind in KINDS] + ["/zgcs", "/nodes", "/vpcs", "/ports"]}
        found["/v1/views"]["items"] = [lasting(view) for view in found["/v1/views"]["items"]]
        return found


def lasting(item):
    """An object without what goes by with time."""
    return {name: value for name, value in item.items() if name not in ("alarms", "nodes")}


KINDS = ["tenants", "clusters", "nodes", "hosts", "vpcs", "subnets", "ports", "security-groups",
         "network-acls", "load-balancers", "nats", "peerings", "route-tables", "functions",
         "service-chains", "views"]


def balancer(**more):
    return {"name": "shop", "vpc": "blue", "ip": "10.0.1.100", "listeners": [listener()], **more}


def nat(**more):
    return {"name": "out", "vpc": "blue", "external_vpc": "public",
            "addresses": ["198.51.100.10"], "subnets": ["web"], **more}


def peering(**more):
    return {"name": "to-green", "vpc": "blue", "peer": "green", **more}


def routes(*given, **more):
    return {"name": "main", "vpc": "blue",
            "routes": list(given or [{"prefix": "0.0.0.0/0", "next_hop": "10.0.1.11"}]), **more}


def listener(**more):
    return {"protocol": "tcp", "port": 80, "backends": [{"port": "p1"}], **more}


def sample(name):
    with open(f"{OBJECTS}/sample_{name}.o", "rb") as file:
        return base64.b64encode(file.read()).decode()


def node(n, **more):
    return {"name": f"gw{n}", "cluster": "zgc", "roles": ["fwd", "ftn"],
            "tenant": {"interface": "eth0", "ip": f"172.16.1.{n}", "mac": f"02:00:00:00:01:{n:02x}"},
            "zgc": {"interface": "eth1", "ip": f"172.17.1.{n}", "mac": f"02:00:00:00:02:{n:02x}"},
            **more}


def host(n, **more):
    return {"name": f"host{n}", "cluster": "zgc", "ip": f"172.16.2.{n}",
            "mac": f"02:00:00:00:03:{n:02x}", "interface": "eth0", **more}


def port(n, **more):
    return {"name": f"p{n}", "vpc": "blue", "host": "host1", "mac": f"02:00:00:00:04:{n:02x}",
            "ips": [f"10.0.1.{10 + n}"], "interface": f"p{n}", **more}


def zeta_port(n, **more):
    return {"port_id": f"z{n}", "vpc_id": "zv", "ips_port": [{"ip": f"10.9.0.{n}", "vip": ""}],
            "mac_port": f"02:00:00:00:05:{n:02x}", "ip_node": "172.16.9.1",
            "mac_node": "02:00:00:00:06:01", **more}


ZGC = {"name": "ZGC_1", "description": "first", "ip_start": "172.16.0.1", "ip_end": "172.16.0.2",
       "port_ibo": "8300", "overlay_type": "vxlan"}
ZETA_NODE = {"name": "znode1", "description": "one", "zgc_id": "ZGC_1", "ip_control": "172.16.1.9",
             "id_control": "ubuntu", "pwd_control": "correct-horse-battery", "inf_tenant": "ens4",
             "mac_tenant": "52:54:00:A9:3F:B9", "inf_zgc": "ens3", "mac_zgc": "52:54:00:1a:cf:38"}


class Service(Case):
    def test_health_and_definition(self):
        self.assertEqual(self.expect(200, "GET", "/healthz"), {"status": "ok"})
        self.assertEqual(yaml.safe_load(self.expect(200, "GET", "/openapi.yaml")), API)
        self.expect(405, "POST", "/healthz", {})

    def test_status_counts(self):
        self.world()
        status = self.expect(200, "GET", "/v1/status")
        self.assertEqual(status["counts"]["ports"], 1)
        self.assertEqual(status["counts"]["views"], 1)
        self.assertEqual(status["counts"]["ports_ready"], 0)
        self.assertEqual(status["nodes"][0]["status"], {"connected": False})
        self.assertEqual(status["revision"], self.revision())
        self.expect(200, "GET", "/v1/alarms")
        self.expect(400, "GET", "/v1/alarms?cluster=zgc")

    def test_paths_and_methods(self):
        for path in ("/", "/v1", "/v2/ports", "/v1/things", "/v1/ports/a/b", "/v1//ports",
                     "/v1/ports/", "/zgcs/a/b", "/%2e%2e/etc", "/v1/status/x"):
            self.expect(404, "GET", path)
        for kind in KINDS:
            self.expect(404, "GET", f"/v1/{kind}/nobody")
            self.expect(404, "GET", f"/v1/{kind}/%ff%22%0a")
            self.expect(405, "DELETE", f"/v1/{kind}")
        for kind in KINDS[:-1]:
            self.expect(404, "DELETE", f"/v1/{kind}/nobody")
            self.expect(404, "PUT", f"/v1/{kind}/nobody", {"name": "x"})
        status, _, headers = self.ask("PATCH", "/v1/ports/nobody")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD, PUT, DELETE"))
        self.expect(405, "POST", "/v1/views", {})
        self.expect(405, "PUT", "/v1/views/x", {})
        status, answer, _ = self.ask("HEAD", "/v1/tenants")
        self.assertEqual((status, answer), (200, None))
        for kind in ("zgcs", "nodes", "vpcs", "ports"):
            self.expect(404, "GET", f"/{kind}/nobody")
            self.expect(404, "DELETE", f"/{kind}/nobody")
        self.expect(405, "PUT", "/ports/nobody", {})

    def test_queries(self):
        self.world()
        self.refuse(400, "query", "GET", "/v1/tenants?colour=red")
        self.refuse(400, "query", "GET", "/v1/tenants?vpc=blue")
        self.refuse(400, "query", "GET", "/v1/status?x")
        self.refuse(400, "query", "GET", "/nodes?x=1")
        self.expect(404, "GET", "/v1/ports?vpc=green")
        self.expect(404, "GET", "/v1/ports?vpc=%ff")
        self.expect(404, "GET", "/v1/ports?vpc")
        self.assertEqual(self.expect(200, "GET", "/v1/ports?name=%ff")["items"], [])
        self.expect(400, "GET", "/v1/ports?" + "&".join("name=a" for _ in range(40)))

    def test_wrong_arguments(self):
        for arguments in ([], ["--store"], ["--colour"], ["--store", "x", "rest"]):
            run = subprocess.run([PROGRAM, *arguments], capture_output=True, timeout=PATIENCE,
                                 cwd=self.directory, check=False)
            self.assertEqual(run.returncode, 2)
            self.assertIn(b"usage: zeta-controller", run.stderr)

    def test_address_in_use_and_broken_store(self):
        certificates = Certificates.make()
        tls = ["--ca", f"{certificates}/ca.pem", "--cert", f"{certificates}/cert.pem",
               "--key", f"{certificates}/key.pem", "--grpc", "127.0.0.1:0"]
        with open(os.path.join(self.directory, "broken"), "wb") as broken:
            broken.write(b"not a store, but long enough to be taken for one" * 100)
        for store, rest in (("store.db", "127.0.0.1:0"), ("other.db", f"127.0.0.1:{self.controller.port}"),
                            ("broken", "127.0.0.1:0"), ("none/there.db", "127.0.0.1:0"),
                            ("third.db", "127.0.0.1"), ("third.db", "localhost:http")):
            run = subprocess.run([PROGRAM, "--store", store, "--rest", rest, *tls],
                                 capture_output=True, timeout=PATIENCE, cwd=self.directory,
                                 check=False)
            self.assertEqual(run.returncode, 1, run.stderr)
            self.assertNotEqual(run.stderr, b"")


class Objects(Case):
    def test_read_and_list(self):
        self.world()
        self.make("functions", name="f", cluster="zgc",
                  versions=[{"version": "v1", "object": sample("NOTHING")}])
        self.make("load-balancers", **balancer())
        self.make("route-tables", **routes())
        self.outside()
        self.make("nats", **nat())
        self.beside()
        self.make("peerings", **peering())
        self.make("service-chains", name="strict", vpc="blue", functions=[{"function": "acl"}])
        for kind in KINDS:
            listed = self.expect(200, "GET", f"/v1/{kind}")
            more = kind in ("vpcs", "subnets")
            self.assertEqual(len(listed["items"]), 3 if more else 1, kind)
            item = lasting(listed["items"][0])
            for way in (item["id"], item["name"]):
                got = self.expect(200, "GET", f"/v1/{kind}/{way}")
                self.assertEqual(lasting(got), item)
            named = self.expect(200, "GET", f"/v1/{kind}?name={item['name']}")["items"]
            self.assertEqual([lasting(one) for one in named], [item])
            self.assertEqual(self.expect(200, "GET", f"/v1/{kind}?name=x")["items"], [])
        self.assertEqual(len(self.expect(200, "GET", "/v1/vpcs?cluster=zgc")["items"]), 3)
        for path in ("vpcs?tenant=red", "nodes?cluster=zgc",
                     "hosts?cluster=zgc", "subnets?vpc=blue", "ports?vpc=blue&host=host1",
                     "security-groups?vpc=blue"):
            self.assertEqual(len(self.expect(200, "GET", f"/v1/{path}")["items"]), 1, path)
        self.assertEqual(self.expect(200, "GET", "/v1/ports?vpc=green")["items"], [])

    def test_defaults_and_canonical_forms(self):
        self.world()
        got = self.expect(200, "GET", "/v1/clusters/zgc")
        self.assertEqual([got[f] for f in ("overlay", "oam_port", "tenant_mtu", "replicas",
                                           "chains", "vpc_first_packets_per_s",
                                           "vpc_sessions", "description")],
                         ["vxlan", 8300, 1450, 3, 0, 50000, 262144, ""])
        self.assertEqual([got[f] for f in ("heartbeat_ms", "repair_after_s")], [10, 5])
        self.assertIs(self.expect(200, "GET", "/v1/nodes/gw1")["drain"], False)
        got = self.expect(200, "GET", "/v1/vpcs/blue")
        self.assertEqual((got["first_packets_per_s"], got["sessions"], got["limit"]), (0, 0, None))
        got = self.expect(200, "GET", "/v1/subnets/web")
        self.assertEqual(got["gateway"], "10.0.1.1")
        got = self.make("subnets", vpc="blue", cidr="10.0.2.0/24", gateway=None)
        self.assertIsNone(got["gateway"])
        self.assertEqual(got["name"], got["id"])
        got = self.make("subnets", vpc="blue", cidr="FD00:0:0::/64", gateway="fd00::00ff")
        self.assertEqual((got["cidr"], got["gateway"]), ("fd00::/64", "fd00::ff"))
        got = self.make("vpcs", name="green", tenant=None, cluster="zgc")
        self.assertIsNone(got["tenant"])
        self.assertNotEqual(got["vni"], 100)
        got = self.make("security-groups", vpc="green", name="g", rules=[
            {"direction": "ingress", "protocol": 6, "port_min": 22, "remote_group": "g"},
            {"direction": "egress", "protocol": 89},
            {"direction": "egress", "protocol": "udp", "port_max": 53, "remote_cidr": "0.0.0.0/0"},
            {"direction": "egress", "protocol": 0}])
        self.assertEqual(got["rules"], [
            {"direction": "ingress", "protocol": "tcp", "port_min": 22, "port_max": 22,
             "remote_cidr": None, "remote_group": got["id"]},
            {"direction": "egress", "protocol": 89, "port_min": 0, "port_max": 65535,
             "remote_cidr": None, "remote_group": None},
            {"direction": "egress", "protocol": "udp", "port_min": 53, "port_max": 53,
             "remote_cidr": "0.0.0.0/0", "remote_group": None},
            {"direction": "egress", "protocol": "any", "port_min": 0, "port_max": 65535,
             "remote_cidr": None, "remote_group": None}])
        got = self.make("hosts", **host(5, mac="02:00:00:00:0A:0B"))
        self.assertEqual((got["mac"], got["kind"]), ("02:00:00:00:0a:0b", "edge"))
        got = self.make("hosts", id="h-6", name="host6", cluster="zgc", ip="172.16.2.6",
                        mac="02:00:00:00:03:06", kind="ovs")
        self.assertEqual((got["id"], got["interface"]), ("h-6", None))
        got = self.make("ports", **port(9, host="h-6", interface=None))
        self.assertEqual((got["host"], got["status"]), ("h-6", {"ready": False}))
        self.assertEqual(got["allowed_prefixes"], [])
        for field in ("egress_limit", "ingress_limit", "connections_per_s", "dscp", "mirror"):
            self.assertIsNone(got[field])

    def test_examples_of_the_definition(self):
        """What the document shows works, in the order that references need."""
        order = ["/v1/" + kind for kind in ("tenants", "clusters", "nodes", "hosts", "vpcs",
                                            "subnets", "security-groups", "ports",
                                            "load-balancers", "nats", "peerings", "route-tables",
                                            "service-chains")]
        for path in order:
            if path == "/v1/nats":
                self.outside()
            if path == "/v1/peerings":
                self.beside()
            content = API["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            self.expect(201, "POST", path, content["example"])

    def test_replace(self):
        self.world()
        before = self.expect(200, "GET", "/v1/ports/p1")
        # Unchanged: no revision.
        now = self.revision()
        same = {k: v for k, v in before.items() if k != "status"}
        self.assertEqual(self.expect(200, "PUT", "/v1/ports/p1", same), before)
        self.assertEqual(self.revision(), now)
        # What is left out gets its default, the name stays.
        body = port(1, mac="02:00:00:00:04:77", description="new")
        del body["name"]
        after = self.expect(200, "PUT", "/v1/ports/p1", body)
        self.assertEqual((after["id"], after["name"], after["security_groups"]),
                         (before["id"], "p1", []))
        self.assertEqual((after["mac"], after["description"]), ("02:00:00:00:04:77", "new"))
        self.assertEqual(after["revision"], now + 1)
        after = self.expect(200, "PUT", "/v1/nodes/gw1", node(1, roles=["fwd"]))
        self.assertEqual(after["roles"], ["fwd"])
        after = self.expect(200, "GET", "/v1/ports/p1")
        # The old MAC is free, the guard holds, a new name is found.
        self.make("ports", **port(2, mac="02:00:00:00:04:01"))
        self.refuse(409, "revision", "PUT", "/v1/ports/p1", {**body, "revision": now})
        self.expect(200, "PUT", "/v1/ports/p1", {**body, "name": "px",
                                                 "revision": after["revision"]})
        self.expect(200, "GET", "/v1/ports/px")
        self.expect(404, "GET", "/v1/ports/p1")
        # What a PUT may not do.
        self.refuse(400, "id", "PUT", "/v1/ports/px", {**body, "id": "other"})
        self.refuse(400, "mac", "PUT", "/v1/ports/px", {"vpc": "blue", "host": "host1",
                                                        "ips": ["10.0.1.11"], "interface": "p1"})
        self.make("vpcs", name="green", tenant="red", cluster="zgc")
        self.refuse(409, "vpc", "PUT", "/v1/ports/px", {**body, "vpc": "green"})
        vpc = {"tenant": "red", "cluster": "zgc"}
        self.assertEqual(self.expect(200, "PUT", "/v1/vpcs/blue", vpc)["vni"], 100)
        self.refuse(409, "vni", "PUT", "/v1/vpcs/blue", {**vpc, "vni": 101})
        self.cluster("other", 9)
        self.refuse(409, "cluster", "PUT", "/v1/hosts/host1", host(1, cluster="other"))
        self.refuse(409, "cluster", "PUT", "/v1/nodes/gw1", node(1, cluster="other"))
        self.refuse(409, "name", "PUT", "/v1/clusters/other",
                    {"name": "zgc", "entrance_first": "172.16.9.1", "entrance_last": "172.16.9.1"})
        self.refuse(400, "revision", "POST", "/v1/tenants", {"name": "x", "revision": 3})

    def test_delete(self):
        self.world()
        for path, says in (("tenants/red", 'vpc "blue"'), ("clusters/zgc", '"'),
                           ("vpcs/blue", '"'), ("hosts/host1", 'port "p1"'),
                           ("subnets/web", 'port "p1"'), ("security-groups/http", 'port "p1"')):
            self.refuse(409, None, "DELETE", f"/v1/{path}", says=says)
        for path in ("ports/p1", "security-groups/http", "network-acls/fence", "subnets/web",
                     "vpcs/blue", "hosts/host1", "nodes/gw1", "clusters/zgc", "tenants/red"):
            self.expect(204, "DELETE", f"/v1/{path}")
            self.expect(404, "GET", f"/v1/{path}")
        for kind in KINDS:
            self.assertEqual(self.expect(200, "GET", f"/v1/{kind}")["items"], [])
        # What they held is free again.
        self.world()

    def test_names_in_vpcs(self):
        self.world()
        self.make("vpcs", name="green", tenant="red", cluster="zgc")
        other = self.make("ports", **port(1, vpc="green", interface="other"))
        self.refuse(409, "vpc", "GET", "/v1/ports/p1", says="?vpc=")
        self.assertEqual(self.expect(200, "GET", "/v1/ports/p1?vpc=green"), other)
        self.expect(404, "GET", f"/v1/ports/{other['id']}?vpc=blue")
        self.expect(204, "DELETE", "/v1/ports/p1?vpc=green")
        self.expect(200, "GET", "/v1/ports/p1")

    def test_groups_refer_to_each_other(self):
        self.world()
        a = self.make("security-groups", name="a", vpc="blue",
                      rules=[{"direction": "ingress", "remote_group": "http"},
                             {"direction": "egress", "remote_group": "a"}])
        self.assertEqual(a["rules"][1]["remote_group"], a["id"])
        self.expect(204, "DELETE", "/v1/ports/p1")
        self.refuse(409, None, "DELETE", "/v1/security-groups/http", says='security group "a"')
        self.expect(204, "DELETE", "/v1/security-groups/a")
        self.expect(204, "DELETE", "/v1/security-groups/http")

    # What nodes run: without security groups where the VPC has none.
    def test_functions(self):
        self.world()
        self.make("vpcs", name="green", tenant=None, cluster="zgc")
        plain = ["divider", "bouncer"]

        def functions(vpc):
            return self.expect(200, "GET", f"/v1/vpcs/{vpc}")["functions"]

        self.assertEqual(functions("green"), plain)
        self.assertEqual(functions("blue"), plain + ["acl", "security-group"])
        for name in ("a", "b"):
            self.make("security-groups", name=name, vpc="green")
            self.assertEqual(functions("green"), plain + ["security-group"])
        self.expect(200, "PUT", "/v1/vpcs/green", {"tenant": None, "cluster": "zgc"})
        self.assertEqual(functions("green"), plain + ["security-group"])
        self.expect(204, "DELETE", "/v1/security-groups/a")
        self.assertEqual(functions("green"), plain + ["security-group"])
        self.expect(204, "DELETE", "/v1/security-groups/b")
        self.assertEqual(functions("green"), plain)
        self.make("network-acls", name="hedge", vpc="green")
        self.assertEqual(functions("green"), plain + ["acl"])
        self.make("security-groups", name="a", vpc="green")
        self.assertEqual(functions("green"), plain + ["acl", "security-group"])
        self.expect(204, "DELETE", "/v1/network-acls/hedge")
        self.assertEqual(functions("green"), plain + ["security-group"])
        self.assertEqual(functions("blue"), plain + ["acl", "security-group"])

    def test_health_checks(self):
        self.world()
        got = self.make("load-balancers", **balancer(listeners=[listener(
            backend_port=8080, check={"type": "tcp"})]))
        self.assertEqual(got["listeners"][0]["check"], {
            "type": "tcp", "port": 8080, "path": None, "interval_ms": 2000, "timeout_ms": 500,
            "up_after": 2, "down_after": 2})
        # Nobody has said anything yet.
        status = self.expect(200, "GET", "/v1/load-balancers/shop")["status"]
        p1 = self.expect(200, "GET", "/v1/ports/p1")["id"]
        self.assertEqual(status, {"up": 0, "down": [], "backends": [
            {"protocol": "tcp", "port": 80, "backend": p1, "name": "p1", "state": "unknown",
             "up": [], "down": [], "why": None}]})
        got = self.expect(200, "PUT", "/v1/load-balancers/shop", balancer(listeners=[listener(
            protocol="udp", check={"type": "http", "port": 81})]))
        self.assertEqual(got["listeners"][0]["check"]["path"], "/")
        got = self.expect(200, "PUT", "/v1/load-balancers/shop", balancer())
        self.assertEqual(got["status"], {"up": None, "down": [], "backends": []})
        for field, check, says in (
                ("type", {"type": "ping"}, "tcp, http"),
                ("path", {"type": "tcp", "path": "/"}, "only a check of type http"),
                ("path", {"type": "http", "path": "health"}, "no path"),
                ("path", {"type": "http", "path": "/a b"}, "no path"),
                ("interval_ms", {"type": "tcp", "interval_ms": 99}, "100"),
                ("interval_ms", {"type": "tcp", "interval_ms": 1000}, "timeout_ms times down_after, 1000"),
                ("interval_ms", {"type": "tcp", "timeout_ms": 700, "down_after": 3}, "2100"),
                ("up_after", {"type": "tcp", "up_after": 11}, "10"),
                ("port", {"type": "tcp", "port": 0}, "1")):
            self.refuse(400, f"listeners[0].check.{field}", "PUT", "/v1/load-balancers/shop",
                        balancer(listeners=[listener(check=check)]), says=says)
        self.refuse(400, "listeners[0].check.port", "PUT", "/v1/load-balancers/shop",
                    balancer(listeners=[listener(protocol="udp", check={"type": "tcp"})]),
                    says="not of TCP")

    def test_routes(self):
        self.world()
        got = self.make("route-tables", **routes(
            {"prefix": "0.0.0.0/0", "next_hop": "10.0.1.11"},
            {"prefix": "10.9.0.0/16", "blackhole": True}))
        self.assertEqual(got["routes"], [
            {"prefix": "0.0.0.0/0", "next_hop": "10.0.1.11", "next_hops": [], "blackhole": False},
            {"prefix": "10.9.0.0/16", "next_hop": None, "next_hops": [], "blackhole": True}])
        # A next hop stays.
        self.refuse(409, None, "DELETE", "/v1/ports/p1", says='route table "main"')
        self.refuse(409, "ips", "PUT", "/v1/ports/p1", port(1, ips=["10.0.1.50"]),
                    says='ips lacks 10.0.1.11, the next hop of a route of route table "main"')
        self.expect(200, "PUT", "/v1/ports/p1", port(1, ips=["10.0.1.50", "10.0.1.11"]))
        # It is a port's of this VPC, where a gateway can send it something.
        self.make("subnets", name="closed", vpc="blue", cidr="10.0.4.0/24", gateway=None)
        self.make("ports", **port(4, ips=["10.0.4.14"]))
        self.make("load-balancers", **balancer())
        self.make("vpcs", name="green", tenant="red", cluster="zgc")
        self.make("subnets", name="web", vpc="green", cidr="10.0.1.0/24")
        self.make("ports", **port(5, vpc="green", ips=["10.0.1.15"]))
        for status, next_hop, says in (
                (409, "10.0.1.99", "is not an address of a port of the vpc"),
                (409, "10.0.1.1", "is not an address of a port of the vpc"),
                (409, "10.0.1.100", "is not an address of a port of the vpc"),
                (409, "10.0.1.15", "is not an address of a port of the vpc"),
                (400, "10.0.4.14", "in a subnet without a gateway")):
            self.refuse(status, "routes[0].next_hop", "POST", "/v1/route-tables",
                        routes({"prefix": "10.8.0.0/16", "next_hop": next_hop}, name="b"),
                        says=says)
        # A prefix is one's.
        hole = {"blackhole": True}
        self.refuse(409, "routes[0].prefix", "POST", "/v1/route-tables",
                    routes({"prefix": "10.9.0.0/16", **hole}, name="b"),
                    says='is used by route table "main"')
        self.refuse(409, "routes[0].prefix", "POST", "/v1/route-tables",
                    routes({"prefix": "10.0.1.0/24", **hole}, name="b"),
                    says='is used by subnet "web"')
        self.refuse(409, "cidr", "POST", "/v1/subnets",
                    {"name": "s", "vpc": "blue", "cidr": "10.9.0.0/16"},
                    says='is used by route table "main"')
        self.make("route-tables", **routes({"prefix": "10.0.1.0/25", **hole},
                                           {"prefix": "10.0.0.0/8", **hole}, name="b"))
        self.make("route-tables", **routes({"prefix": "10.9.0.0/16", **hole}, vpc="green"))
        # Each change is one of the policy.
        policy = self.policy()
        self.expect(200, "PUT", "/v1/route-tables/b?vpc=blue",
                    routes({"prefix": "10.0.0.0/9", **hole}, name="b"))
        self.assertEqual(self.policy(), policy + 1)
        self.expect(204, "DELETE", "/v1/route-tables/main?vpc=blue")
        self.assertEqual(self.policy(), policy + 2)
        self.expect(204, "DELETE", "/v1/load-balancers/shop")
        self.expect(204, "DELETE", "/v1/ports/p1")

    def test_shared_routes(self):
        self.world()
        self.make("ports", **port(2))
        two = ["10.0.1.11", "10.0.1.12"]
        got = self.make("route-tables", **routes({"prefix": "0.0.0.0/0", "next_hops": two}))
        self.assertEqual(got["routes"], [
            {"prefix": "0.0.0.0/0", "next_hop": None, "next_hops": two, "blackhole": False}])
        self.refuse(409, None, "DELETE", "/v1/ports/p2", says='route table "main"')
        self.refuse(409, "ips", "PUT", "/v1/ports/p2", port(2, ips=["10.0.1.50"]),
                    says="ips lacks 10.0.1.12, the next hop of a route")
        for status, field, more, says in (
                (409, "next_hops[1]", {"next_hops": ["10.0.1.11", "10.0.1.99"]},
                 "is not an address of a port of the vpc"),
                (400, "next_hops", {"next_hops": two, "blackhole": True}, "and blackhole cannot both"),
                (400, "next_hops", {"next_hops": two, "next_hop": "10.0.1.11"}, "and next_hop cannot both"),
                (400, "next_hops", {"next_hops": ["10.0.1.11"] * 9}, "8"),
                (400, "next_hop", {"next_hops": []}, "is missing, and the route is no blackhole")):
            self.refuse(status, f"routes[0].{field}", "PUT", "/v1/route-tables/main",
                        routes({"prefix": "0.0.0.0/0", **more}), says=says)
        # Also one that the schema does not let through.
        self.refuse(400, "routes[0].next_hops[1]", "PUT", "/v1/route-tables/main",
                    routes({"prefix": "0.0.0.0/0", "next_hops": ["10.0.1.11"] * 2}), says="twice")

    def test_uplinks(self):
        self.world()
        self.outside()
        up = {"interface": "up0", "table": 100}
        public = {"vpc": "public", "ips": ["198.51.100.2"], "uplink": up}
        got = self.make("ports", **port(2, **public))
        self.assertEqual((got["uplink"], got["status"]),
                         (up, {"ready": False, "uplink": {"up": [], "down": []}}))
        self.assertEqual(self.expect(200, "GET", "/v1/ports/p1")["uplink"], None)
        # Its gateway is where its packets go.
        self.refuse(409, "gateway", "PUT", "/v1/subnets/internet", {
            "name": "internet", "vpc": "public", "cidr": "198.51.100.0/24", "gateway": "198.51.100.9"},
            says='where uplink "p2" sends its packets')
        self.make("vpcs", name="other", tenant=None, cluster="zgc", external=True)
        self.make("subnets", name="internet", vpc="other", cidr="198.51.100.0/24")
        self.make("subnets", name="closed", vpc="other", cidr="203.0.113.0/24", gateway=None)
        self.make("subnets", name="new", vpc="other", cidr="fd00:1::/64")
        self.make("hosts", **host(7, kind="ovs"))
        other = {**public, "vpc": "other", "uplink": {"interface": "up1", "table": 101}}
        for status, field, more, says in (
                (409, "uplink", {"vpc": "blue", "ips": ["10.0.1.20"]}, 'vpc "blue" is not external'),
                (409, "uplink", {"host": "host7"}, 'host "host7" is no edge host'),
                (400, "ips[0]", {"ips": ["203.0.113.9"]}, "in a subnet with a gateway"),
                (400, "ips[0]", {"ips": ["fd00:1::9", "198.51.100.2"]}, "an IPv4 address"),
                (400, "uplink.table", {"uplink": {"interface": "up1", "table": 0}}, "1"),
                (400, "uplink.table", {"uplink": {"interface": "up1", "table": 255}}, "kernel's own"),
                (409, "uplink.table", {"uplink": {"interface": "up1", "table": 100}},
                 'the table of uplink "p2"'),
                (409, "uplink.interface", {"uplink": {"interface": "up0", "table": 101}},
                 'an interface of port "p2"'),
                (400, "uplink.interface", {"uplink": {"interface": "p3", "table": 101}}, "the other end"),
                (409, "uplink.interface", {"uplink": {"interface": "p1", "table": 101}},
                 'an interface of port "p1"'),
                (409, "uplink", {"vpc": "public", "ips": ["198.51.100.3"]},
                 'the host has one of this vpc, "p2"'),
                (400, "uplink.interface", {"uplink": {"table": 101}}, "missing"),
                (400, "uplink.colour", {"uplink": {**up, "colour": 1}}, "")):
            self.refuse(status, field, "POST", "/v1/ports", port(3, **{**other, **more}), says=says)
        # A host has eight.
        for n in range(7):
            self.make("vpcs", name=f"v{n}", tenant=None, cluster="zgc", external=True)
            self.make("subnets", name="internet", vpc=f"v{n}", cidr="198.51.100.0/24")
            self.make("ports", **port(10 + n, vpc=f"v{n}", ips=["198.51.100.2"],
                                      uplink={"interface": f"up{2 + n}", "table": 200 + n}))
        self.refuse(409, "uplink", "POST", "/v1/ports", port(3, **other), says="8 uplinks already")
        # What one gives up another has.
        self.expect(200, "PUT", "/v1/ports/p2", port(2, **{**public, "uplink": None}))
        self.make("ports", **port(3, **{**other, "uplink": up}))

    def test_ipv6(self):
        self.world()
        got = self.make("subnets", name="web6", vpc="blue", cidr="2001:DB8:1::/64")
        self.assertEqual((got["cidr"], got["gateway"]), ("2001:db8:1::/64", "2001:db8:1::1"))
        got = self.expect(200, "PUT", "/v1/ports/p1", port(
            1, ips=["10.0.1.11", "2001:db8:1::b"], allowed_prefixes=["10.7.0.0/16", "2001:db8:7::/48"]))
        self.assertEqual(got["ips"], ["10.0.1.11", "2001:db8:1::b"])
        # An address in no subnet, the gateway's, one that is nobody's, prefixes without an address.
        for ip, status, says in (("2001:db8:2::b", 400, "subnet of the vpc"),
                                 ("2001:db8:1::1", 409, 'subnet "web6"'),
                                 ("2001:db8:1::b", 409, 'port "p1"'),
                                 ("fe80::b", 400, "fe80::b is link-local")):
            self.refuse(status, "ips[1]", "POST", "/v1/ports",
                        port(7, ips=["10.0.1.77", ip], security_groups=[]), says=says)
        self.refuse(400, "allowed_prefixes[0]", "POST", "/v1/ports",
                    port(7, ips=["10.0.1.77"], security_groups=[],
                         allowed_prefixes=["2001:db8:7::/48"]), says="no address in ips is")
        self.make("route-tables", **routes({"prefix": "::/0", "next_hop": "2001:db8:1::b"},
                                           {"prefix": "2001:db8:9::/48", "blackhole": True}))
        self.refuse(400, "routes[0].next_hop", "POST", "/v1/route-tables",
                    routes({"prefix": "2001:db8:8::/48", "next_hop": "10.0.1.11"}, name="b"),
                    says="not of the family of 2001:db8:8::/48")
        got = self.make("security-groups", vpc="blue", name="six", rules=[
            {"direction": "ingress", "protocol": 58, "port_min": 128, "remote_cidr": "2000::/3"}])
        self.assertEqual(got["rules"][0]["protocol"], "icmpv6")
        for rule, says in (({"remote_cidr": "::/0"}, "all of IPv4 inside"),
                           ({"protocol": "icmp", "remote_cidr": "2000::/3"}, "is IPv6"),
                           ({"protocol": "icmpv6", "remote_cidr": "10.0.0.0/8"}, "is IPv4")):
            self.refuse(400, "rules[0].remote_cidr", "POST", "/v1/security-groups",
                        {"name": "b", "vpc": "blue", "rules": [{"direction": "ingress", **rule}]},
                        says=says)
        self.outside()
        # What leads outside is IPv4's.
        self.refuse(400, "subnets[0]", "POST", "/v1/nats", nat(subnets=["web6"]),
                    says="a NAT translates IPv4")
        # So is the underlay.
        far, first = "fd00::1", "172.16.9.1"
        znode = {**ZETA_NODE, "name": "z6", "zgc_id": "zgc"}
        refused = [
            ("entrance_first", "clusters", {"name": "six", "entrance_first": far, "entrance_last": far}),
            ("entrance_last", "clusters", {"name": "six", "entrance_first": first, "entrance_last": far}),
            ("ip", "hosts", host(6, ip=far)),
            ("ip_start", "/zgcs", {**ZGC, "name": "six", "ip_start": far, "ip_end": far}),
            ("ip_end", "/zgcs", {**ZGC, "name": "six", "ip_start": first, "ip_end": far}),
            ("ip_tenant", "/nodes", {**znode, "ip_tenant": far}),
            ("ip_zgc", "/nodes", {**znode, "ip_zgc": far})]
        refused += [(f"{side}.ip", "nodes", node(6, **{side: {**node(6)[side], "ip": far}}))
                    for side in ("tenant", "zgc")]
        for field, kind, body in refused:
            self.refuse(400, field, "POST", kind if kind[0] == "/" else f"/v1/{kind}", body,
                        says=f"{field} {far} is IPv6: the underlay is IPv4")
        # RFC 8200 section 5.
        self.make("clusters", name="small", entrance_first="172.16.3.1",
                  entrance_last="172.16.3.2", tenant_mtu=1279)
        self.make("vpcs", name="tiny", tenant=None, cluster="small")
        self.refuse(409, "cidr", "POST", "/v1/subnets",
                    {"name": "b", "vpc": "tiny", "cidr": "2001:db8:2::/64"},
                    says="needs an MTU of 1280")

    def test_many_routes(self):
        """As many as a VPC may have, in ten tables; not one more."""
        self.world()
        for table in range(10):
            body = {"name": f"t{table}", "vpc": "blue", "routes": [
                {"prefix": f"{20 + table}.{n >> 8}.{n & 255}.0/24", "next_hop": "10.0.1.11"}
                for n in range(10000)]}
            # Not looked at by the schema, which takes longer than all else.
            connection = self.connect()
            connection.request("POST", "/v1/route-tables", json.dumps(body),
                               {"Content-Type": "application/json"})
            self.assertEqual(connection.getresponse().status, 201)
            connection.close()
        self.refuse(409, "routes", "POST", "/v1/route-tables",
                    routes({"prefix": "0.0.0.0/0", "blackhole": True}), says="100001 routes")

    def test_load_balancers(self):
        self.world()
        got = self.make("load-balancers", **balancer())
        p1 = self.expect(200, "GET", "/v1/ports/p1")["id"]
        self.assertEqual((got["affinity"], got["listeners"]), ("none", [
            {"protocol": "tcp", "port": 80, "backend_port": 80, "check": None,
             "backends": [{"port": p1, "weight": 1}]}]))
        # What it needs stays.
        self.refuse(409, None, "DELETE", "/v1/ports/p1", says='load balancer "shop"')
        web = {"vpc": "blue", "cidr": "10.0.1.0/24"}
        for field, body in (("cidr", web | {"cidr": "10.0.1.0/26"}),
                            ("gateway", web | {"gateway": None})):
            self.refuse(409, field, "PUT", "/v1/subnets/web", body,
                        says='load balancer "shop" has address 10.0.1.100')
        self.expect(200, "PUT", "/v1/subnets/web", web | {"gateway": "10.0.1.2"})
        # Nobody else has its address.
        self.refuse(409, "ips[0]", "POST", "/v1/ports", port(9, ips=["10.0.1.100"]),
                    says='is used by load balancer "shop"')
        for ip, says in (("10.0.1.11", 'port "p1"'), ("10.0.1.2", 'subnet "web"'),
                         ("10.0.1.100", 'load balancer "shop"')):
            self.refuse(409, "ip", "POST", "/v1/load-balancers", balancer(name="b", ip=ip),
                        says=says)
        self.make("subnets", name="closed", vpc="blue", cidr="10.0.4.0/24", gateway=None)
        self.refuse(400, "ip", "POST", "/v1/load-balancers", balancer(name="b", ip="10.0.4.9"),
                    says="without a gateway")
        self.refuse(409, "ip", "PUT", "/v1/load-balancers/shop", balancer(ip="10.0.1.101"),
                    says="cannot be changed")
        self.make("vpcs", name="green", tenant="red", cluster="zgc")
        self.make("subnets", name="web", vpc="green", cidr="10.0.1.0/24")
        self.refuse(409, "listeners[0].backends[0].port", "POST", "/v1/load-balancers",
                    balancer(vpc="green", listeners=[listener(backends=[{"port": p1}])]),
                    says="another vpc")
        # As many listeners as a VPC may have, in two; not one more.
        many = [listener(port=1 + n, backends=[]) for n in range(64)]
        self.make("load-balancers", **balancer(name="b", ip="10.0.1.101", listeners=many[:63]))
        self.refuse(409, "listeners", "PUT", "/v1/load-balancers/b",
                    balancer(name="b", ip="10.0.1.101", listeners=many), says="65 listeners")
        self.expect(204, "DELETE", "/v1/load-balancers/b")
        # Backends that answer clients themselves get what is for the listener's port, by a gateway.
        direct = {"name": "b", "ip": "10.0.1.101", "direct_return": True}
        self.refuse(400, "listeners[0].backend_port", "POST", "/v1/load-balancers",
                    balancer(listeners=[listener(backend_port=81)], **direct), says="it is the port, 80")
        self.make("ports", **port(7, ips=["10.0.4.7"]))
        self.refuse(400, "listeners[0].backends[0].port", "POST", "/v1/load-balancers",
                    balancer(listeners=[listener(backends=[{"port": "p7"}])], **direct),
                    says="without a gateway")
        self.assertTrue(self.make("load-balancers", **balancer(**direct))["direct_return"])
        self.refuse(409, "direct_return", "PUT", "/v1/load-balancers/b",
                    balancer(name="b", ip="10.0.1.101"), says="cannot be changed")
        self.expect(204, "DELETE", "/v1/load-balancers/b")
        # Whose clients prove themselves can be said at any time.
        self.assertEqual((got["syn_protection"], got["syn_rate"]), ("never", 1000))
        shielded = self.expect(200, "PUT", "/v1/load-balancers/shop",
                               balancer(syn_protection="under-attack", syn_rate=50))
        self.assertEqual((shielded["syn_protection"], shielded["syn_rate"]), ("under-attack", 50))
        # Backends have an address of its family, and keep it.
        self.make("subnets", name="six", vpc="blue", cidr="2001:db8:5::/64")
        six = {"name": "b", "ip": "2001:db8:5::100"}
        self.refuse(400, "listeners[0].backends[0].port", "POST", "/v1/load-balancers",
                    balancer(**six), says='port "p1" has no IPv6 address')
        self.make("ports", **port(6, ips=["2001:db8:5::6"]))
        self.refuse(400, "listeners[0].backends[0].port", "PUT", "/v1/load-balancers/shop",
                    balancer(listeners=[listener(backends=[{"port": "p6"}])]),
                    says='port "p6" has no IPv4 address')
        self.expect(200, "PUT", "/v1/ports/p1", port(1, ips=["10.0.1.11", "2001:db8:5::b"]))
        got = self.make("load-balancers", **balancer(**six))
        self.assertEqual((got["ip"], got["listeners"][0]["backends"]),
                         ("2001:db8:5::100", [{"port": p1, "weight": 1}]))
        for gone, kept in (("10.0.1.11", "IPv6"), ("2001:db8:5::b", "IPv4")):
            self.refuse(409, "ips", "PUT", "/v1/ports/p1", port(1, ips=[gone]),
                        says=f"ips has no {kept} address")
        self.refuse(409, "ips[0]", "POST", "/v1/ports", port(9, ips=["2001:db8:5::100"]),
                    says='is used by load balancer "b"')
        self.expect(204, "DELETE", "/v1/load-balancers/b")
        self.make("load-balancers", **balancer(**(six | {"direct_return": True})))
        self.expect(204, "DELETE", "/v1/load-balancers/b")
        self.outside()
        self.make("subnets", name="six", vpc="public", cidr="2001:db8:6::/64")
        self.refuse(400, "ip", "POST", "/v1/load-balancers",
                    balancer(vpc="public", ip="2001:db8:6::9", listeners=[]), says="is reached by IPv4")
        # Each change is one of the policy; only who has one runs the function.
        policy = self.policy()
        self.expect(200, "PUT", "/v1/load-balancers/shop", balancer(affinity="source"))
        self.assertEqual(self.policy(), policy + 1)
        plain = ["divider", "bouncer", "acl", "security-group"]
        vpc = {"tenant": "red", "cluster": "zgc"}

        def chain(*names):
            return vpc | {"service_chain": [{"function": name} for name in names]}

        def functions():
            return self.expect(200, "GET", "/v1/vpcs/blue")["functions"]

        self.assertEqual(functions(), ["load-balancer"] + plain)
        for names, says in ((plain, "needs load-balancer"),
                            (["divider", "load-balancer"] + plain[1:],
                             "has divider before load-balancer"),
                            (["acl", "load-balancer", "divider", "bouncer", "security-group"],
                             "has acl before load-balancer")):
            self.refuse(409, "service_chain", "PUT", "/v1/vpcs/blue", chain(*names), says=says)
        self.expect(200, "PUT", "/v1/vpcs/blue", chain("load-balancer", *plain))
        self.expect(204, "DELETE", "/v1/load-balancers/shop")
        self.expect(200, "PUT", "/v1/vpcs/blue", chain(*plain))
        self.refuse(409, "vpc", "POST", "/v1/load-balancers", balancer(), says="has no load-balancer")
        self.expect(200, "PUT", "/v1/vpcs/blue", vpc)
        self.assertEqual(functions(), plain)
        self.make("load-balancers", **balancer())
        self.assertEqual(functions(), ["load-balancer"] + plain)
        self.expect(204, "DELETE", "/v1/load-balancers/shop")
        self.expect(204, "DELETE", "/v1/ports/p1")

    def test_nats(self):
        self.world()
        self.outside()
        plain = ["divider", "bouncer", "acl", "security-group"]

        def functions(vpc):
            return self.expect(200, "GET", f"/v1/vpcs/{vpc}")["functions"]

        self.assertEqual(functions("public"), ["divider", "bouncer"])
        before = self.policy(), self.policy("public")
        got = self.make("nats", **nat())
        self.assertEqual(got["addresses"], ["198.51.100.10"])
        # What goes between them is decided by either's functions, and what both have counts.
        self.assertEqual((functions("blue"), functions("public")), (["nat"] + plain,) * 2)
        self.assertEqual((self.policy(), self.policy("public")), (before[0] + 1, before[1] + 1))
        # What it needs stays.
        for way in ("vpcs/blue", "vpcs/public", "subnets/web"):
            self.refuse(409, None, "DELETE", f"/v1/{way}", says='nat "out"'
                        if way == "subnets/web" else None)
        internet = {"vpc": "public", "cidr": "198.51.100.0/24"}
        for field, body in (("cidr", internet | {"cidr": "198.51.100.0/29"}),
                            ("gateway", internet | {"gateway": None})):
            self.refuse(409, field, "PUT", "/v1/subnets/internet", body,
                        says='nat "out" has address 198.51.100.10')
        # Nobody else has its address, and it has nobody's.
        self.make("ports", **port(8, vpc="public", ips=["198.51.100.2"], security_groups=[]))
        self.make("load-balancers", **balancer(vpc="public", ip="198.51.100.3", listeners=[]))
        self.refuse(409, "ips[0]", "POST", "/v1/ports",
                    port(9, vpc="public", ips=["198.51.100.10"], security_groups=[]),
                    says='is used by nat "out"')
        self.make("subnets", name="db", vpc="blue", cidr="10.0.2.0/24")
        for ip, says in (("198.51.100.10", 'nat "out"'), ("198.51.100.2", 'port "'),
                         ("198.51.100.3", 'load balancer "shop"'),
                         ("198.51.100.1", 'subnet "internet"')):
            self.refuse(409, "addresses[1]", "POST", "/v1/nats",
                        nat(name="b", addresses=["198.51.100.11", ip], subnets=["db"]), says=says)
        self.refuse(400, "addresses[0]", "POST", "/v1/nats",
                    nat(name="b", addresses=["198.51.101.1"], subnets=["db"]), says="subnet of the vpc")
        self.refuse(409, "subnets[0]", "POST", "/v1/nats",
                    nat(name="b", addresses=["198.51.100.11"]), says='one of nat "out"')
        # Ways in.
        target = self.expect(200, "GET", "/v1/ports/p1")["id"]
        floating = {"ip": "198.51.100.20", "target": "p1"}
        forward = {"protocol": "tcp", "ip": "198.51.100.10", "port": 80, "target": "p1"}
        got = self.expect(200, "PUT", "/v1/nats/out",
                          nat(floating_ips=[floating], forwards=[forward]))
        self.assertEqual((got["floating_ips"], got["forwards"]),
                         ([floating | {"target": target, "service_chain": None}],
                          [forward | {"target": target, "target_port": 80,
                                      "service_chain": None}]))
        self.refuse(409, None, "DELETE", "/v1/ports/p1", says='nat "out"')
        self.make("ports", **port(2))
        for status, field, body, says in (
                (409, "floating_ips[0].ip", {"floating_ips": [floating | {"target": "p2"}]},
                 'nat "out"'),
                (409, "floating_ips[0].target",
                 {"floating_ips": [floating | {"ip": "198.51.100.21"}]}, 'floating IP of nat "out"'),
                (400, "floating_ips[1].target", {"floating_ips": [
                    {"ip": "198.51.100.21", "target": "p2"},
                    {"ip": "198.51.100.22", "target": "p2"}]}, "twice"),
                (400, "floating_ips[0].ip", {"floating_ips": [
                    {"ip": "198.51.100.11", "target": "p2"}]}, "twice"),
                (400, "forwards[0].ip", {"forwards": [forward]}, "not one of addresses"),
                (400, "forwards[1].port", {"forwards": [forward | {"ip": "198.51.100.11"}] * 2},
                 "twice"),
                (404, "forwards[0].target",
                 {"forwards": [forward | {"ip": "198.51.100.11", "target": "x"}]}, "x")):
            self.refuse(status, field, "POST", "/v1/nats",
                        nat(name="b", addresses=["198.51.100.11"], subnets=["db"], **body),
                        says=says)
        # What a port inside has outside.
        self.assertEqual((got["mapping"], got["filtering"]), ("address-and-port",) * 2)
        independent = {"mapping": "endpoint-independent"}
        got = self.expect(200, "PUT", "/v1/nats/out", nat(filtering="endpoint-independent", **independent))
        self.assertEqual((got["mapping"], got["filtering"]), ("endpoint-independent",) * 2)
        got = self.expect(200, "PUT", "/v1/nats/out", nat(**independent))
        self.assertEqual(got["filtering"], "address-and-port")
        for field, body, says in (
                ("filtering", {"filtering": "endpoint-independent"}, "mapping is not"),
                ("filtering", independent | {"filtering": "open"}, "endpoint-independent"),
                ("mapping", {"mapping": 1}, None), ("mapping", {"mapping": "address"}, None)):
            self.refuse(400, field, "PUT", "/v1/nats/out", nat(**body), says=says)
        # The two VPCs.
        for field, body, says in (
                ("external_vpc", nat(name="b", external_vpc="blue"), "is not external"),
                ("vpc", nat(name="b", vpc="public", subnets=[]), "is external")):
            self.refuse(409, field, "POST", "/v1/nats", body, says=says)
        self.cluster("far", third=1)
        self.make("vpcs", name="beyond", tenant=None, cluster="far", external=True)
        self.refuse(409, "external_vpc", "POST", "/v1/nats",
                    nat(name="b", external_vpc="beyond", addresses=[], subnets=[]),
                    says="of two clusters")
        self.make("vpcs", name="second", tenant=None, cluster="zgc", external=True)
        self.refuse(409, "external_vpc", "PUT", "/v1/nats/out",
                    nat(external_vpc="second", addresses=[], subnets=[]), says="cannot be changed")
        got = self.expect(200, "PUT", "/v1/nats/out",
                          nat(addresses=["198.51.100.10", "198.51.100.12"]))
        self.assertEqual(got["addresses"], ["198.51.100.10", "198.51.100.12"])
        self.refuse(409, "external", "PUT", "/v1/vpcs/public",
                    {"tenant": None, "cluster": "zgc", "external": False}, says="cannot be changed")
        self.refuse(400, "sessions", "POST", "/v1/vpcs",
                    {"tenant": None, "cluster": "zgc", "external": True, "sessions": 5})
        # A service chain that is said.
        vpc = {"tenant": "red", "cluster": "zgc"}

        def chain(*names):
            return vpc | {"service_chain": [{"function": name} for name in names]}

        for names, says in ((plain, "needs nat"), (["divider", "nat"] + plain[1:],
                                                   "has divider before nat"),
                            (["acl", "nat", "divider", "bouncer", "security-group"],
                             "has acl before nat"),
                            (["nat", "load-balancer"] + plain, "has nat before load-balancer")):
            self.refuse(409, "service_chain", "PUT", "/v1/vpcs/blue", chain(*names), says=says)
        self.expect(200, "PUT", "/v1/vpcs/blue", chain("nat", *plain))
        self.expect(204, "DELETE", "/v1/nats/out")
        self.expect(200, "PUT", "/v1/vpcs/blue", chain(*plain))
        self.refuse(409, "vpc", "POST", "/v1/nats", nat(), says="has no nat")
        self.expect(200, "PUT", "/v1/vpcs/blue", vpc)
        self.assertEqual(functions("blue"), plain)
        self.assertEqual(functions("public"), ["load-balancer", "divider", "bouncer"])

    def test_peerings(self):
        """Both sides have to agree, what overlaps is refused by name, and one half alone is nothing."""
        self.world()
        self.beside()
        plain = ["divider", "bouncer", "acl", "security-group"]
        alone = self.expect(200, "GET", "/v1/vpcs/blue")["functions"]

        def vpc(name):
            return self.expect(200, "GET", f"/v1/vpcs/{name}")

        def states():
            return [one["state"] for one in self.expect(200, "GET", "/v1/peerings")["items"]]

        ids = vpc("blue")["id"], vpc("green")["id"]
        before = self.policy(), self.policy("green")
        # One half: nobody notices, least of all who is named.
        got = self.make("peerings", **peering())
        self.assertEqual((got["vpc"], got["peer"], got["state"]), (*ids, "waiting"))
        self.assertEqual((self.policy(), self.policy("green")), before)
        self.assertEqual((vpc("blue")["peers"], vpc("green")["peers"]), ([], []))
        self.assertEqual(vpc("blue")["functions"], alone)
        self.make("subnets", name="same", vpc="green", cidr="10.0.1.0/24")
        self.refuse(409, "peer", "POST", "/v1/peerings", peering(name="b"),
                    says='peering "to-green" of vpc "blue" has peer "green" already')
        # Nor does the other one come about while subnets overlap.
        back = {"name": "to-blue", "vpc": "green", "peer": "blue"}
        self.refuse(409, "peer", "POST", "/v1/peerings", back,
                    says='subnet "same" (10.0.1.0/24) of vpc "green" overlaps subnet "web" '
                         '(10.0.1.0/24) of vpc "blue"')
        self.expect(204, "DELETE", "/v1/subnets/same")
        before = self.policy(), self.policy("green")
        self.assertEqual(self.make("peerings", **back)["state"], "active")
        self.assertEqual(states(), ["active"] * 2)
        self.assertEqual((self.policy(), self.policy("green")), (before[0] + 1, before[1] + 1))
        self.assertEqual((vpc("blue")["peers"], vpc("green")["peers"]), ([ids[1]], [ids[0]]))
        # What either has counts: rules, and load balancers.
        for name in ("blue", "green"):
            self.assertEqual(vpc(name)["functions"], ["peering", "load-balancer"] + plain)
        # A description is no decision's.
        before = self.policy(), self.policy("green")
        self.expect(200, "PUT", "/v1/peerings/to-green", peering(description="x"))
        self.assertEqual((self.policy(), self.policy("green")), before)
        # Subnets from now on.
        self.refuse(409, "cidr", "POST", "/v1/subnets", {"vpc": "green", "name": "n", "cidr": "10.0.0.0/16"},
                    says='subnet "n" (10.0.0.0/16) of vpc "green" overlaps subnet "web" '
                         '(10.0.1.0/24) of vpc "blue"')
        self.refuse(409, "cidr", "PUT", "/v1/subnets/flat", {"vpc": "green", "cidr": "10.0.1.128/25"},
                    says='subnet "web"')
        before = self.policy()
        self.make("subnets", name="next", vpc="green", cidr="10.0.2.0/24")
        self.assertEqual(self.policy(), before + 1)
        self.expect(204, "DELETE", "/v1/subnets/next")
        # What a third reaches with it.
        self.beside("hub", cidr="10.8.0.0/24")
        self.beside("spoke", cidr="10.7.0.0/25")
        for one, other in (("hub", "green"), ("green", "hub")):
            self.make("peerings", name=f"to-{other}", vpc=one, peer=other)
        says = ('subnet "flat" (10.7.0.0/25) of vpc "spoke" overlaps subnet "flat" (10.7.0.0/24) of '
                'vpc "green", and both are peered with vpc "hub"')
        self.refuse(409, "peer", "POST", "/v1/peerings", {"vpc": "spoke", "peer": "hub"}, says=says)
        self.refuse(409, "peer", "POST", "/v1/peerings", {"vpc": "hub", "peer": "spoke"}, says="of vpc")
        self.expect(200, "PUT", "/v1/subnets/flat?vpc=spoke", {"vpc": "spoke", "cidr": "10.9.0.0/24"})
        for one, other in (("hub", "spoke"), ("spoke", "hub")):
            self.make("peerings", name=f"to-{other}", vpc=one, peer=other)
        self.refuse(409, "cidr", "POST", "/v1/subnets", {"vpc": "spoke", "name": "n", "cidr": "10.7.0.0/25"},
                    says='vpc "green", and both are peered with vpc "hub"')
        # But blue, whose peer only green is, may be as spoke is.
        self.make("subnets", name="far", vpc="blue", cidr="10.9.0.0/25")
        # The VPCs stay, where they are.
        self.refuse(409, None, "DELETE", "/v1/vpcs/green")
        self.cluster("far", third=1)
        self.make("vpcs", name="beyond", tenant=None, cluster="far")
        self.refuse(409, "peer", "POST", "/v1/peerings", peering(name="b", peer="beyond"),
                    says='"blue" and "beyond" are of two clusters: peerings are within one')
        self.refuse(409, "cluster", "PUT", "/v1/vpcs/spoke", {"tenant": None, "cluster": "far"},
                    says='is within one cluster')
        self.outside()
        self.refuse(409, "peer", "POST", "/v1/peerings", peering(name="b", peer="public"),
                    says="is external")
        self.refuse(409, "vpc", "POST", "/v1/peerings", peering(name="b", vpc="public"),
                    says="is external")
        self.make("vpcs", name="empty", tenant=None, cluster="zgc")
        self.refuse(409, "peer", "PUT", "/v1/peerings/to-green?vpc=blue", peering(peer="empty"),
                    says="cannot be changed")
        # A service chain that is said: who wants a peering needs it, not who is named by one.
        body = {"tenant": "red", "cluster": "zgc"}

        def chain(*names):
            return body | {"service_chain": [{"function": name} for name in names]}

        self.refuse(409, "service_chain", "PUT", "/v1/vpcs/blue", chain(*plain), says="needs peering")
        for names, says in ((["divider", "peering"] + plain[1:], "has divider before peering"),
                            (["load-balancer", "peering"] + plain, "has load-balancer before peering"),
                            (["acl", "peering", "divider", "bouncer", "security-group"],
                             "has acl before peering"),
                            (["nat", "peering"] + plain, "has nat before peering")):
            self.refuse(409, "service_chain", "PUT", "/v1/vpcs/blue", chain(*names), says=says)
        self.expect(200, "PUT", "/v1/vpcs/blue", chain("peering", *plain))
        # The end, by either half.
        before = self.policy(), self.policy("green")
        self.expect(204, "DELETE", "/v1/peerings/to-green?vpc=blue")
        self.assertEqual((self.policy(), self.policy("green")), (before[0] + 1, before[1] + 1))
        self.assertEqual(vpc("blue")["peers"], [])
        self.expect(200, "PUT", "/v1/vpcs/blue", chain(*plain))
        self.refuse(409, "vpc", "POST", "/v1/peerings", peering(), says="has no peering")
        before = self.policy("green")
        self.expect(204, "DELETE", "/v1/peerings/to-blue")
        self.assertEqual(self.policy("green"), before)
        self.expect(200, "PUT", "/v1/vpcs/blue", body)
        self.assertEqual(vpc("blue")["functions"], alone)
        self.make("subnets", name="same", vpc="blue", cidr="10.7.0.0/16")

    def test_many_peerings(self):
        self.world()
        for n in range(17):
            self.make("vpcs", name=f"v{n}", tenant=None, cluster="zgc")
        for n in range(16):
            self.make("peerings", name=f"to-{n}", vpc="blue", peer=f"v{n}")
        self.refuse(409, "vpc", "POST", "/v1/peerings", peering(peer="v16"),
                    says='vpc "blue" has 16 peerings already')
        # Those of others count for nothing.
        self.make("peerings", name="to-blue", vpc="v16", peer="blue")

    def test_pushed_functions(self):
        self.world()
        self.expect(204, "DELETE", "/v1/ports/p1")
        self.expect(204, "DELETE", "/v1/nodes/gw1")
        port, every = sample("PORT"), sample("EVERY")
        made = self.make("functions", name="f", cluster="zgc",
                         versions=[{"version": "v1", "object": port}])
        self.assertEqual((made["slot"], made["running"], made["nodes"]), (24, None, []))
        version = made["versions"][0]
        self.assertEqual((version["sees"], version["may"], version["object"], version["place"]),
                         (["first"], ["drop", "remember"], None, 0))
        self.assertEqual([(f["name"], f["type"], f["count"]) for f in version["fields"]],
                         [("port", "integer of 16 bits", 0), ("small", "integer of 8 bits", 3),
                          ("number", "integer of 32 bits", 0), ("large", "integer of 64 bits", 0),
                          ("peer", "address", 0), ("network", "integer of 32 bits", 2)])
        self.assertEqual(self.make("functions", name="e", cluster="zgc",
                                   versions=[{"version": "v1", "object": every}])["slot"], 16)

        def put(status=200, field=None, says=None, name="f", running=None, **versions):
            body = {"cluster": "zgc", "running": running,
                    "versions": [{"version": v, "object": o} for v, o in versions.items()]}
            if status == 200:
                return self.expect(200, "PUT", f"/v1/functions/{name}", body)
            return self.refuse(status, field, "PUT", f"/v1/functions/{name}", body, says=says)

        for bad, says in [("HELPER", "calls helper 6"), ("PINNED", "sets \"pinning\""),
                          ("GLOBAL", "must be static"), ("PROGRAM", "section \"xdp\""),
                          ("MEMORY", "maps need more"), ("WEAK", "is weak"),
                          ("UNDEFINED", "is not in the object"), ("KIND", "of kind 3"),
                          ("NO_ENTRY", "neither"), ("CONFIG", "field negative"),
                          ("LICENSE", "license")]:
            put(400, "versions[1].object", says, v1=None, v2=sample(bad))
        put(400, "versions[0].object", "base64", v9="a")
        put(400, "versions[0].object", "no object file", v9="AAAA")
        put(400, "versions[1].object", "is missing", v1=None, v2=None)
        put(409, "versions[0].object", "new name", v1=every)
        put(409, "versions", "first packets only", v1=None, v2=every)
        put(409, "running", "is not among", running="v3", v1=None)
        self.refuse(409, "name", "PUT", "/v1/functions/f",
                    {"name": "g", "cluster": "zgc", "versions": [{"version": "v1"}]})
        self.refuse(409, "name", "POST", "/v1/functions",
                    {"name": "bouncer", "cluster": "zgc",
                     "versions": [{"version": "v1", "object": port}]})
        got = put(v1=None, v2=sample("VIEW"))
        self.assertEqual([v["place"] for v in got["versions"]], [0, 1])
        # A third takes the place of the one that goes.
        got = put(v2=None, v3=port)
        self.assertEqual([(v["version"], v["place"]) for v in got["versions"]],
                         [("v2", 1), ("v3", 0)])

        def chain(*names, config=None, status=200, field="service_chain", says=None):
            body = {"tenant": "red", "cluster": "zgc", "service_chain": [
                {"function": name, "config": config if name == "f" else None}
                for name in names]}
            if status == 200:
                return self.expect(200, "PUT", "/v1/vpcs/blue", body)
            return self.refuse(status, field, "PUT", "/v1/vpcs/blue", body, says=says)

        plain = ["divider", "bouncer", "acl", "security-group"]
        at_f = "service_chain[0].function"
        chain("f", *plain, status=409, field=at_f, says="no version of function \"f\" runs")
        chain("g", *plain, status=404, field=at_f, says="no function \"g\"")
        put(running="v3", v2=None, v3=None)
        policy = self.policy()
        got = chain("f", *plain, config={"port": 25, "peer": "10.0.0.1", "network": [1]})
        self.assertEqual(got["functions"], ["f", *plain])
        self.assertEqual(got["policy"], policy + 1)
        for config, says in [({"colour": 1}, "no field"), ({"port": -1}, "from 0 to 65535"),
                             ({"port": 65536}, "from 0 to 65535"), ({"port": "a"}, "integer"),
                             ({"peer": 1}, "address"), ({"network": [1, 2, 3]}, "at most 2"),
                             ({"network": 1}, "list")]:
            chain("f", *plain, config=config, status=400, field=at_f, says=says)
        chain("f", "f", *plain, status=400, field="service_chain[1].function", says="twice")
        for name in plain:
            chain(*(other for other in plain if other != name), status=409, says=f"needs {name}")
        chain("bouncer", "divider", "acl", "security-group", status=409, says="before divider")
        chain("divider", "acl", "security-group", "bouncer", status=409, says="before bouncer")
        self.refuse(409, None, "DELETE", "/v1/functions/f", says="referred to by vpc \"blue\"")
        put(409, "running", "one version must run", v2=None, v3=None)
        put(409, "running", "vpc \"blue\"", running="v2", v2=None, v3=None)
        # What runs and is used decides from now on: the policy grows.
        chain("f", *plain)
        policy = self.policy()
        put(running="v2", v2=None, v3=None)
        self.assertEqual(self.policy(), policy + 1)
        # A node that is connected would have to have it; one that is not loads it when it comes.
        self.make("nodes", **node(1))
        put(running="v3", v2=None, v3=None)
        self.assertEqual(self.expect(200, "GET", "/v1/functions/f")["nodes"],
                         [{"node": "gw1", "connected": False, "versions": {}}])
        self.expect(200, "PUT", "/v1/vpcs/blue", {"tenant": "red", "cluster": "zgc"})
        self.assertEqual(self.expect(200, "GET", "/v1/vpcs/blue")["functions"], plain)
        self.expect(204, "DELETE", "/v1/functions/f")
        self.assertEqual(self.expect(200, "GET", "/v1/functions?cluster=zgc")["items"][0]["name"],
                         "e")

    def test_service_chains(self):
        """Beside the VPCs' own: what they may have, who names them, and what follows."""
        self.world()
        self.expect(204, "DELETE", "/v1/nodes/gw1")
        for name, object_of in (("f", "PORT"), ("e", "EVERY"), ("quiet", "NOTHING")):
            self.make("functions", name=name, cluster="zgc",
                      versions=[{"version": "v1", "object": sample(object_of)}])

        def run(name, running="v1"):
            self.expect(200, "PUT", f"/v1/functions/{name}", {
                "cluster": "zgc", "running": running, "versions": [{"version": "v1"}]})

        def body(*names, config=None, vpc="blue"):
            return {"vpc": vpc, "functions": [
                {"function": name, "config": config if name == "f" else None} for name in names]}

        def refused(status, field, says, *names, **more):
            self.refuse(status, field, "POST", "/v1/service-chains", body(*names, **more),
                        says=says)

        first = "functions[0].function"
        refused(404, first, 'there is no function "g"', "g")
        refused(409, first, 'no version of function "f" runs', "f")
        run("f")
        run("e")
        refused(400, "functions", "1 to 4", *[f"f{n}" for n in range(5)])
        refused(400, "functions", "1 to 4")
        refused(400, "functions[1].function", "f is there twice", "f", "f")
        refused(400, first, "configuration of f: ", "f", config={"colour": 1})
        self.refuse(400, first, "POST", "/v1/service-chains", {
            "vpc": "blue", "functions": [{"function": "acl", "config": {}}]}, says="takes no")
        # In which order, and why: two functions and a reason.
        for name, before, why in (
                ("nat", "divider", "that of what is translated"),
                ("load-balancer", "divider", "is the backend's"),
                ("peering", "divider", "ends in the peer's"),
                ("divider", "bouncer", "is chosen before the host"),
                ("bouncer", "security-group", "destination's groups")):
            refused(409, first, f"{name} cannot run after {before}", name)
            refused(409, "functions[1].function", why, "f", name)
        self.refuse(404, "service_chain", "PUT", "/v1/subnets/web", {
            "vpc": "blue", "cidr": "10.0.1.0/24", "service_chain": "mail"}, says="does not exist")
        policy = self.policy()
        made = self.make("service-chains", name="mail",
                         **body("f", "security-group", config={"port": 25}))
        self.assertEqual([entry["function"] for entry in made["functions"]],
                         ["f", "security-group"])
        self.assertEqual(made["functions"][0]["config"], {"port": 25})
        self.assertEqual(self.policy(), policy + 1)
        # Who names it. A chain that is in use stays; it may change, as rules do.
        self.outside()
        chain = {"service_chain": "mail"}
        users = (("subnets/web", {"vpc": "blue", "cidr": "10.0.1.0/24"}, chain, "subnet"),
                 ("load-balancers/shop", balancer(), chain, "load balancer"),
                 ("nats/out", nat(), {"forwards": [{"protocol": "tcp", "ip": "198.51.100.10",
                                                    "port": 8022, "target": "p1", **chain}]},
                  "nat"),
                 ("nats/out", nat(), {"floating_ips": [{"ip": "198.51.100.20", "target": "p1",
                                                        **chain}]}, "nat"))
        self.make("load-balancers", **balancer())
        self.make("nats", **nat())
        for path, plain, more, one in users:
            policy = self.policy()
            got = self.expect(200, "PUT", f"/v1/{path}", {**plain, **more})
            found = next((got[f][0] for f in ("forwards", "floating_ips") if got.get(f)), got)
            self.assertEqual(found["service_chain"], made["id"])
            self.assertEqual(self.policy(), policy + 1)
            name = path.split("/")[1]
            self.refuse(409, None, "DELETE", "/v1/service-chains/mail",
                        says=f'service chain "mail" is referred to by {one} "{name}"')
            self.expect(200, "PUT", f"/v1/{path}", plain)
        self.beside()
        self.refuse(404, "service_chain", "PUT", "/v1/subnets/flat", {
            "vpc": "green", "cidr": "10.7.0.0/24", **chain}, says="does not exist in this vpc")
        policy = self.policy()
        self.expect(200, "PUT", "/v1/service-chains/mail", body("f", config={"port": 26}))
        self.assertEqual(self.policy(), policy + 1)
        self.refuse(409, "vpc", "PUT", "/v1/service-chains/mail", body("f", vpc="green"))
        # Its functions are in use, and a version that runs decides for it.
        self.refuse(409, None, "DELETE", "/v1/functions/f",
                    says='referred to by service chain "mail"')
        self.refuse(409, "running", "PUT", "/v1/functions/f", {
            "cluster": "zgc", "versions": [{"version": "v1"}]},
            says='in the chain of service chain "mail"')
        versions = [{"version": "v1"}, {"version": "v2", "object": sample("VIEW")}]
        self.refuse(409, "running", "PUT", "/v1/functions/f", {
            "cluster": "zgc", "running": "v2", "versions": versions},
            says='configuration of service chain "mail"')
        versions[1]["object"] = sample("PORT")
        policy = self.policy()
        self.expect(200, "PUT", "/v1/functions/f", {
            "cluster": "zgc", "running": "v2", "versions": versions})
        self.assertEqual(self.policy(), policy + 1)
        # Who may see every packet is once in a VPC.
        self.make("service-chains", name="counted", **body("e"))
        refused(409, first, 'is in the chain of service chain "counted"', "e")
        plain = ["divider", "bouncer", "acl", "security-group"]
        vpc = {"tenant": "red", "cluster": "zgc", "service_chain": [
            {"function": name} for name in [*plain, "e"]]}
        self.refuse(409, "service_chain[4].function", "PUT", "/v1/vpcs/blue", vpc,
                    says='service chain "counted"')
        self.make("service-chains", name="counted", **body("e", vpc="green"))
        self.expect(204, "DELETE", "/v1/service-chains/counted?vpc=blue")
        self.expect(204, "DELETE", "/v1/load-balancers/shop")
        self.expect(204, "DELETE", "/v1/nats/out")
        self.expect(200, "PUT", "/v1/vpcs/blue", vpc)
        refused(409, first, 'is in the chain of vpc "blue"', "e")
        self.expect(204, "DELETE", "/v1/service-chains/mail")
        self.refuse(409, None, "DELETE", "/v1/vpcs/green", says="referred to by")

    def test_policy(self):
        self.world()
        policy = self.policy()
        self.make("ports", **port(2))
        self.assertEqual(self.policy(), policy)
        for method, path, body in (
                ("PUT", "ports/p2", port(2, mac="02:00:00:00:04:99")),
                ("DELETE", "ports/p2", None),
                ("POST", "subnets", {"name": "s", "vpc": "blue", "cidr": "10.0.3.0/24"}),
                ("PUT", "subnets/s", {"vpc": "blue", "cidr": "10.0.3.0/25"}),
                ("DELETE", "subnets/s", None),
                ("POST", "security-groups", {"name": "g", "vpc": "blue"}),
                ("PUT", "security-groups/g", {"vpc": "blue", "rules": [{"direction": "egress"}]}),
                ("DELETE", "security-groups/g", None),
                ("POST", "network-acls", {"name": "f", "vpc": "blue"}),
                ("PUT", "network-acls/f", {"vpc": "blue", "rules": [
                    {"priority": 1, "action": "deny", "direction": "egress"}]}),
                ("PUT", "subnets/web", {"vpc": "blue", "cidr": "10.0.1.0/24", "network_acl": "f"}),
                ("PUT", "subnets/web", {"vpc": "blue", "cidr": "10.0.1.0/24"}),
                ("DELETE", "network-acls/f", None),
                ("PUT", "hosts/host1", host(1, mac="02:00:00:00:03:99"))):
            status, answer, _ = self.ask(method, f"/v1/{path}", body)
            self.assertLess(status, 300, answer)
            policy += 1
            self.assertEqual(self.policy(), policy, (method, path))
        # What alters no decision.
        self.expect(200, "PUT", "/v1/hosts/host1", host(1, mac="02:00:00:00:03:99",
                                                        description="x"))
        self.expect(200, "PUT", "/v1/vpcs/blue", {"tenant": None, "cluster": "zgc"})
        self.assertEqual(self.policy(), policy)
        # A VPC that takes over a VNI is ahead of the former one.
        vpc = {"name": "v", "tenant": None, "cluster": "zgc", "vni": 4242}
        self.make("vpcs", **vpc)
        self.make("subnets", name="s", vpc="v", cidr="10.0.3.0/24")
        former = self.policy("v")
        self.expect(204, "DELETE", "/v1/subnets/s?vpc=v")
        self.expect(204, "DELETE", "/v1/vpcs/v")
        self.make("vpcs", **vpc)
        self.assertGreater(self.policy("v"), former)
        # A change has one revision, whatever it touches.
        before = self.revision()
        self.expect(204, "DELETE", "/v1/ports/p1")
        self.assertEqual(self.revision(), before + 1)
        self.assertEqual(self.expect(200, "GET", "/v1/vpcs/blue")["revision"], before + 1)

    def test_views(self):
        self.make("tenants", name="red")
        self.cluster()
        view = self.expect(200, "GET", "/v1/views/zgc")
        self.assertEqual((view["epoch"], view["chains"]), (1, []))
        self.assertEqual([e["owner"] for e in view["entrances"]], [None] * 4)
        self.make("nodes", **node(1, roles=["fwd"]))
        for n in (2, 3, 4):
            self.make("nodes", **node(n, roles=["ftn"]))
        view = self.expect(200, "GET", "/v1/views/zgc")
        self.assertEqual(view["epoch"], 5)
        self.assertEqual({e["owner"] for e in view["entrances"]}, {"gw1"})
        self.assertEqual([c["replicas"] for c in view["chains"]],
                         [["gw2", "gw3", "gw4"], ["gw3", "gw4", "gw2"], ["gw4", "gw2", "gw3"]])
        self.assertEqual([c["witnesses"] for c in view["chains"]], [[]] * 3)
        self.assertEqual([c["founded"] for c in view["chains"]], [0] * 3)
        self.assertEqual(sum(c["buckets"] for c in view["chains"]), 65537)
        self.assertEqual([e["preference"] for e in view["entrances"]], [["gw1"]] * 4)
        self.assertFalse([n for n in view["nodes"] if n["presence"] == "here"])
        self.assertEqual(self.expect(200, "GET", "/v1/clusters/zgc")["entrances"],
                         view["entrances"])
        self.make("nodes", **node(5, roles=["fwd"]))
        after = self.expect(200, "GET", "/v1/views/zgc")
        moved = [e for e, f in zip(view["entrances"], after["entrances"])
                 if e["owner"] != f["owner"]]
        self.assertEqual(len(moved), 2)
        self.assertEqual({tuple(e["preference"]) for e in after["entrances"]},
                         {("gw1", "gw5"), ("gw5", "gw1")})
        # What leaves owns nothing.
        leaving = self.expect(200, "PUT", "/v1/nodes/gw1", node(1, roles=["fwd"], drain=True))
        self.assertIs(leaving["drain"], True)
        drained = self.expect(200, "GET", "/v1/views/zgc")
        self.assertEqual({e["owner"] for e in drained["entrances"]}, {"gw5"})
        self.assertEqual([n["entrances"] for n in drained["nodes"]], [0, 0, 0, 0, 4])
        self.expect(200, "PUT", "/v1/nodes/gw1", node(1, roles=["fwd"]))
        cluster = {"entrance_first": "172.16.0.1", "entrance_last": "172.16.0.2", "replicas": 1,
                   "chains": 2}
        self.expect(200, "PUT", "/v1/clusters/zgc", cluster)
        view = self.expect(200, "GET", "/v1/views/zgc")
        self.assertEqual(view["epoch"], 9)
        self.assertEqual([c["replicas"] for c in view["chains"]], [["gw2"], ["gw3"]])
        self.assertEqual(view["spread"], {"wanted": 2, "chains": 2, "move": 0, "moving": False,
                                          "leaving": 0, "left": 0, "uncleared": []})
        self.assertEqual(len(view["entrances"]), 2)
        # The entrances that were given up may be used.
        self.make("hosts", **host(1, ip="172.16.0.3"))
        self.make("vpcs", name="blue", tenant="red", cluster="zgc")
        self.assertEqual(self.expect(200, "GET", "/v1/views/zgc")["revision"], view["revision"])


class Refusals(Case):
    def setUp(self):
        super().setUp()
        self.world()

    def test_bad_fields(self):
        bodies = {"tenants": {"name": "t"},
                  "clusters": {"name": "c", "entrance_first": "172.30.0.1",
                               "entrance_last": "172.30.0.2"},
                  "nodes": node(9), "hosts": host(9),
                  "vpcs": {"name": "v", "tenant": "red", "cluster": "zgc"},
                  "subnets": {"name": "s", "vpc": "blue", "cidr": "10.0.9.0/24"},
                  "ports": port(9), "security-groups": {"name": "g", "vpc": "blue", "rules": []},
                  "network-acls": {"name": "f", "vpc": "blue", "rules": []},
                  "load-balancers": balancer(), "nats": nat(), "route-tables": routes(),
                  "peerings": peering()}
        self.outside()
        self.beside()
        gone = object()
        cases = [(kind, field, value) for kind in bodies for field, value in (
            ("name", ""), ("name", "a b"), ("name", "x" * 65), ("name", 5), ("name", "a/b"),
            ("name", None), ("name", ".."), ("id", "ä"), ("description", 1),
            ("description", "x" * 1025), ("description", "two\nlines"), ("colour", "red"),
            ("revision", "1"))]
        cases += [
            ("clusters", "overlay", "gre"), ("clusters", "entrance_first", gone),
            ("clusters", "entrance_first", "1.2.3"), ("clusters", "entrance_first", "224.0.0.1"),
            ("clusters", "entrance_first", "0.0.0.0"), ("clusters", "entrance_last", "172.30.0.0"),
            ("clusters", "entrance_last", "172.30.0.65"), ("clusters", "entrance_last", "fd00::1"),
            ("clusters", "oam_port", 0), ("clusters", "oam_port", 65536),
            ("clusters", "oam_port", 4789), ("clusters", "oam_port", "8300"),
            ("clusters", "oam_port", 8300.0), ("clusters", "oam_port", True),
            ("clusters", "tenant_mtu", 100), ("clusters", "replicas", 0),
            ("clusters", "replicas", 5), ("clusters", "chains", -1), ("clusters", "chains", 1025),
            ("clusters", "heartbeat_ms", 4), ("clusters", "heartbeat_ms", 1001),
            ("clusters", "repair_after_s", 0), ("clusters", "repair_after_s", 3601),
            ("clusters", "repair_after_s", "5"), ("nodes", "drain", 1), ("nodes", "drain", "yes"),
            ("clusters", "vpc_first_packets_per_s", -1),
            ("clusters", "vpc_first_packets_per_s", 100000001), ("clusters", "vpc_sessions", -1),
            ("clusters", "vpc_sessions", 1073741825), ("clusters", "entrances", []),
            ("nodes", "cluster", gone), ("nodes", "cluster", None), ("nodes", "roles", gone),
            ("nodes", "roles", []), ("nodes", "roles[0]", ["king"]),
            ("nodes", "roles[1]", ["fwd", "fwd"]), ("nodes", "roles", "fwd"),
            ("nodes", "roles", ["fwd", "ftn", "fwd"]),
            ("nodes", "control_ip", "x"), ("nodes", "tenant", gone), ("nodes", "tenant", []),
            ("nodes", "tenant.ip", {"interface": "a", "mac": "02:00:00:00:00:01"}),
            ("nodes", "zgc.interface", {"interface": "x" * 16, "ip": "172.17.1.9",
                                        "mac": "02:00:00:00:00:01"}),
            ("nodes", "zgc.mac", {"interface": "a", "ip": "172.17.1.9",
                                  "mac": "03:00:00:00:00:01"}),
            ("nodes", "zgc.colour", {"interface": "a", "ip": "172.17.1.9",
                                     "mac": "02:00:00:00:00:01", "colour": 1}),
            ("nodes", "status", {}),
            ("hosts", "ip", gone), ("hosts", "ip", "127.0.0.1"), ("hosts", "mac", "02:00"),
            ("hosts", "mac", "00:00:00:00:00:00"), ("hosts", "interface", gone),
            ("hosts", "interface", "a b"), ("hosts", "kind", "vmware"),
            ("vpcs", "tenant", gone), ("vpcs", "cluster", gone), ("vpcs", "vni", 0),
            ("vpcs", "vni", 16777216), ("vpcs", "vni", "100"),
            ("vpcs", "first_packets_per_s", -1), ("vpcs", "first_packets_per_s", 100000001),
            ("vpcs", "sessions", -1), ("vpcs", "sessions", "many"),
            ("vpcs", "sessions", 1073741825), ("vpcs", "policy", 5), ("vpcs", "functions", []),
            ("vpcs", "limit", 5), ("vpcs", "limit", {}), ("vpcs", "limit.bits_per_s",
                                                          {"bits_per_s": 999}),
            ("vpcs", "limit.burst_ms", {"packets_per_s": 1, "burst_ms": 0}),
            ("subnets", "cidr", gone), ("subnets", "cidr", "10.0.9.1/24"),
            ("subnets", "cidr", "10.0.9.0"), ("subnets", "cidr", "10.0.9.0/33"),
            ("subnets", "cidr", "10.0.9.4/31"), ("subnets", "cidr", "::/0"),
            ("subnets", "cidr", "fe80::/64"), ("subnets", "cidr", "ff05::/16"),
            ("subnets", "cidr", "::/1"), ("subnets", "cidr", "2001:db8::/127"),
            ("subnets", "cidr", "2001:db8::1/64"), ("subnets", "gateway", "2001:db8::1"),
            ("ports", "ips[0]", ["fe80::1"]), ("ports", "ips[0]", ["::5"]),
            ("ports", "ips[1]", ["10.0.1.20", "ff02::1"]),
            ("ports", "allowed_prefixes[0]", ["2001:db8::/32"]),
            ("subnets", "gateway", "10.0.8.1"), ("subnets", "gateway", "10.0.9.0"),
            ("subnets", "gateway", "10.0.9.255"), ("subnets", "gateway", ""),
            ("subnets", "gateway_mac", "ff:ff:ff:ff:ff:ff"),
            ("ports", "host", gone), ("ports", "host", None), ("ports", "mac", gone),
            ("ports", "ips", gone), ("ports", "ips", []), ("ports", "ips", "10.0.1.20"),
            ("ports", "ips[1]", ["10.0.1.20", "10.0.1.20"]), ("ports", "ips[0]", ["10.0.7.1"]),
            ("ports", "ips[0]", ["10.0.1.255"]), ("ports", "ips[0]", ["10.0.1.0"]),
            ("ports", "ips", [f"10.0.1.{n}" for n in range(20, 37)]),
            ("ports", "interface", gone), ("ports", "security_groups", "http"),
            ("ports", "allowed_prefixes[0]", ["10.0.0.1/8"]),
            ("ports", "egress_limit", 5), ("ports", "egress_limit", {}),
            ("ports", "ingress_limit", {"burst_ms": 10}),
            ("ports", "connections_per_s", 0), ("ports", "connections_per_s", 1000001),
            ("ports", "mirror", "172.16.2.9"), ("ports", "mirror.collector", {}),
            ("ports", "dscp", -1), ("ports", "dscp", 64), ("ports", "dscp", "ef"),
            ("ports", "allowed_prefixes[1]", ["10.0.0.0/8", "10.0.0.0/8"]),
            ("ports", "allowed_prefixes", [f"10.{n}.0.0/16" for n in range(17)]),
            ("ports", "security_groups", ["a", "b", "c", "d", "e"]),
            ("ports", "status", {"ready": True}),
            ("security-groups", "rules", {}), ("security-groups", "rules[0]", [1]),
            ("security-groups", "rules", [{"direction": "egress"}] * 10001)]
        for field, rule in (
                ("direction", {}), ("direction", {"direction": "up"}),
                ("protocol", {"protocol": "sctp"}), ("protocol", {"protocol": 256}),
                ("protocol", {"protocol": -1}), ("protocol", {"protocol": None}),
                ("port_min", {"protocol": "tcp", "port_min": 65536}),
                ("port_min", {"protocol": "tcp", "port_min": 2, "port_max": 1}),
                ("port_min", {"port_min": 80}), ("port_max", {"protocol": "any", "port_max": 80}),
                ("remote_cidr", {"remote_cidr": "10.0.0.1/8"}),
                ("remote_cidr", {"remote_cidr": "::/0"}),
                ("remote_cidr", {"protocol": "icmp", "remote_cidr": "2001:db8::/32"}),
                ("remote_cidr", {"protocol": "icmpv6", "remote_cidr": "10.0.0.0/8"}),
                ("remote_group", {"remote_cidr": "10.0.0.0/8", "remote_group": "http"}),
                ("colour", {"colour": 1})):
            rule = rule if field == "direction" else {"direction": "ingress", **rule}
            cases.append(("security-groups", f"rules[0].{field}", [rule]))
        allow = {"priority": 1, "action": "allow", "direction": "ingress"}
        for field, change in (
                ("priority", {"priority": 65536}), ("priority", {"priority": None}),
                ("action", {"action": "drop"}), ("port_min", {"port_min": 80}),
                ("remote_group", {"remote_group": "http"})):
            cases.append(("network-acls", f"rules[0].{field}", [{**allow, **change}]))
        cases += [
            ("load-balancers", "ip", gone), ("load-balancers", "ip", "10.0.9.9"),
            ("load-balancers", "ip", "10.0.1.255"), ("load-balancers", "ip", "2001:db8::5"),
            ("load-balancers", "affinity", "cookie"),
            ("load-balancers", "syn_protection", "cookies"), ("load-balancers", "syn_rate", 0),
            ("load-balancers", "listeners", None), ("load-balancers", "listeners", [listener()] * 65),
            ("load-balancers", "listeners[1].port", [listener(), listener()])]
        hole = {"prefix": "10.9.0.0/16", "blackhole": True}
        cases += [
            ("route-tables", "routes", None), ("route-tables", "routes", [hole] * 10001),
            ("route-tables", "routes[1].prefix", [hole, hole])]
        for field, change in (
                ("prefix", {"prefix": "10.9.0.1/16"}), ("prefix", {"prefix": None}),
                ("blackhole", {"blackhole": "yes"}), ("next_hop", {"blackhole": False}),
                ("next_hop", {"next_hop": "10.0.1.11"}),
                ("next_hop", {"prefix": "2001:db8::/32", "next_hop": "10.0.1.11",
                              "blackhole": False}), ("colour", {"colour": 1}),
                ("next_hop", {"next_hop": "p1", "blackhole": False})):
            cases.append(("route-tables", f"routes[0].{field}", [{**hole, **change}]))
        at = "listeners[0].backends"
        for field, change in (
                ("listeners[0].protocol", {"protocol": "icmp"}),
                ("listeners[0].protocol", {"protocol": None}),
                ("listeners[0].port", {"port": 0}), ("listeners[0].port", {"port": 65536}),
                ("listeners[0].backend_port", {"backend_port": 0}),
                ("listeners[0].colour", {"colour": 1}),
                (at, {"backends": [{"port": "p1"}] * 65}), (f"{at}[0].port", {"backends": [{}]}),
                (f"{at}[0].weight", {"backends": [{"port": "p1", "weight": 257}]}),
                (f"{at}[0].weight", {"backends": [{"port": "p1", "weight": -1}]}),
                (f"{at}[1].port", {"backends": [{"port": "p1"}, {"port": "p1"}]})):
            cases.append(("load-balancers", field, [listener(**change)]))
        cases += [
            ("vpcs", "external", 1), ("nats", "external_vpc", gone), ("nats", "addresses", []),
            ("nats", "addresses[0]", ["10.0.1.9"]), ("nats", "addresses[0]", ["fd00::1"]),
            ("nats", "addresses[1]", ["198.51.100.10"] * 2),
            ("nats", "addresses", [f"198.51.100.{n}" for n in range(10, 27)]),
            ("nats", "subnets", ["web"] * 65), ("peerings", "peer", gone), ("peerings", "peer", None),
            ("peerings", "peer", "blue"), ("peerings", "state", "active")]
        for kind, field, value in cases:
            with self.subTest(kind=kind, field=field, value=value):
                body = dict(bodies[kind])
                top = re.match(r"\w+", field)[0]
                body.pop(top, None)
                if value is not gone:
                    body[top] = value
                self.refuse(400, field, "POST", f"/v1/{kind}", body)
        for kind, body in bodies.items():
            self.make(kind, **body)

    def test_unknown_references(self):
        for kind, field, body in (
                ("nodes", "cluster", node(9, cluster="x")),
                ("hosts", "cluster", host(9, cluster="x")),
                ("vpcs", "tenant", {"tenant": "x", "cluster": "zgc"}),
                ("vpcs", "cluster", {"tenant": "red", "cluster": "x"}),
                ("subnets", "vpc", {"vpc": "x", "cidr": "10.0.9.0/24"}),
                ("ports", "vpc", port(9, vpc="x")), ("ports", "host", port(9, host="x")),
                ("ports", "security_groups[1]", port(9, security_groups=["http", "x"])),
                ("security-groups", "vpc", {"vpc": "x"}),
                ("subnets", "network_acl", {"vpc": "blue", "cidr": "10.0.9.0/24",
                                            "network_acl": "x"}),
                ("nats", "external_vpc", nat(external_vpc="x")),
                ("load-balancers", "vpc", balancer(vpc="x")),
                ("peerings", "vpc", peering(vpc="x")), ("peerings", "peer", peering(peer="x")),
                ("route-tables", "vpc", routes(vpc="x")),
                ("load-balancers", "listeners[0].backends[0].port",
                 balancer(listeners=[listener(backends=[{"port": "x"}])])),
                ("security-groups", "rules[0].remote_group",
                 {"vpc": "blue", "rules": [{"direction": "egress", "remote_group": "x"}]})):
            with self.subTest(kind=kind, field=field):
                self.refuse(404, field, "POST", f"/v1/{kind}", body)

    def test_limits(self):
        """Of a port: what is left out, what is refused, and what becomes of them."""
        limit = {"bits_per_s": 400000000000}
        full = {"bits_per_s": 400000000000, "packets_per_s": None, "burst_ms": 100}
        got = self.make("ports", **port(9, egress_limit=limit,
                                        ingress_limit={"packets_per_s": 1, "burst_ms": 10000}))
        self.assertEqual(got["egress_limit"], full)
        self.assertEqual(got["ingress_limit"],
                         {"bits_per_s": None, "packets_per_s": 1, "burst_ms": 10000})
        for field, value in (("bits_per_s", 999), ("bits_per_s", 400000000001),
                             ("bits_per_s", "1G"), ("packets_per_s", 0),
                             ("packets_per_s", 100000001), ("burst_ms", 0),
                             ("burst_ms", 10001), ("burst_ms", None)):
            with self.subTest(field=field, value=value):
                self.refuse(400, f"egress_limit.{field}", "PUT", f"/v1/ports/{got['id']}",
                            port(9, egress_limit={**limit, field: value}))
        self.refuse(400, "ingress_limit", "PUT", f"/v1/ports/{got['id']}", says="neither",
                    body=port(9, ingress_limit={}))
        mirror = {"collector": "172.16.2.9"}
        got = self.expect(200, "PUT", f"/v1/ports/{got['id']}", port(9, mirror=mirror))
        self.assertEqual(got["mirror"], {"collector": "172.16.2.9", "vni": 0, "direction": "both",
                                         "bytes": 65535, "bits_per_s": 100000000})
        for field, value in (("vni", 16777216), ("vni", -1), ("direction", "up"), ("bytes", 63),
                             ("bytes", 65536), ("bits_per_s", 0), ("bits_per_s", None),
                             ("collector", "fd00::1"), ("collector", "239.1.1.1"),
                             ("collector", None), ("colour", 1)):
            with self.subTest(field=field, value=value):
                self.refuse(400, f"mirror.{field}", "PUT", f"/v1/ports/{got['id']}",
                            port(9, mirror={**mirror, field: value}))
        self.make("hosts", id="h-7", name="host7", cluster="zgc", ip="172.16.2.7",
                  mac="02:00:00:00:03:07", kind="ovs")
        self.refuse(409, "egress_limit", "PUT", f"/v1/ports/{got['id']}", says="no edge host",
                    body=port(9, host="h-7", egress_limit=limit))
        before = self.expect(200, "GET", "/v1/vpcs/blue")["policy"]
        self.expect(200, "PUT", f"/v1/ports/{got['id']}", port(9, egress_limit=limit))
        vpc = {"tenant": "red", "cluster": "zgc"}
        self.assertEqual(self.expect(200, "PUT", "/v1/vpcs/blue", {**vpc, "limit": limit})["limit"],
                         full)
        self.refuse(400, "limit", "PUT", "/v1/vpcs/blue", {**vpc, "limit": {}}, says="neither")
        self.assertEqual(self.expect(200, "GET", "/v1/vpcs/blue")["policy"], before)
        host = self.expect(200, "GET", f"/v1/hosts/{got['host']}")
        kept = {name: host[name] for name in ("name", "cluster", "ip", "mac", "interface")}
        self.refuse(409, "kind", "PUT", f"/v1/hosts/{host['id']}", says="egress_limit",
                    body={**kept, "kind": "ovs"})

    def test_too_many_rules(self):
        """As many as a VPC may have, in two groups; not one more, nor in another group."""
        rules = [{"direction": "ingress", "protocol": "tcp", "port_min": n} for n in range(9000)]
        self.make("security-groups", name="a", vpc="blue", rules=rules)
        self.make("security-groups", name="b", vpc="blue", rules=rules[:999])
        self.refuse(409, "rules", "POST", "/v1/security-groups",
                    says="10001 rules, more than 10000",
                    body={"name": "c", "vpc": "blue", "rules": rules[:1]})
        self.refuse(409, "rules", "PUT", "/v1/security-groups/b", says="10001 rules",
                    body={"vpc": "blue", "rules": rules[:1000]})
        self.expect(200, "PUT", "/v1/security-groups/a", {"vpc": "blue", "rules": rules[1:]})
        self.expect(200, "PUT", "/v1/security-groups/b", {"vpc": "blue", "rules": rules[:1000]})

    def test_conflicts(self):
        self.cluster("other", 9)
        self.make("hosts", **host(3, cluster="other", ip="172.16.9.9"))
        self.make("vpcs", name="green", tenant="red", cluster="zgc")
        group = self.make("security-groups", name="far", vpc="green")
        port1 = self.expect(200, "GET", "/v1/ports/p1")
        for kind, field, says, body in (
                ("tenants", "name", "red", {"name": "red"}),
                ("tenants", "id", "", {"id": self.expect(200, "GET", "/v1/tenants/red")["id"]}),
                ("clusters", "name", "zgc", {"name": "zgc", "entrance_first": "172.30.0.1",
                                             "entrance_last": "172.30.0.1"}),
                ("nodes", "name", "gw1", node(9, name="gw1")),
                ("nodes", "name", 'host "host1"', node(9, name="host1")),
                ("hosts", "name", 'node "gw1"', host(9, name="gw1")),
                ("nodes", "tenant.ip", 'cluster "zgc"', node(9, tenant={
                    "interface": "a", "ip": "172.16.0.3", "mac": "02:00:00:00:00:01"})),
                ("nodes", "zgc.ip", 'node "gw1"', node(9, zgc={
                    "interface": "a", "ip": "172.17.1.1", "mac": "02:00:00:00:00:01"})),
                ("nodes", "zgc.mac", 'node "gw1"', node(9, zgc={
                    "interface": "a", "ip": "172.17.1.9", "mac": "02:00:00:00:02:01"})),
                ("hosts", "ip", 'node "gw1"', host(9, ip="172.16.1.1")),
                ("hosts", "ip", 'host "host1"', host(9, ip="172.16.2.1")),
                ("vpcs", "vni", 'vni 100 is used by vpc "blue"',
                 {"tenant": "red", "cluster": "zgc", "vni": 100}),
                ("subnets", "cidr", 'subnet "web"', {"vpc": "blue", "cidr": "10.0.1.128/25"}),
                ("subnets", "cidr", 'subnet "web"', {"vpc": "blue", "cidr": "10.0.0.0/16"}),
                ("subnets", "name", "web", {"vpc": "blue", "name": "web", "cidr": "10.5.0.0/16"}),
                ("subnets", "gateway_mac", 'port "p1"',
                 {"vpc": "blue", "cidr": "10.5.0.0/16", "gateway_mac": port1["mac"]}),
                ("ports", "name", "p1", port(9, name="p1")),
                ("ports", "mac", 'port "p1"', port(9, mac=port1["mac"])),
                ("ports", "mac", 'subnet "web"', port(9, mac="02:5b:00:00:00:01")),
                ("ports", "ips[1]", 'port "p1"', port(9, ips=["10.0.1.99", "10.0.1.11"])),
                ("ports", "ips[0]", 'subnet "web"', port(9, ips=["10.0.1.1"])),
                ("ports", "interface", 'port "p1"', port(9, interface="p1")),
                ("ports", "interface", 'host "host1"', port(9, interface="eth0")),
                ("ports", "host", 'host "host3"', port(9, host="host3")),
                ("ports", "security_groups[0]", "another vpc",
                 port(9, security_groups=[group["id"]]))):
            with self.subTest(kind=kind, field=field, says=says):
                self.refuse(409, field, "POST", f"/v1/{kind}", body, says=says)
        # Other VPCs may have the same addresses; other clusters have their own.
        self.make("subnets", name="web", vpc="green", cidr="10.0.1.0/24")
        self.make("ports", **port(1, vpc="green", interface="green"))
        self.make("hosts", **host(4, cluster="other", ip="172.16.2.1"))
        # A subnet that leaves ports outside, and a gateway that a port has.
        self.refuse(409, "cidr", "PUT", "/v1/subnets/web?vpc=blue",
                    {"vpc": "blue", "cidr": "10.0.1.0/29"}, says='port "p1"')
        self.refuse(409, "gateway", "PUT", "/v1/subnets/web?vpc=blue",
                    {"vpc": "blue", "cidr": "10.0.1.0/24", "gateway": "10.0.1.11"},
                    says='port "p1"')
        self.refuse(409, "entrance_first", "PUT", "/v1/clusters/zgc",
                    {"entrance_first": "172.16.0.1", "entrance_last": "172.16.0.4",
                     "name": "zgc"} | {"entrance_first": "172.16.1.1",
                                       "entrance_last": "172.16.1.1"}, says='node "gw1"')

    def test_host_of_several_clusters(self):
        near, far = self.cluster("near", 5), self.cluster("far", 6)
        for name, third, more in (("geneve", 7, {"overlay": "geneve"}),
                                  ("elsewhere", 8, {"oam_port": 8400}),
                                  ("small", 9, {"tenant_mtu": 1400}),
                                  ("inside", 5, {"name": "inside"})):
            self.make("clusters", **{"name": name, "entrance_first": f"172.16.{third}.3",
                                     "entrance_last": f"172.16.{third}.3", **more})
        one = {"name": "host1", "cluster": "zgc"}
        for others, field, says in (
                (["geneve"], "other_clusters[0]", 'overlay of clusters "zgc" and "geneve"'),
                (["near", "elsewhere"], "other_clusters[1]", "oam_port"),
                (["small"], "other_clusters[0]", "tenant_mtu"),
                (["near", "inside"], "other_clusters[1]", "an entrance in common"),
                (["zgc"], "other_clusters[0]", '"zgc" is there twice'),
                (["near", near["id"]], "other_clusters[1]", '"near" is there twice')):
            with self.subTest(others=others):
                self.refuse(409, field, "PUT", "/v1/hosts/host1",
                            host(1, other_clusters=others), says=says)
        self.refuse(404, "other_clusters[1]", "PUT", "/v1/hosts/host1",
                    host(1, other_clusters=["near", "none"]))
        self.refuse(400, "other_clusters", "PUT", "/v1/hosts/host1",
                    host(1, other_clusters=["near"] * 8))
        # Its address is one of each cluster's underlay.
        self.make("hosts", **host(2, cluster="near", ip="172.16.2.1"))
        self.refuse(409, "ip", "PUT", "/v1/hosts/host1", host(1, other_clusters=["near"]),
                    says='host "host2"')
        self.expect(204, "DELETE", "/v1/hosts/host2")

        self.make("vpcs", name="green", tenant="red", cluster="near")
        self.make("subnets", name="green", vpc="green", cidr="10.0.1.0/24")
        self.refuse(409, "host", "POST", "/v1/ports", port(2, vpc="green"), says="other_clusters")
        kept = self.expect(200, "PUT", "/v1/hosts/host1",
                           host(1, other_clusters=["near", "far"]))
        self.assertEqual(kept["other_clusters"], [near["id"], far["id"]])
        self.make("ports", **port(2, vpc="green"))
        self.refuse(409, "other_clusters", "PUT", "/v1/hosts/host1",
                    host(1, other_clusters=["far"]), says='port "p2"')
        self.expect(200, "PUT", "/v1/hosts/host1", host(1, other_clusters=["near"]))
        self.expect(204, "DELETE", "/v1/clusters/far")
        self.refuse(409, None, "DELETE", "/v1/clusters/near")
        # What hosts rely on stays: with the clusters that they know.
        self.expect(200, "PUT", "/v1/hosts/host1", host(1, other_clusters=["near"]))
        zgc, near = ({"name": name, "entrance_first": f"172.16.{third}.1",
                      "entrance_last": f"172.16.{third}.4"}
                     for name, third in (("zgc", 0), ("near", 5)))
        for body, field, says in ((near | {"overlay": "geneve"}, "overlay", '"near" and "zgc"'),
                                  (zgc | {"oam_port": 9000}, "oam_port", '"zgc" and "near"'),
                                  (zgc | {"tenant_mtu": 1300}, "tenant_mtu", "carry VPCs"),
                                  (near | {"entrance_first": "172.16.0.4",
                                           "entrance_last": "172.16.0.9"}, "entrance_first",
                                   "an entrance in common")):
            with self.subTest(field=field):
                self.refuse(409, field, "PUT", f"/v1/clusters/{body['name']}", body, says=says)
        self.expect(200, "PUT", "/v1/clusters/zgc", zgc | {"heartbeat_ms": 20})
        self.expect(200, "PUT", "/v1/clusters/inside",
                    {"name": "inside", "entrance_first": "172.16.5.3",
                     "entrance_last": "172.16.5.3", "overlay": "geneve"})

    def test_vpc_to_another_cluster(self):
        self.cluster("near", 5)
        self.make("clusters", name="geneve", entrance_first="172.16.6.1",
                  entrance_last="172.16.6.1", overlay="geneve")
        blue = {"name": "blue", "tenant": "red", "vni": 100}
        self.assertIsNone(self.expect(200, "GET", "/v1/vpcs/blue")["move"])
        self.refuse(409, "cluster", "PUT", "/v1/vpcs/blue", blue | {"cluster": "geneve"},
                    says='overlay of clusters "zgc" and "geneve"')
        # Nobody is connected here, so no chain was founded.
        self.refuse(409, "cluster", "PUT", "/v1/vpcs/blue", blue | {"cluster": "near"},
                    says='cluster "zgc" has no chains that work yet')
        self.refuse(400, "move", "PUT", "/v1/vpcs/blue", blue | {"cluster": "zgc", "move": None})
        self.expect(200, "PUT", "/v1/vpcs/blue", blue | {"cluster": "zgc", "sessions": 5})

    def test_bodies(self):
        for raw in (b"", b"{", b"[]", b"null", b"3", b'"x"', b"{} {}", b'{"name": "a", "name": "b"}',
                    b'{"name": "\\u0000"}', b'{"name": "\xff"}', b"\x00", b"{'name': 'x'}",
                    b"[" * 100000, b'{"a":' * 20 + b"1" + b"}" * 20, b"1e999", b'{"name": 1e999}',
                    b'{"vni": 1000000000000000000000}'):
            with self.subTest(raw=raw[:40]):
                self.refuse(400, "body", "POST", "/v1/tenants", raw=raw)
        # Brackets inside of strings are no depth.
        self.expect(201, "POST", "/v1/tenants", {"name": "deep", "description": "[" * 900 + "\"{"})

    def test_sizes(self):
        big = json.dumps({"name": "big", "description": "x" * (4 << 20)}).encode()
        self.assertEqual(self.sized(big)[0], 413)
        fits = json.dumps({"name": "fits"}).encode()
        fits += b" " * ((4 << 20) - len(fits))
        self.assertEqual(self.sized(fits)[0], 201)
        self.assertEqual(self.sized(fits + b" ")[0], 413)
        self.expect(200, "GET", "/v1/tenants/fits")
        # A length that is announced is refused before any of it is sent.
        answer = self.raw(b"POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
                          b"\r\nContent-Length: 99999999999\r\n\r\n")
        self.assertIn(b" 413 ", answer)
        answer = self.raw(b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertRegex(answer, rb"^(HTTP/1.1 4[13][14] |$)")
        answer = self.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100000 + b"\r\n\r\n")
        self.assertRegex(answer, rb"^(HTTP/1.1 431 |$)")

    def sized(self, raw):
        """A refusal may come while the body is still being sent."""
        try:
            return self.ask("POST", "/v1/tenants", raw=raw)
        except (BrokenPipeError, ConnectionResetError):
            return self.ask("POST", "/v1/tenants", raw=b"", headers={
                "Content-Length": str(len(raw))})

    def raw(self, data, cut=False):
        with socket.create_connection(("127.0.0.1", self.controller.port), PATIENCE) as s:
            try:
                s.sendall(data)
                if cut:
                    return b""
                s.shutdown(socket.SHUT_WR)
                answer = b""
                while chunk := s.recv(65536):
                    answer += chunk
                return answer
            except OSError:  # closed before it was read
                return b""

    def test_heads(self):
        self.expect(415, "POST", "/v1/tenants", raw=b"{}", headers={"Content-Type": "text/plain"})
        self.expect(415, "POST", "/v1/tenants", raw=b"{}", headers={"Content-Type": None})
        self.expect(415, "PUT", "/v1/tenants/red", raw=b"{}",
                    headers={"Content-Type": "application/jsonx"})
        self.expect(201, "POST", "/v1/tenants", raw=b'{"name":"utf"}',
                    headers={"Content-Type": "Application/JSON; charset=utf-8"})
        for head in (b"Transfer-Encoding: chunked\r\n", b""):
            answer = self.raw(b"POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Type: "
                              b"application/json\r\n" + head + b"\r\n2\r\n{}\r\n0\r\n\r\n")
            self.assertIn(b" 411 ", answer.split(b"\r\n")[0])
        for garbage in (b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"x" * 70000,
                        b"GET / HTTP/9.9\r\n\r\n",
                        b"POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                        b"POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n"):
            self.assertNotIn(b" 20", self.raw(garbage)[:14])
        self.expect(200, "GET", "/healthz")

    def test_truncated(self):
        before = self.revision()
        head = (b"POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 15\r\n\r\n")
        for part in (head[:20], head[:-2], head, head + b'{"name"', head + b'{"name":"cut"}'):
            self.raw(part, cut=True)
            self.assertNotIn(b" 20", self.raw(part)[:14])
        self.assertEqual(self.revision(), before)
        self.assertEqual(self.expect(200, "GET", "/v1/tenants?name=cut")["items"], [])

    def test_many_idle_connections(self):
        """Connections that say nothing do not keep others from being served."""
        idle = [socket.create_connection(("127.0.0.1", self.controller.port), PATIENCE)
                for _ in range(100)]
        try:
            self.expect(200, "GET", "/healthz")
        finally:
            for s in idle:
                s.close()


class Concurrency(Case):
    def race(self, requests):
        """Sends all at once; returns their statuses, sorted."""
        barrier = threading.Barrier(len(requests))
        got = []

        def one(method, path, body):
            barrier.wait(PATIENCE)
            got.append(self.ask(method, path, body)[0])
        threads = [threading.Thread(target=one, args=request) for request in requests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(len(got), len(requests))
        return sorted(got)

    def test_conflicting(self):
        self.world()
        won = [201] + [409] * 11
        self.assertEqual(self.race([("POST", "/v1/vpcs", {"name": f"v{n}", "tenant": "red",
                                                          "cluster": "zgc", "vni": 777})
                                    for n in range(12)]), won)
        self.assertEqual(self.race([("POST", "/v1/ports", port(20 + n, ips=["10.0.1.200"]))
                                    for n in range(12)]), won)
        self.assertEqual(self.race([("POST", "/v1/tenants", {"name": "same"})
                                    for _ in range(12)]), won)
        self.assertEqual(self.race([("POST", "/v1/subnets", {"vpc": "blue",
                                                             "cidr": f"10.{n}.0.0/8"})
                                    for n in [0]] +
                                   [("POST", "/v1/subnets", {"vpc": "blue", "cidr":
                                                             f"10.{n}.0.0/16"})
                                    for n in range(1, 3)]).count(201), 2)
        self.assertEqual(len(self.expect(200, "GET", "/v1/vpcs")["items"]), 2)

    def test_guarded_replacements(self):
        self.world()
        now = self.expect(200, "GET", "/v1/tenants/red")["revision"]
        self.assertEqual(self.race([("PUT", "/v1/tenants/red", {"description": f"{n}",
                                                                "revision": now})
                                    for n in range(8)]), [200] + [409] * 7)

    def test_create_and_delete(self):
        """A port never refers to a host that went at the same moment."""
        self.world()
        for n in range(5, 15):
            self.make("hosts", **host(n))
            self.race([("DELETE", f"/v1/hosts/host{n}", None),
                       ("POST", "/v1/ports", port(n, host=f"host{n}"))])
            hosts = {item["id"] for item in self.expect(200, "GET", "/v1/hosts")["items"]}
            for item in self.expect(200, "GET", "/v1/ports")["items"]:
                self.assertIn(item["host"], hosts)

    def test_independent(self):
        self.world()
        self.assertEqual(self.race([("POST", "/v1/ports", port(20 + n)) for n in range(24)]),
                         [201] * 24)
        items = self.expect(200, "GET", "/v1/ports")["items"]
        self.assertEqual(len({item["revision"] for item in items}), 25)


class Restart(Case):
    def test_killed(self):
        self.world()
        self.expect(201, "POST", "/zgcs", {**ZGC, "ip_start": "172.20.0.1",
                                           "ip_end": "172.20.0.2"})
        self.make("nodes", **node(2))
        self.expect(204, "DELETE", "/v1/nodes/gw2")
        before, revision = self.everything(), self.revision()
        self.controller.kill()
        self.controller = self.start()
        self.assertEqual(self.everything(), before)
        self.assertEqual(self.revision(), revision)
        # Claims hold, counting goes on.
        self.refuse(409, "vni", "POST", "/v1/vpcs",
                    {"tenant": "red", "cluster": "zgc", "vni": 100})
        self.make("nodes", **node(3))
        self.assertEqual(self.revision(), revision + 1)
        self.assertEqual(self.controller.stop(), 0)
        self.controller = self.start()
        self.expect(200, "GET", "/v1/nodes/gw3")

    def test_killed_while_writing(self):
        """What was answered is there; nothing is there by half."""
        self.world()
        answered = []
        stop = threading.Event()

        def write():
            n = 20
            while not stop.is_set() and n < 200:
                try:
                    if self.ask("POST", "/v1/ports", port(n))[0] == 201:
                        answered.append(f"p{n}")
                except (OSError, http.client.HTTPException):
                    return
                n += 1
        writer = threading.Thread(target=write)
        writer.start()
        while len(answered) < 10 and writer.is_alive():
            self.revision()
        self.controller.kill()
        stop.set()
        writer.join(PATIENCE)
        self.controller = self.start()
        names = [p["name"] for p in self.expect(200, "GET", "/v1/ports")["items"]]
        self.assertLessEqual(set(answered), set(names))
        self.assertLessEqual(len(names), len(answered) + 2)
        for name in names:
            self.expect(204, "DELETE", f"/v1/ports/{name}")


class Zeta(Case):
    def test_zgcs(self):
        zgc = self.expect(201, "POST", "/zgcs", ZGC)
        self.assertEqual({k: zgc[k] for k in ZGC}, ZGC)
        self.assertEqual([g["ip"] for g in zgc["gws"]], ["172.16.0.1", "172.16.0.2"])
        path = "/zgcs/" + zgc["zgc_id"]
        self.assertEqual(self.expect(200, "GET", path), zgc)
        self.assertEqual(self.expect(200, "GET", "/zgcs"), [zgc])
        cluster = self.expect(200, "GET", "/v1/clusters/ZGC_1")
        self.assertEqual(cluster["id"], zgc["zgc_id"])
        self.expect(200, "PUT", "/v1/clusters/ZGC_1",
                    {"entrance_first": "172.16.0.1", "entrance_last": "172.16.0.2", "replicas": 2,
                     "vpc_first_packets_per_s": 7, "vpc_sessions": 8})
        new = {**ZGC, "zgc_id": zgc["zgc_id"], "ip_end": "172.16.0.3", "port_ibo": 8301,
               "overlay_type": "geneve", "description": None}
        zgc = self.expect(200, "PUT", path, new)
        self.assertEqual((zgc["port_ibo"], zgc["overlay_type"], len(zgc["gws"])),
                         ("8301", "geneve", 3))
        cluster = self.expect(200, "GET", "/v1/clusters/ZGC_1")
        self.assertEqual([cluster[f] for f in ("replicas", "vpc_first_packets_per_s",
                                               "vpc_sessions")], [2, 7, 8])
        for field, value in (("ip_end", "172.16.0.0"), ("port_ibo", "0"), ("port_ibo", "x"),
                             ("port_ibo", "4789"), ("overlay_type", "gre"), ("name", None),
                             ("ip_start", ""), ("colour", 1), ("port_ibo", "99999999999999")):
            self.refuse(400, field, "POST", "/zgcs", {**ZGC, "name": "b", field: value})
        self.refuse(400, "ip_end", "POST", "/zgcs", {**ZGC, "name": "b", "ip_end": "172.16.0.0"},
                    says="ip_end must be the first entrance or one of")
        self.refuse(409, "name", "POST", "/zgcs", ZGC)
        self.refuse(400, "zgc_id", "PUT", path, {**ZGC, "zgc_id": "other"})
        self.expect(404, "PUT", "/zgcs/x", ZGC)
        self.expect(201, "POST", "/nodes", ZETA_NODE)
        self.refuse(409, None, "DELETE", path, says='node "znode1"')
        self.expect(204, "DELETE", "/nodes/znode1")
        self.expect(204, "DELETE", path)
        self.expect(404, "GET", path)

    def test_nodes(self):
        self.expect(201, "POST", "/zgcs", ZGC)
        made = self.expect(201, "POST", "/nodes", ZETA_NODE)
        self.assertEqual((made["ip_tenant"], made["ip_zgc"], made["mac_tenant"]),
                         ("172.16.1.9", "172.16.1.9", "52:54:00:a9:3f:b9"))
        v1 = self.expect(200, "GET", "/v1/nodes/znode1")
        self.assertEqual(v1["roles"], ["fwd", "ftn"])
        self.assertEqual(v1["tenant"], {"interface": "ens4", "ip": "172.16.1.9",
                                        "mac": "52:54:00:a9:3f:b9"})
        self.assertEqual(self.expect(200, "GET", "/nodes/" + made["id"]), made)
        self.assertEqual(self.expect(200, "GET", "/nodes"), [made])
        moved = self.expect(200, "PUT", "/nodes/" + made["id"],
                            {**ZETA_NODE, "ip_control": "172.16.1.10", "ip_zgc": "172.17.0.10"})
        self.assertEqual((moved["ip_tenant"], moved["ip_zgc"]), ("172.16.1.10", "172.17.0.10"))
        moved = self.expect(200, "PUT", "/nodes/" + made["id"],
                            {**ZETA_NODE, "ip_control": "172.16.1.11"})
        self.assertEqual((moved["ip_tenant"], moved["ip_zgc"]), ("172.16.1.11", "172.17.0.10"))
        for field, value in (("ip_control", None), ("inf_tenant", ""), ("mac_zgc", "x"),
                             ("mac_tenant", 1), ("zgc_id", None), ("pwd_control", 5)):
            self.refuse(400, field, "POST", "/nodes", {**ZETA_NODE, "name": "b", field: value})
        self.refuse(404, "zgc_id", "POST", "/nodes", {**ZETA_NODE, "name": "b", "zgc_id": "x"})
        other = {**ZETA_NODE, "name": "b", "mac_zgc": "52:54:00:00:00:01"}
        self.refuse(409, "ip_tenant", "POST", "/nodes", {**other, "ip_control": "172.16.1.11"})
        self.refuse(409, "name", "POST", "/nodes", {**ZETA_NODE, "ip_control": "172.16.1.12"})
        self.expect(204, "DELETE", "/nodes/" + made["id"])

    def test_password_is_forgotten(self):
        self.expect(201, "POST", "/zgcs", ZGC)
        self.expect(201, "POST", "/nodes", ZETA_NODE)
        self.ask("POST", "/nodes", raw=json.dumps(ZETA_NODE).encode()[:-9])
        self.ask("POST", "/nodes", raw=b'{"pwd_control": correct-horse-battery}')
        self.assertEqual(self.controller.stop(), 0)
        for name in os.listdir(self.directory):
            with open(os.path.join(self.directory, name), "rb") as stored:
                text = stored.read()
            self.assertNotIn(b"correct-horse", text, name)
            self.assertNotIn(b"ubuntu", text, name)

    def test_vpcs(self):
        self.refuse(409, None, "POST", "/vpcs", {"vpc_id": "zv", "vni": "5"}, says="no zgc")
        zgc = self.expect(201, "POST", "/zgcs", ZGC)
        made = self.expect(201, "POST", "/vpcs", {"vpc_id": "zv", "vni": "5"})
        self.assertEqual(made, {"id": "zv", "vpc_id": "zv", "vni": "5", "zgc_id": zgc["zgc_id"],
                                "name": "zv", "gws": zgc["gws"], "port_ibo": "8300", "ports": []})
        self.assertEqual(self.expect(200, "GET", "/vpcs/zv"), made)
        self.assertEqual(self.expect(200, "GET", "/vpcs"), [made])
        self.assertIsNone(self.expect(200, "GET", "/v1/vpcs/zv")["tenant"])
        self.assertEqual(self.expect(200, "GET", "/zgcs?vpc=zv"),
                         {k: zgc[k] for k in ("zgc_id", "name", "description", "gws", "port_ibo")})
        self.expect(404, "GET", "/zgcs?vpc=x")
        self.make("tenants", name="red")
        self.expect(200, "PUT", "/v1/vpcs/zv", {"tenant": "red", "cluster": "ZGC_1",
                                                "limit": {"packets_per_s": 9}})
        renamed = self.expect(200, "PUT", "/vpcs/zv", {"vpc_id": "zv", "vni": 5, "name": "blue"})
        self.assertEqual(renamed["name"], "blue")
        kept = self.expect(200, "GET", "/v1/vpcs/zv")
        self.assertIsNotNone(kept["tenant"])
        self.assertEqual(kept["limit"]["packets_per_s"], 9)
        self.refuse(409, "vni", "PUT", "/vpcs/zv", {"vpc_id": "zv", "vni": 6})
        self.refuse(400, "vpc_id", "PUT", "/vpcs/zv", {"vpc_id": "other", "vni": 5})
        self.refuse(409, "vni", "POST", "/vpcs", {"vpc_id": "b", "vni": "5"})
        self.refuse(409, "vpc_id", "POST", "/vpcs", {"vpc_id": "zv", "vni": "6"})
        for field, value in (("vni", "0"), ("vni", "-5"), ("vni", "16777216"), ("vni", "0x5"),
                             ("vni", None), ("vpc_id", "a b"), ("tenant", "red")):
            self.refuse(400, field, "POST", "/vpcs", {"vpc_id": "c", "vni": "7", field: value})
        self.expect(204, "DELETE", "/vpcs/zv")

    def zeta_world(self):
        self.expect(201, "POST", "/zgcs", ZGC)
        self.expect(201, "POST", "/vpcs", {"vpc_id": "zv", "vni": "5"})

    def test_ports(self):
        self.zeta_world()
        zgc_id = self.expect(200, "GET", "/zgcs")[0]["zgc_id"]
        sent = [zeta_port(1), zeta_port(2, ips_port=[{"ip": "10.9.0.2", "vip": "192.0.2.2"},
                                                     {"ip": "10.9.0.22", "vip": ""}])]
        made = self.expect(201, "POST", "/ports", sent)
        self.assertEqual(made, [{**p, "zgc_id": zgc_id} for p in sent])
        self.assertEqual(self.expect(200, "GET", "/ports"), made)
        self.assertEqual(self.expect(200, "GET", "/ports/z2"), made[1])
        self.assertEqual(self.expect(200, "GET", "/vpcs/zv")["ports"], ["z1", "z2"])
        hosts = self.expect(200, "GET", "/v1/hosts")["items"]
        self.assertEqual([(h["ip"], h["kind"]) for h in hosts], [("172.16.9.1", "ovs")])
        # A logical change keeps what only this API knows.
        self.expect(200, "PUT", "/v1/ports/z2", {
            "vpc": "zv", "host": "172.16.9.1", "mac": "02:00:00:00:05:02",
            "ips": ["10.9.0.2", "10.9.0.22"], "description": "x"})
        self.assertEqual(self.expect(200, "GET", "/ports/z2"), made[1])
        # Two ports exchange their addresses, one moves to another host.
        policy = self.policy("zv")
        sent = [zeta_port(1, ips_port=sent[1]["ips_port"], ip_node="172.16.9.2",
                          mac_node="02:00:00:00:06:02"), zeta_port(2, ips_port=sent[0]["ips_port"])]
        made = self.expect(200, "PUT", "/ports", sent)
        self.assertEqual(made, [{**p, "zgc_id": zgc_id} for p in sent])
        self.assertEqual(self.policy("zv"), policy + 1)
        self.assertEqual(self.expect(200, "GET", "/v1/ports/z2")["description"], "x")
        now = self.revision()
        self.assertEqual(self.expect(200, "PUT", "/ports", sent), made)
        self.assertEqual(self.revision(), now)
        # Hosts that came with ports go with their last one.
        self.expect(204, "DELETE", "/ports/z1")
        self.assertEqual([h["ip"] for h in self.expect(200, "GET", "/v1/hosts")["items"]],
                         ["172.16.9.1"])
        self.expect(200, "PUT", "/ports", [zeta_port(2, ip_node="172.16.9.3",
                                                     mac_node="02:00:00:00:06:03")])
        self.assertEqual([h["ip"] for h in self.expect(200, "GET", "/v1/hosts")["items"]],
                         ["172.16.9.3"])
        self.expect(204, "DELETE", "/ports/z2")
        self.assertEqual(self.expect(200, "GET", "/v1/hosts")["items"], [])
        self.expect(204, "DELETE", "/vpcs/zv")
        self.expect(204, "DELETE", "/zgcs/ZGC_1")

    def test_hosts_that_were_there(self):
        self.zeta_world()
        self.make("hosts", **host(1, cluster="ZGC_1", kind="ovs", interface=None))
        self.expect(201, "POST", "/ports", [zeta_port(1, ip_node="172.16.2.1",
                                                      mac_node="02:00:00:00:03:01")])
        self.expect(204, "DELETE", "/ports/z1")
        self.expect(200, "GET", "/v1/hosts/host1")

    def test_all_or_none(self):
        self.zeta_world()
        self.expect(201, "POST", "/ports", [zeta_port(1)])
        before = self.everything()
        good = zeta_port(2)
        for status, field, bad in (
                (409, "[1].ips_port[0].ip", zeta_port(3, ips_port=[{"ip": "10.9.0.2", "vip": ""}])),
                (409, "[1].ips_port[0].ip", zeta_port(3, ips_port=[{"ip": "10.9.0.1", "vip": ""}])),
                (409, "[1].port_id", zeta_port(1)), (400, "[1].port_id", zeta_port(2)),
                (409, "[1].mac_port", zeta_port(3, mac_port="02:00:00:00:05:02")),
                (409, "[1].mac_node", zeta_port(3, mac_node="02:00:00:00:06:77")),
                (409, "[1].ip_node", zeta_port(3, ip_node="172.16.0.1")),
                (404, "[1].vpc_id", zeta_port(3, vpc_id="x")),
                (400, "[1].vpc_id", zeta_port(3, vpc_id=None)),
                (400, "[1].port_id", zeta_port(3, port_id="a b")),
                (400, "[1].ips_port", zeta_port(3, ips_port=[])),
                (400, "[1].ips_port[0].ip", zeta_port(3, ips_port=[{"vip": ""}])),
                (400, "[1].ips_port[0].vip", zeta_port(3, ips_port=[{"ip": "10.9.0.3",
                                                                     "vip": "x"}])),
                (400, "[1].mac_port", zeta_port(3, mac_port="x")),
                (400, "[1].ip_node", zeta_port(3, ip_node="")),
                (400, "[1].colour", zeta_port(3, colour=1)),
                (400, "[1].", 5)):
            with self.subTest(field=field, bad=bad):
                self.refuse(status, field, "POST", "/ports", [good, bad])
        for method in ("POST", "PUT"):
            self.refuse(400, "body", method, "/ports", [])
            self.refuse(400, "body", method, "/ports", zeta_port(3))
        self.refuse(400, "[1].port_id", "PUT", "/ports", [zeta_port(1), zeta_port(1)])
        self.refuse(409, "[0].ip_node", "PUT", "/ports", [zeta_port(1, ip_node="172.16.0.1")])
        self.refuse(404, "[1].port_id", "PUT", "/ports",
                    [zeta_port(1, mac_port="02:00:00:00:05:99"), zeta_port(9)])
        self.assertEqual(self.everything(), before)

    def test_many_ports(self):
        self.zeta_world()
        many = [zeta_port(1, port_id=f"m{n}", mac_port=f"02:00:00:01:{n >> 8:02x}:{n & 255:02x}",
                          ips_port=[{"ip": f"10.9.{n >> 8}.{n & 255}", "vip": ""}],
                          ip_node=f"172.16.10.{n % 200 + 1}",
                          mac_node=f"02:00:00:00:07:{n % 200:02x}") for n in range(1, 1001)]
        before = self.revision()
        self.assertEqual(len(self.expect(201, "POST", "/ports", many)), 1000)
        self.assertEqual(self.revision(), before + 1)
        self.assertEqual(len(self.expect(200, "GET", "/v1/ports?vpc=zv")["items"]), 1000)
        many[999]["ips_port"] = many[0]["ips_port"]
        self.refuse(409, "[999].ips_port[0].ip", "PUT", "/ports", many)


class Token(Case):
    def start(self):
        path = os.path.join(self.directory, "token")
        with open(path, "w", encoding="ascii") as token:
            token.write("0123456789abcdef-secret\n")
        self.options = ("--token-file", path)
        return super().start()

    def test_token(self):
        self.headers = {"Authorization": "Bearer 0123456789abcdef-secret"}
        self.expect(201, "POST", "/v1/tenants", {"name": "red"})
        for header in (None, "Bearer", "Bearer ", "Bearer 0123456789abcdef-secreT",
                       "Bearer 0123456789abcdef-secret0", "Bearer 0123456789abcdef",
                       "Basic 0123456789abcdef-secret", "0123456789abcdef-secret"):
            self.headers = {"Authorization": header}
            status, _, headers = self.ask("GET", "/v1/tenants")
            self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"))
            self.expect(401, "POST", "/v1/tenants", {"name": "blue"})
            self.expect(401, "GET", "/zgcs")
            self.expect(401, "GET", "/nothing")
            self.expect(200, "GET", "/healthz")
        self.assertNotIn("0123456789abcdef-secret", self.controller.log())

    def test_short_token(self):
        path = os.path.join(self.directory, "short")
        with open(path, "w", encoding="ascii") as token:
            token.write("short\n")
        with self.assertRaises(AssertionError):
            Controller(self.directory, "--token-file", path)


class Tls(Case):
    options = ("--rest-tls",)

    def connect(self):
        context = ssl.create_default_context(cafile=f"{Certificates.make()}/ca.pem")
        return http.client.HTTPSConnection("127.0.0.1", self.controller.port, timeout=PATIENCE,
                                           context=context)

    def test_tls(self):
        self.make("tenants", name="red")
        plain = http.client.HTTPConnection("127.0.0.1", self.controller.port, timeout=PATIENCE)
        with self.assertRaises((http.client.HTTPException, OSError)):
            plain.request("GET", "/healthz")
            plain.getresponse()
        plain.close()


class Zz(unittest.TestCase):
    def test_every_operation_was_seen(self):
        """Runs last: each operation answered as it should at least once."""
        missing = [(template, method) for template, item in API["paths"].items()
                   for method in item if method != "parameters"
                   and not any(seen[:2] == (template, method) and seen[2] < 300 for seen in SEEN)]
        self.assertEqual(missing, [])


if __name__ == "__main__":
    try:
        unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
    finally:
        if Certificates.directory:
            shutil.rmtree(Certificates.directory, True)
