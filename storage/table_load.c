// SPDX-License-Identifier: Apache-2.0
/* Chooses the newest whole checkpoint table and loads it.
 *
 *   for each file: the base chunk at 0, then deltas as long as generation, number and chain go on
 *   the file with the higher generation counts; if its base is torn, the other one (its journal groups are still there,
 *   because space is freed one checkpoint late)
 *
 * Failure modes: a chunk that is bad while a later one of its generation is sound was durable once: damage, not a torn
 * end. One bad record: its partition is damaged as a whole and says so; the others are used (rule A11). No table at
 * all: the journal never had a checkpoint, replay begins with sequence 1. */
#include "storage/recovery.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/partition_map.h"

struct chain {        /* the sound chunks of one file */
    uint64_t witness; /* newest generation of a sound chunk behind the end */
    uint64_t generation;
    uint64_t end; /* bytes */
    uint32_t chunks;
    struct chunk_header last;
    bool damaged; /* a later chunk is sound */
};

static bool chunk_at(const struct recovery *r, int file, uint64_t pos, struct chunk_header *h)
{
    const struct buf *b = r->tables[file];
    if (b == NULL || pos + BLOCK_BYTES > r->read_bytes[file]) return false;
    if (chunk_header_decode(b->data + pos, h) != STATUS_OK) return false;
    if (memcmp(h->journal.b, r->journal->control.journal.b, sizeof h->journal.b) != 0) return false;
    if (h->payload_bytes > r->read_bytes[file] - pos - CHUNK_HEADER_BYTES) return false;
    return true;
}

static bool chunk_sound(const struct recovery *r, int file, uint64_t pos, const struct chunk_header *h)
{
    return crc32c(0, r->tables[file]->data + pos + CHUNK_HEADER_BYTES, h->payload_bytes) == h->payload_crc;
}

static uint64_t chunk_bytes(const struct chunk_header *h)
{
    return align_up(CHUNK_HEADER_BYTES + h->payload_bytes, BLOCK_BYTES);
}

/* payload_damaged: header sound, payload not: records are checked one by one if a later chunk proves that it was
 * durable. */
static void follow(const struct recovery *r, int file, struct chain *c)
{
    struct chunk_header h;
    memset(c, 0, sizeof *c);
    while (chunk_at(r, file, c->end, &h)) {
        bool follows = c->chunks == 0
                           ? h.number == 0 && h.generation % 2 == (uint64_t)file
                           : h.number == c->chunks && h.generation == c->generation && h.chain == c->last.header_crc;
        if (!follows || !chunk_sound(r, file, c->end, &h)) break;
        c->generation = h.generation;
        c->last = h;
        c->end += chunk_bytes(&h);
        c->chunks++;
    }
    for (uint64_t pos = c->end; pos + BLOCK_BYTES <= r->read_bytes[file]; pos += BLOCK_BYTES) {
        if (!chunk_at(r, file, pos, &h) || h.number <= c->chunks || !chunk_sound(r, file, pos, &h)) continue;
        c->damaged |= c->chunks > 0 && h.generation == c->generation;
        c->witness = MAX(c->witness, h.generation);
    }
}

static enum status load_record(struct recovery *r, const struct record *rec)
{
    struct store *s = r->store;
    struct partition *old = partition_map_find(s->map, rec->id, rec->number);
    struct producer_state producers;
    producer_state_init(&producers, s->env->mem);
    if (old != NULL) {
        if (rec->changes) { /* onto what the record before knew */
            producers = old->producers;
            producer_state_init(&old->producers, s->env->mem);
        }
        partition_map_remove(s->map, old);
        partition_free(old);
    }
    if (rec->drop) return STATUS_OK;
    struct partition *p = partition_new(s, rec->topic, rec->id, rec->number);
    if (p == NULL) {
        producer_state_deinit(&producers);
        return STATUS_NO_MEMORY;
    }
    p->producers = producers;
    p->recorded = true;
    enum status status = table_record_load(rec, p, &p->resume);
    if (status == STATUS_OK) status = partition_map_add(s->map, p);
    if (status != STATUS_OK) {
        partition_free(p);
        return status;
    }
    partition_touch(p);
    return STATUS_OK;
}

