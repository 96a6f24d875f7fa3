// SPDX-License-Identifier: Apache-2.0
/* One record after the other out of a run of bytes or out of a decompressor; included by the batch_*.c files alone. */
#pragma once
#include "base/bytes.h"
#include "protocol/codec.h"

struct record_source {
    const uint8_t *p, *end;      /* the present window */
    struct codec_reader *reader; /* NULL: there is one window only */
    int64_t left;                /* of the record at hand */
    /* The first thing that went wrong; all calls fail from then on. */
    enum status status;
    const char *fault; /* a literal */
};

struct record_raw {
    int64_t timestamp_delta;
    int32_t offset_delta;
    int32_t key_len, value_len, header_count; /* lengths: -1 is null */
    /* Where they begin; use only if the source has one window. */
    const uint8_t *key, *value, *headers, *end;
};

struct record_header_raw {
    int32_t key_len, value_len;
    const uint8_t *key, *value;
};

/* len may be 0. */
void record_source_init(struct record_source *s, const void *data, size_t len, struct codec_reader *reader);

/* The next record, consumed as a whole. False: s->status and s->fault say why. */
bool MUST_CHECK record_parse(struct record_source *s, struct record_raw *ret_record);

/* One header at the source's position. */
bool MUST_CHECK record_parse_header(struct record_source *s, struct record_header_raw *ret_header);

/* No byte is left, also behind the decompressor, whose input was sound to its end. */
bool MUST_CHECK record_source_finish(struct record_source *s);
