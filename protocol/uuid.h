// SPDX-License-Identifier: Apache-2.0
/* A UUID as it stands on Kafka's wire: 16 bytes, all zero means none. The layout equals storage's struct topic_id, so a
 * caller above both layers copies one into the other with memcpy. */
#pragma once
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct uuid {
    uint8_t b[16];
};

static_assert(sizeof(struct uuid) == 16, "a UUID is 16 bytes on the wire");

static inline bool uuid_equal(struct uuid a, struct uuid b)
{
    return memcmp(a.b, b.b, sizeof a.b) == 0;
}

static inline bool uuid_is_zero(struct uuid a)
{
    return uuid_equal(a, (struct uuid){0});
}

#define UUID_TEXT_SIZE 23 /* with the NUL */
void uuid_text(struct uuid id, char ret_text[UUID_TEXT_SIZE]);
