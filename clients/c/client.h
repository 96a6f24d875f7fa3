// SPDX-License-Identifier: Apache-2.0
/* The client's inside: its memory, the brokers it knows, connections for single requests. Producers and readers have
 * connections of their own, so that a long poll never stands before another answer. */
#pragma once
#include "base/arena.h"
#include "base/list.h"
#include "clients/c/error.h"
#include "clients/c/socket.h"
#include "protocol/frame.h"

#define HOST_MAX    255 /* bytes, as in DNS */
#define KNOWN_MAX   64u /* brokers remembered; more are only asked for by id */
#define API_KEYS    128 /* Kafka's keys whose versions are remembered; it has no higher ones that we use */
#define API_OWN     4   /* keys from API_KEY_LEAT on: Leat's own */
#define NODE_NONE   (-1)
#define TOPIC_BYTES 250 /* Kafka's longest name and its NUL */

enum { /* keys of the requests that we make */
       API_PRODUCE = 0,
       API_FETCH = 1,
       API_LIST_OFFSETS = 2,
       API_METADATA = 3,
       API_OFFSET_COMMIT = 8,
       API_OFFSET_FETCH = 9,
       API_FIND_COORDINATOR = 10,
       API_DESCRIBE_GROUPS = 15,
       API_LIST_GROUPS = 16,
       API_API_VERSIONS = 18,
       API_CREATE_TOPICS = 19,
       API_DELETE_TOPICS = 20,
       API_INIT_PRODUCER_ID = 22,
       API_DESCRIBE_CONFIGS = 32,
       API_DESCRIBE_LOG_DIRS = 35,
       API_CREATE_PARTITIONS = 37,
       API_DELETE_GROUPS = 42,
       API_INCREMENTAL_ALTER_CONFIGS = 44,
       API_CONSUMER_GROUP_DESCRIBE = 69,
       API_LEAT_UNDELETE_TOPICS = 10000,
       API_LEAT_LIST_DELETED_TOPICS = 10001,
};

struct address {
    int32_t node; /* NODE_NONE: from the user's list, nobody knows its id yet */
    uint16_t port;
    char host[HOST_MAX + 1];
};

struct conns { /* connections of one owner */
    struct list all;
};

struct leat_client {
    struct mem *mem;
    struct conns conns;
    struct address *bootstrap; /* the user's list */
    uint32_t bootstrap_count, next_bootstrap;
    struct address known[KNOWN_MAX]; /* of the last Metadata answer */
    uint32_t known_count;
    int64_t connect_timeout_ms, request_timeout_ms;
    char client_id[256];
};

/* ---- time ---- */

/* SOCKET_FOREVER for negative timeouts. */
int64_t deadline_in(int64_t timeout_ms);
int64_t deadline_min(int64_t deadline, int64_t timeout_ms); /* the earlier of it and now + timeout */

struct attempt { /* of something that is repeated until a deadline, with growing pauses */
    int64_t deadline, pause_ms;
};
void attempt_init(struct attempt *a, int64_t deadline);
/* Sleeps; false, at once, when the deadline would be passed before the next attempt. */
bool MUST_CHECK attempt_again(struct attempt *a);

/* ---- connections (conn.c) ---- */

struct conn {
    struct list_node in_conns;
    struct leat_client *client;
    struct address address;
    int socket; /* SOCKET_NONE: broken, or not connected */
    int32_t next_correlation;
    int16_t version_min[API_KEYS + API_OWN], version_max[API_KEYS + API_OWN]; /* max below min: not served */
    uint8_t prefix[FRAME_PREFIX_BYTES];                                       /* of the answer that is coming in */
    uint32_t prefix_bytes;
    uint8_t *frame;
    uint32_t frame_bytes, frame_size;
};

struct pending { /* a request that waits for its answer */
    int16_t key, version;
    int32_t correlation;
};

struct reply { /* a decoded answer; strings and records point into frame */
    struct mem *mem;
    uint8_t *frame;
    uint32_t frame_size;
    struct arena arena;
    void *message; /* the generated struct */
};
void reply_free(struct reply *r); /* also of one that was never filled, if it is zeroed */

void conns_init(struct conns *all);
void conns_close(struct conns *all, struct leat_client *client);
/* A live connection to that address, made and greeted (ApiVersions) if there is none. */
enum leat_code MUST_CHECK conns_get(struct conns *all, struct leat_client *client, const struct address *address,
                                    int64_t deadline, struct conn **ret_conn, struct leat_error *e);
void conn_break(struct conn *n); /* closes; the next conns_get connects anew */

/* The highest version that both speak, at most `cap`. LEAT_UNSUPPORTED. */
enum leat_code MUST_CHECK conn_version(const struct conn *n, int16_t key, int16_t cap, int16_t *ret_version,
                                       struct leat_error *e);
/* Any failure breaks the connection. */
enum leat_code MUST_CHECK conn_send(struct conn *n, int16_t key, int16_t version, const void *message, int64_t deadline,
                                    struct pending *ret_pending, struct leat_error *e);
/* Waits for the answer. LEAT_TIMED_OUT: not there yet, the connection stands and the call may be repeated; any other
 * failure breaks it. ret_reply is the caller's: reply_free. */
enum leat_code MUST_CHECK conn_receive(struct conn *n, const struct pending *p, int64_t deadline,
                                       struct reply *ret_reply, struct leat_error *e);

/* ---- single requests (call.c) ---- */

enum call_target { CALL_ANY, CALL_CONTROLLER, CALL_NODE };

struct call {
    int16_t key, version_cap;
    const void *message;
    enum call_target target;
    const struct address *node; /* CALL_NODE */
    bool once;      /* not repeated once it may have been sent: it changes something and an answer was lost */
    bool one_try;   /* never repeated: the caller does that */
    bool *ret_sent; /* one_try: whether it may have reached a broker; may be NULL */
};

/* One request with its answer, repeated (unless `once`) until the deadline while brokers are out of reach. */
enum leat_code MUST_CHECK call(struct leat_client *c, const struct call *q, int64_t deadline, struct reply *ret_reply,
                               struct leat_error *e);

/* ---- helpers ---- */

/* Text of a wire string, cut to size; "" for null. */
void str_copy(char *out, size_t size, struct str s);
struct str str_of(const char *text); /* null for NULL */
bool topic_valid(const char *name);  /* Kafka's rule for names */
