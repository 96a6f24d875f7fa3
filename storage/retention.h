// SPDX-License-Identifier: Apache-2.0
/* The rule of retention: which segments go. Pure.
 *
 * As Apache Kafka 4 decides: whole segments from the front, one after the other, as long as each is
 *   wholly below the log start, or
 *   needed for nothing to get down to retention.bytes: what is left without it is still that much or more, or
 *   older than retention.ms: its newest record's time was longer ago than that.
 * Never a segment that reaches above the high watermark. The active segment goes like any other, after a roll; an empty
 * one stays. Only where cleanup.policy has "delete". */
#pragma once
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
