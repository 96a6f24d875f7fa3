// SPDX-License-Identifier: Apache-2.0
/* Messages between metalogs as bytes. Format version 1, little-endian, on one FIFO connection (whose frame carries the
 * length): u8 version, u8 kind, u16 0, i32 to, u8[16] cluster, u64 term, then by kind
 *   APPEND         u64 prev index, u64 prev term, u64 commit, u32 count, u32 0, then entries as in the log files
 *   APPEND_RESULT  u64 rejected, u64 last index
 *   VOTE           u64 last index, u64 last term, u8 disrupt, u8 pre-vote, u8[6] 0
 *   VOTE_RESULT    u8 granted, u8 pre-vote, u8[6] 0
 *   INSTALL        u64 last index, u64 last term, u32 CRC-32C of the data, u32 0, the data
 *   TIMEOUT_NOW    u64 last index, u64 last term */
#pragma once
#include "base/buf.h"
#include "protocol/uuid.h"
#include "replication/quorum.h"

#define MESSAGE_ENTRIES_MAX 4096u /* of one APPEND */

/* The bytes of m for its peer, entries from the log, INSTALL's data from `data`. NULL: no memory: the message is lost.
 */
struct buf *metalog_message_encode(struct mem *m, const struct quorum_message *q, struct uuid cluster,
                                   const struct entry_log *log);
/* Entries of an APPEND go to `entries`, which has MESSAGE_ENTRIES_MAX places. INVALID; FORMAT: another version, cluster
 * or receiver. */
enum status metalog_message_decode(const void *data, size_t size, int32_t from, int32_t self, struct uuid cluster,
                                   struct entry_view *entries, struct quorum_message *ret_message) MUST_CHECK;
