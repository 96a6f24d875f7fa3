// SPDX-License-Identifier: Apache-2.0
/* What users write to `leat`: times, positions, partition lists, format strings; and lines of an input that pauses. */
#include "base/bytes.h"
#include "tests/unit/check_main.h"
#include "tools/leat/format.h"
#include "tools/leat/lines.h"
#include "tools/leat/session.h"
#include "tools/leat/when.h"
#include "tools/nearest.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOON 1795608000000 /* 2026-11-25T12:00:00Z */

static void times_are_read(void)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } rows[] = {
        {"2026-11-25T12:00:00Z", NOON},
        {"2026-11-25T12:00Z", NOON},
        {"2026-11-25 12:00:00z", NOON},
        {"2026-11-25T12:00:00.5Z", NOON + 500},
        {"2026-11-25T12:00:00,123456Z", NOON + 123},
        {"2026-11-25T13:00:00+01:00", NOON},
        {"2026-11-25T13:30:00+0130", NOON},
        {"2026-11-25T07:00:00-05", NOON},
        {"2026-11-25Z", NOON - 12 * 3600000},
        {"2026-11-25T14:00:00", NOON}, /* local: two hours east in this test */
        {"2026-11-25", NOON - 14 * 3600000},
        {"1970-01-01Z", 0},
        {"2028-02-29Z", 1835395200000},
        {"@0", 0},
        {"@1795608000123", NOON + 123},
        {"@9223372036854775807", INT64_MAX},
        {"@9223372036854775808", -1},
        {"@", -1},
        {"@-1", -1},
        {"@1x", -1},
        {"", -1},
        {"now", -1},
        {"2026", -1},
        {"2026-11", -1},
        {"2026-13-01Z", -1},
        {"2026-00-01Z", -1},
        {"2026-02-29Z", -1}, /* no such day, and not moved to the next */
        {"2026-11-31", -1},
        {"2026-11-25T24:00Z", -1},
        {"2026-11-25T12:60Z", -1},
        {"2026-11-25T12:00:60Z", -1},
        {"2026-11-25T12:00:00.Z", -1},
        {"2026-11-25T12Z", -1},
        {"2026-11-25T12:00:00Zx", -1},
        {"2026-11-25T12:00:00+1", -1},
        {"2026-11-25T12:00:00+24:00", -1},
        {"1969-12-31Z", -1},
        {"1970-01-01T00:00+01:00", -1},
        {"26-11-25", -1},
        {"2026/11/25", -1},
        {" 2026-11-25", -1},
    };
    setenv("TZ", "EAST-2", 1);
    tzset();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t ms = -1;
        ASSERT_EQ(time_parse(rows[i].text, &ms), rows[i].ms >= 0);
        ASSERT_EQ(ms, rows[i].ms);
    }
}

static void times_are_written(void)
{
    char out[TIME_TEXT_BYTES];
    ASSERT_STREQ(time_text(out, NOON + 7), "2026-11-25T12:00:00.007Z");
    ASSERT_STREQ(time_text(out, 0), "1970-01-01T00:00:00.000Z");
    ASSERT_STREQ(time_text(out, -1), "-");
    ASSERT_STREQ(time_text(out, INT64_MAX), "-");
    ASSERT_STREQ(time_text(out, 253402300799999), "9999-12-31T23:59:59.999Z");
    ASSERT_STREQ(time_text(out, 253402300800000), "-");
}

static void positions_are_read(void)
{
    static const struct {
        const char *text;
        enum leat_place place;
        int64_t value;
    } rows[] = {
        {"beginning", LEAT_BEGINNING, 0},
        {"end", LEAT_TAIL, 0},
        {"0", LEAT_AT_OFFSET, 0},
        {"9223372036854775807", LEAT_AT_OFFSET, INT64_MAX},
        {"-1", LEAT_TAIL, 1},
        {"-0", LEAT_TAIL, 0},
        {"@5", LEAT_AT_TIME, 5},
        {"2026-11-25T12:00Z", LEAT_AT_TIME, NOON},
        {"007", LEAT_AT_OFFSET, 7},
    };
    static const char *const wrong[] = {"",    "-",  "--1", "begin", "END", "9223372036854775808",
                                        "1.5", "+1", "-1x", "0x10"};
    struct leat_position p;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ASSERT(position_parse(rows[i].text, &p));
        ASSERT(p.place == rows[i].place && p.value == rows[i].value);
    }
    for (size_t i = 0; i < COUNT_OF(wrong); i++) ASSERT(!position_parse(wrong[i], &p));
}

