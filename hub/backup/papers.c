#include "hub/backup/papers.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAPER_MAX  (1024 * 1024)
#define FILE_MAX   (2 * NAME_MAX)
#define NAME_TAIL  16 /* digits of the digest behind a paper's name */
#define PLACE      "papers"
#define PLACE_THEN "files" /* of former versions */

/* Every small file in the hub's directory, and what in keys/ is not secret. */
static const struct folder {
    const char *name; /* "" or ends in a slash */
    const char *end;  /* of the names; NULL: any */
} folders[] = {
    {"", NULL},
    {"keys/", ".pem"},
    {"witness/evidence/", NULL},
    {"witness/timestamps/", NULL},
};
#define N_FOLDERS (sizeof(folders) / sizeof(folders[0]))

static bool of_this_run_only(const char *name)
{
    return strcmp(name, "lock") == 0 || strcmp(name, "secured") == 0 || strcmp(name, "invitations") == 0 ||
           name[0] == '.';
}

static bool name_fits(const struct folder *folder, const char *leaf)
{
    size_t n = strlen(leaf), end = folder->end ? strlen(folder->end) : 0;
    return n > end && n < NAME_MAX - NAME_TAIL - 8 && !strchr(leaf, '/') && !of_this_run_only(leaf) &&
           (!folder->end || strcmp(leaf + n - end, folder->end) == 0);
}

static bool name_good(const char *name)
{
    const char *slash = strrchr(name, '/');
    size_t n = slash ? (size_t)(slash + 1 - name) : 0;
    for (size_t i = 0; i < N_FOLDERS; i++)
        if (strlen(folders[i].name) == n && strncmp(folders[i].name, name, n) == 0)
            return name_fits(&folders[i], name + n);
    return false;
}

static int place(char path[PATH_MAX], const char *dir, const char *name, struct casebus_error *err)
{
    if (path_join(path, PATH_MAX, dir, name))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), dir);
    return 0;
}

/* What it is called in DEST. */
static void paper_file(char file[FILE_MAX], const struct papers *papers, const struct paper *paper)
{
    char hex[2 * DIGEST_SIZE + 1];
    if (papers->suite)
        snprintf(file, FILE_MAX, PLACE "/%s.%.*s", paper->name, NAME_TAIL,
                 hex_encode(hex, paper->digest, DIGEST_SIZE));
    else
        snprintf(file, FILE_MAX, PLACE_THEN "/%s", paper->name);
}

static int paper_place(char path[PATH_MAX], const struct papers *papers, const struct paper *paper,
                       const char *dest, struct casebus_error *err)
{
    char file[FILE_MAX];
    paper_file(file, papers, paper);
    return place(path, dest, file, err);
}

/* --- the list ------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct paper *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int no_memory(struct casebus_error *err)
{
    return error_set(err, CASEBUS_NO_MEMORY, _("no memory to list the files of a backup"));
}

int papers_add(struct papers *papers, const char *name, uint64_t size, const uint8_t digest[DIGEST_SIZE],
               struct casebus_error *err)
{
    if (!name_good(name) || size > PAPER_MAX || papers->n == PAPERS_MAX)
        return error_set(err, CASEBUS_DAMAGED, _("'%s' is no file that a backup holds"), name);
    if (papers->n == papers->capacity) {
        size_t wanted = papers->capacity ? 2 * papers->capacity : 32;
        struct paper *items = realloc(papers->items, wanted * sizeof(*items));
        if (!items)
            return no_memory(err);
        papers->items = items;
        papers->capacity = wanted;
    }
    struct paper *paper = &papers->items[papers->n];
    *paper = (struct paper){.name = strdup(name), .size = size};
    if (!paper->name)
        return no_memory(err);
    memcpy(paper->digest, digest, DIGEST_SIZE);
    papers->n++;
    return 0;
}

void papers_deinit(struct papers *papers)
{
    for (size_t i = 0; i < papers->n; i++)
        free(papers->items[i].name);
    free(papers->items);
    *papers = (struct papers){.n = 0};
}

static void papers_sort(struct papers *papers)
{
    if (papers->n)
        qsort(papers->items, papers->n, sizeof(*papers->items), by_name);
}

/* --- folders -------------------------------------------------------------------------------------------- */

