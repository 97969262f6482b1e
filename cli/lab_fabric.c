// SPDX-License-Identifier: Apache-2.0
// The underlay: three bridges in a namespace of their own, and a cable to every machine.
//
//   fabric:   bridge tenant ----+---------+-------+--- hosts (eth0), gateway nodes (tenant0)
//             bridge zgc --------------+--------------- gateway nodes (zgc0)
//             bridge control --+---+---+---+---+------- all (ctl0) and the controller
//   host:     one interface per endpoint, named as its port, without an address
//   endpoint: eth0
#include "cli/lab.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static int open_new(const struct cloud *cloud, const char *name, struct netns *out)
{
	char path[CLOUD_PATH];
	int err = netns_make(out, cloud_path(cloud, path, "net", name));

	return err ? sorry(err, "cannot make namespace %s: %s", path, strerror(-err)) : 0;
}

// Plugs interface of machine into a bridge; the fabric's end is called as the machine, shortened
// to its number where that is too long, with the bridge's initial.
static int plug(const struct netns *fabric, const struct netns *machine, const char *interface,
		const char *bridge, const char *name, size_t number, const uint8_t *mac,
		const struct segment *segment, const struct in6_addr *address, char port[16])
{
	struct link_end ours = {fabric, port, NULL}, theirs = {machine, interface, mac};
	int err;

	if (strlen(name) + 2 < 16)
		snprintf(port, 16, "%.13s.%c", name, bridge[0]);
	else
		snprintf(port, 16, "machine%zu.%c", number % 100000, bridge[0]);
	if ((err = link_veth(&ours, &theirs, segment->mtu)) ||
	    (err = link_join(fabric, port, bridge)) ||
	    (err = link_address(machine, interface, address, segment->bits)) ||
	    (err = link_up(machine, interface)))
		return sorry(err, "cannot connect %s's %s: %s", name, interface, strerror(-err));
	return 0;
}

static int like_a_wire(const struct netns *fabric, const char *port)
{
	int err = link_like_a_wire(fabric, port);

	return err ? sorry(err, "cannot set the offloads of %s: %s", port, strerror(-err)) : 0;
}

static int plug_machine(const struct topology *topology, size_t number, const struct netns *fabric,
			const struct netns *netns)
{
	const struct machine *machine = &topology->machine[number];
	char port[16];
	int err;

	err = plug(fabric, netns, "ctl0", "control", machine->name, number, NULL,
		   &topology->control, &machine->control_ip, port);
	if (err)
		return err;
	if (machine->is_host)
		return plug(fabric, netns, "eth0", "tenant", machine->name, number,
			    machine->tenant_mac, &topology->tenant, &machine->tenant_ip, port);
	if ((err = plug(fabric, netns, "tenant0", "tenant", machine->name, number,
			machine->tenant_mac, &topology->tenant, &machine->tenant_ip, port)) ||
	    (err = like_a_wire(fabric, port)) ||
	    (err = plug(fabric, netns, "zgc0", "zgc", machine->name, number, machine->zgc_mac,
			&topology->zgc, &machine->zgc_ip, port)))
		return err;
	return like_a_wire(fabric, port);
}

static int plug_endpoint(const struct topology *topology, const struct endpoint *endpoint,
			 const struct netns *host, const struct netns *netns)
{
	struct link_end theirs = {host, endpoint->interface, NULL};
	struct link_end ours = {netns, "eth0", endpoint->mac};
	int err;

	if ((err = link_veth(&ours, &theirs, topology->tenant_mtu)) ||
	    (err = link_address(netns, "eth0", &endpoint->ip, endpoint->bits)) ||
	    (err = link_up(netns, "eth0")) || (err = link_up(host, endpoint->interface)) ||
	    (endpoint->has_gateway && (err = route_default(netns, &endpoint->gateway))))
		return sorry(err, "cannot connect endpoint %s: %s", endpoint->name, strerror(-err));
	return 0;
}

static int build_bridges(const struct topology *topology, const struct netns *fabric)
{
	const struct {
		const char *name;
		unsigned int mtu;
	} bridge[] = {{"tenant", topology->tenant.mtu},
		      {"zgc", topology->zgc.mtu},
		      {"control", topology->control.mtu}};
	size_t i;
	int err;

	for (i = 0; i < sizeof(bridge) / sizeof(bridge[0]); i++)
		if ((err = link_bridge(fabric, bridge[i].name, bridge[i].mtu)) ||
		    (err = link_up(fabric, bridge[i].name)))
			return sorry(err, "cannot make bridge %s: %s", bridge[i].name,
				     strerror(-err));
	return 0;
}

static int build_machines(const struct cloud *cloud, const struct topology *topology,
			  const struct netns *fabric, struct netns *netns)
{
	size_t i;
	int err;

	for (i = 0; i < topology->machines; i++)
		if ((err = open_new(cloud, topology->machine[i].name, &netns[i])) ||
		    (err = plug_machine(topology, i, fabric, &netns[i])) || (err = lab_pause(0)))
			return err;
	return 0;
}

static int build_endpoints(const struct cloud *cloud, const struct topology *topology,
			   const struct netns *machines)
{
	size_t i;
	int err;

	for (i = 0; i < topology->endpoints; i++) {
		const struct endpoint *endpoint = &topology->endpoint[i];
		struct netns netns = NETNS_NONE;

		err = open_new(cloud, endpoint->name, &netns);
		if (!err)
			err = plug_endpoint(topology, endpoint,
					    &machines[endpoint->host - topology->machine], &netns);
		netns_close(&netns);
		if (err || (err = lab_pause(0)))
			return err;
	}
	return 0;
}

int fabric_build(const struct cloud *cloud, const struct topology *topology,
		 struct netns *controller)
{
	struct netns fabric = NETNS_NONE, *machines;
	char port[16];
	size_t i;
	int err;

	machines = calloc(topology->machines, sizeof(*machines));
	if (!machines)
		return sorry(-ENOMEM, "out of memory");
	for (i = 0; i < topology->machines; i++)
		machines[i] = NETNS_NONE;
	if ((err = open_new(cloud, "fabric", &fabric)) ||
	    (err = build_bridges(topology, &fabric)) ||
	    (err = open_new(cloud, "controller", controller)) ||
	    (err = plug(&fabric, controller, "ctl0", "control", "controller", 0, NULL,
			&topology->control, &topology->controller_ip, port)) ||
	    (err = build_machines(cloud, topology, &fabric, machines)))
		goto out;
	err = build_endpoints(cloud, topology, machines);
out:
	for (i = 0; i < topology->machines; i++)
		netns_close(&machines[i]);
	free(machines);
	netns_close(&fabric);
	return err;
}
