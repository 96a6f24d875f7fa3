// SPDX-License-Identifier: Apache-2.0
/* A machine of groups in a box, for the tests of consumer groups: topics, a clock that the test moves, a log that
 * remembers every record. One world per process.
 *
 * Requests are short texts and so are the answers, so that a case reads as a story:
 *
 *   beat("m1 join topics=a,b")         ->  "2 a:0,1 b:0"    member epoch, assignment
 *   beat("m1 epoch=2")                 ->  "2"              no assignment in the response
 *   beat("m1 epoch=1")                 ->  "FENCED_MEMBER_EPOCH"
 *
 * Every record is checked when it comes against what Apache Kafka's replay insists on, and the whole log can be
 * replayed into a second machine whose state must be the same. */
#pragma once
#include "broker/group/consumer_impl.h"
#include "protocol/msg_consumer_group_heartbeat.h"
#include "tests/unit/check_main.h"

#define WORLD_TOPICS_MAX  32
#define WORLD_GROUP       "g"
#define WORLD_ANSWER_SIZE 131072

extern struct groups world; /* the machine */
extern struct group_settings world_settings;

void world_begin(void);
void world_end(void); /* replays the log first, and CHECKs that nothing is left in memory */
void world_topic(const char *name, uint32_t partitions); /* made, or it has so many now */
void world_topic_gone(const char *name);
struct uuid world_topic_id(const char *name); /* also of one that is gone */
void world_later(int64_t ms);                 /* time passes: deadlines that come are kept in order */
struct group *world_group(void);              /* NULL: not there */

/* "MEMBER [join | leave | leave-static | epoch=N] [instance=I] [topics=a,b | topics=] [regex=R] [assignor=A] [rack=R]
 *  [has=a:0,1;b:2 | has=] [timeout=MS] [v0]". join adds a timeout and has= by itself. MEMBER "-": an empty id. */
const char *beat(const char *text);
const char *world_member_id(void); /* of the last response */
/* The same without texts: the error, and the response until the next call. */
int16_t world_heartbeat(const struct consumer_group_heartbeat_request *q, int16_t version);
const struct consumer_group_heartbeat_response *world_response(void);
/* One call of any kind; CHECKs that it is answered once. The error of the coordinator. */
int16_t world_call(enum api_key api, int16_t version, const void *request, void *response);
struct arena *world_arena(void); /* of the last call */

const char *wrote(void); /* the types of the records since the last time: "5 3 7 6 8", "8- 7- 5-" */
#define DUMP_SIZE ((size_t)1 << 20)
void consumer_dump(const struct groups *gs, char out[DUMP_SIZE]); /* consumer_dump.c: all that is in the log, as text */
const char *world_dump(void);                                     /* all that is in the log about the group, as text */
void world_check_replay(void);                                    /* the log says what the machine knows */
void world_check_tables(bool on); /* after each step; costs as much as the group is large */
void world_restart(void);         /* the machine is thrown away and loaded from the log */
const char *error_name(int16_t error);

/* The n-th allocation from now on fails. A machine that has failed by it is loaded anew from the log after the call,
 * whose error is COORDINATOR_NOT_AVAILABLE. */
void world_fail_nth(uint64_t n);
bool world_failed(void); /* since then */
/* Records of any bytes instead of the log so far: {key length, value length (0xffff: none), key, value}... */
void world_load_bytes(const uint8_t *data, size_t size);
