// SPDX-License-Identifier: Apache-2.0
/* A group's coordinator: found, asked, and found anew when it has moved. */
#pragma once
#include "clients/c/metadata.h"

#define GROUP_BYTES 1024 /* of a group's name that we ask for, its NUL included; Kafka has no limit of its own */

struct group_call {
    const char *group; /* valid: group_check */
    int16_t key, version_cap;
    const void *message;
    int16_t (*error)(const void *answer); /* Kafka's code of the whole answer, or of what it says about the group */
    bool once;                            /* it changes something: not repeated when an answer was lost */
};

/* LEAT_INVALID: no name, or one that is too long. */
enum leat_code MUST_CHECK group_check(const char *group, struct leat_error *e);

/* Asks until the deadline while the coordinator is away, loading or moving. Other errors in the answer are the
 * caller's. ret_node: who answered; ret_reply is the caller's. */
enum leat_code MUST_CHECK coordinator_call(struct leat_client *c, const struct group_call *q, int64_t deadline,
                                           int32_t *ret_node, struct reply *ret_reply, struct leat_error *e);
/* A coordinator that is loading, or no longer one: the same question later, or to another broker. */
bool coordinator_busy(int16_t kafka_code);
