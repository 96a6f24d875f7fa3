// SPDX-License-Identifier: Apache-2.0
/* Trace of one shard: a ring of the last small binary records and a running 64-bit hash over all records ever added.
 * Two runs of the simulator with the same seed have the same hash; a CHECK dumps the rings that are registered.
 * Adding never fails or waits. Records hold no addresses except of static strings, which the hash takes by content. */
#pragma once
#include "base/clock.h"
#include "base/mem.h"

enum trace_kind {
    TRACE_EVENT,      /* name: what; a, b: its numbers */
    TRACE_TASK_START, /* name: flow; stage, stage_name: first */
    TRACE_STAGE,      /* entered; a: ns spent in the stage before, b: that stage */
    TRACE_TASK_WAIT,  /* stage waits; a: I/Os pending */
    TRACE_TASK_WAKE,  /* the wait is over */
    TRACE_TASK_DONE,  /* a: ns spent in the last stage */
    TRACE_KINDS
};

struct trace_record {
    struct mono_ns time;
    uint64_t task; /* 0: none */
    uint64_t a, b;
    const char *name, *stage_name; /* static strings; stage_name may be NULL */
    uint32_t kind;                 /* enum trace_kind */
    uint32_t stage;
};

struct trace;

/* capacity: records kept, a power of two (64 bytes each, MEM_CONTROL). NULL when there is no room. */
struct trace *trace_create(struct mem *m, uint32_t capacity);
void trace_destroy(struct trace *t); /* NULL is fine; unregisters it too */

void trace_add(struct trace *t, const struct trace_record *r); /* t NULL: nothing */
/* The short form for an event. */
void trace_event(struct trace *t, struct mono_ns time, const char *name, uint64_t a, uint64_t b);

uint64_t trace_hash(const struct trace *t);  /* of all records so far */
uint64_t trace_count(const struct trace *t); /* records ever added */
/* The i-th newest record (0: last), NULL if it is not in the ring. Valid until the next trace_add. */
const struct trace_record *trace_newest(const struct trace *t, uint32_t i);
/* One line, NUL-terminated, cut at size. */
void trace_format(const struct trace_record *r, char *line, size_t size);
/* Oldest to newest. */
void trace_print(const struct trace *t, void (*line)(const char *text, void *arg), void *arg);

/* CHECK will print this trace from now on (up to 256 of them, one per shard; more are left out). Any thread. Not for
 * traces whose memory is abandoned (mem_abandon): only trace_destroy unregisters. */
void trace_dump_on_check(struct trace *t);
