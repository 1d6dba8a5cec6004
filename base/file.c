// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file_priv.h"

static hone_status fail_errno(const char *action, const char *path)
{
    int code = errno;
    return hone_fail(code == ENOMEM ? HONE_NO_MEMORY : HONE_IO, "cannot %s %s: %s", action, path, strerror(code));
}

// O_NONBLOCK keeps the opening of a FIFO from waiting for a writer; on a regular file it means nothing.
static hone_status open_regular(const char *path, int *file, struct stat *facts)
{
    int opened = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (opened < 0) return fail_errno("open", path);
    hone_status status = HONE_OK;
    if (fstat(opened, facts))
        status = fail_errno("examine", path);
    else if (!S_ISREG(facts->st_mode))
        status = hone_fail(HONE_IO, "cannot read %s: it is %s, not a regular file", path,
                           S_ISDIR(facts->st_mode) ? "a folder" : "a device, pipe or socket");
    if (status != HONE_OK) {
        close(opened);
        return status;
    }
    *file = opened;
    return HONE_OK;
}

typedef struct content {
    char *data;
    size_t size_bytes;
    size_t capacity_bytes;
} content;

// The size that was reported is only a hint: files of /proc report 0, and a file may grow meanwhile.
static hone_status read_all(int file, const char *path, size_t ceiling_bytes, content *read_so_far)
{
    for (;;) {
        if (read_so_far->size_bytes + 1 >= read_so_far->capacity_bytes) {
            size_t wanted = read_so_far->capacity_bytes * 2;
            char *grown = hone_realloc(read_so_far->data, wanted);
            if (!grown) return hone_fail_in(HONE_NO_MEMORY, "cannot read %s", path);
            read_so_far->data = grown;
            read_so_far->capacity_bytes = wanted;
        }
        size_t room = read_so_far->capacity_bytes - read_so_far->size_bytes - 1;
        ssize_t got = read(file, read_so_far->data + read_so_far->size_bytes, room < SSIZE_MAX ? room : SSIZE_MAX);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno("read", path);
        if (got == 0) return HONE_OK;
        read_so_far->size_bytes += (size_t)got;
        if (read_so_far->size_bytes > ceiling_bytes)
            return hone_fail(HONE_IO, "cannot read %s: it is larger than the %zu bytes allowed", path, ceiling_bytes);
    }
}

hone_status hone_file_read(const char *path, size_t ceiling_bytes, char **data, size_t *size_bytes)
{
    hone_status status;
    int file = -1;
    struct stat facts;
    content all = {0};
    HONE_TRY(open_regular(path, &file, &facts));
    if ((uint64_t)facts.st_size > ceiling_bytes) {
        status = hone_fail(HONE_IO, "cannot read %s: its %lld bytes are more than the %zu allowed", path,
                           (long long)facts.st_size, ceiling_bytes);
        goto out;
    }
    all.capacity_bytes = (size_t)facts.st_size + 64;
    all.data = hone_alloc(all.capacity_bytes);
    if (!all.data) {
        status = hone_fail_in(HONE_NO_MEMORY, "cannot read %s", path);
        goto out;
    }
    HONE_TRY(read_all(file, path, ceiling_bytes, &all));
    all.data[all.size_bytes] = 0;
    *data = all.data;
    *size_bytes = all.size_bytes;
    all.data = NULL;
out:
    hone_free(all.data);
    if (file >= 0) close(file);
    return status;
}

