// SPDX-License-Identifier: Apache-2.0
/* Regular expressions over topic names: what matches, and what RE2/J does not take. Expectations by the documentation
 * of RE2's syntax and RE2/J's matches(). */
#include "broker/group/topic_regex.h"
#include "base/bytes.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <time.h>

static struct mem *m;

static struct str text(const char *s)
{
    return (struct str){s, (int32_t)strlen(s)};
}

/* A copy in a block of its own size, so that a step past the end is seen. */
static struct topic_regex *compiled(const char *pattern, char fault[TOPIC_REGEX_FAULT_SIZE])
{
    struct topic_regex *r = NULL;
    size_t n = strlen(pattern);
    char *copy = mem_alloc(m, MEM_CONTROL, n + 1);
    memcpy(copy, pattern, n);
    fault[0] = '\0';
    enum status s = topic_regex_create(m, (struct str){copy, (int32_t)n}, &r, fault);
    mem_free(m, MEM_CONTROL, copy, n + 1);
    ASSERT(s == STATUS_OK || s == STATUS_INVALID);
    ASSERT((s == STATUS_OK) == (fault[0] == '\0'));
    return s == STATUS_OK ? r : NULL;
}

static void whole_names(void)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } cases[] = {
        {"a", "a", true},
        {"a", "ab", false},
        {"a", "ba", false},
        {"a|ab", "ab", true}, /* the first way ends too early, the second does not */
        {"(a|ab)(c|bcd)", "abcd", true},
        {"a*?", "aaa", true},
        {"^a$", "a", true},
        {".*", "", true},
        {".*", "orders.v1", true},
        {"orders\\..*", "orders.v1", true},
        {"orders\\..*", "ordersxv1", false},
        {"[a-c]{2,3}", "abc", true},
        {"[a-c]{2,3}", "abca", false},
        {"[^a]b", "cb", true},
        {"[]a]+", "]a", true},
        {"[[:alpha:]]+-\\d+", "topic-42", true},
        {"(?i)ORDERS", "orders", true},
        {"(?i:O)rders", "orders", true},
        {"(?:a|b)+", "abab", true},
        {"(?P<x>a)b", "ab", true},
        {"(?<x>a)b", "ab", true},
        {"\\Qa.b\\E", "a.b", true},
        {"\\Qa.b\\E", "axb", false},
        {"\\Qa.b", "a.b", true},
        {"\\x61\\x{62}+", "abb", true},
        {"\\pL+", "abc", true},
        {"a{,2}", "a{,2}", true}, /* no repetition in RE2: plain text */
        {"x{", "x{", true},
        {"(a?){20}a{20}", "aaaaaaaaaaaaaaaaaaaa", true},
        {"(a+)+b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    char fault[TOPIC_REGEX_FAULT_SIZE];
    m = mem_create(64u << 20);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct topic_regex *r = compiled(cases[i].pattern, fault);
        if (r == NULL) printf("%s: %s\n", cases[i].pattern, fault);
        ASSERT(r != NULL);
        bool matches = topic_regex_matches(r, text(cases[i].name));
        if (matches != cases[i].matches) printf("%s on %s\n", cases[i].pattern, cases[i].name);
        ASSERT_EQ(matches, cases[i].matches);
        topic_regex_destroy(r);
    }
    mem_destroy(m);
}

static void not_of_re2(void)
{
    static const char *const patterns[] = {
        "(",
        ")",
        "[",
        "[a",
        "*",
        "+a",
        "a**",
        "a*+",
        "a++",
        "a?+",
        "a{2}+",
        "a{2}*",
        "a{1001}",
        "a{1,1001}",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        "(?>a)",
        "(a)\\1",
        "\\2",
        "(?P=x)",
        "(?P>x)",
        "(?R)",
        "(?1)",
        "(?#c)",
        "(?(1)a)",
        "(*FAIL)",
        "(*SKIP)",
        "\\",
        "a\\",
        "\\C",
        "\\K",
        "\\G",
        "\\R",
        "\\X",
        "\\h",
        "\\k<x>",
        "\\g1",
        "\\Z",
        "(?x)a",
        "(?J)a",
        "(?C1)",
        "(?|a)",
        "(?'x'a)",
        "(?",
        "(?P",
        "(?i",
        "[z-a]",
        "\\p{Nothing}",
        "((((a{100}){100}){100}){100})",
    };
    char fault[TOPIC_REGEX_FAULT_SIZE], deep[500] = "";
    m = mem_create(64u << 20);
    for (size_t i = 0; i < COUNT_OF(patterns); i++) {
        struct topic_regex *r = compiled(patterns[i], fault);
        if (r != NULL) printf("%s was taken\n", patterns[i]);
        ASSERT(r == NULL);
    }
    memset(deep, '(', 100);
    memset(deep + 100, 'a', 1);
    memset(deep + 101, ')', 100);
    ASSERT(compiled(deep, fault) == NULL);
    mem_destroy(m);
}

static void too_long(void)
{
    char fault[TOPIC_REGEX_FAULT_SIZE], pattern[TOPIC_REGEX_MAX + 2];
    m = mem_create(64u << 20);
    memset(pattern, 'a', sizeof pattern);
    pattern[TOPIC_REGEX_MAX + 1] = '\0';
    ASSERT(compiled(pattern, fault) == NULL);
    pattern[TOPIC_REGEX_MAX] = '\0';
    struct topic_regex *r = compiled(pattern, fault);
    ASSERT(r != NULL && topic_regex_matches(r, text(pattern)));
    topic_regex_destroy(r);
    mem_destroy(m);
}

/* Ways that a matcher that goes back would try for ever. */
static void evil_ones_end(void)
{
    static const char *const patterns[] = {"(a*)*b", "(a|aa)+b", "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)b",
                                           "(a?){100}a{100}b", "((a{1,30}){1,30})b"};
    char fault[TOPIC_REGEX_FAULT_SIZE], name[250];
    struct timespec from, to;
    m = mem_create(64u << 20);
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (size_t i = 0; i < COUNT_OF(patterns); i++) {
        struct topic_regex *r = compiled(patterns[i], fault);
        if (r == NULL) continue;
        ASSERT(!topic_regex_matches(r, text(name)));
        topic_regex_destroy(r);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    ASSERT(to.tv_sec - from.tv_sec < 5);
    mem_destroy(m);
}

static void no_memory(void)
{
    enum status s = STATUS_NO_MEMORY;
    m = mem_create(64u << 20);
    for (uint64_t n = 1; s == STATUS_NO_MEMORY; n++) {
        struct topic_regex *r = NULL;
        char fault[TOPIC_REGEX_FAULT_SIZE];
        mem_fail_nth(m, n);
        s = topic_regex_create(m, STR("a+(b|c)"), &r, fault);
        mem_fail_nth(m, 0);
        ASSERT(s == STATUS_OK || s == STATUS_NO_MEMORY);
        if (s == STATUS_OK) topic_regex_destroy(r);
    }
    mem_destroy(m);
}

TEST_MAIN("topic regex", {"whole names", whole_names}, {"not of RE2", not_of_re2}, {"too long", too_long},
          {"evil ones end", evil_ones_end}, {"no memory", no_memory})
