// SPDX-License-Identifier: Apache-2.0
/* Which crash states of a block log are tried, and what each is made of.
 *
 * The power fails after entry point - 1. Durable: all before the last flush ahead of the point. Of the pending rest any
 * sector may be there or not. States are chosen from (log, seed, count) alone, so a number names the same state again.
 */
#pragma once
#include "blklog.h"
#include "vdisk.h"
#include <stdint.h>

enum state_kind {
    STATE_NONE,      /* nothing pending made it */
    STATE_ALL,       /* everything did */
    STATE_DROP,      /* all but one write (arg: which of the pending) */
    STATE_TORN,      /* all, but of one write (arg) only some sectors */
    STATE_TORN_TAIL, /* all, but of one write (arg) only a leading part */
    STATE_SUBSET,    /* random writes */
    STATE_SHUFFLE,   /* random writes in random order: of overlapping ones an older may win */
    STATE_SECTORS,   /* random sectors of random writes */
    STATE_KINDS
};
extern const char *const state_kind_name[STATE_KINDS];

struct state {
    uint32_t point, flush; /* log indices; flush: everything below is durable */
    uint32_t kind, arg;
    uint64_t seed, image; /* image: hash of what the disk holds, for counting distinct states */
};

struct piece { /* part of a write that made it */
    uint32_t entry, from_bytes, size_bytes;
};
#define PIECES_MAX (4u << 20)

/* The pieces above the flush, in the order to apply them. Returns their number. */
uint32_t state_pieces(const struct blklog *l, const struct state *s, struct piece *ret_pieces);
void state_apply(const struct blklog *l, const struct piece *pieces, uint32_t count, struct vdisk *d);

/* Fills at most `count` states with distinct images, ordered by point. Returns how many there are. */
uint32_t states_choose(const struct blklog *l, uint64_t seed, uint32_t count, struct state *ret_states);
