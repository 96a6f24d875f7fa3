// SPDX-License-Identifier: Apache-2.0
/* The image as bytes (docs/formats/metalog.md). A header, then frames; each holds one Batch of records that, applied to
 * an empty image, add up to the state. Format version 1, little-endian:
 *
 *   header, 64 bytes                                  frame header, 16 bytes
 *     0 u64 magic "LEATIMAG"                            0 u32 length of what follows (0: the last frame)
 *     8 u32 format version                              4 u32 CRC-32C of this header (this field as 0) and what follows
 *    12 u32 CRC of the header (this field as 0)         8 u32 number of the frame, from 0
 *    16 u64 index of the last entry applied            12 u32 records in it
 *    24 u64 epoch of the finalized features
 *    32 ... 0
 *
 * Order: brokers by id, features by name, settings by (type, name, key), quotas, deleted topics by time (each as below,
 * then its removal), topics by name (each with its partitions by number and its settings by key), producer ids, broker
 * epochs. So the same state has the same bytes.
 *
 * The writer holds references to the objects of one moment, so it is slow for nobody: the image goes on, next() encodes
 * a piece at a time. The reader builds an image apart.
 * Failure modes: NO_MEMORY (nothing has moved); DAMAGED, FORMAT, UNSUPPORTED_VERSION while reading. */
#include "replication/image_impl.h"

#include "base/bytes.h"
#include "replication/record_impl.h"
#include "storage/sealed.h"
#include <stdio.h>

#define IMAGE_MAGIC        0x47414d495441454cull /* "LEATIMAG" */
#define IMAGE_VERSION      1u
#define HEADER_BYTES       64u
#define FRAME_HEADER_BYTES 16u
#define PIECE_BYTES        (64u << 10)                               /* what a caller's buffer holds at least */
#define FRAME_AIM_BYTES    (PIECE_BYTES - 4096 - FRAME_HEADER_BYTES) /* records are added up to here, by estimate */
#define FRAME_BYTES_MAX    RECORD_BATCH_BYTES_MAX                    /* what a reader takes */
#define FRAME_ARENA_BYTES  ((size_t)4 << 20)
#define READ_ARENA_BYTES   ((size_t)256 << 20)
#define ERROR_BYTES        256

/* The largest record alone fits: a broker's 64 listeners of two 255-byte texts and 64 features of 128 bytes. */
static_assert(64 * (2 * 255 + 24) + 64 * (128 + 24) + 64 * 18 + 4096 < PIECE_BYTES, "one broker fits a piece");
static_assert(CONFIG_VALUE_BYTES_MAX + CONFIG_KEY_BYTES_MAX + TOPIC_NAME_MAX + 4096 < PIECE_BYTES, "one setting too");

enum section {
    SECTION_BROKERS,
    SECTION_FEATURES,
    SECTION_SETTINGS,
    SECTION_QUOTAS,
    SECTION_DELETED,
    SECTION_TOPICS,
    SECTION_COUNTERS,
    SECTION_END
};

struct place {
    enum section section;
    uint32_t at;        /* broker, feature, resource, quota, topic, counter */
    uint32_t step, sub; /* of a topic: 0 itself, 1 partitions, 2 settings; of settings: sub is the key */
};

struct image_writer {
    struct image *image;
    const struct image_brokers *brokers;
    const struct image_settings *settings;
    const struct image_features *features;
    const struct image_deleted *deleted;
    const struct image_topic **topics;
    uint32_t topic_count, frames;
    uint64_t index;
    int64_t broker_epoch, producer_id_next, producer_broker_epoch;
    int32_t producer_broker;
    bool header_done, ended;
    struct place place;
    struct arena arena;
};

/* --- writing --- */

