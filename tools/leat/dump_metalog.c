// SPDX-License-Identifier: Apache-2.0
/* The metadata log's files: control (two pages in turn), segments of groups, snapshots; docs/formats/metalog.md.
 *
 * Failure modes: behind the last good group of a segment stand zeros or a torn group, a note; if a group of a later
 * sequence stands behind it, what lies between was durable: damage. Whether a segment ends too early only the next one
 * can tell; recovery compares them. */
#include "tools/leat/dump.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "replication/metalog_format.h"
#include "replication/record.h"
#include <string.h>

#define BATCH_ARENA_BYTES  ((size_t)128 << 20)
#define IMAGE_MAGIC        0x47414d495441454cull /* "LEATIMAG" */
#define IMAGE_VERSION      1u
#define IMAGE_HEAD_BYTES   64u
#define FRAME_HEADER_BYTES 16u

/* ---- records ---- */

static void text(struct dump *d, const char *name, struct str s)
{
    dump_bytes(d, name, s.data, s.len);
}

static void number_list(struct dump *d, const char *name, struct ids ids)
{
    char out[200] = "";
    size_t len = 0;
    for (uint32_t i = 0; i < ids.count && len < sizeof out - 16; i++)
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%d", i > 0 ? "," : "", ids.v[i]);
    dump_word(d, name, out);
}

static void print_partition(struct dump *d, const struct record_partition *p)
{
    dump_hex(d, "topic_id", p->topic.b, sizeof p->topic.b);
    dump_int(d, "partition", p->number);
    dump_int(d, "leader", p->leader);
    dump_int(d, "leader_epoch", p->leader_epoch);
    dump_int(d, "partition_epoch", p->partition_epoch);
    number_list(d, "replicas", p->replicas);
    number_list(d, "isr", p->isr);
    if (p->elr.count > 0) number_list(d, "elr", p->elr);
}

static void print_change(struct dump *d, const struct record_change_partition *p)
{
    dump_hex(d, "topic_id", p->topic.b, sizeof p->topic.b);
    dump_int(d, "partition", p->number);
    if (p->has_leader) dump_int(d, "leader", p->leader);
    if (p->has_isr) number_list(d, "isr", p->isr);
    if (p->has_elr) number_list(d, "elr", p->elr);
    if (p->has_replicas) number_list(d, "replicas", p->replicas);
}

static void print_broker(struct dump *d, const struct record_register_broker *b)
{
    dump_int(d, "broker", b->id);
    dump_int(d, "broker_epoch", b->epoch);
    if (b->rack.len >= 0) text(d, "rack", b->rack);
    for (uint32_t i = 0; i < b->listener_count && i < 1; i++) {
        text(d, "host", b->listeners[i].host);
        dump_uint(d, "port", b->listeners[i].port);
    }
}

static void print_fields(struct dump *d, const struct record *r)
{
    switch (r->type) {
    case RECORD_REGISTER_BROKER: print_broker(d, &r->register_broker); break;
    case RECORD_CHANGE_BROKER:
        dump_int(d, "broker", r->change_broker.id);
        dump_int(d, "broker_epoch", r->change_broker.epoch);
        if (r->change_broker.has_fenced) dump_word(d, "fenced", r->change_broker.fenced ? "yes" : "no");
        break;
    case RECORD_UNREGISTER_BROKER:
    case RECORD_BROKER_STARTED: dump_int(d, "broker", r->broker.id); /* fall through */
    case RECORD_BROKER_EPOCHS: dump_int(d, "broker_epoch", r->broker.epoch); break;
    case RECORD_TOPIC: text(d, "topic", r->topic.name); /* fall through */
    case RECORD_REMOVE_TOPIC:
    case RECORD_RESTORE_TOPIC:
    case RECORD_FORGET_TOPIC:
        dump_hex(d, "topic_id", r->topic.id.b, sizeof r->topic.id.b);
        if (r->type == RECORD_REMOVE_TOPIC && r->topic.deleted_ms > 0) dump_time(d, "deleted", r->topic.deleted_ms);
        break;
    case RECORD_PARTITION: print_partition(d, &r->partition); break;
    case RECORD_CHANGE_PARTITION: print_change(d, &r->change_partition); break;
    case RECORD_CONFIG:
        dump_int(d, "resource", (int64_t)r->config.type);
        text(d, "name", r->config.name);
        text(d, "key", r->config.key);
        text(d, "value", r->config.value);
        break;
    case RECORD_QUOTA:
        for (uint32_t i = 0; i < r->quota.entity_count; i++)
            text(d, i == 0 ? "entity" : "entity2", r->quota.entity[i].name);
        text(d, "key", r->quota.key);
        break;
    case RECORD_PRODUCER_IDS:
        dump_int(d, "broker", r->producer_ids.broker);
        dump_int(d, "next", r->producer_ids.next);
        break;
    case RECORD_FEATURE:
        text(d, "feature", r->feature.name);
        dump_int(d, "level", r->feature.level);
        break;
    }
}

