// SPDX-License-Identifier: Apache-2.0
// From options to a connection.
#include "cli/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "cli/lab_cloud.h"
#include "lib/json.h"
#include "lib/own.h"

static int lab_connect(const struct cli *cli, struct inventory *inventory)
{
	struct cloud cloud = {.lock = -1};
	auto_(closep) int net = -1;
	char path[CLOUD_PATH];
	int err;

	err = cloud_open(&cloud, cli->lab);
	if (err)
		return err;
	net = open(cloud_path(&cloud, path, "net", "controller"), O_RDONLY | O_CLOEXEC);
	if (net < 0 || setns(net, CLONE_NEWNET))
		err = sorry(-errno, "cannot enter %s: %s", path, strerror(errno));
	else
		err = rest_open(&inventory->rest, text_or_empty(cloud.state, "controller"),
				cli->token_file);
	cloud_close(&cloud);
	return err;
}

int controller_connect(const struct cli *cli, struct inventory *inventory)
{
	*inventory = (struct inventory){};
	if (cli->lab)
		return lab_connect(cli, inventory);
	return rest_open(&inventory->rest, cli->controller ? cli->controller : REST_DEFAULT,
			 cli->token_file);
}

void controller_leave(struct inventory *inventory)
{
	inventory_free(inventory);
	rest_freep(&inventory->rest);
}
