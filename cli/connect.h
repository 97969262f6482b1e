/* SPDX-License-Identifier: Apache-2.0 */
// Which controller a command means.
#pragma once

#include "cli/cli.h"
#include "cli/inventory.h"

// By --lab, --controller, the environment or the default. For a cloud of the lab this process moves
// into the controller's network namespace. Says what was wrong. The caller ends it with
// controller_leave(), after a failure too. Returns 0 or -errno.
int controller_connect(const struct cli *cli, struct inventory *inventory);
void controller_leave(struct inventory *inventory);
