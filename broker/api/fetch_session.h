// SPDX-License-Identifier: Apache-2.0
/* Incremental fetch sessions (KIP-227): what a client said once need not be said again, and partitions without news are
 * left out of answers. Pure memory of one shard: a session that a client brings to another shard is not found there,
 * and the client begins anew with a full fetch, as after a restart.
 *
 * A session is used by one fetch at a time: fetch_session_use marks it, fetch_session_done gives it back. What does not
 * fit (memory, slots) is no error: the fetch then goes without a session (id 0). */
#pragma once
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "protocol/uuid.h"
#include "protocol/wire.h"
#include "storage/types.h"

struct fetch_request;

struct fetch_want {  /* one partition that a client wants to read */
    struct str name; /* versions with names; else null */
    struct topic_id id;
    int32_t number, epoch, last_epoch, bytes_max;
    int64_t offset;
    int64_t told_high_watermark, told_log_start; /* of the last answer that had the partition; -1: never told */
    struct session_topic *topic;                 /* session's own: the name's memory; NULL with ids */
    bool gone;                                   /* session's own: being forgotten */
};

struct fetch_request_topic;
struct fetch_request_partition;
/* What one partition of a request says; name and id borrowed from it. */
void fetch_want_set(struct fetch_want *w, const struct fetch_request_topic *t, const struct fetch_request_partition *q);

struct fetch_session {
    struct list_node in_lru;
    int32_t id, epoch; /* epoch: what the next request must bring */
    bool by_id, busy;
    struct mono_ns used;
    struct fetch_want *wants;
    uint32_t count, room;
    uint32_t first;  /* of wants: where the next fetch begins, so that each has its turn */
    uint32_t *index; /* open addressing over wants; a power of two */
    uint32_t index_room;
    struct session_topic *newest; /* name of the last partition taken in */
};

#define FETCH_SESSION_ALIVE_NS  (120 * NS_PER_S) /* Kafka: one used later than this is not thrown out for a new one */
#define FETCH_SESSION_WANTS_MAX 100000u

#define FETCH_SESSIONS_MAX 65536u /* an id's low 16 bits are its slot */

struct fetch_sessions {
    struct mem *mem;
    struct list lru; /* least recently used first */
    struct fetch_session **slots;
    uint32_t count, max;
    uint64_t random; /* state of the id generator */
};

/* max: of this shard. seed: ids of different shards and starts differ. NO_MEMORY. */
MUST_CHECK enum status fetch_sessions_init(struct fetch_sessions *all, struct mem *m, uint32_t max, uint64_t seed);
void fetch_sessions_deinit(struct fetch_sessions *all);

enum fetch_session_use { FETCH_SESSION_NONE, FETCH_SESSION_NEW, FETCH_SESSION_GO_ON };

/* What a request means for sessions. OK: *ret_session is NULL (NONE) or busy with the request's changes taken in.
 * Errors (Kafka's codes): FETCH_SESSION_NOT_FOUND, FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID. */
MUST_CHECK enum status fetch_session_begin(struct fetch_sessions *all, const struct fetch_request *q, bool by_id,
                                           struct mono_ns now, struct fetch_session **ret_session,
                                           enum fetch_session_use *ret_use);
/* The fetch has ended. An empty session is closed. */
void fetch_session_done(struct fetch_sessions *all, struct fetch_session *s);
