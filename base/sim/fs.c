// SPDX-License-Identifier: Apache-2.0
/* The simulated file system as a running process sees it: names, inodes, cached bytes. Every change also leaves a note
 * of what is volatile: a vop at its inode or a name_op; durable.c decides what becomes of them.
 *
 * Happy path of a write: space is checked, the cache changes at once, a copy of the bytes waits as a vop for a sync.
 * Failure modes: NO_SPACE and READ_ONLY change nothing; NOT_FOUND, EXISTS, INVALID (not a directory, not empty) as env
 * says. Inodes are counted: names (cached, stable and pending), open files and snapshots hold them. */
#include "base/sim/sim_impl.h"

/* ---- inodes ---- */
struct inode *inode_create(struct fs *fs, bool is_dir)
{
    struct inode *i = sim_alloc(sizeof *i);
    i->refs = 1;
    i->number = ++fs->next_inode;
    i->is_dir = is_dir;
    list_init(&i->vops);
    return i;
}

void inode_ref(struct inode *i)
{
    i->refs++;
}

void vop_free(struct vop *v)
{
    list_remove(&v->in_file);
    if (list_linked(&v->in_flush)) list_remove(&v->in_flush);
    free(v);
}

void inode_unref(struct fs *fs, struct inode *i)
{
    CHECK(i->refs > 0);
    if (--i->refs > 0) return;
    list_each (n, &i->vops) vop_free(container_of(n, struct vop, in_file));
    if (list_linked(&i->in_dirty)) list_remove(&i->in_dirty);
    fs->used_pages -= i->cache.mapped;
    sim_image_clear(&i->cache);
    sim_image_clear(&i->stable);
    names_clear(fs, &i->names);
    names_clear(fs, &i->stable_names);
    free(i);
}

/* ---- directories ---- */
static size_t names_find(const struct dirent_list *l, const char *name, bool *ret_found)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(l->at[mid].name, name);
        if (order == 0) {
            *ret_found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_found = false;
    return low;
}

static struct inode *names_get(const struct dirent_list *l, const char *name)
{
    bool found;
    size_t at = names_find(l, name, &found);
    return found ? l->at[at].inode : NULL;
}

void names_set(struct fs *fs, struct dirent_list *l, const char *name, struct inode *inode)
{
    bool found;
    size_t at = names_find(l, name, &found);
    struct inode *old = found ? l->at[at].inode : NULL;
    if (inode != NULL) inode_ref(inode);
    if (found && inode != NULL) {
        l->at[at].inode = inode;
    } else if (found) {
        free(l->at[at].name);
        l->count--;
        memmove(l->at + at, l->at + at + 1, (l->count - at) * sizeof(struct sim_dirent));
    } else if (inode != NULL) {
        l->at = realloc(l->at, (l->count + 1) * sizeof(struct sim_dirent));
        CHECK(l->at != NULL);
        memmove(l->at + at + 1, l->at + at, (l->count - at) * sizeof(struct sim_dirent));
        l->at[at] = (struct sim_dirent){sim_strdup(name), inode};
        l->count++;
    }
    if (old != NULL) inode_unref(fs, old);
}

void names_clear(struct fs *fs, struct dirent_list *l)
{
    for (size_t n = 0; n < l->count; n++) {
        free(l->at[n].name);
        inode_unref(fs, l->at[n].inode);
    }
    free(l->at);
    *l = (struct dirent_list){0};
}

void names_copy(struct fs *fs, struct dirent_list *to, const struct dirent_list *from)
{
    struct dirent_list copy = {.count = from->count, .at = sim_alloc((from->count + 1) * sizeof(struct sim_dirent))};
    for (size_t n = 0; n < from->count; n++) {
        copy.at[n] = (struct sim_dirent){sim_strdup(from->at[n].name), from->at[n].inode};
        inode_ref(from->at[n].inode);
    }
    names_clear(fs, to);
    *to = copy;
}

