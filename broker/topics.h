// SPDX-License-Identifier: Apache-2.0
/* The topics of the configuration (leat.topics): made by main before the shards start, constant afterwards, read by all
 * shards. Each partition has a slot, a number from 0 to slot_count - 1, by which shards index their tables.
 *
 * Until metadata gives random ids, a topic's id is a function of its name (topic_id_of), so that it is the same at each
 * start and after the order of the list has changed. */
#pragma once
#include "base/mem.h"
#include "protocol/uuid.h"
#include "protocol/wire.h"
#include "storage/types.h"

#define TOPIC_PARTITIONS_MAX 100000

struct topic {
    char name[TOPIC_NAME_MAX + 1];
    struct topic_id id;
    int32_t partition_count;
    uint32_t first_slot;
};

struct topics {
    struct mem *mem;
    struct topic *list; /* sorted by name */
    uint32_t count, room;
    uint32_t slot_count;
};

void topics_init(struct topics *t, struct mem *m);
void topics_deinit(struct topics *t);
/* spec: "name" or "name:partitions". INVALID with a sentence in ret_error; NO_MEMORY. */
MUST_CHECK enum status topics_add(struct topics *t, const char *spec, size_t size, int32_t default_partitions,
                                  char ret_error[256]);
/* After the last topics_add: sorts, gives out slots. INVALID: a name stands twice. */
MUST_CHECK enum status topics_seal(struct topics *t, char ret_error[256]);

/* NULL: none of that name or id. */
const struct topic *topics_by_name(const struct topics *t, struct str name);
const struct topic *topics_by_id(const struct topics *t, struct uuid id);

bool topics_name_valid(const char *name, size_t size); /* as Kafka: 1 to 249 of [a-zA-Z0-9._-], not . or .. */
struct topic_id topic_id_of(const char *name);
static inline struct uuid topic_uuid(const struct topic *t)
{
    struct uuid u;
    memcpy(u.b, t->id.b, sizeof u.b);
    return u;
}
static inline struct str topic_str(const struct topic *t)
{
    return (struct str){t->name, (int32_t)strlen(t->name)};
}