static void partition_lists_are_read(void)
{
    static const int32_t want[] = {0, 2, 5, 6, 7};
    static const char *const wrong[] = {"",  ",",   "1,",   ",1",         "1-",    "-1",        "3-2",
                                        "a", "1 2", "1,,2", "2147483648", "1-2-3", "0-99999999"};
    size_t n = 0;
    int32_t *list = partitions_parse("5-7,0,2,6,0", &n);
    ASSERT(list != NULL && n == COUNT_OF(want));
    ASSERT(memcmp(list, want, sizeof want) == 0);
    free(list);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) ASSERT(partitions_parse(wrong[i], &n) == NULL);
}

static const char *formatted(const char *format, const struct leat_record *r, size_t *ret_len)
{
    static char out[400];
    char error[160];
    struct format f;
    FILE *file = fmemopen(out, sizeof out, "w");
    ASSERT(file != NULL && format_parse(&f, "topic", format, error));
    format_write(&f, r, file);
    ASSERT_EQ(fflush(file), 0);
    *ret_len = (size_t)ftell(file);
    fclose(file);
    format_free(&f);
    return out;
}

static void formats_write_records(void)
{
    static const struct leat_header headers[] = {{"a", "1", 1, 1}, {"none", NULL, 4, -1}, {"empty", "", 5, 0}};
    static const struct leat_record full = {.key = "key",
                                            .key_len = 3,
                                            .value = "va\0ue",
                                            .value_len = 5,
                                            .headers = headers,
                                            .header_count = 3,
                                            .timestamp_ms = NOON,
                                            .partition = 4,
                                            .offset = 123456789012};
    static const struct leat_record nulls = {.key_len = -1, .value_len = -1, .timestamp_ms = -1};
    static const struct {
        const char *format, *want;
        size_t len;
        const struct leat_record *record;
    } rows[] = {
        {"%v\\n", "va\0ue\n", 6, &full},
        {"%t %p %o %k", "topic 4 123456789012 key", 24, &full},
        {"%h|%K|%V", "a=1,none,empty=|3|5", 19, &full},
        {"%T %I", "1795608000000 2026-11-25T12:00:00.000Z", 38, &full},
        {"%%%%v\\\\\\x41\\x7e\\0\\t\\r\\e", "%%v\\A~\0\t\r\033", 10, &full},
        {"<%k><%v><%h> %K %V %I", "<><><> -1 -1 -", 14, &nulls},
        {"", "", 0, &full},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t len;
        const char *got = formatted(rows[i].format, rows[i].record, &len);
        ASSERT_EQ(len, rows[i].len);
        ASSERT(memcmp(got, rows[i].want, len) == 0);
    }
}