struct image_writer *image_writer_create(struct image *i)
{
    struct image_writer *w = mem_zalloc(i->mem, MEM_CONTROL, sizeof *w);
    if (w == NULL) return NULL;
    w->image = i;
    w->topic_count = topic_index_count(i->topics);
    w->topics = mem_alloc(i->mem, MEM_CONTROL, (w->topic_count + 1) * sizeof *w->topics);
    if (w->topics == NULL) {
        mem_free(i->mem, MEM_CONTROL, w, sizeof *w);
        return NULL;
    }
    struct topic_cursor c = topic_index_first(i->topics);
    for (uint32_t n = 0; n < w->topic_count; n++) {
        w->topics[n] = topic_cursor_next(&c);
        held_ref(topic_held(w->topics[n]));
    }
    w->brokers = &i->brokers->l;
    w->settings = &i->settings->s;
    w->features = &i->features->f;
    w->deleted = &i->deleted->d;
    held_ref(deleted_held(w->deleted));
    held_ref(brokers_held(w->brokers));
    held_ref(settings_held(w->settings));
    held_ref(features_held(w->features));
    w->index = i->index;
    w->broker_epoch = i->broker_epoch;
    w->producer_id_next = i->producer_id_next;
    w->producer_broker = i->producer_broker;
    w->producer_broker_epoch = i->producer_broker_epoch;
    arena_init(&w->arena, i->mem, MEM_CONTROL, FRAME_ARENA_BYTES);
    return w;
}

void image_writer_destroy(struct image_writer *w)
{
    struct mem *m = w->image->mem;
    for (uint32_t n = 0; n < w->topic_count; n++) topic_release(m, w->topics[n]);
    brokers_release(m, w->brokers);
    settings_release(m, w->settings);
    features_release(m, w->features);
    deleted_release(m, w->deleted);
    arena_deinit(&w->arena);
    mem_free(m, MEM_CONTROL, w->topics, (w->topic_count + 1) * sizeof *w->topics);
    mem_free(m, MEM_CONTROL, w, sizeof *w);
}

/* At most this many bytes encoded. */
static size_t estimate(const struct record *r)
{
    size_t bytes = 64;
    switch (r->type) {
    case RECORD_REGISTER_BROKER:
        for (uint32_t i = 0; i < r->register_broker.listener_count; i++)
            bytes += 24 + (size_t)r->register_broker.listeners[i].name.len +
                     (size_t)r->register_broker.listeners[i].host.len;
        for (uint32_t i = 0; i < r->register_broker.feature_count; i++)
            bytes += 24 + (size_t)r->register_broker.features[i].name.len;
        return bytes + SHORT_TEXT_MAX + 18 * (size_t)r->register_broker.directories.count;
    case RECORD_PARTITION:
        return bytes + 18 * (size_t)r->partition.directories.count +
               5 * ((size_t)r->partition.replicas.count + r->partition.isr.count + r->partition.elr.count +
                    r->partition.last_known_elr.count);
    case RECORD_CONFIG:
        return bytes + (size_t)r->config.name.len + (size_t)r->config.key.len + (size_t)r->config.value.len;
    case RECORD_QUOTA: return bytes + 4 * (SHORT_TEXT_MAX + 8) + CONFIG_KEY_BYTES_MAX;
    case RECORD_TOPIC: return bytes + TOPIC_NAME_MAX + 18;
    case RECORD_FEATURE: return bytes + (size_t)r->feature.name.len;
    case RECORD_UNREGISTER_BROKER:
    case RECORD_CHANGE_BROKER:
    case RECORD_BROKER_STARTED:
    case RECORD_BROKER_EPOCHS:
    case RECORD_REMOVE_TOPIC:
    case RECORD_CHANGE_PARTITION:
    case RECORD_PRODUCER_IDS:
    case RECORD_RESTORE_TOPIC:
    case RECORD_FORGET_TOPIC:
    default: return bytes;
    }
}

static struct record config_record(const struct image_configs *c, struct str name, enum config_resource type,
                                   uint32_t at)
{
    return (struct record){.type = RECORD_CONFIG, .config = {type, name, c->entries[at].key, c->entries[at].value}};
}

static void next_section(struct place *p)
{
    *p = (struct place){.section = p->section + 1};
}

