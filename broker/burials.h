// SPDX-License-Identifier: Apache-2.0
/* Topics that are gone from the metadata while partitions of theirs still lie in a store. A topic of the same name must
 * not be made before the last one is gone: the two would share directories, on different shards (rule A6).
 *
 *   shard 0   a removal is applied -> burials_begin; a call that would make a topic of that name waits (metadata.c)
 *   a shard   the removal comes (intake.c) -> burial_note, held by each of its dying partitions -> the last one is gone
 *             -> message to shard 0; when every shard's has come the name is free, and the calls that wait go on */
#pragma once
#include "base/env.h"
#include "protocol/uuid.h"
#include "protocol/wire.h"

struct shard;

struct burial_note { /* of one topic on one shard */
    struct msg msg;
    struct list_node in_intake;
    struct uuid topic;
    uint32_t holders; /* dying partitions, and the intake while it looks for them */
    struct mem *mem;  /* of the shard that made it */
};
/* One holder. On MEM_CONTROL; a shard that has no room for it must not go on (CHECK). */
struct burial_note *burial_note_create(struct shard *s, struct uuid topic);
void burial_note_drop(struct shard *s, struct burial_note *n); /* a holder less; the last one sends it */

struct burial {
    struct list_node in_burials;
    struct uuid topic;
    struct str name;  /* own copy */
    uint32_t waiting; /* shards */
};

struct burials { /* shard 0's */
    struct mem *mem;
    struct list all;
};
void burials_init(struct burials *b, struct mem *m);
void burials_deinit(struct burials *b);
void burials_begin(struct burials *b, struct uuid topic, struct str name, uint32_t shards);
bool burials_hold(const struct burials *b, struct str name);
/* On shard 0, by burials.c: a name is free. */
void metadata_name_free(struct shard *zero);