void name_op_push(struct fs *fs, struct inode *dir, const char *name, struct inode *inode, uint64_t group)
{
    struct name_op *op = sim_alloc(sizeof *op + strlen(name) + 1);
    strcpy(op->name, name);
    op->seq = ++fs->seq;
    op->group = group;
    op->dir = dir;
    op->inode = inode;
    inode_ref(dir);
    if (inode != NULL) inode_ref(inode);
    list_push_back(&fs->name_ops, &op->in_fs);
}

/* ---- paths ---- */
#define NAME_SIZE 256

/* The next component into name; false at the end. "." and empty ones are skipped; ".." is not followed: nobody needs
 * it and it would hide a bug. */
static bool path_next(const char **path, char name[NAME_SIZE])
{
    for (;;) {
        while (**path == '/') ++*path;
        size_t n = strcspn(*path, "/");
        if (n == 0) return false;
        CHECK(n < NAME_SIZE);
        memcpy(name, *path, n);
        name[n] = 0;
        *path += n;
        CHECK(strcmp(name, "..") != 0);
        if (strcmp(name, ".") != 0) return true;
    }
}

enum status fs_lookup(struct fs *fs, const char *path, struct inode **ret_inode)
{
    char name[NAME_SIZE];
    struct inode *at = fs->root;
    while (path_next(&path, name)) {
        if (!at->is_dir) return STATUS_NOT_FOUND;
        at = names_get(&at->names, name);
        if (at == NULL) return STATUS_NOT_FOUND;
    }
    *ret_inode = at;
    return STATUS_OK;
}

/* The directory that holds the last component, and that component. */
static enum status parent_of(struct fs *fs, const char *path, struct inode **ret_dir, char name[NAME_SIZE])
{
    char next[NAME_SIZE];
    struct inode *at = fs->root;
    if (!path_next(&path, name)) return STATUS_EXISTS; /* the root itself */
    while (path_next(&path, next)) {
        at = names_get(&at->names, name);
        if (at == NULL || !at->is_dir) return STATUS_NOT_FOUND;
        memcpy(name, next, NAME_SIZE);
    }
    *ret_dir = at;
    return STATUS_OK;
}

static void name_change(struct fs *fs, struct inode *dir, const char *name, struct inode *inode, uint64_t group)
{
    name_op_push(fs, dir, name, inode, group);
    names_set(fs, &dir->names, name, inode);
}

static enum status create(struct fs *fs, struct inode *dir, const char *name, bool is_dir)
{
    if (fs->read_only) return STATUS_READ_ONLY;
    struct inode *i = inode_create(fs, is_dir);
    name_change(fs, dir, name, i, 0);
    inode_unref(fs, i);
    return STATUS_OK;
}

enum status fs_open(struct fs *fs, const char *path, uint32_t flags, struct inode **ret_inode)
{
    char name[NAME_SIZE];
    struct inode *dir = NULL;
    enum status st = parent_of(fs, path, &dir, name);
    if (st == STATUS_EXISTS) return fs_lookup(fs, path, ret_inode);
    if (st != STATUS_OK) return st;
    struct inode *i = names_get(&dir->names, name);
    if (i != NULL && (flags & IO_CREATE) && (flags & IO_EXCL)) return STATUS_EXISTS;
    if (i == NULL && !(flags & IO_CREATE)) return STATUS_NOT_FOUND;
    if (i != NULL && fs->read_only && !(flags & IO_READONLY)) return STATUS_READ_ONLY;
    if (i == NULL) {
        st = create(fs, dir, name, false);
        if (st != STATUS_OK) return st;
    }
    *ret_inode = names_get(&dir->names, name);
    return STATUS_OK;
}

enum status fs_mkdir(struct fs *fs, const char *path)
{
    char name[NAME_SIZE];
    struct inode *dir = NULL;
    enum status st = parent_of(fs, path, &dir, name);
    if (st != STATUS_OK) return st;
    if (names_get(&dir->names, name) != NULL) return STATUS_EXISTS;
    return create(fs, dir, name, true);
}

