// SPDX-License-Identifier: Apache-2.0
/* The reader, user's side (contract: leat.h; inside: reader.h).
 *
 * Happy path: the first call resolves where each partition begins and ends; then each call gives the next record of the
 * answers at hand, or sends fetches and takes an answer until there is one.
 * Failure modes: a broker that is away costs its partitions a pause; the deadline ends the call, nothing is lost. */
#include "clients/c/reader.h"

#include "base/bytes.h"
#include "clients/c/offsets.h"

#define FETCH_BYTES_DEFAULT (8 << 20)
#define WAIT_MS_DEFAULT     500
#define HEADERS_BYTES_MAX   ((size_t)64 << 20)

void leat_reader_options_init(struct leat_reader_options *o)
{
    *o = (struct leat_reader_options){
        .from = {LEAT_BEGINNING, 0},
        .to = {LEAT_NO_END, 0},
        .fetch_bytes = FETCH_BYTES_DEFAULT,
        .wait_ms = WAIT_MS_DEFAULT,
    };
}

static bool position_valid(struct leat_position p)
{
    return (unsigned)p.place <= LEAT_NO_END && p.value >= 0;
}

static enum leat_code options_check(const struct leat_reader_options *o, struct leat_error *e)
{
    if (!topic_valid(o->topic))
        return fail(e, LEAT_INVALID, "'%.300s' is no topic name: 1 to 249 of letters, digits, '.', '_', '-'",
                    o->topic == NULL ? "" : o->topic);
    if (!position_valid(o->from) || !position_valid(o->to) || o->from.place == LEAT_NO_END)
        return fail(e, LEAT_INVALID, "a position is the beginning, the end, an offset or a time from 0 on");
    if (o->fetch_bytes <= 0 || o->wait_ms < 0)
        return fail(e, LEAT_INVALID, "fetch_bytes must be above 0, wait_ms 0 or more");
    if (o->partitions != NULL && (o->partition_count == 0 || o->partition_count > INT32_MAX / sizeof(struct slot)))
        return fail(e, LEAT_INVALID, "no partitions, or too many");
    if (o->partitions == NULL && (o->from_offsets != NULL || o->to_offsets != NULL))
        return fail(e, LEAT_INVALID, "from_offsets and to_offsets need partitions");
    for (size_t i = 0; o->partitions != NULL && i < o->partition_count; i++)
        if ((o->from_offsets != NULL && o->from_offsets[i] < 0) || (o->to_offsets != NULL && o->to_offsets[i] < 0))
            return fail(e, LEAT_INVALID, "partition %d: offsets begin at 0", o->partitions[i]);
    return LEAT_OK;
}

/* A copy of what the user gave for each partition; NULL for NULL. */
static void *copied(struct leat_reader *r, const void *given, size_t size, bool *ret_failed)
{
    if (given == NULL) return NULL;
    void *copy = mem_alloc(r->client->mem, MEM_CONTROL, r->options.partition_count * size);
    if (copy == NULL)
        *ret_failed = true;
    else
        memcpy(copy, given, r->options.partition_count * size);
    return copy;
}

enum leat_code leat_reader_create(struct leat_client *client, const struct leat_reader_options *options,
                                  struct leat_reader **ret_reader, struct leat_error *ret_error)
{
    bool failed = false;
    enum leat_code code = options_check(options, ret_error);
    if (code != LEAT_OK) return code;
    struct leat_reader *r = mem_zalloc(client->mem, MEM_CONTROL, sizeof *r);
    if (r == NULL) return fail(ret_error, LEAT_NO_MEMORY, "no memory for a reader");
    r->client = client;
    r->options = *options;
    r->partitions = copied(r, options->partitions, sizeof *r->partitions, &failed);
    r->froms = copied(r, options->from_offsets, sizeof *r->froms, &failed);
    r->tos = copied(r, options->to_offsets, sizeof *r->tos, &failed);
    topic_view_init(&r->view, client, options->topic);
    r->options.topic = r->view.name;
    r->options.partitions = r->partitions;
    r->options.from_offsets = r->froms;
    r->options.to_offsets = r->tos;
    conns_init(&r->conns);
    list_init(&r->fetches);
    list_init(&r->answers);
    arena_init(&r->headers, client->mem, MEM_FETCH, HEADERS_BYTES_MAX);
    if (failed) {
        leat_reader_destroy(r);
        return fail(ret_error, LEAT_NO_MEMORY, "no memory for a reader");
    }
    *ret_reader = r;
    return LEAT_OK;
}

void leat_reader_destroy(struct leat_reader *r)
{
    if (r == NULL) return;
    struct mem *mem = r->client->mem;
    reader_drop(r);
    conns_close(&r->conns, r->client);
    mem_free(mem, MEM_CONTROL, r->slots, (size_t)r->slot_count * sizeof *r->slots);
    mem_free(mem, MEM_CONTROL, r->partitions, r->options.partition_count * sizeof *r->partitions);
    mem_free(mem, MEM_CONTROL, r->froms, r->options.partition_count * sizeof *r->froms);
    mem_free(mem, MEM_CONTROL, r->tos, r->options.partition_count * sizeof *r->tos);
    topic_view_deinit(&r->view);
    arena_deinit(&r->headers);
    mem_free(mem, MEM_CONTROL, r, sizeof *r);
}

struct slot *reader_slot(const struct leat_reader *r, int32_t partition)
{
    if (r->partitions == NULL) return partition >= 0 && partition < r->slot_count ? &r->slots[partition] : NULL;
    for (int32_t i = 0; i < r->slot_count; i++)
        if (r->slots[i].partition == partition) return &r->slots[i];
    return NULL;
}

