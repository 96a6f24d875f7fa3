// SPDX-License-Identifier: Apache-2.0
/* clients/c/socket.h without a network: connections end in a function of the test, and time is a number that only waits
 * move. So a test of retries and deadlines runs in no time and always the same way. */
#pragma once
#include "clients/c/socket.h"

#define FAKE_SOCKETS 16

struct fake_answer {
    uint8_t *bytes; /* malloc'ed, taken over; NULL: no answer */
    size_t size;
    bool close; /* after these bytes the connection ends */
};

struct fake_net {
    /* May a connection be made to this port? OK or the status to give. */
    enum status (*connect)(void *arg, uint16_t port);
    /* One whole request frame, prefix included, came in. */
    struct fake_answer (*request)(void *arg, uint16_t port, const uint8_t *frame, size_t size);
    void *arg;
    size_t receive_max; /* bytes per receive; 0: all there are */
    int64_t now_ms;
    uint32_t connects, open;
};

extern struct fake_net fake_net;

void fake_net_reset(void);          /* between tests; CHECKs that every socket was closed */
void fake_close_all(uint16_t port); /* the peer ends its connections */
