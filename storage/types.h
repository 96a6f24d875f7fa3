// SPDX-License-Identifier: Apache-2.0
/* Small types that storage shares with the layers above. Offsets are int64_t (Kafka's), positions and lengths in files
 * are unsigned: with -Wsign-conversion as an error the two cannot be mixed by accident. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct topic_id { /* a UUID, as on Kafka's wire; all zero: none */
    uint8_t b[16];
};

static inline int topic_id_compare(struct topic_id a, struct topic_id b)
{
    return memcmp(a.b, b.b, sizeof a.b);
}

#define TOPIC_NAME_MAX 249 /* bytes, Kafka's limit */
#define NO_OFFSET      (-1)
#define BLOCK_BYTES    4096u /* unit of every O_DIRECT write of ours */
