// SPDX-License-Identifier: Apache-2.0
/* Errors as sentences (contract: error.h, and leat.h for the public part). Failure mode: a text that is too long is
 * cut. */
#include "clients/c/error.h"

#include "base/bytes.h"
#include <stdarg.h>
#include <stdio.h>

const char *leat_version(void)
{
    return LEAT_VERSION;
}

const char *leat_code_name(enum leat_code code)
{
    static const char *const names[] = {
        [LEAT_OK] = "OK",
        [LEAT_INVALID] = "INVALID",
        [LEAT_NO_MEMORY] = "NO_MEMORY",
        [LEAT_UNREACHABLE] = "UNREACHABLE",
        [LEAT_TIMED_OUT] = "TIMED_OUT",
        [LEAT_PROTOCOL] = "PROTOCOL",
        [LEAT_UNSUPPORTED] = "UNSUPPORTED",
        [LEAT_BROKER] = "BROKER",
        [LEAT_DAMAGED] = "DAMAGED",
        [LEAT_NOT_FOUND] = "NOT_FOUND",
        [LEAT_END] = "END",
    };
    return (unsigned)code < COUNT_OF(names) ? names[code] : "UNKNOWN";
}

const char *leat_kafka_error_name(int16_t code)
{
    switch (code) {
#define X(number, name, retriable)                                                                                     \
    case number: return #name;
        KAFKA_ERRORS(X)
#undef X
    default: return "UNKNOWN";
    }
}

bool leat_kafka_error_retriable(int16_t code)
{
    switch (code) {
#define X(number, name, retriable)                                                                                     \
    case number: return retriable;
        KAFKA_ERRORS(X)
#undef X
    default: return false;
    }
}

static void put(struct leat_error *e, const char *format, va_list args)
{
    vsnprintf(e->text, sizeof e->text, format, args);
}

static void add(struct leat_error *e, const char *more)
{
    size_t len = strlen(e->text);
    snprintf(e->text + len, sizeof e->text - len, ": %s", more);
}

enum leat_code fail(struct leat_error *e, enum leat_code code, const char *format, ...)
{
    if (e == NULL) return code;
    *e = (struct leat_error){.code = code, .retriable = code == LEAT_UNREACHABLE || code == LEAT_TIMED_OUT};
    va_list args;
    va_start(args, format);
    put(e, format, args);
    va_end(args);
    return code;
}

enum leat_code fail_kafka(struct leat_error *e, int16_t kafka_code, const char *format, ...)
{
    bool unknown = kafka_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || kafka_code == KAFKA_UNKNOWN_TOPIC_ID ||
                   kafka_code == KAFKA_GROUP_ID_NOT_FOUND;
    enum leat_code code = unknown ? LEAT_NOT_FOUND : LEAT_BROKER;
    if (e == NULL) return code;
    *e = (struct leat_error){
        .code = code, .kafka_code = kafka_code, .retriable = leat_kafka_error_retriable(kafka_code)};
    va_list args;
    va_start(args, format);
    put(e, format, args);
    va_end(args);
    char name[80];
    snprintf(name, sizeof name, "%s (%d)", leat_kafka_error_name(kafka_code), kafka_code);
    add(e, name);
    return code;
}

static enum leat_code code_of(enum status s)
{
    switch ((int)s) { /* what is not named: LEAT_UNREACHABLE, the network's word */
    case STATUS_TIMED_OUT: return LEAT_TIMED_OUT;
    case STATUS_NO_MEMORY: return LEAT_NO_MEMORY;
    case STATUS_TRUNCATED_INPUT:
    case STATUS_INVALID: return LEAT_PROTOCOL;
    case STATUS_CORRUPT_BATCH:
    case STATUS_INVALID_RECORD:
    case STATUS_UNSUPPORTED_FORMAT:
    case STATUS_UNSUPPORTED_CODEC: return LEAT_DAMAGED;
    case STATUS_BATCH_TOO_LARGE: return LEAT_NO_MEMORY;
    default: return LEAT_UNREACHABLE;
    }
}

enum leat_code fail_status(struct leat_error *e, enum status s, const char *format, ...)
{
    enum leat_code code = code_of(s);
    if (e == NULL) return code;
    *e = (struct leat_error){.code = code, .retriable = passing(code)};
    va_list args;
    va_start(args, format);
    put(e, format, args);
    va_end(args);
    add(e, s == STATUS_NOT_FOUND ? "no such host" : status_text(s));
    return code;
}
