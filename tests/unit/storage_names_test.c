// SPDX-License-Identifier: Apache-2.0
/* Names and paths, and the words that shards share of one disk. */
#include "base/bytes.h"
#include "storage/disk.h"
#include "storage/kept_name.h"
#include "storage/path.h"
#include "tests/unit/check_main.h"

static void topic_names_are_kafkas(void)
{
    char name[TOPIC_NAME_MAX + 2];
    for (int c = 1; c < 256; c++) {
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        name[0] = (char)c, name[1] = '\0';
        ASSERT_EQ(topic_name_valid(name), fine); /* a dot alone is no name */
        name[0] = 'x', name[1] = (char)c, name[2] = '\0';
        ASSERT_EQ(topic_name_valid(name), fine || c == '.');
    }
    ASSERT(!topic_name_valid("") && !topic_name_valid("..") && topic_name_valid("..."));
    ASSERT(!topic_name_valid("a/../../b"));
    memset(name, 'n', sizeof name);
    name[TOPIC_NAME_MAX + 1] = '\0';
    ASSERT(!topic_name_valid(name)); /* 250 */
    name[TOPIC_NAME_MAX] = '\0';
    ASSERT(topic_name_valid(name)); /* 249 */
}

static void a_directory_name_fits_a_file_name(void)
{
    struct topic_id id = {{0x01, 0xab}}, other = {{0x02, 0xab}};
    char topic[TOPIC_NAME_MAX + 1], name[NAME_BYTES_MAX], second[NAME_BYTES_MAX];
    partition_dir_name(name, "a.b_c-d", id, 17);
    ASSERT_STREQ(name, "a.b_c-d-17");
    memset(topic, 'n', sizeof topic);
    topic[TOPIC_NAME_MAX] = '\0';
    partition_dir_name(name, topic, id, 99999); /* 249 + 6: just fits */
    ASSERT(strlen(name) == 255 && strcmp(name + 249, "-99999") == 0);
    partition_dir_name(name, topic, id, 100000);
    ASSERT_EQ(strlen(name), 255);
    ASSERT_STREQ(name + 255 - 40, "~01ab0000000000000000000000000000-100000");
    partition_dir_name(second, topic, other, 100000); /* the id keeps cut names apart */
    ASSERT(strcmp(name, second) != 0);
    partition_dir_name(name, topic, id, INT32_MAX);
    ASSERT(strlen(name) == 255 && strcmp(name + 244, "-2147483647") == 0);
    struct path p;
    path_set(&p, "%s/%08x", "dir", 0xabcu);
    ASSERT_STREQ(p.s, "dir/00000abc");
}

/* What is written is read back, whatever the directory was called; what is not exactly that is none. */
static void names_in_the_trash(void)
{
    static const char *const dirs[] = {"t-0", "a.b.c-17", "..", "x.0123456789abcdef0123456789abcdef-3.4.5-0"};
    static const struct kept kepts[] = {
        {.id = {{0x01, 0xab, [15] = 0xff}}, .number = 0, .creation = 0, .since_ms = 0},
        {.number = INT32_MAX, .creation = UINT64_MAX, .since_ms = INT64_MAX},
        {.id = {{0xfe}}, .number = 10, .creation = 7, .since_ms = 1700000000000},
    };
    static const char *const foreign[] = {
        "",
        ".",
        "t-0.5f3a",
        "t-0.01ab00000000000000000000000000ff-0.1",
        "t-0.01ab00000000000000000000000000ff-0.1.",
        "t-0.01ab00000000000000000000000000ff-0.1.2x",
        "t-0.01ab00000000000000000000000000ff-0.1.-2",
        "t-0.01ab00000000000000000000000000ff-0.01.2",
        "t-0.01ab00000000000000000000000000ff-.1.2",
        "t-0.01ab00000000000000000000000000ff-2147483648.1.2",
        "t-0.01ab00000000000000000000000000ff-0.18446744073709551616.2",
        "t-0.01ab00000000000000000000000000ff-0.1.9223372036854775808",
        "t-0.01AB00000000000000000000000000ff-0.1.2",
        "t-0.1ab00000000000000000000000000ff-0.1.2",
        ".01ab00000000000000000000000000ff-0.1.2",
    };
    char name[NAME_BYTES_MAX], topic[TOPIC_NAME_MAX + 1], dir[NAME_BYTES_MAX];
    struct kept k;
    for (size_t i = 0; i < COUNT_OF(kepts); i++) {
        for (size_t d = 0; d < COUNT_OF(dirs); d++) {
            kept_name(name, dirs[d], &kepts[i]);
            ASSERT(kept_name_parse(name, &k));
            ASSERT(topic_id_compare(k.id, kepts[i].id) == 0 && k.number == kepts[i].number);
            ASSERT(k.creation == kepts[i].creation && k.since_ms == kepts[i].since_ms);
        }
        memset(topic, 'n', sizeof topic);
        topic[TOPIC_NAME_MAX] = '\0';
        partition_dir_name(dir, topic, kepts[i].id, kepts[i].number);
        kept_name(name, dir, &kepts[i]);
        ASSERT(kept_name_parse(name, &k) && k.number == kepts[i].number);
    }
    kept_name(name, "a.b-3", &(struct kept){.id = {{0x01, 0xab}}, .number = 3, .creation = 9, .since_ms = 12});
    ASSERT_STREQ(name, "a.b-3.01ab0000000000000000000000000000-3.9.12");
    for (size_t i = 0; i < COUNT_OF(foreign); i++) ASSERT(!kept_name_parse(foreign[i], &k));
    memset(name, 'n', sizeof name); /* no end in sight */
    ASSERT(!kept_name_parse(name, &k));
}

