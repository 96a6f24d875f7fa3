// SPDX-License-Identifier: Apache-2.0
/* A journal's ring file: block groups, in the order in which they lie. The ring is written over lap by lap: between the
 * newest group and the oldest one lie remains of older laps, which are no damage.
 *
 * Two passes: the first finds every sound header and the highest sequence that any group calls durable; the second
 * prints, and judges what is not sound: below that sequence it was acknowledged and is damage; above, a write that was
 * under way (or torn by a crash) and never acknowledged. So it is with a gap in the sequence inside one file, and with
 * a group that does not follow the one before it. A later run that finds such a group behind the end gives its number
 * again: what is left of it is stale, and no damage either. Whether a whole group is missing at the end of a file, or
 * in another one, only recovery can tell. */
#include "tools/leat/dump.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "protocol/batch.h"
#include "storage/journal_format.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct found {
    uint64_t pos, sequence, incarnation;
    uint32_t length, chain, header_crc;
    bool stale; /* a later run has given its number again */
};

struct ring {
    struct found *groups;
    size_t count, capacity;
    uint64_t durable; /* highest sequence that a group says was durable */
    uint64_t old_bytes, entries, newest;
    struct journal_id journal;
};

static const char *const kinds[ENTRY_KIND_COUNT] = {
    [ENTRY_PAD] = "pad",           [ENTRY_CREATE] = "create",     [ENTRY_DELETE] = "delete",
    [ENTRY_APPEND] = "append",     [ENTRY_TRUNCATE] = "truncate", [ENTRY_LOG_START] = "log_start",
    [ENTRY_EPOCH] = "epoch_start", [ENTRY_ROLL] = "roll",         [ENTRY_ACCEPT] = "accept_damage",
    [ENTRY_EXPIRE] = "expire",     [ENTRY_SWAP] = "swap",
};
static_assert(ENTRY_KIND_COUNT == 11, "a new kind needs its name here");

static enum status header_at(struct dump *d, uint64_t pos, struct group_header *ret_header)
{
    if (d->source->size - pos < BLOCK_BYTES) return STATUS_FORMAT;
    const uint8_t *p = source_at(d->source, pos, BLOCK_BYTES);
    return p == NULL ? STATUS_IO_ERROR : group_header_decode(p, ret_header);
}

static void add(struct ring *r, uint64_t pos, const struct group_header *h)
{
    if (r->count == r->capacity) {
        r->capacity = MAX(2 * r->capacity, (size_t)1024);
        r->groups = realloc(r->groups, r->capacity * sizeof *r->groups);
        if (r->groups == NULL) abort();
    }
    r->groups[r->count++] = (struct found){pos, h->sequence, h->incarnation, h->length, h->chain, h->header_crc, false};
    r->newest = MAX(r->newest, h->sequence);
    r->durable = MAX(r->durable, h->durable_upto);
}

/* Sound headers of the journal that the first one names; a group's body is not looked at for headers. */
static void find(struct dump *d, struct ring *r)
{
    uint64_t pos = 0, size = d->source->size;
    while (pos + BLOCK_BYTES <= size) {
        struct group_header h;
        bool good = header_at(d, pos, &h) == STATUS_OK && h.length <= size - pos;
        if (good && r->count == 0) r->journal = h.journal;
        good = good && memcmp(r->journal.b, h.journal.b, sizeof h.journal.b) == 0;
        if (good) add(r, pos, &h);
        const uint8_t *body = good ? source_at(d->source, pos, h.length) : NULL;
        bool whole = body != NULL && crc32c(0, body + GROUP_HEADER_BYTES, h.length - GROUP_HEADER_BYTES) == h.body_crc;
        pos += whole ? h.length : BLOCK_BYTES; /* in a torn one newer groups may lie */
        progress_show(&d->progress, "looked at", r->count, pos);
    }
}

static int newest_run_first(const void *a, const void *b)
{
    const struct found *x = *(struct found *const *)a, *y = *(struct found *const *)b;
    return (x->incarnation < y->incarnation) - (x->incarnation > y->incarnation);
}

