/* gettext knows the languages of a process, not of a sentence. But it follows the thread's locale: in "C" it
 * translates nothing, in any other it follows LANGUAGE, which the program sets (languages_prepare). */
#include "proto/base/languages.h"

#include "proto/base/texts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool process_translates(void)
{
    const char *text = N_("no error");
    return strcmp(_(text), text) != 0;
}

void languages_prepare(void)
{
    if (process_translates())
        return; /* into Chinese: there is no other catalogue */
    setlocale(LC_MESSAGES, "C");
    setenv("LANGUAGE", "zh_CN", 1);
}

void languages_init(struct languages *languages)
{
    languages->english = newlocale(LC_MESSAGES_MASK, "C", (locale_t)0);
    languages->chinese = newlocale(LC_MESSAGES_MASK, "C.UTF-8", (locale_t)0);
}

void languages_deinit(struct languages *languages)
{
    if (languages->english)
        freelocale(languages->english);
    if (languages->chinese)
        freelocale(languages->chinese);
    *languages = (struct languages){0};
}
