// SPDX-License-Identifier: Apache-2.0
/* Hands of the test on a machine's disk: snapshot, roll-back, wipe, quota, and files at rest. Changes are durable at
 * once: they act on what the cache shows and then make everything stable. Failure modes: as the file system's. */
#include "base/sim/sim_impl.h"

static void at_rest(struct sim_machine *m)
{
    CHECK(!m->running);
}

struct sim_disk_image *sim_disk_snapshot(struct sim_machine *m)
{
    struct sim_disk_image *i = sim_alloc(sizeof *i);
    fs_init(&i->fs, m->sim, &m->config);
    fs_replace(&i->fs, inode_copy_tree(&i->fs, m->fs.root));
    return i;
}

void sim_disk_image_free(struct sim_disk_image *i)
{
    if (i == NULL) return;
    fs_deinit(&i->fs);
    free(i);
}

void sim_disk_restore(struct sim_machine *m, const struct sim_disk_image *i)
{
    at_rest(m);
    sim_orphans_drop(m);
    fs_replace(&m->fs, inode_copy_tree(&m->fs, i->fs.root));
}

void sim_disk_wipe(struct sim_machine *m)
{
    at_rest(m);
    sim_orphans_drop(m);
    fs_replace(&m->fs, inode_create(&m->fs, true));
}

void sim_disk_capacity(struct sim_machine *m, uint64_t bytes)
{
    m->config.capacity_bytes = bytes;
}

void sim_disk_read_only(struct sim_machine *m, bool read_only)
{
    m->fs.read_only = read_only;
}

uint64_t sim_disk_used(const struct sim_machine *m)
{
    return m->fs.used_pages * SIM_PAGE;
}

static void settle(struct sim_machine *m)
{
    fs_sync_all(&m->fs, UINT64_MAX);
}

enum status sim_dir_make(struct sim_machine *m, const char *path)
{
    at_rest(m);
    char *part = sim_strdup(path);
    enum status st = STATUS_OK;
    for (size_t n = 1; part[0] != 0 && st == STATUS_OK; n++) {
        bool last = path[n] == 0;
        if (!last && path[n] != '/') continue;
        part[n] = 0;
        st = fs_mkdir(&m->fs, part);
        if (st == STATUS_EXISTS) st = STATUS_OK;
        part[n] = path[n];
        if (last) break;
    }
    free(part);
    settle(m);
    return st;
}

enum status sim_file_read(struct sim_machine *m, const char *path, uint64_t pos, void *data, uint32_t len)
{
    struct inode *i = NULL;
    enum status st = fs_lookup(&m->fs, path, &i);
    if (st != STATUS_OK) return st;
    if (i->is_dir || pos + len > i->cache.size) return STATUS_INVALID;
    sim_image_read(&i->cache, pos, len, data);
    return STATUS_OK;
}

enum status sim_file_write(struct sim_machine *m, const char *path, uint64_t pos, const void *data, uint32_t len)
{
    at_rest(m);
    struct inode *i = NULL;
    const char *slash = strrchr(path, '/');
    if (slash != NULL && slash != path) {
        char *dir = strndup(path, (size_t)(slash - path));
        CHECK(dir != NULL);
        enum status made = sim_dir_make(m, dir);
        free(dir);
        if (made != STATUS_OK) return made;
    }
    enum status st = fs_open(&m->fs, path, IO_CREATE, &i);
    if (st == STATUS_OK && i->is_dir) st = STATUS_INVALID;
    if (st == STATUS_OK && len > 0) st = fs_write(&m->fs, i, pos, data, len, false);
    settle(m);
    return st;
}

enum status sim_file_size(struct sim_machine *m, const char *path, uint64_t *ret_size)
{
    struct inode *i = NULL;
    enum status st = fs_lookup(&m->fs, path, &i);
    if (st != STATUS_OK) return st;
    *ret_size = i->cache.size;
    return STATUS_OK;
}

enum status sim_file_truncate(struct sim_machine *m, const char *path, uint64_t size)
{
    at_rest(m);
    struct inode *i = NULL;
    enum status st = fs_lookup(&m->fs, path, &i);
    if (st == STATUS_OK) st = i->is_dir ? STATUS_INVALID : fs_truncate(&m->fs, i, size);
    settle(m);
    return st;
}

enum status sim_file_remove(struct sim_machine *m, const char *path)
{
    at_rest(m);
    struct inode *i = NULL;
    enum status st = fs_lookup(&m->fs, path, &i);
    if (st != STATUS_OK) return st;
    if (i->is_dir) names_clear(&m->fs, &i->names); /* the tree falls with its names */
    st = fs_remove(&m->fs, path, i->is_dir);
    settle(m);
    return st;
}

enum status sim_file_list(struct sim_machine *m, const char *path, void (*fn)(const char *name, bool is_dir, void *arg),
                          void *arg)
{
    struct inode *i = NULL;
    enum status st = fs_lookup(&m->fs, path, &i);
    if (st != STATUS_OK) return st;
    if (!i->is_dir) return STATUS_INVALID;
    for (size_t n = 0; n < i->names.count; n++) fn(i->names.at[n].name, i->names.at[n].inode->is_dir, arg);
    return STATUS_OK;
}
