// SPDX-License-Identifier: Apache-2.0
#include "node/upkeep.h"

#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "node/emitter.h"
#include "wire/dft.h"

// A term becomes known to this node by its own loader, which does not say so here: a copy begins
// so much later, and timers run so much longer.
#define ROLES_MS 20

// Free entries of the outbox below which nothing more is looked at: a session that is due would
// have to wait for the next round.
#define ENOUGH_ROOM (SCAN_BATCH * 2)

static void look(void *context, const struct session_seen *seen)
{
	struct upkeep *upkeep = context;

	recount_look(&upkeep->recount, seen ? &seen->key : NULL, seen ? &seen->record : NULL);
	if (!outbox_is_open(&upkeep->outbox))
		return;
	if (seen)
		ageing_look(&upkeep->ageing, seen);
	else
		ageing_begin(&upkeep->ageing);
}

int upkeep_open(struct upkeep *upkeep, const struct datapath *datapath)
{
	int err;

	*upkeep = (struct upkeep){.datapath = datapath};
	if ((err = survey_open(&upkeep->survey, datapath, look, upkeep)))
		return err;
	if ((err = roles_open(&upkeep->roles)))
		goto close_survey;
	if ((err = copying_open(&upkeep->copying, &upkeep->roles, &upkeep->outbox)))
		goto close_roles;
	if ((err = moving_open(&upkeep->moving, &upkeep->roles, &upkeep->outbox)))
		goto close_copying;
	upkeep->recount = (struct recount){.datapath = datapath, .roles = &upkeep->roles};
	upkeep->ageing = (struct ageing){.roles = &upkeep->roles, .outbox = &upkeep->outbox};
	spare_open(&upkeep->spare);
	return 0;
close_copying:
	copying_close(&upkeep->copying);
close_roles:
	roles_close(&upkeep->roles);
close_survey:
	survey_close(&upkeep->survey);
	return err;
}

void upkeep_close(struct upkeep *upkeep)
{
	spare_close(&upkeep->spare);
	recount_close(&upkeep->recount);
	moving_close(&upkeep->moving);
	copying_close(&upkeep->copying);
	outbox_close(&upkeep->outbox);
	roles_close(&upkeep->roles);
	survey_close(&upkeep->survey);
}

// Programs were loaded: maps may be others, and what the node is.
static void follow_loads(struct upkeep *upkeep)
{
	const struct datapath *d = upkeep->datapath;
	int program, err;

	if (upkeep->loads_seen == d->loads)
		return;
	upkeep->loads_seen = d->loads;
	outbox_close(&upkeep->outbox);
	program = d->settings.roles & NODE_FTN ? datapath_program(d, "emit") : -1;
	if (program < 0) {
		emitter_stop(d->dir);
		return;
	}
	err = emitter_start(d->dir, program);
	if (!err)
		err = outbox_open(&upkeep->outbox, d->own[MAP_OUTBOX], d->own[MAP_OUTBOX_NEXT],
				  program, d->settings.tenant_mtu);
	if (!err && ((err = roles_use(&upkeep->roles, d->tables[TABLE_BUCKETS],
				      d->tables[TABLE_ORIGINS])) ||
		     (err = copying_use(&upkeep->copying, d->own[MAP_COPIES], d->own[MAP_FLOORS],
					d->own[MAP_SESSIONS], d->own[MAP_FLAT_SESSIONS],
					d->tables[TABLE_TRANSFER])) ||
		     (err = moving_use(&upkeep->moving, d->own[MAP_DEPARTURES],
				       d->own[MAP_SESSIONS], d->own[MAP_FLAT_SESSIONS]))))
		outbox_close(&upkeep->outbox);
	if (err)
		log_warnx("this node ends no sessions, copies none and hands none over: %s",
			  strerror(-err));
	upkeep->ageing.narrow = d->table == SESSIONS_FLAT;
	upkeep->roles_ms = 0;
}

static void read_roles(struct upkeep *upkeep, __u64 now)
{
	const struct datapath *d = upkeep->datapath;

	if (now < upkeep->roles_ms)
		return;
	upkeep->roles_ms = now + ROLES_MS;
	roles_read(&upkeep->roles, d->tables[TABLE_CHAINS], d->settings.index,
		   upkeep->ageing.now_s);
	copying_follow(&upkeep->copying);
	moving_follow(&upkeep->moving, d->tables[TABLE_TRANSFER]);
	if (upkeep->moving.under_way)
		upkeep->ageing.moved_s = upkeep->ageing.now_s;
	recount_follow(&upkeep->recount, upkeep->moving.move, upkeep->moving.under_way);
}

static void told(void *context, const struct outbox_entry *entry, __u8 owner, int confirmed)
{
	struct upkeep *upkeep = context;

	if (entry->op == DFT_COPY)
		copying_told(&upkeep->copying, entry, owner, confirmed);
	else
		moving_told(&upkeep->moving, entry, owner, confirmed);
}

// What can wait yields to packets.
static int send_some(struct upkeep *upkeep)
{
	struct outbox *outbox = &upkeep->outbox;

	if (!outbox_idle(outbox))
		outbox->per_ms =
			spare_is_short(&upkeep->spare) ? OUTBOX_SHORT_PER_MS : OUTBOX_PER_MS;
	return outbox_send(outbox);
}

static int sooner(int a, int b)
{
	return a < b ? a : b;
}

int upkeep_step(struct upkeep *upkeep)
{
	__u32 room;
	int wait, err;

	follow_loads(upkeep);
	if (!outbox_is_open(&upkeep->outbox))
		return survey_step(&upkeep->survey, UINT32_MAX);
	err = outbox_clock(&upkeep->outbox, &upkeep->ageing.now_s);
	if (!err) {
		read_roles(upkeep, now_ms());
		outbox_settle(&upkeep->outbox, told, upkeep);
		wait = sooner(copying_step(&upkeep->copying), moving_step(&upkeep->moving));
		room = outbox_room(&upkeep->outbox);
		wait = sooner(wait, room < ENOUGH_ROOM ? 1 : survey_step(&upkeep->survey, room));
		err = send_some(upkeep);
	} else {
		wait = ROLES_MS;
	}
	if (err && err != upkeep->error)
		log_warnx("this node cannot send what it should: %s", strerror(-err));
	upkeep->error = err;
	if (!err && outbox_ready(&upkeep->outbox))
		return 0;
	return sooner(outbox_idle(&upkeep->outbox) ? ROLES_MS : 1, wait);
}