/* Decodes in any case: damage behind a right checksum is damage. */
static void print_batch(struct dump *d, uint64_t pos, const void *bytes, size_t size)
{
    struct arena arena;
    struct record_batch batch = {0};
    arena_init(&arena, d->mem, MEM_CONTROL, BATCH_ARENA_BYTES);
    enum status s = record_batch_decode(bytes, size, &arena, &batch);
    for (uint32_t i = 0; s == STATUS_OK && d->deep && i < batch.count; i++) {
        dump_begin(d, "record");
        dump_word(d, "kind", record_type_name(batch.records[i].type));
        print_fields(d, &batch.records[i]);
        dump_end(d);
        d->things--;
    }
    arena_deinit(&arena);
    if (s == STATUS_UNSUPPORTED_VERSION)
        dump_damage(d, pos, size, "records of a newer version than this tool knows");
    else if (s != STATUS_OK)
        dump_damage(d, pos, size, "the records do not decode: %s", status_text(s));
}

/* ---- control ---- */

static void print_control(struct dump *d, uint64_t pos, const struct metalog_control *c)
{
    struct ids voters = {c->voters, c->voter_count};
    dump_begin(d, "control");
    dump_uint(d, "position", pos);
    dump_uint(d, "page", c->page);
    dump_hex(d, "log", c->ident.id.b, sizeof c->ident.id.b);
    dump_int(d, "node", c->ident.node);
    dump_hex(d, "cluster", c->cluster.b, sizeof c->cluster.b);
    dump_uint(d, "term", c->term);
    dump_int(d, "vote", c->vote);
    dump_uint(d, "incarnation", c->incarnation);
    dump_uint(d, "accepted", c->accepted);
    dump_uint(d, "first_segment", c->first_segment);
    dump_uint(d, "last_segment", c->last_segment);
    number_list(d, "voters", voters);
    dump_end(d);
}

static enum status control_page(struct dump *d, uint64_t pos, struct metalog_control *ret_control)
{
    enum status s;
    uint32_t version;
    do {
        const uint8_t *p = source_at(d->source, pos, BLOCK_BYTES);
        s = p == NULL ? STATUS_IO_ERROR : metalog_control_decode(p, ret_control, &version);
    } while (s != STATUS_OK && source_again(d->source));
    source_fine(d->source);
    return s;
}

void dump_metalog_control(struct dump *d)
{
    uint64_t sound = 0, newest = 0;
    for (uint64_t pos = 0; pos + BLOCK_BYTES <= d->source->size && pos < 2 * BLOCK_BYTES; pos += BLOCK_BYTES) {
        struct metalog_control c;
        if (control_page(d, pos, &c) == STATUS_OK) {
            print_control(d, pos, &c);
            sound++;
            newest = MAX(newest, c.page);
        } else {
            dump_note(d, pos,
                      source_zero(d->source, pos, pos + BLOCK_BYTES)
                          ? "this page was not written yet"
                          : "this page is not sound: torn by a crash, of another version, or damaged");
        }
    }
    if (sound == 0) dump_damage(d, 0, d->source->size, "no sound page: the metadata log cannot be opened");
    dump_sum(d);
    dump_uint(d, "sound", sound);
    dump_uint(d, "page", newest);
    dump_end(d);
}

/* ---- log ---- */

