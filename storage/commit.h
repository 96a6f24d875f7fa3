// SPDX-License-Identifier: Apache-2.0
/* A closed group on its way to disk; journal.c's other half (commit.c). */
#pragma once
#include "storage/journal.h"

/* Writes the group's header and begins its flow; fewer than COMMITS_IN_FLIGHT are in flight. */
void commit_submit(struct commit *c);
/* Frees a commit that is in no queue. */
void commit_free(struct commit *c);
/* Tells, in sequence, what became durable (or, after a failure, that nothing will). */
void journal_settle(struct journal *j);
/* The mark of a live group. */
struct mark *journal_mark_at(const struct journal *j, uint64_t sequence);
/* Counts j->ahead anew: the head has entered a file, or one has no live group any more. */
void journal_look_ahead(struct journal *j);
/* For recovery: the next live group in sequence. */
enum status journal_mark_push(struct journal *j, uint32_t slot, uint64_t pos, uint32_t length) MUST_CHECK;
