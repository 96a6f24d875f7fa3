// SPDX-License-Identifier: Apache-2.0
/* Any bytes as the body of a message. The first byte chooses the API, by its place in the table, and request (even) or
 * response (odd); the second chooses the version. */
#include "tests/fuzz/message_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    const struct api_info *api = &api_table[data[0] / 2 % api_count];
    const struct message_type *t = data[0] % 2 == 0 ? api->request : api->response;
    int versions = t->max_version - t->min_version + 1;
    int v = data[1] >= t->min_version && data[1] <= t->max_version ? data[1] : t->min_version + data[1] % versions;
    struct cursor c;
    cursor_init(&c, data + 2, size - 2);
    fuzz_message(&c, t, (int16_t)v);
    return 0;
}
