/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Known bugs that the simulator and the model can put back into the core, one at a time, to see
// that they find them. Everywhere but in their builds with DFT_BUGS the switch is the constant 0.
#pragma once

//      name, what is left out of the protocol
#define DFT_SIM_BUGS(BUG)                                                                          \
	BUG(EARLY_RELEASE, "O6: the head releases, before the end of the path has stored")         \
	BUG(MIDDLE_RELEASE, "O6: whoever stores releases at once")                                 \
	BUG(REPLICA_EVALUATES, "O5: a replica decides for itself what it does not have")           \
	BUG(NO_TERM_FENCE, "O2: a replication is handled whatever its term")                       \
	BUG(NO_PROMISE_FENCE,                                                                      \
	    "M2, O3: who has promised a term goes on with the lower one, leased or not")           \
	BUG(NO_LEASE, "O3: a tail answers without a lease")                                        \
	BUG(NO_GUARD, "M3: a voter accepts a term at once without a node that it just answered")   \
	BUG(LEASE_BLIND, "M3: a voter that promised a higher term renews leases of a lower one")   \
	BUG(NO_OBSERVATION, "O4: an insert is accepted whatever its evaluator saw")                \
	BUG(NO_FLOOR, "O8: collecting raises no floor")                                            \
	BUG(NO_RESTAMP, "O8: a record pushed under a risen floor keeps its stamp")                 \
	BUG(LEARNER_AT_HEAD, "M5: a returning node joins at the head")                             \
	BUG(LEARNER_UNFILLED, "M5: a learner becomes a replica before its copy is complete")       \
	BUG(LEARNER_PASSED_BY, "M5: a tail answers hits past its learner")                         \
	BUG(TOMBSTONE_PASSED_BY, "M5: a tail decides over a tombstone past its learner")           \
	BUG(READ_BY_STAMP, "M5: what the tail reads for its learner is measured by its old stamp") \
	BUG(BULK_OVERWRITES, "M5: what the tail reads replaces what its learner has stored since") \
	BUG(NO_WIPE, "M5: a removed replica that returns keeps what it had")                       \
	BUG(NO_SUBSET, "M2: a ballot may propose replicas that the last term had removed")         \
	BUG(TWO_SUFFICE, "M2: two voters are a majority, however many there are")                  \
	BUG(NAMES_THE_DEAD, "M2: a ballot names replicas that have not promised in it")            \
	BUG(AMNESIA, "M4: a node that lost its memory votes as if it had not")                     \
	BUG(DRAIN_HASTY, "M6: who is no longer wanted leaves before there are enough others")      \
	BUG(HEARS_ONE_WAY, "M3: who is heard counts as alive though it hears nobody")              \
	BUG(AGER_EVERYWHERE, "O9: every replica ages, by its own timers")                          \
	BUG(AGER_FORGETS, "O9: a delete of a former tail's is obeyed")                             \
	BUG(NO_PUSH, "O9: a head pushes nothing that may have been lost on its way down")          \
	BUG(NO_QUARANTINE, "O10: a tombstone is succeeded without waiting for caches to end")      \
	BUG(NO_CACHE_LIFE, "O10: a forwarder uses an answer for as long as it is asked")           \
	BUG(NO_REPLY_AGE, "O10: a forwarder applies an answer however old it is")                  \
	BUG(ANY_UPDATE, "O7: an update is merged into whatever life the key has")                  \
	BUG(ANY_GENERATION, "O7: what was seen before a session was opened again is merged after") \
	BUG(FULL_FORGETS, "O11: a full replica passes on what it could not store")                 \
	BUG(ALIAS_ADOPTS, "A1: an alias that has an owner serves another session too")             \
	BUG(ALIAS_OVER, "A1: an alias is reserved where a session has just ended")                 \
	BUG(ALIAS_UPDATED, "O7: what is told of a session is merged into the alias after it")      \
	BUG(ALIAS_HASTY, "A3: a session follows when its alias' head alone has that")              \
	BUG(ALIAS_UNPROMISED, "A3: a session begins as another life than its alias names")         \
	BUG(ALIAS_EARLY, "A4: an alias goes before its session")                                   \
	BUG(ALIAS_AGED, "A5: the alias chain deletes by itself, without asking the session")       \
	BUG(ALIAS_NO_FENCE, "A5: a session is called gone without a floor that keeps it gone")     \
	BUG(ALIAS_ANY_LIFE, "A5: a session answers for an alias of another life")                  \
	BUG(ALIAS_TAIL_ASKS, "A5: an alias' tail asks for its session, not its head")              \
	BUG(ALIAS_END_LEFT, "A5: an alias' head does not ask when it has a tombstone")             \
	BUG(ALIAS_UNASKED, "M7: the new chain reserves an alias that the old one has")             \
	BUG(MOVE_UNFENCED, "M7: the new chain owns a bucket when the old head alone is fenced")    \
	BUG(MOVE_NO_ASK, "M7: the new chain decides without asking the old one")                   \
	BUG(MOVE_ANY_ANSWERS, "M7: any node of the old chain answers for it")                      \
	BUG(MOVE_FORMER_HEAD, "M7: a former head answers for the old chain")                       \
	BUG(MOVE_HASTY, "M7: a bucket is complete when the new head alone has all of it")          \
	BUG(MOVE_COLLECTS, "M7: the new chain collects before its copy is complete")               \
	BUG(MOVE_KEEPS, "M7: a bucket that comes back finds what it had left")

// These need views, or deaths, that meet at one moment; the model has all of the ways in which they
// do.
#define DFT_MODEL_BUGS(BUG)                                                                        \
	BUG(VIEW_BY_NEW, "M6: a view changes without the voters before it")                        \
	BUG(VIEW_BY_OLD, "M6: a view changes without the voters after it")                         \
	BUG(PROMISE_FORGETS, "M2: a promise names the list in force, not the one accepted last")   \
	BUG(FORCE_KEEPS, "M6: a forced list names who may lack what was released")

#define DFT_BUG_ENUM(name, text) DFT_BUG_##name,
enum dft_bug {
	DFT_BUG_NONE,
	DFT_SIM_BUGS(DFT_BUG_ENUM) DFT_BUGS_OF_SIM,
	DFT_BUGS_BEFORE = DFT_BUGS_OF_SIM - 1, // the enumeration goes on
	DFT_MODEL_BUGS(DFT_BUG_ENUM) DFT_BUGS_KNOWN
};

#ifdef DFT_BUGS
extern enum dft_bug dft_bug;
#define BUGGY(name) (dft_bug == DFT_BUG_##name)
#else
#define BUGGY(name) 0
#endif
