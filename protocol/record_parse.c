// SPDX-License-Identifier: Apache-2.0
/* Parser of a record:
 *
 *   varint   length of what follows          varints are zigzag, least significant 7 bits first
 *   1        attributes, unused
 *   varlong  timestamp delta
 *   varint   offset delta
 *   varint   key length, -1: null;   key
 *   varint   value length, -1: null; value
 *   varint   header count; for each: varint key length, key, varint value length (-1: null), value
 *
 * Happy path: bytes are looked at where they lie; keys and values are stepped over window by window, never gathered.
 * Failure: sticky in the source, INVALID_RECORD with a sentence, or what the decompressor said. */
#include "protocol/record_parse.h"
#include "base/check.h"

#define RECORD_HEADER_BYTES_MIN 2 /* two varints of one byte */

static bool fail(struct record_source *s, const char *fault)
{
    if (s->status != STATUS_OK) return false;
    s->status = STATUS_INVALID_RECORD;
    s->fault = fault;
    return false;
}

void record_source_init(struct record_source *s, const void *data, size_t len, struct codec_reader *reader)
{
    const uint8_t *p = data;
    *s = (struct record_source){.p = p, .end = len > 0 ? p + len : p, .reader = reader, .left = INT64_MAX};
}

/* False at the end, without a fault, and on failure. */
static bool window_next(struct record_source *s)
{
    CHECK(s->p == s->end);
    if (s->reader == NULL || s->status != STATUS_OK) return false;
    const uint8_t *data;
    size_t len;
    enum status status = codec_reader_next(s->reader, &data, &len);
    if (status != STATUS_OK) {
        s->status = status;
        s->fault = status == STATUS_CORRUPT_BATCH     ? "the compressed records do not decode"
                   : status == STATUS_BATCH_TOO_LARGE ? "the decompressed records exceed the limit"
                                                      : status_text(status);
        return false;
    }
    if (len == 0) {
        s->reader = NULL; /* the end: not to be asked again */
        return false;
    }
    s->p = data;
    s->end = data + len;
    return true;
}

static inline bool byte_read(struct record_source *s, uint8_t *ret_byte)
{
    if (s->left == 0) return fail(s, "a field reaches beyond its record");
    if (s->p == s->end && !window_next(s)) return fail(s, "the records end within a record");
    s->left--;
    *ret_byte = *s->p++;
    return true;
}

/* bits: 32 or 64. More bytes than that many bits need, or bits beyond them, are refused; padding with zero groups
 * within the length is not, as Kafka takes it. */
static inline bool varint_read(struct record_source *s, unsigned bits, int64_t *ret_value)
{
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t b;
        if (!byte_read(s, &b)) return false;
        if (shift + 7 > bits && b >> (bits - shift) != 0) return fail(s, "a varint is too long");
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) break;
    }
    *ret_value = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
    return true;
}

static bool skip(struct record_source *s, int64_t len, const char *fault)
{
    if (len > s->left) return fail(s, fault);
    s->left -= len;
    while (len > s->end - s->p) {
        len -= s->end - s->p;
        s->p = s->end;
        if (!window_next(s)) return fail(s, "the records end within a record");
    }
    s->p += len;
    return true;
}

/* A length and that many bytes. least: -1 where null is allowed. */
static inline bool field_read(struct record_source *s, int64_t least, const char *fault, int32_t *ret_len,
                              const uint8_t **ret_data)
{
    int64_t len;
    if (!varint_read(s, 32, &len)) return false;
    if (len < least) return fail(s, fault);
    *ret_data = s->p;
    if (len > 0 && !skip(s, len, fault)) return false;
    *ret_len = (int32_t)len;
    return true;
}

bool record_parse_header(struct record_source *s, struct record_header_raw *ret_header)
{
    return field_read(s, 0, "a header key is null or longer than its record", &ret_header->key_len, &ret_header->key) &&
           field_read(s, -1, "a header value has a wrong length", &ret_header->value_len, &ret_header->value);
}

static bool headers_parse(struct record_source *s, struct record_raw *r)
{
    int64_t count;
    if (!varint_read(s, 32, &count)) return false;
    if (count < 0 || count > s->left / RECORD_HEADER_BYTES_MIN)
        return fail(s, "the header count is negative or larger than its record can hold");
    r->headers = s->p;
    r->header_count = (int32_t)count;
    struct record_header_raw h;
    for (int64_t i = 0; i < count; i++)
        if (!record_parse_header(s, &h)) return false;
    return true;
}

bool record_parse(struct record_source *s, struct record_raw *ret_record)
{
    if (s->status != STATUS_OK) return false;
    struct record_raw r;
    int64_t length, offset_delta;
    uint8_t attributes;
    s->left = INT64_MAX;
    if (!varint_read(s, 32, &length)) return false;
    if (length < 0) return fail(s, "a record has a negative length");
    s->left = length;
    if (!byte_read(s, &attributes)) return false;
    if (!varint_read(s, 64, &r.timestamp_delta) || !varint_read(s, 32, &offset_delta)) return false;
    r.offset_delta = (int32_t)offset_delta;
    if (!field_read(s, -1, "a key has a wrong length", &r.key_len, &r.key)) return false;
    if (!field_read(s, -1, "a value has a wrong length", &r.value_len, &r.value)) return false;
    if (!headers_parse(s, &r)) return false;
    if (s->left != 0) return fail(s, "a record is longer than its fields");
    r.end = s->p;
    *ret_record = r;
    return true;
}

bool record_source_finish(struct record_source *s)
{
    if (s->status != STATUS_OK) return false;
    if (s->p != s->end || window_next(s)) return fail(s, "bytes follow the last record");
    return s->status == STATUS_OK;
}
