// SPDX-License-Identifier: Apache-2.0
/* Random records of a small world (few names, few brokers), so that they meet each other; about one in ten does not fit
 * the state. For tests of records, image and metalog. */
#pragma once
#include "base/prng.h"
#include "replication/image.h"

#define GEN_TOPICS  24u
#define GEN_BROKERS 5

/* Appends 1 to `most` records that suit the image as it is (those of one batch may contradict each other). */
void record_gen(struct prng *p, const struct image *i, struct record_list *l, uint32_t most);
struct str gen_topic_name(struct arena *a, uint32_t n); /* n < GEN_TOPICS */
struct uuid gen_uuid(struct prng *p);

/* The whole image as snapshot bytes; malloced, *ret_size of them. */
uint8_t *image_bytes(struct image *i, size_t *ret_size);
