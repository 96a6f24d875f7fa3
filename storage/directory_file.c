// SPDX-License-Identifier: Apache-2.0
/* Encoding of leat.directory; the byte table stands in the header file. */
#include "storage/directory_file.h"

#include "base/bytes.h"
#include "storage/sealed.h"

void directory_file_encode(uint8_t out[BLOCK_BYTES], const struct directory_file *d)
{
    memset(out, 0, BLOCK_BYTES);
    store_le64(out, DIRECTORY_MAGIC);
    store_le32(out + 8, DIRECTORY_VERSION);
    memcpy(out + 16, d->id.b, sizeof d->id.b);
    store_le32(out + 32, d->journals);
    store_le32(out + 36, d->made);
    store_le32(out + 12, sealed_crc(out, BLOCK_BYTES));
}

enum status directory_file_decode(const uint8_t in[BLOCK_BYTES], struct directory_file *ret_file, uint32_t *ret_version)
{
    *ret_version = 0;
    if (load_le64(in) != DIRECTORY_MAGIC) return STATUS_FORMAT;
    *ret_version = load_le32(in + 8);
    if (load_le32(in + 12) != sealed_crc(in, BLOCK_BYTES)) return STATUS_DAMAGED;
    if (*ret_version != DIRECTORY_VERSION) return STATUS_FORMAT;
    memcpy(ret_file->id.b, in + 16, sizeof ret_file->id.b);
    ret_file->journals = load_le32(in + 32);
    ret_file->made = load_le32(in + 36);
    return STATUS_OK;
}