// Takes the descriptor.
static hone_status map_file(int file, const char *path, const struct stat *facts, hone_map *map)
{
    *map = (hone_map){0};
    if (facts->st_size > 0) {
        void *data = mmap(NULL, (size_t)facts->st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (data == MAP_FAILED) {
            hone_status status = fail_errno("map", path);
            close(file);
            return status;
        }
        *map = (hone_map){data, (size_t)facts->st_size};
    }
    close(file);
    return HONE_OK;
}

hone_status hone_map_open(const char *path, hone_map *map)
{
    int file;
    struct stat facts;
    hone_status status = open_regular(path, &file, &facts);
    return status == HONE_OK ? map_file(file, path, &facts, map) : status;
}

// A name that climbs is refused before any system call, so that both ways of opening agree on it.
static hone_status check_relative(const char *relative)
{
    if (!*relative) return hone_fail(HONE_IO, "an external file has an empty name");
    if (*relative == '/') return hone_fail(HONE_IO, "external file %s: an absolute path is refused", relative);
    if (strlen(relative) >= PATH_MAX) return hone_fail(HONE_IO, "an external file's name is too long");
    for (const char *at = relative; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (at[0] == '.' && at[1] == '.' && (!at[2] || at[2] == '/'))
            return hone_fail(HONE_IO, "external file %s: \"..\" in a path is refused", relative);
    }
    return HONE_OK;
}

enum { OPEN_FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC };

// For kernels before 5.6 and sandboxes without openat2: one component at a time, no link followed.
int hone_open_walk(int folder, const char *relative)
{
    char name[NAME_MAX + 1];
    int at = dup(folder), next;
    while (at >= 0) {
        size_t size = strcspn(relative, "/");
        if (size > NAME_MAX) {
            errno = ENAMETOOLONG;
            break;
        }
        memcpy(name, relative, size);
        name[size] = 0;
        relative += size + strspn(relative + size, "/");
        next = openat(at, size ? name : ".", *relative ? O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC : OPEN_FLAGS);
        close(at);
        at = next;
        if (!*relative) return at;
    }
    if (at >= 0) close(at);
    return -1;
}

static int open_beneath(int folder, const char *relative)
{
    struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    long file = syscall(SYS_openat2, folder, relative, &how, sizeof how);
    if (file < 0 && (errno == ENOSYS || errno == EPERM)) return hone_open_walk(folder, relative);
    return (int)file;
}

static hone_status check_beneath(int file, const char *relative, struct stat *facts)
{
    if (fstat(file, facts)) return fail_errno("examine external file", relative);
    if (!S_ISREG(facts->st_mode)) return hone_fail(HONE_IO, "external file %s is not a regular file", relative);
    if (facts->st_nlink != 1)
        return hone_fail(HONE_IO, "external file %s has %lu names; a hard link could lead outside its folder, so copy it",
                         relative, (unsigned long)facts->st_nlink);
    return HONE_OK;
}

hone_status hone_map_open_beneath(const char *folder, const char *relative, hone_map *map)
{
    hone_status status;
    int root = -1, file = -1;
    struct stat facts;
    HONE_TRY(check_relative(relative));
    root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        status = fail_errno("open folder", folder);
        goto out;
    }
    file = open_beneath(root, relative);
    if (file < 0 && (errno == ELOOP || errno == EXDEV))
        status = hone_fail(HONE_IO, "external file %s: a symbolic link on its path is refused", relative);
    else if (file < 0)
        status = fail_errno("open external file", relative);
    else
        status = check_beneath(file, relative, &facts);
    if (status != HONE_OK) goto out;
    status = map_file(file, relative, &facts, map);
    file = -1;
out:
    if (file >= 0) close(file);
    if (root >= 0) close(root);
    return status;
}

void hone_map_close(hone_map *map)
{
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size_bytes);
    *map = (hone_map){0};
}

static hone_status write_all(int file, const char *path, const char *data, size_t size_bytes)
{
    while (size_bytes) {
        ssize_t done = write(file, data, size_bytes < SSIZE_MAX ? size_bytes : SSIZE_MAX);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0 && (errno == ENOSPC || errno == EDQUOT))
            return hone_fail(HONE_AGAIN, "cannot write %s: %s; free some space and try again", path, strerror(errno));
        if (done < 0) return fail_errno("write", path);
        data += done;
        size_bytes -= (size_t)done;
    }
    return HONE_OK;
}

static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int size = slash ? (int)(slash - path + (slash == path)) : 1;
    snprintf(folder, sizeof folder, "%.*s", size, slash ? path : ".");
    int opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) return;
    fsync(opened);      // some file systems cannot; the data themselves are synced
    close(opened);
}

// Hosts may share a file system, so a process number alone does not make a name unique.
static hone_status name_temporary(const char *path, char *temporary, size_t capacity)
{
    char host[64] = "";
    uint64_t random = 0;
    gethostname(host, sizeof host - 1);
    for (char *at = host; *at; at++)
        if (*at == '/') *at = '_';
    if (getrandom(&random, sizeof random, 0) != sizeof random) return fail_errno("get random bytes for", path);
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    int size = snprintf(temporary, capacity, "%.*s.hone-%s-%ld-%016llx.tmp", (int)(base - path), path, host,
                        (long)getpid(), (unsigned long long)random);
    if (size < 0 || (size_t)size >= capacity) return hone_fail(HONE_USAGE, "the path %s is too long", path);
    return HONE_OK;
}

static hone_status create(const char *temporary, const char *path, unsigned mode, int *file)
{
    *file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    return *file < 0 ? fail_errno("write", path) : HONE_OK;
}

