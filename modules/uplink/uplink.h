/* SPDX-License-Identifier: Apache-2.0 */
// An uplink and what is announced there, as entries for the loader; and how flow table nodes ask
// whether uplinks lead outside.
#pragma once

#include "api/node.pb-c.h"
#include "node/entries.h"

int uplink_entries(const Zeta__Node__V1__Uplink *uplink, struct entries *entries);
int announcement_entries(const Zeta__Node__V1__Announcement *announcement, struct entries *entries);
// Of a port that is an uplink, at a flow table node.
int uplink_check_entries(const Zeta__Node__V1__Port *port, struct entries *entries);
// It goes: nobody checks it any more.
void uplink_forget(const Zeta__Node__V1__Port *port, struct health_checks *health);