/* Calls @visit with the name (as papers have it) and the path of each of @which. A folder that is missing has
 * none. */
typedef int visit_fn(void *self, const char *name, const char *path, struct casebus_error *err);

enum which {
    ORDINARY, /* every ordinary file */
    PAPERS,   /* those that are a paper by name and size */
    NO_PAPERS /* papers by name that are links, or larger; sockets and folders are nobody's papers */
};

static bool is_one(enum which which, const struct stat *status)
{
    bool ordinary = S_ISREG(status->st_mode), small = status->st_size <= PAPER_MAX;
    return which == NO_PAPERS ? S_ISLNK(status->st_mode) || (ordinary && !small)
                              : ordinary && (small || which == ORDINARY);
}

static int folder_each(const char *top, const struct folder *folder, enum which which, visit_fn *visit,
                       void *self, struct casebus_error *err)
{
    char from[PATH_MAX];
    if (place(from, top, folder->name, err))
        return -1;
    DIR *list = opendir(from);
    if (!list)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, _("cannot open the directory '%s'"), from);
    int r = 0;
    for (struct dirent *entry; !r && (entry = readdir(list));) {
        char name[FILE_MAX], path[PATH_MAX];
        struct stat status;
        snprintf(name, sizeof(name), "%s%s", folder->name, entry->d_name);
        if (which != ORDINARY && !name_fits(folder, entry->d_name))
            continue;
        r = place(path, top, name, err);
        if (!r && lstat(path, &status) == 0 && is_one(which, &status))
            r = visit(self, name, path, err);
    }
    closedir(list);
    return r ? -1 : 0;
}

static int all_each(const char *top, enum which which, visit_fn *visit, void *self, struct casebus_error *err)
{
    for (size_t i = 0; i < N_FOLDERS; i++)
        if (folder_each(top, &folders[i], which, visit, self, err))
            return -1;
    return 0;
}

/* --- copying -------------------------------------------------------------------------------------------- */

struct copying {
    struct papers *papers;
    const char *dest;
};

/* Whatever is wrong with the copy, it is written anew. */
static bool copied_before(const char *path, const struct buffer *content)
{
    struct buffer copy;
    bool same = file_read(path, PAPER_MAX, &copy, NULL) == 0 &&
                bytes_equal(bytes_of(copy.data, copy.size), bytes_of(content->data, content->size));
    buffer_deinit(&copy);
    return same;
}

static int paper_copy(void *self, const char *name, const char *path, struct casebus_error *err)
{
    struct copying *copying = self;
    struct papers *papers = copying->papers;
    struct buffer content;
    uint8_t digest[DIGEST_SIZE];
    char to[PATH_MAX];
    int r = file_read(path, PAPER_MAX, &content, err);
    if (!r) {
        const struct bytes bytes = bytes_of(content.data, content.size);
        suite_hash(papers->suite, &bytes, 1, digest);
        r = papers_add(papers, name, content.size, digest, err) ||
            paper_place(to, papers, &papers->items[papers->n - 1], copying->dest, err);
        if (!r && !copied_before(to, &content))
            r = file_write(to, bytes, 0600, err);
    }
    buffer_deinit(&content);
    return r ? -1 : 0;
}

/* What a run before this one wrote may not have its name on the disk yet, if that one was killed. */
static int folder_copy(struct copying *copying, const struct folder *folder, const char *dir,
                       struct casebus_error *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    int n = snprintf(to, sizeof(to), "%s/" PLACE "/%s", copying->dest, folder->name);
    if (n < 0 || n >= (int)sizeof(to))
        return error_set(err, CASEBUS_ARGUMENT, _("the path '%s' is too long"), copying->dest);
    if (place(from, dir, folder->name, err))
        return -1;
    if (access(from, F_OK) && errno == ENOENT)
        return 0;
    if (dir_make(to, err) || folder_each(dir, folder, PAPERS, paper_copy, copying, err))
        return -1;
    return dir_sync(to, err);
}