static hone_status sync_and_close(int file, const char *path)
{
    hone_status status = fsync(file) ? fail_errno("sync", path) : HONE_OK;
    if (close(file) && status == HONE_OK) status = fail_errno("write", path);
    return status;
}

hone_status hone_file_write(const char *path, const void *data, size_t size_bytes)
{
    return hone_file_write_pieces(path, &(hone_piece){data, size_bytes}, 1);
}

hone_status hone_file_write_pieces(const char *path, const hone_piece *pieces, size_t n)
{
    hone_draft draft;
    uint64_t at = 0;
    hone_status status = hone_draft_begin(path, &draft);
    for (size_t k = 0; k < n && status == HONE_OK; at += pieces[k++].size_bytes)
        status = hone_draft_put(&draft, at, pieces[k].data, pieces[k].size_bytes);
    if (status == HONE_OK) status = hone_draft_end(&draft, at);
    hone_draft_clear(&draft);
    return status;
}

static hone_status begin_file(const char *target, hone_draft *draft)
{
    char temporary[PATH_MAX + 128];
    hone_status status = name_temporary(target, temporary, sizeof temporary);
    if (status != HONE_OK) return status;
    draft->target = hone_strdup(target);
    draft->temporary = hone_strdup(temporary);
    return draft->target && draft->temporary ? create(temporary, target, 0666, &draft->file) : HONE_NO_MEMORY;
}

hone_status hone_draft_begin(const char *path, hone_draft *draft)
{
    char target[PATH_MAX];
    struct stat facts;
    *draft = (hone_draft){.file = -1};
    if (stat(path, &facts)) return begin_file(path, draft);
    if (S_ISDIR(facts.st_mode)) return hone_fail(HONE_IO, "cannot write %s: it is a folder", path);
    // A link stays a link, and a device such as /dev/null must not be replaced by a file.
    if (S_ISREG(facts.st_mode)) return realpath(path, target) ? begin_file(target, draft) : fail_errno("resolve", path);
    draft->is_device = true;
    draft->target = hone_strdup(path);
    if (!draft->target) return HONE_NO_MEMORY;
    draft->file = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    return draft->file < 0 ? fail_errno("write", path) : HONE_OK;
}

enum { WORTH_BEGINNING_BYTES = 8 << 20 };

// The disk begins with what was put in a row while the rest is still being made; hone_draft_end waits for all of it.
static void begin_disk(hone_draft *draft, uint64_t offset, size_t size_bytes)
{
    if (offset != draft->row_end) draft->row = offset;
    draft->row_end = offset + size_bytes;
    if (draft->row_end - draft->row < WORTH_BEGINNING_BYTES) return;
    (void)sync_file_range(draft->file, (off_t)draft->row, (off_t)(draft->row_end - draft->row), SYNC_FILE_RANGE_WRITE);
    draft->row = draft->row_end;
}

hone_status hone_draft_put(hone_draft *draft, uint64_t offset, const void *data, size_t size_bytes)
{
    if (!draft->is_device && lseek(draft->file, (off_t)offset, SEEK_SET) < 0) return fail_errno("write", draft->target);
    hone_status status = write_all(draft->file, draft->target, data, size_bytes);
    if (!draft->is_device && status == HONE_OK) begin_disk(draft, offset, size_bytes);
    return status;
}

hone_status hone_draft_end(hone_draft *draft, uint64_t size_bytes)
{
    if (draft->is_device) return HONE_OK;
    hone_status status = ftruncate(draft->file, (off_t)size_bytes) ? fail_errno("write", draft->target) : HONE_OK;
    hone_status synced = sync_and_close(draft->file, draft->target);
    draft->file = -1;
    if (status == HONE_OK) status = synced;
    if (status == HONE_OK && rename(draft->temporary, draft->target)) status = fail_errno("write", draft->target);
    if (status != HONE_OK) return status;
    hone_free(draft->temporary);
    draft->temporary = NULL;
    sync_folder(draft->target);
    return HONE_OK;
}

void hone_draft_clear(hone_draft *draft)
{
    if (draft->file >= 0) close(draft->file);
    if (draft->temporary) unlink(draft->temporary);
    hone_free(draft->temporary);
    hone_free(draft->target);
    *draft = (hone_draft){.file = -1};
}

static hone_status write_temporary(const char *temporary, const char *path, const void *data, size_t size_bytes, unsigned mode)
{
    int file;
    hone_status status = create(temporary, path, mode, &file);
    if (status != HONE_OK) return status;
    status = write_all(file, path, data, size_bytes);
    hone_status synced = sync_and_close(file, path);
    return status == HONE_OK ? synced : status;
}

