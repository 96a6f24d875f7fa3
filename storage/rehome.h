// SPDX-License-Identifier: Apache-2.0
/* Restart with another shard count (rule A4): journals without a shard are read by shard number % shards, and every
 * partition goes to the shard that owns it now, all before anybody serves. */
#pragma once
#include "storage/store_impl.h"

struct rehome;

/* Reads the journals that have no shard and fall to this one (`journals` were found). One pending op of `parent`; the
 * result, with a sentence in error[], is there when it runs again. */
struct rehome *rehome_open(struct store *s, uint32_t journals, struct task *parent);
/* After all shards have replayed. True if anything on any shard is to be done; the same on every shard. */
bool rehome_needed(const struct store *s);
void rehome_start(struct rehome *h, struct task *parent);
enum status rehome_status(const struct rehome *h, const char **ret_error);
/* After a failure: begins to discard a store of a stray journal, if there is one (one pending op of `parent`); false:
 * none is left. */
bool rehome_discard(struct rehome *h, struct task *parent);
void rehome_free(struct rehome *h); /* the strays are gone */
