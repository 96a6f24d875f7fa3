// SPDX-License-Identifier: Apache-2.0
/* Walking fetched records (fetched.h). Failure modes: a batch whose CRC or records are bad counts as corrupt, the walk
 * goes on behind it. */
#include "tools/bench/fetched.h"

#include "base/check.h"

#define PLAIN_MAX (1ull << 30) /* bytes of a batch after decompression */

enum status fetched_scan(const uint8_t *data, size_t size, int64_t *offset, uint64_t *ret_records)
{
    struct batch_info info;
    enum status s;
    *ret_records = 0;
    while (size > 0 && (s = batch_parse(data, size, &info)) != STATUS_TRUNCATED_INPUT) {
        if (s != STATUS_OK) return s;
        if (batch_next_offset(&info) > *offset) *offset = batch_next_offset(&info);
        *ret_records += (uint64_t)info.record_count;
        data += info.size_bytes;
        size -= info.size_bytes;
    }
    return STATUS_OK;
}

static void check_record(struct checker *c, const struct fetched *f, const struct batch_record *r, int64_t *last)
{
    struct record_head h;
    if (r->offset < f->from) return;
    if (r->offset <= *last) checker_offset(c, f->partition, r->offset, *last);
    *last = r->offset;
    size_t size = r->value_len > 0 ? (size_t)r->value_len : 0;
    if (checker_record(c, f->partition, r->offset, f->from_middle, r->value, size, &h) && f->seen != NULL)
        f->seen(f->arg, &h);
}

static void check_batch(struct checker *c, const struct fetched *f, const uint8_t *data, const struct batch_info *info,
                        int64_t *last)
{
    struct batch_iter it;
    struct batch_record r;
    if (!batch_crc_valid(data, info)) {
        checker_corrupt(c, f->partition, info->base_offset, "a batch's CRC is wrong");
        return;
    }
    if (batch_is_control(info)) return;
    enum status s = batch_iter_open(&it, data, info, f->mem, PLAIN_MAX);
    if (s == STATUS_OK) {
        while (batch_iter_next(&it, &r)) check_record(c, f, &r, last);
        s = batch_iter_close(&it);
    }
    if (s != STATUS_OK) checker_corrupt(c, f->partition, info->base_offset, status_text(s));
}

void fetched_check(struct checker *c, const struct fetched *f, const uint8_t *data, size_t size)
{
    struct batch_info info;
    int64_t last = f->from - 1;
    while (size > 0 && batch_parse(data, size, &info) == STATUS_OK) {
        check_batch(c, f, data, &info, &last);
        data += info.size_bytes;
        size -= info.size_bytes;
    }
}
