// SPDX-License-Identifier: Apache-2.0
/* Inside the rules of consumer groups (consumer.h): the state of one group and what the files share.
 *
 *   consumer.c            the heartbeat: join, leave, the steps in their order; time
 *   consumer_check.c      what a heartbeat must pass before anything changes
 *   consumer_state.c      the tables (members: consumer_members.c)
 *   consumer_apply.c      what a record does to them; nothing else changes them
 *   consumer_put.c        the records of a member, a group
 *   consumer_topics.c     what the group subscribes to: metadata hash, regular expressions
 *   consumer_target.c     who shall have what; consumer_reconcile.c  how a member gets there
 *   consumer_describe.c   what others may know and ask
 *   consumer_classic.c    members that speak the classic protocol (what they say: consumer_embedded.h)
 *   consumer_migrate.c    groups that change their kind
 *
 * Memory: MEM_CONTROL. A member costs about 400 bytes, its texts and 48 bytes per partition (assigned and target);
 * members with the same subscription share one list of names. Limits below keep what one client can make it hold. */
#pragma once
#include "base/bytes.h"
#include "broker/group/consumer.h"
#include "broker/group/parts.h"
#include <xxhash.h>

#define MEMBER_TEXT_MAX       1024  /* bytes of a member id, instance id, rack; longer: INVALID_REQUEST */
#define SUBSCRIBED_TOPICS_MAX 10000 /* names a member may list: INVALID_REQUEST */
#define TOPIC_NAME_MAX        249   /* Kafka's; a longer name cannot exist: INVALID_REQUEST */
#define REGEXES_MAX           64    /* different ones of one group: INVALID_REGULAR_EXPRESSION */
#define MEMBERS_MAX           20000 /* of one group, whatever group.consumer.max.size says: GROUP_MAX_SIZE_REACHED */
#define STEP_ARENA_CAP        ((size_t)256 << 20) /* scratch of one step; what it really takes is MEM_CONTROL's to give */

#define EPOCH_JOIN         0
#define EPOCH_LEAVE        (-1)
#define EPOCH_LEAVE_STATIC (-2)
#define FIRST_EPOCH        1     /* of a new group and of its empty assignment */
#define REGEX_PAUSE_MS     10000 /* between two looks at all topics for one expression; Kafka's */

enum member_state { /* as they stand in records */
                    MEMBER_STABLE = 0,
                    MEMBER_UNREVOKED = 1,  /* it has partitions to give up and has not said that it did */
                    MEMBER_UNRELEASED = 2, /* partitions of its target are still with others */
                    MEMBER_UNKNOWN = 127   /* a newer broker's */
};

enum assignor { ASSIGNOR_UNIFORM, ASSIGNOR_RANGE, ASSIGNORS };

/* Sorted names without doubles, one copy for all members and expressions with the same ones. */
struct name_list {
    struct hash_node in_lists;
    struct list_node in_all_lists;
    uint32_t refs, count;
    size_t bytes;
    uint32_t *topics; /* scratch of consumer_target.c: indexes, of topics that exist */
    uint32_t topic_count;
    struct str names[];
};

struct regex_use { /* one expression and the topics it matches */
    struct hash_node in_regexes;
    struct list_node in_all_regexes;
    struct str text;
    uint32_t members;         /* that subscribe by it */
    struct name_list *topics; /* NULL: not looked up yet */
    int64_t version, looked_ms;
    bool stale; /* topics have come since */
};

struct classic_side { /* of members that speak the classic protocol */
    int32_t session_ms;
    uint32_t count;
    size_t bytes; /* of this block */
    struct {
        struct str name;
        struct bytes metadata;
    } protocols[];
};

struct consumer_member {
    struct hash_node in_members, in_instances; /* the latter with an instance id only */
    struct list_node in_all;
    struct str id, instance, rack, client_id, client_host, assignor; /* own copies */
    struct name_list *names;                                         /* never NULL */
    struct regex_use *regex;                                         /* NULL: none */
    struct classic_side *classic;                                    /* NULL: speaks the consumer protocol */
    int32_t rebalance_ms, epoch, previous_epoch;
    enum member_state state;
    bool has_target; /* a target record was written */
    struct parts assigned, revoking, target;
    /* not in the log */
    struct mono_ns session, rebalance, join, sync; /* deadlines; NEVER */
    int32_t rebalance_epoch;                       /* `rebalance` is about this epoch */
};

