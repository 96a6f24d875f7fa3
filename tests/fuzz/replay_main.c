// SPDX-License-Identifier: Apache-2.0
/* Runs a fuzz target without libFuzzer, so that every build and every compiler replays the corpus as a plain test.
 * Usage: NAME_fuzz CORPUS_DIR
 *
 * Happy path: the files of the folder in name order; for each the file itself, its cuts at every length up to
 * CUTS_MAX and each single bit flip of its first FLIPS_MAX bytes; and once the empty input. Each input stands in an
 * allocation of its exact size, so that ASan sees a read of one byte too many.
 * Failure modes: the target crashes (the last line printed names file and mutation); a missing or empty corpus is a
 * failure too, since a target without inputs proves nothing. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CUTS_MAX       300
#define FLIPS_MAX      64
#define PATH_MAX_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static uint64_t inputs;

/* One run on a private copy of exactly `size` bytes. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size);
    if (copy == NULL && size > 0) abort();
    if (size > 0) memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    inputs++;
}

/* The line stays unfinished while the target runs: after a crash it is the last one and says what did it. */
static void run_mutations(const char *name, uint8_t *data, size_t size)
{
    printf("%s: whole", name);
    run(data, size);
    printf(", cuts");
    for (size_t len = 0; len < size && len <= CUTS_MAX; len++) run(data, len);
    printf(", flips");
    for (size_t bit = 0; bit < 8 * size && bit < 8 * FLIPS_MAX; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        run(data, size);
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    printf(", ok\n");
}

static int run_file(const char *dir, const char *name)
{
    char path[PATH_MAX_BYTES];
    int len = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (len < 0 || (size_t)len >= sizeof path) return -1;
    FILE *file = fopen(path, "rb");
    struct stat st;
    if (file == NULL || fstat(fileno(file), &st) != 0) {
        if (file != NULL) (void)fclose(file);
        return -1;
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size + 1);
    if (data == NULL) abort();
    size_t got = fread(data, 1, size, file);
    (void)fclose(file);
    if (got == size) run_mutations(name, data, size);
    free(data);
    return got == size ? 0 : -1;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    if (LLVMFuzzerInitialize != NULL) (void)LLVMFuzzerInitialize(&argc, &argv);
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s CORPUS_DIR\n", argv[0]);
        return 2;
    }
    struct dirent **names = NULL;
    int files = scandir(argv[1], &names, visible, alphasort);
    if (files <= 0) {
        (void)fprintf(stderr, "no corpus in %s: put at least one input there\n", argv[1]);
        return 1;
    }
    int failed = 0;
    run(NULL, 0);
    for (int i = 0; i < files; i++) {
        if (run_file(argv[1], names[i]->d_name) != 0) {
            (void)fprintf(stderr, "cannot read %s/%s\n", argv[1], names[i]->d_name);
            failed = 1;
        }
        free(names[i]);
    }
    free((void *)names);
    printf("%llu inputs from %d files\n", (unsigned long long)inputs, files);
    return failed;
}
