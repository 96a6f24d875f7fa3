// SPDX-License-Identifier: Apache-2.0
/* Topics by name and by id, and in name order: pointers to the image's immutable topics. Each shard has one; shard 0's
 * own is inside the image. It borrows the topics; who holds them is image.h's rule.
 *
 * Look-ups by name and id are a hash (XXH3, seeded per process or zero: no order of ours depends on it) and take a
 * constant time; iteration goes in byte order of the names. Memory: MEM_CONTROL, about 50 bytes a topic. */
#pragma once
#include "base/mem.h"
#include "protocol/uuid.h"
#include "protocol/wire.h"

struct image_topic;
struct topic_index;

struct topic_index *topic_index_create(struct mem *m); /* NULL: no room */
void topic_index_destroy(struct topic_index *x);       /* NULL is fine; the topics stay */

/* old NULL: insert; new NULL: remove; both: replace (same id; the name never changes). CHECKs that old is in, and that
 * no other topic has the name or id of new. NO_MEMORY (insert only): nothing changed. */
enum status topic_index_change(struct topic_index *x, const struct image_topic *old,
                               const struct image_topic *new) MUST_CHECK;
/* Makes sure that `more` further inserts cannot fail. */
enum status topic_index_reserve(struct topic_index *x, uint32_t more) MUST_CHECK;

const struct image_topic *topic_index_by_name(const struct topic_index *x, struct str name); /* NULL: none */
const struct image_topic *topic_index_by_id(const struct topic_index *x, struct uuid id);    /* NULL: none */
uint32_t topic_index_count(const struct topic_index *x);

/* The first topic whose name is above `after` (null: the first of all); NULL: none. For loops that are interrupted. */
const struct image_topic *topic_index_after(const struct topic_index *x, struct str after);

/* A walk in name order; valid until the next insertion or removal (replacing is fine). */
struct topic_cursor {
    const struct topic_index *index;
    uint32_t block, at;
};
static inline struct topic_cursor topic_index_first(const struct topic_index *x)
{
    return (struct topic_cursor){.index = x};
}
const struct image_topic *topic_cursor_next(struct topic_cursor *c); /* NULL: end */

void topic_index_check(const struct topic_index *x); /* CHECKs the whole structure */
