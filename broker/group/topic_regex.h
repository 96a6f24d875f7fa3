// SPDX-License-Identifier: Apache-2.0
/* Regular expressions over topic names, in the syntax of RE2/J as Apache Kafka takes it: an expression must match the
 * whole name. PCRE2 does the work, by its matcher that follows all ways at once and never goes back, so that a name
 * costs at most its length times the size of the expression; what RE2/J does not know (look-around, back references,
 * possessive and atomic groups, recursion, verbs) is refused, though PCRE2 knows it.
 *
 * Bounds: TOPIC_REGEX_MAX bytes of text; repetitions up to 1,000 as in RE2/J; 64 KiB when compiled. A name on which the
 * matcher runs out of its fixed work space does not match. */
#pragma once
#include "base/mem.h"
#include "protocol/wire.h"
#include <stdbool.h>

#define TOPIC_REGEX_MAX        1024
#define TOPIC_REGEX_FAULT_SIZE 160

struct topic_regex;

/* INVALID: not an expression of RE2/J, or over a bound; ret_fault says why. NO_MEMORY. */
enum status topic_regex_create(struct mem *m, struct str text, struct topic_regex **ret_regex,
                               char ret_fault[TOPIC_REGEX_FAULT_SIZE]) MUST_CHECK;
void topic_regex_destroy(struct topic_regex *r);
bool topic_regex_matches(struct topic_regex *r, struct str name);
