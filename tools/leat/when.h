// SPDX-License-Identifier: Apache-2.0
/* Times and positions as users write them. Pure but for the time zone of the process (mktime). */
#pragma once
#include "clients/c/leat.h"

/* @MS, or ISO 8601: 2026-11-25, 2026-11-25T13:05, 2026-11-25T13:05:06.789, a blank for the T; behind it Z, +01:00 or
 * nothing: local time. Years 1970 to 9999. False: it is none of these. */
bool time_parse(const char *text, int64_t *ret_ms);

/* beginning, end, OFFSET, -N (that many before the end), a time. `value` of LEAT_TAIL is N. */
bool position_parse(const char *text, struct leat_position *ret_position);

#define TIME_TEXT_BYTES 32
/* 2026-11-25T13:05:06.789Z; "-" for negative times, and for those that no calendar holds. */
const char *time_text(char out[TIME_TEXT_BYTES], int64_t ms);

/* Partitions as "0,3,5-7": ascending, each once. NULL: malformed. The caller frees it. */
int32_t *partitions_parse(const char *text, size_t *ret_count);