/* Rule D9: an ack waits for every flush of another shard that began before its own. */
static void an_ack_waits_for_earlier_flushes(void)
{
    static struct disk d;
    disk_init(&d);
    unsigned long a = disk_flush_begin(&d), b = disk_flush_begin(&d), c = disk_flush_begin(&d);
    ASSERT(a > 0 && a < b && b < c);
    disk_flush_oldest(&d, 0, a);
    disk_flush_oldest(&d, 1, b);
    disk_flush_oldest(&d, 2, c);
    ASSERT(disk_flush_clear(&d, 0, 3, a)); /* the oldest waits for nobody */
    ASSERT(!disk_flush_clear(&d, 1, 3, b) && !disk_flush_clear(&d, 2, 3, c));
    disk_flush_oldest(&d, 0, 0);
    ASSERT(disk_flush_clear(&d, 1, 3, b) && !disk_flush_clear(&d, 2, 3, c));
    disk_flush_oldest(&d, 1, 0);
    ASSERT(disk_flush_clear(&d, 2, 3, c));
    disk_flush_oldest(&d, 2, a); /* its own older one in flight is no other's */
    ASSERT(disk_flush_clear(&d, 2, 3, c));
    disk_flush_oldest(&d, 2, 0);
    disk_flush_oldest(&d, DISK_SHARDS_MAX - 1, a); /* the last shard counts, one beyond the count does not */
    ASSERT(!disk_flush_clear(&d, 2, DISK_SHARDS_MAX, c));
    ASSERT(disk_flush_clear(&d, 2, DISK_SHARDS_MAX - 1, c));
}

static void fence_and_start_up_words(void)
{
    static struct disk d;
    uint8_t id[16] = {1, 2, 3}, other[16] = {9}, got[16] = {0};
    disk_init(&d);
    ASSERT(!disk_fenced(&d) && disk_shards_replayed(&d) == 0 && !disk_replay_failed(&d));
    ASSERT(d.free_bytes == UINT64_MAX); /* not asked yet: nobody is refused */
    ASSERT_EQ(disk_directory_get(&d, got), DISK_DIRECTORY_UNKNOWN);
    disk_directory_set(&d, id, false);
    disk_directory_set(&d, other, true); /* the first word stands */
    ASSERT_EQ(disk_directory_get(&d, got), DISK_DIRECTORY_READY);
    ASSERT(memcmp(got, id, 16) == 0);
    disk_shard_replayed(&d, true);
    ASSERT(disk_shards_replayed(&d) == 1 && !disk_replay_failed(&d));
    disk_shard_replayed(&d, false);
    disk_shard_replayed(&d, true);
    ASSERT(disk_shards_replayed(&d) == 3 && disk_replay_failed(&d));
    disk_fence(&d);
    ASSERT(disk_fenced(&d));
    disk_init(&d);
    disk_directory_set(&d, NULL, true);
    memset(got, 7, 16);
    ASSERT_EQ(disk_directory_get(&d, got), DISK_DIRECTORY_FAILED);
    ASSERT(got[0] == 7 && got[15] == 7); /* untouched */
}

TEST_MAIN("storage names", {"topic names are Kafka's", topic_names_are_kafkas},
          {"a directory's name fits a file name", a_directory_name_fits_a_file_name},
          {"names in the trash", names_in_the_trash},
          {"an ack waits for earlier flushes (D9)", an_ack_waits_for_earlier_flushes},
          {"fence and start-up words", fence_and_start_up_words})
