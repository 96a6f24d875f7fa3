// SPDX-License-Identifier: Apache-2.0
/* A batch as text, line for line as GoldenBatches.java lists it. */
#pragma once
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "protocol/batch_record.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static inline void list_bytes(FILE *f, const uint8_t *data, int32_t len)
{
    if (len < 0) {
        fputs(" null", f);
    } else if (len > 64) {
        fprintf(f, " c%" PRId32 ":%08" PRIx32, len, crc32c(0, data, (size_t)len));
    } else {
        fputs(" x", f);
        for (int32_t i = 0; i < len; i++) fprintf(f, "%02x", data[i]);
    }
}

static inline enum status batch_list(FILE *f, struct mem *mem, const void *data, size_t len)
{
    struct batch_info b;
    enum status s = batch_parse(data, len, &b);
    if (s != STATUS_OK) return s;
    if (!batch_crc_valid(data, &b)) return STATUS_CORRUPT_BATCH;
    fprintf(f,
            "batch %" PRId64 " %" PRIu32 " %" PRId32 " %s %s %d %d %" PRId64 " %" PRId64 " %" PRId64 " %d %" PRId32
            " %" PRId32 "\n",
            b.base_offset, b.size_bytes, b.leader_epoch, codec_name(batch_codec(&b)),
            batch_is_log_append_time(&b) ? "append" : "create", batch_is_transactional(&b), batch_is_control(&b),
            batch_last_offset(&b), b.max_timestamp_ms, b.producer_id, b.producer_epoch, b.base_sequence,
            b.record_count);
    struct batch_iter it;
    s = batch_iter_open(&it, data, &b, mem, 64u << 20);
    if (s != STATUS_OK) return s;
    struct batch_record r;
    struct batch_header h[8];
    while (batch_iter_next(&it, &r)) {
        fprintf(f, "record %" PRId64 " %" PRId64, r.offset, r.timestamp_ms);
        list_bytes(f, r.key, r.key_len);
        list_bytes(f, r.value, r.value_len);
        fprintf(f, " %" PRId32 "\n", r.header_count);
        CHECK(r.header_count <= 8);
        batch_record_headers(&r, h);
        for (int32_t i = 0; i < r.header_count; i++) {
            fputs("header", f);
            list_bytes(f, h[i].key, h[i].key_len);
            list_bytes(f, h[i].value, h[i].value_len);
            fputs("\n", f);
        }
    }
    return batch_iter_close(&it);
}

/* A whole file, NUL-terminated; free(*ret_data). */
static inline size_t file_read(const char *dir, const char *name, const char *suffix, char **ret_data)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s%s", dir, name, suffix);
    FILE *f = fopen(path, "rb");
    if (f == NULL) fprintf(stderr, "cannot open %s\n", path);
    CHECK(f != NULL);
    char *data = calloc(1, (1u << 20) + 1);
    CHECK(data != NULL);
    size_t n = fread(data, 1, 1u << 20, f);
    fclose(f);
    char *exact = realloc(data, n + 1); /* so that a read beyond it is seen */
    CHECK(exact != NULL);
    *ret_data = exact;
    return n;
}