static struct record broker_record(const struct image_broker *b)
{
    return (struct record){.type = RECORD_REGISTER_BROKER,
                           .register_broker = {.id = b->id,
                                               .epoch = b->epoch,
                                               .incarnation = b->incarnation,
                                               .rack = b->rack,
                                               .listeners = b->listeners,
                                               .listener_count = b->listener_count,
                                               .features = b->features,
                                               .feature_count = b->feature_count,
                                               .directories = b->directories,
                                               .fenced = b->fenced,
                                               .shutting_down = b->shutting_down}};
}

static struct record quota_record(const struct image_quota *q)
{
    struct record r = {.type = RECORD_QUOTA,
                       .quota = {.entity_count = q->entity_count, .key = q->key, .has_value = true, .value = q->value}};
    memcpy(r.quota.entity, q->entity, sizeof r.quota.entity);
    return r;
}

static struct record partition_record(const struct image_topic *t, const struct image_partition *p)
{
    return (struct record){.type = RECORD_PARTITION,
                           .partition = {.topic = t->id,
                                         .number = p->number,
                                         .leader = p->leader,
                                         .leader_epoch = p->leader_epoch,
                                         .partition_epoch = p->partition_epoch,
                                         .replicas = p->replicas,
                                         .isr = p->isr,
                                         .elr = p->elr,
                                         .last_known_elr = p->last_known_elr,
                                         .directories = p->directories}};
}

/* The record at p of a topic, p moved on; false: p has gone to the next topic. */
static bool topic_next(const struct image_topic *t, struct place *p, struct record *ret_record)
{
    if (p->step == 0) {
        *ret_record = (struct record){.type = RECORD_TOPIC, .topic = {t->name, t->id, t->revived, 0}};
        p->step = 1;
        return true;
    }
    if (p->step == 1 && p->sub < t->partition_count) {
        *ret_record = partition_record(t, t->partitions[p->sub++]);
        return true;
    }
    if (p->step == 1) {
        p->step = 2;
        p->sub = 0;
    }
    if (t->configs != NULL && p->sub < t->configs->count) {
        *ret_record = config_record(t->configs, t->name, RESOURCE_TOPIC, p->sub++);
        return true;
    }
    *p = (struct place){.section = p->section, .at = p->at + 1};
    return false;
}

/* The same for a deleted one, whose last record is its removal. */
static void deleted_next(const struct image_deleted_topic *d, struct place *p, struct record *ret_record)
{
    if (topic_next(d->topic, p, ret_record)) return;
    *ret_record =
        (struct record){.type = RECORD_REMOVE_TOPIC, .topic = {.id = d->topic->id, .deleted_ms = d->deleted_ms}};
}

static bool settings_next(const struct image_settings *s, struct place *p, struct record *ret_record)
{
    const struct image_configs *c = s->configs[p->at];
    if (p->sub < c->count) {
        *ret_record = config_record(c, c->name, c->type, p->sub++);
        return true;
    }
    p->at++;
    p->sub = 0;
    return false;
}

/* The record at p, p moved on; false: there is none any more. */
static bool next_record(const struct image_writer *w, struct place *p, struct record *ret_record)
{
    for (;;) {
        switch (p->section) {
        case SECTION_BROKERS:
            if (p->at == w->brokers->count) break;
            *ret_record = broker_record(w->brokers->brokers[p->at++]);
            return true;
        case SECTION_FEATURES:
            if (p->at == w->features->count) break;
            *ret_record =
                (struct record){.type = RECORD_FEATURE,
                                .feature = {w->features->features[p->at].name, w->features->features[p->at].level}};
            p->at++;
            return true;
        case SECTION_SETTINGS:
            if (p->at == w->settings->count) break;
            if (settings_next(w->settings, p, ret_record)) return true;
            continue;
        case SECTION_QUOTAS:
            if (p->at == w->settings->quota_count) break;
            *ret_record = quota_record(w->settings->quotas[p->at++]);
            return true;
        case SECTION_DELETED:
            if (p->at == w->deleted->count) break;
            deleted_next(&w->deleted->topics[p->at], p, ret_record);
            return true;
        case SECTION_TOPICS:
            if (p->at == w->topic_count) break;
            if (topic_next(w->topics[p->at], p, ret_record)) return true;
            continue;
        case SECTION_COUNTERS:
            if (p->at == 2) break;
            if (p->at == 0 && w->producer_id_next > 0)
                *ret_record = (struct record){
                    .type = RECORD_PRODUCER_IDS,
                    .producer_ids = {w->producer_broker, w->producer_broker_epoch, w->producer_id_next}};
            else
                *ret_record = (struct record){.type = RECORD_BROKER_EPOCHS, .broker = {.epoch = w->broker_epoch}};
            p->at = ret_record->type == RECORD_BROKER_EPOCHS ? 2 : 1;
            return true;
        case SECTION_END: return false;
        }
        next_section(p);
    }
}