enum status fs_remove(struct fs *fs, const char *path, bool is_dir)
{
    char name[NAME_SIZE];
    struct inode *dir = NULL;
    enum status st = parent_of(fs, path, &dir, name);
    if (st != STATUS_OK) return st == STATUS_EXISTS ? STATUS_INVALID : st;
    struct inode *i = names_get(&dir->names, name);
    if (i == NULL) return STATUS_NOT_FOUND;
    if (i->is_dir != is_dir) return STATUS_INVALID;
    if (is_dir && i->names.count > 0) return STATUS_EXISTS; /* ENOTEMPTY */
    if (fs->read_only) return STATUS_READ_ONLY;
    name_change(fs, dir, name, NULL, 0);
    return STATUS_OK;
}

enum status fs_rename(struct fs *fs, const char *from, const char *to)
{
    char from_name[NAME_SIZE], to_name[NAME_SIZE];
    struct inode *from_dir = NULL, *to_dir = NULL;
    enum status st = parent_of(fs, from, &from_dir, from_name);
    if (st == STATUS_OK) st = parent_of(fs, to, &to_dir, to_name);
    if (st != STATUS_OK) return st == STATUS_EXISTS ? STATUS_INVALID : st;
    struct inode *i = names_get(&from_dir->names, from_name), *old = names_get(&to_dir->names, to_name);
    if (i == NULL) return STATUS_NOT_FOUND;
    if (i == old) return STATUS_OK;
    if (old != NULL && old->is_dir && (old->names.count > 0 || !i->is_dir)) return STATUS_EXISTS;
    if (old != NULL && !old->is_dir && i->is_dir) return STATUS_INVALID;
    if (fs->read_only) return STATUS_READ_ONLY;
    /* Weak POSIX makes the halves durable with their own directories; inside one directory a rename is atomic. */
    uint64_t group = from_dir == to_dir || fs->config->names == SIM_EXT4_ORDERED ? fs->seq + 1 : 0;
    name_change(fs, to_dir, to_name, i, group);
    name_change(fs, from_dir, from_name, NULL, group);
    return STATUS_OK;
}

/* ---- bytes ---- */
uint64_t fs_free_bytes(const struct fs *fs)
{
    uint64_t used = fs->used_pages * SIM_PAGE;
    return used >= fs->config->capacity_bytes ? 0 : fs->config->capacity_bytes - used;
}

/* True if a device flush alone makes this write durable: the medium has its place (size and blocks), and no earlier
 * change of the file that a flush does not cover lies under it. */
static bool flush_covers(const struct inode *i, uint64_t pos, uint64_t len)
{
    if (pos + len > i->stable.size || !sim_image_written(&i->stable, pos, len)) return false;
    list_each (n, &i->vops) {
        const struct vop *v = container_of(n, struct vop, in_file);
        if (v->kind == VOP_SIZE) return false;
        if (!list_linked(&v->in_flush) && v->pos < pos + len && pos < v->pos + v->len) return false;
    }
    return true;
}

static struct vop *vop_push(struct fs *fs, struct inode *i, enum vop_kind kind, uint64_t pos, uint64_t len,
                            const void *data)
{
    struct vop *v = malloc(sizeof *v + (data == NULL ? 0 : len));
    CHECK(v != NULL);
    *v = (struct vop){.inode = i, .seq = ++fs->seq, .kind = kind, .pos = pos, .len = len};
    if (data != NULL) memcpy(v->data, data, len);
    list_push_back(&i->vops, &v->in_file);
    if (!list_linked(&i->in_dirty)) list_push_back(&fs->dirty, &i->in_dirty);
    return v;
}

