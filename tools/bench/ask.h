// SPDX-License-Identifier: Apache-2.0
/* One question after the other to one broker, each waited for: what a run needs before it begins and after it has
 * ended. A function that returns false has written a sentence into a->error, and nothing more can be asked. */
#pragma once
#include "base/arena.h"
#include "tools/bench/channel.h"

#define ASK_API_KEYS 128
#define ASK_ERROR    600

struct asker {
    struct env *env;
    struct channels channels;
    struct channel channel;
    struct call call;
    struct iovec iov;
    struct arena arena; /* the arrays of the last response */
    uint8_t *frame;     /* its bytes */
    uint32_t frame_room, frame_size;
    int32_t correlation;
    bool opened, failed, closed, answered;
    double timeout_s;
    int16_t versions[ASK_API_KEYS]; /* the one to use of each API; -1: the broker does not serve it */
    char error[ASK_ERROR];
};

/* Ready to connect; false only when there is no env to be had. */
bool asker_create(struct asker *a, double timeout_s);
void asker_destroy(struct asker *a);
/* To a numeric address; asks for the versions. Ends the connection before, if there was one. */
bool ask_connect(struct asker *a, const char *address);
/* The generated structs of that API; the response is valid until the next question. */
bool ask(struct asker *a, int16_t key, const void *request, void *ret_response);

/* The highest version that both sides have and that suits us; -1: none. */
int16_t ask_version(int16_t key, int16_t broker_min, int16_t broker_max);
/* "host:port" with a name or a number -> numeric; false: error[600] says why. */
bool resolve(const char *text, char ret_address[80], char error[ASK_ERROR]);
const char *kafka_error(int16_t code); /* "NOT_LEADER_OR_FOLLOWER"; "error N" of others stands until the next call */
bool kafka_error_passes(int16_t code); /* of something that was just made: ask again */
