// SPDX-License-Identifier: Apache-2.0
/* See broker_check.h. */
#include "tests/sim/broker_check.h"

#include "base/bytes.h"
#include "base/prng.h"

enum record_fate { RECORD_SENT, RECORD_ACKED, RECORD_REFUSED };

const char *const check_config_names[CHECK_CONFIGS] = {"max.message.bytes", "segment.ms", "delete.retention.ms"};

void check_init(struct broker_check *c, struct broker_world *w)
{
    *c = (struct broker_check){.world = w, .stream_count = 1};
    c->scratch = malloc(RECORD_BYTES_MAX);
    CHECK(c->scratch != NULL);
}

void check_deinit(struct broker_check *c)
{
    for (uint32_t i = 0; i < c->topic_count; i++) {
        for (int p = 0; p < CHECK_PARTS_MAX; p++) free(c->topics[i]->parts[p].slots);
        free(c->topics[i]);
    }
    for (uint32_t i = 1; i < c->stream_count; i++) {
        free(c->streams[i].offsets);
        free(c->streams[i].fates);
    }
    free(c->streams);
    free(c->scratch);
}

/* ---- topics ---- */

struct check_topic *check_topic_new(struct broker_check *c, const char *name, int32_t partitions)
{
    if (c->topic_count == CHECK_TOPICS_MAX) return NULL;
    struct check_topic *t = calloc(1, sizeof *t);
    CHECK(t != NULL && partitions <= CHECK_PARTS_MAX);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->fate = TOPIC_ASKED;
    t->partitions = t->partitions_asked = partitions;
    for (int i = 0; i < CHECK_CONFIGS; i++) t->configs[i] = t->configs_asked[i] = -1;
    for (int32_t p = 0; p < CHECK_PARTS_MAX; p++) t->parts[p] = (struct check_partition){.topic = t, .number = p};
    c->topics[c->topic_count++] = t;
    return t;
}

struct check_topic *check_topic_by_id(struct broker_check *c, struct uuid id)
{
    for (uint32_t i = 0; i < c->topic_count; i++)
        if (uuid_equal(c->topics[i]->id, id)) return c->topics[i];
    return NULL;
}

struct check_topic *check_topic_any(struct broker_check *c, enum topic_fate fate)
{
    struct check_topic *found = NULL;
    uint64_t count = 0;
    for (uint32_t i = 0; i < c->topic_count; i++)
        if (c->topics[i]->fate == fate && broker_world_roll(c->world, ++count) == 0) found = c->topics[i];
    return found;
}

void check_topic_missing(struct broker_check *c, const struct check_topic *t, const char *who)
{
    BROKER_MUST(c->world, t->fate != TOPIC_THERE || t->returned, "%s: topic %s is gone and nobody deleted it", who,
                t->name);
}

/* ---- streams ---- */

static struct check_stream *stream_of(struct broker_check *c, uint32_t id)
{
    CHECK(id > 0 && id < c->stream_count);
    return &c->streams[id];
}

uint32_t check_stream_new(struct broker_check *c, struct check_partition *p, bool idempotent)
{
    if (c->stream_count >= c->stream_room) {
        c->stream_room = MAX(c->stream_room * 2, 64u);
        c->streams = realloc(c->streams, c->stream_room * sizeof *c->streams);
        CHECK(c->streams != NULL);
    }
    c->streams[c->stream_count] = (struct check_stream){.partition = p, .idempotent = idempotent};
    return c->stream_count++;
}

uint32_t check_send(struct broker_check *c, uint32_t stream, uint32_t count)
{
    struct check_stream *s = stream_of(c, stream);
    uint32_t first = s->sent;
    s->sent += count;
    if (s->sent > s->room) {
        s->room = MAX(s->room * 2, s->sent);
        s->offsets = realloc(s->offsets, s->room * sizeof *s->offsets);
        s->fates = realloc(s->fates, s->room);
        CHECK(s->offsets != NULL && s->fates != NULL);
    }
    for (uint32_t n = first; n < s->sent; n++) {
        s->offsets[n] = -1;
        s->fates[n] = RECORD_SENT;
    }
    return first;
}

