// SPDX-License-Identifier: Apache-2.0
/* A ring of counted entries (entry_log.h). Failure modes: NO_MEMORY on append, nothing changed. */
#include "replication/entry_log.h"

#include "base/check.h"
#include <string.h>

#define FIRST_ROOM 64u

void entry_log_init(struct entry_log *l, struct mem *m)
{
    *l = (struct entry_log){.mem = m, .first = 1};
}

void entry_unref(struct mem *m, struct log_entry *e)
{
    CHECK(e->refs > 0);
    if (--e->refs == 0) mem_free(m, MEM_REPLICATION, e, sizeof *e + e->size);
}

static struct log_entry **slot(const struct entry_log *l, uint64_t index)
{
    return &l->ring[index & (l->room - 1)];
}

struct log_entry *entry_log_at(const struct entry_log *l, uint64_t index)
{
    if (index < l->first || index - l->first >= l->count) return NULL;
    struct log_entry *e = *slot(l, index);
    CHECK(e->index == index);
    return e;
}

static enum status grow(struct entry_log *l)
{
    uint32_t room = l->room == 0 ? FIRST_ROOM : l->room * 2;
    CHECK(room > l->room);
    struct log_entry **ring = mem_alloc(l->mem, MEM_REPLICATION, room * sizeof(struct log_entry *));
    if (ring == NULL) return STATUS_NO_MEMORY;
    for (uint64_t i = l->first; i < l->first + l->count; i++) ring[i & (room - 1)] = *slot(l, i);
    mem_free(l->mem, MEM_REPLICATION, l->ring, l->room * sizeof(struct log_entry *));
    l->ring = ring;
    l->room = room;
    return STATUS_OK;
}

enum status entry_log_append(struct entry_log *l, const struct entry_view *v)
{
    if (l->count == l->room && grow(l) != STATUS_OK) return STATUS_NO_MEMORY;
    struct log_entry *e = mem_alloc(l->mem, MEM_REPLICATION, sizeof *e + v->size);
    if (e == NULL) return STATUS_NO_MEMORY;
    *e = (struct log_entry){.index = l->first + l->count, .term = v->term, .type = v->type, .size = v->size, .refs = 1};
    if (v->size > 0) memcpy(e->data, v->data, v->size);
    l->count++;
    *slot(l, e->index) = e;
    l->bytes += e->size;
    return STATUS_OK;
}

static void drop(struct entry_log *l, struct log_entry *e)
{
    CHECK(l->bytes >= e->size);
    l->bytes -= e->size;
    entry_unref(l->mem, e);
}

void entry_log_truncate(struct entry_log *l, uint64_t from)
{
    CHECK(from >= l->first);
    while (l->count > 0 && entry_log_last(l) >= from) {
        drop(l, *slot(l, entry_log_last(l)));
        l->count--;
    }
}

void entry_log_drop_before(struct entry_log *l, uint64_t keep)
{
    CHECK(keep <= entry_log_last(l) + 1);
    while (l->first < keep) {
        drop(l, *slot(l, l->first));
        l->first++;
        l->count--;
    }
}

void entry_log_reset(struct entry_log *l, uint64_t first)
{
    CHECK(first > 0);
    entry_log_truncate(l, l->first);
    l->first = first;
}

void entry_log_deinit(struct entry_log *l)
{
    entry_log_reset(l, 1);
    mem_free(l->mem, MEM_REPLICATION, l->ring, l->room * sizeof(struct log_entry *));
    l->ring = NULL;
    l->room = 0;
}
