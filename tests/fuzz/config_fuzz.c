// SPDX-License-Identifier: Apache-2.0
/* Configuration text from anywhere: never a crash, an error has a text, and what was accepted reads back in limits. */
#include "base/config.h"
#include "base/check.h"
#include <string.h>

static const struct config_key keys[] = {
    {"a", CONFIG_INT, "1", 1, 1000, NULL, "int", 0},        {"b", CONFIG_BYTES, "1k", 0, 0, NULL, "bytes", 0},
    {"c", CONFIG_BOOL, "true", 0, 0, NULL, "bool", 0},      {"d", CONFIG_DOUBLE, "0.5", 0, 1, NULL, "double", 0},
    {"e", CONFIG_ENUM, "x", 0, 0, "x|yy", "enum", 0},       {"f.list", CONFIG_LIST, "p,q", 1, 4, NULL, "list", 0},
    {"g.text", CONFIG_STRING, NULL, 0, 0, NULL, "text", 0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem *m = mem_create(64 << 20);
    struct config *c = config_create(m, keys, sizeof keys / sizeof keys[0]);
    CHECK(c != NULL);
    struct config_error error = {""};
    if (config_load(c, "fuzz", (const char *)data, size, &error) != STATUS_OK)
        CHECK(strncmp(error.text, "fuzz:", 5) == 0);
    CHECK(config_int(c, "a") >= 1 && config_int(c, "a") <= 1000);
    CHECK(config_double(c, "d") >= 0 && config_double(c, "d") <= 1);
    CHECK(strcmp(config_string(c, "e"), "x") == 0 || strcmp(config_string(c, "e"), "yy") == 0);
    size_t pos = 0, count = 0, n;
    const char *item;
    while (config_list_next(c, "f.list", &pos, &item, &n)) {
        CHECK(n > 0);
        count++;
    }
    CHECK(count >= 1 && count <= 4);
    if (config_is_set(c, "g.text")) CHECK(strlen(config_string(c, "g.text")) <= CONFIG_VALUE_MAX);
    config_destroy(c);
    mem_destroy(m);
    return 0;
}
