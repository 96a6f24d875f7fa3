// SPDX-License-Identifier: Apache-2.0
/* The metalog's entries in memory: from `first` on without a gap. They are applied, sent and written from here. An
 * entry is counted: a write in flight holds it although the log may have dropped it. On MEM_REPLICATION. */
#pragma once
#include "base/mem.h"

enum entry_type { /* also on disk and on the wire */
                  ENTRY_COMMAND = 1,
                  ENTRY_BARRIER = 2, /* no data for the owner */
                  ENTRY_CHANGE = 3,  /* the voters */
};

struct entry_view { /* borrowed */
    uint64_t term;
    enum entry_type type;
    uint32_t size;
    const uint8_t *data;
};

struct log_entry {
    uint64_t index, term;
    enum entry_type type;
    uint32_t size, refs;
    uint8_t data[];
};

struct entry_log {
    struct mem *mem;
    struct log_entry **ring; /* room: a power of two; entry i at i % room */
    uint32_t room, count;
    uint64_t first; /* index of the first entry, or of the one that would be */
    uint64_t bytes; /* data of all entries */
};

void entry_log_init(struct entry_log *l, struct mem *m); /* first = 1 */
void entry_log_deinit(struct entry_log *l);

static inline uint64_t entry_log_last(const struct entry_log *l) /* first - 1: empty */
{
    return l->first + l->count - 1;
}
struct log_entry *entry_log_at(const struct entry_log *l, uint64_t index); /* NULL: not in it */
/* As index last + 1; the data is copied. NO_MEMORY. */
enum status entry_log_append(struct entry_log *l, const struct entry_view *e) MUST_CHECK;
void entry_log_truncate(struct entry_log *l, uint64_t from);    /* `from` and what follows go */
void entry_log_drop_before(struct entry_log *l, uint64_t keep); /* what is below `keep` goes; keep <= last + 1 */
void entry_log_reset(struct entry_log *l, uint64_t first);      /* all go */

void entry_unref(struct mem *m, struct log_entry *e);
