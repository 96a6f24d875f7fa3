// SPDX-License-Identifier: Apache-2.0
/* What recovery of the metalog decides, as pure functions: what follows the last good group, which snapshot fits which
 * log. metalog_recover.c reads and asks. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* What stands where the next group would. */
struct tail_facts {
    bool good;     /* a whole group of this log with the next sequence, the right chain, an incarnation that fits */
    bool zero;     /* nothing was ever written there */
    bool witness;  /* this place or a later one of the segment has a head of this log with a higher sequence */
    bool last;     /* this is the last segment that control names */
    bool accepted; /* control says that this sequence was durable once */
};
enum tail_case {
    TAIL_GROUP,   /* take it, go on */
    TAIL_NEXT,    /* go on in the next segment */
    TAIL_END,     /* clean end */
    TAIL_CUT,     /* a write that a crash tore, never acknowledged: the log ends before it */
    TAIL_DAMAGED, /* was durable once: never cut */
};
enum tail_case tail_decide(const struct tail_facts *f);

/* The log against the newest sound snapshot. */
struct log_facts {
    uint64_t first, last;      /* of the log; last = first - 1: empty */
    uint64_t term_at_snapshot; /* of the log's entry at snapshot_index; 0: it has none */
    uint64_t snapshot_index;   /* 0: there is no snapshot */
    uint64_t snapshot_term;
    uint64_t reset_index; /* of the last RESET group; 0: none */
};
enum log_case {
    LOG_KEEP,    /* the snapshot, then the log's entries behind it */
    LOG_RESET,   /* the snapshot alone: the log ends before it, or is another history */
    LOG_DAMAGED, /* entries that nothing holds any more */
};
enum log_case log_decide(const struct log_facts *f);
