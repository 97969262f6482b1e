// SPDX-License-Identifier: Apache-2.0
// One look follows from all that is stored and reported, so it is the same whatever woke it.
#include "controller/repair.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "controller/status.h"
#include "controller/store.h"
#include "lib/log.h"
#include "lib/own.h"
#include "modules/chain/chain_controller.h"
#include "modules/vpc/transfer_controller.h"

#define LOOK_MS 500 // where nobody reports anything new: time goes by, and who is silent is gone
#define PAUSE_MS 50 // between two looks: a large cluster reports all the time

struct repair {
	struct store *store;
	struct status *status;
	pthread_t worker;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool news, stopping;
};

static void woken(void *arg)
{
	struct repair *r = arg;

	pthread_mutex_lock(&r->lock);
	r->news = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

static void store_changed(uint64_t revision, void *arg)
{
	woken(arg);
}

static int add_id(const struct object *object, void *arg)
{
	return json_array_append_new(arg, json_string(object->id));
}

int repair_look(struct store *store, struct status *status)
{
	auto_(json_decrefp) json_t *clusters = json_array();
	json_t *cluster;
	size_t i;
	int err;

	if (!clusters)
		return -ENOMEM;
	if ((err = store_begin(store)))
		return err;
	err = store_list(store, "clusters", NULL, add_id, clusters);
	json_array_foreach (clusters, i, cluster) {
		if (!err)
			err = view_watch(store, status, json_string_value(cluster));
	}
	if (!err)
		err = transfer_watch(store, status);
	if (!err)
		return store_commit(store);
	store_rollback(store);
	return err;
}

// Waits for news, or until ms have gone by. Returns false when it is time to stop.
static bool wait(struct repair *r, long ms, bool for_news)
{
	struct timespec until;
	bool go_on;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ms * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&r->lock);
	while (!r->stopping && !(for_news && r->news))
		if (pthread_cond_timedwait(&r->wake, &r->lock, &until) == ETIMEDOUT)
			break;
	if (for_news)
		r->news = false;
	go_on = !r->stopping;
	pthread_mutex_unlock(&r->lock);
	return go_on;
}

static void *work(void *argument)
{
	struct repair *r = argument;
	int err;

	while (wait(r, LOOK_MS, true)) {
		err = repair_look(r->store, r->status);
		if (err)
			log_warnx("cannot watch over the clusters, tries again: %s",
				  strerror(-err));
		if (!wait(r, PAUSE_MS, false))
			break;
	}
	return NULL;
}

int repair_start(struct repair **out, struct store *store, struct status *status)
{
	struct repair *r = calloc(1, sizeof(*r));
	pthread_condattr_t monotonic;
	int err;

	if (!r)
		return -ENOMEM;
	r->store = store;
	r->status = status;
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if ((err = store_listen(store, store_changed, r)))
		goto free;
	status_listen(status, woken, r);
	if ((err = -pthread_create(&r->worker, NULL, work, r)))
		goto unlisten;
	*out = r;
	return 0;
unlisten:
	status_listen(status, NULL, NULL);
	store_unlisten(store, store_changed, r);
free:
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->wake);
	free(r);
	return err;
}

void repair_stop(struct repair **pointer)
{
	struct repair *r = *pointer;

	if (!r)
		return;
	status_listen(r->status, NULL, NULL);
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->worker, NULL);
	store_unlisten(r->store, store_changed, r);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->wake);
	free(r);
	*pointer = NULL;
}
