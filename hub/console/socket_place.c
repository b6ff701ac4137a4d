#include "hub/console/socket_place.h"

#include "proto/base/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int through_directory(struct socket_place *place, const char *path, struct casebus_error *err)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path || (size_t)(slash - path) >= sizeof dir)
        return error_set_errno(err, ENAMETOOLONG, _("the socket '%s'"), path);
    memcpy(dir, path, (size_t)(slash - path));
    dir[slash - path] = '\0';
    place->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (place->dir_fd < 0)
        return error_set_errno(err, errno, _("the directory '%s'"), dir);
    int n = snprintf(place->address.sun_path, sizeof place->address.sun_path, "/proc/self/fd/%d/%s",
                     place->dir_fd, slash + 1);
    if (n < (int)sizeof place->address.sun_path)
        return 0;
    socket_place_close(place);
    return error_set_errno(err, ENAMETOOLONG, _("the socket '%s'"), path);
}

int socket_place_open(struct socket_place *place, const char *path, struct casebus_error *err)
{
    *place = (struct socket_place){.address.sun_family = AF_UNIX, .dir_fd = -1};
    if (strlen(path) >= sizeof place->address.sun_path)
        return through_directory(place, path, err);
    memcpy(place->address.sun_path, path, strlen(path) + 1);
    return 0;
}

void socket_place_close(struct socket_place *place)
{
    if (place->dir_fd >= 0)
        close(place->dir_fd);
    place->dir_fd = -1;
}

bool socket_place_alive(const struct socket_place *place)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool alive = fd >= 0 && connect(fd, (const struct sockaddr *)&place->address, sizeof place->address) == 0;
    if (fd >= 0)
        close(fd);
    return alive;
}

int socket_place_admit(const struct socket_place *place, const char *group, struct casebus_error *err)
{
    struct group entry, *found = NULL;
    char memory[4096];
    const char *path = place->address.sun_path;
    if (group && (getgrnam_r(group, &entry, memory, sizeof memory, &found) != 0 || !found))
        return error_set(err, CASEBUS_CONFIG, _("there is no group '%s' on this machine (operators)"), group);
    if ((found && chown(path, (uid_t)-1, found->gr_gid)) || chmod(path, found ? 0660 : 0600))
        return error_set_errno(err, errno, _("cannot open '%s' to its operators"), path);
    return 0;
}