int papers_copy(struct papers *papers, const struct suite *suite, const char *dir, const char *dest,
                struct casebus_error *err)
{
    struct copying copying = {papers, dest};
    papers->suite = suite;
    for (size_t i = 0; i < N_FOLDERS; i++)
        if (folder_copy(&copying, &folders[i], dir, err))
            return -1;
    papers_sort(papers);
    return 0;
}

struct telling {
    papers_stray_fn *tell;
    void *self;
};

static int one_tell(void *self, const char *name, const char *path, struct casebus_error *err)
{
    const struct telling *telling = self;
    (void)name, (void)err;
    telling->tell(telling->self, path);
    return 0;
}

int papers_not_copied(const char *dir, papers_stray_fn *tell, void *self, struct casebus_error *err)
{
    struct telling telling = {tell, self};
    return all_each(dir, NO_PAPERS, one_tell, &telling, err);
}

static int paper_found(void *self, const char *name, const char *path, struct casebus_error *err)
{
    static const uint8_t unknown[DIGEST_SIZE];
    (void)path;
    return papers_add(self, name, 0, unknown, err);
}

int papers_find(struct papers *papers, const char *dest, struct casebus_error *err)
{
    char files[PATH_MAX];
    if (place(files, dest, PLACE_THEN, err) || all_each(files, PAPERS, paper_found, papers, err))
        return -1;
    papers_sort(papers);
    return 0;
}

/* --- checking ------------------------------------------------------------------------------------------- */

static int damage_hint(struct casebus_error *err)
{
    return error_hint(err, _("casebus-hub backup, given again, copies it anew; when the hub is lost, take "
                             "another copy of this backup, or restore with --leave-damaged"));
}

/* What was read of it, against what it has to be. */
static int content_check(const struct papers *papers, const struct paper *paper, const char *path,
                         const struct buffer *content, struct casebus_error *err)
{
    const struct bytes bytes = bytes_of(content->data, content->size);
    uint8_t digest[DIGEST_SIZE];
    if (!papers->suite)
        return 0;
    suite_hash(papers->suite, &bytes, 1, digest);
    if (content->size == paper->size && memcmp(digest, paper->digest, DIGEST_SIZE) == 0)
        return 0;
    error_set(err, CASEBUS_DAMAGED, _("'%s' is damaged: it is not the %s that was copied"), path,
              paper->name);
    return damage_hint(err);
}

static int content_take(const struct papers *papers, const struct paper *paper, const char *dest,
                        struct buffer *out, struct casebus_error *err)
{
    char path[PATH_MAX];
    *out = (struct buffer){.size = 0};
    if (paper_place(path, papers, paper, dest, err))
        return -1;
    if (access(path, F_OK) && errno == ENOENT) {
        error_set(err, CASEBUS_DAMAGED, _("'%s' is missing: the copy of %s"), path, paper->name);
        return damage_hint(err);
    }
    if (file_read(path, PAPER_MAX, out, err))
        return damage_hint(err);
    return content_check(papers, paper, path, out, err);
}

int paper_read(const struct papers *papers, const char *dest, const char *name, struct buffer *out,
               struct casebus_error *err)
{
    const struct paper wanted = {.name = (char *)name};
    const struct paper *paper =
        papers->n ? bsearch(&wanted, papers->items, papers->n, sizeof(wanted), by_name) : NULL;
    if (paper)
        return content_take(papers, paper, dest, out, err);
    *out = (struct buffer){.size = 0};
    return error_set(err, CASEBUS_DAMAGED, _("the backup in '%s' has no %s"), dest, name);
}

int papers_check(const struct papers *papers, const char *dest, struct casebus_error *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < papers->n; i++) {
        struct buffer content;
        r = content_take(papers, &papers->items[i], dest, &content, err);
        buffer_deinit(&content);
    }
    return r;
}