static void seal_frame(uint8_t *frame, uint32_t length, uint32_t number, uint32_t records)
{
    store_le32(frame, length);
    store_le32(frame + 4, 0);
    store_le32(frame + 8, number);
    store_le32(frame + 12, records);
    store_le32(frame + 4, crc32c(0, frame, FRAME_HEADER_BYTES + length));
}

static size_t put_header(const struct image_writer *w, uint8_t *out)
{
    memset(out, 0, HEADER_BYTES);
    store_le64(out, IMAGE_MAGIC);
    store_le32(out + 8, IMAGE_VERSION);
    store_le64(out + 16, w->index);
    store_le64(out + 24, w->features->epoch);
    store_le32(out + SEALED_CRC_AT, sealed_crc(out, HEADER_BYTES));
    return HEADER_BYTES;
}

static enum status put_frame(struct image_writer *w, uint8_t *out, size_t capacity, size_t *ret_size)
{
    struct record_list list;
    struct record r;
    struct place p = w->place, ahead = p;
    size_t bytes = 0, size;
    const void *data;
    arena_reset(&w->arena);
    record_list_init(&list, &w->arena);
    while (next_record(w, &ahead, &r)) {
        bytes += estimate(&r);
        if (list.count > 0 && bytes > FRAME_AIM_BYTES) break;
        struct record *slot = record_list_add(&list, r.type);
        if (slot == NULL) return STATUS_NO_MEMORY;
        *slot = r;
        p = ahead;
    }
    enum status status = record_batch_encode(record_list_batch(&list), &w->arena, &data, &size);
    if (status != STATUS_OK) return status;
    if (list.count == 0) size = 0;
    CHECK(FRAME_HEADER_BYTES + size <= capacity);
    if (size > 0) memcpy(out + FRAME_HEADER_BYTES, data, size);
    seal_frame(out, (uint32_t)size, w->frames, list.count);
    w->frames++;
    w->place = p;
    w->ended = list.count == 0;
    *ret_size = FRAME_HEADER_BYTES + size;
    return STATUS_OK;
}

enum status image_writer_next(struct image_writer *w, void *out, size_t capacity, size_t *ret_size)
{
    CHECK(capacity >= PIECE_BYTES);
    if (!w->header_done) {
        *ret_size = put_header(w, out);
        w->header_done = true;
        return STATUS_OK;
    }
    if (w->ended) {
        *ret_size = 0;
        return STATUS_OK;
    }
    return put_frame(w, out, capacity, ret_size);
}

/* --- reading --- */

struct image_reader {
    struct image *image, *fresh;
    uint8_t head[HEADER_BYTES]; /* of the stream, then of each frame */
    uint8_t *frame;             /* header and body of the frame at hand */
    uint32_t got, want;         /* bytes of head or frame */
    uint32_t frame_room, frames;
    uint64_t features_epoch, records;
    bool header_done, in_body, ended, bad;
    struct arena arena;
};

