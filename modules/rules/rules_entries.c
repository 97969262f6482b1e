// SPDX-License-Identifier: Apache-2.0
// Pages have their set's version in their keys, so the table before has them all, old and new, when
// the set's entry changes; the old ones are removed after that.
#include "modules/rules/rules_entries.h"

#include <errno.h>

#include "lib/own.h"
#include "modules/rules/rules.h"

static int read_rule(const Zeta__Node__V1__Rule *from, struct entries *entries, int of_acl,
		     struct rule *to)
{
	*to = (struct rule){
		.direction = from->egress ? RULE_EGRESS : RULE_INGRESS,
		.protocol = (__u8)from->protocol,
		.remote_bits = (__u8)from->remote_length,
		.port_min = (__u16)from->port_min,
		.port_max = (__u16)from->port_max,
		.remote_group = from->remote_group,
		.outcome = of_acl ? rule_outcome(from->priority, from->deny) : RULE_ALLOW,
	};
	if (from->priority > MAX_PRIORITY)
		return entries_refuse(entries, "priority %u is above %u", from->priority,
				      MAX_PRIORITY);
	if (from->protocol > 255)
		return entries_refuse(entries, "protocol %u is above 255", from->protocol);
	if (from->port_max > 65535 || from->port_min > from->port_max)
		return entries_refuse(entries, "ports %u to %u are no range", from->port_min,
				      from->port_max);
	if (!from->protocol && (from->port_min || from->port_max != 65535))
		return entries_refuse(entries, "ports %u to %u of no protocol", from->port_min,
				      from->port_max);
	if (from->remote_length > 128)
		return entries_refuse(entries, "remote length %u is above 128",
				      from->remote_length);
	if (from->remote_group >= RULES_OF_ACL)
		return entries_refuse(entries, "remote group %u is above 2147483647",
				      from->remote_group);
	// Only a rule for anybody, or for a group, needs no remote prefix.
	if (!from->remote.len && !from->remote_length)
		return 0;
	return entries_ip(entries, "remote", from->remote, &to->remote);
}

static int put_pages(struct entries *entries, struct rule_page_key key,
		     const struct rule_book *book)
{
	int err = 0;

	for (; key.page < book->pages && !err;) {
		const union rule_page *page = &book->page[key.page++];

		err = entries->put(entries, TABLE_RULE_PAGES, &key, page);
	}
	return err;
}

int rules_entries(struct entries *entries, enum table table, __u32 number,
		  struct rule_page_key pages, Zeta__Node__V1__Rule *const *rules, size_t count)
{
	auto_(freep) struct rule *read = calloc(count + 1, sizeof(*read));
	struct rule_book book;
	size_t i;
	int err;

	if (!read)
		return -ENOMEM;
	if (count > MAX_RULES)
		return entries_refuse(entries, "%zu rules are more than %u", count, MAX_RULES);
	for (i = 0; i < count; i++)
		if ((err = read_rule(rules[i], entries, pages.set & RULES_OF_ACL, &read[i])))
			return err;
	if ((err = rules_compile(read, count, &book)))
		return err;
	book.set.version = pages.version;
	err = put_pages(entries, pages, &book);
	if (!err)
		err = entries->put(entries, table, &number, &book.set);
	rule_book_free(&book);
	return err;
}