struct owned_topic { /* who has the partitions of one topic, be it assigned or to be given up */
    struct hash_node in_owned;
    struct uuid id;
    uint32_t size, used;
    struct consumer_member **owner; /* size; NULL: free */
};

struct consumer_group {
    int32_t epoch, assignment_epoch;
    int64_t metadata_hash, assignment_ms; /* wall time of the last assignment; 0: none, or no matter */
    bool partition_metadata;              /* a record of type 4, of an older broker, is in the log */
    struct hash_table members, instances, lists, regexes, owned;
    struct list all, all_lists, all_regexes; /* members: in the order in which they came */
    uint32_t member_count, classic_count;
    uint32_t assignors[ASSIGNORS]; /* members that ask for it */
    /* not in the log */
    bool refresh; /* look at the topics again with the next heartbeat */
};

static inline uint64_t consumer_hash(struct str s) /* of all tables by text */
{
    return XXH3_64bits(s.data, (size_t)MAX(s.len, 0));
}

/* ---- consumer_state.c, consumer_members.c ---- */

struct consumer_member *consumer_find(const struct consumer_group *k, struct str member_id);            /* NULL */
struct consumer_member *consumer_find_instance(const struct consumer_group *k, struct str instance_id); /* NULL */
struct consumer_member *consumer_make(struct groups *gs, struct consumer_group *k, struct str member_id);
void consumer_remove(struct groups *gs, struct consumer_group *k, struct consumer_member *m); /* has no partitions */
/* The list with these names (in any order, doubles fine), one reference more. NULL: gs->status says why. */
struct name_list *name_list_ref(struct groups *gs, struct consumer_group *k, const struct str *names, int32_t count);
void name_list_unref(struct groups *gs, struct consumer_group *k, struct name_list *l); /* NULL is fine */
bool name_list_has(const struct name_list *l, struct str name);                         /* NULL: has none */
struct regex_use *regex_find(const struct consumer_group *k, struct str text);
struct regex_use *regex_make(struct groups *gs, struct consumer_group *k, struct str text); /* found or made; NULL */
void regex_drop_unused(struct groups *gs, struct consumer_group *k, struct regex_use *r);
void member_set_regex(struct groups *gs, struct consumer_group *k, struct consumer_member *m, struct str text);
/* Own copies of both sets, and who has their partitions. */
void member_set_parts(struct groups *gs, struct consumer_group *k, struct consumer_member *m,
                      const struct parts *assigned, const struct parts *revoking);
struct consumer_member *consumer_owner(const struct consumer_group *k, struct uuid topic, int32_t number); /* NULL */
void consumer_check_state(const struct group *g); /* CHECKs what must hold between the tables */
/* A group that only holds offsets, or whose own records are gone, as an empty consumer group. */
bool become_consumer(struct groups *gs, struct group *g);

static inline struct str member_regex(const struct consumer_member *m)
{
    return m->regex != NULL ? m->regex->text : STR_EMPTY;
}

/* Is it subscribed to this topic, by name or expression? Topics that are gone: no. */
bool member_subscribes(const struct groups *gs, const struct consumer_member *m, struct uuid topic);

/* ---- consumer_put.c: each puts one record; errors stick in gs->status ---- */

struct member_text { /* what the record of type 5 says; borrowed */
    struct str member_id, instance, rack, client_id, client_host, regex, assignor;
    const struct str *names;
    int32_t name_count, rebalance_ms;
    const struct classic_side *classic;
};
void put_member(struct groups *gs, struct group *g, struct arena *a, const struct member_text *t);
struct member_now { /* what the record of type 8 says; borrowed */
    int32_t epoch, previous_epoch;
    enum member_state state;
    struct parts assigned, revoking;
};
void put_current(struct groups *gs, struct group *g, struct arena *a, struct str member_id, const struct member_now *n);
void put_target(struct groups *gs, struct group *g, struct arena *a, struct str member_id, const struct parts *target);
void put_epoch(struct groups *gs, struct group *g, int32_t epoch, int64_t metadata_hash);
void put_assignment_epoch(struct groups *gs, struct group *g, int32_t epoch, int64_t ms);
void put_regex(struct groups *gs, struct group *g, struct str text, struct str *topics, int32_t count);
void put_regex_gone(struct groups *gs, struct group *g, struct str text);
void put_partition_metadata_gone(struct groups *gs, struct group *g);
void put_member_gone(struct groups *gs, struct group *g, const struct consumer_member *m); /* m is freed */
/* The static member m goes on under another id, at epoch 0, with what it had. m is freed; the new one, or NULL. */
struct consumer_member *put_replaced(struct groups *gs, struct group *g, struct arena *a, struct consumer_member *m,
                                     struct str new_id);

