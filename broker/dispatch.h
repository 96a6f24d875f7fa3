// SPDX-License-Identifier: Apache-2.0
/* Which code serves which API key: a table of flows (stages). protocol/message.h lists what can be decoded; this table
 * alone decides what is served, and ApiVersions advertises its rows and no others. */
#pragma once
#include "broker/request.h"

struct api {
    int16_t key;
    bool overlaps;                    /* may run while earlier ones of the same kind wait (Produce) */
    const struct flow *flow;          /* task: request->task; starts at stage 0 */
    void (*hurry)(struct request *r); /* NULL, or: end a long poll */
};

extern const struct api served_apis[]; /* ascending by key */
extern const uint32_t served_api_count;

/* Reads the header and chooses the API. False: the connection has to be closed; *ret_why says why (a literal). */
bool dispatch(struct request *r, const char **ret_why);
