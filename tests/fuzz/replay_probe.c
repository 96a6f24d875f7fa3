// SPDX-License-Identifier: Apache-2.0
/* A target with planted bugs, to prove that replay_main.c finds what it claims: REPLAY_PROBE=cut fails on a five-byte
 * input (only a cut makes one), =flip when the first byte is 'm' ('l' with one bit turned); else nothing happens. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bug = getenv("REPLAY_PROBE");
    if (bug == NULL) return 0;
    if (strcmp(bug, "cut") == 0 && size == 5) exit(1);
    if (strcmp(bug, "flip") == 0 && size > 5 && data[0] == 'm') exit(1);
    return 0;
}
