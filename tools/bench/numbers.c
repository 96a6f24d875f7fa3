// SPDX-License-Identifier: Apache-2.0
/* Values of command line options (numbers.h). Nothing but text in, number or sentence out. */
#include "tools/bench/numbers.h"

#include "tools/nearest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *bench_name = "leat-bench";

bool option_unknown(const struct option *all, int found, char **argv)
{
    const char *text = optind > 0 ? argv[optind - 1] : "";
    struct nearest near = {0};
    if (found == ':') {
        fprintf(stderr, "%s: %s needs a value (see --help)\n", bench_name, text);
        return false;
    }
    for (; all->name != NULL && strncmp(text, "--", 2) == 0; all++) nearest_try(&near, text + 2, all->name);
    fprintf(stderr, "%s: there is no option %s%s%s%s (see --help)\n", bench_name, text,
            near.best != NULL ? "; did you mean --" : "", near.best != NULL ? near.best : "",
            near.best != NULL ? "?" : "");
    return false;
}

static uint64_t unit_of(char c)
{
    switch (c) {
    case 'k':
    case 'K': return 1u << 10;
    case 'M': return 1u << 20;
    case 'G': return 1u << 30;
    default: return 0;
    }
}

/* One number of a list; *at goes behind it and its comma. */
static bool take_number(const char **at, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    char *end;
    if (**at < '0' || **at > '9') return false;
    unsigned long long value = strtoull(*at, &end, 10);
    uint64_t unit = unit_of(*end);
    if (unit != 0) {
        end++;
        if (value > UINT64_MAX / unit) return false;
        value *= unit;
    }
    if (value < min || value > max || (*end != '\0' && *end != ',')) return false;
    *at = *end == ',' ? end + 1 : end;
    *ret_value = value;
    return true;
}

bool option_refuse(const char *name, const char *text, const char *wanted)
{
    fprintf(stderr, "%s: --%s %s: give %s (see --help)\n", bench_name, name, text, wanted);
    return false;
}

bool option_number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    char wanted[96];
    const char *at = text;
    snprintf(wanted, sizeof wanted, "a number from %llu to %llu, k, M or G behind it", (unsigned long long)min,
             (unsigned long long)max);
    if (!take_number(&at, min, max, ret_value) || *at != '\0') return option_refuse(name, text, wanted);
    return true;
}

bool option_number32(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *ret_value)
{
    uint64_t value;
    if (!option_number(name, text, min, max, &value)) return false;
    *ret_value = (uint32_t)value;
    return true;
}

bool option_list(const char *name, const char *text, uint64_t min, uint64_t max, uint32_t room, uint32_t *ret_values,
                 uint32_t *ret_count)
{
    uint64_t value;
    uint32_t n = 0;
    const char *at = text;
    char wanted[96];
    snprintf(wanted, sizeof wanted, "up to %u numbers from %llu to %llu, with commas", room, (unsigned long long)min,
             (unsigned long long)max);
    do {
        if (n == room || !take_number(&at, min, max, &value)) return option_refuse(name, text, wanted);
        ret_values[n++] = (uint32_t)value;
    } while (*at != '\0');
    *ret_count = n;
    return true;
}

bool option_seconds(const char *name, const char *text, double *ret_seconds)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0 && value <= 86400))
        return option_refuse(name, text, "seconds, 0 to 86400");
    *ret_seconds = value;
    return true;
}

bool option_word(const char *name, const char *text, const char *const *words, uint32_t *ret_index)
{
    char wanted[128] = "one of";
    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_index = i;
            return true;
        }
        size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof wanted - used, "%s %s", i == 0 ? "" : ",", words[i]);
    }
    return option_refuse(name, text, wanted);
}
