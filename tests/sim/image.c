/* Long runs of zeros are left out as holes: a journal's segments are mostly those. */
#include "tests/sim/image.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 4096 };

static struct image *loading;
static size_t loading_from;
static const struct image *laying;

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    perror(what);
    abort();
}

static bool is_passing(const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    return strcmp(name, "lock") == 0 || strcmp(name, "lock.mdb") == 0 || strcmp(name, "hub.sock") == 0;
}

static int file_load(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)where;
    if (type != FTW_F || is_passing(path))
        return 0;
    loading->files = reallocarray(loading->files, loading->n_files + 1, sizeof *loading->files);
    struct image_file *file = &loading->files[loading->n_files++];
    file->name = strdup(path + loading_from);
    file->size = (size_t)status->st_size;
    file->data = malloc(file->size + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && file->data && read(fd, file->data, file->size) == (ssize_t)file->size, path);
    close(fd);
    return 0;
}

void image_load(struct image *image, const char *dir)
{
    loading = image;
    loading_from = strlen(dir) + 1;
    must(nftw(dir, file_load, 16, FTW_PHYS) == 0, dir);
}

static const struct image_file *file_find(const struct image *image, const char *name)
{
    for (size_t i = 0; i < image->n_files; i++)
        if (strcmp(image->files[i].name, name) == 0)
            return &image->files[i];
    return NULL;
}

static int foreign_remove(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)where;
    if (type != FTW_D && !file_find(laying, path + loading_from))
        unlink(path);
    return 0;
}

static void parents_make(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
}

static bool is_zeros(const uint8_t *data, size_t size)
{
    return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

static void file_write_out(const struct image_file *file, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && ftruncate(fd, (off_t)file->size) == 0, path);
    for (size_t at = 0; at < file->size; at += BLOCK) {
        size_t size = file->size - at < BLOCK ? file->size - at : BLOCK;
        if (!is_zeros(file->data + at, size))
            must(pwrite(fd, file->data + at, size, (off_t)at) == (ssize_t)size, path);
    }
    close(fd);
}

void image_write(const struct image *image, const char *dir)
{
    char path[PATH_MAX];
    laying = image;
    loading_from = strlen(dir) + 1;
    nftw(dir, foreign_remove, 16, FTW_PHYS);
    for (size_t i = 0; i < image->n_files; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, image->files[i].name);
        parents_make(path);
        file_write_out(&image->files[i], path);
    }
}

int image_flip(const char *dir, const char *name, uint64_t bit)
{
    char path[PATH_MAX];
    uint8_t byte;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    bool flipped = pread(fd, &byte, 1, (off_t)(bit / 8)) == 1;
    byte ^= (uint8_t)(1u << bit % 8);
    flipped = flipped && pwrite(fd, &byte, 1, (off_t)(bit / 8)) == 1;
    close(fd);
    return flipped ? 0 : -1;
}
