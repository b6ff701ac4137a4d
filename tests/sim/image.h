/* Image: the files of a directory in memory, to be laid out again and again. */
#ifndef SIM_IMAGE_H
#define SIM_IMAGE_H

#include "proto/base/bytes.h"

struct image_file {
    char *name; /* below the directory */
    uint8_t *data;
    size_t size;
};

struct image {
    struct image_file *files;
    size_t n_files;
};

/* All files below @dir but locks and sockets; ends the process when it cannot. */
void image_load(struct image *image, const char *dir);
/* Makes @dir hold these files as they were; what else lies there, but folders, is removed. */
void image_write(const struct image *image, const char *dir);
/* Turns bit @bit of a file below @dir; -1: there is none. */
int image_flip(const char *dir, const char *name, uint64_t bit);

#endif