struct image_reader *image_reader_create(struct image *i)
{
    struct image_reader *r = mem_zalloc(i->mem, MEM_CONTROL, sizeof *r);
    if (r == NULL) return NULL;
    r->image = i;
    r->fresh = image_create(i->mem);
    if (r->fresh == NULL) {
        mem_free(i->mem, MEM_CONTROL, r, sizeof *r);
        return NULL;
    }
    r->fresh->loading = true;
    r->want = HEADER_BYTES;
    arena_init(&r->arena, i->mem, MEM_CONTROL, READ_ARENA_BYTES);
    return r;
}

void image_reader_destroy(struct image_reader *r)
{
    if (r == NULL) return;
    struct mem *m = r->image->mem;
    image_destroy(r->fresh);
    arena_deinit(&r->arena);
    mem_free(m, MEM_CONTROL, r->frame, r->frame_room);
    mem_free(m, MEM_CONTROL, r, sizeof *r);
}

static enum status bad(struct image_reader *r, enum status status, char error[ERROR_BYTES], const char *why)
{
    r->bad = true;
    snprintf(error, ERROR_BYTES, "snapshot of the metadata, frame %u: %.180s", r->frames, why);
    return status;
}

static enum status read_header(struct image_reader *r, char error[ERROR_BYTES])
{
    const uint8_t *h = r->head;
    uint32_t version = load_le32(h + 8);
    if (load_le64(h) != IMAGE_MAGIC) return bad(r, STATUS_FORMAT, error, "no image of Leat");
    if (load_le32(h + SEALED_CRC_AT) != sealed_crc(h, HEADER_BYTES))
        return bad(r, STATUS_DAMAGED, error, "the header fails its checksum");
    if (version != IMAGE_VERSION) return bad(r, STATUS_UNSUPPORTED_VERSION, error, "of another format version");
    r->fresh->index = load_le64(h + 16);
    r->features_epoch = load_le64(h + 24);
    r->header_done = true;
    r->got = 0;
    r->want = FRAME_HEADER_BYTES;
    return STATUS_OK;
}

static enum status read_frame_header(struct image_reader *r, char error[ERROR_BYTES])
{
    uint32_t length = load_le32(r->head);
    if (length > FRAME_BYTES_MAX) return bad(r, STATUS_DAMAGED, error, "too long");
    if (load_le32(r->head + 8) != r->frames) return bad(r, STATUS_DAMAGED, error, "out of order");
    if (FRAME_HEADER_BYTES + length > r->frame_room) {
        uint8_t *frame = mem_realloc(r->image->mem, MEM_CONTROL, r->frame, r->frame_room, FRAME_HEADER_BYTES + length);
        if (frame == NULL) return bad(r, STATUS_NO_MEMORY, error, "no memory");
        r->frame = frame;
        r->frame_room = FRAME_HEADER_BYTES + length;
    }
    memcpy(r->frame, r->head, FRAME_HEADER_BYTES);
    r->got = FRAME_HEADER_BYTES;
    r->want = FRAME_HEADER_BYTES + length;
    r->in_body = true;
    return STATUS_OK;
}

static enum status read_frame(struct image_reader *r, char error[ERROR_BYTES])
{
    uint32_t length = r->want - FRAME_HEADER_BYTES, crc = load_le32(r->frame + 4);
    struct record_batch b = {0};
    struct image_delta *delta;
    char why[ERROR_BYTES] = "";
    store_le32(r->frame + 4, 0);
    if (crc != crc32c(0, r->frame, r->want)) return bad(r, STATUS_DAMAGED, error, "fails its checksum");
    arena_reset(&r->arena);
    if (length > 0) {
        enum status status = record_batch_decode(r->frame + FRAME_HEADER_BYTES, length, &r->arena, &b);
        if (status != STATUS_OK) return bad(r, status, error, "its records cannot be read");
    }
    if (b.count != load_le32(r->frame + 12) || (length > 0 && b.count == 0))
        return bad(r, STATUS_DAMAGED, error, "another number of records");
    if (length > 0) {
        enum status status = image_apply_batch(r->fresh, r->fresh->index, b, &delta, why);
        if (status != STATUS_OK) return bad(r, status == STATUS_INVALID ? STATUS_DAMAGED : status, error, why);
        image_delta_release(r->fresh, delta);
    }
    r->ended = length == 0;
    r->frames++;
    r->records += b.count;
    r->in_body = false;
    r->got = 0;
    r->want = FRAME_HEADER_BYTES;
    return STATUS_OK;
}