/* The bytes of a record's value. */
static uint32_t make_value(uint32_t stream, uint32_t n, uint8_t *out)
{
    struct prng p;
    prng_seed(&p, stream, n);
    uint64_t size_class = prng_below(&p, 100);
    uint32_t size = 8 + (uint32_t)prng_below(&p, size_class < 75 ? 200 : size_class < 97 ? 2000 : RECORD_BYTES_MAX - 8);
    store_be32(out, stream);
    store_be32(out + 4, n);
    for (uint32_t at = 8; at < size; at += 8) {
        uint64_t word = prng_next(&p);
        if (word % 2 == 0) word = 0x6c6f636174696f6eu; /* something to compress */
        memcpy(out + at, &word, MIN(size - at, 8u));
    }
    return size;
}

void check_batch(struct broker_check *c, uint32_t stream, uint32_t n, uint32_t count, struct batch_builder *b,
                 const uint8_t **ret_data, size_t *ret_size)
{
    uint8_t key[4];
    for (uint32_t i = n; i < n + count; i++) {
        uint32_t size = make_value(stream, i, c->scratch);
        store_be32(key, i);
        CHECK_OK(
            batch_builder_append(b, RECORD_TIME_MS + i, key, i % 3 == 0 ? -1 : 4, c->scratch, (int32_t)size, NULL, 0));
    }
    CHECK_OK(batch_builder_finish(b, ret_data, ret_size));
}

/* ---- what is where ---- */

static void describe(const struct check_partition *p, int64_t offset, char text[96])
{
    snprintf(text, 96, "%s-%d at %lld", p->topic->name, p->number, (long long)offset);
}

static void put(struct broker_check *c, struct check_partition *p, int64_t offset, uint32_t stream, uint32_t n)
{
    struct check_stream *s = stream_of(c, stream);
    char where[96];
    describe(p, offset, where);
    BROKER_MUST(c->world, s->partition == p, "%s: a record of %s-%d (topic made anew: %d)", where,
                s->partition->topic->name, s->partition->number,
                strcmp(p->topic->name, s->partition->topic->name) == 0);
    BROKER_MUST(c->world, n < s->sent, "%s: record %u of stream %u was never sent", where, n, stream);
    BROKER_MUST(c->world, s->fates[n] != RECORD_REFUSED, "%s: record %u of stream %u was refused for good", where, n,
                stream);
    BROKER_MUST(c->world, s->offsets[n] < 0 || s->offsets[n] == offset,
                "%s: record %u of stream %u, which is at %lld too", where, n, stream, (long long)s->offsets[n]);
    if (offset >= p->room) {
        int64_t room = MAX(p->room * 2, offset + 64);
        p->slots = realloc(p->slots, (size_t)room * sizeof *p->slots);
        CHECK(p->slots != NULL);
        memset(p->slots + p->room, 0, (size_t)(room - p->room) * sizeof *p->slots);
        p->room = room;
    }
    struct check_slot *slot = &p->slots[offset];
    BROKER_MUST(c->world, slot->stream == 0 || (slot->stream == stream && slot->n == n),
                "%s: record %u of stream %u, where record %u of stream %u was", where, n, stream, slot->n,
                slot->stream);
    *slot = (struct check_slot){stream, n};
    s->offsets[n] = offset;
    p->count = MAX(p->count, offset + 1);
}

void check_acked(struct broker_check *c, uint32_t stream, uint32_t n, uint32_t count, int64_t base, int64_t sent_after)
{
    struct check_stream *s = stream_of(c, stream);
    char where[96];
    describe(s->partition, base, where);
    BROKER_MUST(c->world, base >= sent_after, "%s: acknowledged below the high watermark %lld seen before it was sent",
                where, (long long)sent_after);
    for (uint32_t i = 0; i < count; i++) {
        put(c, s->partition, base + i, stream, n + i);
        s->fates[n + i] = RECORD_ACKED;
    }
    s->partition->high_watermark = MAX(s->partition->high_watermark, base + count);
    c->world->count.acked += count;
}

