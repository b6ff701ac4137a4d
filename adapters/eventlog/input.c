/* zlib's gz functions read plain files too, so there is one way for both. What matters here is the end: zlib
 * tells about a file that was cut or whose check sum is wrong only after the last bytes, so every read is
 * followed by a look at the stream's state. */
#include "adapters/eventlog/input.h"

#include "proto/base/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { INPUT_CHUNK = 128 * 1024 };

struct input {
    char *name;
    gzFile gz; /* NULL: from memory */
    int64_t file_size;
    bool gzip;
    bool ended;
    struct bytes memory;
    size_t memory_size;
    uint8_t *chunk;
    struct bytes ahead;
};

static struct input *input_new(const char *name)
{
    struct input *input = calloc(1, sizeof *input);
    if (!input)
        return NULL;
    input->name = strdup(name);
    input->chunk = malloc(INPUT_CHUNK);
    return input->name && input->chunk ? input : input_close(input);
}

static int file_open(struct input *input, const char *path, struct casebus_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0) {
        error_set_errno(err, errno, _("cannot open the source file '%s'"), path);
        return error_hint(err, _("check the path and that this user may read it"));
    }
    if (fstat(fd, &status) != 0 || S_ISDIR(status.st_mode)) {
        close(fd);
        return error_set(err, CASEBUS_SOURCE, _("'%s' is a folder, not a file"), path);
    }
    input->file_size = status.st_size;
    input->gz = gzdopen(fd, "rb");
    if (!input->gz) {
        close(fd);
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), path);
    }
    gzbuffer(input->gz, INPUT_CHUNK);
    input->gzip = !gzdirect(input->gz);
    return 0;
}

int input_open(struct input **inputp, const char *path, struct casebus_error *err)
{
    struct input *input = input_new(path);
    if (!input)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), path);
    if (file_open(input, path, err) != 0) {
        input_close(input);
        return -1;
    }
    *inputp = input;
    return 0;
}

int input_open_memory(struct input **inputp, const char *name, struct bytes content,
                      struct casebus_error *err)
{
    struct input *input = input_new(name);
    if (!input)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), name);
    input->memory = content;
    input->memory_size = content.size;
    *inputp = input;
    return 0;
}

struct input *input_close(struct input *input)
{
    if (!input)
        return NULL;
    if (input->gz)
        gzclose(input->gz);
    free(input->chunk);
    free(input->name);
    free(input);
    return NULL;
}

static int gz_damaged(struct input *input, int code, const char *reason, struct casebus_error *err)
{
    long long at = (long long)gzoffset(input->gz);
    if (code == Z_ERRNO)
        return error_set_errno(err, errno, _("cannot read '%s'"), input->name);
    if (code == Z_BUF_ERROR)
        error_set(err, CASEBUS_SOURCE, _("'%s' ends early: its gzip data is cut off at byte %lld"),
                  input->name, at);
    else
        error_set(err, CASEBUS_SOURCE, _("'%s' is damaged: bad gzip data near byte %lld (%s)"), input->name,
                  at, reason);
    return error_hint(err, _("fetch the file again; what was read before this place is kept"));
}

/* One read; 0 at the end. Bytes that come together with a fault are handed out first: the fault is met again
 * by the next read. */
static ssize_t gz_read(struct input *input, struct casebus_error *err)
{
    int got = gzread(input->gz, input->chunk, INPUT_CHUNK);
    if (got > 0)
        return got;
    int code;
    const char *reason = gzerror(input->gz, &code);
    if (code != Z_OK && code != Z_STREAM_END)
        return gz_damaged(input, code, reason, err);
    return got < 0 ? gz_damaged(input, Z_DATA_ERROR, reason, err) : 0;
}

static ssize_t memory_read(struct input *input)
{
    size_t size = input->memory.size < INPUT_CHUNK ? input->memory.size : INPUT_CHUNK;
    if (size == 0)
        return 0;
    memcpy(input->chunk, input->memory.data, size);
    input->memory = bytes_of(input->memory.data + size, input->memory.size - size);
    return (ssize_t)size;
}

int input_peek(struct input *input, struct bytes *ahead, struct casebus_error *err)
{
    if (input->ahead.size == 0 && !input->ended) {
        ssize_t got = input->gz ? gz_read(input, err) : memory_read(input);
        if (got < 0)
            return -1;
        input->ended = got == 0;
        input->ahead = bytes_of(input->chunk, (size_t)got);
    }
    *ahead = input->ahead;
    return ahead->size > 0;
}

void input_consume(struct input *input, size_t size)
{
    input->ahead.data += size;
    input->ahead.size -= size;
}

int input_line(struct input *input, struct buffer *line, size_t max, bool *cut, struct casebus_error *err)
{
    size_t begin = line->size;
    bool any = false;
    *cut = false;
    for (;;) {
        struct bytes ahead;
        int r = input_peek(input, &ahead, err);
        if (r <= 0)
            return r < 0 ? -1 : any;
        any = true;
        const uint8_t *end = memchr(ahead.data, '\n', ahead.size);
        size_t size = end ? (size_t)(end - ahead.data) + 1 : ahead.size;
        size_t room = max - (line->size - begin);
        size_t take = size < room ? size : room;
        if (!buffer_append(line, ahead.data, take))
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), input->name);
        *cut |= take < size;
        input_consume(input, size);
        if (end)
            return 1;
    }
}

const char *input_name(const struct input *input)
{
    return input->name;
}

bool input_is_gzip(const struct input *input)
{
    return input->gzip;
}

double input_progress(const struct input *input)
{
    if (!input->gz)
        return input->memory_size ? 1.0 - (double)input->memory.size / (double)input->memory_size : 1.0;
    if (input->file_size <= 0)
        return input->ended ? 1.0 : -1.0;
    double done = (double)gzoffset(input->gz) / (double)input->file_size;
    return input->ended || done > 1.0 ? 1.0 : done;
}