enum status fs_write(struct fs *fs, struct inode *i, uint64_t pos, const void *data, uint64_t len, bool direct)
{
    if (fs->read_only) return STATUS_READ_ONLY;
    if (sim_image_holes(&i->cache, pos, len) * SIM_PAGE > fs_free_bytes(fs)) return STATUS_NO_SPACE;
    bool covered = direct && pos + len <= i->cache.size && flush_covers(i, pos, len);
    struct vop *v = vop_push(fs, i, VOP_WRITE, pos, len, data);
    v->grows = pos + len > i->cache.size;
    v->maps = !sim_image_written(&i->cache, pos, len);
    v->direct = direct;
    if (covered) list_push_back(&fs->flush, &v->in_flush);
    fs->used_pages -= i->cache.mapped;
    sim_image_write(&i->cache, pos, len, data, true);
    fs->used_pages += i->cache.mapped;
    return STATUS_OK;
}

enum status fs_truncate(struct fs *fs, struct inode *i, uint64_t size)
{
    if (fs->read_only) return STATUS_READ_ONLY;
    vop_push(fs, i, VOP_SIZE, size, 0, NULL);
    fs->used_pages -= i->cache.mapped;
    sim_image_resize(&i->cache, size);
    fs->used_pages += i->cache.mapped;
    return STATUS_OK;
}

enum status fs_reserve(struct fs *fs, struct inode *i, uint64_t pos, uint64_t len)
{
    if (fs->read_only) return STATUS_READ_ONLY;
    if (sim_image_holes(&i->cache, pos, len) * SIM_PAGE > fs_free_bytes(fs)) return STATUS_NO_SPACE;
    struct vop *v = vop_push(fs, i, VOP_RESERVE, pos, len, NULL);
    v->grows = pos + len > i->cache.size;
    fs->used_pages -= i->cache.mapped;
    sim_image_reserve(&i->cache, pos, len);
    fs->used_pages += i->cache.mapped;
    if (v->grows) i->cache.size = pos + len;
    return STATUS_OK;
}

/* ---- whole trees ---- */
struct inode *inode_copy_tree(struct fs *fs, const struct inode *from)
{
    struct inode *to = inode_create(fs, from->is_dir);
    sim_image_copy(&to->cache, &from->cache);
    sim_image_copy(&to->stable, &from->cache);
    fs->used_pages += to->cache.mapped;
    for (size_t n = 0; n < from->names.count; n++) {
        struct inode *child = inode_copy_tree(fs, from->names.at[n].inode);
        names_set(fs, &to->names, from->names.at[n].name, child);
        inode_unref(fs, child);
    }
    names_copy(fs, &to->stable_names, &to->names);
    return to;
}

static void name_ops_drop(struct fs *fs)
{
    list_each (n, &fs->name_ops) {
        struct name_op *op = container_of(n, struct name_op, in_fs);
        list_remove(n);
        inode_unref(fs, op->dir);
        if (op->inode != NULL) inode_unref(fs, op->inode);
        free(op);
    }
}

void fs_replace(struct fs *fs, struct inode *root)
{
    name_ops_drop(fs);
    if (fs->root != NULL) inode_unref(fs, fs->root);
    fs->root = root;
}

void fs_init(struct fs *fs, struct sim *s, struct sim_machine_config *config)
{
    *fs = (struct fs){.sim = s, .config = config};
    list_init(&fs->dirty);
    list_init(&fs->flush);
    list_init(&fs->name_ops);
    fs->root = inode_create(fs, true);
}

void fs_deinit(struct fs *fs)
{
    fs_replace(fs, NULL);
    CHECK(list_empty(&fs->dirty));
}

/* * any run of characters, / included; ? one. */
bool fs_name_matches(const char *glob, const char *path)
{
    for (; *glob != 0; glob++, path++) {
        if (*glob == '*') {
            for (;; path++) {
                if (fs_name_matches(glob + 1, path)) return true;
                if (*path == 0) return false;
            }
        }
        if (*path == 0 || (*glob != '?' && *glob != *path)) return false;
    }
    return *path == 0;
}
