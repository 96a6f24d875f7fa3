// SPDX-License-Identifier: Apache-2.0
/* What the files of the classic rules share (classic.h): the state of a group and the steps on it.
 *
 *            join            all joined, or too late      leader's assignment stored
 *   Empty ---------> Preparing ---------------> Completing -------------------> Stable
 *     ^                  |  ^                        |                            |
 *     +--- nobody left --+  +---- join, leave, ------+----- session expired ------+
 *
 * What the log knows: type, generation, protocol, leader, members with subscription and assignment of the last group
 * that became Stable or Empty (one GroupMetadata record). All else begins anew after a load. */
#pragma once
#include "broker/group/classic.h"
#include "protocol/wire.h"

/* Bounds of what one group may hold, over all members. Apache Kafka has one only: the record must fit a batch of 1 MiB.
 * Ours makes two such batches, at most, of each of these, so a record stays under leat.batch.max.bytes (11 MiB). */
#define CLASSIC_METADATA_BYTES_MAX   ((size_t)4 << 20) /* ids, hosts, protocols; above: GROUP_MAX_SIZE_REACHED */
#define CLASSIC_ASSIGNMENT_BYTES_MAX ((size_t)4 << 20) /* above: UNKNOWN_SERVER_ERROR, as Kafka's too large record */
#define CLASSIC_PENDING_MAX          10000             /* member ids given out; above: COORDINATOR_NOT_AVAILABLE */
#define CLASSIC_PROTOCOLS_MAX        64                /* of a member; above: INCONSISTENT_GROUP_PROTOCOL */
#define CLASSIC_TOPICS_MAX           10000             /* known subscriptions; above: counts as subscribed to all */
#define CLASSIC_SPARE_BYTES          ((size_t)1 << 20) /* MEM_CONTROL left for others when a member joins again */

#define NEW_MEMBER_MS  300000 /* how long a member waits for its first generation (Kafka's constant) */
#define RETRY_LEAST_MS 1000   /* between two looks whether static members have come, whatever their timeout */

static inline struct str str_or_empty(struct str s)
{
    return s.len >= 0 ? s : STR_EMPTY;
}

enum classic_state { CLASSIC_EMPTY, CLASSIC_PREPARING, CLASSIC_COMPLETING, CLASSIC_STABLE };

struct protocol_name { /* a protocol that some member supports */
    struct hash_node by_name;
    struct str name;
    uint32_t members; /* who support it */
    uint32_t votes;   /* scratch of an election */
};

struct member_protocol {
    struct protocol_name *name;
    struct bytes metadata;
};

struct classic_member {
    struct hash_node by_id, by_instance; /* the latter: static members */
    struct list_node in_list;            /* members or pending */
    struct str id, instance;             /* instance null: a dynamic member */
    struct str client_id, client_host;
    int32_t session_ms, rebalance_ms;
    struct member_protocol *protocols; /* as the member prefers them */
    uint32_t protocol_count;
    struct bytes assignment;
    size_t metadata_bytes;       /* its part of classic_group's */
    struct mono_ns session_ends; /* NEVER: not while it waits for the others */
    /* The call is NULL while the member waits if its client has gone: the member still counts as joined. */
    struct group_call *join_call, *sync_call;
    bool pending;       /* has an id only */
    bool joining;       /* waits for the next generation */
    bool syncing;       /* waits for the assignment */
    bool unsynced;      /* has to send SyncGroup for this generation */
    bool is_new;        /* in no generation yet */
    bool named;         /* scratch: by the record that is applied */
    struct bytes given; /* scratch: by the leader; borrowed */
};

struct classic_group {
    enum classic_state state;
    int32_t generation;
    struct str protocol_type, protocol; /* null: none */
    struct classic_member *leader;      /* NULL: none */
    int64_t since_ms;                   /* of the state, wall; -1: not known */
    struct hash_table by_id, by_instance, protocol_names;
    struct list members, pending; /* oldest first */
    uint32_t member_count, pending_count, joining_count, unsynced_count;
    size_t metadata_bytes;
    struct mono_ns join_ends, sync_ends; /* NEVER */
    /* A rebalance that began at Empty gives the others time to come: delay after delay while new ones do. */
    bool first, more_came;
    int32_t delay_ms, left_ms;
    bool recorded; /* the log has a record of it */
    /* Of all members' subscriptions. Not known: counts as all, for groups of consumers. */
    struct hash_table topics;
    struct list all_topics;
    bool topics_known;
};

/* ---- classic_members.c: who is in; nothing follows from it here ---- */

