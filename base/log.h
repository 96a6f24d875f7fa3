// SPDX-License-Identifier: Apache-2.0
/* Structured log: one line per event, `time LEVEL event shard=0 key=value ...`. Texts with blanks, quotes, = or control
 * characters are quoted and escaped, so a line is always one line. The sink is set by main; nothing here does I/O.
 *
 * Each event may write LOG_BURST lines per second; what is held back is counted and shown as suppressed=N on its next
 * line. One struct log per shard, embedded; not thread-safe, the sink must be if shards share it. */
#pragma once
#include "base/clock.h"
#include "base/status.h"
#include <stddef.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_field_kind { LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_UINT };

struct log_field {
    const char *key;
    enum log_field_kind kind;
    const char *text; /* NULL prints as - */
    int64_t number;   /* UINT: its bits */
};

#define LOG_STR(k, v)    ((struct log_field){.key = (k), .kind = LOG_FIELD_TEXT, .text = (v)})
#define LOG_INT(k, v)    ((struct log_field){.key = (k), .kind = LOG_FIELD_INT, .number = (int64_t)(v)})
#define LOG_UINT(k, v)   ((struct log_field){.key = (k), .kind = LOG_FIELD_UINT, .number = (int64_t)(uint64_t)(v)})
#define LOG_STATUS(k, v) LOG_STR(k, status_text(v))

#define LOG_LINE_MAX 1024 /* bytes; longer lines are cut and end in ... */
#define LOG_BURST    10
#define LOG_EVENTS   64 /* events with a rate of their own; later ones share the last */

struct log_rate {
    const char *event;
    struct mono_ns window;
    uint32_t count;
    uint64_t suppressed;
};

typedef void log_sink(void *arg, enum log_level level, const char *line, size_t size); /* with the newline; borrowed */

struct log {
    log_sink *sink; /* NULL: nothing is written */
    void *sink_arg;
    enum log_level lowest; /* below it nothing is written */
    uint32_t shard;
    struct log_rate rates[LOG_EVENTS];
};

void log_init(struct log *l, log_sink *sink, void *arg, enum log_level lowest, uint32_t shard);
/* event: a static string such as "disk.fenced". */
void log_write(struct log *l, struct mono_ns now, struct wall_ms wall, enum log_level level, const char *event,
               const struct log_field *fields, size_t count);

/* LOG(l, env, LOG_WARN, "disk.full", LOG_STR("path", p), LOG_INT("free", n)); at least one field. env: base/env.h. */
#define LOG(l, e, level, event, ...)                                                                                   \
    log_write(l, (e)->now, (e)->now_wall, level, event, (struct log_field[]){__VA_ARGS__},                             \
              sizeof((struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
