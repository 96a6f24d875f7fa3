// SPDX-License-Identifier: Apache-2.0
/* leat consume: records to standard output.
 *
 * Happy path: options -> a reader from..to -> each record by format or as a JSON line -> flushed whenever the next
 * record would have to be waited for.
 * Failure modes: damage is told and passed over, exit code 4 at the end; with --follow a broker that is away is waited
 * for, with one line that says so. */
#include "tools/leat/commands.h"
#include "tools/leat/format.h"
#include "tools/leat/session.h"
#include "tools/leat/when.h"

#include <inttypes.h>
#include <stdlib.h>

static const struct option_spec options[] = {
    {'\0', "from", "WHERE", "beginning, end, an offset, -N (N before the end), a time", NULL},
    {'\0', "to", "WHERE", "stop before it; the end as it is now, unless --follow", NULL},
    {'f', "follow", NULL, "wait for more, from the end on unless --from", NULL},
    {'n', "count", "N", "stop after N records", NULL},
    {'p', "partition", "LIST", "only these: 0,2,5-7", NULL},
    {'F', "format", "STRING", "how to write a record (%v\\n)", NULL},
    {'\0', NULL, NULL, NULL, NULL},
};

static const char text[] =
    "Times are ISO 8601 (2026-11-25, 2026-11-25T13:05:06Z; local without a zone) or @MS since 1970.\n"
    "In STRING: %t topic, %p partition, %o offset, %k key, %v value, %h headers, %T time in ms, %I time\n"
    "as ISO 8601, %K and %V lengths (-1: null), %% a percent sign; \\n \\t \\r \\0 \\\\ \\e \\xHH.\n"
    "With --json each record is one line; bytes that are no UTF-8 become {\"base64\": ...}.\n";

struct consume {
    struct session *session;
    const char *topic;
    struct format format;
    struct leat_reader_options options;
    int32_t *partitions;
    int64_t count; /* -1: no limit */
    bool follow;
};

static json_t *record_json(const char *topic, const struct leat_record *r)
{
    json_t *headers = json_array();
    for (size_t i = 0; i < r->header_count; i++)
        json_array_append_new(headers,
                              json_pack("{s:o, s:o}", "name", json_bytes(r->headers[i].name, r->headers[i].name_len),
                                        "value", json_bytes(r->headers[i].value, r->headers[i].value_len)));
    return json_pack("{s:s, s:i, s:I, s:I, s:s, s:o, s:o, s:o}", "topic", topic, "partition", r->partition, "offset",
                     (json_int_t)r->offset, "timestamp", (json_int_t)r->timestamp_ms, "timestamp_type",
                     r->log_append_time ? "LogAppendTime" : "CreateTime", "key", json_bytes(r->key, r->key_len),
                     "value", json_bytes(r->value, r->value_len), "headers", headers);
}

static void write_record(const struct consume *c, const struct leat_record *r)
{
    if (!c->session->json) {
        format_write(&c->format, r, stdout);
        return;
    }
    json_t *value = record_json(c->topic, r);
    if (value == NULL || json_dumpf(value, stdout, JSON_COMPACT) != 0) abort(); /* no memory */
    putchar('\n');
    json_decref(value);
}

/* One call's failure. False: the end, with *ret_code. */
static bool go_on(struct consume *c, const struct leat_error *e, bool *waiting, int *ret_code)
{
    fflush(stdout);
    switch (e->code) {
    case LEAT_END: return false;
    case LEAT_DAMAGED: *ret_code = complain_leat(c->session, e); return true;
    case LEAT_TIMED_OUT:
    case LEAT_UNREACHABLE:
        if (!c->follow) break;
        if (!*waiting && e->code == LEAT_UNREACHABLE) complain(c->session, "%s; waiting", e->text);
        *waiting = *waiting || e->code == LEAT_UNREACHABLE;
        return true;
    case LEAT_OK:
    case LEAT_INVALID:
    case LEAT_NO_MEMORY:
    case LEAT_PROTOCOL:
    case LEAT_UNSUPPORTED:
    case LEAT_BROKER:
    case LEAT_NOT_FOUND: break;
    }
    *ret_code = complain_leat(c->session, e);
    return false;
}

