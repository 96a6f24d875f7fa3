// SPDX-License-Identifier: Apache-2.0
/* The crash tester's own test subject: a small write-ahead log that keeps every rule, and breaks one when told to.
 *
 *   toywal run DIR SEED [fault]            appends RECORDS records, prints "op n" before and "ack n" after each is
 * durable toywal verify DIR MARKSFILE [fault]    exits 1 if an acked record is not there
 *
 * Right path: segment k is written full of zeros under a temporary name, fsynced, renamed, its directory fsynced; a
 * record is one aligned O_DIRECT write into the zeroed file, then fdatasync, then the ack.
 *
 * Faults: --no-flush (no fdatasync before the ack), --no-dir-fsync (the new segment's rename is not made durable),
 * --plain-create (the segment is created under its final name and fsynced, the directory is not: what does the file
 * system itself promise?), --racing-flush (the fdatasync begins while the write is still on its way). */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RECORDS = 60,
    RECORD_BYTES = 8192, /* two pages, 16 sectors: room to be torn */
    SEGMENT_RECORDS = 10
};

struct toy {
    const char *dir;
    bool no_flush, no_dir_fsync, plain_create, racing_flush;
    uint64_t seed;
    int segment_fd;
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "toywal: %s: %s\n", what, strerror(errno));
    exit(3);
}

static void segment_path(const struct toy *t, uint32_t segment, const char *suffix, char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/%03u.wal%s", t->dir, segment, suffix);
}

/* Every 8 bytes say which record they belong to, so a torn one cannot pass. Never zero. */
static void record_fill(uint64_t *words, uint32_t n)
{
    for (uint32_t i = 0; i < RECORD_BYTES / 8; i++) words[i] = 0x544f590000000000u | (uint64_t)n << 16 | i;
}

static void dir_fsync(const struct toy *t)
{
    int fd = open(t->dir, O_RDONLY | O_DIRECTORY);
    if (fd < 0 || fsync(fd) < 0) fail("fsync of the directory");
    close(fd);
}

static void segment_create(struct toy *t, uint32_t segment)
{
    static _Alignas(4096) uint8_t zeros[RECORD_BYTES];
    char path[512], temporary[512];
    segment_path(t, segment, "", path, sizeof(path));
    segment_path(t, segment, ".tmp", temporary, sizeof(temporary));
    const char *name = t->plain_create ? path : temporary;
    if (segment > 0) close(t->segment_fd);
    t->segment_fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_DIRECT, 0600);
    if (t->segment_fd < 0) fail("creating a segment");
    for (uint32_t i = 0; i < SEGMENT_RECORDS; i++)
        if (pwrite(t->segment_fd, zeros, sizeof(zeros), (off_t)i * RECORD_BYTES) != RECORD_BYTES) fail("zeroing");
    if (fsync(t->segment_fd) < 0) fail("fsync");
    if (t->plain_create) return;
    if (rename(temporary, path) < 0) fail("rename");
    if (!t->no_dir_fsync) dir_fsync(t);
}

static void *flush_thread(void *segment_fd)
{
    if (fdatasync(*(int *)segment_fd) < 0) fail("fdatasync");
    return NULL;
}

static void record_append(struct toy *t, uint32_t n)
{
    static _Alignas(4096) uint64_t record[RECORD_BYTES / 8];
    record_fill(record, n);
    pthread_t thread;
    if (t->racing_flush && pthread_create(&thread, NULL, flush_thread, &t->segment_fd) != 0) fail("pthread_create");
    off_t at = (off_t)(n % SEGMENT_RECORDS) * RECORD_BYTES;
    if (pwrite(t->segment_fd, record, sizeof(record), at) != RECORD_BYTES) fail("write");
    if (t->racing_flush) {
        pthread_join(thread, NULL);
    } else if (!t->no_flush && fdatasync(t->segment_fd) < 0) {
        fail("fdatasync");
    }
}

static int toy_run(struct toy *t)
{
    setvbuf(stdout, NULL, _IOLBF, 0); /* a mark is out before the next write begins */
    for (uint32_t n = 0; n < RECORDS; n++) {
        printf("op %u\n", n);
        if (n % SEGMENT_RECORDS == 0) {
            segment_create(t, n / SEGMENT_RECORDS);
            printf("ack-segment %u\n", n / SEGMENT_RECORDS);
        }
        record_append(t, n);
        printf("ack %u\n", n);
    }
    return 0;
}

static bool record_is_there(const struct toy *t, uint32_t n)
{
    char path[512];
    uint64_t want[RECORD_BYTES / 8], got[RECORD_BYTES / 8];
    segment_path(t, n / SEGMENT_RECORDS, "", path, sizeof(path));
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        printf("record %u was acked, but %s: %s\n", n, path, strerror(errno));
        return false;
    }
    ssize_t size = pread(fd, got, sizeof(got), (off_t)(n % SEGMENT_RECORDS) * RECORD_BYTES);
    close(fd);
    record_fill(want, n);
    if (size == (ssize_t)sizeof(got) && memcmp(want, got, sizeof(got)) == 0) return true;
    printf("record %u was acked, but its bytes in %s are not there\n", n, path);
    return false;
}

static bool segment_is_there(const struct toy *t, uint32_t segment)
{
    char path[512];
    struct stat st;
    segment_path(t, segment, "", path, sizeof(path));
    if (stat(path, &st) == 0 && st.st_size == SEGMENT_RECORDS * RECORD_BYTES) return true;
    printf("segment %u was acked, but %s is not there or short\n", segment, path);
    return false;
}

static int toy_verify(const struct toy *t, const char *marks_path)
{
    FILE *marks = fopen(marks_path, "r");
    if (!marks) fail("opening the marks");
    char line[128];
    bool good = true;
    while (fgets(line, sizeof(line), marks)) {
        unsigned n;
        if (sscanf(line, "ack %u", &n) == 1) good = record_is_there(t, n) && good;
        if (sscanf(line, "ack-segment %u", &n) == 1) good = segment_is_there(t, n) && good;
    }
    fclose(marks);
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: toywal run DIR SEED [fault] | toywal verify DIR MARKSFILE [fault]\n");
        return 3;
    }
    struct toy t = {.dir = argv[2], .segment_fd = -1};
    for (int i = 4; i < argc; i++) {
        t.no_flush |= strcmp(argv[i], "--no-flush") == 0;
        t.no_dir_fsync |= strcmp(argv[i], "--no-dir-fsync") == 0;
        t.plain_create |= strcmp(argv[i], "--plain-create") == 0;
        t.racing_flush |= strcmp(argv[i], "--racing-flush") == 0;
    }
    if (strcmp(argv[1], "run") == 0) return toy_run(&t);
    return toy_verify(&t, argv[3]);
}