/* ---- beginning ---- */

static enum leat_code slots_make(struct leat_reader *r, struct leat_error *e)
{
    int32_t have = topic_view_partitions(&r->view);
    int32_t count = r->partitions == NULL ? have : (int32_t)r->options.partition_count;
    struct slot *slots = mem_zalloc(r->client->mem, MEM_CONTROL, (size_t)count * sizeof *slots);
    if (slots == NULL) return fail(e, LEAT_NO_MEMORY, "no memory for %d partitions", count);
    r->slots = slots;
    r->slot_count = count;
    for (int32_t i = 0; i < count; i++) {
        int32_t partition = r->partitions == NULL ? i : r->partitions[i];
        if (partition < 0 || partition >= have)
            return fail(e, LEAT_NOT_FOUND, "topic '%s' has partitions 0 to %d, no %d", r->view.name, have - 1,
                        partition);
        slots[i].partition = partition;
    }
    return LEAT_OK;
}

/* One place for all, or for each its own. */
static enum leat_code places_find(struct leat_reader *r, const int32_t *partitions, struct leat_position all,
                                  const int64_t *own, int64_t deadline, int64_t *ret_offsets, struct leat_error *e)
{
    size_t n = (size_t)r->slot_count;
    if (own == NULL) return offsets_resolve(&r->view, partitions, n, all, deadline, ret_offsets, e);
    memcpy(ret_offsets, own, n * sizeof *ret_offsets);
    return LEAT_OK;
}

/* Ends first: what comes while we ask is not read, rather than missed. */
static enum leat_code positions_find(struct leat_reader *r, int64_t deadline, struct leat_error *e)
{
    size_t n = (size_t)r->slot_count, bytes = n * (2 * sizeof(int64_t) + sizeof(int32_t));
    int64_t *ends = mem_alloc(r->client->mem, MEM_CONTROL, bytes);
    if (ends == NULL) return fail(e, LEAT_NO_MEMORY, "no memory for %zu partitions", n);
    int64_t *froms = ends + n;
    int32_t *partitions = (int32_t *)(froms + n);
    for (size_t i = 0; i < n; i++) partitions[i] = r->slots[i].partition;
    enum leat_code code = places_find(r, partitions, r->options.to, r->tos, deadline, ends, e);
    if (code == LEAT_OK) code = places_find(r, partitions, r->options.from, r->froms, deadline, froms, e);
    for (size_t i = 0; i < n && code == LEAT_OK; i++) {
        struct slot *s = &r->slots[i];
        s->end = ends[i];
        s->position = s->fetch_at = froms[i];
        s->done = s->position >= s->end;
    }
    mem_free(r->client->mem, MEM_CONTROL, ends, bytes);
    return code;
}

static enum leat_code begin(struct leat_reader *r, int64_t deadline, struct leat_error *e)
{
    enum leat_code code = topic_view_refresh(&r->view, deadline, e);
    if (code == LEAT_OK) code = slots_make(r, e);
    if (code == LEAT_OK) code = positions_find(r, deadline, e);
    r->begun = code == LEAT_OK;
    if (r->begun) return LEAT_OK;
    mem_free(r->client->mem, MEM_CONTROL, r->slots, (size_t)r->slot_count * sizeof *r->slots);
    r->slots = NULL;
    r->slot_count = 0;
    return code;
}

/* ---- reading ---- */

static bool all_done(const struct leat_reader *r)
{
    for (int32_t i = 0; i < r->slot_count; i++)
        if (!r->slots[i].done) return false;
    return true;
}

static enum leat_code late(const struct leat_reader *r, struct leat_error *e)
{
    if (r->last.code == LEAT_OK) return fail(e, LEAT_TIMED_OUT, "no record of topic '%s' in time", r->view.name);
    return fail(e, passing(r->last.code) ? r->last.code : LEAT_TIMED_OUT, "no record of topic '%s' in time: %.380s",
                r->view.name, r->last.text);
}

enum leat_code leat_reader_next(struct leat_reader *r, int64_t timeout_ms, struct leat_record *ret_record,
                                struct leat_error *ret_error)
{
    int64_t deadline = 0;
    bool known = false; /* the deadline: a record at hand needs no clock */
    arena_reset(&r->headers);
    for (;;) {
        if (r->begun) {
            enum leat_code code = reader_deliver(r, ret_record, ret_error);
            if (code != LEAT_END) return code;
            if (all_done(r)) return fail(ret_error, LEAT_END, "topic '%s' was read to the end", r->view.name);
        }
        if (!known) {
            deadline = deadline_in(timeout_ms);
            known = true;
        } else if (socket_now_ms() >= deadline) {
            return late(r, ret_error);
        }
        enum leat_code code = r->begun ? LEAT_OK : begin(r, deadline, ret_error);
        if (code == LEAT_OK && all_done(r)) continue;
        if (code == LEAT_OK) code = reader_send(r, deadline, ret_error);
        if (code == LEAT_OK) code = reader_receive(r, deadline, ret_error);
        /* what comes next, while this is delivered; trouble can wait */
        if (code == LEAT_OK && !r->view.stale) code = reader_send(r, deadline, ret_error);
        if (code != LEAT_OK) return code;
    }
}

int64_t leat_reader_position(const struct leat_reader *r, int32_t partition)
{
    const struct slot *s = r->begun ? reader_slot(r, partition) : NULL;
    return s == NULL ? -1 : s->position;
}

void leat_reader_finish(struct leat_reader *r, int32_t partition)
{
    struct slot *s = r->begun ? reader_slot(r, partition) : NULL;
    if (s == NULL) return;
    s->end = MIN(s->end, s->position);
    s->done = true;
}