// A link is made or refused as a whole, where renaming would replace.
hone_status hone_file_make(const char *path, const void *data, size_t size_bytes, unsigned mode, bool *made)
{
    char temporary[PATH_MAX + 128];
    *made = false;
    hone_status status = name_temporary(path, temporary, sizeof temporary);
    if (status != HONE_OK) return status;
    status = write_temporary(temporary, path, data, size_bytes, mode);
    if (status == HONE_OK) *made = !link(temporary, path);
    if (status == HONE_OK && !*made && errno != EEXIST) status = fail_errno("make", path);
    unlink(temporary);
    if (*made) sync_folder(path);
    return status;
}

bool hone_path_exists(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0;
}

bool hone_path_is_folder(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

hone_status hone_folder_make(const char *path)
{
    char part[PATH_MAX];
    size_t size = strlen(path);
    if (size >= sizeof part) return hone_fail(HONE_USAGE, "the path %s is too long", path);
    memcpy(part, path, size + 1);
    for (size_t i = 1; i <= size; i++) {
        if (part[i] && part[i] != '/') continue;
        char kept = part[i];
        part[i] = 0;
        if (mkdir(part, 0777) && errno != EEXIST && !hone_path_is_folder(part)) return fail_errno("make folder", part);
        part[i] = kept;
    }
    if (!hone_path_is_folder(path)) return hone_fail(HONE_IO, "cannot make folder %s: a file has that name", path);
    return HONE_OK;
}

typedef struct name_list {
    char **names;
    size_t count;
    size_t capacity;
} name_list;

enum { NAME_CEILING = 1 << 22 };

static hone_status list_names(const char *path, name_list *list)
{
    DIR *folder = opendir(path);
    if (!folder) return fail_errno("open folder", path);
    hone_status status = HONE_OK;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(folder);
        if (!entry && errno) status = fail_errno("read folder", path);
        if (!entry) break;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (hone_grow(&list->names, list->count, &list->capacity, sizeof *list->names, NAME_CEILING) ||
            !(list->names[list->count] = hone_strdup(entry->d_name))) {
            status = hone_fail_in(HONE_NO_MEMORY, "cannot list folder %s", path);
            break;
        }
        list->count++;
    }
    closedir(folder);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

hone_status hone_folder_each(const char *path, hone_status (*each)(void *user, const char *name), void *user)
{
    name_list list = {0};
    hone_status status = list_names(path, &list);
    if (status == HONE_OK && list.count) qsort(list.names, list.count, sizeof *list.names, compare_names);
    for (size_t i = 0; i < list.count && status == HONE_OK; i++) status = each(user, list.names[i]);
    for (size_t i = 0; i < list.count; i++) hone_free(list.names[i]);
    hone_free(list.names);
    return status;
}

static const char *home(void)
{
    const char *path = getenv("HOME");
    if (path && *path) return path;
    struct passwd *entry = getpwuid(getuid());
    return entry ? entry->pw_dir : NULL;
}

// XDG says that a relative path in its variables is to be ignored.
static hone_status user_path(const char *variable, const char *below_home, const char *name, char *path, size_t capacity)
{
    const char *root = getenv(variable), *at_home = "";
    if (!root || *root != '/') {
        root = home();
        at_home = below_home;
    }
    if (!root) return hone_fail(HONE_IO, "no home folder is known: set HOME or %s", variable);
    int size = snprintf(path, capacity, "%s%s/hone/%s", root, at_home, name);
    if (size < 0 || (size_t)size >= capacity) return hone_fail(HONE_IO, "the path %s%s/hone/%s is too long", root, at_home, name);
    return HONE_OK;
}

hone_status hone_path_data(const char *name, char *path, size_t capacity)
{
    return user_path("XDG_DATA_HOME", "/.local/share", name, path, capacity);
}

hone_status hone_path_cache(const char *name, char *path, size_t capacity)
{
    const char *own = getenv("HONE_CACHE");
    if (!own || !*own) return user_path("XDG_CACHE_HOME", "/.cache", name, path, capacity);
    int size = snprintf(path, capacity, "%s/%s", own, name);
    if (size < 0 || (size_t)size >= capacity) return hone_fail(HONE_IO, "the path %s/%s is too long", own, name);
    return HONE_OK;
}

bool hone_path_shipped(const char *name, char *path, size_t capacity)
{
    static const char *const places[] = {"", "../share/hone/"};
    char program[3072];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    if (size <= 0) return false;
    program[size] = 0;
    *strrchr(program, '/') = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, capacity, "%s/%s%s", program, places[i], name);
        if (hone_path_exists(path)) return true;
    }
    return false;
}
