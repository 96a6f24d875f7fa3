// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a file of a log directory: `leat dump` reads it to its end, and frees what it took. The first byte
 * chooses the kind of file, text or JSON, how deep, and whether its first checksums are made right. */
#include "base/bytes.h"
#include "base/check.h"
#include "storage/journal_format.h"
#include "storage/sealed.h"
#include "storage/table.h"
#include "tools/leat/dump.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Right checksums at the first group or chunk, so that what is behind them is read, too. */
static void seal(enum dump_kind kind, uint8_t *p, size_t size)
{
    if (kind == DUMP_RING && size >= BLOCK_BYTES) {
        uint32_t length = (uint32_t)align_down(size, BLOCK_BYTES);
        store_le64(p, GROUP_MAGIC);
        store_le32(p + 8, GROUP_VERSION);
        store_le32(p + 56, length);
        store_le32(p + 64, crc32c(0, p + GROUP_HEADER_BYTES, length - GROUP_HEADER_BYTES));
        store_le32(p + SEALED_CRC_AT, sealed_crc(p, GROUP_HEADER_BYTES));
    } else if (kind == DUMP_TABLE && size >= BLOCK_BYTES) {
        uint64_t payload = load_le64(p + 80);
        if (payload > size - CHUNK_HEADER_BYTES) payload = size - CHUNK_HEADER_BYTES;
        store_le64(p, TABLE_MAGIC);
        store_le32(p + 8, TABLE_VERSION);
        store_le32(p + 40, 0);
        store_le64(p + 80, payload);
        store_le32(p + 76, crc32c(0, p + CHUNK_HEADER_BYTES, payload));
        store_le32(p + SEALED_CRC_AT, sealed_crc(p, CHUNK_HEADER_BYTES));
    } else if (size >= BLOCK_BYTES && kind != DUMP_SEGMENT && kind != DUMP_METALOG_LOG) {
        store_le32(p + SEALED_CRC_AT, sealed_crc(p, BLOCK_BYTES));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    static struct mem *mem;
    if (size == 0) return 0;
    if (nowhere == NULL) nowhere = fopen("/dev/null", "w");
    if (mem == NULL) mem = mem_create(1u << 30);
    struct session session = {.json = (data[0] & 0x80) != 0};
    struct source source;
    struct dump d = {.session = &session,
                     .out = nowhere,
                     .path = "folder/00000000000000000000.log",
                     .source = &source,
                     .mem = mem,
                     .deep = (data[0] & 0x40) != 0,
                     .newest = (data[0] & 0x20) != 0};
    int kind = 1 + (data[0] & 0x0f) % (DUMP_KINDS - 1);
    uint8_t *copy = malloc(size);
    CHECK(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    if ((data[0] & 0x10) != 0) seal((enum dump_kind)kind, copy, size - 1);
    source_memory(&source, copy, size - 1);
    progress_begin(&d.progress, &session);
    dump_run(&d, (enum dump_kind)kind);
    source_close(&source);
    free(copy);
    for (int c = 0; c < MEM_CLASSES; c++) CHECK(mem_used(mem, (enum mem_class)c) == 0);
    return 0;
}
