// SPDX-License-Identifier: Apache-2.0
/* Configuration: syntax, sources, limits, and errors that help. */
#include "base/config.h"
#include "tests/unit/check_main.h"
#include <string.h>

static const struct config_key keys[] = {
    {"log.dirs", CONFIG_LIST, "data", 1, 4, NULL, "directories", 0},
    {"num.partitions", CONFIG_INT, "1", 1, 1000, NULL, "partitions", 0},
    {"leat.disk.stall.ms", CONFIG_INT, "5000", 0, 0, NULL, "stall", 0},
    {"leat.memory", CONFIG_BYTES, "1GiB", 0, 0, NULL, "memory", 0},
    {"auto.create", CONFIG_BOOL, "true", 0, 0, NULL, "create topics", 0},
    {"ratio", CONFIG_DOUBLE, "0.5", 0, 1, NULL, "ratio", 0},
    {"compression.type", CONFIG_ENUM, "producer", 0, 0, "producer|lz4|zstd", "codec", 0},
    {"host.name", CONFIG_STRING, NULL, 0, 0, NULL, "name", 0},
    {"zookeeper.connect", CONFIG_STRING, NULL, 0, 0, NULL, "none", CONFIG_IGNORED},
};
static struct mem *m;
static struct config *c;
static struct config_error error;

static void begin(void)
{
    m = mem_create(64 << 20);
    c = config_create(m, keys, sizeof keys / sizeof keys[0]);
    ASSERT(c != NULL);
}

static void end(void)
{
    config_destroy(c);
    mem_destroy(m);
}

static enum status load(const char *text)
{
    error.text[0] = '\0';
    return config_load(c, "f", text, strlen(text), &error);
}

static void expect_error(const char *text, const char *message)
{
    ASSERT_EQ(load(text), STATUS_INVALID);
    ASSERT_STREQ(error.text, message);
}

static void defaults_stand(void)
{
    begin();
    ASSERT_EQ(config_int(c, "leat.memory"), 1 << 30);
    ASSERT(config_bool(c, "auto.create") && config_double(c, "ratio") == 0.5);
    ASSERT(!config_is_set(c, "host.name"));
    char from[64];
    config_source(c, "ratio", from, sizeof from);
    ASSERT_STREQ(from, "default");
    end();
}