struct protocol_spec {
    struct str name;
    struct bytes metadata;
};

struct member_spec { /* borrowed; what the member is to have is copied */
    struct str instance, client_id, client_host;
    int32_t session_ms, rebalance_ms;
    const struct protocol_spec *protocols;
    uint32_t protocol_count;
};

struct classic_member *classic_find(const struct classic_group *cg, struct str id); /* pending ones too; NULL */
struct classic_member *classic_find_static(const struct classic_group *cg, struct str instance);
/* UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID; NONE and the member. instance null: the member does not say. */
int16_t classic_check_member(const struct classic_group *cg, struct str id, struct str instance,
                             struct classic_member **ret_member);
/* Pending, with its id only, which is given over. NULL: no memory, gs->status is set. */
struct classic_member *classic_add(struct groups *gs, struct classic_group *cg, struct str id);
/* A pending one becomes a member. False: gs->status. */
bool classic_admit(struct groups *gs, struct classic_group *cg, struct classic_member *m,
                   const struct member_spec *spec);
/* Timeouts and protocols of spec in place of its own. */
bool classic_update(struct groups *gs, struct classic_group *cg, struct classic_member *m,
                    const struct member_spec *spec);
/* Leader and counts follow. Its waiting calls must have ended. */
void classic_remove(struct groups *gs, struct classic_group *cg, struct classic_member *m);
void classic_rename(struct groups *gs, struct classic_group *cg, struct classic_member *m,
                    struct str id); /* given over */
void classic_set_joining(struct classic_group *cg, struct classic_member *m, bool joining);
void classic_set_unsynced(struct classic_group *cg, struct classic_member *m, bool unsynced);
/* What a member of this spec counts in metadata_bytes. */
size_t classic_spec_bytes(struct str id, const struct member_spec *spec);

/* ---- classic_protocols.c: what members support ---- */

bool classic_set_protocols(struct groups *gs, struct classic_group *cg, struct classic_member *m,
                           const struct member_spec *spec);
void classic_drop_protocols(struct groups *gs, struct classic_group *cg, struct classic_member *m);
bool classic_same_protocols(const struct classic_member *m, const struct member_spec *spec);
/* May a member with these be let in: is one of them supported by all? */
bool classic_fits(const struct classic_group *cg, struct str protocol_type, const struct member_spec *spec);
struct bytes classic_metadata(const struct classic_member *m, struct str protocol); /* empty: not supported */
struct str classic_elect_protocol(const struct classic_group *cg);                  /* borrowed; there are members */

/* ---- classic_rebalance.c: from one generation to the next ---- */

void classic_prepare(struct groups *gs, struct group *g);                         /* not from Preparing */
void classic_prepare_or_complete(struct groups *gs, struct group *g);             /* somebody has joined or left */
void classic_maybe_complete(struct groups *gs, struct group *g);                  /* while Preparing: are all here? */
void classic_members_gone(struct groups *gs, struct group *g, bool only_pending); /* by time, not by their will */
void classic_join_timeout(struct groups *gs, struct group *g);
void classic_sync_timeout(struct groups *gs, struct group *g);
void classic_session_begin(struct groups *gs, struct group *g, struct classic_member *m);
void classic_propagate(struct groups *gs, struct group *g, int16_t error); /* to all that wait for the assignment */

/* ---- classic_answers.c ---- */

/* The current generation, to c; the members to the leader. leader: what the member is told (its old id, perhaps). */
void classic_answer_join(struct groups *gs, const struct group *g, const struct classic_member *m, struct group_call *c,
                         struct str leader, bool skip_assignment);
void classic_refuse_join(struct groups *gs, struct group_call *c, int16_t error, struct str member_id);
void classic_answer_sync(struct groups *gs, const struct group *g, const struct classic_member *m, struct group_call *c,
                         int16_t error);
/* Ends what m waits for, with an error; it waits no more. */
void classic_end_calls(struct groups *gs, struct classic_group *cg, struct classic_member *m, int16_t error,
                       struct str member_id);
struct str classic_leader_id(const struct classic_group *cg); /* null without */

/* ---- classic_records.c ---- */

/* The record of generation; Stable or Empty after it. given: with the assignments that the members are given now. */
void classic_put(struct groups *gs, struct group *g, int32_t generation, bool given);
int32_t classic_next_generation(const struct classic_group *cg);

/* ---- classic_topics.c ---- */

void classic_learn_topics(struct groups *gs, struct classic_group *cg);
void classic_forget_topics(struct groups *gs, struct classic_group *cg);
