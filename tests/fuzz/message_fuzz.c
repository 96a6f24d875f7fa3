// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a record of the group coordinator or as a plain message. The first byte is 0x40 and the record's type,
 * with the top bit set for its value, or a place in the table of plain messages; the second is the version. */
#include "tests/fuzz/message_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    const struct group_record *record = (data[0] & 0x40) != 0 ? group_record_find(data[0] & 0x3f) : NULL;
    const struct message_type *t = plain_message_table[(data[0] & 0x3f) % plain_message_count];
    if (record) t = (data[0] & 0x80) == 0 ? record->key : record->value;
    struct cursor c;
    cursor_init(&c, data + 2, size - 2);
    fuzz_message(&c, t, fuzz_version(t, data[1]));
    return 0;
}