/* What is at hand; only if there is nothing, what was written goes out and we wait. */
static enum leat_code next(const struct consume *c, struct leat_reader *reader, bool first, struct leat_record *r,
                           struct leat_error *e)
{
    enum leat_code code = first ? LEAT_TIMED_OUT : leat_reader_next(reader, 0, r, e);
    if (code != LEAT_TIMED_OUT && code != LEAT_UNREACHABLE) return code;
    fflush(stdout);
    return leat_reader_next(reader, c->session->timeout_ms, r, e);
}

static int pump(struct consume *c, struct leat_reader *reader)
{
    struct leat_record r;
    struct leat_error e;
    struct progress progress;
    uint64_t records = 0, bytes = 0;
    bool waiting = false, first = true;
    int code = EXIT_DONE;
    progress_begin(&progress, c->session);
    while (c->count != 0 && !ferror(stdout)) {
        /* the first call looks everything up: a broker that is not there at all is told, also when following */
        enum leat_code got = next(c, reader, first, &r, &e);
        if (got != LEAT_OK) {
            bool follow = c->follow;
            c->follow = follow && !(first && got == LEAT_UNREACHABLE);
            bool more = go_on(c, &e, &waiting, &code);
            c->follow = follow;
            if (!more) break;
            first = false;
            continue;
        }
        if (waiting) complain(c->session, "the broker is back");
        waiting = first = false;
        write_record(c, &r);
        records++;
        bytes += (uint64_t)(r.key_len > 0 ? r.key_len : 0) + (uint64_t)(r.value_len > 0 ? r.value_len : 0);
        if (c->count > 0) c->count--;
        if (!c->session->color_out) progress_show(&progress, "read", records, bytes);
    }
    progress_end(&progress);
    return code;
}

static bool take_positions(struct consume *c, const struct args *a)
{
    const char *from = args_value(a, "from"), *to = args_value(a, "to");
    c->follow = args_value(a, "follow") != NULL;
    c->options.from.place = c->follow ? LEAT_TAIL : LEAT_BEGINNING;
    c->options.to.place = c->follow ? LEAT_NO_END : LEAT_TAIL;
    if (from != NULL && !position_parse(from, &c->options.from))
        return usage_error(a->command,
                           "--from %s: give beginning, end, an offset, -N, @MS or a time as 2026-11-25T13:05",
                           from) == EXIT_DONE;
    if (to != NULL && c->follow) return usage_error(a->command, "--follow has no end: leave out --to") == EXIT_DONE;
    if (to != NULL && !position_parse(to, &c->options.to))
        return usage_error(a->command, "--to %s: give beginning, end, an offset, -N, @MS or a time as 2026-11-25T13:05",
                           to) == EXIT_DONE;
    return true;
}

static bool take_options(struct consume *c, const struct args *a)
{
    const char *format = args_value(a, "format"), *partitions = args_value(a, "partition");
    char error[160];
    c->topic = a->words[0];
    c->count = -1;
    leat_reader_options_init(&c->options);
    c->options.topic = c->topic;
    if (!take_positions(c, a) || !args_number(a, "count", 0, INT64_MAX, &c->count)) return false;
    if (format != NULL && c->session->json)
        return usage_error(a->command, "--format and --json: one of them") == EXIT_DONE;
    if (partitions != NULL) c->partitions = partitions_parse(partitions, &c->options.partition_count);
    if (partitions != NULL && c->partitions == NULL)
        return usage_error(a->command, "--partition %s: give numbers as 0,2,5-7", partitions) == EXIT_DONE;
    c->options.partitions = c->partitions;
    if (!format_parse(&c->format, c->topic, format != NULL ? format : "%v\\n", error))
        return usage_error(a->command, "--format: %s", error) == EXIT_DONE;
    return true;
}

static int run(struct session *s, const struct args *a)
{
    struct consume c = {.session = s};
    struct leat_reader *reader = NULL;
    struct leat_error e;
    int code = EXIT_USAGE;
    if (take_options(&c, a) && session_client(s, &code)) {
        if (leat_reader_create(s->client, &c.options, &reader, &e) == LEAT_OK)
            code = pump(&c, reader);
        else
            code = complain_leat(s, &e);
    }
    leat_reader_destroy(reader);
    format_free(&c.format);
    free(c.partitions);
    return code;
}

const struct command command_consume = {
    .name = "consume",
    .words = "TOPIC",
    .summary = "write records to standard output",
    .text = text,
    .options = options,
    .words_min = 1,
    .words_max = 1,
    .complete = COMPLETE_TOPICS,
    .run = run,
};