static void wrong_formats_are_refused_with_their_place(void)
{
    static const struct {
        const char *format, *said;
    } rows[] = {{"%", "at 0"}, {"ab%q", "at 2"}, {"\\", "at 0"}, {"a\\q", "at 1"}, {"\\x4", "at 0"}, {"\\xg0", "at 0"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct format f;
        char error[160] = "";
        ASSERT(!format_parse(&f, "t", rows[i].format, error));
        ASSERT(strstr(error, rows[i].said) != NULL);
    }
}

static void feed(int fd, const char *text, size_t len)
{
    ASSERT_EQ(write(fd, text, len), (ssize_t)len);
}

static void expect(struct lines *l, const char *want)
{
    const char *line = NULL;
    size_t len = 0;
    ASSERT_EQ(lines_next(l, &line, &len), LINES_ONE);
    ASSERT(len == strlen(want) && memcmp(line, want, len) == 0);
}

static void lines_do_not_wait_for_the_next(void)
{
    int pipe_ends[2];
    struct lines l;
    const char *line;
    size_t len;
    ASSERT_EQ(pipe(pipe_ends), 0);
    lines_init(&l, pipe_ends[0], '\n');
    ASSERT_EQ(lines_next(&l, &line, &len), LINES_PAUSE);
    feed(pipe_ends[1], "one\n\ntwo", 8);
    expect(&l, "one");
    expect(&l, "");
    ASSERT_EQ(lines_next(&l, &line, &len), LINES_PAUSE); /* half a line is none */
    feed(pipe_ends[1], "+\nlast", 6);
    expect(&l, "two+");
    ASSERT_EQ(lines_next(&l, &line, &len), LINES_PAUSE);
    close(pipe_ends[1]);
    expect(&l, "last");
    ASSERT_EQ(lines_next(&l, &line, &len), LINES_END);
    lines_free(&l);
    close(pipe_ends[0]);
}

/* Longer than the buffer is at first, and many short ones: moved and grown without losing a byte. */
static void lines_of_any_length(void)
{
    char path[] = "/tmp/leat-lines-XXXXXX";
    int fd = mkstemp(path);
    struct lines l;
    const char *line;
    size_t len, big = 3u << 20;
    char *text = malloc(big);
    ASSERT(fd >= 0 && text != NULL);
    unlink(path);
    memset(text, 'x', big);
    text[big - 1] = '\n';
    for (int i = 0; i < 100000; i++) dprintf(fd, "line %d\n", i);
    feed(fd, text, big);
    feed(fd, "", 1); /* a NUL is a byte like others */
    ASSERT_EQ(lseek(fd, 0, SEEK_SET), 0);
    lines_init(&l, fd, '\n');
    for (int i = 0; i < 100000; i++) {
        char want[32];
        snprintf(want, sizeof want, "line %d", i);
        expect(&l, want);
    }
    ASSERT_EQ(lines_next(&l, &line, &len), LINES_ONE);
    ASSERT(len == big - 1 && memcmp(line, text, len) == 0);
    ASSERT_EQ(lines_next(&l, &line, &len), LINES_ONE);
    ASSERT(len == 1 && line[0] == '\0');
    ASSERT_EQ(lines_next(&l, &line, &len), LINES_END);
    lines_free(&l);
    free(text);
    close(fd);
    lines_init(&l, open("/", O_RDONLY | O_DIRECTORY), '\n');
    ASSERT_EQ(lines_next(&l, &line, &len), LINES_FAILED);
    close(l.fd);
    lines_free(&l);
}

static void what_was_meant(void)
{
    static const char *const names[] = {"from", "to", "follow", "format", "count", "timeout"};
    static const struct {
        const char *written, *meant; /* NULL: nothing is near */
    } rows[] = {
        {"fromat", "format"}, /* swapped letters are one change, "from" is two away */
        {"folow", "follow"},  {"cuont", "count"},
        {"form", "from"},     {"tiemout=3", "timeout"},
        {"ot", "to"},         {"formatting", NULL},
        {"xyz", NULL},        {"", NULL},
        {"c", NULL},          {"a-word-longer-than-any-option-there-is-at-all", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct nearest near = {0};
        for (size_t k = 0; k < COUNT_OF(names); k++) nearest_try(&near, rows[i].written, names[k]);
        ASSERT_EQ(near.best == NULL, rows[i].meant == NULL);
        if (near.best != NULL) ASSERT_STREQ(near.best, rows[i].meant);
    }
}

/* A group's name, a client's id, a broker's message are what others wrote. */
static void strangers_do_not_drive_the_terminal(void)
{
    struct table t;
    table_init(&t, 1);
    table_cell(&t, "%s|%d", "a\033[31mb\nc\177", 7);
    table_cell(&t, "%s", "\303\244");
    ASSERT_STREQ(t.cells[0], "a?[31mb?c?|7");
    ASSERT_STREQ(t.cells[1], "\303\244");
    table_free(&t);
    json_t *value = json_name("\377");
    ASSERT_STREQ(json_string_value(json_object_get(value, "base64")), "/w==");
    json_decref(value);
    value = json_name(NULL);
    ASSERT(json_is_null(value));
    json_decref(value);
}

static void ages_are_told_in_the_unit_that_fits(void)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{-5, "0.0 s"},
                {1500, "1.5 s"},
                {119999, "120 s"},
                {120000, "2.0 min"},
                {7199999, "120 min"},
                {7200000, "2.0 h"},
                {172799999, "48 h"},
                {172800000, "2.0 days"},
                {8640000000, "100 days"},
                {INT64_MAX, "106751991167 days"}};
    char out[32];
    for (size_t i = 0; i < COUNT_OF(rows); i++) ASSERT_STREQ(human_age(out, rows[i].ms), rows[i].text);
}

TEST_MAIN("leat_tool", {"times are read", times_are_read}, {"times are written", times_are_written},
          {"positions are read", positions_are_read}, {"partition lists are read", partition_lists_are_read},
          {"formats write records", formats_write_records},
          {"wrong formats are refused with their place", wrong_formats_are_refused_with_their_place},
          {"what was meant", what_was_meant},
          {"strangers do not drive the terminal", strangers_do_not_drive_the_terminal},
          {"ages are told in the unit that fits", ages_are_told_in_the_unit_that_fits},
          {"lines do not wait for the next", lines_do_not_wait_for_the_next},
          {"lines of any length", lines_of_any_length})
