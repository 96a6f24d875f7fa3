// SPDX-License-Identifier: Apache-2.0
/* A regular expression from a client (the first line) and topic names (the other lines): never a crash, a fault has a
 * text, an answer does not depend on what was asked before, and an expression that was taken fits its own quotation. */
#include "base/check.h"
#include "broker/group/topic_regex.h"
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 249

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct topic_regex *create(struct mem *m, struct str text)
{
    struct topic_regex *r = NULL;
    char fault[TOPIC_REGEX_FAULT_SIZE] = "";
    enum status s = topic_regex_create(m, text, &r, fault);
    CHECK(s == STATUS_OK || s == STATUS_INVALID);
    CHECK((s == STATUS_OK) == (fault[0] == '\0') && memchr(fault, '\0', sizeof fault) != NULL);
    return s == STATUS_OK ? r : NULL;
}

static bool matches(struct topic_regex *r, const char *data, size_t size)
{
    char *copy = malloc(size + 1); /* of its own size: a step past the end is seen */
    memcpy(copy, data, size);
    bool first = topic_regex_matches(r, (struct str){copy, (int32_t)size});
    (void)topic_regex_matches(r, STR("another"));
    CHECK(topic_regex_matches(r, (struct str){copy, (int32_t)size}) == first);
    free(copy);
    return first;
}

/* A text without letters of RE2's own matches itself and nothing longer. */
static void check_plain(struct mem *m, const char *text, size_t size)
{
    char longer[NAME_MAX_BYTES + 2];
    for (size_t i = 0; i < size; i++)
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", text[i]) == NULL || text[i] == '\0') return;
    if (size == 0 || size > NAME_MAX_BYTES) return;
    struct topic_regex *r = create(m, (struct str){text, (int32_t)size});
    CHECK(r != NULL && matches(r, text, size));
    memcpy(longer, text, size);
    longer[size] = 'x';
    CHECK(!matches(r, longer, size + 1) && !matches(r, text, size - 1));
    topic_regex_destroy(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem *m = mem_create(64u << 20);
    const char *at = (const char *)data, *end = at + size;
    const char *line = size > 0 ? memchr(at, '\n', size) : NULL;
    size_t n = (size_t)((line != NULL ? line : end) - at);
    struct topic_regex *r = create(m, (struct str){at, (int32_t)n});
    check_plain(m, at, n);
    for (at += n; r != NULL && at < end; at = line) {
        at++;
        line = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (line == NULL) line = end;
        if (line - at <= NAME_MAX_BYTES) (void)matches(r, at, (size_t)(line - at));
    }
    if (r != NULL) topic_regex_destroy(r);
    mem_destroy(m);
    return 0;
}
