/* For processors whose instruction we do not use. */
#include "proto/base/crc32c.h"

crc32c_function *crc32c_by_processor(void)
{
    return NULL;
}
