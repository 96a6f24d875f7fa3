// SPDX-License-Identifier: Apache-2.0
/* Any bytes as the body of a message. The first byte is the API key, with its top bit set for the response (a key that
 * we do not have becomes one that we have), the second the version. */
#include "tests/fuzz/message_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    uint8_t key = data[0] & 0x7f;
    const struct api_info *api = api_find(key);
    if (api == NULL) api = &api_table[key % api_count];
    const struct message_type *t = (data[0] & 0x80) == 0 ? api->request : api->response;
    struct cursor c;
    cursor_init(&c, data + 2, size - 2);
    fuzz_message(&c, t, fuzz_version(t, data[1]));
    return 0;
}
