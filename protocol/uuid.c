// SPDX-License-Identifier: Apache-2.0
/* UUIDs as Kafka writes them: 22 characters of base64url without padding (RFC 4648, section 5). */
#include "protocol/uuid.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void uuid_text(struct uuid id, char ret_text[UUID_TEXT_SIZE])
{
    for (unsigned i = 0, bit = 0; i < UUID_TEXT_SIZE - 1; i++, bit += 6) {
        unsigned pair = (unsigned)id.b[bit / 8] << 8 | (bit / 8 + 1 < 16 ? id.b[bit / 8 + 1] : 0u);
        ret_text[i] = digits[pair >> (10 - bit % 8) & 63];
    }
    ret_text[UUID_TEXT_SIZE - 1] = '\0';
}
