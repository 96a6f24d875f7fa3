// SPDX-License-Identifier: Apache-2.0
/* What record*.c and the image share. */
#pragma once
#include "replication/record.h"

#define RECORD_NEXT 16u /* one above the last type */

bool record_valid(const struct record *r); /* every bound of record.h */

/* Byte order; null before everything. */
static inline int str_order(struct str a, struct str b)
{
    int32_t n = a.len < b.len ? a.len : b.len;
    int order = n > 0 ? memcmp(a.data, b.data, (size_t)n) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}
