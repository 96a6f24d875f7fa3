// SPDX-License-Identifier: Apache-2.0
/* One request to fake_broker.h's brokers, for the files that answer it. */
#pragma once
#include "tests/unit/fake_broker.h"

struct exchange {
    struct fake_broker *b;
    struct arena arena;
    struct request_header h;
    int32_t node;
    const void *q;
    void *a;
    int16_t fault_code; /* FAULT_CODE: each partition's answer, or the whole answer's */
};

void *exchange_take(struct exchange *x, size_t count, size_t size); /* zeroed, in the arena */
bool groups_act(struct exchange *x);                                /* fake_groups.c; false: not a request of groups */
bool deleted_act(struct exchange *x);                               /* fake_deleted.c */
