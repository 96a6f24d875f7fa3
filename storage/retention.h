// SPDX-License-Identifier: Apache-2.0
/* The rule of retention: which segments go, and what time it is for it. Pure.
 *
 * As Apache Kafka 4 decides: whole segments from the front, one after the other, as long as each is
 *   wholly below the log start, or
 *   needed for nothing to get down to retention.bytes: what is left without it is still that much or more, or
 *   older than retention.ms: its newest record's time was longer ago than that.
 * Never a segment that reaches above the high watermark. The active segment goes like any other, after a roll; an empty
 * one stays. Only where cleanup.policy has "delete". */
#pragma once
#include "base/clock.h"
#include "storage/partition.h"

struct retention_log {
    const struct segment *segments; /* in order, the last one open */
    uint32_t count;
    uint64_t end_pos;
    int64_t log_start, high_watermark, log_end;
};

struct retention_verdict {
    int64_t log_start; /* the new one; NO_OFFSET: nothing goes */
    bool roll;         /* the active segment goes too: a new one must begin at the log end first */
    uint32_t segments; /* how many go */
    uint64_t bytes;    /* and their bytes */
};

struct retention_verdict retention_decide(const struct partition_settings *settings, const struct retention_log *l,
                                          int64_t now_ms);

/* The time that ages are measured by (fault row C2): the wall clock, as long as it does not jump ahead. A jump of more
 * than RETENTION_JUMP_MS is followed at twice the speed of time, so that a clock set wrong deletes nothing for as long
 * as it was wrong; a step back is followed at once. It begins with the wall clock of the start. */
#define RETENTION_JUMP_MS 60000

struct retention_clock {
    struct mono_ns at;
    int64_t ms;  /* then */
    bool behind; /* the wall clock has jumped ahead */
};

void retention_clock_init(struct retention_clock *c, struct mono_ns now, struct wall_ms wall);
/* The time of now; *ret_jumped: a jump begins here. */
int64_t retention_clock_read(struct retention_clock *c, struct mono_ns now, struct wall_ms wall, bool *ret_jumped);