/* The whole group, checked, or NULL. */
static const uint8_t *group_at(struct dump *d, uint64_t pos, struct metalog_group *ret_group)
{
    if (d->source->size - pos < BLOCK_BYTES) return NULL;
    const uint8_t *p = source_at(d->source, pos, BLOCK_BYTES);
    if (p == NULL || metalog_group_head_decode(p, ret_group) != STATUS_OK) return NULL;
    if (ret_group->length > d->source->size - pos) return NULL;
    p = source_at(d->source, pos, ret_group->length);
    return p != NULL && metalog_group_check(p, ret_group) == STATUS_OK ? p : NULL;
}

static void print_group(struct dump *d, uint64_t pos, const struct metalog_group *g)
{
    static const char *const kinds[] = {
        [MGROUP_ENTRIES] = "entries", [MGROUP_RESET] = "reset", [MGROUP_CLOSE] = "close"};
    dump_begin(d, "group");
    dump_uint(d, "position", pos);
    dump_uint(d, "bytes", g->length);
    dump_word(d, "kind", (size_t)g->kind < COUNT_OF(kinds) ? kinds[g->kind] : "unknown");
    dump_uint(d, "sequence", g->sequence);
    dump_uint(d, "incarnation", g->incarnation);
    dump_uint(d, "base", g->base);
    if (g->kind == MGROUP_RESET) dump_uint(d, "term", g->term);
    dump_uint(d, "durable", g->durable);
    dump_uint(d, "entries", g->count);
    dump_end(d);
}

static void print_entries(struct dump *d, uint64_t pos, const struct metalog_group *g)
{
    static const char *const types[] = {
        [ENTRY_COMMAND] = "command", [ENTRY_BARRIER] = "barrier", [ENTRY_CHANGE] = "voters"};
    uint32_t at = MGROUP_HEAD_BYTES;
    for (uint32_t i = 0; i < g->count; i++) {
        struct entry_view e;
        struct metalog_group again;
        const uint8_t *bytes = group_at(d, pos, &again);
        if (bytes == NULL || again.crc != g->crc) {
            dump_note(d, pos, "group %llu was written over while it was read", (unsigned long long)g->sequence);
            return;
        }
        metalog_group_entry(bytes, g, &at, &e);
        if (d->deep) {
            dump_begin(d, "entry");
            dump_uint(d, "index", g->base + i);
            dump_uint(d, "term", e.term);
            dump_word(d, "kind", (size_t)e.type < COUNT_OF(types) && types[e.type] ? types[e.type] : "unknown");
            dump_uint(d, "bytes", e.size);
            dump_end(d);
            d->things--;
        }
        if (e.type == ENTRY_COMMAND) print_batch(d, pos, e.data, e.size);
    }
}

/* The first sound group of a later sequence at or behind pos; the file's size if there is none. */
static uint64_t later_group(struct dump *d, uint64_t pos, const struct metalog_group *last, bool any)
{
    for (; pos + BLOCK_BYTES <= d->source->size; pos += BLOCK_BYTES) {
        struct metalog_group g;
        if (group_at(d, pos, &g) == NULL || (any && !metalog_ident_equal(&g.ident, &last->ident))) continue;
        if (!any || g.sequence > last->sequence) return pos;
    }
    return d->source->size;
}

void dump_metalog_log(struct dump *d)
{
    struct metalog_group g, last = {0};
    uint64_t pos = 0, groups = 0, entries = 0;
    while (pos < d->source->size) {
        bool good = group_at(d, pos, &g) != NULL;
        bool follows = groups == 0 || (g.sequence == last.sequence + 1 && g.chain == last.crc &&
                                       metalog_ident_equal(&g.ident, &last.ident));
        if (good && follows) {
            source_fine(d->source);
            print_group(d, pos, &g);
            print_entries(d, pos, &g);
            entries += g.count;
            groups++;
            last = g;
            pos += g.length;
            continue;
        }
        if (source_again(d->source)) continue;
        uint64_t next = later_group(d, pos, &last, groups > 0);
        if (next == d->source->size) break;
        dump_damage(d, pos, next - pos, "no group that follows %llu, and later ones stand behind it",
                    (unsigned long long)last.sequence);
        if (group_at(d, next, &g) == NULL) break; /* written over meanwhile */
        last = g;
        last.sequence--; /* goes on with the group at next, whatever its chain */
        groups = 0;
        pos = next;
    }
    if (pos < d->source->size)
        dump_note(d, pos,
                  source_zero(d->source, pos, d->source->size)
                      ? "not used yet"
                      : "a group torn by a crash, or cut by a start: never acknowledged");
    dump_sum(d);
    dump_uint(d, "entries", entries);
    dump_uint(d, "sequence", last.sequence);
    dump_end(d);
}

