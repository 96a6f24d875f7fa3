// SPDX-License-Identifier: Apache-2.0
/* Trace ring and hash (trace.h). The hash multiplies and rotates every field in, in order: equal hashes mean, but for
 * chance, equal histories; it is no defence against an adversary. Failure mode: a shard without room has no trace and
 * passes NULL. A dump reads other shards' rings while they may still write: a record may print garbled, nothing more.
 */
#include "base/trace.h"
#include "base/bytes.h"
#include "base/check.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

struct trace {
    struct mem *mem;
    uint64_t count, hash;
    uint32_t capacity;
    struct trace_record records[];
};

enum { DUMPED_MAX = 256 };
static struct trace *_Atomic dumped[DUMPED_MAX];

static const char *const kind_names[TRACE_KINDS] = {
    [TRACE_EVENT] = "event",    [TRACE_TASK_START] = "start", [TRACE_STAGE] = "stage",
    [TRACE_TASK_WAIT] = "wait", [TRACE_TASK_WAKE] = "wake",   [TRACE_TASK_DONE] = "done"};

static size_t trace_bytes(uint32_t capacity)
{
    return sizeof(struct trace) + capacity * sizeof(struct trace_record);
}

struct trace *trace_create(struct mem *m, uint32_t capacity)
{
    CHECK(capacity > 0 && (capacity & (capacity - 1)) == 0);
    struct trace *t = mem_alloc(m, MEM_CONTROL, trace_bytes(capacity));
    if (t == NULL) return NULL;
    *t = (struct trace){.mem = m, .capacity = capacity, .hash = 0x4c656174u};
    return t;
}

void trace_destroy(struct trace *t)
{
    if (t == NULL) return;
    for (unsigned i = 0; i < DUMPED_MAX; i++) {
        struct trace *mine = t;
        atomic_compare_exchange_strong(&dumped[i], &mine, NULL);
    }
    mem_free(t->mem, MEM_CONTROL, t, trace_bytes(t->capacity));
}

/* Odd constants from the fraction of the golden ratio and of pi. */
static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v * 0x9e3779b97f4a7c15u;
    h = (h << 31) | (h >> 33);
    return h * 0x243f6a8885a308d3u + 1;
}

static uint64_t mix_text(uint64_t h, const char *s)
{
    for (; s != NULL && *s != '\0'; s++) h = mix(h, (uint8_t)*s);
    return mix(h, s == NULL);
}

void trace_add(struct trace *t, const struct trace_record *r)
{
    if (t == NULL) return;
    CHECK(r->kind < TRACE_KINDS);
    t->records[t->count++ & (t->capacity - 1)] = *r;
    uint64_t h = mix(t->hash, (uint64_t)r->time.v);
    h = mix(h, (uint64_t)r->kind << 32 | r->stage);
    h = mix(mix(mix(h, r->task), r->a), r->b);
    t->hash = mix_text(mix_text(h, r->name), r->stage_name);
}

void trace_event(struct trace *t, struct mono_ns time, const char *name, uint64_t a, uint64_t b)
{
    trace_add(t, &(struct trace_record){.time = time, .kind = TRACE_EVENT, .name = name, .a = a, .b = b});
}

uint64_t trace_hash(const struct trace *t)
{
    return t->hash;
}

uint64_t trace_count(const struct trace *t)
{
    return t->count;
}

const struct trace_record *trace_newest(const struct trace *t, uint32_t i)
{
    if (i >= MIN(t->count, t->capacity)) return NULL;
    return &t->records[(t->count - 1 - i) & (t->capacity - 1)];
}

void trace_format(const struct trace_record *r, char *line, size_t size)
{
    const char *kind = r->kind < TRACE_KINDS ? kind_names[r->kind] : "?";
    snprintf(line, size, "%lld.%06lldms task=%" PRIu64 " %s %s %s%sa=%" PRIu64 " b=%" PRIu64, r->time.v / NS_PER_MS,
             r->time.v % NS_PER_MS, r->task, kind, r->name != NULL ? r->name : "-",
             r->stage_name != NULL ? r->stage_name : "", r->stage_name != NULL ? " " : "", r->a, r->b);
}

void trace_print(const struct trace *t, void (*line)(const char *text, void *arg), void *arg)
{
    char text[256];
    for (uint32_t i = (uint32_t)MIN(t->count, t->capacity); i > 0; i--) {
        trace_format(trace_newest(t, i - 1), text, sizeof text);
        line(text, arg);
    }
}

static void dump_line(const char *text, void *arg)
{
    (void)arg;
    check_print(text);
}

static void dump_all(void)
{
    for (unsigned i = 0; i < DUMPED_MAX; i++) {
        struct trace *t = atomic_load(&dumped[i]);
        if (t != NULL) trace_print(t, dump_line, NULL);
    }
}

void trace_dump_on_check(struct trace *t)
{
    for (unsigned i = 0; i < DUMPED_MAX; i++) {
        struct trace *none = NULL;
        if (atomic_compare_exchange_strong(&dumped[i], &none, t)) break;
    }
    check_set_dump(dump_all);
}
