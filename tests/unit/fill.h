// SPDX-License-Identifier: Apache-2.0
/* Values for the fields of generated messages (gen.py --fill makes messages_fill.c from the schema files). Everything
 * stands in the filler's arena. No value is a default of any schema, unless the mode asks for it. */
#pragma once
#include "base/arena.h"
#include "base/prng.h"
#include "protocol/message.h"

enum fill_mode {
    FILL_FULL,  /* nothing is null, no array is empty, every tagged field is sent */
    FILL_NULL,  /* whatever may be null is null, arrays of others are empty, no tagged field is sent */
    FILL_MIXED, /* each of these by chance */
};

struct filler {
    struct arena *arena;
    struct prng prng;
    enum fill_mode mode;
};

struct fill_row {
    const struct message_type *type;
    void (*fill)(struct filler *f, int16_t v, void *ret_message);
};

extern const struct fill_row fill_table[];
extern const uint32_t fill_count;

bool fill_null(struct filler *f, bool nullable);
bool fill_tagged(struct filler *f);
int32_t fill_count_of(struct filler *f, bool nullable);
void *fill_array(struct filler *f, int32_t count, size_t element_size);
int8_t fill_int8(struct filler *f);
int16_t fill_int16(struct filler *f);
uint16_t fill_uint16(struct filler *f);
int32_t fill_int32(struct filler *f);
int64_t fill_int64(struct filler *f);
double fill_float64(struct filler *f);
struct uuid fill_uuid(struct filler *f);
struct str fill_string(struct filler *f, bool nullable);
struct bytes fill_bytes(struct filler *f, bool nullable);
struct records fill_records(struct filler *f, bool nullable);
