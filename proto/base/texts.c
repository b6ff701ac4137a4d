/* The language of what people read. */
#include "proto/base/texts.h"

#include <locale.h>
#include <stdlib.h>

void texts_init(void)
{
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* numbers in files and messages keep their dot */
    const char *dir = getenv("CASEBUS_LOCALEDIR");
    bindtextdomain("casebus", dir ? dir : CASEBUS_LOCALEDIR);
    bind_textdomain_codeset("casebus", "UTF-8");
}
