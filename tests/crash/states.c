// SPDX-License-Identifier: Apache-2.0
/* Choice and make-up of crash states.
 *
 * Path: the points after the first mark are walked from the last to the first (of equal images the one with the most
 * marks is the strictest, so it is kept). First, at every point
 * just after a mark or just before a flush, nothing and everything of the pending (a seeded sample, at most a quarter
 * of the wanted count); then each pending write missing and each torn, and the plain prefix at every write (likewise a
 * quarter); random states at random points fill the rest. A log too short for the wanted count gives fewer states; the
 * caller says so. */
#include "states.h"
#include "util.h"
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    POINT_WRITES_MAX = 12, /* single writes dropped or torn per point; a random choice of more */
    TRIES_PER_STATE = 20,  /* random tries until the log counts as exhausted */
    SLOTS = 1 << 22,       /* of the set of images; a power of two, far above any count */
    CANDIDATES_MAX = 1 << 20
};

const char *const state_kind_name[STATE_KINDS] = {"none", "all",    "drop",    "torn",
                                                  "tail", "subset", "shuffle", "sectors"};

static bool is_block(const struct blklog_entry *e)
{
    return e->kind == BLKLOG_WRITE || e->kind == BLKLOG_ZERO;
}

static uint32_t add_whole(const struct blklog *l, uint32_t entry, struct piece *p, uint32_t n)
{
    assert(n < PIECES_MAX);
    p[n] = (struct piece){.entry = entry, .from_bytes = 0, .size_bytes = l->entry[entry].size_bytes};
    return n + 1;
}

static uint32_t add_sectors(const struct blklog *l, uint32_t entry, uint64_t *rng, struct piece *p, uint32_t n)
{
    uint32_t size = l->entry[entry].size_bytes;
    if (l->entry[entry].kind == BLKLOG_ZERO) return random_below(rng, 2) ? add_whole(l, entry, p, n) : n;
    for (uint32_t at = 0; at < size; at += VDISK_SECTOR) {
        if (random_below(rng, 2)) continue;
        assert(n < PIECES_MAX);
        p[n++] = (struct piece){.entry = entry, .from_bytes = at, .size_bytes = VDISK_SECTOR};
    }
    return n;
}

static uint32_t add_tail_cut(const struct blklog *l, uint32_t entry, uint64_t *rng, struct piece *p, uint32_t n)
{
    uint32_t sectors = l->entry[entry].size_bytes / VDISK_SECTOR;
    uint32_t keep = (uint32_t)random_below(rng, sectors);
    if (keep == 0) return n;
    p[n] = (struct piece){.entry = entry, .from_bytes = 0, .size_bytes = keep * VDISK_SECTOR};
    return n + 1;
}

static uint32_t add_by_kind(const struct blklog *l, const struct state *s, uint32_t entry, uint32_t nth, uint64_t *rng,
                            uint32_t keep_of_8, struct piece *p, uint32_t n)
{
    switch ((enum state_kind)s->kind) {
    case STATE_ALL: return add_whole(l, entry, p, n);
    case STATE_DROP: return nth == s->arg ? n : add_whole(l, entry, p, n);
    case STATE_TORN: return nth == s->arg ? add_sectors(l, entry, rng, p, n) : add_whole(l, entry, p, n);
    case STATE_TORN_TAIL: return nth == s->arg ? add_tail_cut(l, entry, rng, p, n) : add_whole(l, entry, p, n);
    case STATE_SUBSET:
    case STATE_SHUFFLE: return random_below(rng, 8) < keep_of_8 ? add_whole(l, entry, p, n) : n;
    case STATE_SECTORS: return random_below(rng, 8) < keep_of_8 ? add_sectors(l, entry, rng, p, n) : n;
    case STATE_NONE:
    case STATE_KINDS: break;
    }
    return n;
}

uint32_t state_pieces(const struct blklog *l, const struct state *s, struct piece *ret_pieces)
{
    uint64_t rng = s->seed;
    uint32_t keep_of_8 = 2 + (uint32_t)random_below(&rng, 6), n = 0, nth = 0;
    if (s->kind == STATE_NONE) return 0;
    for (uint32_t i = s->flush; i < s->point; i++)
        if (is_block(&l->entry[i])) n = add_by_kind(l, s, i, nth++, &rng, keep_of_8, ret_pieces, n);
    for (uint32_t i = n; s->kind == STATE_SHUFFLE && i > 1; i--) {
        uint32_t k = (uint32_t)random_below(&rng, i);
        struct piece other = ret_pieces[k];
        ret_pieces[k] = ret_pieces[i - 1];
        ret_pieces[i - 1] = other;
    }
    return n;
}

void state_apply(const struct blklog *l, const struct piece *pieces, uint32_t count, struct vdisk *d)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct blklog_entry *e = &l->entry[pieces[i].entry];
        const uint8_t *data = blklog_data(l, e);
        vdisk_write(d, e->offset + pieces[i].from_bytes, data ? data + pieces[i].from_bytes : NULL,
                    pieces[i].size_bytes);
    }
}

/* What building the list needs at hand. */
struct chooser {
    const struct blklog *log;
    struct state *state;
    uint32_t count, max;
    uint32_t first_point; /* just after the first mark: before it only mkfs and mount were at work */
    uint64_t *seen;       /* hash set of images; 0: free */
    uint32_t *last_flush; /* per point */
    struct piece *pieces;
    uint64_t rng;
};