static void find_stale(struct ring *r)
{
    struct found **order = calloc(r->count + 1, sizeof *order);
    uint64_t lowest = UINT64_MAX; /* sequence of all newer runs */
    if (order == NULL) abort();
    for (size_t i = 0; i < r->count; i++) order[i] = &r->groups[i];
    qsort(order, r->count, sizeof *order, newest_run_first);
    for (size_t i = 0, next; i < r->count; i = next) {
        uint64_t mine = UINT64_MAX;
        for (next = i; next < r->count && order[next]->incarnation == order[i]->incarnation; next++) {
            order[next]->stale = order[next]->sequence >= lowest;
            mine = MIN(mine, order[next]->sequence);
        }
        lowest = MIN(lowest, mine);
    }
    free(order);
}

static void print_entry(struct dump *d, const struct entry *e)
{
    struct batch_info info;
    dump_begin(d, kinds[e->kind]);
    dump_hex(d, "topic_id", e->topic.b, sizeof e->topic.b);
    dump_int(d, "partition", e->partition);
    if (e->log != 0) dump_int(d, "log", e->log);
    dump_int(d, "epoch", e->epoch);
    dump_int(d, "offset", e->offset);
    dump_uint(d, "aux", e->aux);
    dump_uint(d, "bytes", e->payload_bytes);
    if (e->kind == ENTRY_CREATE && e->payload_bytes >= 8)
        dump_bytes(d, "topic", e->payload + 8, (int64_t)e->payload_bytes - 8);
    struct swap_payload swap;
    if (e->kind == ENTRY_SWAP && swap_payload_decode(e->payload, e->payload_bytes, &swap) == STATUS_OK) {
        dump_uint(d, "segments", swap.count);
        dump_uint(d, "generation", swap.generation);
        dump_int(d, "end", swap.end_base);
        dump_int(d, "clean_end", swap.clean_end);
    }
    if (e->kind == ENTRY_APPEND && batch_parse(e->payload, e->payload_bytes, &info) == STATUS_OK) {
        dump_int(d, "last", batch_last_offset(&info));
        dump_int(d, "records", info.record_count);
    }
    dump_end(d);
    d->things--; /* the sum counts groups */
}

static void print_proofs(struct dump *d, const struct group_reader *g, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct proof p;
        group_reader_proof(g, i, &p);
        dump_begin(d, "proof");
        dump_hex(d, "topic_id", p.topic.b, sizeof p.topic.b);
        dump_int(d, "partition", p.partition);
        dump_int(d, "end", p.end);
        dump_int(d, "high_watermark", p.high_watermark);
        dump_end(d);
        d->things--;
    }
}

static void print_body(struct dump *d, struct ring *r, uint64_t pos, const uint8_t *bytes, const struct group_header *h)
{
    struct group_reader g;
    struct entry e;
    enum status s;
    group_reader_init(&g, bytes, h);
    if (d->deep) print_proofs(d, &g, h->proof_count);
    while ((s = group_reader_next(&g, &e)) == STATUS_OK) {
        struct batch_info info;
        r->entries++;
        if (d->deep) print_entry(d, &e);
        if (e.kind != ENTRY_APPEND) continue;
        bool sound = batch_parse(e.payload, e.payload_bytes, &info) == STATUS_OK &&
                     info.size_bytes == e.payload_bytes && batch_crc_valid(e.payload, &info);
        if (!sound)
            dump_damage(d, pos + (uint64_t)(e.payload - bytes), e.payload_bytes,
                        "group %llu is sound, but its batch at offset %lld is not", (unsigned long long)h->sequence,
                        (long long)e.offset);
    }
    if (s == STATUS_DAMAGED)
        dump_damage(d, pos, h->length, "group %llu: its entries make no sense", (unsigned long long)h->sequence);
}

