// SPDX-License-Identifier: Apache-2.0
// The table of embedded objects, from the skeletons that the build generates.
#include "node/objects.h"

#include "node/messages.h"
#include "shared/config.h"
#include "shared/steps.h"

// They name the types of shared/, so they come last.
#include "acl.skel.h"
#include "bouncer.skel.h"
#include "divider.skel.h"
#include "edge.skel.h"
#include "function.skel.h"
#include "gateway.skel.h"
#include "loadbalancer.skel.h"
#include "nat.skel.h"
#include "pacemaker.skel.h"
#include "peering.skel.h"
#include "securitygroup.skel.h"

#define GATEWAY (NODE_FWD | NODE_FTN)

const struct embedded_object embedded_objects[] = {
	{"gateway", GATEWAY, gateway__elf_bytes, 0},
	{"divider", GATEWAY, divider__elf_bytes, FUNCTION_DIVIDER},
	{"bouncer", GATEWAY, bouncer__elf_bytes, FUNCTION_BOUNCER},
	{"securitygroup", GATEWAY, securitygroup__elf_bytes, FUNCTION_SECURITY_GROUP},
	{"acl", GATEWAY, acl__elf_bytes, FUNCTION_ACL},
	{"loadbalancer", GATEWAY, loadbalancer__elf_bytes, FUNCTION_LOAD_BALANCER},
	{"nat", GATEWAY, nat__elf_bytes, FUNCTION_NAT},
	{"peering", GATEWAY, peering__elf_bytes, FUNCTION_PEERING},
	{"function", 0, function__elf_bytes, 0}, // with each that is pushed
	{"pacemaker", GATEWAY, pacemaker__elf_bytes, 0},
	{"edge", NODE_EDGE, edge__elf_bytes, 0},
	{},
};

const struct step_program step_programs[] = {
	// clang-format off
	{STEP_TABLE, "table"},
	{STEP_DECIDED, "decided"},
	{STEP_REPLY, "reply"},
	{STEP_COMPLAINT, "complaint"},
	{STEP_MOVING, "moving"},
	{STEP_BEAT, "beat"},
	{STEP_RELAY, "relay"},
	{STEP_REFUSAL, "refusal"},
	{STEP_SEEN, "seen"},
	{STEP_PASSED, "passed"},
	{STEP_SIDE, "side"},
	{STEP_COPY_OUT, "copy_out"},
	{STEP_COPY_IN, "copy_in"},
	{STEP_ALIASES, "aliases"},
	{STEP_ALIASED, "aliased"},
	{STEP_TRANSLATE, "translate"},
	{STEP_RECALL, "recall"},
	{STEP_CHOOSE, "choose"},
	{STEP_CHECK_IN, "check_in"},
	{STEP_TENANT6, "tenant6"},
	{STEP_COMPLAINT6, "complaint6"},
	{STEP_ADVERTISE, "advertise"},
	{STEP_FRAGMENT, "fragment"},
	{STEP_MAPPING, "mapping"},
	{STEP_MAPPED, "mapped"},
	{STEP_UNMAPPED, "unmapped"},
	{STEP_TRANSLATE6, "translate6"},
	{STEP_SHIELD, "shield"},
	{STEP_ADMITTED, "admitted"},
	{STEP_ADMITTED6, "admitted6"},
	{STEP_HAND_OVER, "hand_over"},
	{}, // ends the list
	// clang-format on
};