/* Two lists of pieces with the same hash make the same image (the converse may fail: then a state is tried twice). */
static uint64_t image_hash(struct chooser *c, const struct state *s)
{
    uint32_t n = state_pieces(c->log, s, c->pieces);
    uint64_t h = s->flush;
    random_next(&h);
    for (uint32_t i = 0; i < n; i++) {
        h ^= ((uint64_t)c->pieces[i].entry << 32) ^ ((uint64_t)c->pieces[i].from_bytes << 8) ^ c->pieces[i].size_bytes;
        h = random_next(&h);
    }
    return h ? h : 1;
}

static bool is_new(struct chooser *c, uint64_t image)
{
    uint64_t slot = image % SLOTS;
    while (c->seen[slot] && c->seen[slot] != image) slot = (slot + 1) % SLOTS;
    if (c->seen[slot] == image) return false;
    c->seen[slot] = image;
    return true;
}

static void add(struct chooser *c, uint32_t point, enum state_kind kind, uint32_t arg)
{
    if (c->count == c->max) return;
    struct state s = {.point = point, .flush = c->last_flush[point], .kind = kind, .arg = arg};
    s.seed = random_next(&c->rng);
    s.image = image_hash(c, &s);
    if (is_new(c, s.image)) c->state[c->count++] = s;
}

static uint32_t pending(const struct chooser *c, uint32_t point)
{
    uint32_t n = 0;
    for (uint32_t i = c->last_flush[point]; i < point; i++) n += is_block(&c->log->entry[i]);
    return n;
}

/* Just after a mark most is promised; just before a flush most is pending. */
static bool is_sharp(const struct chooser *c, uint32_t point)
{
    if (point == c->log->count || c->log->entry[point].kind == BLKLOG_FLUSH) return true;
    return c->log->entry[point - 1].kind == BLKLOG_MARK;
}

static void add_extremes(struct chooser *c, uint32_t point)
{
    if (!is_sharp(c, point)) return;
    add(c, point, STATE_NONE, 0);
    add(c, point, STATE_ALL, 0);
}

static void add_singles(struct chooser *c, uint32_t point)
{
    if (!is_sharp(c, point)) {
        if (is_block(&c->log->entry[point - 1])) add(c, point, STATE_ALL, 0);
        return;
    }
    uint32_t n = pending(c, point);
    for (uint32_t i = 0; i < n && i < POINT_WRITES_MAX; i++) {
        uint32_t nth = n <= POINT_WRITES_MAX ? i : (uint32_t)random_below(&c->rng, n);
        add(c, point, STATE_DROP, nth);
        add(c, point, STATE_TORN, nth);
        add(c, point, STATE_TORN_TAIL, nth);
    }
}

static int by_point(const void *a, const void *b)
{
    const struct state *x = a, *y = b;
    if (x->point != y->point) return x->point < y->point ? -1 : 1;
    return x->image < y->image ? -1 : x->image > y->image;
}

/* Of the states from `first` on, a seeded sample of `keep` stays. */
static void sample(struct chooser *c, uint32_t first, uint32_t keep)
{
    for (uint32_t i = first; i < first + keep && i < c->count; i++) {
        uint32_t k = i + (uint32_t)random_below(&c->rng, c->count - i);
        struct state other = c->state[k];
        c->state[k] = c->state[i];
        c->state[i] = other;
    }
    if (c->count > first + keep) c->count = first + keep;
}

static void chooser_init(struct chooser *c, const struct blklog *l, uint64_t seed)
{
    *c = (struct chooser){.log = l, .max = CANDIDATES_MAX, .rng = seed ^ 0x6c656174u};
    c->state = reserve(CANDIDATES_MAX * sizeof(*c->state));
    c->seen = reserve(SLOTS * sizeof(*c->seen));
    c->last_flush = reserve((l->count + 1) * sizeof(*c->last_flush));
    c->pieces = reserve(PIECES_MAX * sizeof(*c->pieces));
    while (c->first_point < l->count && l->entry[c->first_point].kind != BLKLOG_MARK) c->first_point++;
    c->first_point++;
    for (uint32_t i = 1; i <= l->count; i++)
        c->last_flush[i] = l->entry[i - 1].kind == BLKLOG_FLUSH ? i : c->last_flush[i - 1];
}

uint32_t states_choose(const struct blklog *l, uint64_t seed, uint32_t count, struct state *ret_states)
{
    struct chooser c;
    chooser_init(&c, l, seed);
    for (uint32_t point = (uint32_t)l->count; point >= c.first_point; point--) add_extremes(&c, point);
    sample(&c, 0, (count + 3) / 4);
    uint32_t extremes = c.count;
    for (uint32_t point = (uint32_t)l->count; point >= c.first_point; point--) add_singles(&c, point);
    sample(&c, extremes, (count + 3) / 4);
    uint64_t tries = c.first_point <= l->count ? (uint64_t)count * TRIES_PER_STATE : 0;
    for (; tries > 0 && c.count < count; tries--) {
        uint32_t point = c.first_point + (uint32_t)random_below(&c.rng, l->count - c.first_point + 1);
        enum state_kind kind = (enum state_kind)(STATE_DROP + random_below(&c.rng, STATE_KINDS - STATE_DROP));
        uint32_t n = pending(&c, point);
        if (n > 0) add(&c, point, kind, (uint32_t)random_below(&c.rng, n));
    }
    qsort(c.state, c.count, sizeof(*c.state), by_point);
    for (uint32_t i = 0; i < c.count; i++) ret_states[i] = c.state[i];
    return c.count;
}