/* ---- snapshot ---- */

static bool frame_sound(const uint8_t *head, uint32_t body_bytes)
{
    uint8_t copy[FRAME_HEADER_BYTES];
    memcpy(copy, head, sizeof copy);
    store_le32(copy + 4, 0);
    return crc32c(crc32c(0, copy, sizeof copy), head + FRAME_HEADER_BYTES, body_bytes) == load_le32(head + 4);
}

/* The frames of an image of `bytes` bytes at BLOCK_BYTES; how many were sound. */
static uint64_t print_image(struct dump *d, uint64_t bytes)
{
    uint64_t at = IMAGE_HEAD_BYTES, frames = 0;
    for (; at + FRAME_HEADER_BYTES <= bytes; frames++) {
        const uint8_t *p = source_at(d->source, BLOCK_BYTES + at, FRAME_HEADER_BYTES);
        uint32_t size = p == NULL ? 0 : load_le32(p), records = p == NULL ? 0 : load_le32(p + 12);
        bool fits = p != NULL && size <= RECORD_BATCH_BYTES_MAX && size <= bytes - at - FRAME_HEADER_BYTES;
        p = fits ? source_at(d->source, BLOCK_BYTES + at, FRAME_HEADER_BYTES + size) : NULL;
        if (p == NULL || !frame_sound(p, size)) {
            dump_damage(d, BLOCK_BYTES + at, bytes - at, "frame %llu is not sound", (unsigned long long)frames);
            return frames;
        }
        dump_begin(d, "frame");
        dump_uint(d, "position", BLOCK_BYTES + at);
        dump_uint(d, "bytes", size);
        dump_uint(d, "records", records);
        dump_end(d);
        if (size == 0) return frames;
        print_batch(d, BLOCK_BYTES + at, p + FRAME_HEADER_BYTES, size);
        at += FRAME_HEADER_BYTES + size;
    }
    dump_damage(d, BLOCK_BYTES + at, 0, "the image ends without its last frame");
    return frames;
}

void dump_metalog_snapshot(struct dump *d)
{
    struct metalog_snapshot_head h;
    uint32_t version = 0;
    uint64_t frames = 0;
    const uint8_t *p = d->source->size < BLOCK_BYTES ? NULL : source_at(d->source, 0, BLOCK_BYTES);
    if (p == NULL || metalog_snapshot_decode(p, &h, &version) != STATUS_OK) {
        dump_damage(d, 0, MIN(d->source->size, BLOCK_BYTES), "the snapshot's head is not sound (version %u)", version);
        return;
    }
    dump_begin(d, "snapshot");
    dump_uint(d, "index", h.index);
    dump_uint(d, "term", h.term);
    dump_uint(d, "bytes", h.bytes);
    dump_hex(d, "log", h.ident.id.b, sizeof h.ident.id.b);
    dump_int(d, "node", h.ident.node);
    dump_end(d);
    if (h.bytes > d->source->size - BLOCK_BYTES) {
        dump_damage(d, 0, d->source->size, "shorter than its head says");
        return;
    }
    p = source_at(d->source, BLOCK_BYTES, h.bytes);
    if (p == NULL || crc32c(0, p, h.bytes) != h.data_crc)
        dump_damage(d, BLOCK_BYTES, h.bytes, "the snapshot fails its checksum");
    bool image = p != NULL && h.bytes >= IMAGE_HEAD_BYTES && load_le64(p) == IMAGE_MAGIC;
    if (image && load_le32(p + 8) == IMAGE_VERSION)
        frames = print_image(d, h.bytes);
    else
        dump_damage(d, BLOCK_BYTES, h.bytes, "no image of a version that this tool knows");
    dump_sum(d);
    dump_uint(d, "frames", frames);
    dump_end(d);
}
