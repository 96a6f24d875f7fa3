// SPDX-License-Identifier: Apache-2.0
/* What quorum*.c share: the only files that see libraft. */
#pragma once
#include "replication/quorum.h"
#include <raft.h>

#if RAFT_VERSION_NUMBER < 2201
#error "libraft before 0.22.1 loses committed entries (0.15.0: canonical/raft issue 220); see tools/packages"
#endif
#if RAFT_VERSION_NUMBER >= 2300
#error "libraft 0.23 has other owners of memory: read its notes and adapt this file"
#endif

#define INFLIGHT_ENTRIES 64u
#define ADDRESS_BYTES    12

struct quorum {
    struct mem *mem;
    struct quorum_config config;
    struct raft raft;
    char addresses[QUORUM_VOTERS_MAX][ADDRESS_BYTES];
    uint8_t change[QUORUM_CHANGE_MAX]; /* what entry 1 must hold */
    uint32_t change_size;
    int32_t told_leader;
    uint64_t told_term, told_commit;
    enum quorum_state told_state;
    enum status dead;
};

/* quorum_heap.c: before each call of the library. */
void quorum_enter(struct mem *m);
void quorum_heap_watch(void *p); /* has the library freed it since? */
bool quorum_heap_freed(void);

/* quorum.c */
raft_id quorum_raft_of(int32_t node);
int32_t quorum_node_of(raft_id id);
int quorum_voter_at(const struct quorum *q, int32_t node); /* -1: none */
bool quorum_change_ours(const struct quorum *q, uint64_t index, const uint8_t *data, uint32_t size);
bool quorum_our_configuration(struct quorum *q, struct raft_configuration *ret_configuration); /* to be given away */
int quorum_step(struct quorum *q, uint64_t now_ms, struct raft_event *e, struct raft_update *ret_update);
enum status quorum_die(struct quorum *q, int rv);
enum status quorum_act(struct quorum *q, const struct raft_update *u);
enum status quorum_step_act(struct quorum *q, uint64_t now_ms, struct raft_event *e);
