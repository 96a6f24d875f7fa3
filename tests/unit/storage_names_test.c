// SPDX-License-Identifier: Apache-2.0
/* Names and paths, and the words that shards share of one disk. */
#include "storage/disk.h"
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
          {"an ack waits for earlier flushes (D9)", an_ack_waits_for_earlier_flushes},
          {"fence and start-up words", fence_and_start_up_words})
