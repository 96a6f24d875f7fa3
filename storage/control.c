// SPDX-License-Identifier: Apache-2.0
/* Encoding and decoding of the journal's control page; the byte table stands in control.h. */
#include "storage/control.h"

#include "base/bytes.h"
#include "base/check.h"
#include "storage/sealed.h"

#define FILES_AT       128u
#define FILE_BYTES     16u
#define RING_MIN_BYTES (8u * BLOCK_BYTES)

static_assert(FILES_AT + RING_FILES_MAX * FILE_BYTES <= BLOCK_BYTES, "the file list fits one page");

void control_encode(uint8_t out[BLOCK_BYTES], const struct control *c)
{
    CHECK(c->file_count <= RING_FILES_MAX);
    memset(out, 0, BLOCK_BYTES);
    store_le64(out, CONTROL_MAGIC);
    store_le32(out + 8, CONTROL_VERSION);
    memcpy(out + 16, c->journal.b, sizeof c->journal.b);
    store_le64(out + 32, c->page);
    store_le64(out + 40, c->incarnation);
    store_le64(out + 48, c->accepted_end);
    store_le32(out + 56, c->shard);
    store_le32(out + 60, c->file_count);
    memcpy(out + 64, c->directory.b, sizeof c->directory.b);
    store_le64(out + 80, c->broker_epoch);
    store_le32(out + 88, c->next_file);
    store_le32(out + 92, c->flags);
    for (uint32_t i = 0; i < c->file_count; i++) {
        store_le32(out + FILES_AT + i * FILE_BYTES, c->files[i].number);
        store_le64(out + FILES_AT + i * FILE_BYTES + 8, c->files[i].bytes);
    }
    store_le32(out + SEALED_CRC_AT, sealed_crc(out, BLOCK_BYTES));
}

enum status control_decode(const uint8_t in[BLOCK_BYTES], struct control *ret_control, uint32_t *ret_version)
{
    *ret_version = 0;
    if (load_le64(in) != CONTROL_MAGIC) return STATUS_FORMAT;
    *ret_version = load_le32(in + 8);
    if (load_le32(in + SEALED_CRC_AT) != sealed_crc(in, BLOCK_BYTES)) return STATUS_DAMAGED;
    if (*ret_version != CONTROL_VERSION) return STATUS_FORMAT;
    uint32_t count = load_le32(in + 60);
    if (count > RING_FILES_MAX) return STATUS_DAMAGED;
    memset(ret_control, 0, sizeof *ret_control);
    memcpy(ret_control->journal.b, in + 16, sizeof ret_control->journal.b);
    memcpy(ret_control->directory.b, in + 64, sizeof ret_control->directory.b);
    ret_control->page = load_le64(in + 32);
    ret_control->incarnation = load_le64(in + 40);
    ret_control->accepted_end = load_le64(in + 48);
    ret_control->shard = load_le32(in + 56);
    ret_control->broker_epoch = load_le64(in + 80);
    ret_control->next_file = load_le32(in + 88);
    ret_control->flags = load_le32(in + 92);
    ret_control->file_count = count;
    for (uint32_t i = 0; i < count; i++) {
        ret_control->files[i].number = load_le32(in + FILES_AT + i * FILE_BYTES);
        ret_control->files[i].bytes = load_le64(in + FILES_AT + i * FILE_BYTES + 8);
        if (ret_control->files[i].bytes < RING_MIN_BYTES || ret_control->files[i].bytes % BLOCK_BYTES != 0)
            return STATUS_DAMAGED;
    }
    return STATUS_OK;
}