/* --- strays --------------------------------------------------------------------------------------------- */

struct straying {
    const struct papers *papers;
    papers_stray_fn *stray; /* NULL: they go */
    void *self;
};

/* The name that a file in DEST/papers has to have, against those that are wanted. */
static int stray_look(void *self, const char *name, const char *path, struct casebus_error *err)
{
    const struct straying *straying = self;
    const struct papers *papers = straying->papers;
    char stem[FILE_MAX], wanted[FILE_MAX] = "";
    size_t n = strlen(name);
    snprintf(stem, sizeof(stem), "%.*s", n > NAME_TAIL ? (int)(n - NAME_TAIL - 1) : 0, name);
    const struct paper key = {.name = stem};
    const struct paper *paper =
        papers->n ? bsearch(&key, papers->items, papers->n, sizeof(key), by_name) : NULL;
    if (paper)
        paper_file(wanted, papers, paper);
    if (paper && strcmp(wanted + strlen(PLACE "/"), name) == 0)
        return 0;
    if (straying->stray)
        straying->stray(straying->self, path);
    else if (unlink(path))
        return error_set_errno(err, errno, _("cannot remove '%s'"), path);
    return 0;
}

int papers_strays(const struct papers *papers, const char *dest, papers_stray_fn *stray, void *self,
                  struct casebus_error *err)
{
    struct straying straying = {papers, stray, self};
    char top[PATH_MAX];
    if (!papers->suite)
        return 0;
    return place(top, dest, PLACE, err) || all_each(top, ORDINARY, stray_look, &straying, err) ? -1 : 0;
}

static int file_remove(void *self, const char *name, const char *path, struct casebus_error *err)
{
    (void)self, (void)name;
    return unlink(path) ? error_set_errno(err, errno, _("cannot remove '%s'"), path) : 0;
}

int papers_sweep(const struct papers *papers, const char *dest, struct casebus_error *err)
{
    static const char *const then[] = {PLACE_THEN "/witness/evidence", PLACE_THEN "/witness/timestamps",
                                       PLACE_THEN "/witness", PLACE_THEN "/keys", PLACE_THEN};
    char files[PATH_MAX];
    if (papers_strays(papers, dest, NULL, NULL, err) || place(files, dest, PLACE_THEN, err) ||
        all_each(files, ORDINARY, file_remove, NULL, err))
        return -1;
    for (size_t i = 0; i < sizeof(then) / sizeof(then[0]); i++)
        if (path_join(files, sizeof(files), dest, then[i]) == 0)
            rmdir(files); /* what else lies there was not ours, and stays */
    return 0;
}

/* --- putting back --------------------------------------------------------------------------------------- */

static int paper_put(const struct papers *papers, const struct paper *paper, const char *dest,
                     const char *dir, bool *damaged, struct casebus_error *err)
{
    struct buffer content;
    char path[PATH_MAX], *slash;
    int r = content_take(papers, paper, dest, &content, err);
    *damaged = r != 0;
    if (!r)
        r = place(path, dir, paper->name, err);
    if (!r && (slash = strrchr(path, '/')) && strchr(paper->name, '/')) {
        *slash = '\0';
        r = dir_make(path, err);
        *slash = '/';
    }
    if (!r)
        r = file_write(path, bytes_of(content.data, content.size), 0600, err);
    buffer_deinit(&content);
    return r;
}

int papers_restore(const struct papers *papers, const char *dest, const char *dir, papers_left_fn *left_out,
                   void *self, struct casebus_error *err)
{
    for (size_t i = 0; i < papers->n; i++) {
        const struct paper *paper = &papers->items[i];
        bool damaged = false;
        if (strcmp(paper->name, "hub.yaml") == 0 || paper_put(papers, paper, dest, dir, &damaged, err) == 0)
            continue;
        if (!damaged || !left_out)
            return -1;
        left_out(self, err);
    }
    return 0;
}