/* ---- consumer_topics.c ---- */

struct topic_count { /* of a topic that the group subscribes to */
    struct uuid id;
    uint32_t partitions;
};
/* Of all that exist, ascending by id. NULL: no room, gs->status is set. */
struct topic_count *consumer_topics(struct groups *gs, const struct consumer_group *k, struct arena *a,
                                    uint32_t *ret_count);
int64_t consumer_metadata_hash(struct groups *gs, const struct consumer_group *k, struct arena *a);
/* A new group epoch if asked for, or if the topics are not what the last one saw. */
void consumer_refresh(struct groups *gs, struct group *g, struct arena *a, bool bump);
/* NULL: fine; else what is wrong with it, in the arena. */
const char *regex_fault(struct groups *gs, struct arena *a, struct str text);
bool regex_look_up(struct groups *gs, struct group *g, struct arena *a, struct regex_use *r); /* true: other topics */
bool regex_due(const struct groups *gs, const struct regex_use *r);

/* ---- consumer_target.c ---- */

enum assignor consumer_assignor(const struct consumer_group *k); /* what most members ask for */
const char *assignor_name(enum assignor a);
enum assignor assignor_find(struct str name); /* ASSIGNORS: no such one */
/* If the group's epoch is ahead of its assignment and the interval has passed. */
void consumer_assign(struct groups *gs, struct group *g, struct arena *a);

/* ---- consumer_reconcile.c ---- */

struct owned_topics { /* what a member says it has; all NULL with count -1: it did not say */
    const struct consumer_group_heartbeat_request_topic_partition *all;
    int32_t count;
};
bool owned_all_in(struct owned_topics o, const struct parts *s); /* false as well: it did not say */
/* One step of the member towards its target. True: other partitions are assigned to it now. */
bool consumer_reconcile(struct groups *gs, struct group *g, struct arena *a, struct consumer_member *m,
                        bool subscription_changed, struct owned_topics owned);

/* ---- consumer_check.c ---- */

void consumer_refuse(struct groups *gs, struct group_call *c, int16_t error, const char *text);
/* Checks, none of which changes anything. True: the group is a consumer group by now, *ret_member who it is (NULL: a
 * new one). False: the call was answered, or the machine has failed. */
bool consumer_admit(struct groups *gs, struct group *g, struct group_call *c, struct consumer_member **ret_member);

/* ---- consumer.c ---- */

/* The members leave, all in one new group epoch. The group may be a classic one afterwards (downgrade). */
void consumer_fence(struct groups *gs, struct group *g, struct consumer_member **members, uint32_t count);
void consumer_drop_regexes(struct groups *gs, struct group *g);        /* tombstones of those without members */
struct str consumer_new_member_id(struct groups *gs, struct arena *a); /* Kafka's form; null: no room */
void consumer_answer(struct groups *gs, struct group_call *c); /* as it is filled; an error if the machine has failed */
void consumer_wake(struct group *g, const struct consumer_member *m); /* for the nearest of its deadlines */

/* ---- consumer_migrate.c ---- */

struct bytes classic_side_metadata(const struct classic_side *s, struct str protocol); /* null: not supported */
/* Are all classic members when these have left, or (replaced) when a classic one has taken the place of members[0], and
 * does the policy want a classic group then? */
bool consumer_may_downgrade(const struct groups *gs, const struct group *g, struct consumer_member *const *members,
                            uint32_t count, bool replaced);
/* g is a classic group afterwards. rebalance: a new generation begins. */
void consumer_downgrade(struct groups *gs, struct group *g, struct consumer_member *const *leaving, uint32_t count,
                        bool rebalance);