static void properties_syntax(void)
{
    static const struct {
        const char *text, *value;
    } cases[] = {
        {"host.name=a", "a"},
        {"  host.name : a b  \r\n", "a b"},
        {"host.name a", "a"},
        {"host.name==a", "=a"},
        {"host.name = : a", ": a"},
        {"#x\n!y\n\n \nhost.name=#z", "#z"},
        {"host.name=a\\\n   b", "ab"},
        {"host.name=a\\\r\n\tb\n", "ab"},
        {"host\\\n  .name=a", "a"},
        {"host.name\\\n = a", "a"},
        {"host.name=\\u00e9", "\xc3\xa9"},
        {"host.name=\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
        {"host.name=a\\tb", "a\tb"},
        {"host.name=a\\=\\q\\\\", "a=q\\"},
        {"h\\u006fst.name=a", "a"},
        {"host.name", ""},
        {"host.name=a\rratio=1\r", "a"},
        {"host.name=1\nhost.name=2", "2"},
        {"#c\\\nhost.name=a", "a"},
        {"host.name=a\\", "a"},
        {"host.name=\xe2\x82\xac", "\xe2\x82\xac"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin();
        ASSERT_EQ(load(cases[i].text), STATUS_OK);
        ASSERT_STREQ(config_string(c, "host.name"), cases[i].value);
        end();
    }
}

static void errors_say_where_and_what(void)
{
    begin();
    expect_error("\nlog.dir=a", "f:2: unknown key log.dir; the nearest known one is log.dirs");
    expect_error("qqqqqqqqqqqqqqqqqqqqqq=a", "f:1: unknown key qqqqqqqqqqqqqqqqqqqqqq; no known one resembles it");
    expect_error("a\\\nb=c", "f:1: unknown key ab; no known one resembles it");
    expect_error("num.partitions=0", "f:1: num.partitions: '0' is not a whole number from 1 to 1000");
    expect_error("num.partitions=1x", "f:1: num.partitions: '1x' is not a whole number from 1 to 1000");
    expect_error("auto.create=yes", "f:1: auto.create: 'yes' is not true or false");
    expect_error("ratio=nan", "f:1: ratio: 'nan' is not a decimal number from 0 to 1");
    expect_error("compression.type=lz", "f:1: compression.type: 'lz' is not one of producer|lz4|zstd");
    expect_error("log.dirs=a,,b",
                 "f:1: log.dirs: 'a,,b' is not a comma separated list without empty items, their number from 1 to 4");
    expect_error("leat.memory=1kk", "f:1: leat.memory: '1kk' is not a number of bytes such as 1048576 or 1MiB");
    expect_error("\n\nratio=\\u12", "f:3: \\u needs four hex digits");
    expect_error("ratio=\\ud800x", "f:1: half a surrogate pair");
    expect_error("ratio=\xc0\xaf", "f:1: invalid UTF-8");
    ASSERT_EQ(config_load(c, "f", "a\0b", 3, &error), STATUS_INVALID);
    ASSERT_STREQ(error.text, "f:1: a NUL character is not allowed");
    ASSERT_EQ(config_int(c, "num.partitions"), 1); /* nothing of it has stuck */
    end();
}

static void long_input_is_refused(void)
{
    static char text[CONFIG_VALUE_MAX + 200];
    begin();
    memset(text, 'k', 129);
    expect_error(text, "f:1: key longer than 128 bytes");
    memset(text, 'v', sizeof text - 1);
    memcpy(text, "host.name=", 10);
    expect_error(text, "f:1: value longer than 32 KiB");
    end();
}

static void numbers_and_lists(void)
{
    begin();
    ASSERT_EQ(load("leat.memory=64k\nleat.disk.stall.ms=-9223372036854775808\nlog.dirs= a , b\nratio=1e-1"), STATUS_OK);
    ASSERT_EQ(config_int(c, "leat.memory"), 65536);
    ASSERT_EQ(config_int(c, "leat.disk.stall.ms"), INT64_MIN);
    ASSERT(config_double(c, "ratio") == 0.1);
    size_t pos = 0, n;
    const char *item;
    ASSERT(config_list_next(c, "log.dirs", &pos, &item, &n) && n == 1 && *item == 'a');
    ASSERT(config_list_next(c, "log.dirs", &pos, &item, &n) && n == 1 && *item == 'b');
    ASSERT(!config_list_next(c, "log.dirs", &pos, &item, &n));
    ASSERT_EQ(load("leat.memory=9223372036854775808"), STATUS_INVALID);
    ASSERT_EQ(load("leat.memory=8388608t"), STATUS_INVALID);
    ASSERT_EQ(load("leat.memory=2MB"), STATUS_OK);
    ASSERT_EQ(config_int(c, "leat.memory"), 2 << 20);
    end();
}

static void stronger_sources_win_in_any_order(void)
{
    static const char *const environment[] = {"PATH=/bin",           "LEAT_LOG_DIRS=e",     "LEAT_DISK_STALL_MS=7",
                                              "LEAT_LEAT_MEMORY=1k", "LEAT_MEM_SEPARATE=1", NULL};
    static const char *const wrong[] = {"LEAT_LOG_DIR=e", NULL};
    char from[64];
    begin();
    ASSERT_EQ(config_option(c, "log.dirs=o", &error), STATUS_OK);
    ASSERT_EQ(config_load_env(c, environment, &error), STATUS_OK);
    ASSERT_EQ(load("log.dirs=f\nleat.disk.stall.ms=8\n\nratio=1\nzookeeper.connect=x"), STATUS_OK);
    ASSERT_STREQ(config_string(c, "log.dirs"), "o");
    ASSERT_EQ(config_int(c, "leat.disk.stall.ms"), 7);
    ASSERT_EQ(config_int(c, "leat.memory"), 1024);
    config_source(c, "ratio", from, sizeof from);
    ASSERT_STREQ(from, "f:4");
    config_source(c, "leat.memory", from, sizeof from);
    ASSERT_STREQ(from, "environment");
    ASSERT_EQ(config_load_env(c, wrong, &error), STATUS_INVALID);
    ASSERT_STREQ(error.text,
                 "environment variable LEAT_LOG_DIR: unknown key log.dir; the nearest known one is log.dirs");
    ASSERT_EQ(config_option(c, "ratio", &error), STATUS_INVALID);
    ASSERT_STREQ(error.text, "option -o: 'ratio' is not key=value (key up to 128, value up to 32768 bytes)");
    end();
}

static void count_ignored(const struct config_key *k, void *arg)
{
    ASSERT_STREQ(k->name, "zookeeper.connect");
    ++*(int *)arg;
}

static void ignored_keys_are_told(void)
{
    int count = 0;
    begin();
    config_each_ignored(c, count_ignored, &count);
    ASSERT_EQ(count, 0);
    ASSERT_EQ(config_option(c, "zookeeper.connect=x", &error), STATUS_OK);
    config_each_ignored(c, count_ignored, &count);
    ASSERT_EQ(count, 1);
    end();
}

static void no_memory_is_an_error(void)
{
    begin();
    mem_fail_nth(m, 1);
    ASSERT_EQ(load("host.name=a"), STATUS_NO_MEMORY);
    ASSERT(!config_is_set(c, "host.name"));
    end();
}

TEST_MAIN("config", {"defaults stand", defaults_stand}, {"properties syntax", properties_syntax},
          {"errors say where and what", errors_say_where_and_what}, {"long input is refused", long_input_is_refused},
          {"numbers and lists", numbers_and_lists},
          {"stronger sources win in any order", stronger_sources_win_in_any_order},
          {"ignored keys are told", ignored_keys_are_told}, {"no memory is an error", no_memory_is_an_error})
