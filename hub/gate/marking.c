#include "hub/gate/marking.h"

#include <string.h>

/* All three levels end in 密; the words alone are ordinary Chinese, the star makes them a mark. */
static const char mark[] = "\xe5\xaf\x86\xe2\x98\x85";

bool marking_found(struct bytes text)
{
    static const char *const levels[] = {"绝", "机", "秘"};
    if (text.size == 0)
        return false;
    const uint8_t *at = text.data, *end = text.data + text.size;
    while (at < end && (at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1))) {
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
            if (at - text.data >= 3 && memcmp(at - 3, levels[i], 3) == 0)
                return true;
        at += sizeof mark - 1;
    }
    return false;
}