static void print_group(struct dump *d, struct ring *r, const struct found *f)
{
    struct group_header h;
    if (header_at(d, f->pos, &h) != STATUS_OK || h.sequence != f->sequence) {
        dump_note(d, f->pos, "group %llu was written over while it was read", (unsigned long long)f->sequence);
        return;
    }
    const uint8_t *bytes = source_at(d->source, f->pos, h.length);
    bool sound = bytes != NULL && crc32c(0, bytes + GROUP_HEADER_BYTES, h.length - GROUP_HEADER_BYTES) == h.body_crc;
    if (!sound && source_again(d->source)) {
        print_group(d, r, f);
        return;
    }
    source_fine(d->source);
    dump_begin(d, "group");
    dump_uint(d, "position", f->pos);
    dump_uint(d, "bytes", h.length);
    dump_uint(d, "sequence", h.sequence);
    dump_uint(d, "incarnation", h.incarnation);
    dump_uint(d, "durable", h.durable_upto);
    dump_uint(d, "proofs", h.proof_count);
    dump_uint(d, "entries", h.entry_count);
    dump_time(d, "time", h.wall_ms);
    dump_end(d);
    if (f->stale)
        dump_note(d, f->pos, "group %llu is of an earlier run and was never acknowledged: a later one has its number",
                  (unsigned long long)h.sequence);
    else if (sound)
        print_body(d, r, f->pos, bytes, &h);
    else if (h.sequence <= r->durable)
        dump_damage(d, f->pos, h.length, "group %llu fails its checksum, and what has that number was acknowledged",
                    (unsigned long long)h.sequence);
    else
        dump_note(d, f->pos, "group %llu fails its checksum: a write under way or torn, never acknowledged",
                  (unsigned long long)h.sequence);
}

/* Between two groups of the file. */
static void judge_gap(struct dump *d, struct ring *r, const struct found *before, const struct found *next)
{
    uint64_t from = before == NULL ? 0 : before->pos + before->length, to = next == NULL ? d->source->size : next->pos;
    if (from > to) return; /* the one before is torn, newer ones lie in it */
    bool stale = (before != NULL && before->stale) || (next != NULL && next->stale);
    uint64_t lost =
        before != NULL && next != NULL && next->sequence > before->sequence ? next->sequence - before->sequence - 1 : 0;
    if (lost > 0 && !stale && before->sequence < r->durable)
        dump_damage(d, from, to - from, "%llu groups from %llu on are missing", (unsigned long long)lost,
                    (unsigned long long)before->sequence + 1);
    else if (lost > 0 && !stale)
        dump_note(d, from, "%llu groups from %llu on were torn, and never acknowledged", (unsigned long long)lost,
                  (unsigned long long)before->sequence + 1);
    else if (!stale && from == to && before != NULL && next != NULL && next->sequence == before->sequence + 1 &&
             next->chain != before->header_crc && next->sequence <= r->durable)
        dump_damage(d, next->pos, next->length, "group %llu does not follow the one before it",
                    (unsigned long long)next->sequence);
    if ((lost > 0 && !stale) || from == to) return;
    if (!source_zero(d->source, from, to)) r->old_bytes += to - from;
    dump_begin(d, "gap");
    dump_uint(d, "position", from);
    dump_uint(d, "bytes", to - from);
    dump_word(d, "what", source_zero(d->source, from, to) ? "never used" : "remains of an earlier lap");
    dump_end(d);
    d->things--;
}

void dump_ring(struct dump *d)
{
    struct ring r = {0};
    find(d, &r);
    find_stale(&r);
    for (size_t i = 0; i <= r.count; i++) {
        judge_gap(d, &r, i == 0 ? NULL : &r.groups[i - 1], i == r.count ? NULL : &r.groups[i]);
        if (i < r.count) print_group(d, &r, &r.groups[i]);
    }
    dump_sum(d);
    dump_uint(d, "groups", r.count);
    dump_uint(d, "entries", r.entries);
    dump_uint(d, "newest", r.newest);
    dump_uint(d, "durable", r.durable);
    if (r.count > 0) dump_hex(d, "journal", r.journal.b, sizeof r.journal.b);
    dump_end(d);
    free(r.groups);
}