static enum status load_chunk(struct recovery *r, const uint8_t *chunk, const struct chunk_header *h)
{
    const uint8_t *payload = chunk + CHUNK_HEADER_BYTES;
    size_t pos = 0;
    for (uint32_t i = 0; i < h->records; i++) {
        struct record rec;
        enum status status = table_record_decode(payload, h->payload_bytes, &pos, &rec);
        if (status == STATUS_OK) status = load_record(r, &rec);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status load_chain(struct recovery *r, int file, const struct chain *c)
{
    struct table_writer *w = r->store->table;
    uint64_t pos = 0;
    for (uint32_t i = 0; i < c->chunks; i++) {
        struct chunk_header h;
        CHECK(chunk_at(r, file, pos, &h));
        enum status status = load_chunk(r, r->tables[file]->data + pos, &h);
        if (status != STATUS_OK) return status;
        if (i == 0) w->base_bytes = chunk_bytes(&h);
        pos += chunk_bytes(&h);
    }
    w->generation = c->generation;
    w->number = c->chunks;
    w->chain = c->last.header_crc;
    w->pos = c->end;
    w->delta_bytes = c->end - w->base_bytes;
    w->replay_from = w->replay_from_before = c->last.replay_from;
    w->replay_file = w->replay_file_before = c->last.replay_file;
    w->checkpoints = 1;
    return STATUS_OK;
}

/* Taken for no table at all, it would be replayed over. */
static enum status refuse_other_version(struct recovery *r, int file)
{
    const struct buf *b = r->tables[file];
    uint32_t version = b != NULL && r->read_bytes[file] >= BLOCK_BYTES ? chunk_other_version(b->data) : 0;
    if (version == 0) return STATUS_OK;
    recovery_fail(r, STATUS_FORMAT,
                  "%s/table-%d: written in format %u, this Leat reads format %u: use the version that "
                  "wrote it",
                  r->dir.s, file, version, TABLE_VERSION);
    return STATUS_FORMAT;
}

enum status recovery_load_table(struct recovery *r)
{
    struct chain chains[2];
    r->read_bytes[0] = r->read.moved;
    r->read_bytes[1] = r->read2.moved;
    if (r->tables[0] == NULL) r->read_bytes[0] = 0;
    if (r->tables[1] == NULL) r->read_bytes[1] = 0;
    for (int i = 0; i < 2; i++)
        if (refuse_other_version(r, i) != STATUS_OK) return STATUS_FORMAT;
    for (int i = 0; i < 2; i++) follow(r, i, &chains[i]);
    int newest = chains[1].chunks > 0 && (chains[0].chunks == 0 || chains[1].generation > chains[0].generation) ? 1 : 0;
    /* a file without a sound base: a torn rewrite, which leaves older chunks behind it, or damage, which leaves newer
     */
    for (int i = 0; i < 2; i++)
        if (chains[i].chunks == 0 && chains[i].witness > chains[1 - i].generation) {
            chains[i].damaged = true;
            newest = i;
        }
    struct chain *c = &chains[newest];
    if (c->damaged || (c->chunks == 0 && (chains[0].damaged || chains[1].damaged))) {
        recovery_fail(r, STATUS_DAMAGED,
                      "%s/table-%d: damaged below its end: acknowledged state is missing; restore this "
                      "directory from a replica or a backup",
                      r->dir.s, newest);
        return STATUS_DAMAGED;
    }
    r->next = 1;
    if (c->chunks == 0) {
        r->start_file = r->journal->control.files[0].number;
        return STATUS_OK;
    }
    enum status status = load_chain(r, newest, c);
    if (status != STATUS_OK) {
        recovery_fail(r, status, "%s/table-%d: cannot be loaded: %s", r->dir.s, newest, status_text(status));
        return status;
    }
    r->last_file = (uint32_t)newest;
    r->last_bytes = (uint32_t)chunk_bytes(&c->last);
    r->last_pos = c->end - r->last_bytes;
    r->replay.table_sequence = c->last.sequence;
    r->next = c->last.replay_from;
    r->start_file = c->last.replay_file;
    r->at_pos = c->last.replay_pos;
    r->store->creations = c->last.creations;
    return STATUS_OK;
}