void check_refused(struct broker_check *c, uint32_t stream, uint32_t n, uint32_t count)
{
    struct check_stream *s = stream_of(c, stream);
    for (uint32_t i = n; i < n + count; i++) {
        BROKER_MUST(c->world, s->offsets[i] < 0, "%s-%d: record %u of stream %u is refused, and at %lld",
                    s->partition->topic->name, s->partition->number, i, stream, (long long)s->offsets[i]);
        s->fates[i] = RECORD_REFUSED;
    }
    c->world->count.refused += count;
}

void check_read(struct broker_check *c, struct check_partition *p, const struct batch_record *r)
{
    char where[96];
    describe(p, r->offset, where);
    bool whole = r->value_len >= 8;
    uint32_t stream = whole ? load_be32(r->value) : 0, n = whole ? load_be32(r->value + 4) : 0;
    BROKER_MUST(c->world, stream > 0 && stream < c->stream_count, "%s: %d bytes that nobody sent", where, r->value_len);
    put(c, p, r->offset, stream, n);
    uint32_t size = make_value(stream, n, c->scratch);
    bool key_ok = n % 3 == 0 ? r->key_len == -1 : r->key_len == 4 && load_be32(r->key) == n;
    BROKER_MUST(c->world,
                key_ok && r->header_count == 0 && r->timestamp_ms == RECORD_TIME_MS + n &&
                    r->value_len == (int32_t)size && memcmp(r->value, c->scratch, size) == 0,
                "%s: record %u of stream %u has other bytes than were sent", where, n, stream);
    c->world->count.read++;
}

/* ---- offsets ---- */

void check_log_start(struct broker_check *c, struct check_partition *p, int64_t log_start, int64_t asked_start)
{
    BROKER_MUST(c->world, log_start >= asked_start, "%s-%d: the log start goes back from %lld to %lld", p->topic->name,
                p->number, (long long)asked_start, (long long)log_start);
    BROKER_MUST(c->world, log_start <= p->deletable, "%s-%d: the log start is %lld, nobody deleted beyond %lld",
                p->topic->name, p->number, (long long)log_start, (long long)p->deletable);
    p->log_start = MAX(p->log_start, log_start);
}

void check_offsets(struct broker_check *c, struct check_partition *p, int64_t high_watermark, int64_t log_start,
                   int64_t asked_hw, int64_t asked_start)
{
    BROKER_MUST(c->world, high_watermark >= asked_hw, "%s-%d: the high watermark is %lld, it was %lld before",
                p->topic->name, p->number, (long long)high_watermark, (long long)asked_hw);
    p->high_watermark = MAX(p->high_watermark, high_watermark);
    check_log_start(c, p, log_start, asked_start);
}

void check_whole(struct broker_check *c, struct check_partition *p, int64_t log_start, int64_t end)
{
    struct broker_world *w = c->world;
    const char *name = p->topic->name;
    check_offsets(c, p, end, log_start, p->high_watermark, p->log_start);
    BROKER_MUST(w, end >= p->count, "%s-%d ends at %lld, a record was at %lld", name, p->number, (long long)end,
                (long long)p->count - 1);
    for (uint32_t i = 1; i < c->stream_count; i++) c->streams[i].walked = -1;
    int64_t hole = -1; /* the newest offset that was deleted before anybody saw it */
    for (int64_t o = 0; o < p->count; o++) {
        const struct check_slot *slot = &p->slots[o];
        BROKER_MUST(w, slot->stream != 0 || o < log_start, "%s-%d: nothing was read at %lld", name, p->number,
                    (long long)o);
        if (slot->stream == 0) hole = o;
        if (slot->stream == 0) continue;
        struct check_stream *s = stream_of(c, slot->stream);
        BROKER_MUST(w, slot->n > s->walked, "%s-%d: record %u of stream %u at %lld comes after record %lld", name,
                    p->number, slot->n, slot->stream, (long long)o, (long long)s->walked);
        bool next = slot->n == s->walked + 1, hidden = hole > (s->walked < 0 ? -1 : s->offsets[s->walked]);
        BROKER_MUST(w, !s->idempotent || next || hidden,
                    "%s-%d: record %u of stream %u at %lld, the one before is %lld", name, p->number, slot->n,
                    slot->stream, (long long)o, (long long)s->walked);
        s->walked = slot->n;
    }
}
