// SPDX-License-Identifier: Apache-2.0
/* Who leads what: one topic's view of the cluster, as a producer or a reader keeps it; and the controller's address. */
#pragma once
#include "clients/c/client.h"
#include "protocol/msg_metadata.h"

#define METADATA_VERSION_CAP 12 /* 13 adds nothing that we use */

/* A Metadata answer of any broker; remembers the brokers in it. names NULL: all topics. */
enum leat_code MUST_CHECK metadata_fetch(struct leat_client *c, const char *const *names, size_t count,
                                         int64_t deadline, struct reply *ret_reply, struct leat_error *e);
/* Addresses; LEAT_UNREACHABLE: not in the cluster at the moment. */
enum leat_code MUST_CHECK metadata_node(struct leat_client *c, int32_t id, int64_t deadline,
                                        struct address *ret_address, struct leat_error *e);
enum leat_code MUST_CHECK metadata_controller(struct leat_client *c, int64_t deadline, struct address *ret_address,
                                              struct leat_error *e);

struct topic_view {
    struct leat_client *client;
    char name[TOPIC_BYTES];
    struct reply reply;
    const struct metadata_response *answer;      /* NULL: none yet */
    const struct metadata_response_topic *topic; /* of it */
    int64_t at_ms;
    bool stale; /* somebody saw a sign that leaders have changed */
};

/* name: valid. Allocates nothing. */
void topic_view_init(struct topic_view *v, struct leat_client *c, const char *name);
void topic_view_deinit(struct topic_view *v);
/* Asks anew if it must: never asked, stale, or minutes old. LEAT_NOT_FOUND: no such topic, or it is gone. After a
 * failure the old view stands. */
enum leat_code MUST_CHECK topic_view_refresh(struct topic_view *v, int64_t deadline, struct leat_error *e);
int32_t topic_view_partitions(const struct topic_view *v); /* partitions are 0 .. n-1; 0 before the first refresh */
/* False: no leader, or not known. */
bool topic_view_leader(const struct topic_view *v, int32_t partition, struct address *ret_leader, int32_t *ret_epoch);
