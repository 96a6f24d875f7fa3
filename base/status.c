// SPDX-License-Identifier: Apache-2.0
/* The status table (status.h) as look-ups. No failure modes: a value outside the enum is our bug. */
#include "base/status.h"
#include "base/check.h"

struct status_row {
    const char *name, *text;
    int16_t kafka_code;
    bool retriable;
};

static const struct status_row rows[STATUS_COUNT] = {
#define X(name, text, code, retriable) [STATUS_##name] = {#name, text, code, retriable},
    STATUS_TABLE(X)
#undef X
};

static const struct status_row *row(enum status s)
{
    CHECK((unsigned)s < STATUS_COUNT);
    return &rows[s];
}

const char *status_name(enum status s)
{
    return row(s)->name;
}

const char *status_text(enum status s)
{
    return row(s)->text;
}

int16_t status_kafka_code(enum status s)
{
    return row(s)->kafka_code;
}

bool status_retriable(enum status s)
{
    return row(s)->retriable;
}
