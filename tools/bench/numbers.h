// SPDX-License-Identifier: Apache-2.0
/* Values of command line options. Each taker writes one sentence to standard error that names the option and says what
 * would be right, and returns false, when the text is not such a value. */
#pragma once
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#define EXIT_BENCH_USAGE 2

extern const char *bench_name; /* what every sentence begins with: "leat-bench" */

/* What getopt_long does not know (found '?'), or knows and misses the value of (':'). Always false. */
bool option_unknown(const struct option *all, int found, char **argv);

/* Always false, so that a taker can return it. */
bool option_refuse(const char *name, const char *text, const char *wanted);
/* A number in [min, max]; k, M, G behind it multiply by 1024 and its powers. */
bool option_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);
bool option_number32(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *ret_value);
/* Up to `room` of them, with commas. */
bool option_list(const char *name, const char *text, uint64_t min, uint64_t max, uint32_t room, uint32_t *ret_values,
                 uint32_t *ret_count);
bool option_seconds(const char *name, const char *text, double *ret_seconds); /* 0 to 86400 */
/* The index of text in words (NULL ends them). */
bool option_word(const char *name, const char *text, const char *const *words, uint32_t *ret_index);