enum status image_reader_feed(struct image_reader *r, const void *data, size_t size, char ret_error[256])
{
    const uint8_t *at = data;
    CHECK(!r->bad);
    while (size > 0) {
        if (r->ended) return bad(r, STATUS_DAMAGED, ret_error, "bytes behind the end");
        size_t n = MIN(size, (size_t)(r->want - r->got));
        memcpy((r->in_body ? r->frame : r->head) + r->got, at, n);
        r->got += (uint32_t)n;
        at += n;
        size -= n;
        enum status status = STATUS_OK;
        if (r->got == r->want && !r->header_done)
            status = read_header(r, ret_error);
        else if (r->got == r->want && !r->in_body)
            status = read_frame_header(r, ret_error);
        if (status == STATUS_OK && r->in_body && r->got == r->want) status = read_frame(r, ret_error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* Every topic of both, gone ones first. */
static enum status difference(struct image_reader *r, struct delta_object *d)
{
    struct image *i = r->image, *f = r->fresh;
    const struct image_topic *t;
    for (struct topic_cursor c = topic_index_first(i->topics); (t = topic_cursor_next(&c)) != NULL;)
        if (topic_index_by_id(f->topics, t->id) == NULL && delta_add(i->mem, d, t, NULL) == NULL)
            return STATUS_NO_MEMORY;
    for (struct topic_cursor c = topic_index_first(f->topics); (t = topic_cursor_next(&c)) != NULL;)
        if (delta_add(i->mem, d, topic_index_by_id(i->topics, t->id), t) == NULL) return STATUS_NO_MEMORY;
    return STATUS_OK;
}

/* The fresh image's content becomes the image's; the old topics and lists are the delta's, the old index empty. */
static void exchange(struct image_reader *r, struct delta_object *d)
{
    struct image *i = r->image, *f = r->fresh;
    struct topic_index *old = i->topics;
    d->d.index = f->index;
    d->d.old_brokers = &i->brokers->l;
    d->d.new_brokers = &f->brokers->l;
    d->d.old_settings = &i->settings->s;
    d->d.new_settings = &f->settings->s;
    d->d.old_features = &i->features->f;
    d->d.new_features = &f->features->f;
    d->d.old_deleted = &i->deleted->d;
    f->features->f.epoch = r->features_epoch;
    uint32_t deltas = i->deltas + 1;
    *i = *f;
    i->loading = false;
    i->deltas = deltas;
    topic_index_destroy(old);
    mem_free(i->mem, MEM_CONTROL, f, sizeof *f);
    r->fresh = NULL;
}

enum status image_reader_finish(struct image_reader *r, struct image_delta **ret_delta, char ret_error[256])
{
    struct image *i = r->image;
    CHECK(!r->bad);
    if (!r->ended || r->got > 0) return bad(r, STATUS_DAMAGED, ret_error, "the bytes end too early");
    if (r->fresh->index < i->index) {
        snprintf(ret_error, ERROR_BYTES, "a snapshot of entry %llu is older than the image of entry %llu",
                 (unsigned long long)r->fresh->index, (unsigned long long)i->index);
        return STATUS_INVALID;
    }
    struct delta_object *d = delta_create(i->mem);
    if (d == NULL || difference(r, d) != STATUS_OK) {
        if (d != NULL) delta_free(i->mem, d);
        return STATUS_NO_MEMORY;
    }
    exchange(r, d);
    arena_deinit(&r->arena);
    mem_free(i->mem, MEM_CONTROL, r->frame, r->frame_room);
    mem_free(i->mem, MEM_CONTROL, r, sizeof *r);
    *ret_delta = &d->d;
    return STATUS_OK;
}
