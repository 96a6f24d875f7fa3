// SPDX-License-Identifier: Apache-2.0
/* Producers of one partition by id, in id order: what producer_state.c keeps of each. For that file only.
 *
 * A directory of sorted arrays ("chunks") of at most 128 slots: finding is two binary searches, inserting shifts one
 * chunk, walking is in order. No hash: clients choose the ids, and the order of a walk must not depend on history.
 * Memory (class MEM_LOG), per producer: 16 bytes of slot (32 at worst) and 32 bytes with one batch, else 128. */
#pragma once
#include "base/mem.h"
#include <stdbool.h>
#include <stdint.h>

#define PRODUCER_WINDOW 5 /* batches kept: Kafka's max.in.flight.requests.per.connection with idempotence */

struct kept_batch {
    int64_t base_offset, max_timestamp_ms;
    uint32_t span;          /* last offset - base offset; sequences span the same */
    int32_t first_sequence; /* NO_SEQUENCE: a marker that began this epoch */
};

struct producer {
    int16_t epoch;            /* of the batches; without meaning while count is 0 */
    uint8_t count;            /* committed batches, of `epoch`, oldest first */
    bool window : 1;          /* has room for PRODUCER_WINDOW batches, else for one */
    bool pending : 1;         /* has pending batches; newest is the number of the last one */
    bool changed : 1;         /* its committed part is not in the table's last record; its chunk says so too */
    uint32_t newest;          /* producer_state.c counts pending batches, modulo 2^32 */
    struct kept_batch kept[]; /* 1 or PRODUCER_WINDOW */
};

struct producer_slot {
    int64_t id;
    struct producer *producer;
};

struct producer_chunk {
    int64_t first_id; /* slots[0].id */
    struct producer_slot *slots;
    uint32_t capacity;
    uint16_t count;
    bool changed; /* some producer in it may be */
};

struct producer_table {
    struct producer_chunk *chunks; /* in id order, none empty, but for an only one */
    struct producer_slot *spare;   /* a chunk's slots: the next insert may split one */
    uint32_t chunk_count, chunk_capacity;
    uint32_t count;
};

struct producer_place {
    uint32_t chunk, slot;
};

struct producer *producer_create(struct mem *mem, bool window); /* zeroed; NULL: no memory */
void producer_destroy(struct mem *mem, struct producer *p);

void producer_table_deinit(struct producer_table *t, struct mem *mem); /* destroys the producers too */
void producer_table_check(const struct producer_table *t);
/* The next insert cannot fail. False: no memory, nothing changed. */
bool producer_table_reserve(struct producer_table *t, struct mem *mem);
/* Where `id` is (true) or belongs (false). The place holds until the next insert or remove. */
bool producer_table_find(const struct producer_table *t, int64_t id, struct producer_place *ret_place);
struct producer_slot *producer_table_at(const struct producer_table *t, struct producer_place place);
/* At the place that find gave, after reserve; the table owns the producer now. */
void producer_table_insert(struct producer_table *t, struct producer_place place, int64_t id, struct producer *p);
void producer_table_remove(struct producer_table *t, struct mem *mem, struct producer_place place);
void producer_table_change(struct producer_table *t, struct producer_place place); /* it has changed */
void producer_table_unchange(struct producer_table *t);                            /* all are recorded */
/* Keeps those for which keep() is true, destroys the others, closes gaps. */
void producer_table_filter(struct producer_table *t, struct mem *mem,
                           bool (*keep)(void *arg, const struct producer_slot *slot), void *arg);
