// SPDX-License-Identifier: Apache-2.0
/* Filling in struct leat_error. e may be NULL everywhere; the code is returned, so that a caller can return it on. */
#pragma once
#include "base/status.h"
#include "clients/c/kafka_error.h"
#include "clients/c/leat.h"

enum leat_code fail(struct leat_error *e, enum leat_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The broker's refusal: the text is followed by the code's name. LEAT_NOT_FOUND for unknown topics and groups, else
 * LEAT_BROKER.
 */
enum leat_code fail_kafka(struct leat_error *e, int16_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* `what` and the status' text, with the code that fits a status of socket, memory or batch. */
enum leat_code fail_status(struct leat_error *e, enum status s, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* True for the two codes that only mean "not in time": nothing is lost, the same call may follow. */
static inline bool passing(enum leat_code code)
{
    return code == LEAT_TIMED_OUT || code == LEAT_UNREACHABLE;
}
