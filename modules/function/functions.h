/* SPDX-License-Identifier: Apache-2.0 */
// Pushed network functions at the loader: the objects that the agent hands over, loaded and put
// into their slots.
#pragma once

#include "node/datapath.h"
#include "node/messages.h"
#include "shared/function.h"

struct function_loaded;

struct functions {
	struct datapath *datapath;
	struct function_loaded *at[PUSHED_FUNCTIONS][FUNCTION_PLACES];
};

void functions_open(struct functions *functions, struct datapath *datapath);
// What runs goes on.
void functions_close(struct functions *functions);

// A checked PUT, REMOVE or KEYS of a table of kind FUNCTIONS. A function that cannot be loaded is
// no error here: functions_tell() says so. *done as in datapath_put().
int functions_put(struct functions *functions, struct message *message, __u32 *done);
int functions_remove(struct functions *functions, struct message *message, __u32 *done);
void functions_keys(struct functions *functions, struct message *message);
// Turns FUNCTION into FUNCTION_IS.
void functions_tell(struct functions *functions, struct message *message);
