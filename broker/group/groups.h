// SPDX-License-Identifier: Apache-2.0
/* Groups of one partition of __consumer_offsets: the state machine that a coordinator runs (docs/coordinator.md).
 *
 * Pure: no I/O, no clock, no request handling; memory of class MEM_CONTROL. Three things happen to it, each a step:
 *
 *   groups_call         a request of a client: answered in this step, or kept by the rules until a later one
 *   groups_tick         a group's deadline has come
 *   groups_topic_gone, groups_expire, ...   what the broker wants done
 *   groups_apply        a record of the log, at load
 *
 * A step changes what must survive only by group_put: the record goes to the sink (the log) and is applied to the state
 * at once, by the same code as at load, so replay and life cannot differ. What need not survive (sessions, waiting
 * joins) is changed directly. After a step the owner looks at `answered` (calls that have their response; they may go
 * out when everything put so far is durable), at `rearm` (groups with a new deadline), and at `status`: not OK, and the
 * machine must be thrown away and loaded anew. */
#pragma once
#include "base/clock.h"
#include "base/env.h"
#include "base/hash_table.h"
#include "base/list.h"
#include "base/prng.h"
#include "broker/group/call.h"
#include "broker/group/settings.h"

struct image_settings;
struct topic_index;
struct classic_group;
struct consumer_group;
struct groups;

#define NEVER ((struct mono_ns){INT64_MAX})

enum group_type {
    GROUP_CLASSIC, /* also a group that only has offsets: state Empty, no protocol type */
    GROUP_CONSUMER /* KIP-848 */
};

struct offset_table { /* offsets.c */
    struct hash_table by_partition;
    struct list all; /* in the order of their first commit */
};

struct group {
    struct hash_node in_groups;
    struct list_node in_all, in_rearm;
    struct groups *groups;
    struct str id; /* own copy */
    enum group_type type;
    struct classic_group *classic;   /* GROUP_CLASSIC; never NULL then */
    struct consumer_group *consumer; /* GROUP_CONSUMER; never NULL then */
    struct offset_table offsets;
    struct mono_ns deadline; /* of the next groups_tick; NEVER */
    struct timer timer;      /* the owner's, for that deadline */
};

struct group_sink {
    /* One record, key and value as they stand in the log; value NULL data: a tombstone. Not OK: the machine fails. */
    enum status (*put)(struct group_sink *s, struct bytes key, struct bytes value);
    void (*dropped)(struct group_sink *s, struct group *g); /* NULL, or told before a group's memory goes */
};

struct groups {
    struct mem *mem;
    const struct group_settings *settings; /* the owner's; may change between steps */
    const struct image_settings
        *dynamic;                     /* the shard's, for settings of single groups; set before each step; NULL: none */
    const struct topic_index *topics; /* the shard's */
    struct group_sink *sink;
    struct prng random; /* member ids */
    struct hash_table by_id;
    struct list all; /* of groups, oldest first */
    uint32_t count;
    /* of the step under way; set by the owner before it */
    struct mono_ns now;
    struct wall_ms wall;
    /* what the step did */
    struct list answered; /* struct group_call */
    struct list rearm;    /* struct group: its deadline has changed */
    enum status status;   /* sticky */
    uint8_t *scratch;     /* group_put encodes here */
    size_t scratch_bytes;
    bool loading; /* between groups_init and groups_loaded: nothing may be put */
};

void groups_init(struct groups *gs, struct mem *m, const struct group_settings *settings,
                 const struct topic_index *topics, struct group_sink *sink, uint64_t seed);
/* Every call that waits is given back with error NOT_COORDINATOR in `answered` first (groups_stop), then this. */
void groups_deinit(struct groups *gs);

/* ---- steps ---- */

void groups_call(struct groups *gs, struct group_call *c);
/* The client has gone: a call that waits leaves the rules, unanswered. False: it was answered before. */
bool groups_cancel(struct groups *gs, struct group_call *c);
void groups_tick(struct groups *gs, struct group *g); /* g->deadline has come; g may be gone after it */
/* Offsets past their retention go, and groups without members and offsets with them (offsets.retention.minutes). */
void groups_expire(struct groups *gs);
void groups_topic_gone(struct groups *gs, struct str topic); /* its offsets go */
/* The shard's topics have changed: consumer groups that subscribe to one see to it. */
void groups_topics_changed(struct groups *gs, struct str topic);
void groups_stop(struct groups *gs); /* all waiting calls answered with NOT_COORDINATOR */

/* One record of the log. INVALID_RECORD (log it, go on without) where key or value do not decode; an unknown type is
 * passed over as OK, as Kafka does (a newer broker may have written it). NO_MEMORY: throw the machine away. */
enum status groups_apply(struct groups *gs, struct bytes key, struct bytes value) MUST_CHECK;
void groups_loaded(struct groups *gs); /* sessions begin now */

/* ---- for the rules in this folder ---- */

struct group *groups_find(const struct groups *gs, struct str id); /* NULL */
/* Found or made (GROUP_CLASSIC, empty). NULL: gs->status says why. */
struct group *groups_make(struct groups *gs, struct str id);
void groups_drop(struct groups *gs, struct group *g); /* no members, no offsets; memory only */

/* Puts one record of group_record_table by its type, in the version that we write, and applies it. key, value: the
 * generated structs; value NULL: tombstone. Errors stick in gs->status; the caller may go on, nothing comes of it. What
 * the record replaces is freed: pointers into the group's old state are dead afterwards. */
void group_put(struct groups *gs, int16_t type, const void *key, const void *value);
/* The same without the log: apply.c's half, for replay. */
void group_apply(struct groups *gs, int16_t type, const void *key, const void *value);

/* Let groups_tick come at `at` or before. */
void group_wake_by(struct group *g, struct mono_ns at);
void groups_fail(struct groups *gs, enum status s); /* sticky; the first one stands */
/* May clients make it keep more? An eighth of the class stays free for the metadata of the broker, and so that no
 * client brings the machine to where it cannot load its log again. Where not: COORDINATOR_NOT_AVAILABLE. */
bool groups_have_room(const struct groups *gs);
/* A new id: client_id (or the prefix) and a random uuid's text, in gs->mem's MEM_CONTROL. data NULL: failed. */
struct str groups_new_member_id(struct groups *gs, struct str prefix);
/* Own copies on MEM_CONTROL; null stays null. False: no memory, gs->status is set. */
bool groups_copy_str(struct groups *gs, struct str s, struct str *ret_copy);
bool groups_copy_bytes(struct groups *gs, struct bytes b, struct bytes *ret_copy);
void groups_free_str(struct groups *gs, struct str s); /* null and empty are fine */
void groups_free_bytes(struct groups *gs, struct bytes b);
