// SPDX-License-Identifier: Apache-2.0
/* A journal group of any bytes, as it is and with its header made whole: what the decoder takes, the reader must walk
 * inside its bytes. The same input is also read as a control page, as leat.directory and as the payload of a
 * truncation. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "storage/control.h"
#include "storage/directory_file.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const uint8_t *group, const struct group_header *h)
{
    struct group_reader r;
    struct entry e;
    struct truncate_payload t;
    uint32_t entries = 0;
    group_reader_init(&r, group, h);
    for (uint32_t i = 0; i < h->proof_count; i++) {
        struct proof p;
        group_reader_proof(&r, i, &p);
    }
    enum status s;
    while ((s = group_reader_next(&r, &e)) == STATUS_OK) {
        CHECK(e.payload_bytes == 0 ||
              (e.payload >= group && e.payload_bytes <= (size_t)(group + h->length - e.payload)));
        if (e.kind == ENTRY_TRUNCATE && truncate_payload_decode(e.payload, e.payload_bytes, &t) == STATUS_OK)
            CHECK(t.index_bytes <= e.payload_bytes && t.fragment_bytes <= e.payload_bytes);
        struct swap_payload w;
        if (e.kind == ENTRY_SWAP && swap_payload_decode(e.payload, e.payload_bytes, &w) == STATUS_OK)
            CHECK(w.count > 0 && w.generation > 0);
        entries++;
    }
    CHECK(entries <= h->entry_count);
}

static void try_group(const uint8_t *data, size_t size)
{
    struct group_header h;
    if (size < GROUP_HEADER_BYTES || group_header_decode(data, &h) != STATUS_OK || h.length > size) return;
    walk(data, &h);
}

static void try_pages(const uint8_t *data)
{
    static struct control c;
    struct directory_file d;
    uint32_t version;
    if (control_decode(data, &c, &version) == STATUS_OK) CHECK(c.file_count <= RING_FILES_MAX);
    (void)!directory_file_decode(data, &d, &version);
}

/* As the payload of a truncation: its parts add up to what there is. */
static void try_truncation(const uint8_t *data, size_t size)
{
    struct truncate_payload t;
    if (size > UINT32_MAX || truncate_payload_decode(data, (uint32_t)size, &t) != STATUS_OK) return;
    CHECK(t.end_pos >= t.carry_pos && t.fragment_bytes <= t.end_pos - t.carry_pos);
    CHECK(TRUNCATE_PAYLOAD_BYTES + t.index_bytes + (t.end_pos - t.carry_pos) == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_group(data, size);
    try_truncation(data, size);
    if (size >= BLOCK_BYTES) try_pages(data);
    if (size < GROUP_HEADER_BYTES) return 0;
    uint8_t *copy = malloc(size); /* exact, so that a read beyond it is seen */
    CHECK(copy != NULL);
    memcpy(copy, data, size);
    store_le64(copy, GROUP_MAGIC);
    store_le32(copy + 8, GROUP_VERSION);
    store_le32(copy + 12, 0);
    store_le32(copy + 12, crc32c(0, copy, GROUP_HEADER_BYTES));
    try_group(copy, size);
    if (size >= BLOCK_BYTES) { /* the page checks too, behind a right CRC */
        store_le64(copy, CONTROL_MAGIC);
        store_le32(copy + 8, CONTROL_VERSION);
        store_le32(copy + 12, 0);
        store_le32(copy + 12, crc32c(0, copy, BLOCK_BYTES));
        try_pages(copy);
    }
    free(copy);
    return 0;
}
