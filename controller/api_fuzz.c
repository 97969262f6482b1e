// SPDX-License-Identifier: Apache-2.0
// Fuzzes requests: the first line is a method and a path, the rest is the body. Whatever comes, the
// answer is a sound one, and never that the controller failed.
#include "controller/api.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

// A store that grows without end would only slow this down.
#define REQUESTS_PER_STORE 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const world[][2] = {
	{"/v1/tenants", "{\"id\":\"t\"}"},
	{"/v1/clusters",
	 "{\"id\":\"c\",\"entrance_first\":\"10.0.0.1\",\"entrance_last\":\"10.0.0.2\"}"},
	{"/v1/nodes",
	 "{\"id\":\"n\",\"cluster\":\"c\",\"roles\":[\"fwd\",\"ftn\"],"
	 "\"tenant\":{\"interface\":\"a\",\"ip\":\"10.0.1.1\",\"mac\":\"02:00:00:00:00:01\"},"
	 "\"zgc\":{\"interface\":\"b\",\"ip\":\"10.0.2.1\",\"mac\":\"02:00:00:00:00:02\"}}"},
	{"/v1/hosts",
	 "{\"id\":\"h\",\"cluster\":\"c\",\"ip\":\"10.0.3.1\",\"mac\":\"02:00:00:00:00:03\","
	 "\"interface\":\"a\"}"},
	{"/v1/vpcs", "{\"id\":\"v\",\"tenant\":\"t\",\"cluster\":\"c\",\"vni\":5}"},
	{"/v1/subnets", "{\"id\":\"s\",\"vpc\":\"v\",\"cidr\":\"10.1.0.0/24\"}"},
	{"/v1/security-groups",
	 "{\"id\":\"g\",\"vpc\":\"v\",\"rules\":[{\"direction\":\"egress\"}]}"},
	{"/v1/ports", "{\"id\":\"p\",\"vpc\":\"v\",\"host\":\"h\",\"mac\":\"02:00:00:00:00:04\","
		      "\"ips\":[\"10.1.0.2\"],\"interface\":\"p\",\"security_groups\":[\"g\"]}"},
	{"/v1/load-balancers",
	 "{\"id\":\"b\",\"vpc\":\"v\",\"ip\":\"10.1.0.9\",\"listeners\":[{\"protocol\":\"tcp\","
	 "\"port\":80,\"backends\":[{\"port\":\"p\"}]}]}"},
	{"/v1/vpcs", "{\"id\":\"x\",\"tenant\":\"t\",\"cluster\":\"c\",\"external\":true}"},
	{"/v1/subnets", "{\"id\":\"o\",\"vpc\":\"x\",\"cidr\":\"10.2.0.0/24\"}"},
	{"/v1/nats", "{\"id\":\"n\",\"vpc\":\"v\",\"external_vpc\":\"x\","
		     "\"addresses\":[\"10.2.0.9\"],\"subnets\":[\"s\"]}"},
	{"/v1/vpcs", "{\"id\":\"w\",\"tenant\":\"t\",\"cluster\":\"c\"}"},
	{"/v1/subnets", "{\"id\":\"q\",\"vpc\":\"w\",\"cidr\":\"10.3.0.0/24\"}"},
	{"/v1/peerings", "{\"id\":\"k\",\"vpc\":\"v\",\"peer\":\"w\"}"},
	{"/v1/peerings", "{\"id\":\"l\",\"vpc\":\"w\",\"peer\":\"v\"}"},
	{"/v1/route-tables", "{\"id\":\"r\",\"vpc\":\"v\",\"routes\":[{\"prefix\":\"0.0.0.0/0\","
			     "\"next_hop\":\"10.1.0.2\"}]}"},
	{"/ports",
	 "[{\"port_id\":\"z\",\"vpc_id\":\"v\",\"ips_port\":[{\"ip\":\"10.1.0.3\",\"vip\":\"\"}],"
	 "\"mac_port\":\"02:00:00:00:00:05\",\"ip_node\":\"10.0.3.2\","
	 "\"mac_node\":\"02:00:00:00:00:06\"}]"},
};

static void make_world(struct model *model)
{
	struct api_request request = {.method = "POST"};
	struct api_answer answer;
	size_t i;

	if (store_open(&model->store, ":memory:") || (!model->status && status_new(&model->status)))
		abort();
	for (i = 0; i < sizeof(world) / sizeof(*world); i++) {
		request.path = world[i][0];
		request.body = world[i][1];
		request.size = strlen(request.body);
		api_handle(model, &request, &answer);
		if (answer.status != 201)
			abort();
		api_answer_free(&answer);
	}
}

static void check(const struct api_answer *answer)
{
	json_t *json = answer->text ? json_loadb(answer->text, answer->size, 0, NULL) : NULL;

	if (answer->status < 200 || answer->status >= 500)
		abort();
	if (!json && answer->status != 204 && strcmp(answer->type, "application/yaml"))
		abort();
	if (answer->status >= 400 &&
	    integer_in(json_object_get(json, "error"), "status") != answer->status)
		abort();
	json_decref(json);
}

static void ask(struct model *model, char *head, const char *body, size_t size)
{
	struct api_request request = {.body = body, .size = size};
	struct api_answer answer;
	char *query, *save = NULL;

	request.method = strtok_r(head, " ", &save);
	request.path = strtok_r(NULL, "\n", &save);
	if (!request.method || !request.path || *request.path != '/')
		return;
	query = strchr(request.path, '?');
	if (query) {
		*query++ = 0;
		request.arguments = 1;
		request.argument[0].name = query;
		request.argument[0].value = "";
		query = strchr(query, '=');
		if (query) {
			*query++ = 0;
			request.argument[0].value = query;
		}
	}
	api_handle(model, &request, &answer);
	check(&answer);
	api_answer_free(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model model;
	static unsigned int requests;
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	char head[128];
	size_t length;

	if (!end || (size_t)(end - data) >= sizeof(head))
		return 0;
	if (requests++ % REQUESTS_PER_STORE == 0) {
		store_freep(&model.store);
		make_world(&model);
	}
	length = (size_t)(end - data);
	memcpy(head, data, length);
	head[length] = 0;
	ask(&model, head, (const char *)end + 1, size - length - 1);
	return 0;
}
